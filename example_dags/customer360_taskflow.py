"""DataFrames of three TaskFlow tasks become one table with one row per customer.

No source knows all about anyone. Grace's order carries only her private e-mail address, the CRM only
her phone number; it takes the support ticket, which has both, to see that the order is hers.
"""

import pendulum
from airflow.sdk import dag, task

from airflow_provider_customer360 import Customer360Operator


@task(show_return_value_in_logs=False)  # customers do not belong in a log
def extract_crm():
    import pandas as pd

    return pd.DataFrame(
        [
            ("C-1001", "Ada Lovelace", "ada@engine.example", "+44 20 7946 0018", "London"),
            ("C-1002", "Grace Hopper", None, "+1 (202) 555-0143", "Arlington"),
            ("C-1003", "Katherine Johnson", "katherine@orbit.example", None, "Hampton"),
            ("C-1004", "Alan Turing", "alan@machine.example", None, "Manchester"),
        ],
        columns=["customer_id", "full_name", "email", "phone", "city"],
    )


@task(show_return_value_in_logs=False)
def extract_orders():
    import pandas as pd

    return pd.DataFrame(
        [
            (1, "ADA@engine.example ", 120.00, "2026-01-05T09:30:00Z"),
            (2, "ada@engine.example", 79.90, "2026-01-20T18:05:00Z"),
            (3, "grace@home.example", 310.50, "2026-01-18T12:00:00Z"),
            (4, "katherine@orbit.example", 45.00, "2026-01-25T07:45:00Z"),
            (5, "alan@machine.example", 60.00, "2025-10-02T16:20:00Z"),
            (6, "newcomer@first.example", 19.90, "2026-01-28T21:10:00Z"),
        ],
        columns=["order_id", "customerEmail", "amount", "ordered_at"],
    ).astype({"ordered_at": "datetime64[ns, UTC]"})


@task(show_return_value_in_logs=False)
def extract_tickets():
    import pandas as pd

    return pd.DataFrame(
        [
            ("T-1", "Grace@Home.example", "+1 202 555 0143", 25, "2026-01-19T08:00:00Z"),
            ("T-2", None, "+44 2079460018", 10, "2026-01-21T15:30:00Z"),
        ],
        columns=["ticket_id", "email", "phone", "support_minutes", "created_at"],
    ).astype({"created_at": "datetime64[ns, UTC]"})


@dag(schedule="@daily", start_date=pendulum.datetime(2026, 1, 1), catchup=False, tags=["customer360"])
def customer360_taskflow():
    Customer360Operator(
        task_id="unify_customers",
        asset_name="unified_customers",
        sources={"crm": extract_crm(), "orders": extract_orders(), "tickets": extract_tickets()},
    )


customer360_taskflow()
