"""The id 0: somebody's number in one system, every guest's in another (WooCommerce, OpenCart)."""

from __future__ import annotations

from dataclasses import replace

from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.schema import ColumnPlan, Role, SourcePlan
from airflow_provider_customer360.unify.standardise import SPACES, standardised, text

#: Types of which nobody numbers the values.
CONTACTS = ("email", "phone")
_MANY = 10


def mark_guests(engine: Engine, plan: SourcePlan) -> SourcePlan:
    """Find the id columns whose 0 is nobody's: it comes with several e-mails, phones or other ids, or, where
    nothing tells, on more than ten times as many records as the average id.
    """
    columns = []
    for column in plan.columns:
        own = column.role is Role.IDENTIFIER and column.output not in CONTACTS
        if own and not column.empty and _stands_for_guests(engine, plan, column):
            reason = f"{column.reason}; 0 stands for guests and identifies nobody"
            column = replace(column, guests=True, reason=reason)
        columns.append(column)
    return replace(plan, columns=tuple(columns))


def _stands_for_guests(engine: Engine, plan: SourcePlan, column: ColumnPlan) -> bool:
    zero = is_zero(column.internal, column.type)
    zeros = plan.look.zeros.get(column.internal) if plan.look else None
    if zeros is None:
        (zeros,) = engine.row(f"SELECT count(*) FROM {plan.relation} WHERE {zero}")
    if zeros < 2:
        return False
    others = [
        standardised(other.output or "", other.internal, other.type)
        for other in plan.having(Role.IDENTIFIER)
        if other.internal != column.internal
    ]
    if others:
        people = ", ".join(f"count(DISTINCT {other})" for other in others)
        return bool(max(engine.row(f"SELECT {people} FROM {plan.relation} WHERE {zero}")) > 1)
    rows, ids = engine.row(
        f"SELECT count(*), count(DISTINCT {column.internal}) FROM {plan.relation} "
        f"WHERE {column.internal} IS NOT NULL AND NOT {zero}"
    )
    return bool(ids and zeros > _MANY * rows / ids)


def is_zero(column: str, duckdb_type: str) -> str:
    """Whether a raw value is the number 0, however written."""
    if duckdb_type == "VARCHAR":
        # In one pattern, which most values fail at their first character.
        return f"regexp_full_match({column}, '(?:{SPACES})?0(?:\\.0+)?(?:{SPACES})?')"
    return f"{text(column, duckdb_type)} = '0'"
