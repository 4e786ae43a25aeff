"""The frames that the stages pass on, and the plan that detection makes for them.

Inside the engine every source has positional column names (``c0``, ``c1``, ...), so that no name that
a user chose (duplicated, differing only by case, full of quotes) ever meets another one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from airflow_provider_customer360.unify.identifier_types import IdentifierType

#: Profile columns that the package itself fills; a source's column of that name gets a prefix.
RESERVED_COLUMNS = ("customer_id", "total_records", "data_sources", "first_seen", "last_seen", "is_active")


#: The reason of a column that is called just ``id``, until the whole table has been looked at.
BARE_ID = "a bare id"


class Role(StrEnum):
    """What a source column is used for."""

    IDENTIFIER = "identifier"
    METRIC = "metric"
    ATTRIBUTE = "attribute"
    EVENT_TIME = "event_time"
    IGNORED = "ignored"


@dataclass(frozen=True)
class ColumnPlan:
    """What one column of a source is used for, and why.

    Attributes:
        name: the column's name in the source.
        internal: its name inside the engine (``c0``, ``c1``, ...).
        type: its DuckDB type.
        role: what it is used for.
        reason: why, in words that a data engineer understands.
        output: the identifier type, or the profile column that a metric or attribute feeds.
        aggregate: how a metric is aggregated (``sum``, ``mean``, ``min``, ``max``), or the rule by which an
            attribute survives (``most_recent``, ...).
        empty: no value is known, so the type says nothing.
        guests: an identifier whose value 0 stands for whoever has no number.
    """

    name: str
    internal: str
    type: str
    role: Role
    reason: str
    output: str | None = None
    aggregate: str | None = None
    empty: bool = False
    guests: bool = False


@dataclass(frozen=True)
class SourcePlan:
    """One staged source and the roles of its columns.

    Attributes:
        name: the user's name of the source.
        output: that name as part of a column name (``<output>_records``).
        relation: the engine's relation with one row per source row.
        rows: its number of rows.
        columns: every column of the source, in its order.
        forgotten: how many of its rows are of people who are to be forgotten; nothing tells of these.
        combinations: about how many different combinations of raw identifiers its rows have;
            0 without identifiers.
    """

    name: str
    output: str
    relation: str
    rows: int
    columns: tuple[ColumnPlan, ...]
    forgotten: int = 0
    combinations: int = 0

    @property
    def kept(self) -> int:
        """The number of rows that the results tell of."""
        return self.rows - self.forgotten

    def having(self, role: Role) -> tuple[ColumnPlan, ...]:
        """The columns of one role."""
        return tuple(column for column in self.columns if column.role is role)

    def outputs(self, role: Role) -> frozenset[str | None]:
        """The profile columns, or identifier types, that columns of one role feed."""
        return frozenset(column.output for column in self.having(role))

    @property
    def event_time(self) -> ColumnPlan | None:
        """The column that says when a record happened."""
        return next(iter(self.having(Role.EVENT_TIME)), None)


@dataclass(frozen=True)
class Metric:
    """A profile column that aggregates numbers.

    Attributes:
        name: profile column.
        aggregate: ``sum``, ``mean``, ``min`` or ``max``.
        kind: ``integer`` (exact, 128 bits), ``decimal`` (exact, ``scale`` digits) or ``float``.
        scale: digits behind the point of a decimal.
        units: exponents of the powers of two by which floating-point numbers are added up exactly.
    """

    name: str
    aggregate: str
    kind: str
    scale: int = 0
    units: tuple[int, ...] = ()


@dataclass(frozen=True)
class Attribute:
    """A profile column of which one value survives, or several that survive together.

    Attributes:
        name: the profile column, or what the user calls the group.
        columns: the profile columns with their DuckDB types.
        rule: which value survives, see `rules`.
        sources: of the rule ``source_priority``: the listed sources, the preferred one first.
        is_group: the values of all columns are taken from one record.
        source_column: the profile column that names the survivor's source; None where not asked for.
    """

    name: str
    columns: tuple[tuple[str, str], ...]
    rule: str
    sources: tuple[str, ...] = ()
    is_group: bool = False
    source_column: str | None = None


@dataclass(frozen=True)
class Plan:
    """What will be done with every column of every source.

    Attributes:
        sources: in the user's order, which changes no result.
        types: the identifier types, the strongest first.
        metrics, attributes: profile columns, or groups of them, in order of first appearance.
        warnings: what a person should know, without any value of the data.
        salted: whether digests are made with a salt, see `digests`.
    """

    sources: tuple[SourcePlan, ...]
    types: tuple[IdentifierType, ...]
    metrics: tuple[Metric, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    warnings: tuple[str, ...] = field(default=())
    salted: bool = False

    @property
    def identifier_types(self) -> tuple[str, ...]:
        """The names of the identifier types, the strongest first."""
        return tuple(one.name for one in self.types)

    def type(self, name: str) -> IdentifierType:
        """An identifier type of the plan by its name."""
        return next(one for one in self.types if one.name == name)

    @property
    def has_event_time(self) -> bool:
        """Whether any source says when its records happened."""
        return any(source.event_time for source in self.sources)

    def columns(self) -> Iterator[tuple[SourcePlan, ColumnPlan]]:
        """Every column with its source."""
        for source in self.sources:
            for column in source.columns:
                yield source, column
