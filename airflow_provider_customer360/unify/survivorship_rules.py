"""What a user states about survivorship: which of a customer's several values the profile shows.

A rule is plain data: ``{"city": "most_frequent"}``, ``{"name": {"rule": "source_priority", "sources":
["crm", "orders"]}}``, or a group of columns whose values are taken from one record,
``{"address": {"columns": ["street", "zip", "city"], "rule": "most_recent"}}``.

=====================  =====================================================================
``most_recent``        the latest record's value (the default)
``first_seen``         the earliest record's
``most_frequent``      the one that most records have; of several the most recent
``longest``            the one with the most characters; of several the most recent
``source_priority``    of the source that is listed first; within a source the most recent.
                       Sources that are not listed come after all others, by recency
``max``, ``min``       the greatest or least: numbers and times by size, text by its code points
``any``, ``all``       of yes-or-no columns: true where one, or every, value is true
=====================  =====================================================================

Missing and blank values take no part. A record without time counts as earliest for ``most_recent`` and
as last choice for ``first_seen``. Values that are still even are decided by themselves: the greatest
survives (of a group: the record that fills the most columns, then the greatest values in the stated order,
a missing one before any other). Nothing depends on the order of rows or sources.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_customer360.unify.errors import ConfigError
from airflow_provider_customer360.unify.spelling import canonical

#: ``{"city": "longest", "name": {"rule": …, "sources": […]}, "address": {"columns": […], "rule": …}}``.
Survivorship = Mapping[str, str | Mapping[str, str | Sequence[str]]]

DEFAULT = "most_recent"
#: Each rule in the words of the log.
RULES = {
    "most_recent": "most recent value",
    "first_seen": "first value seen",
    "most_frequent": "most frequent value",
    "longest": "longest value",
    "source_priority": "value of the first source",
    "max": "greatest value",
    "min": "least value",
    "any": "true where any value is",
    "all": "true where all values are",
}
_OF_GROUPS = ("most_recent", "first_seen", "most_frequent", "longest", "source_priority")
_KEYS = ("rule", "columns", "sources")


@dataclass(frozen=True)
class Rule:
    """One stated rule.

    Attributes:
        name: the profile column, or what the user calls the group.
        rule: one of `RULES`.
        columns: the profile columns that it decides: those of a group, else the one.
        sources: of ``source_priority``: the user's names of sources, the preferred one first.
        is_group: the columns' values are taken from one record.
    """

    name: str
    rule: str
    columns: tuple[str, ...]
    sources: tuple[str, ...] = ()
    is_group: bool = False


def stated_rules(survivorship: Survivorship) -> tuple[Rule, ...]:
    """The rules in their order, names spelled as profile columns are.

    Raises:
        ConfigError: a rule of the wrong shape, an unknown rule, or a column with two rules.
    """
    if not isinstance(survivorship, Mapping):
        raise ConfigError(
            f"survivorship is a {type(survivorship).__name__}; give a mapping of profile column to rule, "
            "such as {'city': 'most_frequent'}."
        )
    rules = tuple(_rule(name, stated) for name, stated in survivorship.items())
    columns = [column for rule in rules for column in rule.columns]
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise ConfigError(
            f"survivorship has two rules for {_listed(twice)}; a column has one rule, alone or in a group."
        )
    return rules


def check_survivorship(survivorship: Survivorship, metrics: Iterable[str], provenance: object) -> None:
    """Check the shape of stated rules; whether the columns exist shows when the data is there.

    Raises:
        ConfigError: see `stated_rules`; or a column is stated under ``metrics`` as well.
    """
    ruled = {column for rule in stated_rules(survivorship) for column in rule.columns}
    both = sorted(name for name in metrics if canonical(name) in ruled)
    if both:
        raise ConfigError(
            f"{_listed(both)} is stated under metrics and has a rule in survivorship; a metric is "
            "aggregated, an attribute survives: state it under one of them."
        )
    if not isinstance(provenance, bool):
        raise ConfigError(f"provenance is {provenance!r}; give True or False.")


def unknown(what: str, found: str, allowed: Sequence[str]) -> str:
    """The message about a name that is none of those allowed, with the closest of them."""
    close = difflib.get_close_matches(found, allowed, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"{what} {found!r}.{hint} Allowed: {', '.join(allowed) or 'none'}."


def _rule(name: Any, stated: Any) -> Rule:
    if not isinstance(name, str) or not name.strip():
        raise ConfigError(
            f"survivorship has a rule for {name!r}; give the name of a profile column or group."
        )
    if isinstance(stated, str):
        stated = {"rule": stated}
    if not isinstance(stated, Mapping):
        raise ConfigError(
            f"survivorship[{name!r}] is a {type(stated).__name__}; give one of {', '.join(RULES)}, or a "
            "mapping with 'rule', and 'columns' or 'sources'."
        )
    for key in stated:
        if key not in _KEYS:
            raise ConfigError(unknown(f"survivorship[{name!r}] has a key", str(key), _KEYS))
    is_group = "columns" in stated
    rule, allowed = stated.get("rule", DEFAULT), _OF_GROUPS if is_group else tuple(RULES)
    if rule not in allowed:
        what = f"survivorship[{name!r}]{', a group of columns,' if is_group else ''} has a rule"
        raise ConfigError(unknown(what, str(rule), allowed))
    columns = tuple(map(canonical, _names(name, "columns", stated))) if is_group else (canonical(name),)
    sources = _sources(name, rule, stated)
    return Rule(name if is_group else columns[0], rule, columns, sources, is_group)


def _sources(name: str, rule: str, stated: Mapping[str, Any]) -> tuple[str, ...]:
    if rule == "source_priority" and "sources" not in stated:
        raise ConfigError(
            f"survivorship[{name!r}] is 'source_priority' without sources; list them, the preferred one "
            "first: {'rule': 'source_priority', 'sources': ['crm', 'orders']}."
        )
    if rule != "source_priority" and "sources" in stated:
        raise ConfigError(
            f"survivorship[{name!r}] lists sources for the rule {rule!r}; only 'source_priority' takes them."
        )
    return _names(name, "sources", stated) if "sources" in stated else ()


def _names(name: str, key: str, stated: Mapping[str, Any]) -> tuple[str, ...]:
    listed = stated[key]
    is_list = isinstance(listed, Sequence) and not isinstance(listed, str)
    names = list(listed) if is_list else []
    if not names or not all(isinstance(one, str) and one.strip() for one in names):
        raise ConfigError(f"survivorship[{name!r}]['{key}'] is {listed!r}; give a list of names.")
    if len(set(names)) < len(names):
        raise ConfigError(f"survivorship[{name!r}]['{key}'] names one twice; list each name once.")
    return tuple(names)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))
