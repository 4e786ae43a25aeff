"""Columns of Postgres as ADBC brings them: what to select, and how it becomes what psycopg would give.

Everything that the two read differently is written out by the server, so that only numbers, texts and moments
are left, of which the Arrow types are beyond doubt.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from airflow_provider_customer360.unify.frames import Column

#: Of days and of microseconds: what a date of Python can be, the years 1 to 9999.
_DAYS = (-719_162, 2_932_896)
_MICROSECONDS = (_DAYS[0] * 86_400_000_000, (_DAYS[1] + 1) * 86_400_000_000 - 1)


class BeyondPython(Exception):
    """A date or time that is infinite, before Christ or after the year 9999."""


@dataclass(frozen=True)
class Reading:
    """How a column is read.

    Attributes:
        expression: what to select; ``{}`` is the column.
        column: makes a column of the batch's array, which has a value.
    """

    expression: str
    column: Callable[[pa.ChunkedArray], Column]


def numeric_column(texts: pa.ChunkedArray) -> Column:
    """Decimal numbers that the server has written, as `objects_column` types them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from airflow_provider_customer360.unify.frames import objects_column

    texts = pc.if_else(pc.equal(texts, "NaN"), None, texts)
    dot, length = pc.find_substring(texts, "."), pc.utf8_length(texts)
    scale = pc.max(pc.if_else(pc.equal(dot, -1), 0, pc.subtract(pc.subtract(length, dot), 1))).as_py() or 0
    # The 0 before a point is no digit; the number 0 has one.
    whole = pc.utf8_ltrim(pc.replace_substring_regex(texts, r"\..*", ""), "-0")
    digits = max(pc.max(pc.utf8_length(whole)).as_py() or 0, bool(pc.any(pc.equal(texts, "0")).as_py()))
    if 0 < digits + scale <= 38 and not pc.any(pc.match_substring(texts, "Inf")).as_py():
        return texts.cast(pa.decimal128(digits + scale, scale)), None
    return objects_column([None if text is None else Decimal(text) for text in texts.to_pylist()])


def json_column(texts: pa.ChunkedArray) -> Column:
    """JSON as what it holds: nested, or plain values."""
    import pyarrow.compute as pc

    from airflow_provider_customer360.unify.frames import objects_column

    starts = pc.utf8_slice_codeunits(pc.utf8_ltrim_whitespace(texts), 0, 1)
    if pc.any(pc.or_(pc.equal(starts, "{"), pc.equal(starts, "["))).as_py():
        return _unusable("nested values", texts)
    return objects_column([None if text is None else json.loads(text) for text in texts.to_pylist()])


def reading_of(described: Sequence[Any], loader: str, *, usual: bool = True) -> Reading | None:
    """How to read a described column.

    Args:
        described: by psycopg.
        loader: the name of the class with which psycopg reads such values.
        usual: it is psycopg's own for the type, which matters for types that are known here.

    Returns:
        None if ADBC cannot give what psycopg gives.
    """
    known = _READINGS.get(described[1])
    if known is not None:
        return known if usual else None
    if loader.endswith("ArrayLoader"):
        return _THERE_IF_ANY["nested values"]
    return _AS_WRITTEN if loader == "TextLoader" else None


def arrow_column(column: pa.ChunkedArray) -> Column:
    """See `unify.frames`."""
    from airflow_provider_customer360.unify import frames

    return frames.arrow_column(column)


def _moments(column: pa.ChunkedArray) -> Column:
    import pyarrow as pa
    import pyarrow.compute as pc

    days = pa.types.is_date32(column.type)
    least, most = _DAYS if days else _MICROSECONDS
    found = pc.min_max(column.cast(pa.int32() if days else pa.int64()))
    if found["min"].as_py() < least or found["max"].as_py() > most:
        raise BeyondPython
    return arrow_column(column)


def _unusable(why: str, column: pa.ChunkedArray) -> Column:
    import pyarrow as pa

    return pa.chunked_array([pa.nulls(len(column))]), why


# Of what cannot be used, only whether there is any has to be known.
_THERE_IF_ANY = {
    why: Reading("CASE WHEN {} IS NOT NULL THEN true END", partial(_unusable, why))
    for why in ("nested values", "binary values", "unsupported values")
}
# What psycopg does not know it leaves as the server writes it; a cast to text may do that otherwise.
_AS_WRITTEN = Reading("CASE WHEN {} IS DISTINCT FROM NULL THEN format('%s', {}) END", arrow_column)
_READINGS = {
    # bool, integers, double precision; text, char, varchar, name
    **dict.fromkeys((16, 20, 21, 23, 701, 25, 1042, 1043, 19), Reading("{}", arrow_column)),
    **dict.fromkeys((1082, 1114, 1184), Reading("{}", _moments)),
    26: Reading("{}::int8", arrow_column),  # oid
    700: Reading("{}::text::float8", arrow_column),  # real: 0.1 is 0.1, not the float that is next to it
    1700: Reading("{}::text", numeric_column),
    2950: Reading("{}::text", arrow_column),  # uuid
    **dict.fromkeys((114, 3802), Reading("{}::text", json_column)),
    17: _THERE_IF_ANY["binary values"],
    **dict.fromkeys((650, 869), _THERE_IF_ANY["unsupported values"]),  # cidr, inet
}
