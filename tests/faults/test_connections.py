"""A connection that breaks, wherever it is: the run fails in a way that is worth a retry."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.faults.conftest import DRIVERS, USUAL
from tests.faults.drill import Drill, drill, judge_error
from tests.faults.proxy import Byte, Moment
from tests.faults.publishers import Outcome
from tests.faults.servers import Server
from tests.faults.tally import Tally
from tests.faults.versions import Change, Version

#: Connections broken after a random number of bytes, for each driver.
BROKEN_ANYWHERE = 20

every_driver = pytest.mark.parametrize("server", DRIVERS, indirect=True)


def complaints(series: Drill, outcome: Outcome, what: str, new: Version) -> list[str]:
    """What is wrong, if anything: a run that failed can be retried; one that did not has published."""
    judge_error(outcome)
    series.tally.connections_broken += 1
    found = series.recover(f"{what}, {outcome.error or 'which it survived'}", new)
    is_right = outcome.is_transient if outcome.published is None else found is new
    return [] if is_right else [f"{what}: {outcome.error or 'nothing was published'}"]


@pytest.mark.slow
@every_driver
def test_reset_at_every_step(server: Server, tally: Tally) -> None:
    """After each reply, that to the commit among them; for drivers that are less usual, after every third."""
    wrong = []
    with drill(server, tally, customers=200) as series:
        for step in series.steps(Change.FEW)[:: 1 if server.driver in USUAL else 3]:
            new = series.prepare(Change.FEW)
            with series.held(new, step) as run:
                series.proxy.break_off(reset=True)
                outcome = run.outcome()
            wrong += complaints(series, outcome, f"a reset at {step}", new)
    assert not wrong


@pytest.mark.slow
@every_driver
def test_silent_after_any_byte(server: Server, tally: Tally) -> None:
    """In the middle of a statement or of a batch of rows, nothing moves for a while, then all is over."""
    moments, wrong = random.Random(360), []
    with drill(server, tally, customers=200) as series:
        series.undisturbed(Change.ALL)
        size = series.proxy.sent
        for number in range(BROKEN_ANYWHERE):
            moment: Moment = Byte(int((number + moments.random()) / BROKEN_ANYWHERE * size * 0.99))
            new = series.prepare(Change.ALL)
            with series.held(new, moment) as run:
                assert not run.is_done(0.1)
                series.proxy.break_off(reset=number % 2 == 0)
                outcome = run.outcome()
            wrong += complaints(series, outcome, f"silence after {moment}", new)
    assert not wrong


@pytest.mark.slow
@every_driver
def test_ended_by_the_server(server: Server, tally: Tally) -> None:
    """As by an administrator, or when the server is restarted."""
    wrong = []
    with drill(server, tally, customers=200) as series:
        for step in series.steps(Change.FEW)[::4]:
            new = series.prepare(Change.FEW)
            with series.held(new, step) as run:
                for session in server.publishers(series.watcher):
                    server.end(series.watcher, session)
                series.proxy.go_on()
                outcome = run.outcome()
            wrong += complaints(series, outcome, f"an end at {step}", new)
    assert not wrong


@every_driver
@pytest.mark.parametrize("server_has_committed", [False, True], ids=["not committed", "committed"])
def test_nobody_knows_whether_it_was_committed(
    server: Server, tally: Tally, server_has_committed: bool
) -> None:
    """The reply to the commit is lost: the error does not say that nothing was written."""
    with drill(server, tally, customers=200) as series:
        commit = [step for step in series.steps(Change.FEW) if step.is_commit][-1]
        commit = replace(commit, replied=server_has_committed)
        new = series.prepare(Change.FEW)
        with series.held(new, commit) as run:
            series.proxy.break_off(reset=True)
            outcome = run.outcome()
        found = series.recover(f"a reset at {commit}", new)
    assert (found is new) == server_has_committed
    assert outcome.is_transient
    assert "nothing was written" not in outcome.error
