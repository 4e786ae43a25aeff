"""The servers whose publishing is put to the test, and how they differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psycopg
from airflow.providers.common.sql.hooks.sql import DbApiHook
from airflow.providers.postgres.hooks import postgres as postgres_hooks

from tests.faults.versions import TABLES

#: A table as it is: the names of its columns, and its rows.
Content = tuple[tuple[str, ...], list[tuple[Any, ...]]]
#: What a session that looks on calls itself, where the server keeps such names.
WATCHING = "watching"


class Server(Protocol):
    """A running server with a database of its own for these tests. It is pickled for child processes.

    Attributes:
        name: for the report.
        port: on the loopback interface.
    """

    name: str
    port: int

    def environment(self, port: int) -> dict[str, str]:
        """What the process of a publisher needs; the port is the server's or a proxy's."""

    def hook(self) -> DbApiHook:
        """A hook, in a process with that environment."""

    def connect(self) -> Any:
        """A connection for looking on: each of its statements sees what is committed by then."""

    def session_of(self, connection: Any) -> int:
        """The server's number for a connection."""

    def is_missing(self, error: Exception) -> bool:
        """Whether a table that does not exist is the cause."""

    def publishers(self, watcher: Any) -> list[int]:
        """The sessions that do not look on, seen through a connection that does."""

    def is_held_up(self, watcher: Any, session: int) -> bool:
        """Whether a session's statement waits for another session."""

    def end(self, watcher: Any, session: int) -> None:
        """End a session, as an administrator does."""

    def debris(self, watcher: Any) -> list[str]:
        """Whatever is there beside `TABLES`: relations, files, locks."""

    def blocked(self, how: str) -> AbstractContextManager[None]:
        """Another session is in the way of publishers, in one of `BLOCKS`."""

    def owner(self) -> tuple[int, int]:
        """The user and the group whose files the server's are."""

    def on_disk(self, folder: Path) -> AbstractContextManager[None]:
        """New tables, temporary ones too, are in this folder; afterwards they are gone."""


def query(connection: Any, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """The rows of a query."""
    with closing(connection.cursor()) as cursor:
        cursor.execute(statement, parameters or None)
        return list(cursor.fetchall())


def execute(connection: Any, *statements: str) -> None:
    """Run statements, each committed by itself."""
    with closing(connection.cursor()) as cursor:
        for statement in statements:
            cursor.execute(statement)


def content(server: Server, watcher: Any) -> dict[str, Content]:
    """Every table that is one of `TABLES`."""
    found: dict[str, Content] = {}
    with closing(watcher.cursor()) as cursor:
        for table in TABLES:
            try:
                cursor.execute(f"SELECT * FROM {table}")
            except Exception as error:
                if not server.is_missing(error):
                    raise
            else:
                found[table] = (tuple(column[0] for column in cursor.description), cursor.fetchall())
    return found


#: Ways to keep a publisher waiting.
BLOCKS = {
    "table": "LOCK TABLE customers IN ACCESS EXCLUSIVE MODE",
    "rows": "UPDATE customers SET note = note",
    "long read": "SELECT count(*) FROM customers",
}


_PUBLISHERS = f"""
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend'
      AND application_name <> '{WATCHING}'"""
_DEBRIS = f"""
    SELECT 'relation', c.oid::regclass::text FROM pg_class c
    WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND relnamespace::regnamespace::text
          NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
      AND NOT (relnamespace = 'public'::regnamespace AND relname = ANY (%(tables)s))
    UNION ALL
    SELECT 'index', indexrelid::regclass::text FROM pg_index
    WHERE NOT indisprimary AND indrelid::regclass::text = ANY (%(tables)s)
    UNION ALL
    SELECT 'schema', nspname FROM pg_namespace
    WHERE NOT starts_with(nspname, 'pg_') AND nspname NOT IN ('public', 'information_schema')
    UNION ALL
    SELECT 'file', name FROM pg_ls_tmpdir()
    UNION ALL
    SELECT 'prepared transaction', gid FROM pg_prepared_xacts
    UNION ALL
    SELECT 'lock', locktype FROM pg_locks WHERE pid IN ({_PUBLISHERS})"""


@dataclass(frozen=True)
class PostgresServer:
    """PostgreSQL, through one of the drivers that its hook may use."""

    name: str
    port: int
    driver: str

    @property
    def uri(self) -> str:
        return f"postgresql://customer360@127.0.0.1:{self.port}/faults"

    def environment(self, port: int) -> dict[str, str]:
        return {"AIRFLOW_CONN_TARGET": f"postgres://customer360@127.0.0.1:{port}/faults"}

    def hook(self) -> DbApiHook:
        postgres_hooks.USE_PSYCOPG3 = self.driver == "psycopg"
        return postgres_hooks.PostgresHook("target")

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        # Not prepared: the result of a prepared query may not get another column.
        return psycopg.connect(self.uri, autocommit=True, application_name=WATCHING, prepare_threshold=None)

    def is_missing(self, error: Exception) -> bool:
        return isinstance(error, psycopg.errors.UndefinedTable)

    def session_of(self, connection: psycopg.Connection[Any]) -> int:
        return connection.info.backend_pid

    def publishers(self, watcher: Any) -> list[int]:
        return [session for (session,) in query(watcher, _PUBLISHERS)]

    def is_held_up(self, watcher: Any, session: int) -> bool:
        return query(watcher, "SELECT cardinality(pg_blocking_pids(%s)) > 0", [session]) == [(True,)]

    def end(self, watcher: Any, session: int) -> None:
        query(watcher, "SELECT pg_terminate_backend(%s, 5000)", [session])

    def debris(self, watcher: Any) -> list[str]:
        found = query(watcher, _DEBRIS, {"tables": list(TABLES)})
        return [f"{kind} {name}" for kind, name in found]

    @contextmanager
    def blocked(self, how: str) -> Iterator[None]:
        with closing(self.connect()) as connection, connection.transaction():
            connection.execute(BLOCKS[how])
            yield

    def owner(self) -> tuple[int, int]:
        with closing(self.connect()) as connection:
            process = Path(f"/proc/{self.session_of(connection)}").stat()
            return process.st_uid, process.st_gid

    @contextmanager
    def on_disk(self, folder: Path) -> Iterator[None]:
        settings = ("default_tablespace", "temp_tablespaces")
        with closing(self.connect()) as connection:
            execute(
                connection,
                f"CREATE TABLESPACE small LOCATION '{folder}'",
                *(f"ALTER DATABASE faults SET {setting} = 'small'" for setting in settings),
            )
            try:
                yield
            finally:
                execute(
                    connection,
                    *(f"ALTER DATABASE faults RESET {setting}" for setting in settings),
                    *(f"DROP TABLE IF EXISTS {table}" for table in TABLES),
                    "DROP TABLESPACE small",
                )


def postgres_server(port: int, driver: str) -> PostgresServer:
    """A new, empty database on the server."""
    with psycopg.connect(
        f"postgresql://customer360@127.0.0.1:{port}/postgres", autocommit=True
    ) as connection:
        connection.execute("DROP DATABASE IF EXISTS faults WITH (FORCE)")
        connection.execute("CREATE DATABASE faults")
        version = connection.info.parameter_status("server_version")
    return PostgresServer(f"PostgreSQL {version}", port, driver)
