"""What is about to be published, looked at before anything is changed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from airflow_provider_customer360.audit.checks import Checks
from airflow_provider_customer360.audit.measures import Audited
from airflow_provider_customer360.audit.override import Override
from airflow_provider_customer360.audit.verdict import Audit
from airflow_provider_customer360.publish import Removal, Snapshot, publish, transaction
from airflow_provider_customer360.unify.errors import CheckFailed, PublishError
from tests.publish.databases import Database, events, load, people, profiles

Look = Callable[[Audited], None]


def looked(*queries: str) -> tuple[list[Any], Look]:
    """An audit that keeps the columns and what queries gave."""
    seen: list[Any] = []

    def audit(audited: Audited) -> None:
        seen.extend([audited.columns, audited.live_columns, *map(audited.rows, queries)])

    return seen, audit


BOTH = (
    'SELECT "customer_id", "orders" FROM profiles ORDER BY "customer_id"',
    'SELECT "customer_id", "orders" FROM live ORDER BY "customer_id"',
)


@pytest.mark.parametrize("table", ["customers", "profiles", "live", 'a "profiles"'])
def test_both_sides_are_seen(db: Database, table: str) -> None:
    """Whatever the target is called; on the first run there is no table, and ``live`` has no rows."""
    quoted = '"' + table.replace('"', '""') + '"'
    seen, audit = looked(*BOTH)
    db.publish(people(("c1", None, 1), ("c2", None, 2)), quoted, audit=audit)
    columns = ("customer_id", "email", "orders")
    assert seen == [columns, None, [("c1", 1), ("c2", 2)], []]
    seen, audit = looked(*BOTH)
    db.publish(people(("c2", None, 3)), quoted, audit=audit)
    assert seen == [columns, columns, [("c2", 3)], [("c1", 1), ("c2", 2)]]


def test_columns_are_those_that_publishing_writes(db: Database) -> None:
    """New ones are not live yet, old ones still are, generated ones are the database's own."""
    generated = "GENERATED ALWAYS AS (orders + 1)" + (" STORED" if db.is_postgres else "")
    db.execute(
        f"CREATE TABLE customers (customer_id text, orders bigint, old text, computed bigint {generated})",
    )
    seen, audit = looked("SELECT count(*) FROM live")
    db.publish(people(("c1", "e", 1)), audit=audit)
    columns, live, [(rows,)] = seen[:3]
    assert columns == ("customer_id", "email", "orders")
    assert (set(live), rows) == ({"customer_id", "orders", "old"}, 0)


def test_profiles_of_an_upsert(db: Database) -> None:
    """They are those of the table afterwards: of the rows that stay none is missing and none is too many."""
    db.publish(people(("a", "x", 1), ("b", None, 2), ("c", None, 3)))
    merged = profiles([("b",)], customer_id=pa.string())
    checks = Checks.of({"min_customers": 3, "max_customers_fall": 0, "not_null": ["customer_id"]})
    audit = Audit(checks, Override(), logging.getLogger("audit"))
    seen, look = looked(*BOTH)

    def both(audited: Audited) -> None:
        look(audited)
        audit(audited)

    rows = people(("a", "y", 5), ("d", "z", 4))
    removals = (Removal(("customer_id",), merged.to_batches(), merged.schema),)
    publish(db.hook, [load(rows, mode="upsert", removals=removals, audit=both)])
    assert seen[2:] == [[("a", 5), ("c", 3), ("d", 4)], [("a", 1), ("b", 2), ("c", 3)]]
    assert db.rows("customer_id, orders") == seen[2]
    assert [(one.live, one.new, one.result) for one in audit.findings] == [
        (3, 3, "passed"),
        (3, 3, "passed"),
        (0, 0, "passed"),
    ]


def test_profiles_of_a_snapshot(db: Database) -> None:
    """They are compared with the snapshot before, in a rerun too, and the first one with none."""

    def snapshot(day: int, customers: int, fall: float) -> list[tuple[Any, ...]]:
        at = datetime(2024, 5, day, tzinfo=UTC)
        kinds = {"snapshot_at": pa.timestamp("us", "UTC"), "customer_id": pa.string()}
        rows = profiles([(at, f"c{number}") for number in range(customers)], **kinds)
        audit = Audit(Checks.of({"max_customers_fall": fall}), Override(), logging.getLogger("audit"))
        of_day = Snapshot("snapshot_at", at, at - timedelta(days=2))
        publish(db.hook, [load(rows, "history", *kinds, snapshot=of_day, audit=audit)])
        return [(one.new, one.result, one.text if one.live is None else one.live) for one in audit.findings]

    assert snapshot(1, 3, 0) == [(3, "not compared", "there is no table yet")]
    assert snapshot(2, 4, 0) == [(4, "passed", 3)]
    assert snapshot(3, 2, 0.5) == [(2, "passed", 4)]
    assert snapshot(3, 3, 0.25) == [(3, "passed", 4)]
    assert snapshot(1, 1, 0) == [(1, "not compared", "there is no earlier snapshot")]


def test_what_others_published_meanwhile_is_audited_too(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a table is altered before the transaction, another run may come between; new columns are none
    that the table had.
    """
    if db.is_generic or not (db.is_postgres or db.is_mysql):
        pytest.skip("altering the table is a part of the transaction, or the turn is held all the time")
    db.publish(people(("c1", "e", 1)))
    alter = transaction._alter

    def interfered(*arguments: Any) -> None:
        alter(*arguments)
        db.execute("INSERT INTO customers (customer_id, orders) VALUES ('c2', 1), ('c3', 1), ('c4', 1)")

    monkeypatch.setattr(transaction, "_alter", interfered)
    wider = profiles(
        [("c1", "e", 1, 5)], customer_id=pa.string(), email=pa.string(), orders=pa.int64(), visits=pa.int64()
    )
    checks = {"max_customers_fall": 0.5, "max_fill_rate_change": 0}
    audit = Audit(Checks.of(checks), Override(), logging.getLogger("audit"))
    with pytest.raises(CheckFailed, match="max_customers_fall") as failed:
        db.publish(wider, audit=audit)
    assert "visits" not in str(failed.value)
    assert len(db.rows()) == 4


def test_what_the_audit_raises_cancels_everything(db: Database) -> None:
    """The other tables too, and also where there was no table yet."""

    def refuse(audited: Audited) -> None:
        raise CheckFailed("no")

    loads = [load(people(("c1", None, 1)), audit=refuse), events(("1", "made"))]
    with pytest.raises(CheckFailed):
        publish(db.hook, loads)
    assert db.tables() == set()
    publish(db.hook, [load(people(("c1", None, 1))), events(("1", "made"))])
    before = db.everything()
    with pytest.raises(CheckFailed):
        publish(db.hook, [load(people(("c2", None, 2)), audit=refuse), events(("2", "more"))])
    assert db.everything() == before


def test_each_load_is_audited_by_itself(db: Database) -> None:
    """An audit sees the rows and the table of its own load, whatever the tables are called."""
    seen, audit = looked("SELECT count(*) FROM profiles")
    publish(db.hook, [load(people(("c1", None, 1)), audit=audit), load(people(), "a")])
    assert seen[2] == [(1,)]


def test_a_query_is_taken_as_it_is(db: Database) -> None:
    """Nothing in it is a parameter; what the database says of a wrong one is kept inside."""
    seen, audit = looked("SELECT '%s %% :x ? {0}' FROM profiles")
    db.publish(people(("c1", None, 1)), audit=audit)
    assert seen[2] == [("%s %% :x ? {0}",)]
    _, audit = looked("SELECT 'planted' FRM profiles")
    with pytest.raises(PublishError) as failed:
        db.publish(people(("c1", None, 1)), audit=audit)
    assert "planted" not in str(failed.value)


def test_checks_count_what_will_be_in_the_table(db: Database) -> None:
    """True and false in each database's own way; NaN becomes NULL, so it is no value."""
    kinds = {
        "customer_id": pa.string(),
        "is_active": pa.bool_(),
        "data_sources": pa.int64(),
        "total_records": pa.int64(),
        "amount": pa.float64(),
    }
    live = [
        ("c1", True, 2, 5, 1.5),
        ("c2", True, 1, 1, 2.5),
        ("c3", False, 2, 1, 0.0),
        ("c4", None, 1, 1, 0.0),
    ]
    new = [("c1", True, 1, 7, float("nan")), ("c2", False, 1, 1, None), ("c3", False, 2, 1, 0.5)]
    db.publish(profiles(live, **kinds))
    stated = {
        "max_customers_fall": 0.25,
        "max_active_fall": 0.5,
        "max_match_rate_change": 0.2,
        "max_fill_rate_change": {"amount": 0.7, "is_active": 0.25},
        "max_customer_records": 7,
    }
    audit = Audit(Checks.of(stated), Override(), logging.getLogger("audit"))
    db.publish(profiles(new, **kinds), audit=audit)
    assert [(one.live, one.new, one.result) for one in audit.findings] == [
        (4, 3, "passed"),
        (2, 1, "passed"),
        (pytest.approx(1 / 2), pytest.approx(1 / 3), "passed"),
        (1, pytest.approx(1 / 3), "passed"),
        (pytest.approx(3 / 4), 1, "passed"),
        (5, 7, "passed"),
    ]
    strict = Audit(Checks.of({"not_null": ["amount"]}), Override(), logging.getLogger("audit"))
    with pytest.raises(CheckFailed, match=r"not_null.amount: 2 customers without a value \(live: 2\)"):
        db.publish(profiles(new, **kinds), audit=strict)
