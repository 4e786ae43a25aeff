"""Readers are not in the way of publishers, nor publishers in that of readers."""

from __future__ import annotations

import time

import pytest

from tests.faults.drill import drill
from tests.faults.servers import Server
from tests.faults.tally import Tally
from tests.faults.test_kills import every_change
from tests.faults.versions import Change


@every_change
def test_somebody_reads_at_every_step(server: Server, tally: Tally, change: Change) -> None:
    """However long a run stays at one step, a read is not kept waiting by it."""
    with drill(server, tally, customers=200) as series:
        steps = series.steps(change)
        waits = []
        with series.held(series.prepare(change), steps[0]) as run:
            for step, following in zip(steps, [*steps[1:], None], strict=True):
                assert series.proxy.held.wait(10)
                if series.keeps_a_reader_waiting():
                    waits.append(step)
                series.proxy.go_on(following)
            assert run.outcome().published is not None
        series.recover("a run that was held at every step", run.version)
    print(*waits, sep="\n")
    if change is Change.WIDER:
        assert not [step for step in waits if step.sql.startswith(("DELETE", "INSERT", "UPDATE"))]
    else:
        assert waits == []


@pytest.mark.slow
def test_a_reader_alone(server: Server, tally: Tally) -> None:
    """What a read takes at most on this machine when nobody publishes, for comparison."""
    with drill(server, tally, customers=4000) as series:
        series.prepare(Change.FEW)
        time.sleep(2)
    tally.longest_wait["while nobody publishes"] = series.reader.longest_wait()
