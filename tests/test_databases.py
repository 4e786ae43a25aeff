"""The databases that tests run on are what the tests take them for."""

from __future__ import annotations

import multiprocessing
import os
import signal
from contextlib import closing

import pytest

from tests.mariadb_server import CLIENTS, MariaDB


@pytest.mark.parametrize("client", CLIENTS)
def test_mariadb_through_the_hook(
    mariadb: MariaDB, mariadb_database: str, client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MySQL's hook reaches an empty database with each client that it offers."""
    from airflow.providers.mysql.hooks.mysql import MySqlHook

    monkeypatch.setenv("AIRFLOW_CONN_TARGET", mariadb.airflow_uri(mariadb_database, client))
    with closing(MySqlHook("target").get_conn()) as connection, closing(connection.cursor()) as cursor:
        assert type(connection).__module__.startswith("MySQLdb" if client == "mysqlclient" else "mysql.")
        cursor.execute("SELECT database(), version() LIKE '%MariaDB%'")
        assert tuple(cursor.fetchone()) == (mariadb_database, 1)
        cursor.execute("SHOW TABLES")
        assert not cursor.fetchall()


def test_mariadb_database_that_is_in_use(mariadb: MariaDB) -> None:
    """A test that leaves a transaction open does not hold up those after it."""
    import MySQLdb

    with mariadb.database() as name:
        connection = MySQLdb.connect(host="127.0.0.1", port=mariadb.port, user="customer360", db=name)
        connection.query("CREATE TABLE t (a INT)")
        connection.query("INSERT INTO t VALUES (1)")
    assert (name,) not in mariadb.query("SHOW DATABASES")


def test_firebird_through_the_hook(firebird_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hook that the package does not know gives connections and an engine for one database."""
    import sqlalchemy as sa

    from tests.firebird_hook import FirebirdHook

    monkeypatch.setenv("AIRFLOW_CONN_TARGET", firebird_uri)
    table = sa.Table("t", sa.MetaData(), sa.Column("Name", sa.String(10), primary_key=True))
    engine = FirebirdHook("target").get_sqlalchemy_engine(engine_kwargs={"poolclass": sa.pool.NullPool})
    table.create(engine)
    with engine.begin() as connection:
        connection.execute(table.insert(), [{"Name": "a"}, {"Name": "ü😀"}])
    with closing(FirebirdHook("target").get_conn()) as connection, closing(connection.cursor()) as cursor:
        cursor.execute('SELECT "Name" FROM t ORDER BY 1')
        assert cursor.fetchall() == [("a",), ("ü😀",)]


def test_firebird_after_a_killed_process(firebird_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes use a database at once; what a killed one had not committed is gone, locks too."""
    from tests.firebird_hook import FirebirdHook

    monkeypatch.setenv("AIRFLOW_CONN_TARGET", firebird_uri)
    with closing(FirebirdHook("target").get_conn()) as connection, closing(connection.cursor()) as cursor:
        for statement in ("CREATE TABLE t (a INT)", "INSERT INTO t VALUES (1)"):
            cursor.execute(statement)
            connection.commit()
        process = multiprocessing.get_context("spawn").Process(target=_update_and_die)
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        cursor.execute("UPDATE t SET a = a + 1")
        connection.commit()
        cursor.execute("SELECT a FROM t")
        assert cursor.fetchall() == [(2,)]


def _update_and_die() -> None:
    from tests.firebird_hook import FirebirdHook

    FirebirdHook("target").get_conn().cursor().execute("UPDATE t SET a = 100")
    os.kill(os.getpid(), signal.SIGKILL)
