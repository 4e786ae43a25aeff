"""Stage 1: staged sources to a plan, in which every column has a role and a reason.

A column's name proposes, a sample of its values confirms, and what the user stated overrides both.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from airflow_provider_customer360.unify.all_rows import look_at_all_rows
from airflow_provider_customer360.unify.bare_id import settle_bare_ids
from airflow_provider_customer360.unify.config import Config, Source
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.errors import ConfigError, DataError
from airflow_provider_customer360.unify.identifier_types import IdentifierType
from airflow_provider_customer360.unify.names import classify
from airflow_provider_customer360.unify.outputs import name_outputs
from airflow_provider_customer360.unify.rules import rule
from airflow_provider_customer360.unify.schema import (
    BARE_ID,
    RESERVED_COLUMNS,
    ColumnPlan,
    Plan,
    Role,
    SourcePlan,
)
from airflow_provider_customer360.unify.spelling import canonical, words
from airflow_provider_customer360.unify.staged import Staged, StagedColumn
from airflow_provider_customer360.unify.survivorship import claim_columns, with_attributes
from airflow_provider_customer360.unify.survivorship_rules import stated_rules
from airflow_provider_customer360.unify.values import Sample
from airflow_provider_customer360.unify.vocabulary import FLAGS


@dataclass(frozen=True)
class Stated:
    """What the user said of one source's columns; None where detection decides."""

    identifiers: Mapping[str, str] | None
    metrics: Mapping[str, str] | None
    attributes: frozenset[str] | None
    event_time: str | None
    used: frozenset[str] = field(default=frozenset())


def detect(
    engine: Engine, staged: Mapping[str, Staged], sources: Mapping[str, Source], config: Config
) -> Plan:
    """Give every column of every source its role.

    Raises:
        ConfigError: a stated column does not exist or holds values that cannot play the stated role.
        DataError: no source has an identifier.
    """
    stated = {name: _stated(name, staged[name], sources[name], config) for name in staged}
    _check_global_names(config, stated)
    plans = [_detect_source(engine, name, staged[name], stated[name]) for name in staged]
    plans = [look_at_all_rows(engine, plan) for plan in settle_bare_ids(engine, plans)]
    rules = stated_rules(config.survivorship)
    plans = claim_columns(plans, staged, rules)
    _check_identifiable(plans)
    types = _types(plans, config)
    plan = name_outputs(engine, Plan(tuple(plans), types, warnings=_unused(types, config)))
    return with_attributes(engine, plan, rules, config.provenance)


def _unused(types: Sequence[IdentifierType], config: Config) -> tuple[str, ...]:
    known = [one.name for one in types]
    return tuple(
        f"identifier_types has settings for {name!r}, a type that no source has. Types of this run: "
        f"{', '.join(known)}."
        for name in config.identifier_types
        if name not in known
    )


def _types(plans: Sequence[SourcePlan], config: Config) -> tuple[IdentifierType, ...]:
    """The identifier types of all sources with their settings, the strongest first."""
    for name in config.identifier_types:
        rule(config.type_of(name))  # What is stated must be right even where no source has the type.
    names = {column.output or "" for plan in plans for column in plan.having(Role.IDENTIFIER)}
    return tuple(sorted(map(config.type_of, names), key=lambda one: one.strength))


def _detect_source(engine: Engine, name: str, staged: Staged, stated: Stated) -> SourcePlan:
    sample = Sample(engine, staged)
    columns = [_detect_column(column, sample, stated) for column in staged.columns]
    columns = _choose_event_time(columns, sample, stated)
    sample.drop()
    return SourcePlan(name, canonical(name), staged.relation, staged.rows, tuple(columns))


def _detect_column(column: StagedColumn, sample: Sample, stated: Stated) -> ColumnPlan:
    plan = ColumnPlan(column.name, column.internal, column.type, Role.IGNORED, "", empty=column.empty)
    for role, outputs in ((Role.IDENTIFIER, stated.identifiers), (Role.METRIC, stated.metrics)):
        if outputs is not None and column.internal in outputs:
            if column.unusable:
                raise ConfigError(f"Column {column.name!r} is stated as {role} but holds {column.unusable}.")
            as_identifier = role is Role.IDENTIFIER
            return replace(
                plan,
                role=role,
                reason="stated",
                output=outputs[column.internal] if as_identifier else canonical(column.name),
                aggregate=None if as_identifier else outputs[column.internal],
            )
    if column.internal == stated.event_time:
        if column.unusable:
            raise ConfigError(f"Column {column.name!r} is stated as event time but holds {column.unusable}.")
        return replace(plan, role=Role.EVENT_TIME, reason="stated")
    is_stated = stated.attributes is not None and column.internal in stated.attributes
    if column.unusable and is_stated:
        raise ConfigError(f"Column {column.name!r} is stated as attribute but holds {column.unusable}.")
    if column.unusable:
        return replace(plan, reason=f"{column.unusable}, not used")
    if is_stated:
        return replace(plan, role=Role.ATTRIBUTE, reason="stated", output=canonical(column.name))
    return _by_name_and_values(plan, column, sample, stated)


def _by_name_and_values(plan: ColumnPlan, column: StagedColumn, sample: Sample, stated: Stated) -> ColumnPlan:
    verdict = classify(column.name)
    if verdict.bare_id or verdict.role is Role.IDENTIFIER:
        if stated.identifiers is not None:
            return replace(plan, reason="named like an identifier, but the identifiers are stated without it")
        if verdict.bare_id:
            return replace(plan, reason=BARE_ID)
        found = sample.confirm_identifier(column, verdict.identifier_type or canonical(column.name))
        if found.identifier_type:
            return replace(
                plan,
                role=Role.IDENTIFIER,
                output=found.identifier_type,
                reason=f"{verdict.reason}; {found.reason}",
            )
        verdict = replace(verdict, reason=f"{verdict.reason}, but {found.reason}")
    elif verdict.role is Role.IGNORED:
        return replace(plan, reason=verdict.reason)
    if verdict.time_rank is not None and stated.event_time is None:
        return replace(plan, role=Role.EVENT_TIME, reason=verdict.reason)
    return _value_role(plan, column, stated, verdict.additive, verdict.reason)


def _value_role(
    plan: ColumnPlan, column: StagedColumn, stated: Stated, additive: bool, name_reason: str
) -> ColumnPlan:
    if column.empty:
        return replace(plan, reason="no value in any record")
    numeric = column.type in ("BIGINT", "DOUBLE") or column.type.startswith("DECIMAL")
    if numeric and additive and words(column.name)[:1] and words(column.name)[0] in FLAGS:
        additive, name_reason = False, "named like a yes or no"
    if numeric and additive:
        if stated.metrics is not None:
            return replace(plan, reason="numeric, but the metrics are stated without it")
        return replace(
            plan, role=Role.METRIC, reason="numeric", output=canonical(column.name), aggregate="sum"
        )
    if stated.attributes is not None:
        return replace(plan, reason="the attributes are stated without it")
    kind = _ATTRIBUTE_KINDS.get(column.type, "number" if numeric else "text")
    reason = f"{name_reason}; {kind}" if numeric or "but" in name_reason else kind
    return replace(plan, role=Role.ATTRIBUTE, reason=reason, output=canonical(column.name))


_ATTRIBUTE_KINDS = {
    "BOOLEAN": "true or false",
    "DATE": "date",
    "TIMESTAMP": "time",
    "TIMESTAMP WITH TIME ZONE": "time",
}


def _choose_event_time(columns: Sequence[ColumnPlan], sample: Sample, stated: Stated) -> list[ColumnPlan]:
    """Keep the best of the columns that are named like an event time and hold times."""
    candidates = [column for column in columns if column.role is Role.EVENT_TIME]
    ranked = sorted(candidates, key=lambda column: classify(column.name).time_rank or 0)
    best = next(
        (column for column in ranked if column.reason == "stated" or sample.holds_times(column)), None
    )
    if stated.event_time is not None and best is not None and not sample.may_hold_times(best):
        raise ConfigError(
            f"event_time is {best.name!r}, whose {best.type.lower()} values are no times that can be read; "
            "convert it in the source, to ISO 8601 for example."
        )
    chosen = []
    for column in columns:
        if column.role is not Role.EVENT_TIME or column is best:
            chosen.append(column)
            continue
        staged = sample.column(column.internal)
        is_number = column.type in ("BIGINT", "DOUBLE") or column.type.startswith("DECIMAL")
        if is_number and sample.holds_times(column):
            why = f"another time of the record; {best.name!r} is its event time" if best else "a time"
            chosen.append(replace(column, role=Role.IGNORED, reason=why))
        elif not sample.has_values(column):
            # In a night in which its source is empty, an event time must not become an attribute.
            chosen.append(replace(column, role=Role.IGNORED, reason=f"{column.reason}, but without a value"))
        else:
            why = f"{column.reason}, but not better than {best.name!r}" if best else column.reason
            if not sample.holds_times(column):
                why = f"{column.reason}, but its values are no times that can be read"
            chosen.append(_value_role(replace(column, role=Role.IGNORED), staged, stated, False, why))
    return chosen


def _stated(name: str, staged: Staged, source: Source, config: Config) -> Stated:
    """Resolve stated names to columns: a source's own statement must fit, a general one may not apply."""
    used: set[str] = set()

    def columns(wanted: str, own: bool) -> list[StagedColumn]:
        found = [column for column in staged.columns if column.name == wanted]
        found = found or [column for column in staged.columns if canonical(column.name) == canonical(wanted)]
        if own and not found:
            raise ConfigError(_no_such_column(name, wanted, [column.name for column in staged.columns]))
        if found:
            used.add(wanted)
        return found

    identifiers = _named(_pairs(source.identifiers, config.identifiers, _own_type), columns)
    _check_types(name, identifiers)
    metrics = _named(_pairs(source.metrics, config.metrics, lambda _: "sum", column_first=True), columns)
    attributes = _named(_pairs(source.attributes, config.attributes, canonical), columns)
    time = columns(source.event_time, True)[0].internal if source.event_time else None
    _check_one_role(name, staged, identifiers, metrics, attributes, time)
    return Stated(
        identifiers, metrics, None if attributes is None else frozenset(attributes), time, frozenset(used)
    )


_Pair = tuple[str, str, bool]


def _pairs(
    own: Mapping[str, str | Sequence[str]] | Sequence[str] | None,
    general: Mapping[str, str | Sequence[str]] | Sequence[str] | None,
    default: Callable[[str], str],
    *,
    column_first: bool = False,
) -> list[_Pair] | None:
    """(column, value, whether stated for this source), or None where nothing is stated."""
    stated = own if own is not None else general
    if stated is None:
        return None
    if not isinstance(stated, Mapping):
        return [(column, default(column), own is not None) for column in stated]
    if column_first:
        return [(column, str(value), own is not None) for column, value in stated.items()]
    return [
        (column, canonical(key), own is not None)
        for key, value in stated.items()
        for column in ([value] if isinstance(value, str) else value)
    ]


def _named(
    pairs: list[_Pair] | None, columns: Callable[[str, bool], list[StagedColumn]]
) -> dict[str, str] | None:
    if pairs is None:
        return None
    named: dict[str, str] = {}
    for column, value, own in pairs:
        for found in columns(column, own):
            if named.setdefault(found.internal, value) != value:
                raise ConfigError(
                    f"Column {column!r} is stated both as {named[found.internal]} and as {value}."
                )
    return named


def _check_types(name: str, identifiers: Mapping[str, str] | None) -> None:
    taken = set(RESERVED_COLUMNS[1:]) & set((identifiers or {}).values())
    if taken:
        raise ConfigError(
            f"Source {name!r} states an identifier type {taken.pop()!r}, which is a column that every "
            "profile has; name the type otherwise."
        )


def _own_type(column: str) -> str:
    return classify(column).identifier_type or canonical(column)


def _check_one_role(name: str, staged: Staged, *stated: Mapping[str, str] | str | None) -> None:
    for column in staged.columns:
        roles = [
            one
            for one in stated
            if one is not None and column.internal in ([one] if isinstance(one, str) else one)
        ]
        if len(roles) > 1:
            raise ConfigError(
                f"Column {column.name!r} of source {name!r} is stated for two roles; it can be an "
                "identifier, a metric, an attribute or the event time."
            )


def _check_global_names(config: Config, stated: Mapping[str, Stated]) -> None:
    used = {name for one in stated.values() for name in one.used}
    pairs = [
        *(_pairs(config.identifiers, None, canonical) or []),
        *(_pairs(config.metrics, None, canonical, column_first=True) or []),
        *(_pairs(config.attributes, None, canonical) or []),
    ]
    missing = sorted({column for column, _, _ in pairs} - used)
    if missing and stated:
        raise ConfigError(
            f"{', '.join(map(repr, missing))} is stated but no source has such a column (or each of them "
            "states its own)."
        )


def _check_identifiable(plans: Sequence[SourcePlan]) -> None:
    if any(plan.having(Role.IDENTIFIER) for plan in plans):
        return
    listed = "; ".join(
        f"{plan.name}: {', '.join(column.name for column in plan.columns) or 'no columns'}" for plan in plans
    )
    raise DataError(
        f"No column identifies a customer. Columns found: {listed}. Name one, for example "
        f'sources={{"{plans[0].name}": {{"data": …, "identifiers": {{"customer_id": "your_column"}}}}}}.'
    )


def _no_such_column(source: str, wanted: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(wanted, names, n=1, cutoff=0.6)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"Source {source!r} has no column {wanted!r}.{hint} Columns: {', '.join(names) or 'none'}."
