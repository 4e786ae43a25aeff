"""What is published: versions of three tables; a mixture of two of them cannot be taken for one of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

import pyarrow as pa

from airflow_provider_customer360.publish import Load

#: Each table with its key; to the last one publishing only appends.
TABLES = {
    "customers": ("customer_id",),
    "customers_identities": ("identifier_type", "identifier_value"),
    "customers_events": ("event_id",),
}
#: Customers that leave with each version; as many come.
LEAVING = 10
EVENTS = 20
#: A part of every personal value, for whatever an error says.
SECRET = "private.example"  # noqa: S105

#: One query, therefore one state of all tables: how many rows, and sums that no mixture has.
LOOK = "SELECT " + ", ".join(
    f"(SELECT {what} FROM {table})"
    for table in TABLES
    for what in ("count(*)", "coalesce(sum(stamp), 0)", "coalesce(sum(stamp * number), 0)")
)

#: What `LOOK` gives; empty where a table is missing.
Marks = tuple[int, ...]
MISSING: Marks = ()


class Change(StrEnum):
    """How a version differs from the one before."""

    FIRST = "the first publish"
    FEW = "few rows change"
    ALL = "all rows change"
    WIDER = "a column is added"
    NARROWER = "a column goes"
    MORE = "tables are added"


@dataclass(frozen=True, eq=False)
class Version:
    """The state of all tables after a publish.

    Attributes:
        number: one more with each.
        stamps: for the number of each customer, the version that changed its rows last.
        logged: the versions that appended events.
        is_wider: the customers have one column more.
        is_narrower: the customers lose that column.
        tables: the names of those that there are.
    """

    number: int
    stamps: Mapping[int, int]
    logged: frozenset[int] = field(default_factory=frozenset)
    is_wider: bool = False
    is_narrower: bool = False
    tables: tuple[str, ...] = tuple(TABLES)

    def after(self, change: Change) -> Version:
        """The next version: some customers leave, some come, and of the others few or all change."""
        number = self.number + 1
        first = min(self.stamps) + LEAVING

        def stamp(customer: int) -> int:
            changes = change is Change.ALL or customer % 20 == number % 20
            return number if changes else self.stamps.get(customer, number)

        stamps = {customer: stamp(customer) for customer in range(first, first + len(self.stamps))}
        logged = self.logged | {number}
        return Version(number, stamps, logged, change is Change.WIDER, change is Change.NARROWER)

    def with_customers_only(self) -> Version:
        """As if the first run had been of a release that made no other table."""
        return replace(self, tables=("customers",), logged=frozenset())

    @cached_property
    def rows(self) -> dict[str, pa.Table]:
        """All rows of each table."""
        columns = {"customer_id": str, "number": int, "stamp": int, "email": str, "note": str}
        profiles: list[tuple[Any, ...]] = [
            (f"c{number}", number, stamp, f"{number}.{stamp}@{SECRET}", f"{SECRET} {stamp} " + "-" * 80)
            for number, stamp in self.stamps.items()
        ]
        if self.is_wider:
            columns |= {"plan": str}
            profiles = [(*row, f"{SECRET} {row[1]}") for row in profiles]
        identities = [
            (kind, f"{number}@{SECRET}", f"c{number} of {stamp}", number, stamp)
            for number, stamp in self.stamps.items()
            for kind in ("email", "phone")
        ]
        tables = {
            "customers": _table(columns, profiles),
            "customers_identities": _table(_IDENTITIES, identities),
            "customers_events": _events(self.logged),
        }
        return {table: tables[table] for table in self.tables}

    def columns(self, table: str) -> dict[str, list[Any]]:
        """The values of each column of a table, in the order of its rows."""
        values: dict[str, list[Any]] = self.rows[table].to_pydict()
        return values

    def loads(self) -> list[Load]:
        """What a run hands over: of the events its own, of everything else all; two or three batches each."""
        rows = self.rows | {"customers_events": _events({self.number})}
        return [
            Load(
                table,
                rows[table].to_batches(rows[table].num_rows // 2),
                rows[table].schema,
                key,
                mode="append" if table == "customers_events" else "replace",
                on_schema_change="replace" if self.is_narrower and table == "customers" else "add",
            )
            for table, key in TABLES.items()
        ]

    @cached_property
    def marks(self) -> Marks:
        """What `LOOK` finds."""
        marks: list[int] = []
        if self.tables != tuple(TABLES):
            return MISSING
        for table in TABLES:
            columns = self.columns(table)
            numbers, stamps = columns["number"], columns["stamp"]
            products = (number * stamp for number, stamp in zip(numbers, stamps, strict=True))
            marks += (len(stamps), sum(stamps), sum(products))
        return tuple(marks)

    def __str__(self) -> str:
        return f"version {self.number}"


def first_version(customers: int) -> Version:
    """Version 1, of so many customers."""
    return Version(1, dict.fromkeys(range(customers), 1), frozenset({1}))


def marks_of(version: Version | None) -> Marks:
    """What `LOOK` finds; None stands for no tables."""
    return version.marks if version else MISSING


_IDENTITIES = {
    "identifier_type": str,
    "identifier_value": str,
    "customer_id": str,
    "number": int,
    "stamp": int,
}


def _events(versions: Iterable[int]) -> pa.Table:
    rows = [
        (f"{version}-{number}", number, version, f"{SECRET} came")
        for version in sorted(versions)
        for number in range(EVENTS)
    ]
    return _table({"event_id": str, "number": int, "stamp": int, "what": str}, rows)


def _table(columns: Mapping[str, type], rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    types = {str: pa.string(), int: pa.int64()}
    values = zip(*rows, strict=True) if rows else [()] * len(columns)
    return pa.table(
        {
            name: pa.array(column, types[kind])
            for (name, kind), column in zip(columns.items(), values, strict=True)
        }
    )
