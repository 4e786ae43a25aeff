"""Python objects of any kind -> one Arrow array of the narrowest type that holds all of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

import pyarrow as pa

_TIMESTAMP, _ZONED = pa.timestamp("us"), pa.timestamp("us", "UTC")
_PLAIN_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,37})(\.[0-9]{1,37})?")

#: The first class that a value's type is a subclass of decides; a bool is an int, a datetime a date.
_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (type(None), "null"),
    (bool, "bool"),
    (int, "int"),
    (float, "float"),
    (Decimal, "decimal"),
    (str, "text"),
    (datetime, "timestamp"),
    (date, "date"),
    (time, "time"),
    (timedelta, "duration"),
    ((UUID, PurePath), "printable"),
    ((bytes, bytearray, memoryview), "binary"),
    (Collection, "nested"),
)


def objects_array(values: Sequence[Any]) -> tuple[pa.Array, str | None]:
    """Python objects as the narrowest type that holds all of them, else as text; or why they are unusable."""
    if not set(map(type, values)) <= _CLEAN:
        values = [_plain(value) for value in values]
    found = frozenset(map(_kind, set(map(type, values)))) - {"null"}
    for kind in ("nested", "binary", "unsupported"):
        if kind in found:
            return pa.nulls(len(values)), f"{kind} values"
    if "text" in found and len(found) > 1 and found <= {"text", "int", "float", "decimal"}:
        numbers = _parsed(values)
        if numbers is not None:
            return objects_array(numbers)
    try:
        return _typed(values, found), None
    except (pa.ArrowException, OverflowError, ValueError, TypeError):
        return _texts(values), None  # whatever no type holds (40 digits, the year 0) is still a text


# Values of no type that an Arrow array could simply be asked for; NaN is why float and Decimal are absent.
_CLEAN = frozenset({type(None), bool, int, str, date, datetime, time, timedelta, UUID, list, dict})


def _plain(value: Any) -> Any:
    """A value with every kind of "missing" as None, and enums and numpy scalars as what they hold."""
    kind = type(value)
    if isinstance(value, Enum):
        return _plain(value.value)
    if kind.__name__ in ("NAType", "NaTType"):
        return None
    if kind.__module__ == "numpy" and kind.__name__ in ("datetime64", "timedelta64"):
        value = value.astype(f"{kind.__name__}[us]").item()  # .item() of nanoseconds is a bare int
    elif kind.__module__ == "numpy" and kind.__name__ == "longdouble":
        value = float(value)
    elif kind.__module__ == "numpy" and hasattr(value, "item") and not hasattr(value, "__len__"):
        value = value.item()
    if isinstance(value, Decimal):
        return None if value.is_nan() else value
    return None if isinstance(value, float) and value != value else value


def _kind(kind: type) -> str:
    if kind.__name__ in ("Period", "Interval") and kind.__module__.startswith("pandas"):
        return "printable"
    return next((name for classes, name in _KINDS if issubclass(kind, classes)), "unsupported")


def _typed(values: Sequence[Any], found: frozenset[str]) -> pa.Array:
    if not found:
        return pa.nulls(len(values))
    if found == {"bool"}:
        return pa.array(values, pa.bool_())
    if found <= {"int", "float", "decimal"}:
        return _numbers(values, found)
    if found <= {"timestamp", "date"}:
        return _moments(values, found)
    if found == {"duration"}:
        return pa.array([None if value is None else value.total_seconds() for value in values], pa.float64())
    return _texts(values)


def _numbers(values: Sequence[Any], found: frozenset[str]) -> pa.Array:
    present = [value for value in values if value is not None]
    # An id column that met one float (7.0) is still one of ids: floats that are whole are no reason.
    if found == {"int", "float"} and all(isinstance(value, int) or _whole(value) for value in present):
        values, found = [None if value is None else int(value) for value in values], frozenset({"int"})
    if "float" in found or not all(v.is_finite() for v in present if isinstance(v, Decimal)):
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    if found == {"int"} and all(-(2**63) <= value < 2**63 for value in present):
        return pa.array(values, pa.int64())
    if found == {"int"}:
        return pa.array([None if value is None else Decimal(value) for value in values], pa.decimal128(38, 0))
    return pa.array([Decimal(value) if isinstance(value, int) else value for value in values])


def _whole(value: float) -> bool:
    """Whether a float is an integer, and not one that it could only stand near to."""
    return value.is_integer() and abs(value) <= 2**53


def _moments(values: Sequence[Any], found: frozenset[str]) -> pa.Array:
    if found == {"date"}:
        return pa.array(values, pa.date32())
    moments = [
        value if value is None or isinstance(value, datetime) else datetime.combine(value, time.min)
        for value in values
    ]
    # Beside zoned moments, those without a zone are UTC: Arrow reads them so.
    return pa.array(moments, _ZONED if any(v is not None and v.tzinfo for v in moments) else _TIMESTAMP)


def _parsed(values: Sequence[Any]) -> list[Any] | None:
    """Numbers and numeric texts as numbers, blank as missing; None if a text is more than a number.

    ``007`` and ``+49`` are more: they are codes, and a number would lose what makes them so.
    """
    numbers: list[Any] = []
    for value in values:
        if isinstance(value, str):
            value = value.strip()
            if value and not _PLAIN_NUMBER.fullmatch(value):
                return None
            value = (Decimal(value) if "." in value else int(value)) if value else None
        numbers.append(value)
    return numbers


def _texts(values: Sequence[Any]) -> pa.Array:
    texts = [value if value is None or type(value) is str else _text(value) for value in values]
    try:
        return pa.array(texts, pa.large_string())
    except UnicodeEncodeError:
        return pa.array([None if text is None else scrubbed(text) for text in texts], pa.large_string())


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"  # as SQL writes it
    if isinstance(value, float):
        return str(int(value)) if _whole(value) else repr(value)
    if isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) < 100:
        return str(int(value)) if value == value.to_integral_value() else format(value, "f")
    if isinstance(value, int):
        return str(value) if value.bit_length() < 10_000 else hex(value)  # str() refuses 4,300 digits
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, timedelta):
        return str(value.total_seconds())
    return value.isoformat() if isinstance(value, (date, time)) else str(value)


def scrubbed(text: str) -> str:
    """The text with pairs of surrogates joined and lone ones replaced, so that it can be UTF-8."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
