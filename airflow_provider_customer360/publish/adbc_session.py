"""ADBC: batches are ingested as the Arrow they are; of the rest, a known database keeps its own ways."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_provider_customer360.database.tables import Table
from airflow_provider_customer360.publish import dialects
from airflow_provider_customer360.publish.batches import to_sqlite_arrow, without_nul
from airflow_provider_customer360.publish.described import described
from airflow_provider_customer360.publish.dialects import GENERIC
from airflow_provider_customer360.publish.duckdb_session import DuckDBSession
from airflow_provider_customer360.publish.failures import guarded
from airflow_provider_customer360.publish.postgres_session import PostgresSession
from airflow_provider_customer360.publish.sqlite_session import SqliteSession
from airflow_provider_customer360.unify.errors import PublishError

if TYPE_CHECKING:
    import pyarrow as pa

    from airflow_provider_customer360.publish.session import Session


class _Adbc:
    """How ADBC runs statements, whatever the database; errors are the driver manager's own."""

    _connection: Any

    def execute(self, statement: str) -> int:
        with self._connection.cursor() as cursor:
            cursor.execute(statement)
            return int(cursor.rowcount)

    def fetch(self, statement: str, parameters: Sequence[str | None] = ()) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(statement, list(parameters) or None)
            return list(cursor.fetchall())

    def load(self, table: str, batches: Iterator[pa.RecordBatch]) -> None:
        for batch in batches:
            self._load(table, batch.rename_columns([f"c{number}" for number in range(batch.num_columns)]))

    def _load(self, table: str, batch: pa.RecordBatch) -> None:
        self._ingest(table.strip('"'), batch)

    def _ingest(self, table: str, batch: pa.RecordBatch, mode: str = "append") -> None:
        with self._connection.cursor() as cursor:
            cursor.adbc_ingest(table, batch, mode=mode, temporary=True)


class _StatedTransactions(_Adbc):
    """Transactions begin where we say, not where the driver thinks."""

    def commit(self, rename: str = "") -> None:
        self.execute("COMMIT")

    def rollback(self) -> None:
        self.execute("ROLLBACK")


class AdbcPostgresSession(_Adbc, PostgresSession):
    """Postgres: COPY of what is binary already."""

    _writes_decimals = False

    def fetch(self, statement: str, parameters: Sequence[str | None] = ()) -> list[tuple[Any, ...]]:
        numbers = itertools.count(1)
        numbered = re.sub("%s", lambda _: f"${next(numbers)}", statement) if parameters else statement
        return super().fetch(numbered, parameters)

    def _load(self, table: str, batch: pa.RecordBatch) -> None:
        import pyarrow as pa

        if not self._writes_decimals and any(map(pa.types.is_decimal, batch.schema.types)):
            self._check_decimals()
        super()._load(table, without_nul(batch))

    def _check_decimals(self) -> None:
        """Refuse the drivers before 1.11, which write 1.50 as 150 and do not tell their version."""
        import pyarrow as pa

        table, value = "customer360_decimal", Decimal("1000000001.50")
        self._ingest(table, pa.record_batch({"c0": pa.array([value], pa.decimal128(38, 2))}), "create")
        self._writes_decimals = bool(self.fetch(f"SELECT c0 = {value} FROM {table}")[0][0])
        self.execute(f"DROP TABLE {table}")
        if not self._writes_decimals:
            raise PublishError(
                "The ADBC driver of this connection writes other decimal numbers than it is given; nothing "
                "was written. Install adbc-driver-postgresql 1.11 or later."
            )


class AdbcSqliteSession(_StatedTransactions, SqliteSession):
    """SQLite, in the version that the driver brings."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        connection.adbc_connection.set_autocommit(True)
        self._check_version()

    def _load(self, table: str, batch: pa.RecordBatch) -> None:
        import pyarrow as pa

        # A column of SQLite may hold numbers and texts, one of Arrow may not: a decimal comes in parts.
        parts: dict[str, pa.Array] = {}
        values = []
        for number, column in enumerate(batch.columns):
            named = {f"c{number}_{part}": array for part, array in enumerate(to_sqlite_arrow(column))}
            parts |= named
            values.append(f"coalesce({', '.join(named)})" if len(named) > 1 else next(iter(named)))
        self._ingest("customer360_batch", pa.record_batch(parts), "replace")
        rows = f"SELECT {', '.join(values)} FROM temp.customer360_batch"
        self.execute(f"INSERT INTO temp.{table} {rows}")


class AdbcDuckDBSession(_StatedTransactions, DuckDBSession):
    """DuckDB, whose driver opens the file anew for each connection.

    Two connections of one process would not know of each other, and the file would lose what one of them
    wrote. Therefore the process has one at a time.
    """

    file = threading.Lock()

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        connection.adbc_connection.set_autocommit(True)

    def close(self) -> None:
        try:
            super().close()
        finally:
            self.file.release()


class AdbcSession(_Adbc):
    """Any other database, in standard SQL; it promises what `sqlalchemy_session` does."""

    def __init__(self, connection: Any, vendor: str) -> None:
        self.dialect = replace(GENERIC, name=vendor)
        self._connection = connection
        self._loaded: dict[str, int] = {}
        try:
            connection.adbc_connection.set_autocommit(False)
        except connection.NotSupportedError:
            raise PublishError(
                f"The ADBC driver for {vendor} has no transactions: readers would see tables half-written. "
                "Give target_conn_id another connection."
            ) from None

    def describe(self, table: Table) -> list[tuple[Any, ...]]:
        return described(self._connection, table)

    def _load(self, table: str, batch: pa.RecordBatch) -> None:
        super()._load(table, without_nul(batch))
        self._loaded[table] = self._loaded.get(table, 0) + batch.num_rows

    def begin(self, targets: Sequence[Table]) -> None:
        # What others have committed becomes visible, and what was staged stays if the rest is undone. The
        # standard lets a database empty its temporary tables here; ours do not.
        self.commit()
        for table, rows in self._loaded.items():
            if self.fetch(f"SELECT count(*) FROM {table}") != [(rows,)]:
                raise PublishError(
                    f"{self.dialect.name} lost rows of a temporary table; nothing was written. Give "
                    "target_conn_id another connection."
                )

    def release(self) -> None:
        self.rollback()

    def commit(self, rename: str = "") -> None:
        self._connection.commit()

    def rollback(self) -> None:
        self._connection.rollback()

    def close(self) -> None:
        self._connection.close()

    def _ingest(self, table: str, batch: pa.RecordBatch, mode: str = "append") -> None:
        try:
            super()._ingest(table, batch, mode)
        except self._connection.NotSupportedError:
            # The driver cannot say that it means the temporary table, which hides others of its name.
            with self._connection.cursor() as cursor:
                cursor.adbc_ingest(table, batch, mode=mode)


_VENDORS: dict[str, Callable[[Any], Session]] = {
    "PostgreSQL": AdbcPostgresSession,
    "SQLite": AdbcSqliteSession,
    "duckdb": AdbcDuckDBSession,
}


def adbc_session(connection: Any) -> Session:
    """The session of whatever database the driver says it is."""
    vendor = str(connection.adbc_get_info().get("vendor_name"))
    return _VENDORS[vendor](connection) if vendor in _VENDORS else AdbcSession(connection, vendor)


def opened_alone(open_session: Callable[[], Session]) -> Session:
    """Open a session while the process has no DuckDB open; which database it is shows only then.

    Raises:
        TransientPublishError: another session has one open.
    """
    guarded(_wait_for_duckdb, "Connecting")
    session = None
    try:
        session = open_session()
    finally:
        if not isinstance(session, AdbcDuckDBSession):
            AdbcDuckDBSession.file.release()
    return session


def _wait_for_duckdb() -> None:
    if not AdbcDuckDBSession.file.acquire(timeout=dialects.LOCK_SECONDS):
        raise TimeoutError
