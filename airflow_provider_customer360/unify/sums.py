"""Sums that are exact and the same from run to run, whatever the threads did.

Integers are added in 128 bits and decimals as decimals. Floating-point numbers are what threads spoil:
``(a + b) + c`` is not ``a + (b + c)``. They are therefore scaled by a power of two to integers that
hold every bit of every value, added exactly, and scaled back once. Where the values span too wide a
range for 128 bits, they are added in the order of their size instead: still reproducible.

A metric is aggregated twice, from rows to ``partial`` results and from those to ``merged`` ones, and
``final`` gives the profile's value. A mean travels as its sum and its count.
"""

from __future__ import annotations

import math

from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.errors import ConfigError
from airflow_provider_customer360.unify.schema import ColumnPlan, Metric, SourcePlan

_BITS = 126  # of a HUGEINT, less one for the sign and one to be safe
_MANTISSA = 52


def number(column: ColumnPlan) -> str:
    """A metric column as a finite number or NULL: NaN, infinities and unreadable text count as nothing."""
    if column.type == "VARCHAR":
        return _finite(f"TRY_CAST(trim({column.internal}) AS DOUBLE)")
    if column.type == "BOOLEAN":
        return f"{column.internal}::BIGINT"
    return _finite(column.internal) if column.type == "DOUBLE" else column.internal


def as_metric(
    engine: Engine, name: str, aggregate: str, columns: list[tuple[SourcePlan, ColumnPlan]]
) -> tuple[Metric, int]:
    """The metric fed by these columns, and how many of their values count as nothing though not NULL.

    Raises:
        ConfigError: a column holds neither numbers nor text.
    """
    for source, column in columns:
        if column.type.startswith(("DATE", "TIME")):
            raise ConfigError(
                f"Column {column.name!r} of source {source.name!r} is stated as a metric but holds "
                f"{column.type.lower()} values; state a numeric column."
            )
    kinds = {_kind(column.type) for _, column in columns}
    if "float" in kinds:
        kind, scale, nothing = _floating(engine, columns)
        return Metric(name, aggregate, kind, scale), nothing
    if "decimal" in kinds:
        scale = max(_decimal_scale(column.type) for _, column in columns)
        return Metric(name, aggregate, "decimal", scale), 0
    return Metric(name, aggregate, "integer"), 0


def partial(metric: Metric, column: ColumnPlan) -> list[str]:
    """Select items that aggregate one source column: the value, and for a mean its count."""
    value = number(column)
    if metric.kind == "integer":
        value = f"({value})::HUGEINT"
    elif metric.kind == "decimal":
        value = f"({value})::DECIMAL(38, {metric.scale})"
    elif metric.kind == "fixed":
        value = f"(({value})::DOUBLE * {2.0**metric.scale!r}::DOUBLE)::HUGEINT"
    else:
        value = f"({value})::DOUBLE"
    items = [merged(metric, value)]
    return [*items, f"count({value})"] if metric.aggregate == "mean" else items


def merged(metric: Metric, value: str) -> str:
    """The aggregate of values or of partial results."""
    if metric.aggregate in ("min", "max"):
        return f"{metric.aggregate}({value})"
    if metric.kind == "float":
        return f"list_sum(list_sort(list({value}) FILTER ({value} IS NOT NULL)))"
    return f"sum({value})"


def final(metric: Metric, value: str, count: str) -> str:
    """A profile's value from its merged results; a sum over no record is 0, the others are NULL."""
    plain = f"{value}::DOUBLE / {2.0**metric.scale!r}::DOUBLE" if metric.kind == "fixed" else value
    if metric.aggregate == "mean":
        return f"{plain}::DOUBLE / nullif({count}, 0)"
    return f"coalesce({plain}, 0)" if metric.aggregate == "sum" else plain


def column_type(metric: Metric, fits_bigint: bool) -> str:
    """The profile column's DuckDB type."""
    if metric.aggregate == "mean" or metric.kind in ("fixed", "float"):
        return "DOUBLE"
    if metric.kind == "decimal":
        return f"DECIMAL(38, {metric.scale})"
    return "BIGINT" if fits_bigint else "DECIMAL(38, 0)"


def _floating(engine: Engine, columns: list[tuple[SourcePlan, ColumnPlan]]) -> tuple[str, int, int]:
    smallest, largest, rows, nothing = math.inf, 0.0, 0, 0
    for source, column in columns:
        value = f"abs({number(column)}::DOUBLE)"
        low, high, ignored = engine.row(
            f"SELECT min({value}) FILTER ({value} > 0), max({value}), "
            f"count(*) FILTER ({column.internal} IS NOT NULL AND {value} IS NULL) FROM {source.relation}",
            doing=f"measuring column {column.name!r} of source {source.name!r}",
        )
        smallest, largest = min(smallest, low or math.inf), max(largest, high or 0.0)
        rows, nothing = rows + source.rows, nothing + ignored
    scale = _exact_scale(smallest, largest, rows)
    return ("float", 0, nothing) if scale is None else ("fixed", scale, nothing)


def _exact_scale(smallest: float, largest: float, rows: int) -> int | None:
    """The power of two that makes every value an integer whose sum over all rows fits, if there is one."""
    if largest == 0.0:
        return 0
    lowest_bit = math.frexp(smallest)[1] - 1 - _MANTISSA
    needed = math.frexp(largest)[1] + math.ceil(math.log2(rows + 1)) - lowest_bit
    return -lowest_bit if needed <= _BITS and abs(lowest_bit) <= 1000 else None


def _kind(duckdb_type: str) -> str:
    if duckdb_type in ("DOUBLE", "VARCHAR"):
        return "float"
    return "decimal" if duckdb_type.startswith("DECIMAL") else "integer"


def _decimal_scale(duckdb_type: str) -> int:
    return int(duckdb_type.rstrip(")").split(",")[1]) if duckdb_type.startswith("DECIMAL") else 0


def _finite(value: str) -> str:
    return f"CASE WHEN isfinite({value}) THEN {value} END"
