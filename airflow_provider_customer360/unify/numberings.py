"""Colliding numberings: two sources that both number customers from 1, but not the same customers.

Where two sources share an identifier type, their records of one value should speak of one person. Whether
they do is measured on up to 20,000 values a pair: values for which both sources know an e-mail, a phone or
a name are compared, and agree if any of these is the same on both sides. Where agreement is rare beyond
chance, the numbers of one source become a type of their own, ``<source>_customer_id``, and link nothing to
the other source's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from airflow_provider_customer360.unify import records
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.identifier_types import OWN_KEY
from airflow_provider_customer360.unify.keys import NodeKeys
from airflow_provider_customer360.unify.outputs import numbered, taken_names
from airflow_provider_customer360.unify.person_names import kind as name_kind
from airflow_provider_customer360.unify.person_names import knows_names
from airflow_provider_customer360.unify.schema import Plan, Role
from airflow_provider_customer360.unify.table_kinds import names_customers

_SAMPLED_VALUES = 20_000
#: Of sources that number the same customers, more than this share of the compared values agrees.
_RARE = 0.25
#: How surely (as a probability of error) sources that agree on half of their values would agree on more.
_CHANCE = 0.001
_CONTACTS = ("email", "phone")
_NAME = "name"


@dataclass(frozen=True)
class Comparison:
    """What two sources say of the values that both have."""

    compared: int
    agreeing: int

    @property
    def share(self) -> float:
        """The share of agreeing values."""
        return self.agreeing / self.compared if self.compared else 1.0

    @property
    def collides(self) -> bool:
        """Whether so little agreement cannot be chance (Hoeffding's inequality, 1963, against one half)."""
        import math

        return self.share <= _RARE and math.exp(-2 * self.compared * (0.5 - self.share) ** 2) < _CHANCE


def settle_numberings(engine: Engine, plan: Plan, keys: NodeKeys) -> Plan:
    """Give numberings that collide, or are stated to, types of their own; the plan's warnings say which."""
    for one in plan.types:
        using = [i for i, source in enumerate(plan.sources) if one.name in source.outputs(Role.IDENTIFIER)]
        if len(using) < 2 or one.numbering == "shared" or one.name in _CONTACTS or not one.links:
            continue
        using.sort(key=lambda i: (not names_customers(plan.sources[i]), plan.sources[i].name))
        if one.numbering == "per_source":
            groups, compared = [[i] for i in using], {}
        else:
            compared = {pair: _compare(engine, plan, one.name, *pair) for pair in combinations(using, 2)}
            groups = _groups(using, compared)
        keeps_the_type = 1 if one.numbering == "auto" else 0
        for group in groups[keeps_the_type:]:
            plan = _renamed(engine, plan, keys, one.name, group)
        plan = replace(plan, warnings=plan.warnings + _warnings(plan, one.name, compared))
    return plan


def _compare(engine: Engine, plan: Plan, name: str, one: int, other: int) -> Comparison:
    evidence = [_evidence(plan, index, name) for index in (one, other)]
    if not all(evidence):
        return Comparison(0, 0)
    (rows,) = engine.row(
        f"SELECT least({', '.join(f'(SELECT count(*) FROM {records.table(i)})' for i in (one, other))})"
    )
    left, right = (
        f"SELECT DISTINCT * FROM ({said}) WHERE k % {rows // _SAMPLED_VALUES + 1} = 0" for said in evidence
    )
    return Comparison(
        *engine.row(
            "SELECT count(DISTINCT k), count(DISTINCT k) FILTER (x.said = y.said) "
            f"FROM ({left}) AS x JOIN ({right}) AS y USING (k, kind, part)",
            doing=f"comparing the numberings of {name}",
        )
    )


def _evidence(plan: Plan, index: int, name: str) -> str:
    """What a source says of the values of a type: ``k``, ``kind`` and ``part``, and ``said``, a hash."""
    source, table = plan.sources[index], records.table(index)
    columns = list(enumerate(source.having(Role.IDENTIFIER)))
    said = [(column.output, f"k_{j}") for j, column in columns if column.output in _CONTACTS]
    if knows_names(source):
        said.append((_NAME, "hash(initials)"))
    return " UNION ALL ".join(
        f"SELECT k_{j} AS k, {name_kind('initials') if kind == _NAME else 0} AS part, '{kind}' AS kind, "
        f"{value} AS said FROM {table} "
        f"WHERE k_{j} IS NOT NULL AND {'initials' if kind == _NAME else value} IS NOT NULL"
        for j, column in columns
        if column.output == name
        for kind, value in said
    )


def _groups(using: Sequence[int], compared: Mapping[tuple[int, int], Comparison]) -> list[list[int]]:
    """Sources that number alike; the first group keeps the type."""
    groups: list[list[int]] = []
    for index in using:
        fitting = [
            (sum(compared[member, index].agreeing for member in group), group)
            for group in groups
            if not any(compared[member, index].collides for member in group)
        ]
        if fitting:
            max(fitting, key=lambda one: one[0])[1].append(index)
        else:
            groups.append([index])
    return groups


def _renamed(engine: Engine, plan: Plan, keys: NodeKeys, name: str, group: Sequence[int]) -> Plan:
    """The plan with a type of its own for the numbers of some sources, whose node keys become others."""
    own = numbered(f"{plan.sources[group[0]].output}_{name}", taken_names(plan))
    kind = replace(plan.type(name), name=own, priority=max(plan.type(name).priority, OWN_KEY))
    reason = "the source numbers customers in its own way"
    sources = list(plan.sources)
    for index in group:
        columns = [
            replace(column, output=own, reason=f"{column.reason}; {reason}")
            if column.role is Role.IDENTIFIER and column.output == name
            else column
            for column in sources[index].columns
        ]
        sources[index] = replace(sources[index], columns=tuple(columns))
    used = {column.output for source in sources for column in source.having(Role.IDENTIFIER)}
    types = sorted((one for one in (*plan.types, kind) if one.name in used), key=lambda one: one.strength)
    plan = replace(plan, sources=tuple(sources), types=tuple(types))
    for index in group:
        records.set_keys(engine, plan, keys, index)
    return plan


def _warnings(plan: Plan, name: str, compared: Mapping[tuple[int, int], Comparison]) -> tuple[str, ...]:
    return tuple(
        f"{plan.sources[one].name!r} and {plan.sources[other].name!r} both have {name}, but number different "
        f"customers: of {found.compared:,} values for which both know an e-mail, phone or name, only "
        f"{found.share:.0%} agree. They are not linked by it. If they do number the same customers, state "
        f'identifier_types={{"{name}": {{"numbering": "shared"}}}}.'
        for (one, other), found in compared.items()
        if found.collides
    ) + tuple(
        f"{plan.sources[one].name!r} and {plan.sources[other].name!r} both have {name}; of the "
        f"{found.compared} values of which both know an e-mail, phone or name {found.agreeing} agree, too "
        f"few values to be sure. If they number different customers, state "
        f'identifier_types={{"{name}": {{"numbering": "per_source"}}}}.'
        for (one, other), found in compared.items()
        if not found.collides and found.compared > 1 and found.share <= _RARE
    )
