"""Rows of the load are written, those of other keys stay, and what is to be removed goes."""

from __future__ import annotations

import pyarrow as pa

from airflow_provider_customer360.publish import Published, Removal, publish
from tests.publish.databases import Database, load, people, profiles


def ids(*values: str) -> Removal:
    """Removes the rows of these customers."""
    table = profiles([(value,) for value in values], customer_id=pa.string())
    return Removal(("customer_id",), table.to_batches(), table.schema)


def test_rows_of_other_keys_stay(db: Database) -> None:
    """Known customers are updated, new ones inserted, all others left alone."""
    db.publish(people(("a", "a@x.org", 1), ("b", "b@x.org", 2), ("c", "c@x.org", 3)))
    rows = people(("b", "new@x.org", 2), ("c", "c@x.org", 3), ("d", "d@x.org", 4))
    published = publish(db.hook, [load(rows, mode="upsert")])["customers"]
    assert published == Published(3, 1, 1, 0, 1, created=False)
    assert db.rows() == [
        ("a", "a@x.org", 1), ("b", "new@x.org", 2), ("c", "c@x.org", 3), ("d", "d@x.org", 4),
    ]  # fmt: skip


def test_upserting_again_changes_nothing(db: Database) -> None:
    """A rerun writes no row."""
    rows = people(("b", "b@x.org", 2))
    publish(db.hook, [load(rows, mode="upsert")])
    again = publish(db.hook, [load(rows, mode="upsert")])["customers"]
    assert again == Published(1, 0, 0, 0, 1, created=False)


def test_what_is_to_be_removed_goes_unless_it_comes(db: Database) -> None:
    """An id that was merged away goes; one that the load brings back stays; unknown ones do not matter."""
    db.publish(people(("a", "a@x.org", 1), ("b", "b@x.org", 2), ("c", "c@x.org", 3)))
    rows = people(("b", "b@x.org", 5))
    published = publish(db.hook, [load(rows, mode="upsert", removals=(ids("a", "b", "z"),))])["customers"]
    assert published == Published(1, 0, 1, 1, 0, created=False)
    assert db.rows() == [("b", "b@x.org", 5), ("c", "c@x.org", 3)]


def test_an_empty_load_still_removes(db: Database) -> None:
    """Nothing new to write is no reason to keep what has to go."""
    db.publish(people(("a", "a@x.org", 1), ("b", "b@x.org", 2)))
    published = publish(db.hook, [load(people(), mode="upsert", removals=(ids("a"),))])["customers"]
    assert published == Published(0, 0, 0, 1, 0, created=False)
    assert db.rows() == [("b", "b@x.org", 2)]


def test_columns_that_a_partial_run_lacks(db: Database) -> None:
    """They become null in the rows that are written and stay in those that are not."""
    db.publish(people(("a", "a@x.org", 1), ("b", "b@x.org", 2)))
    rows = profiles([("b", 7)], customer_id=pa.string(), visits=pa.int64())
    publish(db.hook, [load(rows, mode="upsert")])
    assert db.rows("customer_id, email, orders, visits") == [("a", "a@x.org", 1, None), ("b", None, None, 7)]


def test_removing_by_any_columns(db: Database) -> None:
    """Rows of a log go by whichever column names somebody; a table without such a column has none."""
    columns = {"event_id": pa.string(), "customer_id": pa.string(), "other": pa.string()}
    before = profiles([("1", "a", None), ("2", "b", "a"), ("3", "b", "c"), ("4", None, None)], **columns)
    publish(db.hook, [load(before, "events", "event_id", mode="append")])
    forgotten = profiles([("a",)], customer_id=pa.string())
    removals = tuple(
        Removal((name,), forgotten.to_batches(), forgotten.schema)
        for name in ("customer_id", "other", "none")
    )
    after = profiles([("5", "c", None)], **columns)
    published = publish(db.hook, [load(after, "events", "event_id", mode="append", removals=removals)])
    assert published["events"] == Published(1, 1, 0, 2, 0, created=False)
    assert [row[0] for row in db.rows(table="events")] == ["3", "4", "5"]


def test_removing_by_two_columns(db: Database) -> None:
    """A row goes only if it has both values."""
    columns = {"event_id": pa.string(), "kind": pa.string(), "value": pa.string()}
    before = profiles([("1", "email", "x"), ("2", "phone", "x"), ("3", "email", "y")], **columns)
    publish(db.hook, [load(before, "events", "event_id", mode="append")])
    pairs = profiles([("email", "x"), ("phone", "y")], kind=pa.string(), value=pa.string())
    removal = Removal(("kind", "value"), pairs.to_batches(), pairs.schema)
    nothing = profiles([], **columns)
    publish(db.hook, [load(nothing, "events", "event_id", mode="append", removals=(removal,))])
    assert [row[0] for row in db.rows(table="events")] == ["2", "3"]
