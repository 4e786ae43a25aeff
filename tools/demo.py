"""`make demo`: run example_dags/customer360_taskflow.py through Airflow and show what it left."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".airflow"
LOG = HOME / "demo.log"
DAG_ID = "customer360_taskflow"
DATABASE = HOME / "customer360.duckdb"


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


def print_table(table: str) -> None:
    """Print a table of the DuckDB file, aligned; times to the day, so that a row fits on a screen."""
    import duckdb

    with duckdb.connect(DATABASE, read_only=True) as database:
        result = database.sql(f'select * from "{table}" order by all')
        names = result.columns
        rows = result.fetchall()
    cells = [names, *([shown(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def shown(value: Any) -> str:
    if value is None:
        return "-"
    return value.strftime("%Y-%m-%d") if hasattr(value, "strftime") else str(value)


def main() -> None:
    HOME.mkdir(exist_ok=True)
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
    print()
    print_table(summary["target_table"])
    print()
    sources = ", ".join(f"{name} {source['records']}" for name, source in summary["sources"].items())
    print(f"{summary['total_records']} records ({sources}) are {summary['total_customers']} customers,")
    print(
        f"{summary['active_customers']} of them active at {summary['as_of'][:10]}; "
        f"{summary['unidentified_records']} records without an identifier."
    )
    print("Grace's order has only her private e-mail, the CRM only her phone; a ticket has both.")
    print()
    print(f"Table    {summary['target_table']} in {DATABASE}")
    print(f"DAG      {ROOT / 'example_dags' / DAG_ID}.py")
    print(f"Log      {LOG}")


if __name__ == "__main__":
    main()
