"""Identifier values made comparable: SQL expressions from a raw column to its standard form or NULL.

NULL means that the value identifies nobody: it is empty, a placeholder, blocked or not of its type. The
values that most identifiers look like take a look or two (`Rule.plain`), all others the long way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from airflow_provider_customer360.unify.identifier_types import identifier_type
from airflow_provider_customer360.unify.quoting import literal
from airflow_provider_customer360.unify.rules import LONGEST, Rule, rule

# White space and Unicode's invisible neighbours of a pasted value: zero-width spaces, marks of the writing
# direction (a phone's contact list adds them), the byte order mark.
SPACES = r"[\s\p{Z}\x{ad}\x{200b}-\x{200f}\x{202a}-\x{202e}\x{2060}-\x{2069}\x{feff}]+"


@dataclass(frozen=True)
class RawColumn:
    """A column of raw identifier values: its rule, name, DuckDB type, and whether 0 stands for guests."""

    rule: Rule
    name: str
    type: str
    guests: bool = False


def has_clean_ends(column: str) -> str:
    """Whether a text begins and ends with printable ASCII, as most do, so that nothing has to be trimmed.

    Finding that out takes a quarter of the time that trimming takes.
    """
    return f"{column} BETWEEN '!' AND '~' AND {column}[-1] BETWEEN '!' AND '~'"


def text(column: str, duckdb_type: str) -> str:
    """A raw value as trimmed text; ``123``, ``123.0`` and ``" 123 "`` come out equal; NaN is NULL."""
    if duckdb_type == "DOUBLE":
        # Whole numbers that pandas made floating because a neighbour was missing.
        return (
            f"CASE WHEN NOT isfinite({column}) THEN NULL "
            f"WHEN {column} = trunc({column}) AND abs({column}) < 9.2e18 THEN {column}::BIGINT::VARCHAR "
            f"ELSE {column}::VARCHAR END"
        )
    if duckdb_type == "BIGINT":
        return f"{column}::VARCHAR"
    trimmed = f"{column}::VARCHAR"
    if duckdb_type == "VARCHAR":
        clean = f"{has_clean_ends(column)} AND strlen({column}) = length({column})"
        cleaned = f"nfc_normalize(regexp_replace({column}, '^{SPACES}|{SPACES}$', '', 'g'))"
        trimmed = f"CASE WHEN {clean} THEN {column} ELSE {cleaned} END"
    return f"regexp_replace({trimmed}, '^([-+]?[0-9]+)\\.0+$', '\\1')"


def by_default(type_name: str, column: str, duckdb_type: str) -> RawColumn:
    """A raw column, compared by the package's settings for a type: before the user's are known."""
    return RawColumn(rule(identifier_type(type_name)), column, duckdb_type)


def with_standard_forms(relation: str, columns: Mapping[str, RawColumn]) -> str:
    """A relation for all columns of another and, under the names given, what raw ones are compared by: the
    standard form or NULL, and as ``trimmed_<name>`` the text that it is made of.

    For looks at values before records are made of them. Phones come out as digits with a leading ``+`` where
    they were written internationally. Each pattern is there once: to prepare one takes longer than to match
    thousands of values.
    """
    texts = [f"{text(one.name, one.type)} AS trimmed_{name}" for name, one in columns.items()]
    # Every rule refuses what is longer, but after all its patterns.
    short = "CASE WHEN strlen(trimmed_{name}) <= {longest} THEN trimmed_{name} END"
    query, steps = with_steps(
        f"(SELECT {', '.join(['*', *texts])} FROM {relation})",
        [(one.rule, short.format(name=name, longest=LONGEST)) for name, one in columns.items()],
    )
    forms = (
        f"{one.rule.outcome(names)} AS {name}"
        for (name, one), names in zip(columns.items(), steps, strict=True)
    )
    return f"(SELECT {', '.join(['*', *forms])} FROM {query})"


def standardise(base: str, columns: Sequence[RawColumn], *, keep_raw: bool = False) -> str:
    """A query for all columns of another (raw ones if they are kept), and ``id_<j>`` and ``blocked_<j>``.

    ``id_<j>`` is the standard form; ``blocked_<j>`` the trimmed text of a value that was there but
    identifies nobody.
    """
    plain = {j: f"std_plain_{j}" for j, one in enumerate(columns) if one.rule.plain and one.type == "VARCHAR"}
    looks = [f"{_plainly(columns[j])} AS {name}" for j, name in plain.items()]
    texts = [text(one.name, one.type) for one in columns]
    # What is NULL is not looked at by any later step.
    for j, name in plain.items():
        texts[j] = f"CASE WHEN {name} IS NULL AND {columns[j].name} IS NOT NULL THEN {texts[j]} END"
    query, names = with_steps(
        f"(SELECT {', '.join(['*', *looks])} FROM ({base}))",
        list(zip((one.rule for one in columns), texts, strict=True)),
    )
    outcomes, blocked = [], []
    for j, (one, values) in enumerate(zip(columns, names, strict=True)):
        is_plain = f"WHEN {plain[j]} IS NOT NULL THEN {plain[j]} " if j in plain else ""
        outcome = f"CASE {is_plain}WHEN {values['t']} IS NOT NULL THEN {one.rule.outcome(values)} END"
        outcomes.append(f"nullif({outcome}, '0') AS id_{j}" if one.guests else f"{outcome} AS id_{j}")
        nobody = f"id_{j} IS NULL AND {one.name} IS NOT NULL"
        blocked.append(f"CASE WHEN {nobody} THEN coalesce({values['t']}, '') END AS blocked_{j}")
    raw = [] if keep_raw else [one.name for one in columns]
    hidden = [*raw, *plain.values(), *(name for values in names for name in values.values())]
    everything = f"* EXCLUDE ({', '.join(hidden)})" if hidden else "*"
    inner = f"(SELECT {', '.join(['*', *outcomes])} FROM {query})"
    return f"SELECT {', '.join([everything, *blocked])} FROM {inner}"


def _plainly(column: RawColumn) -> str:
    """The standard form of a value that is plain as it is or once it is tidied, else NULL."""
    pattern, tidied = literal(column.rule.plain or ""), column.rule.tidied.format(t=column.name)
    looks = (f"WHEN regexp_full_match({one}, {pattern}) THEN {one}" for one in (column.name, tidied))
    return f"CASE WHEN strlen({column.name}) >= 100 THEN NULL {' '.join(looks)} END"


def with_steps(relation: str, columns: Sequence[tuple[Rule, str]]) -> tuple[str, list[Mapping[str, str]]]:
    """A relation for all columns of another and the steps of rules, each applied to a text.

    In nested queries: DuckDB computes an intermediate value once there, and anew for each mention in
    one expression.

    Returns:
        The relation, and for each rule the names of the columns that hold its steps, the text as ``t``.
    """
    names: list[dict[str, str]] = [{} for _ in columns]
    for level in range(max((len(one.steps) for one, _ in columns), default=0) + 1):
        items = []
        for j, (one, trimmed) in enumerate(columns):
            if level > len(one.steps):
                continue
            name, expression = "t", trimmed
            if level:
                name, template = list(one.steps.items())[level - 1]
                expression = template.format(**names[j])
            names[j][name] = f"std_{name}_{j}"
            items.append(f"{expression} AS {names[j][name]}")
        relation = f"(SELECT {', '.join(['*', *items])} FROM {relation})"
    return relation, list(names)
