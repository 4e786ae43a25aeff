"""Publishers are not in the way of readers."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest

from tests.faults.drill import drill
from tests.faults.servers import Server
from tests.faults.tally import Tally
from tests.faults.versions import Change

#: Rows are changed by such statements.
CHANGES = ("DELETE", "INSERT", "UPDATE", "COPY")


@pytest.mark.parametrize("change", Change, ids=lambda change: change.name.lower())
def test_somebody_reads_at_every_step(server: Server, tally: Tally, change: Change) -> None:
    """However long a run stays at a step, no read waits for it; unless a table is altered, and only that."""
    waits = []
    with drill(server, tally, customers=200) as series:
        steps = series.steps(change)
        with series.held(series.prepare(change), steps[0]) as run:
            for step, following in zip(steps, [*steps[1:], None], strict=True):
                assert series.proxy.held.wait(10)
                if series.keeps_a_reader_waiting():
                    waits.append(step)
                series.proxy.go_on(following)
            assert run.outcome().published is not None
        series.recover("a run that was held at every step", run.version)
    assert not [step for step in waits if step.sql.startswith(CHANGES)]
    assert change in (Change.WIDER, Change.NARROWER) or not waits


@pytest.mark.parametrize("change", [Change.WIDER, Change.NARROWER], ids=lambda change: change.name.lower())
def test_a_table_is_altered_during_a_long_read(server: Server, tally: Tally, change: Change) -> None:
    """That cannot be done then; who reads meanwhile waits for a moment at most."""
    with drill(server, tally, customers=200) as series:
        new = series.prepare(change)
        with ExitStack() as read:
            read.enter_context(server.blocked("long read"))
            with series.publishing(new) as run:
                assert not run.is_done(5)
                read.close()
                outcome = run.outcome()
        assert outcome.published is not None, outcome.error
        series.recover("a long read", new)
    assert series.reader.longest_wait() < 2
    tally.longest_read[f"while {change} behind a long read"] = series.reader.longest_wait()


@pytest.mark.slow
def test_a_reader_alone(server: Server, tally: Tally) -> None:
    """For comparison: what a read takes at most on this machine when nobody publishes."""
    with drill(server, tally, customers=4000, pause=0) as series:
        series.prepare(Change.FEW)
        published = time.monotonic()
        time.sleep(2)
    reads = [read for read in series.reader.reads if read.started > published]
    tally.longest_read["while nobody publishes"] = max(read.ended - read.started for read in reads)
