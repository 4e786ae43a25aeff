"""Whether a table holds exactly the rows of a file: their number and a checksum of every column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import duckdb
import pyarrow as pa

from benchmarks.publishing.data import KEY, read
from benchmarks.publishing.databases import Database


def differing(database: Database, table: str, file: Path) -> list[str]:
    """What differs: names of columns, or how many rows there are instead."""
    schema = read(file).schema
    with closing(database.hook().get_conn()) as connection:
        found = _checksums(schema, database.rows(connection, table, schema))
    expected = _checksums(schema, read(file))
    if found["rows"] != expected["rows"]:
        return [f"{found['rows']:,} rows instead of {expected['rows']:,}"]
    return [name for name in expected if found[name] != expected[name]]


def _checksums(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Counter[str]:
    """The number of rows and, by column, the sum of the hashes of key and value."""
    items = ["count(*) AS rows", *(f"sum(hash({KEY}, {name})::HUGEINT) AS {name}" for name in schema.names)]
    sums: Counter[str] = Counter()
    with duckdb.connect() as connection:
        for batch in batches:  # DuckDB would read a stream in another thread, which SQLite refuses
            connection.register("batch", pa.Table.from_batches([batch]))
            ((*row,),) = connection.execute(f"SELECT {', '.join(items)} FROM batch").fetchall()
            sums.update(dict(zip(("rows", *schema.names), row, strict=True)))
    return sums
