"""A publisher that is killed, at every step and at any moment."""

from __future__ import annotations

import random
import time

import pytest

from tests.faults.drill import drill
from tests.faults.publishers import publisher
from tests.faults.servers import Server
from tests.faults.tally import Tally
from tests.faults.versions import Change

#: Kills at random moments, for each server and each kind of change.
KILLS = 15


@pytest.mark.slow
@pytest.mark.parametrize("change", set(Change) - {Change.ALL}, ids=lambda change: change.name.lower())
def test_killed_at_every_step(server: Server, tally: Tally, change: Change) -> None:
    """After each reply, from the first to the last: before the next request nothing else has happened."""
    with drill(server, tally, customers=200) as series:
        steps = series.steps(change)
        assert any(step.is_commit for step in steps)
        for step in steps:
            new = series.prepare(change)
            with series.held(new, step) as run:
                run.kill()
                series.proxy.break_off(reset=False)
            series.tally.kills_by_step += 1
            series.recover(f"a kill of {change} at {step}", new)


@pytest.mark.slow
@pytest.mark.parametrize("change", Change, ids=lambda change: change.name.lower())
def test_killed_at_random_moments(server: Server, tally: Tally, change: Change) -> None:
    """Moments that are spread over a whole run, with a reader all the time."""
    moments = random.Random(360)
    with drill(server, tally, customers=4000, pause=0) as series:
        seconds = series.undisturbed(change)
        for number in range(KILLS):
            new = series.prepare(change)
            # One in each of so many equal parts of the time.
            delay = (number + moments.random()) / KILLS * seconds
            series.expect(new)
            with publisher(server, server.port, new) as run:
                time.sleep(delay)
                run.kill()
            series.tally.kills_at_random += 1
            series.recover(f"a kill of {change} after {delay:.3f} s", new)
    tally.longest_read[f"while {change}"] = series.reader.longest_wait()
