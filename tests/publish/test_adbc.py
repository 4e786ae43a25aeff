"""What is particular about ADBC: databases that nobody looked at, and what drivers do not do or say."""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from airflow_provider_customer360.publish import (
    Published,
    TransientPublishError,
    adbc_session,
    dialects,
    table_exists,
)
from airflow_provider_customer360.publish.adbc_session import AdbcPostgresSession, AdbcSession
from airflow_provider_customer360.publish.dialects import GENERIC
from airflow_provider_customer360.unify.errors import PublishError
from tests.publish.children import child_publishing
from tests.publish.conftest import prepared
from tests.publish.databases import Database, people, profiles
from tests.publish.test_failures import NEW, OLD, SECRET, everything_said_by

KEY = {"customer_id": pa.string()}


@pytest.fixture
def unknown(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A database that the package knows nothing of but that it speaks SQL."""
    monkeypatch.setattr(adbc_session, "_VENDORS", {})
    return prepared("adbc-postgres", request, tmp_path, monkeypatch)


def named(
    name: str, request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Database:
    """One of the ADBC databases."""
    return prepared(f"adbc-{name}", request, folder, monkeypatch)


def test_any_database_is_published_to(unknown: Database) -> None:
    """Rows are inserted, updated and deleted, and a rerun changes nothing."""
    assert unknown.publish(people(("a", None, 1), ("b", "b@x.org", 2))).created
    new = people(("b", "new@x.org", 2), ("c", "", None))
    assert unknown.publish(new) == Published(2, 1, 1, 1, 0, created=False)
    assert unknown.publish(new).rows_unchanged == 2
    assert unknown.rows() == [("b", "new@x.org", 2), ("c", "", None)]


def test_values_in_any_database(unknown: Database) -> None:
    """Each kind of value comes out as it went in."""
    columns = {
        "number": pa.int64(), "share": pa.float64(), "active": pa.bool_(), "day": pa.date32(),
        "at": pa.timestamp("us"), "instant": pa.timestamp("us", "UTC"),
    }  # fmt: skip
    at = datetime(2024, 3, 31, 2, 30, 0, 1)  # noqa: DTZ001
    row = ("a", 2**63 - 1, 0.1, True, date(1, 1, 1), at, at.replace(tzinfo=UTC))
    rows = profiles([row, ("b", *[None] * 6)], **KEY, **columns)
    unknown.publish(rows)
    assert unknown.publish(rows).rows_unchanged == 2
    assert unknown.rows() == [row, ("b", *[None] * 6)]


def test_tables_of_any_database_change(unknown: Database) -> None:
    """A new column is added, a type becomes wider, and a column that is gone is emptied."""
    unknown.publish(profiles([("a", 1, "x")], **KEY, n=pa.int64(), old=pa.string()))
    rows = profiles([("a", 1.5, True)], **KEY, n=pa.float64(), new=pa.bool_())
    assert unknown.publish(rows).rows_updated == 1
    assert unknown.publish(rows).rows_unchanged == 1
    assert unknown.rows("customer_id, n, old, new") == [("a", 1.5, None, True)]


def test_what_is_no_table_of_any_database(unknown: Database) -> None:
    """A view is refused, a missing table is missing, and so is one of another schema."""
    unknown.execute("CREATE VIEW customers AS SELECT 'a' AS customer_id", "CREATE SCHEMA IF NOT EXISTS crm")
    unknown.execute("CREATE TABLE crm.other (customer_id varchar)")
    with pytest.raises(PublishError, match="customers is not a table"):
        unknown.publish(people())
    assert table_exists(unknown.hook, "crm.other")
    assert not table_exists(unknown.hook, "other")
    assert not table_exists(unknown.hook, "crm.customers")


@pytest.mark.parametrize("name", ['a"b', "%", "a_b", "it's", "back\\slash", "Größe", "; DROP TABLE x"])
def test_names_in_any_database(unknown: Database, name: str) -> None:
    """A name is no pattern and ends no text: it is found again, and only it."""
    table = '"' + name.replace('"', '""') + '"'
    unknown.publish(people(("a", None, 1)), '"aXb"')
    assert not table_exists(unknown.hook, table)
    assert unknown.publish(people(("a", None, 1)), table).created
    assert unknown.publish(people(("a", None, 1)), table).rows_unchanged == 1


def test_keys_in_any_database(unknown: Database) -> None:
    """None is null, and none comes twice."""
    with pytest.raises(PublishError, match="have the same key"):
        unknown.publish(people(("a", None, 1), ("a", None, 2)))
    with pytest.raises(PublishError, match="Publishing to customers failed"):
        unknown.publish(profiles([(None, 1)], **KEY, orders=pa.int64()))
    assert not table_exists(unknown.hook, "customers")


def test_types_that_do_not_hold_the_values_in_any_database(unknown: Database) -> None:
    """A narrow column is refused by name and type, before anything is read."""
    unknown.execute("CREATE TABLE customers (customer_id varchar, orders integer)")
    with pytest.raises(PublishError, match=r"'orders' is int32, the new rows need BIGINT"):
        unknown.publish(people(("a", None, 1)).drop_columns("email"))


class Unable:
    """A connection whose driver can do little."""

    class NotSupportedError(Exception):
        """As every DBAPI connection has it."""

    def __init__(self, *, transactions: bool) -> None:
        self.ingested: list[dict[str, Any]] = []
        self.adbc_connection = self
        self._transactions = transactions

    def set_autocommit(self, enabled: bool) -> None:
        if not self._transactions:
            raise self.NotSupportedError

    def cursor(self) -> Any:
        return closing(self)

    def close(self) -> None: ...

    def adbc_ingest(self, table: str, batch: pa.RecordBatch, **options: Any) -> None:
        if options.get("temporary"):
            raise self.NotSupportedError
        self.ingested.append({"table": table, "columns": batch.schema.names, **options})


def test_temporary_tables_that_lose_rows(unknown: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that empties them when it commits would have all customers removed."""
    unknown.publish(OLD)
    create = replace(GENERIC, temporary=f"{GENERIC.temporary} ON COMMIT DELETE ROWS")
    monkeypatch.setattr(adbc_session, "GENERIC", create)
    with pytest.raises(PublishError, match="lost rows of a temporary table; nothing was written"):
        unknown.publish(NEW)
    assert len(unknown.rows()) == 2


def test_a_driver_without_transactions_is_refused() -> None:
    """Readers would see half a table, and a failure would leave it."""
    with pytest.raises(PublishError, match=r"driver for BigTable has no transactions.*target_conn_id"):
        AdbcSession(Unable(transactions=False), "BigTable")


def test_a_driver_that_knows_no_temporary_tables() -> None:
    """The temporary table is there by SQL, and its name leads to it."""
    connection = Unable(transactions=True)
    AdbcSession(connection, "Snowflake").load('"staging"', iter(people(("a", None, 1)).to_batches()))
    columns = ["c0", "c1", "c2"]
    assert connection.ingested == [{"table": "staging", "columns": columns, "mode": "append"}]


def test_a_driver_that_writes_other_decimals_is_refused(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Postgres's driver before 1.11 loses the decimal point; no amount is published through it."""
    db = named("postgres", request, tmp_path, monkeypatch)
    ingest = AdbcPostgresSession._ingest

    def shifted(session: Any, table: str, batch: pa.RecordBatch, mode: str = "append") -> None:
        column = pa.array([Decimal(100_000_000_150)], pa.decimal128(38, 2))
        changed = table == "customer360_decimal"
        ingest(session, table, pa.record_batch({"c0": column}) if changed else batch, mode)

    amounts = profiles([("a", Decimal("1.50"))], **KEY, total=pa.decimal128(38, 2))
    assert db.publish(amounts, "before").created
    monkeypatch.setattr(AdbcPostgresSession, "_ingest", shifted)
    with pytest.raises(PublishError, match=r"adbc-driver-postgresql 1\.11"):
        db.publish(amounts)
    assert db.tables() == {"before"}
    assert db.publish(people(("a", None, 1))).created


def test_a_process_has_one_duckdb_at_a_time(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver opens the file anew for each connection: the second run has to wait."""
    db = named("duckdb", request, tmp_path, monkeypatch)
    results: list[Published] = []
    second = threading.Thread(target=lambda: results.append(db.publish(NEW)))

    def start_second() -> None:
        second.start()
        second.join(0.5)
        assert not results

    db.publish(OLD, before_commit=start_second)
    second.join(30)
    assert results == [Published(2, 1, 1, 1, 0, created=False)]
    assert db.rows() == [("b", "new@x.org", 2), ("c", "c@x.org", 3)]


def test_who_waits_for_duckdb_does_not_wait_for_ever(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that is open in the same process is worth a retry."""
    db = named("duckdb", request, tmp_path, monkeypatch)
    monkeypatch.setattr(dialects, "LOCK_SECONDS", 0.1)

    def publish_again() -> None:
        with pytest.raises(TransientPublishError, match="run the task again"):
            db.publish(NEW)

    db.publish(OLD, before_commit=publish_again)
    assert db.publish(OLD).rows_unchanged == 2


@pytest.mark.parametrize("name", ["duckdb", "sqlite"])
def test_a_file_in_use_is_worth_a_retry(
    name: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may have the file for longer than one waits; drivers say so in words alone."""
    db = named(name, request, tmp_path, monkeypatch)
    db.publish(OLD)
    monkeypatch.setattr(dialects, "LOCK_SECONDS", 1.0)
    busy = {"duckdb": "IOException", "sqlite": "SQLITE_BUSY"}[name]
    with child_publishing(db, "merged"), pytest.raises(TransientPublishError, match=busy):
        db.publish(NEW)
    assert db.publish(NEW) == Published(2, 1, 1, 1, 0, created=False)


@pytest.mark.parametrize(
    ("name", "code"),
    [("duckdb", "ConstraintException"), ("sqlite", "SQLITE_CONSTRAINT"), ("postgres", "23505")],
)
def test_errors_have_names(
    name: str, code: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each driver tells what a constraint is in another way; the message is the same and quotes nobody."""
    db = named(name, request, tmp_path, monkeypatch)
    db.publish(OLD)
    db.execute("CREATE UNIQUE INDEX one_email ON customers (email)")
    with pytest.raises(PublishError, match=rf"\({code}\).*A constraint that somebody put") as caught:
        db.publish(people(("a", SECRET, 1), ("b", SECRET, 2)))
    assert not isinstance(caught.value, TransientPublishError)
    assert SECRET not in everything_said_by(caught.value)
