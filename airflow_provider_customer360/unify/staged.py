"""A staged source: what the later stages know of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from airflow_provider_customer360.unify.quoting import quoted

TEXT, ZONED = "VARCHAR", "TIMESTAMP WITH TIME ZONE"
MOMENTS = ("DATE", "TIMESTAMP", ZONED)  # each holds all of those before it
NUMBER = re.compile(r"DECIMAL\(\d+,\d+\)|BIGINT|DOUBLE")


@dataclass(frozen=True)
class StagedColumn:
    """One column of a staged source.

    Attributes:
        name: the column's name in the source.
        internal: its name in the relation (``c0``, ``c1``, ...).
        type: its DuckDB type.
        unusable: why it holds nothing that can be used (``nested values``); None if it does.
        empty: no value is known, and so no type; the type is VARCHAR then.
    """

    name: str
    internal: str
    type: str
    unusable: str | None = None
    empty: bool = False


@dataclass(frozen=True)
class Staged:
    """A source inside the engine: its relation, its columns in their order, its number of rows."""

    relation: str
    columns: tuple[StagedColumn, ...]
    rows: int


def create_view(
    connection: duckdb.DuckDBPyConnection, relation: str, selected: Sequence[str], source: str
) -> None:
    """Make a query readable under a name."""
    # A relation needs a column, even where the source has none.
    query = f"SELECT {', '.join(selected)} FROM {source}" if selected else "SELECT NULL AS none WHERE false"
    connection.execute(f"CREATE OR REPLACE TEMP VIEW {quoted(relation)} AS {query}")


def answer(connection: duckdb.DuckDBPyConnection, question: str) -> Any:
    """The only value of a query."""
    ((value,),) = connection.execute(f"SELECT {question}").fetchall()  # all: no result stays open
    return value
