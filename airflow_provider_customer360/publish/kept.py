"""How a database that nobody looked at keeps values: asked of itself, with values that are hard to keep.

SQLAlchemy knows the names of a database's types, not what they do: some drop time zones or microseconds,
have fewer digits, or refuse to be compared. The first type that gives back exactly what it was given is
taken. Where there is none, values are kept as text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_provider_customer360.publish.batches import as_text
from airflow_provider_customer360.publish.columns import ColumnType, Kind
from airflow_provider_customer360.unify.errors import PublishError

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import Connection
    from sqlalchemy.types import TypeEngine

_TEXTS = ["a ", "'\"\\%?:x", "Größe 名前 😀", "x" * 5_000]
_TIMES = [datetime(1000, 1, 1, 0, 0, 0, 1), datetime(2024, 3, 31, 2, 30, 0, 123456), datetime(9000, 1, 1)]  # noqa: DTZ001
_VALUES: Mapping[Kind, list[Any]] = {
    Kind.TEXT: _TEXTS,
    Kind.INTEGER: [2**63 - 1, -(2**63)],
    # Numbers so small that they have fewer digits are no matter of the type: not all databases keep them.
    Kind.FLOAT: [0.1, 1 / 3, 1.7976931348623157e308, -2.2250738585072014e-308],
    Kind.BOOLEAN: [True, False],
    Kind.DATE: [date(1, 1, 1), date(2024, 2, 29), date(9999, 12, 31)],
    Kind.TIMESTAMP: _TIMES,
    Kind.TIMESTAMPTZ: [time.replace(tzinfo=UTC) for time in _TIMES],
}
#: Digits of a decimal, by what databases have.
_DIGITS = (38, 31, 28, 18, 15)
#: Characters of a column of a key, and of what is kept as text.
_KEY, _SHORT = 500, 50


@dataclass(frozen=True)
class Kept:
    """A type, and how values get into it.

    Attributes:
        type: SQLAlchemy's.
        values: an Arrow column as Python's values for the driver.
        is_text: the values are texts that say what they are.
    """

    type: TypeEngine[Any]
    values: Callable[[pa.Array], list[Any]]
    is_text: bool = False


@dataclass(frozen=True)
class Keeping:
    """What a database does with each kind of value.

    Attributes:
        kinds: how each is kept; of decimals, those of up to `digits` digits.
        longer: how decimals of more digits are.
        key: type of a text of a key.
    """

    kinds: Mapping[Kind, Kept]
    digits: int
    longer: Kept
    key: TypeEngine[Any]

    def of(self, column: ColumnType) -> Kept:
        """How a column is kept."""
        if column.kind is not Kind.DECIMAL:
            return self.kinds[column.kind]
        if column.precision > self.digits:
            return self.longer
        import sqlalchemy as sa

        return Kept(sa.Numeric(column.precision, column.scale), self.kinds[Kind.DECIMAL].values)


def keeping(connection: Connection) -> Keeping:
    """Ask the database; nothing is written.

    Raises:
        PublishError: it keeps nothing like a text or a 64-bit number.
    """
    import sqlalchemy as sa

    kinds = {kind: _first(connection, kind, _candidates(connection, kind)) for kind in _VALUES}
    text = kinds[Kind.TEXT]
    wide = isinstance(text.type, sa.Unicode | sa.UnicodeText)
    short = sa.Unicode(_SHORT) if wide else sa.String(_SHORT)
    digits = next((digits for digits in _DIGITS if _keeps_digits(connection, digits)), 0)
    kinds[Kind.DECIMAL] = Kept(sa.Numeric(max(digits, 1), 0), _plain)
    key = sa.Unicode(_KEY) if wide else sa.String(_KEY)
    return Keeping(kinds, digits, Kept(short, _digits, is_text=True), key)


def _candidates(connection: Connection, kind: Kind) -> Iterator[Kept]:
    import sqlalchemy as sa

    if kind is Kind.TEXT:
        for values in (_plain, _without_nul):
            for type_ in (sa.Text(), sa.UnicodeText(), sa.String(4000), sa.Unicode(4000)):
                yield Kept(type_, values)
        return
    names = getattr(connection.dialect, "ischema_names", {})
    others = [names["datetime2"]()] if "datetime2" in names else []
    naive = [sa.DateTime(), *others, sa.TIMESTAMP()]
    types: Mapping[Kind, Sequence[TypeEngine[Any]]] = {
        Kind.INTEGER: [sa.BigInteger(), sa.Numeric(19, 0)],
        Kind.FLOAT: [sa.Double(), sa.DOUBLE_PRECISION(), sa.Float(53)],
        Kind.BOOLEAN: [sa.Boolean(), sa.SmallInteger()],
        Kind.DATE: [sa.Date()],
        Kind.TIMESTAMP: naive,
        Kind.TIMESTAMPTZ: [sa.DateTime(timezone=True)],
    }
    yield from (Kept(type_, _plain) for type_ in types[kind])
    if kind is Kind.TIMESTAMPTZ:  # the clock in UTC
        yield from (Kept(type_, _in_utc) for type_ in naive)
    if kind in (Kind.DATE, Kind.TIMESTAMP, Kind.TIMESTAMPTZ):
        yield from (Kept(type_, _as_text, is_text=True) for type_ in (sa.String(_SHORT), sa.Unicode(_SHORT)))


def _first(connection: Connection, kind: Kind, candidates: Iterator[Kept]) -> Kept:
    import pyarrow as pa

    column = pa.array(_VALUES[kind], _arrow(kind))
    nul = pa.array(["a\0b"], pa.string())
    for kept in candidates:
        values = kept.values(column) + (kept.values(nul) if kind is Kind.TEXT else [])
        limit = getattr(kept.type, "length", None)
        values = [value[:limit] if kind is Kind.TEXT else value for value in values]
        if _gives_back(connection, kept.type, values):
            return kept
    raise PublishError(
        f"{connection.dialect.name} has no type that gives back a {kind.name.lower()} exactly as it was "
        "given; nothing was written. Give target_conn_id another connection."
    )


def _keeps_digits(connection: Connection, digits: int) -> bool:
    import sqlalchemy as sa

    values = [Decimal("9" * digits).scaleb(-2), Decimal(-1).scaleb(-2)]
    exact = [Decimal(f"{'9' * (digits - 2)}.99"), values[1]]
    return _gives_back(connection, sa.Numeric(digits, 2), exact)


def _gives_back(connection: Connection, type_: TypeEngine[Any], values: list[Any]) -> bool:
    """Whether all values come back, and each is equal to itself."""
    import sqlalchemy as sa

    casts = [sa.cast(sa.bindparam(f"v{n}", value, type_), type_) for n, value in enumerate(values)]
    same = [sa.case((cast == cast, 1), else_=0) for cast in casts]
    labelled = [column.label(f"r{n}") for n, column in enumerate((*casts, *same))]
    try:
        row = list(connection.execute(sa.select(*labelled)).one())
    except Exception:  # whatever the type does, it does not do this
        return False
    finally:
        connection.rollback()
    return row == [*values, *(1 for _ in values)]


def _arrow(kind: Kind) -> Any:
    import pyarrow as pa

    instants = {Kind.TIMESTAMP: pa.timestamp("us"), Kind.TIMESTAMPTZ: pa.timestamp("us", "UTC")}
    return instants.get(kind)


def _plain(column: pa.Array) -> list[Any]:
    return list(column.to_pylist())


def _without_nul(column: pa.Array) -> list[Any]:
    import pyarrow.compute as pc

    return list(pc.replace_substring(column, "\0", "").to_pylist())


def _in_utc(column: pa.Array) -> list[Any]:
    import pyarrow as pa

    return list(column.cast(pa.timestamp("us")).to_pylist())


def _as_text(column: pa.Array) -> list[Any]:
    return list(as_text(column).to_pylist())


def _digits(column: pa.Array) -> list[Any]:
    """Decimals as text; the same number is the same text, whatever its scale."""
    texts = (None if value is None else format(value, "f") for value in column.to_pylist())
    return [text.rstrip("0").rstrip(".") if text and "." in text else text for text in texts]
