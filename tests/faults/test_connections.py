"""A connection that breaks, wherever it is: the run fails in a way that is worth a retry."""

from __future__ import annotations

import random

import pytest

from tests.faults.drill import Drill, drill
from tests.faults.proxy import Byte, Moment
from tests.faults.publishers import Outcome
from tests.faults.servers import Server
from tests.faults.tally import Tally
from tests.faults.versions import Change, Version

#: Connections broken after a random number of bytes, for each driver.
BROKEN_ANYWHERE = 20

every_driver = pytest.mark.parametrize("server", ["psycopg", "psycopg2"], indirect=True)


def judge(series: Drill, outcome: Outcome, what: str, new: Version) -> None:
    """A run that failed can be retried; one that did not has published."""
    series.check(outcome)
    series.tally.connections_broken += 1
    found = series.recover(f"{what}, {outcome.error or 'which it survived'}", new)
    assert outcome.is_transient or (outcome.published is not None and found is new), (what, outcome)


@pytest.mark.slow
@every_driver
def test_reset_at_every_step(server: Server, tally: Tally) -> None:
    """Before each request and after each reply, that to the commit among them."""
    with drill(server, tally, customers=200, pause=0.005) as series:
        for step in series.steps(Change.FEW):
            new = series.prepare(Change.FEW)
            with series.held(new, step) as run:
                series.proxy.break_off(reset=True)
                outcome = run.outcome()
            judge(series, outcome, f"a reset at {step}", new)


@pytest.mark.slow
@every_driver
def test_silent_after_any_byte(server: Server, tally: Tally) -> None:
    """In the middle of a statement or of a batch of rows, nothing moves for a while, then all is over."""
    moments = random.Random(360)
    with drill(server, tally, customers=200, pause=0.005) as series:
        series.steps(Change.ALL)
        size = series.proxy.sent
        for number in range(BROKEN_ANYWHERE):
            moment: Moment = Byte(int((number + moments.random()) / BROKEN_ANYWHERE * size * 0.99))
            new = series.prepare(Change.ALL)
            with series.held(new, moment) as run:
                assert not run.is_done(0.1)
                series.proxy.break_off(reset=number % 2 == 0)
                outcome = run.outcome()
            judge(series, outcome, f"silence after {moment}", new)


@pytest.mark.slow
@every_driver
def test_ended_by_the_server(server: Server, tally: Tally) -> None:
    """As by an administrator, or when the server is restarted."""
    with drill(server, tally, customers=200, pause=0.005) as series:
        for step in series.steps(Change.FEW)[::5]:
            new = series.prepare(Change.FEW)
            with series.held(new, step) as run:
                for session in series.server.publishers(series.watcher):
                    series.server.end(series.watcher, session)
                    series.tally.connections_broken += 1
                series.proxy.go_on()
                outcome = run.outcome()
            judge(series, outcome, f"an end at {step}", new)


@every_driver
@pytest.mark.parametrize("server_has_committed", [False, True], ids=["not committed", "committed"])
def test_nobody_knows_whether_it_was_committed(
    server: Server, tally: Tally, server_has_committed: bool
) -> None:
    """The reply to the commit is lost: the error does not say that nothing was written; a retry is right."""
    with drill(server, tally, customers=200) as series:
        commit = [step for step in series.steps(Change.FEW) if step.sql == "COMMIT"][server_has_committed]
        new = series.prepare(Change.FEW)
        with series.held(new, commit) as run:
            series.proxy.break_off(reset=True)
            outcome = run.outcome()
        found = series.recover(f"a reset at {commit}", new)
    assert (found is new) == server_has_committed
    assert outcome.is_transient
    assert "nothing was written" not in outcome.error
