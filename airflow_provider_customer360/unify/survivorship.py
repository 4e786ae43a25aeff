"""The attributes of a plan: which columns survive, by which rule, alone or together.

What the user stated (`rules`) meets what the sources have; everything else survives by recency.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_customer360.unify.candidates import FALSE, TRUE, TRUTHS, attribute_value, truth
from airflow_provider_customer360.unify.errors import ConfigError
from airflow_provider_customer360.unify.schema import (
    RESERVED_COLUMNS,
    Attribute,
    ColumnPlan,
    Plan,
    Role,
    SourcePlan,
)
from airflow_provider_customer360.unify.spelling import canonical
from airflow_provider_customer360.unify.survivorship_rules import DEFAULT, RULES, Rule, unknown

if TYPE_CHECKING:
    from airflow_provider_customer360.unify.engine import Engine
    from airflow_provider_customer360.unify.staged import Staged

_Fed = Mapping[str, Sequence[tuple[SourcePlan, ColumnPlan]]]


def claim_columns(
    plans: Sequence[SourcePlan], staged: Mapping[str, Staged], rules: Sequence[Rule]
) -> list[SourcePlan]:
    """Make attributes of the columns that a rule is stated for, whatever else was detected.

    Raises:
        ConfigError: such a column is stated for another role, identifies the customer or tells the time of
            the record, or holds nothing that can be used.
    """
    ruled = {column for rule in rules for column in rule.columns}
    claimed = []
    for plan in plans:
        unusable = {column.internal: column.unusable for column in staged[plan.name].columns}
        columns = [
            _claimed(plan, column, unusable[column.internal]) if canonical(column.name) in ruled else column
            for column in plan.columns
        ]
        claimed.append(replace(plan, columns=tuple(columns)))
    return claimed


def with_attributes(engine: Engine, plan: Plan, rules: Sequence[Rule], provenance: bool) -> Plan:
    """Give a plan, whose columns have their outputs, its attributes; every column says how it survives.

    Raises:
        ConfigError: a rule is for a column that no source feeds, names an unknown source, or does not fit
            the values.
    """
    fed: dict[str, list[tuple[SourcePlan, ColumnPlan]]] = {}
    for source, column in plan.columns():
        if column.role is Role.ATTRIBUTE:
            fed.setdefault(column.output or "", []).append((source, column))
    _check_names(plan, rules, fed)
    stated = {column: rule for rule in rules for column in rule.columns}
    by_column = {column: stated.get(column) or Rule(column, DEFAULT, (column,)) for column in fed}
    attributes = [
        Attribute(
            rule.name,
            tuple((column, _type(engine, rule, column, fed[column])) for column in rule.columns),
            rule.rule,
            rule.sources,
            rule.is_group,
        )
        for rule in dict.fromkeys(by_column.values())
    ]
    if provenance:
        attributes = _with_source_columns(plan, attributes)
    sources = tuple(_explained(source, by_column) for source in plan.sources)
    return replace(plan, sources=sources, attributes=tuple(attributes))


def _claimed(source: SourcePlan, column: ColumnPlan, unusable: str | None) -> ColumnPlan:
    where = f"Column {column.name!r} of source {source.name!r} has a rule in survivorship"
    is_stated = column.reason == "stated"
    if is_stated and column.role is not Role.ATTRIBUTE:
        raise ConfigError(
            f"{where} but is stated as {column.role.replace('_', ' ')}, which is no attribute; state it once."
        )
    if column.role is Role.IDENTIFIER:
        raise ConfigError(
            f"{where} but identifies the customer ({column.reason}). Leave the rule out, or state "
            "identifiers without this column."
        )
    if column.role is Role.EVENT_TIME:
        raise ConfigError(
            f"{where} but is the time of the record ({column.reason}). Leave the rule out, or state another "
            "event_time for this source."
        )
    if unusable:
        raise ConfigError(f"{where} but holds {unusable}; leave the rule out, or convert it in the source.")
    return replace(
        column, role=Role.ATTRIBUTE, reason="stated", output=canonical(column.name), aggregate=None
    )


def _check_names(plan: Plan, rules: Sequence[Rule], fed: _Fed) -> None:
    sources = [source.name for source in plan.sources]
    for rule in rules:
        for column in rule.columns:
            if column not in fed:
                what = "survivorship has a rule for a column that no source feeds as an attribute:"
                raise ConfigError(unknown(what, column, list(fed)))
        for source in rule.sources:
            if source not in sources:
                raise ConfigError(unknown(f"survivorship[{rule.name!r}] has a source", source, sources))


def _type(engine: Engine, rule: Rule, name: str, fed: Sequence[tuple[SourcePlan, ColumnPlan]]) -> str:
    """The DuckDB type of a profile column; also checks that the values fit the rule."""
    known = [(source, column) for source, column in fed if not column.empty]
    if rule.rule in TRUTHS:
        for source, column in known:
            _check_truth(engine, rule, source, column)
        return "BOOLEAN"
    if rule.rule in ("max", "min"):
        return _comparable_type(rule, known)
    return _common_type([column.type for _, column in known])


def _check_truth(engine: Engine, rule: Rule, source: SourcePlan, column: ColumnPlan) -> None:
    allowed = f"true and false, numbers 1 and 0, or in text {'/'.join(TRUE)} and {'/'.join(FALSE)}"
    what = (
        f"survivorship[{rule.name!r}] is {rule.rule!r}, but column {column.name!r} of source {source.name!r}"
    )
    if column.type.startswith(("DATE", "TIME")):
        raise ConfigError(
            f"{what} holds {column.type.lower()} values; allowed: {allowed}. Choose another rule."
        )
    value = attribute_value(column, column.type)
    neither, values = engine.row(
        f"SELECT count(*) FILTER (({value}) IS NOT NULL AND ({truth(column)}) IS NULL), count({value}) "
        f"FROM {source.relation}",
        doing=f"looking at column {column.name!r}",
    )
    if neither:
        raise ConfigError(
            f"{what} has {neither:,} of {values:,} values that are neither true nor false; allowed: "
            f"{allowed}. Convert it in the source, or choose another rule."
        )


def _comparable_type(rule: Rule, fed: Sequence[tuple[SourcePlan, ColumnPlan]]) -> str:
    """One type in which values of several sources compare: 9 is less than 10, though not as text."""
    types = [column.type for _, column in fed]
    common = _common_type(types)
    if common != "VARCHAR" or set(types) <= {"VARCHAR"}:
        return common
    scales = [_scale(one) for one in types]
    if None not in scales:
        largest = max(scale or 0 for scale in scales)
        # 19 digits of a BIGINT in front of the point.
        return "DOUBLE" if "DOUBLE" in types or largest > 19 else f"DECIMAL(38,{largest})"
    found = "; ".join(f"{column.type.lower()} in {source.name}" for source, column in fed)
    raise ConfigError(
        f"survivorship[{rule.name!r}] is {rule.rule!r}, but the sources hold values that do not compare "
        f"({found}). Convert them to one type in the sources, or choose another rule."
    )


def _scale(duckdb_type: str) -> int | None:
    """Digits behind the point of a number, None for what is no number."""
    if duckdb_type.startswith("DECIMAL"):
        return int(duckdb_type.rstrip(")").split(",")[1])
    return 0 if duckdb_type in ("BIGINT", "DOUBLE") else None


def _common_type(types: Sequence[str]) -> str:
    """One type that holds the values of all: their own, a time for dates and times, else text."""
    if len(set(types)) == 1:
        return types[0]
    if not types:  # no value anywhere
        return "VARCHAR"
    if set(types) <= {"DATE", "TIMESTAMP"}:
        return "TIMESTAMP"
    if set(types) <= {"DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"}:
        return "TIMESTAMP WITH TIME ZONE"
    return "VARCHAR"


def _with_source_columns(plan: Plan, attributes: Sequence[Attribute]) -> list[Attribute]:
    """A column ``<attribute>_source`` for each; a name that is taken gets a number behind."""
    taken = {*RESERVED_COLUMNS, *plan.identifier_types, *(metric.name for metric in plan.metrics)}
    taken |= {f"{source.output}_records" for source in plan.sources}
    taken |= {name for attribute in attributes for name, _ in attribute.columns}
    named = []
    for attribute in attributes:
        wanted = f"{canonical(attribute.name) if attribute.is_group else attribute.name}_source"
        numbered = (f"{wanted}_{number}" for number in range(2, len(taken) + 3))
        name = next(name for name in (wanted, *numbered) if name not in taken)
        taken.add(name)
        named.append(replace(attribute, source_column=name))
    return named


def _explained(source: SourcePlan, by_column: Mapping[str, Rule]) -> SourcePlan:
    columns = []
    for column in source.columns:
        if column.role is Role.ATTRIBUTE:
            rule = by_column[column.output or ""]
            column = replace(
                column, aggregate=rule.rule, reason=f"{column.reason}; {_in_words(rule, column)}"
            )
        columns.append(column)
    return replace(source, columns=tuple(columns))


def _in_words(rule: Rule, column: ColumnPlan) -> str:
    words = RULES[rule.rule]
    if rule.sources:
        words += f" of {', '.join(rule.sources)}"
    if rule.is_group:
        others = [name for name in rule.columns if name != column.output]
        words += f", from one record with {', '.join(others)}" if others else ""
    return words
