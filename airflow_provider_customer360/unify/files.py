"""Files -> a DuckDB relation: Parquet is read where it lies, texts are loaded and given exact types."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import duckdb

from airflow_provider_customer360.unify.errors import SourceError
from airflow_provider_customer360.unify.quoting import literal, quoted
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
    **{kind: kind for kind in ("BIGINT", "BOOLEAN", "DOUBLE", TEXT, *MOMENTS)},
    **dict.fromkeys(("HUGEINT", "UHUGEINT"), "DECIMAL(38,0)"),
    **dict.fromkeys(("TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"), "TIMESTAMP"),
    **dict.fromkeys(("TIMESTAMP_NS WITH TIME ZONE", "TIMESTAMPTZ_NS"), ZONED),
    "UBIGINT": "DECIMAL(20,0)",
    "FLOAT": "DOUBLE",
    "INTERVAL": "DOUBLE",  # seconds
}
#: Texts that look like numbers and are more: leading zeros, and a phone's plus sign; in a column that
#: DuckDB takes for floating point also whole numbers of more digits than that keeps.
_CODE = (r"^\s*([+-]?0\d|\+)", r"^\s*([+-]?0\d|\+|-?\d{16,}\s*$)")


def stage_files(connection: duckdb.DuckDBPyConnection, relation: str, path: str) -> Staged:
    """Make the files of a path or glob readable as ``relation``.

    Raises:
        SourceError: no such file, or of an unknown kind.
        duckdb.Error: it cannot be read; the message quotes it.
    """
    files, ending = _found_files(connection, path)
    files = [file for file in files if Path(file).stat().st_size]
    if not files:  # DuckDB would make up a column for an empty text file
        create_view(connection, relation, [], "")
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
        found = [replace(column, type=TEXT) for column in found]
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
            top = answer(connection, f"coalesce(max({column.internal}), 0) FROM {source}")
            kind = "BIGINT" if top < 2**63 else "DECIMAL(20,0)"
            columns = (*columns[:position], replace(column, type=kind), *columns[position + 1 :])
    selected = [
        f"{_typed(raw, column)} AS {raw.internal}" for raw, column in zip(found, columns, strict=True)
    ]
    create_view(connection, relation, selected, source)
    return Staged(relation, columns, answer(connection, f"count(*) FROM {quoted(relation)}"))


def _load_texts(
    connection: duckdb.DuckDBPyConnection, relation: str, reader: str, found: list[StagedColumn]
) -> Staged:
    """Load CSV or JSON files into a table, and give each column a type once all values are known."""
    # What is not settled yet is text: numbers of a CSV file (which arrive so), mixed values of JSON.
    csv = reader.startswith("read_csv")
    as_text = [replace(raw, type=TEXT) if csv and _is_number(raw.type) else raw for raw in found]
    selected = [f"{_typed(raw, _closed(raw))} AS {raw.internal}" for raw in as_text]
    connection.execute(
        f"CREATE OR REPLACE TABLE {quoted(relation)} AS "
        f"SELECT {', '.join(selected)} FROM {_renamed(reader, found)}"
    )
    settled = (_settled(connection, relation, raw, csv) for raw in found)
    return Staged(relation, tuple(settled), answer(connection, f"count(*) FROM {quoted(relation)}"))


def _settled(
    connection: duckdb.DuckDBPyConnection, relation: str, raw: StagedColumn, csv: bool
) -> StagedColumn:
    """A loaded column with its final type."""
    column, table, value = _closed(raw), quoted(relation), raw.internal
    using = _typed(replace(raw, type=TEXT), column)
    if column.unusable:
        return column
    if csv and _is_number(raw.type):
        code = literal(_CODE[raw.type == "DOUBLE"])
        if answer(connection, f"coalesce(bool_or(regexp_matches({value}, {code})), false) FROM {table}"):
            return replace(column, type=TEXT)
    elif raw.type == "JSON":
        nested = f"json_type({value}) IN ('OBJECT', 'ARRAY')"
        if answer(connection, f"coalesce(bool_or({nested}), false) FROM {table}"):
            return replace(column, unusable="nested values")
        using = f"CAST({value} AS JSON) ->> '$'"
    if raw.type == "JSON" or (csv and _is_number(raw.type)):
        try:
            connection.execute(f"ALTER TABLE {table} ALTER {value} TYPE {column.type} USING {using}")
        except duckdb.ConversionException:  # 40 digits: an id, not a number
            return replace(column, type=TEXT)
    if column.type == TEXT:
        return replace(column, empty=not answer(connection, f"count({value}) FROM {table}"))
    return column


def _closed(raw: StagedColumn) -> StagedColumn:
    """A column of DuckDB's own type as one of the closed set."""
    kind = raw.type
    if NUMBER.fullmatch(kind):
        return raw
    if kind in ("BLOB", "GEOMETRY"):
        return replace(raw, type=TEXT, unusable="binary values")
    nested = kind.endswith("]") or kind.startswith(("STRUCT(", "MAP(", "UNION(")) or kind == "VARIANT"
    if nested and not kind.startswith("ENUM("):
        return replace(raw, type=TEXT, unusable="nested values")
    return replace(raw, type=_CLOSED.get(kind, TEXT), empty=kind == "NULL")


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
    return NUMBER.fullmatch(_CLOSED.get(kind, kind)) is not None
