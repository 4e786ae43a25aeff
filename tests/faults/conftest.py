"""The servers, and the report of what was tried on each of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.servers import Server
from tests.faults.tally import Tally

_TALLIES = pytest.StashKey[dict[str, Tally]]()


def _postgres(running: Any, driver: str) -> Server:
    from tests.faults.postgres import postgres_server

    return postgres_server(running.port, driver)


def _mariadb(running: Any, driver: str) -> Server:
    from tests.faults.mariadb import mariadb_server

    return mariadb_server(running, driver)


#: For each driver that a hook may use: the fixture of the server, and what makes a database there.
DRIVERS: dict[str, tuple[str, Callable[[Any, str], Server]]] = {
    "psycopg": ("postgres", _postgres),
    "psycopg2": ("postgres", _postgres),
    "mysqlclient": ("mariadb", _mariadb),
    "mysql-connector-python": ("mariadb", _mariadb),
}
#: The usual one of each server.
USUAL = ("psycopg", "mysqlclient")


@pytest.fixture(scope="session")
def servers() -> dict[str, Server]:
    """Those that were made so far."""
    return {}


@pytest.fixture(params=USUAL)
def server(
    request: pytest.FixtureRequest, servers: dict[str, Server], monkeypatch: pytest.MonkeyPatch
) -> Server:
    """Each server in turn, through its usual driver; a test may ask for all of `DRIVERS`."""
    driver: str = request.param
    fixture, prepared = DRIVERS[driver]
    running = request.getfixturevalue(fixture)
    if driver not in servers:
        servers[driver] = prepared(running, driver)
    # Which driver Postgres's hook uses is a variable of its module; what the test leaves there goes.
    monkeypatch.setattr("airflow.providers.postgres.hooks.postgres.USE_PSYCOPG3", driver == "psycopg")
    return servers[driver]


@pytest.fixture
def tally(request: pytest.FixtureRequest, server: Server) -> Tally:
    """What the tests have tried on the server and seen there."""
    return request.config.stash.setdefault(_TALLIES, {}).setdefault(server.name, Tally())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Tell what was tried, also when all is well."""
    for server, tally in config.stash.get(_TALLIES, {}).items():
        terminalreporter.section(f"Publishing that fails: {server}")
        for line in tally.lines():
            terminalreporter.line(line)
