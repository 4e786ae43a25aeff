"""The databases: how each is loaded by hand, as fast as it takes rows, and read again."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from benchmarks.by_operator import CONNECTION
from benchmarks.publishing.data import BATCH_ROWS, KEY

_INSTANT = pa.timestamp("us", "UTC")


@dataclass(frozen=True)
class Database:
    """What the contenders need to know.

    Attributes:
        hook: makes the Airflow hook of the benchmark's connection.
        types: Arrow type to the type of a column.
        fill: appends rows to a table, in the connection's transaction.
        rows: reads a table again, in the types of a schema.
        settle: what the database does by itself some time after many rows were written.
    """

    hook: Callable[[], Any]
    types: Mapping[str, str]
    fill: Callable[[Any, str, pa.RecordBatchReader], None]
    rows: Callable[[Any, str, pa.Schema], Iterator[pa.RecordBatch]]
    settle: str = ""

    def execute(self, *statements: str) -> None:
        """Run statements one by one, each committed by itself."""
        for statement in filter(None, statements):
            with closing(self.hook().get_conn()) as connection:
                if statement.startswith("VACUUM"):
                    connection.autocommit = True
                connection.cursor().execute(statement)
                connection.commit()

    def create(self, table: str, schema: pa.Schema, *, key: bool) -> str:
        """The statement for an empty table, with a primary key or without."""
        columns = ", ".join(f"{field.name} {self._type(field)}" for field in schema)
        return f"CREATE TABLE {table} ({columns}{f', PRIMARY KEY ({KEY})' if key else ''})"

    def _type(self, field: pa.Field) -> str:
        if pa.types.is_decimal(field.type):
            return self.types["decimal"].format(p=field.type.precision, s=field.type.scale)
        # MySQL has no keys of unlimited length.
        return self.types["key"] if field.name == KEY else self.types[str(field.type)]


def _copy(connection: Any, table: str, rows: pa.RecordBatchReader) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL TIME ZONE 'UTC'")
        with cursor.copy(f"COPY {table} FROM STDIN (FORMAT csv)") as copy:
            for batch in rows:
                copy.write(_csv(batch))


def _csv(batch: pa.RecordBatch) -> memoryview:
    """CSV; instants without their zone, with which Arrow's writer takes twenty times as long."""
    columns = [one.cast(pa.timestamp("us")) if one.type == _INSTANT else one for one in batch.columns]
    sink = pa.BufferOutputStream()
    options = csv.WriteOptions(include_header=False)
    csv.write_csv(pa.RecordBatch.from_arrays(columns, batch.schema.names), sink, options)
    return memoryview(sink.getvalue())


def _insert_arrow(connection: Any, table: str, rows: pa.RecordBatchReader) -> None:
    connection.register("arrow_rows", rows)
    connection.execute(f"INSERT INTO {table} SELECT * FROM arrow_rows")
    connection.unregister("arrow_rows")


def _executemany(connection: Any, table: str, rows: pa.RecordBatchReader) -> None:
    marks = ", ".join("?" * len(rows.schema))
    for batch in rows:
        textual = (pa.types.is_decimal, pa.types.is_timestamp)  # sqlite3 takes neither
        columns = [
            (one.cast(pa.string()) if any(test(one.type) for test in textual) else one).to_pylist()
            for one in batch.columns
        ]
        connection.executemany(f"INSERT INTO {table} VALUES ({marks})", zip(*columns, strict=True))


def _load_data(connection: Any, table: str, rows: pa.RecordBatchReader) -> None:
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        for batch in rows:
            columns = [_mysql_text(column) for column in batch.columns]
            file.seek(0)
            file.truncate()
            file.write(_csv(pa.RecordBatch.from_arrays(columns, batch.schema.names)))
            file.flush()
            connection.cursor().execute(
                f"LOAD DATA LOCAL INFILE '{file.name}' INTO TABLE {table} CHARACTER SET utf8mb4 "
                "FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"'"
            )


def _mysql_text(column: pa.Array) -> pa.Array:
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    if column.type == _INSTANT:
        column = column.cast(pa.timestamp("us"))
    return pc.fill_null(column.cast(pa.string()), "\\N")


def _rows_by_adbc(_: Any, table: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(postgres_uri()) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(schema.names)} FROM {table}")
        for batch in cursor.fetch_record_batch():
            # The driver gives numeric as text of an extension type.
            columns = [getattr(column, "storage", column) for column in batch.columns]
            yield pa.RecordBatch.from_arrays(
                [column.cast(kind) for column, kind in zip(columns, schema.types, strict=True)], schema=schema
            )


def postgres_uri() -> str:
    """For ADBC."""
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    there = PostgresHook.get_connection(CONNECTION)
    return f"postgresql://{there.login}@{there.host}:{there.port}/{there.schema}"


def _rows_by_arrow(connection: Any, table: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    query = f"SELECT {', '.join(schema.names)} FROM {table}"
    yield from connection.sql(query).to_arrow_reader(BATCH_ROWS)


def _rows_by_cursor(connection: Any, table: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    with closing(connection.cursor()) as cursor:
        cursor.execute(f"SELECT {', '.join(schema.names)} FROM {table}")
        while rows := cursor.fetchmany(BATCH_ROWS):
            columns = zip(*rows, strict=True)
            arrays = [_typed(values, kind) for values, kind in zip(columns, schema.types, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _typed(values: tuple[Any, ...], kind: pa.DataType) -> pa.Array:
    """Values of a database that has fewer types, however a contender stored them."""
    if pa.types.is_decimal(kind):
        return pa.array([None if one is None else Decimal(str(one)) for one in values], kind)
    if pa.types.is_boolean(kind):
        return pa.array([None if one is None else str(one) in ("1", "True") for one in values])
    if pa.types.is_timestamp(kind):
        texts = [None if one is None else str(one).removesuffix("+00:00").removesuffix("Z") for one in values]
        return pa.array(texts).cast(pa.timestamp("us")).cast(kind)
    return pa.array(values, kind)


def _postgres_hook() -> Any:
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    return PostgresHook(CONNECTION)


def _duckdb_hook() -> Any:
    from airflow.providers.duckdb.hooks.duckdb import DuckDBHook

    return DuckDBHook(duckdb_conn_id=CONNECTION)


def _sqlite_hook() -> Any:
    from airflow.providers.sqlite.hooks.sqlite import SqliteHook

    return SqliteHook(CONNECTION)  # type: ignore[no-untyped-call]


def _mysql_hook() -> Any:
    from airflow.providers.mysql.hooks.mysql import MySqlHook

    return MySqlHook(CONNECTION, local_infile=True)


def _types(key: str, text: str, integer: str, decimal: str, double: str, flag: str, instant: str) -> dict:
    kinds = {"key": key, "decimal": decimal, str(_INSTANT): instant}
    return kinds | {"string": text, "int64": integer, "double": double, "bool": flag}


_DECIMAL = "decimal({p}, {s})"
DATABASES = {
    "postgres": Database(
        _postgres_hook,
        _types("text", "text", "bigint", _DECIMAL, "double precision", "boolean", "timestamptz"),
        _copy,
        _rows_by_adbc,
        settle="VACUUM ANALYZE {table}",
    ),
    "mariadb": Database(
        _mysql_hook,
        _types("varchar(64)", "longtext", "bigint", _DECIMAL, "double", "boolean", "datetime(6)"),
        _load_data,
        _rows_by_cursor,
    ),
    "duckdb": Database(
        _duckdb_hook,
        _types("varchar", "varchar", "bigint", _DECIMAL, "double", "boolean", "timestamptz"),
        _insert_arrow,
        _rows_by_arrow,
    ),
    "sqlite": Database(
        _sqlite_hook,
        # Its NUMERIC is a floating-point number, and not the nearest one.
        _types("text", "text", "integer", "text", "double", "boolean", "text"),
        _executemany,
        _rows_by_cursor,
    ),
}
