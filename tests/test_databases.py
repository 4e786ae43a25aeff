"""The databases that tests run on are what the tests take them for."""

from __future__ import annotations

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
