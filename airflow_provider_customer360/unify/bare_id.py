"""What a column called just ``id`` identifies: that depends on its table and on the other sources.

The rules, in order:

1. A table of things (orders, tickets, events) or one with a ``customer_id`` of its own: the row's key.
2. No other identifier in the source: the customer's id.
3. A table with several rows a customer (``id`` or every e-mail and phone repeats): the row's key.
4. A table of customers whose ids are the values of another source's ``customer_id`` (or other key): that
   type. Plain small numbers are contained in each other by chance, so there the source's name (``crm``,
   ``customers`` for ``customer_id``, ``users`` for ``user_id``) or agreeing e-mails or phones must speak
   for it. Of several tables that disagree about e-mail or phone, the one with such a name has it.
5. Another table of customers: a key of this source alone, ``<source>_id``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.identifier_types import STANDARD_TYPES, identifier_type
from airflow_provider_customer360.unify.schema import (
    BARE_ID,
    ColumnPlan,
    Role,
    SourcePlan,
)
from airflow_provider_customer360.unify.spelling import words
from airflow_provider_customer360.unify.standardise import by_default, with_standard_forms
from airflow_provider_customer360.unify.table_kinds import names_customers, thing_of

_BORNE_OUT = 0.9
_PROOF = 0.1  # of keys that are no small numbers: two systems do not make up the same ones
_NEARLY_UNIQUE = 0.9
_AGREEMENT = 0.5
_VALUES = 10_000
_SMALL_DIGITS = 9


def settle_bare_ids(engine: Engine, plans: Sequence[SourcePlan]) -> list[SourcePlan]:
    """Give every bare id its role."""
    settled = {plan.name: _settle_alone(engine, plan) for plan in plans}
    open_ones = [plan for plan in settled.values() if _bare_id(plan)]
    claims = {plan.name: _borne_out(engine, plan, list(settled.values())) for plan in open_ones}
    for claimed in sorted(
        {one for found in claims.values() for one in found}, key=lambda name: identifier_type(name).strength
    ):
        claimants = [
            plan for plan in open_ones if claimed in claims[plan.name] and _bare_id(settled[plan.name])
        ]
        for plan in _undisputed(engine, claimants, claimed):
            settled[plan.name] = _as_identifier(plan, claimed)
    return [_as_identifier(settled[plan.name], None) for plan in plans]


def _undisputed(engine: Engine, claimants: list[SourcePlan], claimed: str) -> list[SourcePlan]:
    """The tables whose ids are of a type: all where they agree, else those named for it, else none."""
    for plans in (claimants, [plan for plan in claimants if _is_named_for(plan, claimed)]):
        as_claimed = [_as_identifier(plan, claimed) for plan in plans]
        pairs = [(plan, other) for plan in plans for other in as_claimed if plan.name < other.name]
        if all(_agreement(engine, plan, other, claimed) is not False for plan, other in pairs):
            return plans
    return []


def _is_named_for(plan: SourcePlan, identifier_type: str) -> bool:
    if identifier_type == "customer_id":
        return names_customers(plan)
    entity = words(identifier_type)[0]
    return not {entity, f"{entity}s"}.isdisjoint(words(plan.name))


def _settle_alone(engine: Engine, plan: SourcePlan) -> SourcePlan:
    """Apply the rules that need no other source."""
    column = _bare_id(plan)
    if column is None:
        return plan
    others = plan.having(Role.IDENTIFIER)
    thing = thing_of(plan)
    if thing:
        return _replace(plan, column, reason=f"the key of a row: the table is one of {thing}")
    if any(other.output == "customer_id" for other in others):
        return _replace(plan, column, reason="the key of a row: the source has a customer_id besides")
    if not others:
        reason = "a bare id in a source that has no other identifier"
        return _replace(plan, column, role=Role.IDENTIFIER, output="customer_id", reason=reason)
    if not _is_table_of_customers(engine, plan, column, others):
        return _replace(plan, column, reason="the key of a row: the table has several rows a customer")
    return plan


def _is_table_of_customers(
    engine: Engine, plan: SourcePlan, column: ColumnPlan, others: Sequence[ColumnPlan]
) -> bool:
    def nearly_unique(one: ColumnPlan) -> bool:
        keys = _with_forms(plan, v=(one, one.output or "customer_id"))
        distinct, values = engine.row(f"SELECT count(DISTINCT v), count(v) FROM {keys}")
        return bool(distinct >= _NEARLY_UNIQUE * values)

    return nearly_unique(column) and any(nearly_unique(other) for other in others)


def _borne_out(engine: Engine, plan: SourcePlan, plans: Sequence[SourcePlan]) -> set[str]:
    """The types of other sources whose values are ids of this table."""
    found: set[str] = set()
    if (bare := _bare_id(plan)) is None:
        return found
    own = _with_forms(plan, v=(bare, "customer_id"))
    for other in plans:
        for column in other.having(Role.IDENTIFIER) if other.name != plan.name else ():
            identifier_type = column.output or ""
            if identifier_type in ("email", "phone", "anonymous_id"):
                continue
            theirs = _with_forms(other, v=(column, identifier_type))
            contained, values, small = engine.row(
                f"SELECT count(*) FILTER (v IN (SELECT v FROM {own})), count(*), "
                f"count(*) FILTER (regexp_full_match(v, '[0-9]{{1,{_SMALL_DIGITS}}}')) FROM "
                f"(SELECT DISTINCT v FROM {theirs} "
                f"WHERE {column.internal} IS NOT NULL ORDER BY hash(v) LIMIT {_VALUES}) WHERE v IS NOT NULL"
            )
            are_small = small > _AGREEMENT * values
            if not contained or contained < (_BORNE_OUT if are_small else _PROOF) * values:
                continue
            agreement = _agreement(engine, plan, other, identifier_type)
            by_chance = are_small and not _is_named_for(plan, identifier_type)
            if agreement or (agreement is None and not by_chance):
                found.add(identifier_type)
    return found


def _agreement(engine: Engine, plan: SourcePlan, other: SourcePlan, identifier_type: str) -> bool | None:
    """Whether rows joined by the id agree on their e-mail or phone; None where nothing can be compared."""
    bare = _bare_id(plan)
    theirs = next(column for column in other.having(Role.IDENTIFIER) if column.output == identifier_type)
    for contact in ("email", "phone"):
        mine = [column for column in plan.having(Role.IDENTIFIER) if column.output == contact]
        yours = [column for column in other.having(Role.IDENTIFIER) if column.output == contact]
        if not (bare and mine and yours):
            continue
        left = _with_forms(plan, k=(bare, identifier_type), v=(mine[0], contact))
        right = _with_forms(other, k=(theirs, identifier_type), v=(yours[0], contact))
        same, pairs = engine.row(
            "SELECT count(*) FILTER (x.v = y.v), count(*) "
            f"FROM (SELECT DISTINCT k, v FROM {left}) AS x JOIN (SELECT DISTINCT k, v FROM {right}) AS y "
            "USING (k) WHERE x.v IS NOT NULL AND y.v IS NOT NULL"
        )
        if pairs:
            return bool(same >= _AGREEMENT * pairs)
    return None


def _as_identifier(plan: SourcePlan, claimed: str | None) -> SourcePlan:
    column = _bare_id(plan)
    if column is None:
        return plan
    if claimed:
        reason = f"a bare id whose values are the {claimed} of another source"
        return _replace(plan, column, role=Role.IDENTIFIER, output=claimed, reason=reason)
    reason = (
        "a bare id in a table of customers; no other source clearly refers to it, so it is a key of its own"
    )
    return _replace(plan, column, role=Role.IDENTIFIER, output=_own_key(plan), reason=reason)


def _own_key(plan: SourcePlan) -> str:
    name = f"{plan.output}_id"
    # A table called "customer" whose ids nobody refers to must not link to another numbering.
    return f"{plan.output}_key" if name in STANDARD_TYPES else name


def _bare_id(plan: SourcePlan) -> ColumnPlan | None:
    """The first bare id that has no role yet."""
    ids = (column for column in plan.columns if column.role is Role.IGNORED and column.reason == BARE_ID)
    return next(ids, None)


def _with_forms(plan: SourcePlan, **columns: tuple[ColumnPlan, str]) -> str:
    """The rows of a source, with standard forms of columns by types under the names given."""
    forms = {
        name: by_default(identifier_type, column.internal, column.type)
        for name, (column, identifier_type) in columns.items()
    }
    return with_standard_forms(plan.relation, forms)


def _replace(
    plan: SourcePlan, column: ColumnPlan, *, reason: str, role: Role = Role.IGNORED, output: str | None = None
) -> SourcePlan:
    changed = replace(column, role=role, reason=reason, output=output)
    return replace(plan, columns=tuple(changed if one is column else one for one in plan.columns))
