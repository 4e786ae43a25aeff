"""The databases on which the same behaviour is tested."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.mariadb_server import CLIENTS
from tests.publish.databases import NAMES, Database, connect


@pytest.fixture(params=NAMES)
def db(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Each database in turn; for Postgres, each driver that its hook may use."""
    return prepared(request.param, request, tmp_path, monkeypatch)


POSTGRES_NAMES = [name for name in NAMES if name.startswith("psycopg") or name == "adbc-postgres"]


@pytest.fixture(params=POSTGRES_NAMES)
def pg(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Postgres, with each driver."""
    return prepared(request.param, request, tmp_path, monkeypatch)


def prepared(
    name: str, request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Database:
    """An empty database that hooks reach through the connection ``target``."""
    is_postgres = name in POSTGRES_NAMES or name == "generic-postgres"
    uri = own_database(request.getfixturevalue("postgres")) if is_postgres else ""
    if name in CLIENTS:
        uri = request.getfixturevalue("mariadb").airflow_uri(
            request.getfixturevalue("mariadb_database"), name
        )
    if name == "firebird":
        for variable, value in request.getfixturevalue("firebird").environment.items():
            monkeypatch.setenv(variable, value)
        uri = request.getfixturevalue("firebird_uri")
    database = connect(name, folder, uri)
    for variable, value in database.environment.items():
        monkeypatch.setenv(variable, value)
    if is_postgres:
        monkeypatch.setattr("airflow.providers.postgres.hooks.postgres.USE_PSYCOPG3", name == "psycopg3")
        schemas = ("DROP SCHEMA IF EXISTS crm CASCADE", "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
        database.execute(*schemas)
    return database


def own_database(server: Any) -> str:
    """The URI of a database that no other tests leave tables in."""
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'publishing'").fetchone():
            connection.execute("CREATE DATABASE publishing")
    return f"{server.airflow_uri.rpartition('/')[0]}/publishing"


@pytest.fixture
def sqlite(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """SQLite alone."""
    return prepared("sqlite", request, tmp_path, monkeypatch)


@pytest.fixture
def duckdb(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """DuckDB alone."""
    return prepared("duckdb", request, tmp_path, monkeypatch)
