"""A real MariaDB server on loopback, started for a test run by whoever runs it, root included."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

#: Names the server's program where it is neither on PATH nor where Debian puts it.
PROGRAM = "MARIADBD"
#: As Airflow's MySQL hook spells them in a connection's ``client``.
CLIENTS = ("mysqlclient", "mysql-connector-python")
#: The tests' user has every right in databases of these names and none elsewhere, as in most companies.
ACCOUNTS = """
    CREATE USER customer360@'127.0.0.1';
    GRANT ALL ON `customer360%`.* TO customer360@'127.0.0.1';
"""
#: What Debian configures, with the times and sizes of a test run. A crash of the server loses nothing that
#: was committed; a crash of the machine may. The zone is nobody's: a test that depends on it fails.
SETTINGS = {
    "bind-address": "127.0.0.1",
    "character-set-server": "utf8mb4",
    "collation-server": "utf8mb4_general_ci",
    "default-time-zone": "-03:30",
    "innodb-buffer-pool-size": "128M",
    "innodb-doublewrite": "0",
    "innodb-flush-log-at-trx-commit": "2",
    "innodb-log-file-size": "64M",
    "max-allowed-packet": "16M",
}


@dataclass(frozen=True)
class MariaDB:
    """A running server.

    Attributes:
        port: on 127.0.0.1; ``customer360`` and ``root`` enter without a password.
        pid: of the server's process.
    """

    port: int
    pid: int

    def airflow_uri(self, database: str, client: str = CLIENTS[0]) -> str:
        """For an AIRFLOW_CONN_... variable; `client` is one of `CLIENTS`."""
        return f"mysql://customer360@127.0.0.1:{self.port}/{database}?{urlencode({'client': client})}"

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Run one statement as root and commit it; return its rows, if it has any."""
        import MySQLdb

        connection = MySQLdb.connect(host="127.0.0.1", port=self.port, user="root", autocommit=True)
        with closing(connection), closing(connection.cursor()) as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    @contextmanager
    def database(self) -> Iterator[str]:
        """The name of a new database; it and those whose names begin so are dropped at the end."""
        name = f"customer360_{uuid.uuid4().hex[:8]}"
        self.query(f"CREATE DATABASE {name}")
        try:
            yield name
        finally:
            sessions = self.query(f"SELECT id FROM information_schema.processlist WHERE db LIKE '{name}%'")
            for (session,) in sessions:
                with suppress(Exception):  # it has ended by itself
                    self.query(f"KILL {session}")
            for (database,) in self.query(f"SHOW DATABASES LIKE '{name}%'"):
                self.query(f"DROP DATABASE {database}")


def program() -> Path | None:
    """The server's program; None where it is not installed."""
    places = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    found = shutil.which(os.environ.get(PROGRAM) or "mariadbd", path=places)
    return Path(found).resolve() if found else None


@contextmanager
def serving(folder: Path, **settings: str) -> Iterator[MariaDB]:
    """A server with its data in an empty folder; settings as ``innodb_buffer_pool_size="1G"``.

    Raises:
        RuntimeError: it does not start; the message is its log.
    """
    server = program()
    assert server is not None
    log = folder / "log"
    chosen = SETTINGS | {name.replace("_", "-"): value for name, value in settings.items()}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        server, "--no-defaults", f"--user={getpass.getuser()}", f"--basedir={server.parents[1]}",
        f"--datadir={folder / 'data'}", f"--tmpdir={folder / 'tmp'}",
        *(f"--{name}={value}" for name, value in chosen.items()),
    ]  # fmt: skip
    with log.open("w") as output:
        _bootstrap(command, server.parents[1] / "share", folder)
        process = subprocess.Popen(
            [*command, f"--port={port}", f"--socket={folder / 'socket'}", "--skip-name-resolve"],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        _wait_for(port, process, log)
        yield MariaDB(port, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _bootstrap(command: list[str | Path], share: Path, folder: Path) -> None:
    """Create the system tables: what mariadb-install-db does, in 0.3 s and without a client's programs."""
    (folder / "data").mkdir()
    # A server that starts deletes what others have in a folder for temporary tables that they share, and
    # then those crash.
    (folder / "tmp").mkdir()
    scripts = []
    for name in ("system_tables", "performance_tables", "system_tables_data"):
        # The prefix and the folder were renamed between versions.
        scripts.append(next(share.glob(f"m[ay]*/m[ay]*_{name}.sql")).read_text())
    script = "\n".join(["CREATE DATABASE mysql;", "USE mysql;", *scripts, "FLUSH PRIVILEGES;", ACCOUNTS])
    created = subprocess.run(
        [*command, "--bootstrap", "--log-warnings=0"],
        cwd=folder, input=script, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if created.returncode or "ERROR" in created.stderr:
        raise RuntimeError(f"MariaDB's system tables cannot be created:\n{created.stderr}")


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"MariaDB did not start:\n{log.read_text()}") from None
            time.sleep(0.02)
        else:
            return
