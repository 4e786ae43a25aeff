"""A table of snapshots: each run adds its own and replaces that alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from airflow_provider_customer360.publish import Load, Published, Removal, Snapshot, publish
from tests.publish.databases import Database, profiles

FIRST = datetime(2024, 5, 1, tzinfo=UTC)
TIME = pa.timestamp("us", "UTC")


def snapshot(
    day: int, *rows: tuple[str, int], keep: int | None = None, columns: Any = None, **more: Any
) -> Load:
    """The load of a day; ``keep`` is for how many days snapshots stay."""
    at = FIRST + timedelta(days=day)
    columns = columns or {"customer_id": pa.string(), "orders": pa.int64()}
    table = profiles([(at, *row) for row in rows], snapshot_at=TIME, **columns)
    oldest = None if keep is None else at - timedelta(days=keep)
    return Load(
        "history", table.to_batches(2), table.schema, ("snapshot_at", "customer_id"),
        snapshot=Snapshot("snapshot_at", at, oldest), **more,
    )  # fmt: skip


def history(db: Database, columns: str = "customer_id, orders") -> list[tuple[Any, ...]]:
    """All rows, oldest snapshot first."""
    return db.query(f"SELECT {columns} FROM history ORDER BY snapshot_at, customer_id")


def test_each_run_adds_a_snapshot(db: Database) -> None:
    """Rows of earlier snapshots stay, whoever is in the new one."""
    assert publish(db.hook, [snapshot(0, ("a", 1), ("b", 2))])["history"].created
    published = publish(db.hook, [snapshot(1, ("b", 3))])["history"]
    assert published == Published(1, 1, 0, 0, 0, created=False)
    assert history(db) == [("a", 1), ("b", 2), ("b", 3)]


def test_a_rerun_replaces_its_own_snapshot(db: Database) -> None:
    """Other days stay, those after it among them; an unchanged rerun writes nothing."""
    for day in range(3):
        publish(db.hook, [snapshot(day, ("a", day), ("b", day))])
    published = publish(db.hook, [snapshot(1, ("b", 7), ("c", 8))])["history"]
    assert published == Published(2, 1, 1, 1, 0, created=False)
    assert history(db) == [("a", 0), ("b", 0), ("b", 7), ("c", 8), ("a", 2), ("b", 2)]
    again = publish(db.hook, [snapshot(1, ("b", 7), ("c", 8))])["history"]
    assert again == Published(2, 0, 0, 0, 2, created=False)


def test_a_rerun_without_customers_empties_its_own_snapshot(db: Database) -> None:
    """The time of the snapshot is known even where it has no rows."""
    publish(db.hook, [snapshot(0, ("a", 1))])
    publish(db.hook, [snapshot(1, ("a", 2))])
    assert publish(db.hook, [snapshot(1)])["history"] == Published(0, 0, 0, 1, 0, created=False)
    assert history(db) == [("a", 1)]


def test_old_snapshots_go(db: Database) -> None:
    """What is older than the retention is removed; what is exactly as old stays."""
    for day in range(4):
        publish(db.hook, [snapshot(day, ("a", day))])
    published = publish(db.hook, [snapshot(4, ("a", 4), keep=2)])["history"]
    assert published == Published(1, 1, 0, 2, 0, created=False)
    assert history(db) == [("a", 2), ("a", 3), ("a", 4)]


def test_a_late_rerun_keeps_younger_snapshots(db: Database) -> None:
    """The retention counts from the snapshot that is written, never from the youngest."""
    for day in (0, 5):
        publish(db.hook, [snapshot(day, ("a", day))])
    publish(db.hook, [snapshot(1, ("a", 1), keep=2)])
    assert history(db) == [("a", 0), ("a", 1), ("a", 5)]


def test_new_and_gone_columns_leave_history_as_it_was(db: Database) -> None:
    """A new column is null in old snapshots, and one that is gone keeps its old values."""
    publish(db.hook, [snapshot(0, ("a", 1))])
    publish(db.hook, [snapshot(1, ("a", 5), columns={"customer_id": pa.string(), "visits": pa.int64()})])
    assert history(db, "customer_id, orders, visits") == [("a", 1, None), ("a", None, 5)]


def test_removals_reach_all_snapshots(db: Database) -> None:
    """Somebody who is to be forgotten vanishes from history too."""
    publish(db.hook, [snapshot(0, ("a", 1), ("b", 1))])
    publish(db.hook, [snapshot(1, ("a", 2), ("b", 2))])
    ids = profiles([("a",)], customer_id=pa.string())
    removal = Removal(("customer_id",), ids.to_batches(), ids.schema)
    published = publish(db.hook, [snapshot(1, ("b", 2), removals=(removal,))])["history"]
    assert published == Published(1, 0, 0, 2, 1, created=False)
    assert history(db) == [("b", 1), ("b", 2)]
