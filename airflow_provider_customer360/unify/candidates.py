"""How values compete for a profile: a candidate is a STRUCT whose fields rank it, and one aggregate picks it.

``max`` (for some rules ``min``) of the structs finds the survivor among rows, then among records, and
``greatest`` (``least``) among sources: a rule is nothing but a list of fields. The value ``v`` comes after
them, so that a tie has one winner, whatever the order of rows. ``most_frequent`` alone has to count first:
its values are grouping keys of the records, and compete once they are counted over all sources.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from airflow_provider_customer360.unify.quoting import literal, quoted
from airflow_provider_customer360.unify.schema import Attribute, ColumnPlan, Plan, Role, SourcePlan
from airflow_provider_customer360.unify.standardise import has_clean_ends

#: The time of a record that has none, so that any known time is later (and, negated, any is earlier).
NEVER = "-9223372036854775807"
#: Texts of a yes-or-no column, compared without case.
TRUE, FALSE = ("true", "yes", "y", "t", "1"), ("false", "no", "n", "f", "0")
_WHITE_SPACE = "' ' || chr(9) || chr(10) || chr(13) || chr(160)"

#: What ranks a candidate, before its value.
_RANKS = {
    "most_recent": ("t",),
    "first_seen": ("earliest",),
    "most_frequent": ("n", "t"),
    "longest": ("length", "t"),
    "source_priority": ("priority", "t"),
    "max": (),
    "min": (),
    "any": (),
    "all": (),
}
_LEAST = ("min", "all")
TRUTHS = ("any", "all")


def best(attribute: Attribute, candidate: str) -> str:
    """The aggregate that finds the survivor among rows."""
    return f"{'min' if attribute.rule in _LEAST else 'max'}({candidate})"


def best_of(attribute: Attribute, candidates: Sequence[str]) -> str:
    """The survivor among the columns of one row, NULL where all are."""
    if len(candidates) == 1:
        return candidates[0]
    return f"{'least' if attribute.rule in _LEAST else 'greatest'}({', '.join(candidates)})"


def is_counted(attribute: Attribute) -> bool:
    """Whether values have to be counted over all sources before they compete."""
    return attribute.rule == "most_frequent"


def fed(plan: Plan, source: SourcePlan) -> dict[int, Attribute]:
    """The attributes that a source feeds, by their position in the plan."""
    outputs = source.outputs(Role.ATTRIBUTE)
    return {
        k: attribute
        for k, attribute in enumerate(plan.attributes)
        if any(name in outputs for name, _ in attribute.columns)
    }


def value(source: SourcePlan, attribute: Attribute) -> str:
    """An attribute's value in a source row, NULL where it has none; of a group a STRUCT(c0, c1, ...)."""
    members = _members(source, attribute)
    if not attribute.is_group:
        return members[0]
    held = " OR ".join(f"({member}) IS NOT NULL" for member in members)
    fields = ", ".join(f"'c{number}': {member}" for number, member in enumerate(members))
    return f"CASE WHEN {held} THEN {{{fields}}} END"


def of_rows(plan: Plan, source: SourcePlan, attribute: Attribute, *, grouped: bool) -> str:
    """The survivor among rows of one source, as an aggregate, or each row's own candidate.

    The rows have their ``occurred_at``.
    """
    members = _members(source, attribute)
    lengths = " + ".join(f"coalesce(length(({member})::VARCHAR), 0)" for member in members)
    listed = attribute.sources
    fields = {
        "t": f"coalesce(epoch_us(occurred_at), {NEVER})",
        "earliest": f"coalesce(-epoch_us(occurred_at), {NEVER})",
        "length": lengths,
        "priority": f"{-listed.index(source.name) if source.name in listed else -len(listed)}",
        "filled": _number_of(members),
        "v": value(source, attribute),
        "s": _source_rank(plan, source, "" if attribute.rule in _LEAST else "-"),
    }
    candidate, is_one = _struct(attribute, fields), f"({fields['v']}) IS NOT NULL"
    if grouped:
        return f"{best(attribute, candidate)} FILTER (WHERE {is_one})"
    return f"CASE WHEN {is_one} THEN {candidate} END"


def counted(plan: Plan, attribute: Attribute, of_sources: Mapping[int, str]) -> str:
    """The most frequent value of each customer, as a query for ``customer`` and the candidate ``best``.

    Args:
        plan: the plan.
        attribute: one that `is_counted`.
        of_sources: for the positions of the sources that feed it a query for ``customer``, value ``v``,
            number ``n`` of source rows that have it, and time ``t`` of the last of these.
    """
    ranked = " UNION ALL ".join(
        f"SELECT *, {_source_rank(plan, plan.sources[index])} AS s FROM ({query})"
        for index, query in of_sources.items()
    )
    by_value = (
        "SELECT customer, v, sum(n)::BIGINT AS n, max(t) AS t, (max({'n': n, 's': s})).s AS s "
        f"FROM ({ranked}) GROUP BY customer, v"
    )
    members = [f"v.c{number}" for number in range(len(attribute.columns))]
    fields = {name: name for name in ("n", "t", "v", "s")} | {"filled": _number_of(members)}
    return f"SELECT customer, max({_struct(attribute, fields)}) AS best FROM ({by_value}) GROUP BY customer"


def published(plan: Plan, attribute: Attribute, survivor: str) -> list[str]:
    """The profile columns of a survivor, as items of a SELECT."""
    items = [
        f"({survivor}).v{f'.c{number}' if attribute.is_group else ''} AS {quoted(name)}"
        for number, (name, _) in enumerate(attribute.columns)
    ]
    if attribute.source_column:
        names = ", ".join(map(literal, _by_name(plan)))
        items.append(f"([{names}])[1 + abs(({survivor}).s)] AS {quoted(attribute.source_column)}")
    return items


def truth(column: ColumnPlan) -> str:
    """A yes-or-no column as BOOLEAN; NULL where its value is neither, or missing."""
    if column.type == "BOOLEAN":
        return column.internal
    held = attribute_value(column, column.type)
    if column.type == "VARCHAR":
        yes, no = (f"({', '.join(map(literal, texts))})" for texts in (TRUE, FALSE))
        return f"CASE WHEN lower({held}) IN {yes} THEN true WHEN lower({held}) IN {no} THEN false END"
    return f"CASE ({held}) WHEN 1 THEN true WHEN 0 THEN false END"


def attribute_value(column: ColumnPlan, wanted: str) -> str:
    """An attribute's value in the profile's type; blank text is no value."""
    name = column.internal
    if column.type == "VARCHAR":
        trimmed = f"nullif(trim({name}, {_WHITE_SPACE}), '')"
        name = f"CASE WHEN {has_clean_ends(name)} THEN {name} ELSE {trimmed} END"
    elif column.type == "DOUBLE":
        name = f"CASE WHEN isfinite({name}) THEN {name} END"
    return name if column.type == wanted else f"({name})::{wanted}"


def _members(source: SourcePlan, attribute: Attribute) -> list[str]:
    columns = {column.output: column for column in source.having(Role.ATTRIBUTE)}
    return [
        f"NULL::{kind}"
        if (column := columns.get(name)) is None
        else truth(column)
        if attribute.rule in TRUTHS and not column.empty
        else attribute_value(column, kind)
        for name, kind in attribute.columns
    ]


def _struct(attribute: Attribute, fields: Mapping[str, str]) -> str:
    """A candidate: what ranks it, its value and, where provenance is asked for, its source."""
    names = [*_RANKS[attribute.rule], *(["filled"] if attribute.is_group else []), "v"]
    names += ["s"] if attribute.source_column else []
    return "{" + ", ".join(f"'{name}': {fields[name]}" for name in names) + "}"


def _source_rank(plan: Plan, source: SourcePlan, sign: str = "-") -> str:
    """A source's place by name, so that of two sources with the same survivor the first by name is named."""
    return f"{sign}{_by_name(plan).index(source.name)}"


def _by_name(plan: Plan) -> list[str]:
    return sorted(source.name for source in plan.sources)


def _number_of(members: Sequence[str]) -> str:
    return " + ".join(f"(({member}) IS NOT NULL)::BIGINT" for member in members)
