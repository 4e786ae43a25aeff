"""Stage 5: records and customers to profiles.

Each source is first brought to one row per customer, then the sources are put together: what arrives
at the last grouping is small, and ``data_sources`` is the number of rows that a customer has there.

Table ``totals``, one row per customer and one (``customer`` NULL) for the unidentified records of each
source: the columns of ``records_<i>`` without identifiers. Table ``profiles``: the published columns.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow_provider_customer360.unify import records, sums
from airflow_provider_customer360.unify.engine import Engine, literal, quoted
from airflow_provider_customer360.unify.errors import DataError
from airflow_provider_customer360.unify.resolve import NodeKeys
from airflow_provider_customer360.unify.schema import Metric, Plan, SourcePlan


def aggregate(engine: Engine, plan: Plan, keys: NodeKeys, as_of: datetime, active_within: timedelta) -> None:
    """Make ``per_source``, ``totals`` and ``profiles``.

    Raises:
        DataError: a record was lost or counted twice, which would be a defect of this package.
    """
    parts = [_per_source(plan, keys, index, source) for index, source in enumerate(plan.sources)]
    engine.run(
        f"CREATE OR REPLACE TABLE per_source AS {' UNION ALL BY NAME '.join(parts)}",
        doing="adding up records by customer",
    )
    engine.run(f"CREATE OR REPLACE TABLE totals AS {_totals(plan)}", doing="adding up sources")
    engine.run(
        f"CREATE OR REPLACE TABLE profiles AS {_profiles(engine, plan, as_of, active_within)}",
        doing="putting profiles together",
    )
    _check_conservation(engine, plan)


def _per_source(plan: Plan, keys: NodeKeys, index: int, source: SourcePlan) -> str:
    fed = {column.output for column in source.columns}
    items = [
        "identities.customer AS customer",
        f"{index}::INTEGER AS source",
        "sum(records.records)::BIGINT AS records",
        f"sum(records.records)::BIGINT AS s_{index}",
        "min(records.first_seen) AS first_seen",
        "max(records.last_seen) AS last_seen",
        *(item for k, metric in enumerate(plan.metrics) if metric.name in fed for item in _merge(k, metric)),
        *(f"max(a_{k}) AS a_{k}" for k, attribute in enumerate(plan.attributes) if attribute.name in fed),
    ]
    return (
        f"SELECT {', '.join(items)} "
        f"FROM (SELECT *, {keys.first(source)} AS node FROM {records.table(index)}) AS records "
        "LEFT JOIN identities ON identities.node = records.node GROUP BY identities.customer"
    )


def _totals(plan: Plan) -> str:
    items = [
        "customer",
        "count(*)::BIGINT AS data_sources",
        "sum(records)::BIGINT AS total_records",
        "min(first_seen) AS first_seen",
        "max(last_seen) AS last_seen",
        *(f"coalesce(sum(s_{index}), 0)::BIGINT AS s_{index}" for index in range(len(plan.sources))),
        *(item for k, metric in enumerate(plan.metrics) for item in _merge(k, metric)),
        *(f"max(a_{k}) AS a_{k}" for k in range(len(plan.attributes))),
    ]
    return f"SELECT {', '.join(items)} FROM per_source GROUP BY customer"


def _merge(k: int, metric: Metric) -> list[str]:
    columns = records.part_columns(k, metric)
    aggregates = zip(sums.merged(metric, columns), columns, strict=True)
    return [f"{aggregate} AS {column}" for aggregate, column in aggregates]


def _profiles(engine: Engine, plan: Plan, as_of: datetime, active_within: timedelta) -> str:
    shown = [(number, name) for number, name in enumerate(plan.identifier_types) if name != "customer_id"]
    since = _start(as_of, active_within).isoformat(sep=" ")
    # With no event time anywhere nobody can be called inactive.
    active = f"coalesce(last_seen >= TIMESTAMP {literal(since)}, false)" if plan.has_event_time else "true"
    items = [
        "customers.customer_id AS customer_id",
        *(f"shown.i_{number} AS {quoted(name)}" for number, name in shown),
        *(f"a_{k}.v AS {quoted(attribute.name)}" for k, attribute in enumerate(plan.attributes)),
        *(_final(engine, k, metric) for k, metric in enumerate(plan.metrics)),
        *(f"s_{index} AS {quoted(source.output + '_records')}" for index, source in enumerate(plan.sources)),
        "total_records",
        "data_sources",
        "first_seen AT TIME ZONE 'UTC' AS first_seen",
        "last_seen AT TIME ZONE 'UTC' AS last_seen",
        f"{active} AS is_active",
    ]
    joined = f" JOIN ({_shown_identifiers(shown)}) AS shown USING (customer)" if shown else ""
    return f"SELECT {', '.join(items)} FROM totals JOIN customers USING (customer){joined}"


def _start(as_of: datetime, active_within: timedelta) -> datetime:
    try:
        start = as_of - active_within
    except OverflowError:  # longer than there are years: everyone ever seen is active
        start = datetime.min.replace(tzinfo=UTC)
    return start.replace(tzinfo=None)


def _shown_identifiers(shown: list[tuple[int, str]]) -> str:
    """Of several e-mails of one customer the profile shows the one seen last, then most, then the first."""
    latest = (
        f"min({{'t': -coalesce(epoch_us(last_seen), {records.NEVER}), 'n': -records, 'v': identifier_value}})"
    )
    items = [f"({latest} FILTER (WHERE t = {number})).v AS i_{number}" for number, _ in shown]
    return f"SELECT customer, {', '.join(items)} FROM identities GROUP BY customer"


def _final(engine: Engine, k: int, metric: Metric) -> str:
    columns = records.part_columns(k, metric)
    fits = True
    if metric.kind == "integer" and metric.aggregate != "mean":
        (fits,) = engine.row(
            f"SELECT coalesce(max(abs({columns[0]})) < 9223372036854775808, true) FROM totals"
        )
    return f"({sums.final(metric, columns)})::{sums.column_type(metric, fits)} AS {quoted(metric.name)}"


def _check_conservation(engine: Engine, plan: Plan) -> None:
    """Every source row is in exactly one profile or among the unidentified."""
    (in_profiles,) = engine.row("SELECT coalesce(sum(total_records), 0) FROM profiles")
    (unidentified,) = engine.row("SELECT coalesce(sum(records), 0) FROM per_source WHERE customer IS NULL")
    rows = sum(source.rows for source in plan.sources)
    if in_profiles + unidentified != rows:
        raise DataError(
            f"{rows:,} records were read but {in_profiles + unidentified:,} accounted for. A source that "
            "changes while it is read does that; if none does, please report it. The target table is as "
            "it was."
        )
