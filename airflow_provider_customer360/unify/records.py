"""Stage 2: source rows to records.

Rows of a source that carry the same raw identifier values are the same record for everything that
follows. Where they repeat them they are aggregated first: one pass over the text columns, and all later
work is on distinct combinations (an event log of ten rows a person shrinks tenfold). Where they do not,
each row is a record, which is the cheaper way. Every aggregate is mergeable, so that both give the same.

Table ``records_<i>`` of source *i*, one row per distinct combination of raw identifier values (and of
initials, where a column holds names of people), or per source row:

===============  ============================================================================
``id_<j>``       standard form of its j-th identifier column, NULL where it identifies nobody
``k_<j>``        its node key, by which the record is linked; NULL also where the value links nobody
``blocked_<j>``  trimmed text of a value that was there but identifies nobody, else NULL
``initials``     see `person_names`; only where a column holds names
``records``      number of source rows
``first_seen``   earliest event time, TIMESTAMP in UTC, NULL where none is known
``last_seen``    latest event time
``m_<k>_<p>``    part *p* of metric *k* of the plan, see `sums`
``a_<k>``        the survivor of attribute *k*: STRUCT(t BIGINT, v), or other ranks (`candidates`);
                 of an attribute whose values are counted the value itself, by which the records
                 are then grouped as well
===============  ============================================================================
"""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_customer360.unify import candidates, sums
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.errors import DataError
from airflow_provider_customer360.unify.keys import NodeKeys
from airflow_provider_customer360.unify.person_names import knows_names, with_initials
from airflow_provider_customer360.unify.phones import PhoneColumn, parse_phones
from airflow_provider_customer360.unify.rules import Rule
from airflow_provider_customer360.unify.schema import ColumnPlan, Metric, Plan, Role, SourcePlan
from airflow_provider_customer360.unify.standardise import RawColumn, standardise
from airflow_provider_customer360.unify.stated_rules import blame, rules_of

#: Rows a combination from which on a pass that groups them costs less than it saves.
_WORTH_GROUPING = 2
#: From so many sources on, a union of `source_bit` is a bit string.
SOURCES_IN_A_NUMBER = 63
_COUNTS = ("records", "first_seen", "last_seen")
_OF_A_ROW = ("1::BIGINT", "occurred_at", "occurred_at")


def group_records(engine: Engine, plan: Plan, keys: NodeKeys, *, keep_raw: bool = False) -> None:
    """Make ``records_<i>`` for every source of the plan; with the raw identifiers where they are kept.

    Raises:
        ConfigError: what is stated for an identifier type does not work.
        DataError: an expression that is stated for one fails for some value.
    """
    types = {one.name: one for one in plan.types}
    rules = rules_of(engine, plan.types)
    phones = []
    for index, source in enumerate(plan.sources):
        columns = source.having(Role.IDENTIFIER)
        grouped = _is_worth_grouping(source)
        query = _records(plan, source, rules, keys, grouped=grouped, keep_raw=keep_raw)
        try:
            engine.run(
                f"CREATE OR REPLACE TABLE {table(index)} AS {query}", doing=f"reading source {source.name!r}"
            )
        except DataError:
            raw = zip((types[column.output or ""] for column in columns), _raw(source, rules), strict=True)
            blame(engine, source.name, source.relation, list(raw))
            raise
        phones += [
            PhoneColumn(table(index), f"id_{j}", f"blocked_{j}", one.name, one.region, rules[one.name].late)
            for j, one in enumerate(types[column.output or ""] for column in columns)
            if one.standardise == "phone"
        ]
    parse_phones(engine, phones)
    for index in range(len(plan.sources)):
        _correct_keys(engine, plan, keys, index)


def set_keys(engine: Engine, plan: Plan, keys: NodeKeys, index: int) -> None:
    """Give the records of one source other node keys."""
    for j, column in enumerate(plan.sources[index].having(Role.IDENTIFIER)):
        engine.run(f"UPDATE {table(index)} SET k_{j} = {keys.column(plan, column, f'id_{j}')}")


def _correct_keys(engine: Engine, plan: Plan, keys: NodeKeys, index: int) -> None:
    """Give phones that the library has written anew their node keys."""
    for j, column in enumerate(plan.sources[index].having(Role.IDENTIFIER)):
        if plan.type(column.output or "").standardise == "phone":
            key = keys.column(plan, column, f"id_{j}")
            engine.run(f"UPDATE {table(index)} SET k_{j} = {key} WHERE k_{j} IS DISTINCT FROM {key}")


def table(index: int) -> str:
    """The name of a source's records table."""
    return f"records_{index}"


def source_bit(plan: Plan, index: int) -> str:
    """A number, or of very many sources a bit string, with the bit of one source set: see `sources_of`."""
    if len(plan.sources) < SOURCES_IN_A_NUMBER:
        return f"{1 << index}::BIGINT"
    bits = ["0"] * len(plan.sources)
    bits[index] = "1"
    return f"'{''.join(bits)}'::BIT"


def sources_of(bits: int | str) -> list[int]:
    """The positions of the sources in a union of `source_bit`."""
    digits = f"{bits:b}"[::-1] if isinstance(bits, int) else bits
    return [index for index, digit in enumerate(digits) if digit == "1"]


def part_columns(k: int, metric: Metric) -> list[str]:
    """The columns of metric *k*, in every table from here to the profiles."""
    return [f"m_{k}_{p}" for p in range(sums.parts(metric))]


def occurred_at(column: ColumnPlan) -> str:
    """An event time as TIMESTAMP in UTC; text and zoneless times are taken as UTC.

    Text is ISO 8601, ``2026-01-03 10:00:00 -0500``, RFC 2822 or day first with dots; what may be month or
    day first is not guessed. Whole numbers are days such as 20260103 or epochs, told apart by their size:
    seconds, milli-, micro- or nanoseconds.
    """
    name = column.internal
    if column.type in ("BIGINT", "DOUBLE") or column.type.startswith("DECIMAL"):
        day = f"CASE WHEN {name} BETWEEN 19000101 AND 21001231 THEN {name}::BIGINT::VARCHAR END"
        micros = (
            f"CASE WHEN abs({name}) < 1e11 THEN {name} * 1e6 WHEN abs({name}) < 1e14 THEN {name} * 1e3 "
            f"WHEN abs({name}) < 1e17 THEN {name} ELSE {name} / 1e3 END"
        )
        # 20260103 is a day; as seconds it would be one of 1970.
        moment = f"coalesce(try_strptime({day}, '%Y%m%d'), make_timestamp(TRY_CAST({micros} AS BIGINT)))"
    elif column.type == "TIMESTAMP WITH TIME ZONE":
        moment = f"({name} AT TIME ZONE 'UTC')"
    elif column.type == "VARCHAR":
        zoned = f"try_strptime(trim({name}), ['%Y-%m-%d %H:%M:%S %z', '%a, %d %b %Y %H:%M:%S %z'])"
        plain = f"try_strptime(trim({name}), ['%d.%m.%Y', '%d.%m.%Y %H:%M', '%d.%m.%Y %H:%M:%S', '%Y%m%d'])"
        iso = f"TRY_CAST(trim({name}) AS TIMESTAMP WITH TIME ZONE)"
        moment = f"coalesce({iso} AT TIME ZONE 'UTC', {zoned} AT TIME ZONE 'UTC', {plain})"
    else:
        moment = f"{name}::TIMESTAMP"
    return f"CASE WHEN isfinite({moment}) THEN {moment} END"


def _records(
    plan: Plan,
    source: SourcePlan,
    rules: Mapping[str, Rule],
    node_keys: NodeKeys,
    *,
    grouped: bool,
    keep_raw: bool,
) -> str:
    identifiers = source.having(Role.IDENTIFIER)
    time = occurred_at(source.event_time) if source.event_time else "NULL::TIMESTAMP"
    counted = _counted(plan, source)
    named = ["initials"] if knows_names(source) else []
    groups = [*(column.internal for column in identifiers), *named, *counted]
    items = ["count(*)", "min(occurred_at)", "max(occurred_at)"] if grouped else _OF_A_ROW
    kept = [f"{item} AS {name}" for item, name in zip(items, _COUNTS, strict=True)]
    kept += [*_metrics(plan, source, grouped=grouped), *_attributes(plan, source, grouped=grouped)]
    rows = ["*", f"{time} AS occurred_at", *(f"{value} AS {name}" for name, value in counted.items())]
    relation = f"(SELECT {', '.join(rows)} FROM {with_initials(source)})"
    query = f"SELECT {', '.join([*groups, *kept])} FROM {relation}"
    if grouped:
        query += f" GROUP BY {', '.join(groups)}" if groups else " HAVING count(*) > 0"
    linking = [
        f"{node_keys.column(plan, column, f'id_{j}')} AS k_{j}" for j, column in enumerate(identifiers)
    ]
    standard = standardise(query, _raw(source, rules), keep_raw=keep_raw)
    return f"SELECT {', '.join(['*', *linking])} FROM ({standard})"


def _is_worth_grouping(source: SourcePlan) -> bool:
    """Whether the rows of a source repeat their identifiers so often that grouping them pays."""
    return source.rows >= _WORTH_GROUPING * source.combinations


def _raw(source: SourcePlan, rules: Mapping[str, Rule]) -> list[RawColumn]:
    return [
        RawColumn(rules[column.output or ""], column.internal, column.type, column.guests)
        for column in source.having(Role.IDENTIFIER)
    ]


def _metrics(plan: Plan, source: SourcePlan, *, grouped: bool) -> list[str]:
    fed = {column.output: column for column in source.having(Role.METRIC)}
    items = []
    for k, metric in enumerate(plan.metrics):
        if column := fed.get(metric.name):
            parts = zip(part_columns(k, metric), sums.partial(metric, column, grouped=grouped), strict=True)
            items += [f"{part} AS {name}" for name, part in parts]
    return items


def _attributes(plan: Plan, source: SourcePlan, *, grouped: bool) -> list[str]:
    return [
        f"{candidates.of_rows(plan, source, attribute, grouped=grouped)} AS a_{k}"
        for k, attribute in candidates.fed(plan, source).items()
        if not candidates.is_counted(attribute)
    ]


def _counted(plan: Plan, source: SourcePlan) -> dict[str, str]:
    """The attributes whose values are counted: each one's column and value."""
    return {
        f"a_{k}": candidates.value(source, attribute)
        for k, attribute in candidates.fed(plan, source).items()
        if candidates.is_counted(attribute)
    }
