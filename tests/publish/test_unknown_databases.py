"""What is particular about databases that the package does not know."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from airflow_provider_customer360.publish import (
    TransientPublishError,
    dialects,
    fingerprint,
    publish,
    sqlalchemy_session,
)
from airflow_provider_customer360.publish.columns import Kind
from airflow_provider_customer360.publish.kept import Keeping, Kept, keeping
from airflow_provider_customer360.publish.sqlalchemy_session import SqlalchemySession
from airflow_provider_customer360.unify.errors import ConfigError, PublishError
from tests.publish.conftest import prepared
from tests.publish.databases import Database, identities, load, people, profiles
from tests.publish.test_failures import NEW, OLD, SECRET, everything_said_by, wait_until

KEY = {"customer_id": pa.string()}


@pytest.fixture(params=["generic-postgres", "firebird"])
def unknown(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Each database that the package has no path of its own for."""
    return prepared(request.param, request, tmp_path, monkeypatch)


@pytest.fixture
def firebird_db(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Firebird alone."""
    return prepared("firebird", request, tmp_path, monkeypatch)


@pytest.fixture
def postgres_db(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Postgres alone."""
    return prepared("generic-postgres", request, tmp_path, monkeypatch)


def test_what_a_database_would_cut_off_is_text(firebird_db: Database) -> None:
    """Its times end with four digits and know no zones, its decimals have 18 digits: texts have it all."""
    at = datetime(2024, 5, 1, 10, 30, 0, 123456)  # noqa: DTZ001
    columns = {"at": pa.timestamp("us"), "instant": pa.timestamp("us", "UTC"), "total": pa.decimal128(38, 2)}
    row = (at, at.replace(tzinfo=UTC), Decimal("12345678901234567890.50"))
    firebird_db.publish(profiles([("a", *row)], **KEY, **columns))
    assert firebird_db.rows("at, instant, total") == [
        ("2024-05-01 10:30:00.123456", "2024-05-01 10:30:00.123456+00:00", "12345678901234567890.5")
    ]


def test_a_decimal_as_text_has_one_form(firebird_db: Database) -> None:
    """Another number of digits behind the point is no change."""
    firebird_db.publish(
        profiles([("a", Decimal("1.50")), ("b", Decimal(100))], **KEY, n=pa.decimal128(38, 2))
    )
    again = profiles([("a", Decimal("1.5000")), ("b", Decimal(100))], **KEY, n=pa.decimal128(38, 4))
    assert firebird_db.publish(again).rows_unchanged == 2


def test_small_decimals_are_numbers(unknown: Database) -> None:
    """Where the database has the digits, it can add."""
    amounts = profiles([("a", Decimal("9.50")), ("b", Decimal("100.25"))], **KEY, n=pa.decimal128(12, 2))
    unknown.publish(amounts)
    assert unknown.query("SELECT sum(n) FROM customers WHERE n > 9") == [(Decimal("109.75"),)]


def test_values_that_come_back_as_others_are_refused(
    firebird_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was asked of the database before, what it holds is read before it is published."""

    def trusting(connection: sa.Connection) -> Keeping:
        known = keeping(connection)
        time = Kept(sa.DateTime(), lambda column: list(column.to_pylist()))
        return replace(known, kinds={**known.kinds, Kind.TIMESTAMP: time})

    monkeypatch.setattr(sqlalchemy_session, "keeping", trusting)
    exact = datetime(2024, 5, 1, 10, 30, 0, 123400)  # noqa: DTZ001
    columns = {**KEY, "at": pa.timestamp("us")}
    assert firebird_db.publish(profiles([("a", exact)], **columns)).created
    with pytest.raises(PublishError, match=r"Firebird has other values than it was given \(columns 2 of"):
        firebird_db.publish(
            profiles([("a", exact + timedelta(microseconds=1))], **KEY, at=pa.timestamp("us"))
        )
    assert firebird_db.query("SELECT at FROM customers") == [(exact,)]
    assert firebird_db.tables() == {"customers"}


def test_changes_of_blanks_are_changes(unknown: Database) -> None:
    """The standard lets a database compare texts without the blanks at their ends."""
    unknown.publish(people(("a", "x", 1), ("b", "x ", 1)))
    assert unknown.publish(people(("a", "x ", 1), ("b", "x ", 1))).rows_updated == 1
    assert unknown.rows("customer_id, email") == [("a", "x "), ("b", "x ")]


def test_names_that_are_too_long(firebird_db: Database) -> None:
    """The limit is the database's own; columns are shortened, tables are not."""
    with pytest.raises(ConfigError, match="of 32 bytes; Firebird allows 31"):
        firebird_db.publish(people(), "x" * 32)
    columns = {"x" * 40 + "1": pa.int64(), "x" * 40 + "2": pa.int64()}
    firebird_db.publish(profiles([("a", 1, 2)], **KEY, **columns))
    assert firebird_db.rows() == [("a", 1, 2)]


def test_a_new_table_is_there_before_its_rows(unknown: Database) -> None:
    """Empty, as the README says; what a run expected of it is still true."""
    nothing = fingerprint(unknown.hook, ("identities",))
    seen: list[Any] = []

    def look() -> None:
        seen.append(unknown.rows("customer_id") if "customers" in unknown.tables() else None)

    loads = [load(OLD), identities(("email", "x", "a"))]
    assert publish(unknown.hook, loads, expect=nothing, before_commit=look)["identities"].created
    assert seen == [None, []]
    assert unknown.rows("customer_id") == [("a",), ("b",)]


def test_another_run_waits_before_it_loads(unknown: Database) -> None:
    """Staging tables are the database's: two runs must not fill the same ones."""
    unknown.publish(OLD)
    read = threading.Event()

    def batches() -> Iterator[pa.RecordBatch]:
        read.set()
        yield from NEW.to_batches()

    second = threading.Thread(
        target=lambda: publish(unknown.hook, [load(batches(), schema=NEW.schema)]), daemon=True
    )

    def start_second() -> None:
        second.start()
        assert not read.wait(1)

    unknown.publish(OLD, before_commit=start_second)
    second.join(60)
    assert unknown.rows("customer_id") == [("b",), ("c",)]


def test_a_turn_that_was_lost(postgres_db: Database) -> None:
    """When the connection that keeps others away is gone, nothing is committed."""
    postgres_db.publish(OLD)

    def end_holder() -> None:
        holder = "state = 'idle in transaction' AND query LIKE '%customer360_locks%'"
        assert postgres_db.query(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {holder}")

    with pytest.raises(TransientPublishError, match=r"Waiting for other runs .* failed"):
        postgres_db.publish(NEW, before_commit=end_holder)
    assert len(postgres_db.rows()) == 2
    assert postgres_db.publish(NEW).rows_deleted == 1


def test_a_turn_that_does_not_come(postgres_db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that refuses to wait any longer is asked again for a while, then it is worth a retry."""
    postgres_db.publish(OLD)
    monkeypatch.setattr(dialects, "LOCK_SECONDS", 1.0)
    postgres_db.execute("ALTER ROLE customer360 SET lock_timeout = '200ms'")

    def publish_again() -> None:
        with pytest.raises(TransientPublishError, match=r"\(55P03\).*run the task again"):
            postgres_db.publish(NEW)

    try:
        postgres_db.publish(OLD, before_commit=publish_again)
    finally:
        postgres_db.execute("ALTER ROLE customer360 RESET lock_timeout")
    wait_until(lambda: postgres_db.tables() == {"customers"})


def test_a_database_that_undoes_nothing_is_refused(
    postgres_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers would see tables half-written, and a failure would leave them."""
    monkeypatch.setattr(SqlalchemySession, "rollback", SqlalchemySession.commit)
    for _ in range(2):
        with pytest.raises(PublishError, match="does not undo what a transaction has written"):
            postgres_db.publish(OLD)
    assert postgres_db.tables() == set()


def test_a_database_that_takes_quotes_for_texts_is_refused() -> None:
    """Names would be texts, and a condition on them always the same."""
    sqlite = sa.create_engine("sqlite://")

    @sa.event.listens_for(sqlite, "before_cursor_execute", retval=True)
    def as_in_mysql(_: Any, __: Any, statement: str, *rest: Any) -> tuple[str, Any]:
        return statement.replace(' AS "Customer 360"', " AS 'customer 360'"), rest[0]

    with sqlite.connect() as connection, pytest.raises(PublishError, match="names in double quotes"):
        SqlalchemySession(connection)


@pytest.mark.parametrize("hands_on", [True, False], ids=["usual hook", "hook with settings of its own"])
def test_neither_rows_nor_parameters_are_logged(
    postgres_db: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, hands_on: bool
) -> None:
    """However much SQLAlchemy is to tell, and whatever a hook does with the settings of an engine."""
    hook = postgres_db.hook
    if not hands_on:
        engine = sa.create_engine(hook.sqlalchemy_url, echo="debug")
        monkeypatch.setattr(hook, "get_sqlalchemy_engine", lambda engine_kwargs=None: engine)
    for name in ("sqlalchemy", "sqlalchemy.engine", "sqlalchemy.engine.Engine", "sqlalchemy.pool"):
        caplog.set_level(logging.DEBUG, name)
    publish(hook, [load(people((f"a{SECRET}", SECRET, 1)))])
    assert postgres_db.rows() == [(f"a{SECRET}", SECRET, 1)]
    assert SECRET not in caplog.text


def test_columns_are_not_dropped(unknown: Database) -> None:
    """What the database could not undo is not begun."""
    unknown.publish(OLD)
    fewer = profiles([("a", 1)], **KEY, orders=pa.int64())
    with pytest.raises(PublishError, match=r"would lose the columns 'email'.*on_schema_change be 'add'"):
        publish(unknown.hook, [load(fewer, on_schema_change="replace")])
    assert unknown.rows() == [("a", "a@x.org", 1), ("b", "b@x.org", 2)]


def test_a_hook_without_an_engine(unknown: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what is missing; Airflow's own failures get out as they are."""

    def engine(*_: Any) -> Any:
        raise sa.exc.NoSuchModuleError("no dialect")

    hook = unknown.hook
    monkeypatch.setattr(hook, "get_sqlalchemy_engine", engine)
    with pytest.raises(ConfigError, match=r"no SQLAlchemy engine \(NoSuchModuleError\).*install its"):
        publish(hook, [load(OLD)])


def test_a_server_that_is_not_there(postgres_db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is worth a retry, and the message names the connection, not its password."""
    monkeypatch.setenv("AIRFLOW_CONN_TARGET", f"postgres://me:{SECRET[:6]}@127.0.0.1:1/nothing")
    with pytest.raises(TransientPublishError, match="Connecting with 'target'") as caught:
        postgres_db.publish(OLD)
    assert SECRET[:6] not in everything_said_by(caught.value)


def test_a_failure_quotes_nobody(unknown: Database) -> None:
    """SQLAlchemy's own message has all parameters; the driver's code is what gets out."""
    with pytest.raises(PublishError, match=r"\(22001\)") as caught:
        unknown.publish(people((SECRET * 60, None, 1)))
    assert SECRET not in everything_said_by(caught.value)
    assert unknown.tables() == set()
