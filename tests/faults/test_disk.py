"""No space is left, from the first batch that does not fit to the last row that is merged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.disks import small_disk
from tests.faults.drill import Drill, drill, judge_error
from tests.faults.publishers import Outcome
from tests.faults.tally import Tally
from tests.faults.versions import Change, Version

if TYPE_CHECKING:
    from tests.faults.mariadb import MariaDBServer
    from tests.faults.postgres import PostgresServer

#: Bytes by which there is more space at each attempt.
MORE = 300_000


def succeeds(series: Drill, outcome: Outcome, new: Version) -> bool:
    """Judge a run; with more space, the next one is successful."""
    found = series.recover("a full disk", new)
    judge_error(outcome)
    if outcome.published is not None:
        assert found is new
        return True
    series.tally.disks_full += 1
    assert found is not new
    assert outcome.is_transient, outcome.error
    assert "disk" in outcome.error.lower()
    return False


@pytest.mark.slow
@pytest.mark.parametrize("server", ["psycopg"], indirect=True)
@pytest.mark.parametrize("change", [Change.FIRST, Change.ALL], ids=["creating", "replacing"])
def test_disk_is_full(server: PostgresServer, tally: Tally, change: Change) -> None:
    """A tablespace has a little more space each time, until it suffices; the error says what it is."""
    failed_at = set()
    with (
        small_disk(server.owner()) as disk,
        server.on_disk(disk.folder),
        drill(server, tally, customers=2000) as series,
    ):
        for space in range(MORE // 2, disk.free, MORE):
            series.prepare(Change.FIRST)  # new tables, which have no room in their files
            new = series.prepare(change)
            disk.leave(space)
            with series.publishing(new) as run:
                outcome = run.outcome()
            disk.clear()
            failed_at.add(len(series.proxy.turns))
            if succeeds(series, outcome, new):
                break
    assert len(failed_at) > 4, "it failed at other steps than these: loading and merging, of each table"


@pytest.mark.slow
@pytest.mark.parametrize("server", ["mysqlclient"], indirect=True)
def test_temporary_space_is_full(server: MariaDBServer, tally: Tally) -> None:
    """Other sessions have taken what MariaDB has for temporary tables; without room for others it crashes."""
    failed_at = set()
    with server.with_temporary_space() as full, drill(full, tally, customers=2000) as series:
        for space in range(20):
            new = series.prepare(Change.ALL)
            with full.leaving(space), series.publishing(new) as run:
                outcome = run.outcome()
            failed_at.add(len(series.proxy.turns))
            if succeeds(series, outcome, new):
                break
    assert len(failed_at) > 2, "it failed at other steps than these: loading different tables"
