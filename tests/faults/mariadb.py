"""MariaDB."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import MySQLdb
from airflow.providers.common.sql.hooks.sql import DbApiHook
from airflow.providers.mysql.hooks.mysql import MySqlHook

from tests.faults.servers import execute, query
from tests.faults.versions import TABLES
from tests.mariadb_server import MariaDB, serving

DATABASE = "customer360_faults"
TEMPORARY_SPACE, BALLAST = "24M", 1_000_000
#: The user of publishers; who looks on is root.
PUBLISHER = "customer360"
BLOCKS = {
    "table": "LOCK TABLES customers WRITE",
    "rows": "UPDATE customers SET note = note",
    "long read": "SELECT count(*) FROM customers",
}
_NO_SUCH_TABLE, _NO_SUCH_THREAD = 1146, 1094
_PUBLISHERS = f"SELECT id FROM information_schema.processlist WHERE user = '{PUBLISHER}'"
_DEBRIS = f"""
    SELECT 'relation', table_name FROM information_schema.tables
    WHERE table_schema = '{DATABASE}' AND table_name NOT IN %s
    UNION ALL
    SELECT 'table of the engine', name FROM information_schema.innodb_sys_tables
    WHERE name LIKE '{DATABASE}/%%' AND substr(name, {len(DATABASE) + 2}) NOT IN %s
    UNION ALL
    SELECT 'transaction', trx_mysql_thread_id FROM information_schema.innodb_trx
    WHERE trx_mysql_thread_id <> connection_id()
      AND trx_mysql_thread_id IN ({_PUBLISHERS})"""


@dataclass(frozen=True)
class MariaDBServer:
    """MariaDB, through one of the drivers that MySQL's hook may use."""

    name: str
    port: int
    pid: int
    driver: str

    def environment(self, port: int) -> dict[str, str]:
        return {"AIRFLOW_CONN_TARGET": MariaDB(port, self.pid).airflow_uri(DATABASE, self.driver)}

    def hook(self) -> DbApiHook:
        return MySqlHook("target")

    def connect(self) -> Any:
        return MySQLdb.connect(host="127.0.0.1", port=self.port, user="root", db=DATABASE, autocommit=True)

    def session_of(self, connection: Any) -> int:
        return int(connection.thread_id())

    def is_missing(self, error: Exception) -> bool:
        return isinstance(error, MySQLdb.ProgrammingError) and error.args[0] == _NO_SUCH_TABLE

    def publishers(self, watcher: Any) -> list[int]:
        return [session for (session,) in query(watcher, _PUBLISHERS)]

    def is_held_up(self, watcher: Any, session: int) -> bool:
        # A read waits for nothing but the definition of a table.
        waiting = "SELECT state LIKE 'Waiting for table%%' FROM information_schema.processlist WHERE id = %s"
        return query(watcher, waiting, [session]) == [(1,)]

    def end(self, watcher: Any, session: int) -> None:
        try:
            execute(watcher, f"KILL {session}")
        except MySQLdb.OperationalError as error:  # it has ended by itself
            if error.args[0] != _NO_SUCH_THREAD:
                raise

    def debris(self, watcher: Any) -> list[str]:
        return [f"{kind} {name}" for kind, name in query(watcher, _DEBRIS, [tuple(TABLES), tuple(TABLES)])]

    @contextmanager
    def blocked(self, how: str) -> Iterator[None]:
        with closing(self.connect()) as connection:
            execute(connection, *([] if how == "table" else ["START TRANSACTION"]), BLOCKS[how])
            yield

    @contextmanager
    def with_temporary_space(self) -> Iterator[MariaDBServer]:
        """Another server, which has `TEMPORARY_SPACE` for the temporary tables of all sessions."""
        with (
            tempfile.TemporaryDirectory(prefix="customer360-mariadb-") as folder,
            serving(Path(folder), innodb_temp_data_file_path=f"ibtmp1:{TEMPORARY_SPACE}") as running,
        ):
            yield mariadb_server(running, self.driver)

    @contextmanager
    def leaving(self, space: int) -> Iterator[None]:
        """Another session has all of that space, but for so many times `BALLAST` bytes."""
        with closing(self.connect()) as connection:
            tables = 0
            with suppress(MySQLdb.OperationalError):
                while True:
                    execute(connection, f"CREATE TEMPORARY TABLE ballast_{tables} (content longblob)")
                    tables += 1
                    execute(connection, f"INSERT INTO ballast_{tables - 1} VALUES (repeat('x', {BALLAST}))")
            assert tables > space
            # The last one is empty.
            execute(connection, *(f"DROP TABLE ballast_{tables - 1 - table}" for table in range(space + 1)))
            yield


def mariadb_server(running: MariaDB, driver: str) -> MariaDBServer:
    """A running server, with a new and empty database."""
    running.query(f"DROP DATABASE IF EXISTS {DATABASE}")
    running.query(f"CREATE DATABASE {DATABASE}")
    ((version,),) = running.query("SELECT version()")
    return MariaDBServer(f"MariaDB {version}", running.port, running.pid, driver)
