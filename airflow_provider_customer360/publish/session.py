"""Connections that load Arrow: the Protocol, and which implementation a hook gets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_customer360.database.failures import driver_of
from airflow_provider_customer360.database.tables import Table
from airflow_provider_customer360.publish import dialects
from airflow_provider_customer360.publish.adbc_session import adbc_session, opened_alone
from airflow_provider_customer360.publish.columns import ExistingColumn
from airflow_provider_customer360.publish.dialect import Dialect
from airflow_provider_customer360.publish.duckdb_session import DuckDBSession
from airflow_provider_customer360.publish.failures import guarded
from airflow_provider_customer360.publish.mysql_session import MySQLSession
from airflow_provider_customer360.publish.plan import Relation
from airflow_provider_customer360.publish.postgres_session import PostgresSession
from airflow_provider_customer360.publish.sqlalchemy_session import SqlalchemySession, connected, silent
from airflow_provider_customer360.publish.sqlite_session import SqliteSession
from airflow_provider_customer360.unify.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa
    from airflow.providers.common.sql.hooks.sql import DbApiHook
    from sqlalchemy import Engine


class Session(Protocol):
    """One connection, closed by whoever opened it; errors are the driver's own."""

    dialect: Dialect

    def execute(self, statement: str) -> int:
        """Run a statement; return the number of rows that it touched."""

    def fetch(self, statement: str, parameters: Sequence[str | None] = ()) -> list[tuple[Any, ...]]:
        """Run a query."""

    def describe(self, table: Table) -> list[tuple[Any, ...]]:
        """A table or view as it is; the rows are those of `Dialect.describe`."""

    def load(self, table: str, batches: Iterator[pa.RecordBatch]) -> None:
        """Append batches, none of them empty or large, to a temporary table, whose name is quoted."""

    def begin(self, targets: Sequence[Table]) -> None:
        """Start the transaction that changes the targets, after all others that change any of them.

        Runs that name the same targets in another order may wait for each other for ever.
        """

    def release(self) -> None:
        """Undo what was done since `begin`, as if it had not been called; temporary tables stay."""

    def commit(self, rename: str = "") -> None:
        """Commit, then at once rename the tables that were filled under hidden names."""

    def rollback(self) -> None: ...

    def close(self) -> None: ...


_SESSIONS: dict[str, Callable[[Any], Session]] = {
    "adbc": adbc_session,
    "duckdb": DuckDBSession,
    "mysql": MySQLSession,
    "postgres": PostgresSession,
    "sqlite": SqliteSession,
}


def open_session(hook: DbApiHook) -> Session:
    """Connect through the hook.

    Raises:
        ConfigError: no such kind of database.
        PublishError: the database refuses.
    """
    conn_type = getattr(hook, "conn_type", None)
    if conn_type not in _SESSIONS:
        engine = _engine(hook)
        connect = partial(guarded, partial(connected, engine), f"Connecting with {hook.get_conn_id()!r}")
        return _opened(connect, SqlalchemySession)
    opened = partial(_opened, partial(_connected, hook), _SESSIONS[conn_type])
    return opened_alone(opened) if conn_type == "adbc" else opened()


def _engine(hook: DbApiHook) -> Engine:
    """The engine of a hook that the package has no session for.

    Raises:
        ConfigError: it has none.
    """
    import sqlalchemy as sa

    try:
        return silent(hook.get_sqlalchemy_engine({"poolclass": sa.pool.NullPool}))
    except (AttributeError, ImportError, NotImplementedError, sa.exc.ArgumentError) as error:
        raise ConfigError(
            f"Cannot publish through {type(hook).__name__} (connection type {hook.conn_type!r}): it gives no "
            f"SQLAlchemy engine ({type(error).__name__}). Set target_conn_id to a connection of DuckDB, "
            "Postgres, MySQL, MariaDB, SQLite or ADBC, or of another database whose hook gives one, and "
            "install its SQLAlchemy dialect."
        ) from None


def _opened(connect: Callable[[], Any], session_of: Callable[[Any], Session]) -> Session:
    connection = connect()
    try:
        return guarded(lambda: _set_up(session_of(connection)), "Connecting")
    except BaseException:
        connection.close()
        raise


def _set_up(session: Session) -> Session:
    for setting in session.dialect.settings:
        session.execute(setting.format(seconds=round(dialects.LOCK_SECONDS)))
    return session


def relation_of(session: Session, table: Table) -> Relation | None:
    """A table or view as it is; None if there is none of that name.

    Raises:
        PublishError: the database refuses to tell.
    """
    rows = guarded(lambda: session.describe(table), f"Publishing to {table}")
    return Relation(rows[0][0], tuple(ExistingColumn(*row[1:]) for row in rows)) if rows else None


def _connected(hook: DbApiHook) -> Any:
    """A connection; waits while another process has the DuckDB file, which by itself refuses at once."""
    deadline = time.monotonic() + dialects.LOCK_SECONDS
    while True:
        try:
            return hook.get_conn()
        except Exception as error:
            if driver_of(type(error)) is None:
                raise  # Airflow's own: no such connection
            failure = error
        if "lock on file" not in str(failure) or time.monotonic() > deadline:
            break
        time.sleep(0.5)

    def fail() -> None:
        raise failure

    return guarded(fail, f"Connecting with {hook.get_conn_id()!r}")
