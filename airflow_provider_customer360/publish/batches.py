"""Record batches on their way into a database: cleaned, cut, as CSV or as rows."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

#: Rows that are in memory as text or Python objects at a time.
BATCH_ROWS = 50_000
#: A decimal of so many digits survives as a floating-point number (sys.float_info.dig).
_FLOAT_DIGITS = 15


def cut(batch: pa.RecordBatch, rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
    """Parts of a batch, none of them empty or large."""
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


def clean(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch in the schema's types; NaN and infinity become null, as NULL is all databases share."""
    import pyarrow as pa
    import pyarrow.compute as pc

    null = pa.scalar(None, pa.float64())

    def finite(column: pa.Array) -> pa.Array:
        return pc.if_else(pc.is_finite(column), column, null) if pa.types.is_float64(column.type) else column

    batch = batch if batch.schema.equals(schema) else batch.cast(schema)
    return pa.RecordBatch.from_arrays([finite(column) for column in batch.columns], schema=schema)


def to_csv(batch: pa.RecordBatch) -> memoryview:
    """CSV for Postgres: null is nothing, empty text is ``""``; NUL characters, which it refuses, are gone."""
    import pyarrow as pa
    from pyarrow import csv

    def storable(column: pa.Array) -> pa.Array:
        # Arrow's own CSV looks up the zone of every value: twenty times slower.
        return _utc_text(column) if pa.types.is_timestamp(column.type) and column.type.tz else column

    columns = [storable(column) for column in without_nul(batch).columns]
    sink = pa.BufferOutputStream()
    options = csv.WriteOptions(include_header=False, quoting_style="needed")
    csv.write_csv(pa.RecordBatch.from_arrays(columns, names=batch.schema.names), sink, options)
    return memoryview(sink.getvalue())


def without_nul(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch without NUL characters, which Postgres is not alone to refuse."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = [
        pc.replace_substring(column, "\0", "") if pa.types.is_string(column.type) else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def to_rows(batch: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    """Rows for SQLite, which has numbers and text only."""
    return zip(*map(_sqlite_values, batch.columns), strict=True)


def to_literals(batch: pa.RecordBatch) -> list[str]:
    """Rows for MySQL as ``(1, 'a', NULL)``; several times quicker than its drivers, which do the same.

    A quote never ends a text and a backslash is never anything else, whatever the text; so it is in any
    mode of a server, as long as the connection's characters are UTF-8.
    """
    import pyarrow.compute as pc

    values = [pc.fill_null(_mysql_literals(column), "NULL") for column in batch.columns]
    rows: list[str] = pc.binary_join_element_wise(*values, ", ").to_pylist()
    return [f"({row})" for row in rows]


def _mysql_literals(column: pa.Array) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_int64(column.type):
        return pc.cast(column, pa.string())
    if pa.types.is_boolean(column.type):
        return pc.cast(pc.cast(column, pa.int8()), pa.string())
    if pa.types.is_float64(column.type):
        # Without an exponent it would be a decimal, and not every float is one.
        text = pc.cast(column, pa.string())
        return pc.if_else(pc.match_substring(text, "e"), text, pc.binary_join_element_wise(text, "e0", ""))
    if pa.types.is_timestamp(column.type):
        column = pc.cast(column, pa.timestamp("us"))
    text = pc.cast(column, pa.string())
    for special in ("\\", "'"):
        text = pc.replace_substring(text, special, special * 2)
    return pc.binary_join_element_wise("'", text, "'", "")


def to_sqlite_arrow(column: pa.Array) -> list[pa.Array]:
    """Arrow for SQLite: the column, or three for a decimal, of which one has the value."""
    import pyarrow as pa

    if not pa.types.is_decimal(column.type):
        return [as_text(column)]
    values = _sqlite_values(column)
    return [
        pa.array((value if type(value) is python else None for value in values), arrow, size=len(values))
        for python, arrow in ((int, pa.int64()), (float, pa.float64()), (str, pa.string()))
    ]


def _sqlite_values(column: pa.Array) -> list[Any]:
    import pyarrow as pa

    values: list[Any] = as_text(column).to_pylist()
    if pa.types.is_decimal(column.type):
        return [None if value is None else exact_number(value) for value in values]
    return values


def as_text(column: pa.Array) -> pa.Array:
    """The column, with dates and times as text: of one form, so that text sorts as time does."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_timestamp(column.type):
        # Arrow writes the text, because Python's datetime ends with the year 9999. All have six digits
        # after the second, so that text sorts as time does.
        return _utc_text(column) if column.type.tz else pc.cast(column, pa.string())
    return pc.cast(column, pa.string()) if pa.types.is_date32(column.type) else column


def _utc_text(column: pa.Array) -> pa.Array:
    """Instants as text: the clock in UTC, and that it is UTC."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.binary_join_element_wise(
        pc.cast(pc.cast(column, pa.timestamp("us")), pa.string()), "+00:00", ""
    )


def exact_number(value: Decimal) -> int | float | str:
    """A number that is exactly this decimal, or its digits as text where SQLite has no such number."""
    whole, text = int(value), format(value, "f")
    if value == whole and abs(whole) < 2**63:
        return whole
    # Not Decimal.normalize(), which rounds to 28 digits.
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return float(text) if len(text.replace(".", "").lstrip("-0")) <= _FLOAT_DIGITS else text
