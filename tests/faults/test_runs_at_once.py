"""Several runs at the same time, and others who use the tables."""

from __future__ import annotations

import random
import time
from dataclasses import replace

import pytest

from tests.faults.drill import Drill, changed_rows, drill, judge_error
from tests.faults.publishers import publisher
from tests.faults.servers import Server
from tests.faults.tally import Tally
from tests.faults.versions import Change, Version

ROUNDS = 12


def two_versions(series: Drill, change: Change) -> tuple[Version, Version]:
    """Two versions that differ in every row, each of which a run may bring now."""
    one = series.prepare(change)
    number = one.number + 1
    logged = one.logged - {one.number} | {number}
    return one, replace(one, number=number, stamps=dict.fromkeys(one.stamps, number), logged=logged)


@pytest.mark.slow
@pytest.mark.parametrize("change", [Change.FIRST, Change.ALL], ids=["creating", "replacing"])
def test_two_runs_at_once(server: Server, tally: Tally, change: Change) -> None:
    """Whichever comes when, the tables are the one's and then the other's; who fails is told to retry."""
    offsets = random.Random(360)
    with drill(server, tally, customers=1000) as series:
        seconds = series.undisturbed(change)
        for number in range(ROUNDS):
            one, other = two_versions(series, change)
            both = one.logged | other.logged
            possible = [one, other, replace(one, logged=both), replace(other, logged=both)]
            series.expect(*possible)
            with publisher(server, server.port, one) as first:
                time.sleep(seconds * offsets.random() if number else 0)
                with publisher(server, server.port, other) as second:
                    outcomes = {run.version: run.outcome() for run in (first, second)}
            series.tally.runs_at_once += 2
            for outcome in outcomes.values():
                judge_error(outcome)
                assert outcome.published or outcome.is_transient, outcome.error
            done = [version for version, outcome in outcomes.items() if outcome.published]
            found = series.settle("two runs at once", *possible)
            assert done
            assert found is not None
            assert found.logged >= {version.number for version in done}
            series.next_run(found, found)
            for failed in outcomes.keys() - done:
                series.next_run(replace(failed, logged=both), None)


def judge_patience(series: Drill, new: Version) -> None:
    """A run that is in somebody's way waits, though not for ever; then it may be run again."""
    with series.publishing(new, lock_seconds=1) as run:
        assert not run.is_done(0.9)
        assert run.is_done(15), "it waits for ever"
        outcome = run.outcome()
    judge_error(outcome)
    assert outcome.is_transient, outcome.error


@pytest.mark.slow
@pytest.mark.parametrize("how", ["table", "rows"])
def test_somebody_holds_a_lock(server: Server, tally: Tally, how: str) -> None:
    """As by another program that writes to the table, or alters it."""
    with drill(server, tally, customers=200) as series:
        new = series.prepare(Change.FEW)
        with server.blocked(how):
            judge_patience(series, new)
        series.recover("a lock", new)


@pytest.mark.slow
def test_another_run_hangs(server: Server, tally: Tally) -> None:
    """It has written everything, but its commit does not arrive; who reads goes on."""
    with drill(server, tally, customers=200) as series:
        commit = [step for step in series.steps(Change.ALL) if step.is_commit][-1]
        one, other = two_versions(series, Change.ALL)
        with (
            series.held(one, replace(commit, replied=False)),
            publisher(server, server.port, other, lock_seconds=1) as run,
        ):
            assert not run.is_done(0.9)
            assert not series.keeps_a_reader_waiting()
            assert run.is_done(15), "it waits for ever"
            outcome = run.outcome()
            series.proxy.break_off(reset=True)
        judge_error(outcome)
        assert outcome.is_transient, outcome.error
        series.recover("a run that hung", one)


@pytest.mark.slow
def test_a_column_is_added_during_a_read_without_end(server: Server, tally: Tally) -> None:
    """The run gives up; until then and afterwards others read."""
    with drill(server, tally, customers=200) as series:
        new = series.prepare(Change.WIDER)
        with server.blocked("long read"):
            judge_patience(series, new)
            assert not series.keeps_a_reader_waiting()
        series.recover("a long read", new)
    assert series.reader.longest_wait() < 2


@pytest.mark.parametrize("change", [Change.FEW, Change.ALL], ids=lambda change: change.name.lower())
def test_a_long_read_is_not_in_the_way(server: Server, tally: Tally, change: Change) -> None:
    """A report that runs for hours does not keep a run from publishing."""
    with drill(server, tally, customers=200) as series:
        new = series.prepare(change)
        with server.blocked("long read"), series.publishing(new) as run:
            outcome = run.outcome()
        assert outcome.published is not None, outcome.error
        assert sum(map(changed_rows, outcome.published.values()))
        series.recover("a long read", new)
