"""From Postgres to Postgres: the whole operator, and the parts that nobody can do without, each alone.

    python -m benchmarks.by_postgres DATA_FOLDER

brings a Postgres into the state that they start from: the sources as tables, and beside the data what
`unify` makes of it, as Parquet to be loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.by_operator import CONNECTION, IDENTITIES, TARGET, arrow_connection, drop, prepared, published
from benchmarks.data import AS_OF, ROWS_A_PERSON, Dataset
from benchmarks.publishing.databases import DATABASES

Outcome = Callable[[], dict[str, Any]]
_BATCH_ROWS = 100_000


def operator(**parameters: Any) -> Callable[[], Outcome]:
    """The operator with the tables as its sources."""
    return prepared({name: {"conn_id": CONNECTION, "table": name} for name in ROWS_A_PERSON}, **parameters)


def streaming_out() -> Callable[[], Outcome]:
    """ADBC reads all rows of all sources, and nothing is done with them."""
    arrow_connection().close()

    def work() -> Outcome:
        rows = 0
        with arrow_connection() as connection, connection.cursor() as cursor:
            for name in ROWS_A_PERSON:
                cursor.execute(f"SELECT * FROM {name}")
                rows += sum(batch.num_rows for batch in cursor.fetch_record_batch())
        return lambda: {"rows": rows}

    return work


def copying_in(data: Dataset, table: str) -> Callable[[], Outcome]:
    """COPY of what `unify` made, into a new table without a key."""
    database = DATABASES["postgres"]
    drop(table)

    def work() -> Outcome:
        rows = _read(_made(data, table))
        with closing(database.hook().get_conn()) as connection:
            connection.cursor().execute(database.create(table, rows.schema, key=False))
            database.fill(connection, table, rows)
            connection.commit()
        return published if table == TARGET else lambda: {}

    return work


def prepare(data: Dataset) -> None:
    """Load the sources, and write what `unify` makes of them."""
    from airflow_provider_customer360.unify import unify

    database = DATABASES["postgres"]
    drop(*ROWS_A_PERSON)
    for name, path in data.sources.items():
        with arrow_connection() as connection, connection.cursor() as cursor:
            cursor.adbc_ingest(name, _read(Path(path)), mode="create")
            connection.commit()
        database.execute(f"VACUUM ANALYZE {name}")
    with unify(data.sources, as_of=AS_OF) as unified:
        for frame, table in ((unified.profiles, TARGET), (unified.identities, IDENTITIES)):
            with pq.ParquetWriter(_made(data, table), frame.schema) as writer:
                for batch in frame.batches():
                    writer.write_batch(batch)


def _made(data: Dataset, table: str) -> Path:
    return data.folder / f"made-{table}.parquet"


def _read(path: Path) -> pa.RecordBatchReader:
    parquet = pq.ParquetFile(path)
    schema = parquet.schema_arrow.remove_metadata()
    return pa.RecordBatchReader.from_batches(schema, parquet.iter_batches(_BATCH_ROWS))


if __name__ == "__main__":
    prepare(Dataset(Path(sys.argv[1])))
