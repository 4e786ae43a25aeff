"""Tables of two databases become one table in a third place, with classic operators only.

Connections: `crm_db` (PostgreSQL here), `shop_db` (SQLite here) and `warehouse` for the result. Any
database with an Airflow SQL hook can be a source. The two tasks that create the tables only make the
example complete.
"""

from datetime import timedelta

import pendulum
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.sdk import DAG

from airflow_provider_customer360 import Customer360Operator

with DAG(
    "customer360_sql",
    schedule="@daily",
    start_date=pendulum.datetime(2026, 1, 1),
    catchup=False,
    tags=["customer360"],
):
    create_contacts = SQLExecuteQueryOperator(
        task_id="create_contacts",
        conn_id="crm_db",
        sql=[
            "drop table if exists contacts",
            "create table contacts (customer_id bigint, name text, email text, modified timestamptz)",
            """insert into contacts values
                (1001, 'Ada Lovelace', 'ada@engine.example', '2026-01-05 09:30:00+00'),
                (1002, 'Grace Hopper', 'grace@navy.example', '2026-01-18 12:00:00+00'),
                (1003, 'Alan Turing', 'alan@machine.example', '2025-10-02 16:20:00+00')""",
        ],
    )
    create_orders = SQLExecuteQueryOperator(
        task_id="create_orders",
        conn_id="shop_db",
        sql=[
            "drop table if exists orders",
            "create table orders (order_id int, cust_no int, email text, amount numeric, status text)",
            """insert into orders values
                (1, 1001, null, 120.25, 'paid'),
                (2, null, 'ADA@engine.example', 79.75, 'paid'),
                (3, 1002, null, 310.50, 'paid'),
                (4, 1002, null, 999.00, 'cancelled'),
                (5, null, 'newcomer@first.example', 20.00, 'paid')""",
        ],
    )
    unify_customers = Customer360Operator(
        task_id="unify_customers",
        asset_name="warehouse_customers",
        sources={
            "crm": {"conn_id": "crm_db", "table": "contacts"},
            "shop": {
                "conn_id": "shop_db",
                "sql": "select cust_no, email, amount, 1 as orders from orders where status = 'paid'",
            },
        },
        metrics=["amount", "orders"],
        derived={"average_order_value": "amount / nullif(orders, 0)"},
        active_within=timedelta(days=60),
        # Or nothing is published. To publish all the same, once:
        # airflow dags trigger customer360_sql --conf '{"customer360_skip_checks": true}'
        checks={
            "max_customers_fall": 0.1,
            "max_fill_rate_change": {"email": 0.05},
            "no_rows": {"no negative amounts": "SELECT customer_id FROM profiles WHERE amount < 0"},
        },
        target_conn_id="warehouse",
        target_table="customer360",
    )
    [create_contacts, create_orders] >> unify_customers
