"""Identifiers that a person states in a table: types in any spelling, values standardised as in sources."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.errors import ConfigError, SourceError
from airflow_provider_customer360.unify.identifier_types import IdentifierType
from airflow_provider_customer360.unify.keys import NodeKeys
from airflow_provider_customer360.unify.phones import PhoneColumn, parse_phones
from airflow_provider_customer360.unify.quoting import literal
from airflow_provider_customer360.unify.reading import read_table
from airflow_provider_customer360.unify.spelling import canonical
from airflow_provider_customer360.unify.staged import Staged
from airflow_provider_customer360.unify.standardise import RawColumn, standardise
from airflow_provider_customer360.unify.stated_rules import rules_of

#: The two columns that state an identifier: its type and its value.
Side = tuple[str, str]
#: How a value may be shown in errors.
Shown = Callable[[object], str]


def read_stated(engine: Engine, name: str, data: Any, sides: Sequence[Side], optional: str = "") -> int:
    """Make ``<name>_stated``: ``number``, the columns of the sides as trimmed text and the optional column.

    Args:
        name: the argument by which the table was given, for errors.
        data: in any form that a source may have.

    Returns:
        The number of rows; where there are none, there is no table either.

    Raises:
        ConfigError: a column is missing.
        SourceError: they cannot be read.
    """
    try:
        staged = read_table(engine, name, name, data)
    except SourceError as error:
        raise type(error)(f"{name}: {error}") from None  # one that passes by itself stays one
    wanted = [column for side in sides for column in side]
    columns = _columns(name, staged, wanted, optional) if staged.columns or staged.rows else {}
    if staged.rows:
        items = [f"trim({columns[column]}::VARCHAR) AS {column}" for column in wanted]
        items += [f"{columns.get(optional, 'NULL')}::VARCHAR AS {optional}"] if optional else []
        engine.run(
            f"CREATE OR REPLACE TABLE {name}_stated AS SELECT row_number() OVER () AS number, * FROM "
            f"(SELECT {', '.join(items)} FROM {name})",
            doing=f"reading {name}",
        )
    return staged.rows


def standardised_values(
    engine: Engine,
    name: str,
    sides: Sequence[Side],
    types: Sequence[IdentifierType],
    keys: NodeKeys,
    shown: Shown,
) -> str | None:
    """The query of what `read_stated` has read, as far as it is of the given types.

    ``number`` of the row, ``side`` (from 0), ``identifier_type``, ``type`` (as it was written), ``value``
    (its standard form, NULL where it identifies nobody) and ``node`` (its key).

    Args:
        shown: gives what errors may show of a value.

    Returns:
        None where nothing is of the given types.

    Raises:
        ConfigError: what stands for a type is none.
    """
    named = _named_types(engine, name, sides, types, shown)
    rules = rules_of(engine, types)
    stated = " UNION ALL ".join(
        f"SELECT number, {place} AS side, {kind} AS type, {value} AS raw FROM {name}_stated"
        for place, (kind, value) in enumerate(sides)
    )
    queries = []
    for place, one in enumerate(one for one in types if one.name in named):
        table, rule = f"{name}_{place}", rules[one.name]
        sided = f"SELECT * FROM ({stated}) WHERE type IN ({', '.join(map(literal, named[one.name]))})"
        engine.run(
            f"CREATE OR REPLACE TABLE {table} AS {standardise(sided, [RawColumn(rule, 'raw', 'VARCHAR')])}",
            doing=f"reading {name}",
        )
        if one.standardise == "phone":
            parse_phones(engine, [PhoneColumn(table, "id_0", "blocked_0", one.name, one.region, rule.late)])
        queries.append(
            f"SELECT number, side, {literal(one.name)} AS identifier_type, type, id_0 AS value, "
            f"{keys.key(one.name, 'id_0')} AS node FROM {table}"
        )
    return " UNION ALL ".join(queries) or None


def _columns(name: str, staged: Staged, wanted: Sequence[str], optional: str) -> dict[str, str]:
    found = {canonical(column.name): column.internal for column in staged.columns}
    missing = [column for column in wanted if column not in found]
    if missing:
        raise ConfigError(
            f"{name} has no column {', '.join(map(repr, missing))}; it needs {', '.join(wanted)}"
            + (f" and may have {optional}" if optional else "")
            + f". Columns: {', '.join(column.name for column in staged.columns) or 'none'}."
        )
    return found


def _named_types(
    engine: Engine, name: str, sides: Sequence[Side], types: Sequence[IdentifierType], shown: Shown
) -> dict[str, list[str]]:
    """The types that the table names, with the spellings of each; those that are not given are left out."""
    known = {one.name for one in types}
    found: dict[str, list[str]] = {}
    for (written,) in engine.rows(
        f"SELECT DISTINCT unnest([{', '.join(kind for kind, _ in sides)}]) FROM {name}_stated ORDER BY 1"
    ):
        identifier_type = canonical(written or "")
        if identifier_type in known:
            found.setdefault(identifier_type, []).append(written)
        elif not written or "@" in written or any(map(str.isdigit, written)):
            what = shown(written) if written else "nothing"
            raise ConfigError(
                f"{name} has {what} where the type of an identifier belongs; are columns swapped? "
                f"Types of this run: {', '.join(one.name for one in types)}."
            )
    return found
