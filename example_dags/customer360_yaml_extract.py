"""What the PythonOperator of customer360_yaml.yml calls."""


def extract_tickets():
    import pandas as pd

    return pd.DataFrame(
        [
            ("T-1", "Grace@navy.example ", 25, "2026-01-19T08:00:00Z"),
            ("T-2", "grace@navy.example", 5, "2026-01-20T10:15:00Z"),
            ("T-3", "ada@engine.example", 10, "2026-01-21T15:30:00Z"),
        ],
        columns=["ticket_id", "email", "support_minutes", "created_at"],
    ).astype({"created_at": "datetime64[ns, UTC]"})
