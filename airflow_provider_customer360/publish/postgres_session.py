"""Postgres: COPY of CSV, in one transaction from the connection on."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

from airflow_provider_customer360.database.tables import Table
from airflow_provider_customer360.publish.batches import to_csv
from airflow_provider_customer360.publish.dialects import POSTGRES

if TYPE_CHECKING:
    import pyarrow as pa

#: Bytes that psycopg2 asks for at a time.
_CHUNK = 1 << 20


class _Reader:
    """Chunks as the file that psycopg2 reads."""

    def __init__(self, chunks: Iterator[memoryview]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")
        #: What went wrong with them, in whose place psycopg2 raises an error of its own.
        self.failure: BaseException | None = None

    def read(self, size: int) -> bytes:
        if not self._rest:
            try:
                self._rest = next(self._chunks, self._rest)
            except BaseException as failure:
                self.failure = failure
                raise
        part, self._rest = self._rest[:size], self._rest[size:]
        return bytes(part)


def _written_ahead(batches: Iterator[pa.RecordBatch]) -> Generator[memoryview, None, None]:
    """CSV, of which the next is written while the server reads the last: it takes a quarter less time."""
    with ThreadPoolExecutor(1) as pool:
        ahead: Future[memoryview] | None = None
        for batch in batches:
            last, ahead = ahead, pool.submit(to_csv, batch)
            if last:
                yield last.result()
        if ahead:
            yield ahead.result()


class PostgresSession:
    """psycopg2 or psycopg 3: they differ in how COPY is fed."""

    dialect = POSTGRES

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        connection.autocommit = False
        # Whatever the server's default: rows that another run committed while this one waited for its
        # turn must be visible.
        self.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")

    def execute(self, statement: str) -> int:
        with self._connection.cursor() as cursor:
            cursor.execute(statement)
            return int(cursor.rowcount)

    def fetch(self, statement: str, parameters: Sequence[str | None] = ()) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            # The connection's "cursor" extra may ask for rows that are dicts.
            return [tuple(row.values()) if isinstance(row, dict) else tuple(row) for row in cursor.fetchall()]

    def describe(self, table: Table) -> list[tuple[Any, ...]]:
        return self.fetch(self.dialect.describe, (table.schema, table.name))

    def load(self, table: str, batches: Iterator[pa.RecordBatch]) -> None:
        statement = f"COPY {table} FROM STDIN (FORMAT csv, ENCODING 'UTF8')"
        with closing(_written_ahead(batches)) as chunks, self._connection.cursor() as cursor:
            if hasattr(cursor, "copy_expert"):
                reader = _Reader(chunks)
                try:
                    cursor.copy_expert(statement, reader, _CHUNK)
                except Exception as error:
                    raise reader.failure or error from None
            else:
                with cursor.copy(statement) as copy:
                    for chunk in chunks:
                        copy.write(chunk)

    def begin(self, targets: Sequence[Table]) -> None:
        # One transaction from the connection on, with a point in it to go back to.
        self.execute("SAVEPOINT customer360")
        for target in targets:
            self.fetch(self.dialect.begin, (target.schema, target.name))

    def release(self) -> None:
        self.execute("ROLLBACK TO SAVEPOINT customer360")  # locks taken since then are given back, too

    def commit(self, rename: str = "") -> None:
        self._connection.commit()

    def rollback(self) -> None:
        self._connection.rollback()

    def close(self) -> None:
        self._connection.close()
