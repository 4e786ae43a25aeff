"""The servers, and the report of what was tried on each of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.servers import Server, postgres_server
from tests.faults.tally import Tally

#: The driver that is used, and the fixture of its server.
DRIVERS = {"psycopg": "postgres", "psycopg2": "postgres"}
_TALLIES = pytest.StashKey[dict[str, Tally]]()


@pytest.fixture(scope="session")
def servers() -> dict[str, Server]:
    """Those that were made so far."""
    return {}


@pytest.fixture(params=["psycopg"])
def server(
    request: pytest.FixtureRequest, servers: dict[str, Server], monkeypatch: pytest.MonkeyPatch
) -> Server:
    """Each server in turn, with a database of our own, which hooks reach through the connection ``target``.

    Its usual driver, unless a test asks for others of `DRIVERS`.
    """
    driver: str = request.param
    running: Any = request.getfixturevalue(DRIVERS[driver])
    if driver not in servers:
        servers[driver] = postgres_server(running.port, driver)
    server = servers[driver]
    for variable, value in server.environment(server.port).items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr("airflow.providers.postgres.hooks.postgres.USE_PSYCOPG3", driver == "psycopg")
    return server


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
