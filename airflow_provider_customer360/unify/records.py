"""Stage 2: source rows to records.

Rows of a source that carry the same raw identifier values are the same record for everything that
follows, so they are aggregated first: one pass over the text columns, and all later work is on
distinct combinations (an event log of ten rows a person shrinks tenfold). Every aggregate is
mergeable.

Table ``records_<i>`` of source *i*, one row per distinct combination of raw identifier values:

=============  ============================================================================
``id_<j>``     standard form of its j-th identifier column, NULL where it identifies nobody
``raw_<j>``    whether that column held a value at all
``records``    number of source rows
``first_seen`` earliest event time, TIMESTAMP in UTC, NULL where none is known
``last_seen``  latest event time
``m_<k>_<p>``  part *p* of metric *k* of the plan, see `sums`
``a_<k>``      the survivor of attribute *k*: STRUCT(t BIGINT, v), or other ranks (`candidates`);
               of an attribute whose values are counted the value itself, by which the records
               are then grouped as well
=============  ============================================================================
"""

from __future__ import annotations

from airflow_provider_customer360.unify import candidates, sums
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.schema import ColumnPlan, Metric, Plan, Role, SourcePlan
from airflow_provider_customer360.unify.standardise import parse_phones, standardise


def group_records(engine: Engine, plan: Plan) -> None:
    """Make ``records_<i>`` for every source of the plan."""
    for index, source in enumerate(plan.sources):
        engine.run(
            f"CREATE OR REPLACE TABLE {table(index)} AS {_grouped(plan, source)}",
            doing=f"reading source {source.name!r}",
        )
    phones = [
        (table(index), f"id_{j}")
        for index, source in enumerate(plan.sources)
        for j, column in enumerate(source.having(Role.IDENTIFIER))
        if column.output == "phone"
    ]
    parse_phones(engine, phones)


def table(index: int) -> str:
    """The name of a source's records table."""
    return f"records_{index}"


def source_bit(plan: Plan, index: int) -> str:
    """A bit string with the bit of one source set; their union's count is the number of sources."""
    bits = ["0"] * len(plan.sources)
    bits[index] = "1"
    return f"'{''.join(bits)}'::BIT"


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


def _grouped(plan: Plan, source: SourcePlan) -> str:
    identifiers = source.having(Role.IDENTIFIER)
    time = occurred_at(source.event_time) if source.event_time else "NULL::TIMESTAMP"
    keys = [column.internal for column in identifiers]
    aggregates = ["count(*) AS records", "min(occurred_at) AS first_seen", "max(occurred_at) AS last_seen"]
    aggregates += [*_metrics(plan, source), *_attributes(plan, source)]
    counted = _counted(plan, source)
    computed = [f"{time} AS occurred_at", *(f"{value} AS {name}" for name, value in counted.items())]
    groups = [*keys, *counted]
    grouped = (
        f"SELECT {', '.join([*groups, *aggregates])} "
        f"FROM (SELECT *, {', '.join(computed)} FROM {source.relation}) "
    ) + (f"GROUP BY {', '.join(groups)}" if groups else "HAVING count(*) > 0")
    raw = [(column.output or "", column.internal, column.type) for column in identifiers]
    held = [f"{key} IS NOT NULL AS raw_{j}" for j, key in enumerate(keys)]
    everything = f"* EXCLUDE ({', '.join(keys)})" if keys else "*"
    guests = [f"nullif(id_{j}, '0') AS id_{j}" for j, column in enumerate(identifiers) if column.guests]
    if guests:
        everything += f" REPLACE ({', '.join(guests)})"
    return f"SELECT {', '.join([everything, *held])} FROM ({standardise(grouped, raw)})"


def _metrics(plan: Plan, source: SourcePlan) -> list[str]:
    fed = {column.output: column for column in source.having(Role.METRIC)}
    items = []
    for k, metric in enumerate(plan.metrics):
        if column := fed.get(metric.name):
            parts = zip(part_columns(k, metric), sums.partial(metric, column), strict=True)
            items += [f"{aggregate} AS {name}" for name, aggregate in parts]
    return items


def _attributes(plan: Plan, source: SourcePlan) -> list[str]:
    return [
        f"{candidates.of_rows(plan, source, attribute)} AS a_{k}"
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
