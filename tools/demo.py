"""`make demo`: run example_dags/customer360_taskflow.py through Airflow and show what it left."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".airflow"
LOG = HOME / "demo.log"
DAG_ID = "customer360_taskflow"
WIDTH = 110
#: The table counts every source's records too; the demo shows their total.
PER_SOURCE = ("crm_records", "orders_records", "tickets_records")


@contextlib.contextmanager
def output_to(log: Path) -> Iterator[None]:
    """Everything that this process and its children print goes to a file."""
    kept = os.dup(1), os.dup(2)
    sys.stdout.flush()
    with log.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, target in zip(kept, (1, 2), strict=True):
            os.dup2(descriptor, target)


def run_dag() -> dict[str, Any]:
    """Migrate the metadata database, run the DAG, give the summary that its last task returned."""
    import pendulum
    from airflow.dag_processing.dagbag import BundleDagBag
    from airflow.utils.db import initdb

    initdb()
    folder = ROOT / "example_dags"
    dag = BundleDagBag(folder / f"{DAG_ID}.py", bundle_path=folder, bundle_name="dags-folder").dags[DAG_ID]
    run = dag.test(logical_date=pendulum.datetime(2026, 1, 31))
    if run.state != "success":
        raise RuntimeError(f"the DAG run ended as {run.state}")
    with contextlib.closing(sqlite3.connect(HOME / "airflow.db")) as metadata:
        [(value,)] = metadata.execute(
            "select value from xcom where run_id = ? and task_id = 'unify_customers'"
            " and key = 'return_value'",
            (run.run_id,),
        ).fetchall()
    summary: dict[str, Any] = json.loads(value)
    return summary


def print_table(database: str, table: str) -> None:
    """Print a DuckDB table, aligned: as many columns side by side as fit, the customer before each part."""
    import duckdb

    with duckdb.connect(database, read_only=True) as connection:
        result = connection.table(table).order("customer_id")
        names, rows = result.columns, result.fetchall()
    columns = [
        [name, *map(shown, values)] for name, values in zip(names, zip(*rows, strict=True), strict=True)
    ]
    padded = [[text.ljust(max(map(len, column))) for text in column] for column in columns]
    key, *rest = [column for column in padded if not column[0].strip().endswith(PER_SOURCE)]
    parts = [[key]]
    for column in rest:
        if sum(len(one[0]) + 2 for one in [*parts[-1], column]) > WIDTH:
            parts.append([key])
        parts[-1].append(column)
    for part in parts:
        print()
        for line in zip(*part, strict=True):
            print("  ".join(line).rstrip())


def shown(value: object) -> str:
    """A value as text: times to the day, digests shortened."""
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d}"
    text = str(value)
    return text if len(text) <= 24 else f"{text[:15]}..."


def main() -> None:
    HOME.mkdir(exist_ok=True)
    (HOME / "customer360.duckdb").unlink(missing_ok=True)  # each demo starts from nothing
    for name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
        del os.environ[name]  # the demo touches nobody's Airflow
    os.environ |= {
        "AIRFLOW_HOME": str(HOME),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "example_dags"),
        "AIRFLOW__DAG_FACTORY__ENABLE_TELEMETRY": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    print(f"Running the DAG {DAG_ID} through Airflow ...", flush=True)
    try:
        with output_to(LOG):
            summary = run_dag()
    except BaseException as error:
        sys.exit(f"The demo failed: {error}. Airflow's log: {LOG}")
    print_table(summary["target"], summary["target_table"])
    print()
    sources = ", ".join(f"{name} {source['records']}" for name, source in summary["sources"].items())
    print(f"{summary['total_records']} records ({sources}) are {summary['total_customers']} customers,")
    print(
        f"{summary['active_customers']} of them active at {summary['as_of'][:10]}; "
        f"{summary['unidentified_records']} records without an identifier."
    )
    print("Grace's order has only her private e-mail, the CRM only her phone; a ticket has both.")
    print()
    print(f"Table    {summary['target_table']} in {summary['target']}")
    print(f"DAG      {ROOT / 'example_dags' / DAG_ID}.py")
    print(f"Log      {LOG}")
    airflow = Path(sys.executable).with_name("airflow")
    print(f"Explain  AIRFLOW_HOME={HOME} {airflow} customer360 explain C-1002 -t {summary['target_table']}")


if __name__ == "__main__":
    main()
