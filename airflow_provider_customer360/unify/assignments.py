"""Assignments: which source row belongs to which customer, or why to none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from airflow_provider_customer360.unify import records
from airflow_provider_customer360.unify.config import Config, Source
from airflow_provider_customer360.unify.digests import digest
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.errors import ConfigError, DataError
from airflow_provider_customer360.unify.keys import first_key
from airflow_provider_customer360.unify.protection import action_of
from airflow_provider_customer360.unify.quoting import literal
from airflow_provider_customer360.unify.schema import ColumnPlan, Plan, Role, SourcePlan
from airflow_provider_customer360.unify.spelling import canonical
from airflow_provider_customer360.unify.standardise import text

#: Why a row belongs to no customer.
NO_IDENTIFIER, BLOCKED, SHARED, NOT_LINKING = (
    "no identifier",
    "blocked value",
    "shared value",
    "identifier type that links nobody",
)


@contextmanager
def in_order(engine: Engine) -> Iterator[None]:
    """Within, tables get and give rows in their source's order, which costs memory."""
    engine.run("SET preserve_insertion_order = true")
    try:
        yield
    finally:
        engine.run("SET preserve_insertion_order = false")


def assign(engine: Engine, plan: Plan, config: Config, sources: Mapping[str, Source]) -> None:
    """Make ``assignments``: ``source``, ``source_key``, ``customer_id`` and, where that is NULL, ``reason``.

    The sources must have been staged `in_order`.

    ``source_key`` is the value of the source's key column, hashed if that is stated for the column, else the
    row's number from 0, as text.

    Raises:
        ConfigError: no such key column, its values are missing or repeated, or must not be published.
    """
    keys = [_key(engine, plan, config, source, sources[source.name].key) for source in plan.sources]
    parts = [_assigned(plan, index, source, keys[index]) for index, source in enumerate(plan.sources)]
    with in_order(engine):
        engine.run(
            f"CREATE OR REPLACE TABLE assignments AS {' UNION ALL '.join(parts)}",
            doing="assigning rows to customers",
        )
    (assigned,) = engine.row("SELECT count(*) FROM assignments")
    rows = sum(source.kept for source in plan.sources)
    if assigned != rows:
        raise DataError(
            f"{rows:,} records were read but {assigned:,} assigned. A source that changes while it is read "
            "does that; if none does, please report it. The target table is as it was."
        )


def _assigned(plan: Plan, index: int, source: SourcePlan, key: str) -> str:
    columns = source.having(Role.IDENTIFIER)
    raw = [column.internal for column in columns]
    same = " AND ".join(f"m.{column} IS NOT DISTINCT FROM r.{column}" for column in raw) or "true"
    # Spellings of one combination, and its different initials, have one customer.
    whose = (
        f"SELECT {', '.join([*(f'g.{column}' for column in raw), 'min(customer_id) AS customer_id'])}, "
        f"min({_reason(plan, columns)}) AS reason FROM {records.table(index)} AS g "
        f"LEFT JOIN identities AS i ON i.node = {first_key(plan, source)} "
        f"LEFT JOIN customers USING (customer) GROUP BY {', '.join(f'g.{column}' for column in raw) or 'ALL'}"
    )
    numbered = f"SELECT *, {key} AS source_key FROM {source.relation}"
    return (
        f"SELECT {literal(source.name)} AS source, source_key, customer_id, "
        "CASE WHEN customer_id IS NULL THEN reason END AS reason "
        # Only rows of people who are forgotten have no records.
        f"FROM ({numbered}) AS r JOIN ({whose}) AS m ON {same}"
    )


def _reason(plan: Plan, columns: tuple[ColumnPlan, ...]) -> str:
    def any_of(mentions: list[str]) -> str:
        return f"coalesce({', '.join(mentions)}, NULL) IS NOT NULL" if mentions else "false"

    ids = {j: plan.type(column.output or "").links for j, column in enumerate(columns)}
    return (
        f"CASE WHEN {any_of([f'id_{j}' for j, links in ids.items() if links])} THEN {literal(SHARED)} "
        f"WHEN {any_of([f'id_{j}' for j in ids])} THEN {literal(NOT_LINKING)} "
        f"WHEN {any_of([f'blocked_{j}' for j in ids])} THEN {literal(BLOCKED)} "
        f"ELSE {literal(NO_IDENTIFIER)} END"
    )


def _key(engine: Engine, plan: Plan, config: Config, source: SourcePlan, name: str | None) -> str:
    """The SQL expression of a row's key."""
    if name is None:
        return "(row_number() OVER () - 1)::VARCHAR"
    column = next((one for one in source.columns if one.name == name), None) or next(
        (one for one in source.columns if canonical(one.name) == canonical(name)), None
    )
    if column is None:
        raise ConfigError(
            f"Source {source.name!r} has no column {name!r}, which is stated as its key. Columns: "
            f"{', '.join(one.name for one in source.columns) or 'none'}."
        )
    value = text(column.internal, column.type)
    missing, repeated = engine.row(
        f"SELECT count(*) - count({value}), count({value}) - count(DISTINCT {value}) FROM {source.relation}"
    )
    if missing or repeated:
        raise ConfigError(
            f"Column {name!r} is stated as the key of source {source.name!r}, but {missing:,} of its values "
            f"are missing and {repeated:,} are repeated; name a column that is unique, or none for the row's "
            "number."
        )
    action = action_of(plan, config, column)
    if action in ("mask", "drop"):
        raise ConfigError(
            f"Column {name!r} is stated as the key of source {source.name!r}, but pii says {action!r} of "
            "it, and what is left would be no key; hash it, name another key, or none for the row's number."
        )
    return digest(literal(column.output or canonical(column.name)), value) if action else value
