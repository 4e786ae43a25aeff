"""Several runs, and others who use the tables, at the same time."""

from __future__ import annotations

import random
import time
from dataclasses import replace

import pytest

from tests.faults.drill import Drill, changed_rows, drill
from tests.faults.publishers import duration, publisher
from tests.faults.servers import Server
from tests.faults.tally import Tally
from tests.faults.versions import Change, Version, marks_of

ROUNDS = 12


def two_versions(series: Drill, change: Change) -> tuple[Version, Version]:
    """Two versions that differ in every row, each of which a run may bring now."""
    one = series.prepare(change)
    stamps = dict.fromkeys(one.stamps, one.number + 1)
    return one, replace(
        one, number=one.number + 1, stamps=stamps, logged=(one.logged - {one.number}) | {one.number + 1}
    )


@pytest.mark.slow
@pytest.mark.parametrize("change", [Change.FIRST, Change.ALL], ids=["creating", "replacing"])
def test_two_runs_at_once(server: Server, tally: Tally, change: Change) -> None:
    """Whichever comes when, the tables are one's and then the other's; who fails says that it may retry."""
    offsets = random.Random(360)
    with drill(server, tally, customers=1000) as series:
        new = series.prepare(change)
        series.reader.expect(marks_of(series.version), new.marks)
        seconds = duration(server, new)
        series.recover("an undisturbed run", new)
        for number in range(ROUNDS):
            one, other = two_versions(series, change)
            both = one.logged | other.logged
            possible = [one, other, replace(one, logged=both), replace(other, logged=both)]
            series.reader.expect(marks_of(series.version), *(version.marks for version in possible))
            with publisher(server, server.port, one) as first:
                time.sleep(seconds * offsets.random() if number else 0)
                with publisher(server, server.port, other) as second:
                    outcomes = (first.outcome(), second.outcome())
            series.tally.runs_at_once += 2
            for outcome in outcomes:
                series.check(outcome)
                assert outcome.published or outcome.is_transient, outcome.error
            assert any(outcome.published for outcome in outcomes)
            logged = [
                run.version.number
                for run, outcome in zip((first, second), outcomes, strict=True)
                if outcome.published
            ]
            found = series.settle(f"two runs at once, {outcomes}", *possible)
            assert found is not None
            assert found.logged >= set(logged)
            series.next_run(found, found)
            # The one that failed, if one did, is run again.
            for run, outcome in zip((first, second), outcomes, strict=True):
                if outcome.published is None:
                    series.next_run(replace(run.version, logged=both), None)


BLOCKS = ["table", "rows"]


@pytest.mark.slow
@pytest.mark.parametrize("how", BLOCKS)
def test_somebody_holds_a_lock(server: Server, tally: Tally, how: str) -> None:
    """A run waits for a while and no longer, and says that it may be run again."""
    with drill(server, tally, customers=200) as series:
        new = series.prepare(Change.FEW)
        with server.blocked(how), series.publishing(new, None, lock_seconds=1) as run:
            assert not run.is_done(0.9)
            is_done = run.is_done(10)
            if how == "rows":
                assert not series.keeps_a_reader_waiting()
            if is_done:
                outcome = run.outcome()
        series.recover("a lock", new)
    assert is_done, "it waits for ever"
    assert outcome.is_transient, outcome.error
    assert not outcome.tells_values


@pytest.mark.parametrize("change", [Change.FEW, Change.ALL], ids=["few", "all"])
def test_a_long_read_is_not_in_the_way(server: Server, tally: Tally, change: Change) -> None:
    """A report that runs for hours does not keep a run from publishing."""
    with drill(server, tally, customers=200) as series:
        new = series.prepare(change)
        with server.blocked("long read"), series.publishing(new, None) as run:
            outcome = run.outcome()
            assert outcome.published is not None
            assert sum(map(changed_rows, outcome.published.values()))
        series.recover("a long read", new)


@pytest.mark.slow
def test_a_column_is_added_during_a_long_read(server: Server, tally: Tally) -> None:
    """The table cannot be altered then: the run gives up soon, for all other readers wait behind it."""
    with drill(server, tally, customers=200) as series:
        new = series.prepare(Change.WIDER)
        with server.blocked("long read"), series.publishing(new, None, lock_seconds=1) as run:
            is_done = run.is_done(10)
            if is_done:
                outcome = run.outcome()
                assert not series.keeps_a_reader_waiting()
        series.recover("a long read", new)
    assert is_done, "it waits for ever"
    assert outcome.is_transient, outcome.error
