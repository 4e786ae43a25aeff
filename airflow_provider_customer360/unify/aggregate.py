"""Stage 5: records and customers to profiles.

Table ``totals``: one row per customer, and one (``customer`` NULL) for the unidentified records; the
counts, times and metrics of ``records_<i>``, ``sources`` (a bit per source) and ``s_<i>`` (records of
source *i*). Table ``attributes_<i>``: the surviving attributes of source *i*, one row per customer; kept
apart, because carrying every source's text through one grouping costs more than joining a few columns at
the end. Table ``counted_<k>``: attribute *k* where its values are counted over all sources. Table
``profiles``: the published columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from airflow_provider_customer360.unify import candidates, records, sums
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.errors import DataError
from airflow_provider_customer360.unify.keys import first_key
from airflow_provider_customer360.unify.quoting import literal, quoted
from airflow_provider_customer360.unify.schema import Attribute, Metric, Plan, Role, SourcePlan


def aggregate(engine: Engine, plan: Plan, as_of: datetime, active_within: timedelta) -> None:
    """Make ``totals``, ``attributes_<i>``, ``counted_<k>`` and ``profiles``.

    Raises:
        DataError: a record was lost or counted twice, which would be a defect of this package.
    """
    engine.run(f"CREATE OR REPLACE TABLE totals AS {_totals(plan)}", doing="adding up records")
    survivors = {**_by_source(plan), **_by_count(plan)}
    for name, query in survivors.items():
        engine.run(f"CREATE OR REPLACE TABLE {name} AS {query}", doing="choosing attributes")
    engine.run(
        "CREATE OR REPLACE TABLE profiles AS "
        f"{_profiles(engine, plan, list(survivors), as_of, active_within)}",
        doing="putting profiles together",
    )
    _check_conservation(engine, plan)


def _totals(plan: Plan) -> str:
    customer_records = (_customer_records(plan, i, source) for i, source in enumerate(plan.sources))
    items = [
        "customer",
        "bit_or(source) AS sources",
        "sum(records)::BIGINT AS total_records",
        "min(first_seen) AS first_seen",
        "max(last_seen) AS last_seen",
        *(f"coalesce(sum(s_{index}), 0)::BIGINT AS s_{index}" for index in range(len(plan.sources))),
        *(item for k, metric in enumerate(plan.metrics) for item in _merge(k, metric)),
    ]
    return (
        f"SELECT {', '.join(items)} FROM ({' UNION ALL BY NAME '.join(customer_records)}) GROUP BY customer"
    )


def _customer_records(plan: Plan, index: int, source: SourcePlan) -> str:
    """The records of one source with their customer instead of their identifiers."""
    fed = source.outputs(Role.METRIC)
    kept = ["records", "first_seen", "last_seen"]
    kept += [
        column
        for k, metric in enumerate(plan.metrics)
        if metric.name in fed
        for column in records.part_columns(k, metric)
    ]
    return (
        f"SELECT i.customer, {', '.join(kept)}, records AS s_{index}, "
        f"{records.source_bit(plan, index)} AS source "
        f"FROM {records.table(index)} AS r "
        f"LEFT JOIN (SELECT node, customer FROM identities) AS i ON i.node = {first_key(plan, source)}"
    )


def _by_source(plan: Plan) -> dict[str, str]:
    """The tables ``attributes_<i>`` with their queries; sources that feed none are left out."""
    queries = {}
    for index, source in enumerate(plan.sources):
        survivors = [
            f"{candidates.best(attribute, f'a_{k}')} AS a_{k}"
            for k, attribute in candidates.fed(plan, source).items()
            if not candidates.is_counted(attribute)
        ]
        if survivors:
            queries[f"attributes_{index}"] = (
                f"SELECT customer, {', '.join(survivors)} FROM {_identified(plan, index)} GROUP BY customer"
            )
    return queries


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
        f"{records.table(index)} JOIN (SELECT node, customer FROM identities) AS i "
        f"ON i.node = {first_key(plan, plan.sources[index])}"
    )


def _merge(k: int, metric: Metric) -> list[str]:
    columns = records.part_columns(k, metric)
    aggregates = zip(sums.merged(metric, columns), columns, strict=True)
    return [f"{aggregate} AS {column}" for aggregate, column in aggregates]


def _profiles(
    engine: Engine, plan: Plan, survivors: Sequence[str], as_of: datetime, active_within: timedelta
) -> str:
    shown = [(number, name) for number, name in enumerate(plan.identifier_types) if name != "customer_id"]
    since = _start(as_of, active_within).isoformat(sep=" ")
    # With no event time anywhere nobody can be called inactive.
    active = f"coalesce(last_seen >= TIMESTAMP {literal(since)}, false)" if plan.has_event_time else "true"
    items = [
        "customers.customer_id AS customer_id",
        *(f"shown.i_{number} AS {quoted(name)}" for number, name in shown),
        *(item for k, attribute in enumerate(plan.attributes) for item in _surviving(plan, k, attribute)),
        *_finals(engine, plan),
        *(f"s_{index} AS {quoted(source.output + '_records')}" for index, source in enumerate(plan.sources)),
        "total_records",
        "bit_count(sources)::BIGINT AS data_sources",
        "first_seen AT TIME ZONE 'UTC' AS first_seen",
        "last_seen AT TIME ZONE 'UTC' AS last_seen",
        f"{active} AS is_active",
    ]
    joined = f" JOIN ({_shown_identifiers(engine, plan, shown)}) AS shown USING (customer)" if shown else ""
    joined += "".join(f" LEFT JOIN {name} USING (customer)" for name in survivors)
    return f"SELECT {', '.join(items)} FROM totals JOIN customers USING (customer){joined}"


def _surviving(plan: Plan, k: int, attribute: Attribute) -> list[str]:
    """The best of the sources' survivors."""
    if candidates.is_counted(attribute):
        return candidates.published(plan, attribute, f"counted_{k}.best")
    of_sources = [
        f"attributes_{index}.a_{k}"
        for index, source in enumerate(plan.sources)
        if k in candidates.fed(plan, source)
    ]
    return candidates.published(plan, attribute, candidates.best_of(attribute, of_sources))


def _start(as_of: datetime, active_within: timedelta) -> datetime:
    try:
        start = as_of - active_within
    except OverflowError:  # longer than there are years: everyone ever seen is active
        start = datetime.min.replace(tzinfo=UTC)
    return start.replace(tzinfo=None)


def _shown_identifiers(engine: Engine, plan: Plan, shown: list[tuple[int, str]]) -> str:
    """Of several e-mails of one customer the profile shows the one seen last, then most, then the first.

    One that links nobody is shown where the customer has no other.
    """
    time = f"-coalesce(epoch_us(last_seen), {candidates.NEVER})"
    latest = f"min({{'foreign': f, 't': {time}, 'n': -records, 'v': v}})"
    items = [f"({latest} FILTER (WHERE t = {number})).v AS i_{number}" for number, _ in shown]
    own = (
        "SELECT customer, t, identifier_value AS v, last_seen, records, false AS f FROM identities "
        "WHERE customer IS NOT NULL"
    )
    values = " UNION ALL ".join([own, *_foreign(engine, plan)])
    return f"SELECT customer, {', '.join(items)} FROM ({values}) GROUP BY customer"


def _foreign(engine: Engine, plan: Plan) -> list[str]:
    """Identifiers on a customer's records that do not belong to this customer alone."""
    types = {
        t
        for (t,) in engine.rows(
            "SELECT DISTINCT t FROM identities WHERE customer IS NULL "
            "OR node IN (SELECT b FROM dropped_links)"
        )
    }
    return [
        f"SELECT customer, {t}, id_{j}, max(r.last_seen), sum(r.records)::BIGINT, true "
        f"FROM {records.table(index)} AS r JOIN identities AS i ON i.node = {first_key(plan, source)} "
        f"WHERE id_{j} IS NOT NULL AND k_{j} IS NULL GROUP BY customer, id_{j}"
        for index, source in enumerate(plan.sources)
        for j, column in enumerate(source.having(Role.IDENTIFIER))
        if (t := plan.identifier_types.index(column.output or "")) in types
    ]


def _finals(engine: Engine, plan: Plan) -> list[str]:
    """The metrics; a whole number is a BIGINT unless some customer's is larger."""
    columns = [records.part_columns(k, metric) for k, metric in enumerate(plan.metrics)]
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
