"""The ways to load or renew a table; each in a process of its own, so that its memory is its own.

    python -m benchmarks.publishing.contenders DATABASE CONTENDER FOLDER DAY BEFORE

prints seconds, processor seconds and memory of this process. The clock starts after imports and one round
with a thousand rows, and includes reading the Parquet file.
"""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from sqlalchemy import Numeric

from airflow_provider_customer360.publish import Load
from airflow_provider_customer360.publish import publish as publish_to
from benchmarks.alone import spent_by
from benchmarks.publishing.check import differing
from benchmarks.publishing.data import KEY, read
from benchmarks.publishing.databases import DATABASES, Database, postgres_uri

TABLE, WARM_UP = "customers", "warm_up"
WARM_UP_ROWS = 1_000


def by_hand(database: Database, table: str, rows: pa.RecordBatchReader) -> None:
    """Into a new table without a key: nothing else is done with the rows."""
    with closing(database.hook().get_conn()) as connection:
        connection.cursor().execute(database.create(table, rows.schema, key=False))
        database.fill(connection, table, rows)
        connection.commit()


def adbc(database: Database, table: str, rows: pa.RecordBatchReader) -> None:
    """The same by the driver that is made for Arrow."""
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(postgres_uri()) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest(table, rows, mode="create")
        connection.commit()


def publish(database: Database, table: str, rows: pa.RecordBatchReader) -> None:
    """This package."""
    publish_to(database.hook(), [Load(table, rows, rows.schema, (KEY,))])


def replace(database: Database, table: str, rows: pa.RecordBatchReader) -> None:
    """Delete all rows and load all rows, in one transaction: the usual way that readers do not notice."""
    with closing(database.hook().get_conn()) as connection:
        connection.cursor().execute("BEGIN")
        connection.cursor().execute(f"DELETE FROM {table}")
        database.fill(connection, table, rows)
        connection.commit()


def to_sql(database: Database, table: str, rows: pa.RecordBatchReader) -> None:
    """pandas, its defaults but for batches and decimals, into an empty table with a key."""
    decimals = (field for field in rows.schema if pa.types.is_decimal(field.type))
    types: Any = {field.name: Numeric(field.type.precision, field.type.scale) for field in decimals}
    engine = database.hook().get_sqlalchemy_engine()
    with engine.begin() as connection:
        for batch in rows:
            frame: pd.DataFrame = batch.to_pandas()
            frame.to_sql(table, connection, if_exists="append", index=False, chunksize=10_000, dtype=types)


def insert_rows(database: Database, table: str, rows: pa.RecordBatchReader) -> None:
    """Airflow's hook, its defaults, into an empty table with a key."""
    tuples = (row for batch in rows for row in zip(*(one.to_pylist() for one in batch.columns), strict=True))
    database.hook().insert_rows(table, tuples, target_fields=rows.schema.names)


CONTENDERS = {one.__name__: one for one in (by_hand, adbc, publish, replace, to_sql, insert_rows)}


def prepare(database: Database, table: str, before: str, rows: pa.RecordBatchReader) -> None:
    """Bring a table into the state that a contender starts from: nothing, empty, or other rows."""
    database.execute(f"DROP TABLE IF EXISTS {table}")
    if before == "empty":
        database.execute(database.create(table, rows.schema, key=True))
    elif before != "nothing":
        publish(database, table, rows)
        database.execute(database.settle.format(table=table))


def main() -> None:
    """Prepare, run or check, as the arguments say."""
    name, contender, folder, day, before = sys.argv[1:]
    database = DATABASES[name]
    file = Path(folder) / f"{day}.parquet"
    if contender == "prepare":
        source = file if before in ("nothing", "empty") else Path(folder) / f"{before}.parquet"
        prepare(database, TABLE, before, read(source))
        return
    if contender == "check":
        print(json.dumps({"differing": differing(database, TABLE, file)}))
        return
    work = CONTENDERS[contender]
    prepare(database, WARM_UP, before, read(file, WARM_UP_ROWS))
    work(database, WARM_UP, read(file, WARM_UP_ROWS))
    database.execute(f"DROP TABLE {WARM_UP}")
    _, spent = spent_by(lambda: work(database, TABLE, read(file)))
    print(json.dumps(spent), flush=True)


if __name__ == "__main__":
    main()
