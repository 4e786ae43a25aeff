"""The SQL of publishing: pure functions from a plan to text. Names come in quoted, values never."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from airflow_provider_customer360.database.tables import Table
from airflow_provider_customer360.publish.dialects import Dialect
from airflow_provider_customer360.publish.plan import Column, Plan
from airflow_provider_customer360.unify.quoting import quoted


def staging_name(target: Table) -> str:
    """A name that no target has by accident, for a temporary one would hide it."""
    return f"customer360_staging_{hashlib.sha256(target.quoted.encode()).hexdigest()[:8]}"


def create_staging(dialect: Dialect, staging: str, columns: Sequence[Column]) -> str:
    """A temporary table: whatever kills the process, the database removes it."""
    by_position = sorted(columns, key=lambda column: int(column.staged[1:]))
    definitions = [f"{column.staged} {column.native}{_not_null(column)}" for column in by_position]
    return f"CREATE TEMPORARY TABLE {quoted(staging)} ({', '.join(definitions)}){dialect.temporary}"


def after_load(dialect: Dialect, staging: str, key: Sequence[Column]) -> str:
    """Prepare the loaded staging table for joins; empty where nothing is needed."""
    return dialect.after_load.format(
        staging=quoted(staging), index=quoted(f"{staging}_key"), key=_staged(key)
    )


def repeated_key(staging: str, key: Sequence[Column]) -> str:
    """A row if two staged rows have the same key."""
    return f"SELECT 1 FROM {quoted(staging)} GROUP BY {_staged(key)} HAVING count(*) > 1 LIMIT 1"


def lock(dialect: Dialect, target: Table) -> str:
    """Keep other writers from the target; empty where beginning did that."""
    return dialect.lock.format(target=target.quoted) if dialect.lock else ""


def create_target(dialect: Dialect, plan: Plan) -> str:
    """A table for the rows."""
    definitions = [f"{quoted(column.name)} {column.native}{_not_null(column)}" for column in plan.columns]
    if dialect.primary_key:
        definitions.append(f"PRIMARY KEY ({_names(plan.key)})")
    return f"CREATE TABLE {plan.target.quoted} ({', '.join(definitions)})"


def add_column(plan: Plan, column: Column) -> str:
    """A column that the target lacks."""
    return f"ALTER TABLE {plan.target.quoted} ADD COLUMN {quoted(column.name)} {column.native}"


def widen_column(dialect: Dialect, plan: Plan, name: str, native: str) -> list[str]:
    """Give an existing column a wider type."""
    old = quoted(f"customer360_old_{hashlib.sha256(name.encode()).hexdigest()[:8]}")
    target, column = plan.target.quoted, quoted(name)
    return [one.format(target=target, column=column, type=native, old=old) for one in dialect.widen]


def delete_repeated(plan: Plan) -> str:
    """Remove every row whose key comes twice: which of them is right cannot be told."""
    key, target = _names(plan.key), plan.target.quoted
    repeated = f"SELECT {key} FROM {target} GROUP BY {key} HAVING count(*) > 1"
    return f"DELETE FROM {target} WHERE ({key}) IN ({repeated})"


def delete_gone(staging: str, plan: Plan) -> str:
    """Remove the rows that are not staged, those without a key among them."""
    return (
        f"DELETE FROM {plan.target.quoted} AS t WHERE NOT EXISTS "
        f"(SELECT 1 FROM {quoted(staging)} AS s WHERE {_same_key(plan)})"
    )


def update_changed(dialect: Dialect, staging: str, plan: Plan) -> str:
    """Write the rows in which something differs, and only those; empty if the key is all there is."""
    assignments = [f"{quoted(column.name)} = {_value(column)}" for column in plan.values]
    assignments += [f"{quoted(name)} = NULL" for name in plan.nulled]
    # The staged value comes first: SQLite compares with the collation of the left operand, and that of
    # an existing column may ignore case.
    differences = [f"{_value(column)} {dialect.differs} t.{quoted(column.name)}" for column in plan.values]
    differences += [f"t.{quoted(name)} IS NOT NULL" for name in plan.nulled]
    if not assignments:
        return ""
    return (
        f"UPDATE {plan.target.quoted} AS t SET {', '.join(assignments)} FROM {quoted(staging)} AS s "
        f"WHERE {_same_key(plan)} AND ({' OR '.join(differences)})"
    )


def insert_new(staging: str, plan: Plan) -> str:
    """Add the rows that the target lacks; NULL, not a default, where they have no value."""
    names = ", ".join(quoted(name) for name in [*(column.name for column in plan.columns), *plan.nulled])
    values = ", ".join([*map(_value, plan.columns), *("NULL" for _ in plan.nulled)])
    return (
        f"INSERT INTO {plan.target.quoted} ({names}) SELECT {values} FROM {quoted(staging)} AS s "
        f"WHERE NOT EXISTS (SELECT 1 FROM {plan.target.quoted} AS t WHERE {_same_key(plan)})"
    )


def _same_key(plan: Plan) -> str:
    return " AND ".join(f"{_value(column)} = t.{quoted(column.name)}" for column in plan.key)


def _value(column: Column) -> str:
    return f"CAST(s.{column.staged} AS {column.cast})" if column.cast else f"s.{column.staged}"


def _names(columns: Sequence[Column]) -> str:
    return ", ".join(quoted(column.name) for column in columns)


def _staged(columns: Sequence[Column]) -> str:
    return ", ".join(column.staged for column in columns)


def _not_null(column: Column) -> str:
    return " NOT NULL" if column.is_key else ""
