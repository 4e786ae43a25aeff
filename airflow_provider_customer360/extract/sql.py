"""A query's result as Arrow batches, for any Airflow SQL connection, never all of it in memory.

The hook's own ways are not used: `run` logs parameters, `get_df` loads everything and turns integers
with gaps into floats.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from airflow_provider_customer360.database.failures import driver_of
from airflow_provider_customer360.database.tables import parse_table
from airflow_provider_customer360.extract.arrow_readers import NO_RESULT, tables_of_adbc, tables_of_duckdb
from airflow_provider_customer360.extract.cursors import Way, table, way_of
from airflow_provider_customer360.extract.failures import TransientSourceError, retold
from airflow_provider_customer360.extract.postgres_adbc import AdbcRows, Unsuitable, driver
from airflow_provider_customer360.unify.errors import ConfigError, Customer360Error, SourceError

if TYPE_CHECKING:
    import pyarrow as pa
    from airflow.providers.common.sql.hooks.sql import DbApiHook

__all__ = ["Query", "TransientSourceError", "read_sql", "table_query"]

Parameters = Mapping[str, Any] | Sequence[Any] | None

#: Modules whose hooks connect as their connection says and do no more.
PLAIN_HOOKS = frozenset({"airflow.providers.postgres.hooks.postgres"})


class Query:
    """The rows of a query, to be read once, by the fastest way that gives them as they are.

    Args:
        hook: the hook of the connection to read.
        sql: one query.
        parameters: values for the placeholders of the database's driver.
        batch_rows: rows in memory at a time; where ADBC reads, it goes by bytes instead.

    Attributes:
        way: how the rows are read, in words; known with the first of them.
    """

    def __init__(
        self, hook: DbApiHook, sql: str, parameters: Parameters = None, *, batch_rows: int = 50_000
    ) -> None:
        self.way = ""
        self._hook, self._sql, self._parameters = hook, sql, parameters
        self._batch_rows = batch_rows
        self._connection: Any = None
        self._adbc: AdbcRows | None = None
        self._cancel: Callable[[], None] = lambda: None
        # What ADBC waits for, no signal interrupts, such as that of a timeout: it is for other threads.
        self._against_adbc = "only one thread reads"

    def connect(self) -> bool:
        """Connect, in the thread that Airflow lets ask for connections and secrets.

        For callers who let another thread read, and cancel it; all others just iterate.

        Returns:
            Whether another thread may read the rows.

        Raises:
            SourceError: there is no such connection.
            TransientSourceError: the connection is refused.
        """
        self._connect()
        try:
            if self._driver == "psycopg":
                self._against_adbc = self._said_against_adbc()
        except BaseException:
            self.close()
            raise
        return self._way.any_thread

    def _connect(self) -> None:
        failure: SourceError
        try:
            self._connection = self._hook.get_conn()
            self._let_cancel()
            return
        except Exception as error:
            failure = retold(error, self._hook).with_traceback(error.__traceback__)
        # Raised after the handler, so that not even __context__ holds the driver's message. The traceback
        # stays: it has the lines of the code and no message.
        raise failure

    def _let_cancel(self) -> None:
        with suppress(Exception):  # a driver that hides what it takes is not cancelled
            self._cancel = self._way.canceller(self._connection)

    def _said_against_adbc(self) -> str:
        if self._parameters:
            return "its SQL has parameters"
        # What a hook does to its session, such as naming a tenant, need not show in the settings.
        ways = (getattr(self._hook, name, None) for name in ("get_conn", "_create_connection"))
        if any(way and getattr(way, "__globals__", {}).get("__name__") not in PLAIN_HOOKS for way in ways):
            return "its hook connects in its own way"
        try:
            driver()  # imports pandas and polars, of which other threads must not see half
        except Unsuitable as reason:
            return str(reason)
        return ""

    def __iter__(self) -> Iterator[pa.Table]:
        """Batches, of which one without rows tells the columns of a query that has none.

        Raises:
            SourceError: the SQL fails or returns no rows and columns.
            TransientSourceError: the connection is lost.
        """
        if self._connection is None:
            self._connect()
        failure: SourceError | None = None
        cursors: list[Any] = []  # MySQL's reads all that is left when it goes, unless its connection did
        try:
            with closing(self._connection):
                yield from self._batches(cursors)
        except Customer360Error:
            raise
        except Exception as error:
            failure = retold(error, self._hook).with_traceback(error.__traceback__)
        if failure is not None:  # as above
            raise failure

    def cancel(self) -> None:
        """Let the database end the query that another thread is reading, if it can."""
        with suppress(Exception):
            self._cancel()

    def close(self) -> None:
        """Disconnect; harmless when repeated."""
        self._cancel = lambda: None
        for one in filter(None, (self._adbc, self._connection)):
            with suppress(Exception):
                one.close()

    @property
    def _driver(self) -> str | None:
        return driver_of(type(self._connection))

    @property
    def _way(self) -> Way:
        return way_of(self._driver)

    def _batches(self, cursors: list[Any]) -> Iterator[pa.Table]:
        name, unsuitable = self._driver, ""
        if name == "duckdb":
            self.way = "DuckDB's Arrow"
            yield from tables_of_duckdb(self._connection, self._sql, self._parameters, self._batch_rows)
            return
        self._way.prepare(self._connection)
        cursor = self._executed(cursors)
        try:
            if name == "adbc_driver_manager":
                self.way = "ADBC"
                yield from tables_of_adbc(cursor)
                return
            if name == "psycopg":
                unsuitable = yield from self._batches_by_adbc(cursor)
                if not unsuitable:
                    return
                cursor = self._executed(cursors) if cursor.closed else cursor
            self.way = f"{name or 'cursor'} in batches{unsuitable}"
            yield from self._batches_by_cursor(cursor)
        finally:
            if not self._way.drains:
                with suppress(Exception):  # its connection is gone, or went before
                    cursor.close()

    def _executed(self, cursors: list[Any]) -> Any:
        cursor = self._way.cursor(self._connection)
        cursors.append(cursor)
        # Without parameters none are passed: a driver then leaves a percent sign in the SQL alone.
        given = (self._parameters,) if self._parameters else ()
        cursor.execute(self._sql, *given)
        return cursor

    def _batches_by_cursor(self, cursor: Any) -> Iterator[pa.Table]:
        # psycopg2 describes the result of a server-side cursor only once it has fetched from it.
        if cursor.description is None and not getattr(cursor, "name", None):
            raise SourceError(NO_RESULT)
        rows = cursor.fetchmany(self._batch_rows)
        yield table(cursor.description, rows, self._way.types)
        while rows and (rows := cursor.fetchmany(self._batch_rows)):
            yield table(cursor.description, rows, self._way.types)

    def _batches_by_adbc(self, cursor: Any) -> Generator[pa.Table, None, str]:
        """Returns why ADBC does not read what a cursor of psycopg has executed, if so."""
        try:
            if self._against_adbc:
                raise Unsuitable(self._against_adbc)
            self._adbc = AdbcRows(self._connection, list(cursor.description or ()), self._sql)
            with closing(self._adbc) as rows:
                self._cancel = rows.cancel
                # Its lock on a table would be in the way of somebody who is in the way of ADBC.
                cursor.close()
                self._connection.rollback()
                rows.execute()
                self.way = "ADBC"
                self._connection.close()
                yield from rows
            return ""
        except Unsuitable as reason:
            self._let_cancel()
            return f" ({reason})"


def read_sql(
    hook: DbApiHook, sql: str, parameters: Parameters = None, *, batch_rows: int = 50_000
) -> Iterator[pa.Table]:
    """The rows of a query in batches; a query without rows gives one empty table with its columns.

    The connection is opened when the first batch is asked for, and closed with the iterator. For the
    arguments and what is raised see `Query`.
    """
    yield from Query(hook, sql, parameters, batch_rows=batch_rows)


def table_query(hook: DbApiHook, table: str) -> str:
    """The query of a whole table, named ``table`` or ``schema.table``.

    Raises:
        SourceError: the text names no table.
    """
    try:
        return f"SELECT * FROM {parse_table(table).quoted_for(hook)}"
    except ConfigError:
        raise SourceError(
            f"table is {table!r}; give 'name' or 'schema.name', and put a part that has a dot in double "
            "quotes, such as '\"my.table\"'."
        ) from None
