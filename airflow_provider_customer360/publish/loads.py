"""What is to be published to a table, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from airflow_provider_customer360.database.tables import Table, parse_table
from airflow_provider_customer360.unify.errors import ConfigError

if TYPE_CHECKING:
    from datetime import datetime

    import pyarrow as pa

    from airflow_provider_customer360.audit.measures import Audited
    from airflow_provider_customer360.unify.result import Frame

Mode = Literal["replace", "upsert", "append"]
SchemaChange = Literal["add", "fail", "replace"]
ON_SCHEMA_CHANGE: tuple[str, ...] = get_args(SchemaChange)


@dataclass(frozen=True)
class Removal:
    """Rows that have to go whatever the load brings for others, such as those of people to be forgotten.

    Attributes:
        columns: of the target; a target that lacks one of them has no such rows.
        batches: values of these columns, in their order; read once. A row of the target goes if it has
            the values of one of them, unless the load has a row of its key.
        schema: of the batches.
    """

    columns: tuple[str, ...]
    batches: Iterable[pa.RecordBatch]
    schema: pa.Schema

    @classmethod
    def of(cls, columns: Sequence[str], frame: Frame) -> Removal:
        """The rows that have the values of one row of a frame."""
        return cls(tuple(columns), frame.batches(), frame.schema)


@dataclass(frozen=True)
class Snapshot:
    """The part of a table that a load is about: one state of many that the table keeps.

    Attributes:
        column: of the load's key; says of which time a row is.
        at: the time of all rows of the load, with a time zone.
        oldest: rows of an earlier time are removed; None: all are kept.
    """

    column: str
    at: datetime
    oldest: datetime | None = None


@dataclass(frozen=True)
class Load:
    """Rows for one table.

    Attributes:
        table: ``name`` or ``schema.name``; a part that has a dot is put in double quotes.
        batches: batches of `schema`; read once, one at a time.
        key: the columns that are never null and together unique, in the order of a primary key.
        mode: "replace" makes the table equal to the rows; "upsert" writes the rows and leaves those of
            other keys alone; "append" adds the rows whose key the table lacks and changes none.
        snapshot: the part of the table to which the mode applies; None: all of it.
        removals: what is removed in any mode.
        audit: is given the staged rows and the table as it is, before anything is changed; what it raises
            cancels everything.
        on_schema_change: "add" adds columns that the table lacks, widens types, and sets columns that the
            rows lack to null; "fail" refuses; "replace" gives the table exactly the rows' columns.
        withheld: columns that the rows lack because nobody may read them: a table that has one and would keep
            its values is refused.

    Raises:
        ConfigError: table, mode or on_schema_change are none.
    """

    table: str
    batches: Iterable[pa.RecordBatch]
    schema: pa.Schema
    key: tuple[str, ...]
    mode: Mode = "replace"
    snapshot: Snapshot | None = None
    removals: tuple[Removal, ...] = ()
    on_schema_change: SchemaChange = "add"
    withheld: tuple[str, ...] = ()
    audit: Callable[[Audited], None] | None = None

    def __post_init__(self) -> None:
        parse_table(self.table)
        for what, value, allowed in (
            ("mode", self.mode, get_args(Mode)),
            ("on_schema_change", self.on_schema_change, ON_SCHEMA_CHANGE),
        ):
            if value not in allowed:
                raise ConfigError(
                    f"The {what} of publishing to {self.table} is {value!r}; allowed: "
                    f"{' or '.join(map(repr, allowed))}."
                )

        is_whole = self.mode == "replace" and self.snapshot is None
        if self.on_schema_change == "replace" and not is_whole:
            raise ConfigError(
                f"on_schema_change='replace' would drop columns of {self.table} whose rows stay; allowed "
                "where not all rows are replaced: 'add' and 'fail'."
            )

    @property
    def target(self) -> Table:
        """The table's name in parts."""
        return parse_table(self.table)


@dataclass(frozen=True)
class Published:
    """What publishing did to a table, or would do.

    Attributes:
        rows_written: rows of the load, all of which the table has now.
        rows_unchanged: those of them that were there; in mode "append", those whose key was.
        created: the table did not exist before.
    """

    rows_written: int
    rows_inserted: int
    rows_updated: int
    rows_deleted: int
    rows_unchanged: int
    created: bool
