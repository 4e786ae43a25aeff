"""A disk that is full, from the first batch that does not fit to the last row that is merged."""

from __future__ import annotations

import pytest

from tests.faults.disks import small_disk
from tests.faults.drill import drill
from tests.faults.servers import Server
from tests.faults.tally import Tally
from tests.faults.versions import Change

#: Bytes by which there is more space at each attempt.
MORE = 300_000


@pytest.mark.slow
@pytest.mark.parametrize("change", [Change.FIRST, Change.ALL], ids=["creating", "replacing"])
def test_disk_is_full(server: Server, tally: Tally, change: Change) -> None:
    """With a little more space each time: the error says what it is, and with enough space all is well."""
    failed_at = set()
    with (
        small_disk(server.owner()) as disk,
        server.on_disk(disk.folder),
        drill(server, tally, customers=2000, pause=0.005) as series,
    ):
        for space in range(MORE // 2, disk.free, MORE):
            series.prepare(Change.FIRST)  # new tables, which have no room in their files
            new = series.prepare(change)
            disk.leave(space)
            with series.publishing(new, None) as run:
                outcome = run.outcome()
            disk.clear()
            failed_at.add(len(series.proxy.turns))
            found = series.recover(f"a disk with {space} bytes", new)
            series.check(outcome)
            if outcome.published is not None:
                break
            series.tally.disks_full += 1
            assert found is not new
            assert outcome.is_transient
            assert "full" in outcome.error.lower()
    print(failed_at)
    assert outcome.published is not None
    assert len(failed_at) > 4, "it failed at other steps than these: loading and merging, of each table"
