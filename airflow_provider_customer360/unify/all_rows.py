"""What takes a pass over all rows of a source, and shares one: reading text takes longer than looking at it.

The id 0 is somebody's number in one system, every guest's in another (WooCommerce, OpenCart). How often
identifiers repeat decides how records are made.
"""

from __future__ import annotations

from dataclasses import replace

from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.schema import ColumnPlan, Role, SourcePlan
from airflow_provider_customer360.unify.standardise import SPACES, by_default, text, with_standard_forms

_MANY = 10


def look_at_all_rows(engine: Engine, plan: SourcePlan) -> SourcePlan:
    """Mark the id columns whose 0 stands for guests, and estimate the combinations of identifiers.

    A 0 is nobody's if it comes with several e-mails, phones or other ids, or, where nothing tells, on more
    than ten times as many records as the average id.
    """
    identifiers = plan.having(Role.IDENTIFIER)
    if not identifiers:
        return plan
    numbers = [one for one in identifiers if one.output not in ("email", "phone") and not one.empty]
    # A hash of hashes: approx_count_distinct of a struct takes ten times as long.
    items = [f"approx_count_distinct(hash({', '.join(one.internal for one in identifiers)}))"]
    items += [f"count(*) FILTER ({_is_zero(one)})" for one in numbers]
    combinations, *zeros = engine.row(
        f"SELECT {', '.join(items)} FROM {plan.relation}", doing="counting identifiers"
    )
    guests = [
        one for one, count in zip(numbers, zeros, strict=True) if _stands_for_guests(engine, plan, one, count)
    ]
    reason = "{}; 0 stands for guests and identifies nobody"
    columns = (
        replace(one, guests=True, reason=reason.format(one.reason)) if one in guests else one
        for one in plan.columns
    )
    return replace(plan, columns=tuple(columns), combinations=combinations)


def _stands_for_guests(engine: Engine, plan: SourcePlan, column: ColumnPlan, zeros: int) -> bool:
    if zeros < 2:
        return False
    others = {
        f"other_{j}": by_default(other.output or "", other.internal, other.type)
        for j, other in enumerate(plan.having(Role.IDENTIFIER))
        if other.internal != column.internal
    }
    if others:
        people = ", ".join(f"count(DISTINCT {other})" for other in others)
        rows = with_standard_forms(f"(FROM {plan.relation} WHERE {_is_zero(column)})", others)
        return bool(max(engine.row(f"SELECT {people} FROM {rows}")) > 1)
    rows, ids = engine.row(
        f"SELECT count(*), count(DISTINCT {column.internal}) FROM {plan.relation} "
        f"WHERE {column.internal} IS NOT NULL AND NOT {_is_zero(column)}"
    )
    return bool(ids and zeros > _MANY * rows / ids)


def _is_zero(column: ColumnPlan) -> str:
    """Whether a raw value is the number 0, however written."""
    if column.type == "VARCHAR":
        # In one pattern, which most values fail at their first character.
        return f"regexp_full_match({column.internal}, '(?:{SPACES})?0(?:\\.0+)?(?:{SPACES})?')"
    return f"{text(column.internal, column.type)} = '0'"
