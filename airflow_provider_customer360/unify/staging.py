"""Stage 0: data in whatever form it arrives -> a DuckDB relation with columns ``c0``, ``c1``, ...

One frame is read where it lies, Parquet files too; everything else is streamed into a table that
widens as later batches need it, so that a source may be larger than memory.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from airflow_provider_customer360.unify.engine import literal, quoted
from airflow_provider_customer360.unify.errors import SourceError
from airflow_provider_customer360.unify.frames import UNUSABLE, arrow_tables, in_memory

_TEXT, _ZONED = "VARCHAR", "TIMESTAMP WITH TIME ZONE"
_MOMENTS = ("DATE", "TIMESTAMP", _ZONED)  # each holds all of those before it
_EXACT_IN_DOUBLE = 2**53

_CSV = "union_by_name = true, header = true, sample_size = -1"
_JSON = "union_by_name = true, sample_size = -1, map_inference_threshold = -1"
#: Ending of a file (without .gz) -> how DuckDB reads it. Only Parquet knows its types by itself.
_READERS = {
    ".parquet": "read_parquet({files}, union_by_name = true)",
    ".csv": f"read_csv({{files}}, {_CSV}{{options}})",
    ".tsv": f"read_csv({{files}}, {_CSV}, delim = '\\t'{{options}})",
    ".json": f"read_json({{files}}, {_JSON})",
    ".jsonl": f"read_json({{files}}, {_JSON}, format = 'newline_delimited')",
    ".ndjson": f"read_json({{files}}, {_JSON}, format = 'newline_delimited')",
}
_ENDINGS = ".parquet, .csv, .tsv, .json, .jsonl or .ndjson (the texts also with .gz)"

#: DuckDB types outside the closed set -> the type that takes their place.
_CLOSED = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT", "UINTEGER"), "BIGINT"),
    **{kind: kind for kind in ("BIGINT", "BOOLEAN", "DOUBLE", _TEXT, *_MOMENTS)},
    **dict.fromkeys(("HUGEINT", "UHUGEINT"), "DECIMAL(38,0)"),
    **dict.fromkeys(("TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"), "TIMESTAMP"),
    **dict.fromkeys(("TIMESTAMP_NS WITH TIME ZONE", "TIMESTAMPTZ_NS"), _ZONED),
    "UBIGINT": "DECIMAL(20,0)",
    "FLOAT": "DOUBLE",
    "INTERVAL": "DOUBLE",  # seconds
}
#: Texts that look like numbers and are more: leading zeros, and a phone's plus sign; in a column that
#: DuckDB takes for floating point also whole numbers of more digits than that keeps.
_CODE = (r"^\s*([+-]?0\d|\+)", r"^\s*([+-]?0\d|\+|-?\d{16,}\s*$)")
_NUMBER = re.compile(r"DECIMAL\(\d+,\d+\)|BIGINT|DOUBLE")


@dataclass(frozen=True)
class StagedColumn:
    """One column of a staged source.

    Attributes:
        name: the column's name in the source.
        internal: its name in the relation (``c0``, ``c1``, ...).
        type: its DuckDB type.
        unusable: why it holds nothing that can be used (``nested values``); None if it does.
        empty: no value is known, and so no type; the type is VARCHAR then.
    """

    name: str
    internal: str
    type: str
    unusable: str | None = None
    empty: bool = False


@dataclass(frozen=True)
class Staged:
    """A source inside the engine: its relation, its columns in their order, its number of rows."""

    relation: str
    columns: tuple[StagedColumn, ...]
    rows: int


def stage(connection: duckdb.DuckDBPyConnection, relation: str, data: Any) -> Staged:
    """Make data readable as ``relation``: a frame, an iterable of frames, or a path or glob of files.

    The connection keeps what the relation reads alive. Time zones are UTC whatever the session's is.

    Raises:
        SourceError: not such data, no such file, or one that cannot be read.
    """
    try:
        if isinstance(data, (str, os.PathLike)):
            return _stage_files(connection, relation, os.fspath(data))
        tables = arrow_tables(data)
        if in_memory(data):
            return _stage_frame(connection, relation, next(tables))
        target = _GrowingTable(connection, relation)
        for table in tables:
            target.append(table)
        return target.staged()
    except duckdb.Error as error:
        raise _unreadable(data, error) from None


def _unreadable(data: Any, error: duckdb.Error) -> SourceError:
    """DuckDB's failure without its message, which quotes lines and values."""
    kind = type(error).__name__
    if not isinstance(data, (str, os.PathLike)):
        return SourceError(f"DuckDB cannot hold the data: {kind}. Is there enough memory and disk for it?")
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
    _create_view(connection, relation, selected, quoted(f"{relation}_arrow"))
    return Staged(relation, columns, table.num_rows)


def _create_view(
    connection: duckdb.DuckDBPyConnection, relation: str, selected: list[str], source: str
) -> None:
    # A relation needs a column, even where the source has none.
    query = f"SELECT {', '.join(selected)} FROM {source}" if selected else "SELECT NULL AS none WHERE false"
    connection.execute(f"CREATE OR REPLACE TEMP VIEW {quoted(relation)} AS {query}")


def _columns_of(table: pa.Table) -> Iterable[StagedColumn]:
    for position, field in enumerate(table.schema):
        unusable = (field.metadata or {}).get(UNUSABLE, b"").decode() or None
        known = _duckdb_type(field.type)
        yield StagedColumn(
            field.name, f"c{position}", known or _TEXT, unusable, empty=not known and not unusable
        )


def _duckdb_type(kind: pa.DataType) -> str | None:
    """The DuckDB type of an Arrow type of the closed set; None for the type of nothing."""
    types = pa.types
    if types.is_null(kind):
        return None
    if types.is_decimal(kind):
        return f"DECIMAL({kind.precision},{kind.scale})"
    if types.is_timestamp(kind):
        return _ZONED if kind.tz else "TIMESTAMP"
    names = {"bool": "BOOLEAN", "int64": "BIGINT", "double": "DOUBLE", "date32[day]": "DATE"}
    return names.get(str(kind), _TEXT)


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
        if not self._columns:
            _create_view(self._connection, self._relation, [], "")
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
        if _answer(self._connection, f"coalesce(bool_and({_is_whole(value)}), true) FROM {source}"):
            return "BIGINT"
        self._fractional.add(column.internal)
        return "DOUBLE"


def _wider(one: str, other: str) -> str:
    """The narrowest type of the closed set that holds the values of both."""
    if one == other:
        return one
    if one in _MOMENTS and other in _MOMENTS:
        return max(one, other, key=_MOMENTS.index)
    if not _NUMBER.fullmatch(one) or not _NUMBER.fullmatch(other):
        return _TEXT
    if "DOUBLE" in (one, other):
        return "DOUBLE"
    digits = [re.findall(r"\d+", kind) or (19, 0) for kind in (one, other)]  # a BIGINT has 19
    scale = max(int(after) for _, after in digits)
    precision = max(int(all_) - int(after) for all_, after in digits) + scale
    return f"DECIMAL({precision},{scale})" if precision <= 38 else "DOUBLE"


def _is_whole(value: str) -> str:
    return f"({value} = trunc({value}) AND abs({value}) <= {_EXACT_IN_DOUBLE})"


def _cast(value: str, kind: str, wanted: str) -> str:
    """An expression for a value as another type, the same whatever the session's time zone is."""
    if kind == wanted:
        return value
    if wanted == _ZONED:
        return f"(CAST({value} AS TIMESTAMP) AT TIME ZONE 'UTC')"
    if wanted == _TEXT and kind == _ZONED:
        return f"(CAST({value} AT TIME ZONE 'UTC' AS VARCHAR) || '+00')"
    if wanted == _TEXT and _NUMBER.fullmatch(kind) and kind != "BIGINT":  # 123.0 is the id 123
        whole = _is_whole(value) if kind == "DOUBLE" else f"{value} = trunc({value})"
        integer = f"CAST(CAST({value} AS DECIMAL(38,0)) AS VARCHAR)"
        return f"CASE WHEN {whole} THEN {integer} ELSE CAST({value} AS VARCHAR) END"
    return f"CAST({value} AS {wanted})"


def _stage_files(connection: duckdb.DuckDBPyConnection, relation: str, path: str) -> Staged:
    files, ending = _found_files(connection, path)
    files = [file for file in files if Path(file).stat().st_size]
    if not files:  # DuckDB would make up a column for an empty text file
        _create_view(connection, relation, [], "")
        return Staged(relation, (), 0)
    reader = _READERS[ending].replace("{files}", f"[{', '.join(map(literal, files))}]")
    if ending == ".parquet":
        return _view_parquet(connection, relation, reader)
    if "{options}" not in reader:
        return _load_texts(connection, relation, reader, _described(connection, reader))
    found = _described(connection, reader.replace("{options}", ""))
    if len(found) == 1 and re.search(r"[,;|\t]", found[0].name):
        raise SourceError(f"The lines of {path!r} differ in their number of fields, or have no header.")
    # Numbers are read as text first: what looks like a number may be a code.
    texts = ", ".join(f"{literal(column.name)}: 'VARCHAR'" for column in found if _is_number(column.type))
    try:
        types = f", types = {{{texts}}}" if texts else ""
        return _load_texts(connection, relation, reader.replace("{options}", types), found)
    except (duckdb.ConversionException, duckdb.InvalidInputException):  # files of one glob that disagree
        found = [replace(column, type=_TEXT) for column in found]
        everything = reader.replace("{options}", ", all_varchar = true")
        return _load_texts(connection, relation, everything, found)


def _found_files(connection: duckdb.DuckDBPyConnection, path: str) -> tuple[list[str], str]:
    """The files of a path or glob, in order, and their ending."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", path):
        raise SourceError(
            f"{path!r} is a remote address; give a path of this machine, or let a task download it."
        )
    local = Path(path).expanduser()
    if local.is_file():  # whatever brackets are in its name
        files = [str(local)]
    else:
        found = connection.execute(f"SELECT file FROM glob({literal(str(local))}) ORDER BY file").fetchall()
        files = [file for (file,) in found]
    if not files:
        hint = f" It is a directory; give a glob such as '{path}/*.parquet'." if local.is_dir() else ""
        raise SourceError(f"No file matches {path!r}.{hint} Allowed: files that end in {_ENDINGS}.")
    endings = {Path(file.lower().removesuffix(".gz")).suffix for file in files}
    if len(endings) > 1 or not endings <= _READERS.keys():
        raise SourceError(
            f"The files of {path!r} end in {', '.join(map(repr, sorted(endings)))}; "
            f"allowed is one of {_ENDINGS}."
        )
    return files, endings.pop()


def _described(connection: duckdb.DuckDBPyConnection, reader: str) -> list[StagedColumn]:
    """The columns that files have, with DuckDB's own types."""
    rows = connection.execute(f"DESCRIBE SELECT * FROM {reader}").fetchall()
    return [StagedColumn(name, f"c{i}", kind.replace('"', "")) for i, (name, kind, *_) in enumerate(rows)]


def _view_parquet(connection: duckdb.DuckDBPyConnection, relation: str, reader: str) -> Staged:
    found = _described(connection, reader)
    source = _renamed(reader, found)
    columns = tuple(map(_closed, found))
    for position, column in enumerate(found):
        if column.type == "UBIGINT":  # nearly always ids that a BIGINT holds
            top = _answer(connection, f"coalesce(max({column.internal}), 0) FROM {source}")
            kind = "BIGINT" if top < 2**63 else "DECIMAL(20,0)"
            columns = (*columns[:position], replace(column, type=kind), *columns[position + 1 :])
    selected = [
        f"{_typed(raw, column)} AS {raw.internal}" for raw, column in zip(found, columns, strict=True)
    ]
    _create_view(connection, relation, selected, source)
    return Staged(relation, columns, _answer(connection, f"count(*) FROM {quoted(relation)}"))


def _load_texts(
    connection: duckdb.DuckDBPyConnection, relation: str, reader: str, found: list[StagedColumn]
) -> Staged:
    """Load CSV or JSON files into a table, and give each column a type once all values are known."""
    # What is not settled yet is text: numbers of a CSV file (which arrive so), mixed values of JSON.
    csv = reader.startswith("read_csv")
    as_text = [replace(raw, type=_TEXT) if csv and _is_number(raw.type) else raw for raw in found]
    selected = [f"{_typed(raw, _closed(raw))} AS {raw.internal}" for raw in as_text]
    connection.execute(
        f"CREATE OR REPLACE TABLE {quoted(relation)} AS "
        f"SELECT {', '.join(selected)} FROM {_renamed(reader, found)}"
    )
    settled = (_settled(connection, relation, raw, csv) for raw in found)
    return Staged(relation, tuple(settled), _answer(connection, f"count(*) FROM {quoted(relation)}"))


def _settled(
    connection: duckdb.DuckDBPyConnection, relation: str, raw: StagedColumn, csv: bool
) -> StagedColumn:
    """A loaded column with its final type."""
    column, table, value = _closed(raw), quoted(relation), raw.internal
    using = _typed(replace(raw, type=_TEXT), column)
    if column.unusable:
        return column
    if csv and _is_number(raw.type):
        code = literal(_CODE[raw.type == "DOUBLE"])
        if _answer(connection, f"coalesce(bool_or(regexp_matches({value}, {code})), false) FROM {table}"):
            return replace(column, type=_TEXT)
    elif raw.type == "JSON":
        nested = f"json_type({value}) IN ('OBJECT', 'ARRAY')"
        if _answer(connection, f"coalesce(bool_or({nested}), false) FROM {table}"):
            return replace(column, unusable="nested values")
        using = f"CAST({value} AS JSON) ->> '$'"
    if raw.type == "JSON" or (csv and _is_number(raw.type)):
        try:
            connection.execute(f"ALTER TABLE {table} ALTER {value} TYPE {column.type} USING {using}")
        except duckdb.ConversionException:  # 40 digits: an id, not a number
            return replace(column, type=_TEXT)
    if column.type == _TEXT:
        return replace(column, empty=not _answer(connection, f"count({value}) FROM {table}"))
    return column


def _closed(raw: StagedColumn) -> StagedColumn:
    """A column of DuckDB's own type as one of the closed set."""
    kind = raw.type
    if _NUMBER.fullmatch(kind):
        return raw
    if kind in ("BLOB", "GEOMETRY"):
        return replace(raw, type=_TEXT, unusable="binary values")
    nested = kind.endswith("]") or kind.startswith(("STRUCT(", "MAP(", "UNION(")) or kind == "VARIANT"
    if nested and not kind.startswith("ENUM("):
        return replace(raw, type=_TEXT, unusable="nested values")
    return replace(raw, type=_CLOSED.get(kind, _TEXT), empty=kind == "NULL")


def _typed(raw: StagedColumn, column: StagedColumn) -> str:
    """The expression that gives a raw column its type of the closed set."""
    value = column.internal
    if column.unusable:
        return "CAST(NULL AS VARCHAR)"
    if raw.type == "INTERVAL":
        return f"epoch({value})"
    if column.type == "DOUBLE":
        return f"nullif(CAST({value} AS DOUBLE), 'nan')"  # as in frames: what is no number is no value
    return value if raw.type == column.type else f"CAST({value} AS {column.type})"


def _renamed(reader: str, columns: list[StagedColumn]) -> str:
    return f"{reader} AS files({', '.join(column.internal for column in columns)})"


def _is_number(kind: str) -> bool:
    return _NUMBER.fullmatch(_CLOSED.get(kind, kind)) is not None


def _answer(connection: duckdb.DuckDBPyConnection, question: str) -> Any:
    """The only value of a query."""
    ((value,),) = connection.execute(f"SELECT {question}").fetchall()  # all: no result stays open
    return value
