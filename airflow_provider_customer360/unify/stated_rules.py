"""What users state for identifier types, checked and made part of the types' rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from airflow_provider_customer360.unify import phones
from airflow_provider_customer360.unify.blocks import pattern
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.errors import ConfigError, DataError
from airflow_provider_customer360.unify.expressions import braced
from airflow_provider_customer360.unify.identifier_types import IdentifierType, setting
from airflow_provider_customer360.unify.quoting import literal
from airflow_provider_customer360.unify.rules import Rule, rule, stated_expressions
from airflow_provider_customer360.unify.standardise import RawColumn, text, with_steps


def rules_of(engine: Engine, types: Iterable[IdentifierType]) -> dict[str, Rule]:
    """The rules of types by their names, with everything that was stated for them.

    Raises:
        ConfigError: a stated expression, pattern or region is none; the message says which.
    """
    rules = {}
    for one in types:
        made = rule(one)
        phones.check_region(one)
        _check_expressions(engine, one)
        _check_patterns(engine, one)
        conditions = [*_blocked(engine, one, made), *_patterns(one), *_valid(one)]
        rules[one.name] = made.blocking(conditions, late=one.standardise == "phone")
    return rules


def blame(
    engine: Engine, source: str, relation: str, columns: Sequence[tuple[IdentifierType, RawColumn]]
) -> None:
    """After a query has failed: raise DataError if it was a stated expression that does.

    Args:
        source: the source's name, for the message.
        relation: where the columns are.
    """
    for one, column in columns:
        for key in stated_expressions(one):
            without = one if key == "valid" else replace(one, valid=None)
            try:
                made = rule(without)
                if key == "valid":
                    made = made.blocking(_valid(one), late=False)
                query, (names,) = with_steps(relation, [(made, text(column.name, column.type))])
                engine.row(f"SELECT count({made.outcome(names)}) FROM {query}")
            except DataError:
                raise DataError(
                    f"{setting(one.name, key)} fails for some value of source {source!r}: cast with "
                    "TRY_CAST, or wrap the expression in TRY(...), so that it is NULL there."
                ) from None


def _check_expressions(engine: Engine, one: IdentifierType) -> None:
    for key, template in stated_expressions(one).items():
        expression = template.format(t="value", standard="value")
        # A column beside it: an aggregate that the parser does not know fails to bind.
        query = f"DESCRIBE SELECT n, ({expression}) AS result FROM (SELECT 1 AS n, ''::VARCHAR AS value)"
        try:
            described = engine.rows(query, doing=f"checking {setting(one.name, key)}")
        except DataError as error:
            raise ConfigError(
                f"{setting(one.name, key)} is no expression over the text value. {error}"
            ) from None
        if len(described) != 2:
            raise ConfigError(f"{setting(one.name, key)} gives several values; give one expression.")
        if key == "valid" and described[1][1] != "BOOLEAN":
            raise ConfigError(
                f"{setting(one.name, key)} gives {described[1][1]}; give a condition such as "
                "length(value) = 10."
            )


def _check_patterns(engine: Engine, one: IdentifierType) -> None:
    for stated in one.block_patterns:
        try:
            engine.row(f"SELECT regexp_full_match('', {literal(stated)})")
        except DataError:
            raise ConfigError(
                f"{setting(one.name, 'block_patterns')} has {stated!r}, which is no regular expression of "
                "RE2; it has neither lookahead nor backreferences: https://github.com/google/re2/wiki/Syntax."
            ) from None


def _blocked(engine: Engine, one: IdentifierType, made: Rule) -> list[tuple[str, str]]:
    """The condition that a standard form is that of a value which the user blocks."""
    if not one.block:
        return []
    rows = ", ".join(f"({literal(value)})" for value in one.block)
    query, (names,) = with_steps(f"(VALUES {rows}) AS stated(v)", [(made, text("v", "VARCHAR"))])
    try:
        forms = [form for (form,) in engine.rows(f"SELECT {made.standard.format(**names)} FROM {query}")]
    except DataError:
        raise ConfigError(
            f"{setting(one.name, 'standardise')} fails for a value of {setting(one.name, 'block')}; give "
            "values that it can standardise."
        ) from None
    if one.standardise == "phone":
        forms = [phones.standard_of(form, one.region)[0] for form in forms if form]
    listed = ", ".join(f"lower({braced(literal(form))})" for form in sorted({form for form in forms if form}))
    return [("blocked by you", f"lower({{standard}}) IN ({listed})")] if listed else []


def _patterns(one: IdentifierType) -> list[tuple[str, str]]:
    matches = [f"regexp_full_match({{standard}}, {pattern(stated)})" for stated in one.block_patterns]
    return [("pattern", f"({' OR '.join(matches)})")] if matches else []


def _valid(one: IdentifierType) -> list[tuple[str, str]]:
    if one.valid is None:
        return []
    condition = stated_expressions(one)["valid"]
    return [("fails valid", f"NOT coalesce(({condition}), false)")]
