"""Stage 0: data in whatever form it arrives -> a DuckDB relation with columns ``c0``, ``c1``, ...

One frame is read where it lies, Parquet files too; everything else is streamed into a table that
widens as later batches need it, so that a source may be larger than memory.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import duckdb
import pyarrow as pa

from airflow_provider_customer360.unify.errors import SourceError
from airflow_provider_customer360.unify.files import stage_files
from airflow_provider_customer360.unify.frames import UNUSABLE, arrow_tables, in_memory
from airflow_provider_customer360.unify.quoting import quoted
from airflow_provider_customer360.unify.staged import (
    MOMENTS,
    NUMBER,
    TEXT,
    ZONED,
    Staged,
    StagedColumn,
    answer,
    create_view,
)

#: Bytes of a stream at most that are held until there are enough rows for the engine to take them fast.
MOST_HELD = 64_000_000
#: Of DuckDB: it takes a million in tables of this size or more in 0.15 s, of less in up to 1 s.
_ROW_GROUP = 122_880
#: What a column of a batch takes beside its values while it is held and handed over, measured.
_BYTES_OF_A_COLUMN = 8_000
_EXACT_IN_DOUBLE = 2**53
#: Of a DECIMAL.
_MOST_DIGITS = 38


def stage(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    data: Any,
    arrived: Callable[[int], None] = lambda rows: None,
    held_bytes: int = MOST_HELD,
) -> Staged:
    """Make data readable as ``relation``: a frame, an iterable of frames, or a path or glob of files.

    The connection keeps what the relation reads alive. Time zones are UTC whatever the session's is.

    Args:
        connection: of the engine; for an iterable, also a cursor of it that is closed afterwards.
        relation: the name to give.
        data: what to read.
        arrived: is called with the rows of each batch of a stream, as it comes.
        held_bytes: of a stream, what may be held until there are enough rows to be taken at once.

    Raises:
        SourceError: not such data, no such file, or one that cannot be read.
    """
    try:
        if isinstance(data, (str, os.PathLike)):
            return stage_files(connection, relation, os.fspath(data))
        tables = arrow_tables(data)
        if in_memory(data):
            return _stage_frame(connection, relation, next(tables))
        target = _GrowingTable(connection, relation)
        for table in _gathered(_counted(tables, arrived), held_bytes):
            target.append(table)
            del table  # or it would be there while the next ones are gathered
        return target.staged()
    except duckdb.OutOfMemoryException:
        raise  # the engine knows how much it may have
    except duckdb.Error as error:
        raise _unreadable(data, error) from None


def _counted(tables: Iterable[pa.Table], arrived: Callable[[int], None]) -> Iterator[pa.Table]:
    for table in tables:
        arrived(table.num_rows)
        yield table


def _gathered(tables: Iterable[pa.Table], held_bytes: int) -> Iterator[pa.Table]:
    """The same rows in tables of many rows, as far as neighbours have the same columns."""
    held, schema, rows, size = list[pa.Table](), pa.schema([]), 0, 0
    for table in tables:
        joint = _joint(schema, table.schema) if held else table.schema
        if joint is None:
            yield _one_of(held, schema)
            held, joint, rows, size = [], table.schema, 0, 0
        held.append(table)
        schema = joint
        # Each table is measured once: there may be a hundred thousand of one row.
        rows += table.num_rows
        size += table.nbytes + (1 + table.num_columns) * _BYTES_OF_A_COLUMN
        if rows >= _ROW_GROUP or size >= held_bytes:
            yield _one_of(held, schema)
            held, rows, size = [], 0, 0
    if held:
        yield _one_of(held, schema)


def _joint(one: pa.Schema, other: pa.Schema) -> pa.Schema | None:
    """The schema of the rows of both, if they have the same columns; a column of nulls is of any type."""
    if one.names != other.names:
        return None
    fields = []
    for here, there in zip(one, other, strict=True):
        known, further = (there, here) if pa.types.is_null(here.type) else (here, there)
        if here.metadata != there.metadata or further.type not in (known.type, pa.null()):
            return None
        fields.append(known)
    return pa.schema(fields)


def _one_of(tables: Sequence[pa.Table], schema: pa.Schema) -> pa.Table:
    return pa.concat_tables([table.cast(schema) for table in tables])


def _unreadable(data: Any, error: duckdb.Error) -> SourceError:
    """DuckDB's failure without its message, which quotes lines and values."""
    kind = type(error).__name__
    if not isinstance(data, (str, os.PathLike)):
        return SourceError(f"DuckDB cannot hold the data: {kind}. Is there enough disk for it?")
    line = re.search(r"CSV Error on Line: (\d+)", str(error))
    where = f" near line {line[1]}" if line else ""
    return SourceError(
        f"DuckDB cannot read the files of {os.fspath(data)!r}: {kind}{where}. "
        "Check that they are complete, in UTF-8 and of the format that their ending says."
    )


def _stage_frame(connection: duckdb.DuckDBPyConnection, relation: str, table: pa.Table) -> Staged:
    columns = tuple(_columns_of(table))
    arrow = table.rename_columns([column.internal for column in columns])
    if columns:
        connection.register(f"{relation}_arrow", arrow)
    # Arrow's null type has no values to read; as text it can be compared and joined like any other.
    selected = [
        f"CAST(NULL AS VARCHAR) AS {column.internal}" if column.empty or column.unusable else column.internal
        for column in columns
    ]
    create_view(connection, relation, selected, quoted(f"{relation}_arrow"))
    return Staged(relation, columns, table.num_rows)


def _columns_of(table: pa.Table) -> Iterable[StagedColumn]:
    for position, field in enumerate(table.schema):
        unusable = (field.metadata or {}).get(UNUSABLE, b"").decode() or None
        known = _duckdb_type(field.type)
        yield StagedColumn(
            field.name, f"c{position}", known or TEXT, unusable, empty=not known and not unusable
        )


def _duckdb_type(kind: pa.DataType) -> str | None:
    """The DuckDB type of an Arrow type of the closed set; None for the type of nothing."""
    types = pa.types
    if types.is_null(kind):
        return None
    if types.is_decimal(kind):
        return f"DECIMAL({kind.precision},{kind.scale})"
    if types.is_timestamp(kind):
        return ZONED if kind.tz else "TIMESTAMP"
    names = {"bool": "BOOLEAN", "int64": "BIGINT", "double": "DOUBLE", "date32[day]": "DATE"}
    return names.get(str(kind), TEXT)


class _GrowingTable:
    """A table that gains columns, and wider types, as batches bring them."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, relation: str) -> None:
        self._connection, self._relation, self._table = connection, relation, quoted(relation)
        self._batch = f"{relation}_batch"
        # A column is known by its name and by how many of that name come before it.
        self._columns: dict[tuple[str, int], StagedColumn] = {}
        self._fractional: set[str] = set()
        self._rows = 0

    def append(self, table: pa.Table) -> None:
        """Add the rows of one batch, which may have other columns than those before it."""
        batch = list(_columns_of(table))
        if not batch:
            return
        seen: dict[str, int] = {}
        self._connection.register(self._batch, table.rename_columns([c.internal for c in batch]))
        try:
            moved = {}
            for arrived in batch:
                occurrence = seen[arrived.name] = seen.get(arrived.name, -1) + 1
                column = self._settle((arrived.name, occurrence), arrived)
                if not column.empty and not column.unusable and not arrived.empty:
                    moved[column.internal] = _cast(arrived.internal, arrived.type, column.type)
            moved = moved or {"c0": "NULL"}  # rows without any value are rows
            self._connection.execute(
                f"INSERT INTO {self._table} ({', '.join(moved)}) "
                f"SELECT {', '.join(moved.values())} FROM {quoted(self._batch)}"
            )
        finally:
            self._connection.unregister(self._batch)
        self._rows += table.num_rows

    def staged(self) -> Staged:
        """What has been staged, once all batches are in."""
        if not self._columns:  # a table, for a view would be one of this connection alone
            self._connection.execute(f"CREATE OR REPLACE TABLE {self._table} AS SELECT NULL AS none LIMIT 0")
        return Staged(self._relation, tuple(self._columns.values()), self._rows)

    def _settle(self, key: tuple[str, int], arrived: StagedColumn) -> StagedColumn:
        """The column that an arriving one belongs to, made wide enough for it."""
        column = self._columns.get(key)
        if column is None:
            column = replace(arrived, internal=f"c{len(self._columns)}")
            definition = f"{column.internal} {column.type}"
            if self._columns:
                self._connection.execute(f"ALTER TABLE {self._table} ADD COLUMN {definition}")
            else:
                self._connection.execute(f"CREATE OR REPLACE TABLE {self._table} ({definition})")
        elif column.unusable or arrived.unusable:  # half a column would mislead
            column = replace(column, unusable=column.unusable or arrived.unusable, empty=False)
        elif not arrived.empty:
            wide = arrived.type if column.empty else self._wide(column, arrived)
            if wide != column.type:
                using = _cast(column.internal, column.type, wide)
                self._connection.execute(
                    f"ALTER TABLE {self._table} ALTER {column.internal} TYPE {wide} USING {using}"
                )
            column = replace(column, type=wide, empty=False)
        self._columns[key] = column
        return column

    def _wide(self, column: StagedColumn, arrived: StagedColumn) -> str:
        if {column.type, arrived.type} != {"BIGINT", "DOUBLE"} or column.internal in self._fractional:
            return _wider(column.type, arrived.type)
        # pandas turns integers with gaps into floats: as long as all are whole, ids stay exact integers.
        here = arrived.type == "DOUBLE"
        value = arrived.internal if here else column.internal
        source = quoted(self._batch) if here else self._table
        if answer(self._connection, f"coalesce(bool_and({_is_whole(value)}), true) FROM {source}"):
            return "BIGINT"
        self._fractional.add(column.internal)
        return "DOUBLE"


def _wider(one: str, other: str) -> str:
    """The narrowest type of the closed set that holds the values of both."""
    if one == other:
        return one
    if one in MOMENTS and other in MOMENTS:
        return max(one, other, key=MOMENTS.index)
    if not NUMBER.fullmatch(one) or not NUMBER.fullmatch(other):
        return TEXT
    if "DOUBLE" in (one, other):
        return "DOUBLE"
    digits = [re.findall(r"\d+", kind) or (19, 0) for kind in (one, other)]  # a BIGINT has 19
    scale = max(int(after) for _, after in digits)
    precision = max(int(all_) - int(after) for all_, after in digits) + scale
    return f"DECIMAL({precision},{scale})" if precision <= _MOST_DIGITS else "DOUBLE"


def _is_whole(value: str) -> str:
    return f"({value} = trunc({value}) AND abs({value}) <= {_EXACT_IN_DOUBLE})"


def _cast(value: str, kind: str, wanted: str) -> str:
    """An expression for a value as another type, the same whatever the session's time zone is."""
    if kind == wanted:
        return value
    if wanted == ZONED:
        return f"(CAST({value} AS TIMESTAMP) AT TIME ZONE 'UTC')"
    if wanted == TEXT and kind == ZONED:
        return f"(CAST({value} AT TIME ZONE 'UTC' AS VARCHAR) || '+00')"
    if wanted == TEXT and NUMBER.fullmatch(kind) and kind != "BIGINT":  # 123.0 is the id 123
        whole = _is_whole(value) if kind == "DOUBLE" else f"{value} = trunc({value})"
        integer = f"CAST(CAST({value} AS DECIMAL(38,0)) AS VARCHAR)"
        digits, scale = (int(n) for n in re.findall(r"\d+", kind) or (0, 0))
        if 0 < digits == scale < _MOST_DIGITS:  # without a digit before the point, .5 would be written so
            value = f"CAST({value} AS DECIMAL({digits + 1},{scale}))"
        return f"CASE WHEN {whole} THEN {integer} ELSE CAST({value} AS VARCHAR) END"
    return f"CAST({value} AS {wanted})"
