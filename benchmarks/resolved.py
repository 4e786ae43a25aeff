"""The answer to the benchmark's data, by code that shares nothing with the package: which customer a row has.

The floor groups by it, and the checks compare with it. Not timed, and simple rather than fast: the spellings
that `benchmarks.data` uses are undone, distinct identifiers numbered, SciPy finds the connected components.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from benchmarks.compared import profiles_sql, told
from benchmarks.data import IDENTIFIERS, METRICS

if TYPE_CHECKING:
    from benchmarks.data import Dataset

_JUNK = "('n/a', 'test@test.com', '', 'null', 'unknown', '000-0000')"
_PLAIN = {
    "email": "lower(trim({0}))",
    "phone": "ltrim(regexp_replace({0}, '[^0-9]', '', 'g'), '0')",
    "customer_id": "regexp_replace(trim({0}::VARCHAR), '\\.0$', '')",
    "user_id": "{0}",
    "anonymous_id": "{0}",
}


def plain(kind: str, column: str) -> str:
    """An identifier of the benchmark's data without its spelling variants, as a SQL expression."""
    value = _PLAIN[kind].format(column)
    return f"CASE WHEN {column}::VARCHAR NOT IN {_JUNK} THEN '{kind}:' || {value} END"


def write_resolved(data: Dataset) -> dict[str, Any]:
    """Write ``resolved/``; returns the facts that results are checked against."""
    with duckdb.connect(config={"preserve_insertion_order": False}) as connection:
        for name in IDENTIFIERS:
            _number_identifiers(connection, data, name)
        _find_customers(connection)
        for name, kinds in IDENTIFIERS.items():
            anchor = ", ".join(f"n{j}" for j in range(len(kinds)))
            connection.execute(
                f"COPY (SELECT s.* EXCLUDE (file_row_number), l.customer, s.file_row_number AS row "
                f"FROM read_parquet('{data.source(name)}', file_row_number = true) s "
                f"JOIN rows_{name} r ON r.row = s.file_row_number "
                f"LEFT JOIN labels l ON l.node = coalesce({anchor}, NULL)) "
                f"TO '{data.resolved(name)}' (FORMAT parquet, COMPRESSION zstd)"
            )
        return _facts(connection, data)


def _number_identifiers(connection: duckdb.DuckDBPyConnection, data: Dataset, name: str) -> None:
    """Make ``rows_<source>``: the numbers n0, n1, ... of each row's identifiers; adds to ``nodes``."""
    kinds = IDENTIFIERS[name]
    values = ", ".join(f"{plain(kind, kind)} AS v{j}" for j, kind in enumerate(kinds))
    connection.execute(
        f"CREATE TEMP TABLE plain AS SELECT file_row_number AS row, {values} "
        f"FROM read_parquet('{data.source(name)}', file_row_number = true)"
    )
    connection.execute("CREATE TABLE IF NOT EXISTS nodes (v VARCHAR, node BIGINT)")
    distinct = " UNION ".join(
        f"SELECT v{j} AS v FROM plain WHERE v{j} IS NOT NULL" for j in range(len(kinds))
    )
    connection.execute(
        "INSERT INTO nodes SELECT v, (SELECT count(*) FROM nodes) + row_number() OVER () - 1 "
        f"FROM ({distinct}) WHERE v NOT IN (SELECT v FROM nodes)"
    )
    numbers = ", ".join(f"x{j}.node AS n{j}" for j in range(len(kinds)))
    joins = " ".join(f"LEFT JOIN nodes x{j} ON x{j}.v = plain.v{j}" for j in range(len(kinds)))
    connection.execute(f"CREATE TABLE rows_{name} AS SELECT row, {numbers} FROM plain {joins}")
    connection.execute("DROP TABLE plain")


def _find_customers(connection: duckdb.DuckDBPyConnection) -> None:
    """Register ``labels``: the customer of each identifier's number."""
    links = " UNION ".join(
        f"SELECT n{i} AS a, n{j} AS b FROM rows_{name} WHERE n{i} IS NOT NULL AND n{j} IS NOT NULL"
        for name, kinds in IDENTIFIERS.items()
        for j in range(len(kinds))
        for i in range(j)
    )
    pairs = connection.execute(links).fetchnumpy()
    (size,) = connection.execute("SELECT count(*) FROM nodes").fetchall()[0]
    graph = coo_array((np.ones(len(pairs["a"]), np.int8), (pairs["a"], pairs["b"])), shape=(size, size))
    _, labels = connected_components(graph, directed=False)
    connection.register("labels", pa.table({"node": np.arange(size), "customer": labels.astype(np.int64)}))


def _facts(connection: duckdb.DuckDBPyConnection, data: Dataset) -> dict[str, Any]:
    totals = {
        metric: connection.execute(f"SELECT sum({metric}) FROM '{data.source(name)}'").fetchall()[0][0]
        for name, metrics in METRICS.items()
        for metric in metrics
    }
    rows = " UNION ALL ".join(
        f"SELECT r.customer, t.person FROM '{data.resolved(name)}' r JOIN "
        f"read_parquet('{data.truth(name)}', file_row_number = true) t ON t.file_row_number = r.row"
        for name in IDENTIFIERS
    )
    connection.execute(
        f"CREATE TEMP TABLE pairs AS SELECT customer, person, count(*) AS n FROM ({rows}) GROUP BY ALL"
    )
    questions = {
        "rows": "SELECT sum(n) FROM pairs",
        "customers": "SELECT count(DISTINCT customer) FROM pairs",
        "unidentified": "SELECT coalesce(sum(n), 0) FROM pairs WHERE customer IS NULL",
        "strangers_merged": "SELECT count(*) FROM (SELECT customer FROM pairs WHERE customer IS NOT NULL "
        "GROUP BY customer HAVING count(*) > 1)",
    }
    answers = {key: int(connection.execute(sql).fetchall()[0][0]) for key, sql in questions.items()}
    profiles = profiles_sql({name: f"'{data.resolved(name)}'" for name in IDENTIFIERS})
    expected = told(connection, f"({profiles}) WHERE customer IS NOT NULL")
    assert expected["customers"] == answers["customers"]
    return answers | {
        "totals": {name: float(total) for name, total in totals.items()},
        "fingerprint": expected["fingerprint"],
    }
