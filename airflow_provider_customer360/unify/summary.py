"""Stage 7: what a run did, as plain JSON without any unmasked value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from airflow_provider_customer360.unify import records, sums
from airflow_provider_customer360.unify.advice import advice, check_size
from airflow_provider_customer360.unify.config import Config
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.events import count_events
from airflow_provider_customer360.unify.forget_list import Named
from airflow_provider_customer360.unify.mask import mask
from airflow_provider_customer360.unify.phones import compared_by_digits, notes
from airflow_provider_customer360.unify.quoting import quoted
from airflow_provider_customer360.unify.schema import Plan, Role

_PREVIEW_METRICS = 5


def summarise(
    engine: Engine,
    plan: Plan,
    config: Config,
    as_of: datetime | None,
    named: Named,
    dropped: Sequence[str] = (),
) -> dict[str, Any]:
    """The statistics of the profiles; every number is finite and plain Python.

    Raises:
        DataError: a customer is too large, and the configuration says that the run shall fail then.
    """
    customers, active, total, merged, largest = engine.row(
        "SELECT count(*), count(*) FILTER (is_active), coalesce(sum(total_records), 0)::BIGINT, "
        "coalesce(sum(data_sources), 0)::BIGINT, coalesce(max(total_records), 0) FROM profiles"
    )
    oversized = check_size(engine, config)
    sources = _sources(engine, plan)
    unidentified = sum(one["records"] - one["identified"] for one in sources.values())
    identifiers = _identifiers(engine, plan, customers)
    by_digits = {name: counts.get("compared_by_digits", 0) for name, counts in identifiers.items()}
    warnings = [
        *plan.warnings,
        *oversized,
        *advice(engine, plan, sources, as_of),
        *notes(plan.types, by_digits),
    ]
    return {
        "as_of": as_of.isoformat() if as_of else None,
        "total_customers": customers,
        "active_customers": active,
        "total_records": total + unidentified,
        "unidentified_records": unidentified,
        "forgotten": _forgotten(engine, plan, named),
        "data_sources": len(plan.sources),
        "merge_rate": _ratio(merged - customers, merged),
        "largest_customer": largest,
        "sources": sources,
        "identifiers": identifiers,
        "identity_events": count_events(engine),
        "metrics": _metrics(engine, plan),
        "columns": _columns(plan),
        "warnings": warnings,
        "sample_data": False,
        "preview": preview(engine, plan, config.preview_rows, dropped),
    }


def preview(engine: Engine, plan: Plan, rows: int, dropped: Sequence[str] = ()) -> str:
    """The customers with the most records as a Markdown table, every text value masked.

    Args:
        rows: the most that are shown; of none, not even the names of columns.
        dropped: columns that profiles do not have.
    """
    if not rows:
        return ""
    personal = [name for name in plan.identifier_types if name not in ("customer_id", *dropped)][:2]
    numbers = [metric.name for metric in plan.metrics[:_PREVIEW_METRICS]]
    facts = ["total_records", "data_sources", "last_seen", "is_active"]
    names = ["customer_id", *personal, *numbers, *facts]
    # As text: fetching a zoned time as a Python object takes a package that DuckDB does not require.
    minute = "strftime(last_seen AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M')"
    items = [minute if name == "last_seen" else quoted(name) for name in names]
    found = engine.rows(
        f"SELECT {', '.join(items)} FROM profiles ORDER BY total_records DESC, customer_id LIMIT {rows}"
    )
    hidden = {"customer_id", *personal}
    shown = [
        [mask(value) if name in hidden else _cell(value) for name, value in zip(names, row, strict=True)]
        for row in found
    ]
    return _markdown(names, shown)


def _markdown(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns also line up as plain text, for the task log."""
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(names, *escaped, strict=True)]
    lines = [names, ["-" * width for width in widths], *escaped]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    )


def _forgotten(engine: Engine, plan: Plan, named: Named) -> dict[str, int]:
    (customers,) = engine.row("SELECT count(*) FROM forgotten_now")
    return {
        "customers": customers,
        "records": sum(source.forgotten for source in plan.sources),
        "listed": named.listed,
        "not_found": named.not_found,
        "shared": named.shared,
    }


def _sources(engine: Engine, plan: Plan) -> dict[str, dict[str, Any]]:
    summary = {}
    for index, source in enumerate(plan.sources):
        customers, shared = engine.row(
            "SELECT count(*), count(*) FILTER (data_sources > 1) FROM totals "
            f"WHERE customer IS NOT NULL AND s_{index} > 0"
        )
        (unidentified,) = engine.row(
            f"SELECT coalesce(sum(s_{index}), 0)::BIGINT FROM totals WHERE customer IS NULL"
        )
        summary[source.name] = {
            "records": source.kept,
            "identified": source.kept - unidentified,
            "customers": customers,
            "match_rate": _ratio(shared, customers),
        }
    return summary


def _identifiers(engine: Engine, plan: Plan, customers: int) -> dict[str, dict[str, Any]]:
    counts = {
        plan.identifier_types[t]: (distinct, having)
        for t, distinct, having in engine.rows(
            "SELECT t, found, ones + coalesce(others, 0) FROM (SELECT t, count(*) AS found, "
            "count(*) FILTER (alone) AS ones FROM identities GROUP BY t) LEFT JOIN (SELECT t, "
            "count(DISTINCT customer) AS others FROM identities WHERE NOT alone GROUP BY t) USING (t)"
        )
    }
    blocked = dict.fromkeys(plan.identifier_types, 0)
    for index, source in enumerate(plan.sources):
        for j, column in enumerate(source.having(Role.IDENTIFIER)):
            (count,) = engine.row(
                f"SELECT coalesce(sum(records) FILTER (blocked_{j} IS NOT NULL), 0)::BIGINT "
                f"FROM {records.table(index)}"
            )
            blocked[column.output or ""] += count
    shared = dict(engine.rows("SELECT t, count(*) FROM shared GROUP BY t"))
    dropped = dict(
        engine.rows("SELECT t, count(*) FROM dropped_links JOIN identities ON node = b GROUP BY t")
    )
    by_digits = compared_by_digits(engine, plan.types)
    return {
        name: {
            "distinct_values": counts.get(name, (0, 0))[0],
            "coverage": _ratio(counts.get(name, (0, 0))[1], customers),
            "blocked": blocked[name],
            "shared": shared.get(t, 0),
            "dropped_links": dropped.get(t, 0),
            **({"compared_by_digits": by_digits[name]} if name in by_digits else {}),
        }
        for t, name in enumerate(plan.identifier_types)
    }


def _metrics(engine: Engine, plan: Plan) -> dict[str, dict[str, Any]]:
    names = [quoted(metric.name) for metric in plan.metrics]
    customers, *ranges = engine.row(
        "SELECT "
        + ", ".join(["count(*)", *(f"{f}({name})" for name in names for f in ("min", "max", "avg"))])
        + " FROM profiles"
    )
    columns = [records.part_columns(k, metric) for k, metric in enumerate(plan.metrics)]
    merged = [
        sums.final(metric, sums.merged(metric, parts))
        for metric, parts in zip(plan.metrics, columns, strict=True)
    ]
    totals, unidentified = (
        engine.row(f"SELECT {', '.join(['count(*)', *merged])} FROM totals WHERE customer IS {which}")[1:]
        for which in ("NOT NULL", "NULL")
    )
    summary = {}
    for k, metric in enumerate(plan.metrics):
        low, high, mean = ranges[3 * k : 3 * k + 3]
        if metric.aggregate == "sum" and customers:
            mean = totals[k] / customers  # exact, while an average depends on the order of customers
        mean = None if mean is None else float(f"{mean:.12g}")
        summary[metric.name] = {"aggregate": metric.aggregate, **_plain(min=low, mean=mean, max=high)}
        if metric.aggregate == "sum":
            summary[metric.name] |= _plain(total=totals[k], unidentified=unidentified[k])
    return summary


def _columns(plan: Plan) -> list[dict[str, Any]]:
    return [
        {
            "source": source.name,
            "name": column.name,
            "type": column.type,
            "role": column.role.value,
            "reason": column.reason,
            "output": column.output,
            "aggregate": column.aggregate,
        }
        for source, column in plan.columns()
    ]


def _plain(**values: Any) -> dict[str, Any]:
    return {name: _number(value) for name, value in values.items()}


def _number(value: int | float | Decimal | None) -> int | float | None:
    """A number as JSON has it: a whole decimal is an integer, whatever its size."""
    if isinstance(value, Decimal):
        return int(value) if value.as_tuple().exponent == 0 else float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _ratio(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}"
    return "" if value is None else str(value)
