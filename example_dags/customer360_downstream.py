"""Runs whenever customer360_taskflow has published its table, and reads the summary of that very run."""

from airflow.sdk import Asset, dag, task


@task
def report(triggering_asset_events=None):
    summaries = [event.extra for events in triggering_asset_events.values() for event in events]
    latest = summaries[-1]
    print(f"{latest['active_customers']} of {latest['total_customers']} customers are active.")
    if latest["unidentified_records"] > 0.1 * latest["total_records"]:
        raise ValueError(f"{latest['unidentified_records']} records without a usable identifier")
    return {name: latest[name] for name in ("target_table", "total_customers", "active_customers")}


@dag(schedule=[Asset("unified_customers")], catchup=False, tags=["customer360"])
def customer360_downstream():
    report()


customer360_downstream()
