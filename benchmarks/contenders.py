"""The same job done in different ways; each in a process of its own, so that its memory is its own.

    python -m benchmarks.contenders floor DATA_FOLDER

prints what `benchmarks.run` checks: customers, totals of the metrics (over profiles plus unidentified
records) and seconds. The clock starts after imports and stops when the profiles stand in the contender's own
table or frame.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.data import AS_OF, ATTRIBUTES, EVENT_TIMES, IDENTIFIERS, METRICS, Dataset

Result = dict[str, Any]


def unify(data: Dataset) -> Callable[[], Result]:
    """This package, with everything detected by itself."""
    import scipy.sparse.csgraph  # noqa: F401 - loaded by all contenders before the clock starts

    from airflow_provider_customer360.unify.pipeline import unify as run_unify

    def work() -> Result:
        with run_unify(data.sources, as_of=AS_OF) as unified:
            summary = unified.summary
        metrics = summary["metrics"].items()
        return {
            "customers": summary["total_customers"],
            "totals": {name: float(m["total"]) + float(m["unidentified"]) for name, m in metrics},
            "stages": summary["duration_seconds"],
        }

    return work


def floor(data: Dataset) -> Callable[[], Result]:
    """DuckDB grouping by an already resolved key: what no unifier with these output columns can beat."""
    import duckdb

    connection = duckdb.connect(config={"preserve_insertion_order": False})

    def work() -> Result:
        connection.execute(f"CREATE TABLE profiles AS {floor_sql(data)}")
        (customers,) = connection.execute("SELECT count(customer) FROM profiles").fetchall()[0]
        totals = {
            name: float(connection.execute(f"SELECT sum({name}) FROM profiles").fetchall()[0][0])
            for names in METRICS.values()
            for name in names
        }
        return {"customers": customers, "totals": totals}

    return work


def floor_sql(data: Dataset) -> str:
    """Each source grouped by customer, then the sources put together; the row without customer is kept."""
    kinds = list(dict.fromkeys(kind for kinds in IDENTIFIERS.values() for kind in kinds))
    items = [
        "customer",
        *(f"arg_max({kind}, {kind}_at) AS {kind}" for kind in kinds),
        *(f"any_value({name}) AS {name}" for names in ATTRIBUTES.values() for name in names),
        *(f"coalesce(sum({name}), 0) AS {name}" for names in METRICS.values() for name in names),
        *(f"coalesce(sum({name}_records), 0)::BIGINT AS {name}_records" for name in IDENTIFIERS),
        "sum(records)::BIGINT AS total_records",
        "count(*) AS data_sources",
        "min(first_seen) AS first_seen",
        "max(last_seen) AS last_seen",
        f"max(last_seen) >= TIMESTAMP '{AS_OF:%Y-%m-%d}' - INTERVAL 30 DAY AS is_active",
    ]
    parts = " UNION ALL BY NAME ".join(_floor_source(data, name) for name in IDENTIFIERS)
    return f"SELECT {', '.join(items)} FROM ({parts}) GROUP BY customer"


def _floor_source(data: Dataset, name: str) -> str:
    at = EVENT_TIMES[name]
    items = ["customer", "count(*) AS records", f"count(*) AS {name}_records"]
    items += [f"min({at}) AS first_seen", f"max({at}) AS last_seen"]
    items += [f"sum({metric}) AS {metric}" for metric in METRICS[name]]
    items += [f"arg_max({attribute}, {at}) AS {attribute}" for attribute in ATTRIBUTES[name]]
    for kind in IDENTIFIERS[name]:
        items.append(f"arg_max({kind}, {at})::VARCHAR AS {kind}")
        items.append(f"max({at}) FILTER ({kind} IS NOT NULL) AS {kind}_at")
    return f"SELECT {', '.join(items)} FROM '{data.resolved(name)}' GROUP BY customer"


def naive(data: Dataset) -> Callable[[], Result]:
    """What is often done: concatenate, group by the first id-like column, sum. Loses all other records."""
    import pandas as pd

    def work() -> Result:
        everything = pd.concat([pd.read_parquet(path) for path in data.sources.values()], ignore_index=True)
        key = next(column for column in everything.columns if column.endswith("id"))
        everything[key] = everything[key].astype("string")
        metrics = [name for names in METRICS.values() for name in names]
        profiles = everything.groupby(key)[metrics].sum()
        return {"customers": len(profiles), "totals": {name: float(profiles[name].sum()) for name in metrics}}

    return work


def pandas(data: Dataset) -> Callable[[], Result]:
    """The job by hand in pandas and SciPy."""
    from benchmarks.by_pandas import unified

    return lambda: unified(data)


def operator(data: Dataset) -> Callable[[], Result]:
    """The whole `Customer360Operator`, publishing to the Postgres of connection ``customer360_benchmark``."""
    from benchmarks.by_operator import prepared

    return prepared(data)


CONTENDERS = {one.__name__: one for one in (unify, floor, pandas, naive, operator)}


def main() -> None:
    """Run one contender once and print its result as the last line."""
    name, folder = sys.argv[1:]
    work = CONTENDERS[name](Dataset(Path(folder)))
    started, cpu = time.perf_counter(), time.process_time()
    result = work()
    spent = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu}
    print(json.dumps(result | spent), flush=True)


if __name__ == "__main__":
    main()
