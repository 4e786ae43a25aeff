"""MySQL and MariaDB: rows inserted many at a time, and tables that appear by being renamed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow_provider_customer360.database.failures import driver_of, number_of
from airflow_provider_customer360.database.tables import Table
from airflow_provider_customer360.publish import dialects
from airflow_provider_customer360.publish.batches import to_literals
from airflow_provider_customer360.publish.dialect import Dialect
from airflow_provider_customer360.publish.dialects import MARIADB, MYSQL

if TYPE_CHECKING:
    import pyarrow as pa

#: Bytes of one INSERT, unless a single row has more: servers take 16 MiB by default, some less.
_STATEMENT = 1 << 20
#: Statements that need a table for themselves, and seconds for which they wait for it at a time.
_ALONE, _MOMENT = ("ALTER TABLE", "RENAME TABLE", "DROP TABLE"), 1
_LOCK_WAIT_TIMEOUT = 1205
#: Bytes that become SQL at a time.
_PART = 16 << 20


class MySQLSession:
    """mysqlclient or mysql-connector-python. Readers go on, except while a table is altered."""

    dialect: Dialect = MYSQL

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        # What the connection's extras say of characters and cursors is for other purposes.
        self._cursor_arguments: tuple[Any, ...] = ()
        if driver_of(type(connection)) == "MySQLdb":
            self._cursor_arguments = (import_module("MySQLdb.cursors").Cursor,)
            connection.set_character_set("utf8mb4")
            connection.autocommit(False)
        else:
            connection.autocommit = False
        ((version,),) = self.fetch("SELECT version()")
        if "mariadb" in str(version).lower():
            self.dialect = MARIADB

    def execute(self, statement: str) -> int:
        return self._alone(statement) if statement.startswith(_ALONE) else self._execute(statement)

    def fetch(self, statement: str, parameters: Sequence[str | None] = ()) -> list[tuple[Any, ...]]:
        with self._cursor() as cursor:
            # Without parameters none are passed: a percent sign in the SQL is one then.
            cursor.execute(statement, tuple(parameters)) if parameters else cursor.execute(statement)
            return [tuple(row) for row in cursor.fetchall()]

    def describe(self, table: Table) -> list[tuple[Any, ...]]:
        return self.fetch(self.dialect.describe, (table.schema, table.name))

    def load(self, table: str, batches: Iterator[pa.RecordBatch]) -> None:
        for batch in batches:
            columns = ", ".join(f"c{position}" for position in range(batch.num_columns))
            for part in _small_parts(batch):
                for rows in _statements(to_literals(part)):
                    self.execute(f"INSERT INTO {table} ({columns}) VALUES {rows}")

    def begin(self, targets: Sequence[Table]) -> None:
        # What was staged stays if the rest is undone, and what others have committed becomes visible.
        self._connection.commit()
        begin = self.dialect.begin.format(seconds=round(dialects.LOCK_SECONDS))
        for target in targets:
            ((taken,),) = self.fetch(begin, (target.schema, target.name))
            if not taken:
                raise TimeoutError

    def release(self) -> None:
        self._connection.rollback()
        self.fetch("SELECT RELEASE_ALL_LOCKS()")

    def commit(self, rename: str = "") -> None:
        # Renaming commits what was done before. As one statement both happen even if this process dies.
        self.execute(rename) if rename else self._connection.commit()

    def rollback(self) -> None:
        self._connection.rollback()

    def close(self) -> None:
        self._connection.close()

    def _alone(self, statement: str) -> int:
        """Execute what waits until nobody reads a table any more.

        Whoever wants to read it then waits behind that: it is tried for a moment, over and over.
        """
        deadline = time.monotonic() + dialects.LOCK_SECONDS
        self._execute(f"SET SESSION lock_wait_timeout = {_MOMENT}")
        try:
            while True:
                try:
                    return self._execute(statement)
                except Exception as error:
                    if number_of(error) != _LOCK_WAIT_TIMEOUT or time.monotonic() > deadline:
                        raise
                time.sleep(_MOMENT)
        finally:
            with suppress(Exception):  # the connection may be what failed
                self._execute(f"SET SESSION lock_wait_timeout = {round(dialects.LOCK_SECONDS)}")

    def _execute(self, statement: str) -> int:
        with self._cursor() as cursor:
            cursor.execute(statement)
            return int(cursor.rowcount)

    def _cursor(self) -> closing[Any]:
        return closing(self._connection.cursor(*self._cursor_arguments))


def _small_parts(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    if batch.nbytes > _PART and batch.num_rows > 1:
        half = batch.num_rows // 2
        yield from _small_parts(batch.slice(0, half))
        yield from _small_parts(batch.slice(half))
    else:
        yield batch


def _statements(rows: Sequence[str]) -> Iterator[str]:
    """The rows, as many together as one statement takes."""
    part: list[str] = []
    size = 0
    for row in rows:
        if part and size + len(row) > _STATEMENT:
            yield ", ".join(part)
            part, size = [], 0
        part.append(row)
        size += len(row)
    if part:
        yield ", ".join(part)
