"""Frames of any library -> Arrow tables with a small closed set of column types.

Types that leave this module: null, bool, int64, decimal128, float64, large_string, date32, timestamp[us]
and timestamp[us, UTC]. A column of anything else (nested, binary, objects) leaves as nulls, with the
reason in its field's metadata under `UNUSABLE`, so that detection can name it. Names may repeat:
a column is known by its position.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_customer360.unify.errors import SourceError
from airflow_provider_customer360.unify.objects import objects_array, scrubbed

#: Metadata key of a column that cannot be used; its value says why.
UNUSABLE = b"unusable"

#: A column and, where it cannot be used, why.
Column = tuple[pa.ChunkedArray, str | None]

_ALLOWED = (
    "give a pandas, polars or Arrow frame (or anything with __arrow_c_stream__), an iterable of such "
    "frames, or the path of Parquet, CSV or JSON-lines files"
)
_TIMESTAMP, _ZONED = pa.timestamp("us"), pa.timestamp("us", "UTC")


def arrow_tables(data: Any) -> Iterator[pa.Table]:
    """Arrow tables of one frame or of an iterable of frames, pulled one frame at a time.

    Raises:
        SourceError: the data, or one item of it, is not a frame.
    """
    tables = _opened(data)
    if tables is not None:
        return iter(tables)
    # A Series is iterable too, but what it would give is values.
    if isinstance(data, (str, bytes, Mapping)) or not hasattr(data, "__iter__") or hasattr(data, "iloc"):
        raise SourceError(f"The data is {_named(data)}, not a frame; {_ALLOWED}.")
    return _each(data)


def in_memory(data: Any) -> bool:
    """Whether the data is a single frame that is in memory already, and so needs no other copy."""
    frames = [getattr(sys.modules.get(name), "DataFrame", None) for name in ("pandas", "polars")]
    return isinstance(data, (pa.Table, pa.RecordBatch, *filter(None, frames)))


def objects_column(values: Sequence[Any]) -> Column:
    """A column of Python objects as the narrowest type that holds all of them, else as text."""
    array, unusable = objects_array(values)
    column = pa.chunked_array([array])
    return (column, unusable) if unusable else arrow_column(column)


def arrow_column(column: pa.ChunkedArray) -> Column:
    """An Arrow column as one of the closed set of types."""
    kind, types = column.type, pa.types
    if isinstance(kind, pa.UuidType):
        return objects_column(column.to_pylist())
    if isinstance(kind, pa.BaseExtensionType):
        storage = pa.chunked_array([chunk.storage for chunk in column.chunks], kind.storage_type)
        return arrow_column(storage.cast(pa.bool_()) if isinstance(kind, pa.Bool8Type) else storage)
    if types.is_dictionary(kind):
        decoded = [chunk.dictionary_decode() for chunk in column.chunks]
        return arrow_column(pa.chunked_array(decoded, kind.value_type))
    if types.is_run_end_encoded(kind):
        decoded = [pc.run_end_decode(chunk) for chunk in column.chunks]
        return arrow_column(pa.chunked_array(decoded, kind.value_type))
    unusable = _unusable(kind)
    if unusable:
        return pa.chunked_array([pa.nulls(len(column))]), unusable
    if types.is_duration(kind):  # seconds, as a number that can be summed
        ticks = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[kind.unit]
        return pc.divide(column.cast(pa.int64()).cast(pa.float64(), safe=False), ticks), None
    for target in _targets(kind):
        try:
            # Nanoseconds may lose digits; seconds must not overflow silently.
            column = column.cast(target, safe=not types.is_date64(kind) and getattr(kind, "unit", "") != "ns")
            break
        except pa.ArrowInvalid:  # does not fit: the next, wider one
            continue
    if types.is_floating(kind) and pc.any(pc.is_nan(column)).as_py():
        column = pc.if_else(pc.is_nan(column), None, column)
    return column, None


def table_of(names: Iterable[Any], columns: Iterable[Column]) -> pa.Table:
    """A table of these columns; what cannot be used is marked in the schema."""
    pairs = list(zip(names, columns, strict=True))
    fields = [
        pa.field(scrubbed(str(name)), column.type, metadata={UNUSABLE: why} if why else None)
        for name, (column, why) in pairs
    ]
    return pa.Table.from_arrays([column for _, (column, _) in pairs], schema=pa.schema(fields))


def _opened(data: Any) -> Iterable[pa.Table] | None:
    """The tables of one frame; None when the data is no frame."""
    # Asked of sys.modules, not imported: who hands over no pandas frame need not pay for pandas. What another
    # thread is importing just now lacks its classes, and nobody can have made a frame of them.
    pandas, polars = sys.modules.get("pandas"), sys.modules.get("polars")
    if isinstance(data, getattr(pandas, "DataFrame", ())):
        return [_from_pandas(data, pandas)]
    if isinstance(data, getattr(polars, "DataFrame", ())):
        return [_from_polars(data, polars)]
    if isinstance(data, getattr(polars, "LazyFrame", ())):
        return (_from_polars(batch, polars) for batch in _collected(data))
    if isinstance(data, pa.RecordBatch):
        data = pa.Table.from_batches([data])
    if isinstance(data, pa.Table):
        return [table_of(data.column_names, map(arrow_column, data.columns))]
    if not hasattr(data, "__arrow_c_stream__"):
        return None
    try:
        return _streamed(pa.RecordBatchReader.from_stream(data))
    except (pa.ArrowException, TypeError, ValueError):  # a stream of one column: a Series, an Array
        raise SourceError(f"The data is {_named(data)}, not a frame; {_ALLOWED}.") from None


def _each(frames: Iterable[Any]) -> Iterator[pa.Table]:
    for number, frame in enumerate(frames):
        tables = _opened(frame)
        if tables is None:
            raise SourceError(f"Item {number} of the data is {_named(frame)}, not a frame; {_ALLOWED}.")
        yield from tables


def _streamed(reader: pa.RecordBatchReader) -> Iterator[pa.Table]:
    empty = True
    for batch in reader:
        empty = False
        yield table_of(reader.schema.names, map(arrow_column, pa.Table.from_batches([batch]).columns))
    if empty:  # no batch at all still has columns
        yield table_of(reader.schema.names, map(arrow_column, reader.schema.empty_table().columns))


def _from_pandas(frame: Any, pandas: Any) -> pa.Table:
    names = [_label(label) for label in frame.columns]
    columns = [frame.iloc[:, position] for position in range(len(names))]
    # A named index is data (a grouping leaves the customer's id there), an unnamed one counts rows.
    levels = [(position, _label(name)) for position, name in enumerate(frame.index.names) if name is not None]
    levels = [(position, name) for position, name in levels if name not in names]
    index = [pandas.Series(frame.index.get_level_values(position)) for position, _ in levels]
    return table_of(
        [name for _, name in levels] + names, [_pandas_column(series, pandas) for series in index + columns]
    )


def _pandas_column(series: Any, pandas: Any) -> Column:
    if isinstance(series.dtype, pandas.SparseDtype):
        series = series.sparse.to_dense()
    values = getattr(series.dtype, "categories", series)  # what a categorical holds decides
    by_value = isinstance(values.dtype, (pandas.PeriodDtype, pandas.IntervalDtype)) or values.dtype == object
    if not by_value and values.dtype.kind != "c":
        try:
            array = pa.array(series, from_pandas=True)
            return arrow_column(array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array]))
        except (pa.ArrowException, TypeError, ValueError):
            pass  # lone surrogates, a foreign extension type: value by value
    return objects_column(series.astype(object).tolist())


def _from_polars(frame: Any, polars: Any) -> pa.Table:
    by_value = {getattr(polars, name, polars.Object) for name in ("Object", "Int128", "UInt128")}
    columns = [
        objects_column(series.to_list())  # no Arrow type: addresses, or an error
        if series.dtype in by_value
        else arrow_column(pa.chunked_array([series.to_arrow()]))
        for series in frame
    ]
    return table_of(frame.columns, columns)


def _collected(lazy: Any) -> Iterator[Any]:
    """Batches of a polars LazyFrame, where this polars can stream them."""
    empty = True
    for batch in lazy.collect_batches() if hasattr(lazy, "collect_batches") else [lazy.collect()]:
        empty = False
        yield batch
    if empty:
        yield lazy.head(0).collect()


def _unusable(kind: pa.DataType) -> str | None:
    types = pa.types
    if types.is_nested(kind):
        return "nested values"
    if any(is_binary(kind) for is_binary in (types.is_binary, types.is_large_binary, types.is_binary_view)):
        return "binary values"
    if types.is_fixed_size_binary(kind):
        return "binary values"
    return "unsupported values" if types.is_interval(kind) and not types.is_duration(kind) else None


def _targets(kind: pa.DataType) -> list[pa.DataType]:
    """The types to try for an Arrow type, narrowest first."""
    types = pa.types
    if types.is_null(kind) or types.is_boolean(kind):
        return [kind]
    if types.is_integer(kind):
        return [pa.int64(), pa.decimal128(20, 0)]
    if types.is_floating(kind):
        return [pa.float64()]
    if types.is_decimal(kind):
        scale = max(kind.scale, 0)
        precision = min(max(kind.precision, kind.precision - kind.scale), 38)
        return [pa.decimal128(precision, scale)] * (scale <= 38) + [pa.large_string()]
    if types.is_date(kind):
        return [pa.date32()]
    if types.is_timestamp(kind):
        return [_ZONED if kind.tz else _TIMESTAMP, pa.large_string()]
    return [pa.large_string()]


def _label(label: Any) -> str:
    parts = [str(part) for part in label] if isinstance(label, tuple) else [str(label)]
    return "_".join(part for part in parts if part) or "_".join(parts)


def _named(data: Any) -> str:
    kind = type(data)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__.partition('.')[0]}."
    return f"of type {module}{kind.__qualname__}"
