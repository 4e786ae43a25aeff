"""The whole way through Airflow with MySQL at both ends."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.airflow.support import DAY, Ran, run_dag
from tests.mariadb_server import CLIENTS, MariaDB

Row = tuple[Any, ...]


@pytest.fixture(params=CLIENTS)
def shop(
    request: pytest.FixtureRequest, mariadb: MariaDB, mariadb_database: str, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """A hook of the shop's database; its tables have words of SQL as names, its days are the server's."""
    from airflow.providers.mysql.hooks.mysql import MySqlHook

    monkeypatch.setenv("AIRFLOW_CONN_SHOP", mariadb.airflow_uri(mariadb_database, request.param))
    hook = MySqlHook("shop")
    execute(
        hook,
        "CREATE TABLE `order` (no int PRIMARY KEY, email varchar(50), amount decimal(10,2), is_gift bit(1), "
        "ordered_at timestamp NULL)",
        "CREATE TABLE crm (customer_id varchar(20), email varchar(50), updated_at datetime)",
        "INSERT INTO `order` VALUES (1, 'ana@x.example', 1.25, b'1', '2026-01-30 22:00:00'), "
        "(2, 'ANA@x.example', 2.50, b'0', '2026-01-01'), (3, 'bob@x.example', 4, b'0', '2025-01-01')",
        "INSERT INTO crm VALUES ('c1', 'ana@x.example', '2025-06-01'), ('C1', 'bob@x.example', '2025-06-01')",
    )
    return hook


def execute(hook: Any, *statements: str) -> list[Row]:
    """Run and commit statements; return the rows of the last one."""
    with closing(hook.get_conn()) as connection, closing(connection.cursor()) as cursor:
        for statement in statements:
            cursor.execute(statement)
        rows = list(map(tuple, cursor.fetchall())) if cursor.description else []
        connection.commit()
        return rows


def build() -> None:
    """One task, from the shop's tables to the shop's database."""
    from airflow_provider_customer360 import Customer360Operator

    Customer360Operator(
        task_id="unify",
        asset_name="customers",
        sources={"orders": {"conn_id": "shop", "table": "order"}, "crm": {"conn_id": "shop", "table": "crm"}},
        target_conn_id="shop",
        assignments_table=True,
    )


def ran(home: Path) -> dict[str, Any]:
    """The summary of one more run of the same day."""
    [run] = run_dag(home, build, logical_date=DAY)
    return summary(run)


def summary(run: Ran) -> dict[str, Any]:
    assert run.states["unify"] == "success", run.errors
    found: dict[str, Any] = run.returned["unify"]
    return found


TABLES = ("customers", "customers_identities", "customers_identity_events", "customers_assignments")


def test_every_day_again(shop: Any, airflow_db: None, airflow_home: Path) -> None:
    """Instants are of the server's zone, ids differ by case, and a rerun changes no row of any table."""
    first = ran(airflow_home)
    assert first["rows_inserted"] == 2
    columns = "customer_id, amount, total_records, last_seen, is_active"
    rows = execute(shop, f"SELECT {columns} FROM customers ORDER BY email")
    # 22:00 in the server's zone, UTC-3:30, is the next day in UTC.
    assert [(*row[:3], str(row[3]), row[4]) for row in rows] == [
        ("c1", 3.75, 3, "2026-01-31 01:30:00", 1),
        ("C1", 4, 2, "2025-06-01 00:00:00", 0),
    ]
    before = {table: sorted(execute(shop, f"SELECT * FROM {table}"), key=repr) for table in TABLES}
    again = ran(airflow_home)
    assert (again["rows_inserted"], again["rows_updated"], again["rows_unchanged"]) == (0, 0, 2)
    assert before == {table: sorted(execute(shop, f"SELECT * FROM {table}"), key=repr) for table in TABLES}


def test_ids_stay(shop: Any, airflow_db: None, airflow_home: Path) -> None:
    """What the run before published is read again: who was known by an e-mail keeps the id of that."""
    execute(shop, "DELETE FROM crm")
    ran(airflow_home)
    ((before,),) = execute(shop, "SELECT customer_id FROM customers WHERE email = 'ana@x.example'")
    execute(shop, "INSERT INTO crm VALUES ('c7', 'ana@x.example', '2026-01-31')")
    ran(airflow_home)
    ((after,),) = execute(shop, "SELECT customer_id FROM customers WHERE email = 'ana@x.example'")
    assert after == before
    assert execute(shop, "SELECT status FROM customers_identities WHERE identifier_value = 'c7'") == [
        ("linked",)
    ]
