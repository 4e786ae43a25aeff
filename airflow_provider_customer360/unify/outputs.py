"""The profile columns that a plan's metrics and attributes feed: one name, one type, one meaning each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from airflow_provider_customer360.unify import sums
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.schema import (
    RESERVED_COLUMNS,
    ColumnPlan,
    Metric,
    Plan,
    Role,
    SourcePlan,
)


def name_outputs(engine: Engine, plan: Plan) -> Plan:
    """Give metrics and attributes their profile columns, and measure the numbers.

    Columns of one name in several sources feed one profile column. A name that is taken (by a column
    that the package fills, an identifier, or a column of another kind) gets the source's name in front;
    a second column of the same name in one source gets a number behind.
    """
    plan = _with_source_names(plan)
    taken: dict[str, tuple[str, ...]] = dict.fromkeys(RESERVED_COLUMNS, ("reserved",))
    taken |= dict.fromkeys(plan.identifier_types, ("identifier",))
    taken |= {f"{source.output}_records": ("reserved",) for source in plan.sources}
    outputs: dict[tuple[str, str], str] = {}
    for role in (Role.METRIC, Role.ATTRIBUTE):  # a metric keeps the plain name
        for source, column in plan.columns():
            if column.role is role:
                used = {outputs.get((source.name, one.internal)) for one in source.columns}
                name = _free_name(source, column, taken, used)
                outputs[source.name, column.internal] = name
                taken[name] = _meaning(column)
    plan = replace(plan, sources=tuple(_renamed(source, outputs) for source in plan.sources))
    metrics, warnings = _metrics(engine, plan)
    return replace(plan, metrics=metrics, warnings=plan.warnings + warnings)


def _with_source_names(plan: Plan) -> Plan:
    """Sources whose names differ only in spelling, or are taken, still get columns of their own."""
    fixed = (*RESERVED_COLUMNS, *plan.identifier_types)
    seen = [name.removesuffix("_records") for name in fixed if name.endswith("_records")]
    sources = []
    for source in plan.sources:
        output = numbered(source.output, seen)
        seen.append(output)
        sources.append(replace(source, output=output))
    return replace(plan, sources=tuple(sources))


def _free_name(
    source: SourcePlan, column: ColumnPlan, taken: dict[str, tuple[str, ...]], used: set[str | None]
) -> str:
    wanted = column.output or ""
    for candidate in (wanted, f"{source.output}_{wanted}"):
        free = taken.get(candidate, _meaning(column)) == _meaning(column)
        if free and candidate not in used:
            return candidate
        if free:
            return numbered(candidate, [*taken, *used])
    return numbered(f"{source.output}_{wanted}", taken)


def taken_names(plan: Plan) -> list[str]:
    """The profile columns that a plan fills, derived ones aside."""
    metrics = [metric.name for metric in plan.metrics]
    attributes = [name for one in plan.attributes for name, _ in one.columns]
    attributes += [one.source_column for one in plan.attributes if one.source_column]
    counts = [f"{source.output}_records" for source in plan.sources]
    return [*RESERVED_COLUMNS, *plan.identifier_types, *metrics, *attributes, *counts]


def numbered(name: str, taken: Iterable[str | None]) -> str:
    """A name, with a number behind it where it is taken."""
    taken = set(taken)
    return next(n for n in (name, *(f"{name}_{i}" for i in range(2, len(taken) + 3))) if n not in taken)


def _meaning(column: ColumnPlan) -> tuple[str, ...]:
    return (column.role.value, column.aggregate or "")


def _renamed(source: SourcePlan, outputs: dict[tuple[str, str], str]) -> SourcePlan:
    columns = []
    for column in source.columns:
        name = outputs.get((source.name, column.internal), column.output)
        shown = f"{column.reason}; shown as {name}, since {column.output} is taken"
        columns.append(column if name == column.output else replace(column, output=name, reason=shown))
    return replace(source, columns=tuple(columns))


def _metrics(engine: Engine, plan: Plan) -> tuple[tuple[Metric, ...], tuple[str, ...]]:
    metrics, warnings = [], []
    by_output: dict[str, list[tuple[SourcePlan, ColumnPlan]]] = {}
    for source, column in plan.columns():
        if column.role is Role.METRIC:
            by_output.setdefault(column.output or "", []).append((source, column))
    for name, fed in by_output.items():
        metric, nothing = sums.as_metric(engine, name, fed[0][1].aggregate or "sum", fed)
        metrics.append(metric)
        if nothing:
            where = ", ".join(f"{source.name}.{column.name}" for source, column in fed)
            warnings.append(
                f"Metric {name!r}: {nothing:,} values are no finite numbers and count as nothing ({where})."
            )
    return tuple(metrics), tuple(warnings)
