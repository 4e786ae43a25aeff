"""What a column holds, and whether a column that exists can hold it exactly."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from airflow_provider_customer360.unify.errors import PublishError

if TYPE_CHECKING:
    import pyarrow as pa

#: Digits of the largest 64-bit integer.
_INTEGER_DIGITS = 19
_DECIMAL_DIGITS = 38
#: Kinds that a column of a kind may become: each value stays what it was.
_WIDER = {
    "INTEGER": ("DECIMAL", "FLOAT", "TEXT"),
    "DECIMAL": ("DECIMAL", "FLOAT", "TEXT"),
    "FLOAT": ("TEXT",),
    "BOOLEAN": ("TEXT",),
    "DATE": ("TIMESTAMP", "TIMESTAMPTZ", "TEXT"),
    "TIMESTAMP": ("TIMESTAMPTZ", "TEXT"),
    "TIMESTAMPTZ": ("TEXT",),
}
_NATIVE = re.compile(r"(?P<base>[^(]*)(?:\((?P<arguments>[-\d, ]*)\))?(?P<rest>.*)")


class Kind(StrEnum):
    """The kinds of columns that profiles have; each is one Arrow type."""

    TEXT = "string"
    INTEGER = "int64"
    DECIMAL = "decimal128"
    FLOAT = "double"
    BOOLEAN = "bool"
    DATE = "date32[day]"
    TIMESTAMP = "timestamp[us]"
    TIMESTAMPTZ = "timestamp[us, tz=UTC]"


@dataclass(frozen=True)
class ColumnType:
    """A kind and, for decimals, the digits in all and after the point."""

    kind: Kind
    precision: int = 0
    scale: int = 0


@dataclass(frozen=True)
class ExistingColumn:
    """A column of the table as it is.

    Attributes:
        name: its spelling in the database.
        native: its type in the database's words.
        required: it refuses NULL.
        has_default: the database fills it where nothing is given.
        generated: the database computes it, nobody may write it.
        unique_in: ids, separated by blanks, of the unique indexes that it is part of.
        collation: by which the database compares its texts, where that matters.
    """

    name: str
    native: str
    required: bool = False
    has_default: bool = False
    generated: bool = False
    unique_in: str | None = None
    collation: str | None = None


def type_of(field: pa.Field) -> ColumnType:
    """The column type of an Arrow field.

    Raises:
        PublishError: no database column is meant for it.
    """
    import pyarrow as pa

    if pa.types.is_decimal128(field.type):
        return ColumnType(Kind.DECIMAL, field.type.precision, field.type.scale)
    try:
        return ColumnType(Kind(str(field.type)))
    except ValueError:
        allowed = ", ".join(Kind)
        raise PublishError(
            f"Column {field.name!r} has the Arrow type {field.type}; allowed: {allowed}. Cast it."
        ) from None


def base_of(native: str) -> tuple[str, tuple[int, ...]]:
    """Split a database's type, ``timestamp(3) with time zone``, into its name and its arguments."""
    match = _NATIVE.fullmatch(native.strip().lower())
    if match is None:  # a newline in the name of a user-defined type
        return native, ()
    arguments = match["arguments"] or ""
    numbers = tuple(int(part) for part in arguments.split(",") if part.strip().lstrip("-").isdigit())
    return " ".join(f"{match['base']} {match['rest']}".split()), numbers


def is_wider(kind: Kind, than: Kind) -> bool:
    """Whether a column of one kind takes the values of another."""
    return kind.name in _WIDER.get(than.name, ())


def widened(old: ColumnType, new: ColumnType) -> ColumnType | None:
    """The type that an existing column has to become to hold the new values; None where it may not."""
    if not is_wider(new.kind, old.kind):
        return None
    if new.kind is Kind.DECIMAL:
        return ColumnType(Kind.DECIMAL, _DECIMAL_DIGITS, max(old.scale, new.scale))
    return new


def decimal_fits(column: ColumnType, precision: int, scale: int = 0) -> bool:
    """Whether a decimal column of this size holds every value of an integer or decimal column."""
    if column.kind is Kind.INTEGER:
        return precision - scale >= _INTEGER_DIGITS and scale >= 0
    # A column of all the digits there are takes what a smaller scale leaves room for; what is larger still
    # is refused by the database.
    whole = column.precision - column.scale if precision < _DECIMAL_DIGITS else 0
    return column.kind is Kind.DECIMAL and precision - scale >= whole and scale >= column.scale
