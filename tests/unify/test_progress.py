"""What is told of a run while it goes on: seldom, without values, and nothing once it is over."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pyarrow as pa
import pytest

from airflow_provider_customer360.unify import progress, unify
from airflow_provider_customer360.unify.engine import Engine

ZOE = "zoe@secret.example"


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """The log at the level at which Airflow keeps it."""
    with caplog.at_level(logging.INFO):
        yield caplog


def people(batches: int, pause: float = 0.0) -> Iterator[pa.Table]:
    """A source in batches of three rows that takes its time."""
    for _ in range(batches):
        time.sleep(pause)
        yield pa.table({"email": [ZOE, "bob@secret.example", None], "points": [1, 2, 3]})


def teller() -> bool:
    """Whether the thread that tells is alive."""
    return any(thread.name == "progress" for thread in threading.enumerate())


def test_short_work_says_no_more_than_how_long_it_took(told: pytest.LogCaptureFixture) -> None:
    """One line a stage, with its rows."""
    with unify({"crm": people(2)}):
        pass
    assert re.search(r"Read sources took \d+\.\d s, 6 rows", told.text)
    assert re.search(r"Resolve identities took \d+\.\d s, 2 rows", told.text)
    assert re.search(r"Build profiles took \d+\.\d s, 2 rows", told.text)
    assert "so far" not in told.text
    assert not teller()


def test_a_long_read_tells_rows_and_rate(
    told: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the source that is being read, as its batches come."""
    monkeypatch.setattr(progress, "INTERVAL", 0.05)
    with unify({"crm": people(20, pause=0.02)}):
        pass
    assert re.search(r"Read sources: \d+ s so far, reading crm, \d+ rows, \d+ a second", told.text)
    assert "secret" not in told.text


def test_a_long_statement_tells_its_percentage(
    told: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what it is for."""
    monkeypatch.setattr(progress, "INTERVAL", 0.05)
    with Engine() as engine, engine.progress.stage("Count"):
        engine.run("CREATE TABLE t AS SELECT range AS i FROM range(100000)")
        deadline = time.monotonic() + 60
        while not re.search(r"Count: \d+ s so far, counting, \d+ % of this step", told.text):
            assert time.monotonic() < deadline
            engine.run(f"SELECT sum(length(sha256(i || '{ZOE}'))) FROM t", doing="counting")
    assert "secret" not in told.text


def test_the_thread_ends_with_a_stage_that_fails(told: pytest.LogCaptureFixture) -> None:
    """And the stage is measured all the same."""
    with Engine() as engine, suppress(KeyError), engine.progress.stage("Fail"):
        assert teller()
        raise KeyError
    assert not teller()
    assert "Fail took" in told.text


def test_the_summary_has_seconds_and_rows_of_each_stage() -> None:
    """Detection gives no rows."""
    with unify({"crm": people(2)}) as unified, unified.stage("Publish") as stage:
        summary = unified.summary
    assert list(summary["duration_seconds"]) == ["read", "detect", "resolve", "aggregate"]
    assert all(seconds >= 0 for seconds in summary["duration_seconds"].values())
    assert summary["stage_rows"] == {"read": 6, "resolve": 2, "aggregate": 2}
    assert stage.seconds >= 0
