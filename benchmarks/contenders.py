"""The same job done in different ways; each in a process of its own, so that its memory is its own.

    python -m benchmarks.contenders floor DATA_FOLDER

prints seconds, memory and what `benchmarks.run` checks. The clock starts after imports and stops when the
profiles stand in the contender's own table or frame; what is compared is read from there afterwards.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.alone import OUT_OF_MEMORY, spent_by
from benchmarks.data import AS_OF, IDENTIFIERS, Dataset

#: What is called once the clock has stopped, to tell what came out.
Outcome = Callable[[], dict[str, Any]]


def floor(data: Dataset) -> Callable[[], Outcome]:
    """DuckDB grouping by an already resolved key: what no unifier with these output columns can beat."""
    import duckdb

    from benchmarks.compared import profiles_sql, told

    connection = duckdb.connect(config={"preserve_insertion_order": False})

    def work() -> Outcome:
        sources = {name: f"'{data.resolved(name)}'" for name in IDENTIFIERS}
        connection.execute(f"CREATE TABLE profiles AS {profiles_sql(sources)}")
        return lambda: told(connection, "profiles WHERE customer IS NOT NULL")

    return work


def unify(data: Dataset) -> Callable[[], Outcome]:
    """This package, with everything detected by itself."""
    import duckdb
    import pyarrow as pa

    from airflow_provider_customer360.unify import unify as run_unify
    from benchmarks.by_operator import accounted
    from benchmarks.compared import told

    def work() -> Outcome:
        unified = run_unify(data.sources, as_of=AS_OF)

        def outcome() -> dict[str, Any]:
            with unified, duckdb.connect() as checking:
                profiles = unified.profiles
                checking.register(
                    "profiles", pa.RecordBatchReader.from_batches(profiles.schema, profiles.batches())
                )
                return told(checking, "profiles") | accounted(unified.summary)

        return outcome

    return work


def operator(data: Dataset) -> Callable[[], Outcome]:
    """The whole `Customer360Operator`, from Parquet to Postgres."""
    from benchmarks.by_operator import prepared

    return prepared({name: {"path": path} for name, path in data.sources.items()})


def postgres(_: Dataset) -> Callable[[], Outcome]:
    """The whole operator, from Postgres to Postgres."""
    from benchmarks import by_postgres

    return by_postgres.operator()


def postgres_profiles(_: Dataset) -> Callable[[], Outcome]:
    """The same, publishing profiles and nothing else."""
    from benchmarks import by_postgres

    return by_postgres.operator(identities_table=False)


def streaming_out(_: Dataset) -> Callable[[], Outcome]:
    """A part of it alone: reading the sources from Postgres by ADBC."""
    from benchmarks import by_postgres

    return by_postgres.streaming_out()


def copying_profiles(data: Dataset) -> Callable[[], Outcome]:
    """A part of it alone: COPY of the profiles."""
    from benchmarks import by_operator, by_postgres

    return by_postgres.copying_in(data, by_operator.TARGET)


def copying_identities(data: Dataset) -> Callable[[], Outcome]:
    """A part of it alone: COPY of the table of who is who."""
    from benchmarks import by_operator, by_postgres

    return by_postgres.copying_in(data, by_operator.IDENTITIES)


def pandas(data: Dataset) -> Callable[[], Outcome]:
    """By hand in pandas and SciPy."""
    from benchmarks.by_pandas import by_scipy, unified

    return lambda: _framed(unified(data, by_scipy))


def networkx(data: Dataset) -> Callable[[], Outcome]:
    """By hand in pandas and networkx."""
    import networkx  # noqa: F401 - before the clock starts

    from benchmarks.by_pandas import by_networkx, unified

    return lambda: _framed(unified(data, by_networkx))


def polars(data: Dataset) -> Callable[[], Outcome]:
    """By hand in polars and SciPy."""
    from benchmarks.by_polars import unified

    return lambda: _framed(unified(data).to_arrow())


def splink(data: Dataset) -> Callable[[], Outcome]:
    """Splink's deterministic linkage between SQL by hand, all in DuckDB."""
    import duckdb
    import splink  # noqa: F401 - before the clock starts

    from benchmarks.by_splink import unified
    from benchmarks.compared import told

    connection = duckdb.connect(config={"preserve_insertion_order": False})

    def work() -> Outcome:
        unified(connection, data)
        return lambda: told(connection, "profiles WHERE customer IS NOT NULL")

    return work


def naive(data: Dataset) -> Callable[[], Outcome]:
    """What is often done: concatenate, group by the first id-like column, sum. Loses all other records."""
    import pandas as pd

    from benchmarks.compared import ALL_METRICS

    def work() -> Outcome:
        everything = pd.concat([pd.read_parquet(path) for path in data.sources.values()], ignore_index=True)
        key = next(column for column in everything.columns if column.endswith("id"))
        everything[key] = everything[key].astype("string")
        profiles = everything.groupby(key)[ALL_METRICS].sum()
        return lambda: {
            "customers": len(profiles),
            "totals": {name: float(profiles[name].sum()) for name in ALL_METRICS},
        }

    return work


def _framed(profiles: Any) -> Outcome:
    import duckdb

    from benchmarks.compared import told

    def outcome() -> dict[str, Any]:
        with duckdb.connect() as checking:
            checking.register("profiles", profiles)
            return told(checking, "profiles")

    return outcome


CONTENDERS = {
    one.__name__: one
    for one in (
        *(floor, unify, operator),
        *(postgres, postgres_profiles, streaming_out, copying_profiles, copying_identities),
        *(polars, pandas, networkx, splink, naive),
    )
}  # fmt: skip


def main() -> None:
    """Run one contender once and print its result as the last line."""
    name, folder = sys.argv[1:]
    work = CONTENDERS[name](Dataset(Path(folder)))
    try:
        outcome, spent = spent_by(work)
    except Exception as error:
        if isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__:  # NumPy's and DuckDB's
            sys.exit(OUT_OF_MEMORY)
        raise
    print(json.dumps(outcome() | spent), flush=True)


if __name__ == "__main__":
    main()
