"""A log gains what it lacks; what is in it stays."""

from __future__ import annotations

import pyarrow as pa
import pytest

from airflow_provider_customer360.publish import Published, publish
from tests.publish.databases import Database, events, load, profiles


def test_only_what_is_missing_is_added(db: Database) -> None:
    """Known keys are left as they are even where the rest differs; rows that are not given stay."""
    assert publish(db.hook, [events(("1", "made"), ("2", "merged"))])["events"].created
    published = publish(db.hook, [events(("2", "other"), ("3", "split"))])["events"]
    assert published == Published(2, 1, 0, 0, 1, created=False)
    assert db.everything() == {"events": [("1", "made"), ("2", "merged"), ("3", "split")]}


def test_appending_again_adds_nothing(db: Database) -> None:
    """A rerun brings the same events; rows of somebody else's stay, even those that no run would write."""
    db.execute(
        "CREATE TABLE events (event_id text, what text)",
        "INSERT INTO events VALUES ('1', 'by hand'), ('1', 'by hand'), (NULL, 'by hand')",
    )
    publish(db.hook, [events(("1", "made"), ("2", "merged"))])
    before = db.everything()
    assert len(before["events"]) == 4
    again = publish(db.hook, [events(("1", "made"), ("2", "merged"))])["events"]
    assert again == Published(2, 0, 0, 0, 2, created=False)
    assert db.everything() == before


def test_appending_nothing(db: Database) -> None:
    """A run without events makes the table, and empties none."""
    assert publish(db.hook, [events()])["events"] == Published(0, 0, 0, 0, 0, created=True)
    publish(db.hook, [events(("1", "made"))])
    assert publish(db.hook, [events()])["events"] == Published(0, 0, 0, 0, 0, created=False)
    assert db.everything() == {"events": [("1", "made")]}


def test_a_log_may_change_its_columns(db: Database) -> None:
    """A new column is added, a type becomes wider; what is no longer given stays where it was."""
    first = profiles([("1", 5, "old")], event_id=pa.string(), size=pa.int64(), what=pa.string())
    publish(db.hook, [load(first, "events", "event_id", mode="append")])
    if not db.widens:
        pytest.skip("Firebird does not make every type wider")
    second = profiles([("2", "many", "x")], event_id=pa.string(), size=pa.string(), who=pa.string())
    assert publish(db.hook, [load(second, "events", "event_id", mode="append")])["events"].rows_inserted == 1
    rows = db.rows("event_id, size, what, who", "events")
    assert rows == [("1", "5", "old", None), ("2", "many", None, "x")]
