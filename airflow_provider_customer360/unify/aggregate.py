"""Stage 5: records and customers to profiles.

Table ``by_source_<i>``: what the records of source *i* say of each customer, in one pass over them:
``records``, ``first_seen``, ``last_seen``, the metrics' parts and the surviving attributes, named as in
``records_<i>``. Table ``counted_<k>``: attribute *k* where its values are counted over all sources. Table
``totals``: one row per customer, and one (``customer`` NULL) for the unidentified records; counts, times and
metrics over all sources, ``data_sources`` and ``s_<i>`` (records of source *i*). Table ``profiles``: the
published columns.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from airflow_provider_customer360.unify import candidates, records, sums
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.errors import DataError
from airflow_provider_customer360.unify.keys import first_key
from airflow_provider_customer360.unify.parts import WHOLE, Part
from airflow_provider_customer360.unify.quoting import literal, quoted
from airflow_provider_customer360.unify.schema import Attribute, Metric, Plan, Role, SourcePlan

#: The customer of records that belong to nobody.
_NOBODY = -1
#: What a customer takes in a join, roughly: with its keys and pointers, and for each column of a profile.
_BYTES_OF_A_CUSTOMER, _BYTES_OF_A_COLUMN = 300, 60


def aggregate(engine: Engine, plan: Plan, as_of: datetime, active_within: timedelta) -> None:
    """Make ``by_source_<i>``, ``counted_<k>``, ``totals`` and ``profiles``.

    Raises:
        DataError: a record was lost or counted twice, which would be a defect of this package.
    """
    for index, source in enumerate(plan.sources):
        columns = len(_fed_metrics(plan, source)) + len(_chosen(plan, source))
        _in_parts(
            engine, f"by_source_{index}", partial(_by_source, plan, index), columns, "adding up records"
        )
    counted = _by_count(plan)
    for name, query in counted.items():
        engine.run(f"CREATE OR REPLACE TABLE {name} AS {query}", doing="choosing attributes")
    columns = len(plan.identifier_types) + len(plan.attributes) + len(plan.metrics) + len(plan.sources)
    _in_parts(engine, "totals", partial(_totals, plan), columns, "adding up sources")
    shown = partial(_shown_identifiers, plan, _types_of_others(engine))
    # Of each type a value and what it is compared by.
    _in_parts(engine, "shown", shown, 3 * len(plan.identifier_types), "choosing identifiers")
    joined = _profiles(engine, plan, list(counted), as_of, active_within)
    _in_parts(engine, "profiles", joined, columns, "putting profiles together")
    engine.drop(["shown"])
    _check_conservation(engine, plan)


def _in_parts(engine: Engine, name: str, query: Callable[[Part], str], columns: int, doing: str) -> None:
    """Make a table by a query that joins customers, for as many at a time as fit into memory.

    Args:
        engine: the engine.
        name: the table.
        query: the query of one part.
        columns: those that the query has of a customer.
        doing: what it does, for the log.
    """
    (customers,) = engine.row("SELECT count(*) FROM customers")
    parts = engine.parts(customers, _BYTES_OF_A_CUSTOMER + columns * _BYTES_OF_A_COLUMN)
    engine.make(name, query, parts, doing=doing)


def _holds(part: Part, customer: str = "customer") -> str:
    """Whether a customer, or `_NOBODY`, is of a part."""
    return part.holds(f"{customer} + 1")


def _of(part: Part, table: str) -> str:
    """The rows of a table with a customer that are of a part."""
    return table if part == WHOLE else f"(SELECT * FROM {table} WHERE {_holds(part)}) AS {table}"


def _by_source(plan: Plan, index: int, part: Part) -> str:
    """What the records say of the customers of one part; records without an owner are of the first one."""
    source = plan.sources[index]
    key = first_key(plan, source)
    items = [
        f"coalesce(i.customer, {_NOBODY}) AS customer",
        "sum(records)::BIGINT AS records",
        "min(first_seen) AS first_seen",
        "max(last_seen) AS last_seen",
        *(item for k, metric in _fed_metrics(plan, source).items() for item in _merge(k, metric)),
        *(
            f"{candidates.best(attribute, f'a_{k}')} AS a_{k}"
            for k, attribute in _chosen(plan, source).items()
        ),
    ]
    those = ""
    if part != WHOLE:
        those = f" WHERE i.node IS NOT NULL{'' if part.number else f' OR {key} IS NULL'}"
    return (
        f"SELECT {', '.join(items)} FROM {records.table(index)} AS r "
        f"LEFT JOIN {_owners(plan, source, part)} AS i ON i.node = {key}{those} GROUP BY ALL"
    )


def _owners(plan: Plan, source: SourcePlan, part: Part = WHOLE) -> str:
    """The customers of identifiers, of the types that a source has."""
    types = sorted(plan.identifier_types.index(kind or "") for kind in source.outputs(Role.IDENTIFIER))
    of_types = f"t IN ({', '.join(map(str, [-1, *types]))})"
    those = _holds(part, f"coalesce(customer, {_NOBODY})")
    return f"(SELECT node, customer FROM identities WHERE {of_types} AND {those})"


def _fed_metrics(plan: Plan, source: SourcePlan) -> dict[int, Metric]:
    """The metrics that a source feeds, by their position in the plan."""
    fed = source.outputs(Role.METRIC)
    return {k: metric for k, metric in enumerate(plan.metrics) if metric.name in fed}


def _chosen(plan: Plan, source: SourcePlan) -> dict[int, Attribute]:
    """The attributes that a source feeds and that need no counting, by their position in the plan."""
    fed = candidates.fed(plan, source)
    return {k: attribute for k, attribute in fed.items() if not candidates.is_counted(attribute)}


def _totals(plan: Plan, part: Part) -> str:
    def of_all(column: str) -> list[str]:
        return [f"by_source_{index}.{column}" for index in range(len(plan.sources))]

    counts = [f"coalesce({records}, 0)" for records in of_all("records")]
    items = [
        f"nullif(customer, {_NOBODY}) AS customer",
        f"{' + '.join(f'({count} > 0)::BIGINT' for count in counts)} AS data_sources",
        f"{' + '.join(counts)} AS total_records",
        f"least({', '.join(of_all('first_seen'))}) AS first_seen",
        f"greatest({', '.join(of_all('last_seen'))}) AS last_seen",
        *(f"{count} AS s_{index}" for index, count in enumerate(counts)),
        *(item for k, metric in enumerate(plan.metrics) for item in _sum_up(plan, k, metric)),
    ]
    joined = "".join(
        f" LEFT JOIN {_of(part, f'by_source_{index}')} USING (customer)" for index in range(len(plan.sources))
    )
    everyone = f"SELECT customer FROM {_of(part, 'customers')}"
    if not part.number:
        everyone += f" UNION ALL SELECT {_NOBODY}"
    return f"SELECT {', '.join(items)} FROM ({everyone}){joined} WHERE {' + '.join(counts)} > 0"


def _sum_up(plan: Plan, k: int, metric: Metric) -> list[str]:
    """The parts of a metric over all sources that feed it."""
    tables = [
        f"by_source_{index}" for index, source in enumerate(plan.sources) if k in _fed_metrics(plan, source)
    ]
    columns = records.part_columns(k, metric)
    return [
        f"{sums.combined(metric, part, [f'{table}.{column}' for table in tables])} AS {column}"
        for part, column in enumerate(columns)
    ]


def _by_count(plan: Plan) -> dict[str, str]:
    """The tables ``counted_<k>`` with their queries."""
    queries = {}
    for k, attribute in enumerate(plan.attributes):
        if candidates.is_counted(attribute):
            of_sources = {
                index: f"SELECT customer, a_{k} AS v, sum(records) AS n, "
                f"max(coalesce(epoch_us(last_seen), {candidates.NEVER})) AS t "
                f"FROM {_identified(plan, index)} WHERE a_{k} IS NOT NULL GROUP BY customer, a_{k}"
                for index, source in enumerate(plan.sources)
                if k in candidates.fed(plan, source)
            }
            queries[f"counted_{k}"] = candidates.counted(plan, attribute, of_sources)
    return queries


def _identified(plan: Plan, index: int) -> str:
    """The records of one source that have a customer, with it."""
    return (
        f"{records.table(index)} JOIN {_owners(plan, plan.sources[index])} AS i "
        f"ON i.node = {first_key(plan, plan.sources[index])}"
    )


def _merge(k: int, metric: Metric) -> list[str]:
    columns = records.part_columns(k, metric)
    aggregates = zip(sums.merged(metric, columns), columns, strict=True)
    return [f"{aggregate} AS {column}" for aggregate, column in aggregates]


def _profiles(
    engine: Engine, plan: Plan, counted: Sequence[str], as_of: datetime, active_within: timedelta
) -> Callable[[Part], str]:
    since = _start(as_of, active_within).isoformat(sep=" ")
    # With no event time anywhere nobody can be called inactive.
    active = f"coalesce(totals.last_seen >= TIMESTAMP {literal(since)}, false)"
    items = [
        "customers.customer_id AS customer_id",
        *(f"shown.i_{number} AS {quoted(name)}" for number, name in _shown(plan)),
        *(item for k, attribute in enumerate(plan.attributes) for item in _surviving(plan, k, attribute)),
        *_finals(engine, plan),
        *(f"s_{index} AS {quoted(source.output + '_records')}" for index, source in enumerate(plan.sources)),
        "total_records",
        "data_sources",
        "totals.first_seen AT TIME ZONE 'UTC' AS first_seen",
        "totals.last_seen AT TIME ZONE 'UTC' AS last_seen",
        f"{active if plan.has_event_time else 'true'} AS is_active",
    ]
    survivors = [f"by_source_{i}" for i, source in enumerate(plan.sources) if _chosen(plan, source)]

    def query(part: Part) -> str:
        joined = "".join(
            f" LEFT JOIN {_of(part, name)} USING (customer)" for name in ["shown", *survivors, *counted]
        )
        tables = f"{_of(part, 'totals')} JOIN {_of(part, 'customers')} USING (customer)"
        return f"SELECT {', '.join(items)} FROM {tables}{joined}"

    return query


def _shown(plan: Plan) -> list[tuple[int, str]]:
    """The identifier types that profiles show, with their positions in the plan."""
    return [(number, name) for number, name in enumerate(plan.identifier_types) if name != "customer_id"]


def _surviving(plan: Plan, k: int, attribute: Attribute) -> list[str]:
    """The best of the sources' survivors."""
    if candidates.is_counted(attribute):
        return candidates.published(plan, attribute, f"counted_{k}.best")
    of_sources = [
        f"by_source_{index}.a_{k}" for index, source in enumerate(plan.sources) if k in _chosen(plan, source)
    ]
    return candidates.published(plan, attribute, candidates.best_of(attribute, of_sources))


def _start(as_of: datetime, active_within: timedelta) -> datetime:
    try:
        start = as_of - active_within
    except OverflowError:  # longer than there are years: everyone ever seen is active
        start = datetime.min.replace(tzinfo=UTC)
    return start.replace(tzinfo=None)


def _shown_identifiers(plan: Plan, others: Container[int], part: Part) -> str:
    """Of several e-mails of one customer the profile shows the one seen last, then most, then the first.

    One that links nobody is shown where the customer has no other.
    """
    shown = _shown(plan)
    if not shown:
        return f"SELECT customer FROM {_of(part, 'customers')}"
    time = f"-coalesce(epoch_us(last_seen), {candidates.NEVER})"
    latest = f"min({{'t': {time}, 'n': -records, 'v': v}}).v AS v"
    types = ", ".join(str(number) for number, _ in shown)
    those = f"t IN ({types}) AND customer IS NOT NULL AND {_holds(part)}"
    own = f"SELECT customer, t, {{}} FROM identities WHERE {those} AND {{}}"
    several = own.format("identifier_value AS v, last_seen, records", "NOT alone")
    offered = [
        own.format("identifier_value AS v, false AS f", "alone"),
        f"SELECT customer, t, {latest}, false AS f FROM ({several}) GROUP BY customer, t",
    ]
    if foreign := _foreign(plan, others, part):
        offered.append(
            f"SELECT customer, t, {latest}, true AS f FROM ({' UNION ALL '.join(foreign)}) "
            "GROUP BY customer, t"
        )
    # There is one of each, and any of one is that one.
    items = []
    for number, _ in shown:
        value = "any_value(v) FILTER (WHERE t = {} AND {})"
        item = value.format(number, "NOT f")
        if number in others:
            item = f"coalesce({item}, {value.format(number, 'f')})"
        items.append(f"{item} AS i_{number}")
    return f"SELECT customer, {', '.join(items)} FROM ({' UNION ALL '.join(offered)}) GROUP BY customer"


def _types_of_others(engine: Engine) -> frozenset[int]:
    """The types of which there are identifiers that do not belong to one customer alone."""
    found = engine.rows(
        "SELECT DISTINCT t FROM identities WHERE customer IS NULL OR node IN (SELECT b FROM dropped_links)"
    )
    return frozenset(t for (t,) in found)


def _foreign(plan: Plan, types: Container[int], part: Part) -> list[str]:
    """Identifiers on a customer's records that do not belong to this customer alone."""
    return [
        f"SELECT customer, {t} AS t, id_{j} AS v, max(r.last_seen) AS last_seen, "
        "sum(r.records)::BIGINT AS records "
        f"FROM {records.table(index)} AS r JOIN identities AS i ON i.node = {first_key(plan, source)} "
        f"WHERE id_{j} IS NOT NULL AND k_{j} IS NULL AND {_holds(part)} "
        f"GROUP BY customer, id_{j}"
        for index, source in enumerate(plan.sources)
        for j, column in enumerate(source.having(Role.IDENTIFIER))
        if (t := plan.identifier_types.index(column.output or "")) in types
    ]


def _finals(engine: Engine, plan: Plan) -> list[str]:
    """The metrics; a whole number is a BIGINT unless some customer's is larger."""
    columns = [
        [f"totals.{column}" for column in records.part_columns(k, metric)]
        for k, metric in enumerate(plan.metrics)
    ]
    largest = [f"max(abs({parts[0]}))" for parts in columns]
    bounds = engine.row(f"SELECT {', '.join(['count(*)', *largest])} FROM totals")[1:]
    return [
        f"({sums.final(metric, parts)})::{sums.column_type(metric, fits_bigint=(bound or 0) < 2**63)} "
        f"AS {quoted(metric.name)}"
        for metric, parts, bound in zip(plan.metrics, columns, bounds, strict=True)
    ]


def _check_conservation(engine: Engine, plan: Plan) -> None:
    """Every source row is in exactly one profile, among the unidentified, or of somebody forgotten."""
    (in_profiles,) = engine.row("SELECT coalesce(sum(total_records), 0) FROM profiles")
    (unidentified,) = engine.row("SELECT coalesce(sum(total_records), 0) FROM totals WHERE customer IS NULL")
    forgotten = sum(source.forgotten for source in plan.sources)
    rows = sum(source.rows for source in plan.sources)
    accounted = in_profiles + unidentified + forgotten
    if accounted != rows:
        raise DataError(
            f"{rows:,} records were read but {accounted:,} accounted for. A source that changes while it is "
            "read does that; if none does, please report it. The target table is as it was."
        )
