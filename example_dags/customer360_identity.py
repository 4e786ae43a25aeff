"""Who is one customer: settings, manual rules, rows mapped back, and a task that looks at what changed.

The identities are kept from run to run, so that customers keep their ids; every decision about who is who is
on record in `known_customers_identity_events`. Why Ada is one customer:

    airflow customer360 explain C-1 --table known_customers
"""

import pendulum
from airflow.sdk import dag, task

from airflow_provider_customer360 import Customer360Operator


@task(show_return_value_in_logs=False)
def extract_crm():
    import pandas as pd

    return pd.DataFrame(
        {
            "customer_id": ["C-1", "C-2", "C-3", "C-4"],
            "full_name": ["Ada Lovelace", "A. Lovelace", "Grace Hopper", "Vincent Hopper"],
            "email": ["ada@engine.example", "ADA@engine.example ", "grace@navy.example", None],
            "phone": ["020 7946 0018", None, "+12025550143", "+12025550143"],
        }
    )


@task(show_return_value_in_logs=False)
def extract_orders():
    import pandas as pd

    return pd.DataFrame(
        {
            "order_no": ["o-1", "o-2", "o-3"],
            "phone": ["+44 20 7946 0018", "+12025550143", None],
            "email": [None, None, "vincent@navy.example"],
            "amount": [120.0, 80.0, 15.5],
        }
    )


@task(show_return_value_in_logs=False)
def decided_by_hand():
    """In real life a table that the customer service keeps: {"conn_id": …, "table": "must_link"}."""
    import pandas as pd

    return pd.DataFrame(
        {
            "identifier_type": ["customer_id"],
            "identifier_value": ["C-4"],
            "other_identifier_type": ["email"],
            "other_identifier_value": ["vincent@navy.example"],
            "reason": ["said so on the phone"],
        }
    )


@task
def look_at_changes(summary):
    """Merges are worth a look; a branch or an alert would go here."""
    events = summary["identity_events"]
    return f"{events['created']} new customers, {events['merged']} merged, {events['split']} split"


@dag(
    schedule="@daily",
    start_date=pendulum.datetime(2026, 1, 1),
    catchup=False,
    tags=["customer360"],
)
def customer360_identity():
    unify = Customer360Operator(
        task_id="unify_customers",
        asset_name="known_customers",
        sources={"crm": extract_crm(), "orders": {"data": extract_orders(), "key": "order_no"}},
        # Numbers without country code are British; one phone behind two names links nobody by itself.
        identifier_types={"phone": {"region": "GB"}, "email": {"limit": 4}},
        must_link=decided_by_hand(),
        survivorship={"full_name": "longest"},
        assignments_table=True,
    )
    look_at_changes(unify.output)


customer360_identity()
