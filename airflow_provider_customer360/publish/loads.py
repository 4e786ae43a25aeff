"""What is to be published to a table, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from airflow_provider_customer360.database.tables import Table, parse_table
from airflow_provider_customer360.unify.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

Mode = Literal["replace", "append"]


@dataclass(frozen=True)
class Load:
    """Rows for one table.

    Attributes:
        table: ``name`` or ``schema.name``; a part that has a dot is put in double quotes.
        batches: batches of `schema`; read once, one at a time.
        key: the columns that are never null and together unique, in the order of a primary key.
        mode: "replace" makes the table equal to the rows; "append" adds the rows whose key it lacks and
            leaves those that it has alone.

    Raises:
        ConfigError: table or mode are none.
    """

    table: str
    batches: Iterable[pa.RecordBatch]
    schema: pa.Schema
    key: tuple[str, ...]
    mode: Mode = "replace"

    def __post_init__(self) -> None:
        parse_table(self.table)
        if self.mode not in get_args(Mode):
            allowed = " or ".join(map(repr, get_args(Mode)))
            raise ConfigError(f"The mode of publishing to {self.table} is {self.mode!r}; allowed: {allowed}.")

    @property
    def target(self) -> Table:
        """The table's name in parts."""
        return parse_table(self.table)


@dataclass(frozen=True)
class Published:
    """What publishing did to a table.

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
