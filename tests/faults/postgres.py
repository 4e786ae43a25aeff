"""PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from airflow.providers.common.sql.hooks.sql import DbApiHook
from airflow.providers.postgres.hooks import postgres as postgres_hooks

from tests.faults.servers import execute, query
from tests.faults.versions import TABLES

#: What a session that looks on calls itself.
WATCHING = "watching"
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
        """The user and the group whose files the server's are."""
        with closing(self.connect()) as connection:
            process = Path(f"/proc/{self.session_of(connection)}").stat()
            return process.st_uid, process.st_gid

    @contextmanager
    def on_disk(self, folder: Path) -> Iterator[None]:
        """New tables, temporary ones too, are in an empty folder; afterwards they are gone."""
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
    """A running server, with a new and empty database."""
    with psycopg.connect(
        f"postgresql://customer360@127.0.0.1:{port}/postgres", autocommit=True
    ) as connection:
        connection.execute("DROP DATABASE IF EXISTS faults WITH (FORCE)")
        connection.execute("CREATE DATABASE faults")
        version = connection.info.parameter_status("server_version")
    return PostgresServer(f"PostgreSQL {version}", port, driver)
