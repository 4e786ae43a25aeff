"""Sums that are exact and the same from run to run, whatever the threads did.

Integers are added in 128 bits and decimals as decimals. Floating-point numbers are what threads spoil:
``(a + b) + c`` is not ``a + (b + c)``. Each is therefore cut into integers of fixed units, powers of two
chosen so that they hold every bit of every value and no sum of them overflows 128 bits; those are added
exactly and put together once, at the end (a superaccumulator as in Collange et al., "Numerical
reproducibility for the parallel reduction", 2015, as wide as the data need: one unit for all but the
oddest columns).

A metric travels as one or more *parts*, all mergeable: the sums by unit, and for a mean the count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.errors import ConfigError, DataError
from airflow_provider_customer360.unify.schema import ColumnPlan, Metric, SourcePlan

if TYPE_CHECKING:
    import duckdb

_BITS = 125  # of a HUGEINT, without the sign and with one to spare
_DIGITS = 38  # of a HUGEINT or DECIMAL
_MANTISSA = 52
_Columns = Sequence[tuple[SourcePlan, ColumnPlan]]


def number(column: ColumnPlan) -> str:
    """A metric column as a finite number or NULL: NaN, infinities and unreadable text count as nothing."""
    if column.empty:
        return "NULL::BIGINT"
    if column.type == "VARCHAR":
        return _finite(f"TRY_CAST(trim({column.internal}) AS DOUBLE)")
    if column.type == "BOOLEAN":
        return f"{column.internal}::BIGINT"
    return _finite(column.internal) if column.type == "DOUBLE" else column.internal


def as_metric(engine: Engine, name: str, aggregate: str, columns: _Columns) -> tuple[Metric, int]:
    """The metric fed by these columns, and how many of their values count as nothing though not NULL.

    Raises:
        ConfigError: a column holds neither numbers nor text.
        DataError: the sum may be too large for any type.
    """
    for source, column in columns:
        if column.type.startswith(("DATE", "TIME")):
            raise ConfigError(
                f"Column {column.name!r} of source {source.name!r} is stated as a metric but holds "
                f"{column.type.lower()} values; state a numeric column."
            )
    columns = [(source, column) for source, column in columns if not column.empty]
    kinds = {_kind(column.type) for _, column in columns}
    if "float" in kinds:
        return _floating(engine, name, aggregate, columns)
    scale = max((_decimal_scale(column.type) for _, column in columns), default=0)
    if "decimal" in kinds:
        _check_digits(engine, name, columns, scale)
    return Metric(name, aggregate, "decimal" if scale else "integer", scale=scale), 0


def parts(metric: Metric) -> int:
    """The number of parts that the metric travels as."""
    return max(1, len(metric.units)) + (metric.aggregate == "mean")


def partial(metric: Metric, column: ColumnPlan, *, grouped: bool) -> list[str]:
    """The parts of one source column, as aggregates or of single rows."""
    value = f"({number(column)})"
    pieces = [f"{value}::{_PART_TYPES[metric.kind].format(metric.scale)}"]
    if metric.units:
        above = None
        pieces = []
        for unit in metric.units:  # the largest first; a value's remainder goes to the next
            # The operator is C's exact remainder; DuckDB's function fmod() is not.
            rest = f"({value}::DOUBLE % {_power(above)})" if above is not None else f"{value}::DOUBLE"
            pieces.append(f"trunc({rest} / {_power(unit)})::HUGEINT")
            above = unit
    is_mean = metric.aggregate == "mean"
    if not grouped:
        return [*pieces, *([f"({value} IS NOT NULL)::BIGINT"] if is_mean else [])]
    return [*(f"{_combine(metric)}({piece})" for piece in pieces), *([f"count({value})"] if is_mean else [])]


def merged(metric: Metric, columns: Sequence[str]) -> list[str]:
    """The parts as aggregates of earlier parts."""
    count = len(columns) - (metric.aggregate == "mean")
    return [f"{_combine(metric) if i < count else 'sum'}({column})" for i, column in enumerate(columns)]


def combined(metric: Metric, part: int, columns: Sequence[str]) -> str:
    """A part over several sources, of which some may know nothing of it."""
    is_count = part == parts(metric) - 1 and metric.aggregate == "mean"
    if metric.aggregate in ("min", "max") and not is_count:
        return f"{'least' if metric.aggregate == 'min' else 'greatest'}({', '.join(columns)})"
    return " + ".join(f"coalesce({column}, 0)" for column in columns)


def final(metric: Metric, columns: Sequence[str]) -> str:
    """A profile's value from its merged parts; a sum over no record is 0, other aggregates are NULL."""
    value = columns[0]
    if len(metric.units) == 1:
        value = f"(nearest_double({value}) * {_power(metric.units[0])})"
    elif metric.units:
        sums = ", ".join(f"coalesce({column}, 0)" for column in columns[: len(metric.units)])
        value = f"nearest_double_of_parts([{sums}], {list(metric.units)})"
    if metric.aggregate == "mean":
        return f"{value}::DOUBLE / nullif({columns[-1]}, 0)"
    return f"coalesce({value}, 0)" if metric.aggregate == "sum" else value


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Define the functions that `final` calls; both round once, to the nearest double.

    DuckDB's own cast of a HUGEINT rounds its halves one after the other. Then a customer's last digit
    would depend on the unit, which depends on other customers' values.
    """
    # 60 leading bits and one that says whether any was cut off round like the whole number does.
    connection.execute(
        "CREATE OR REPLACE MACRO cut_bits(a) AS "
        "greatest(0, floor(log2(greatest(a, 1)::DOUBLE))::INTEGER - 60)"
    )
    connection.execute(
        "CREATE OR REPLACE MACRO nearest_double(h) AS sign(h) * pow(2.0, cut_bits(abs(h))) * "
        "((abs(h) >> cut_bits(abs(h))) "
        "| (abs(h) & ((1::HUGEINT << cut_bits(abs(h))) - 1) <> 0)::HUGEINT)::BIGINT::DOUBLE"
    )
    connection.create_function(
        "nearest_double_of_parts", _nearest_double, ["HUGEINT[]", "INTEGER[]"], "DOUBLE"
    )


def _nearest_double(sums: Sequence[int], units: Sequence[int]) -> float:
    lowest = min(units)
    total = sum(value << (unit - lowest) for value, unit in zip(sums, units, strict=True))
    # Python divides integers to the nearest double.
    return total / (1 << -lowest) if lowest < 0 else float(total << lowest)


def column_type(metric: Metric, fits_bigint: bool) -> str:
    """The profile column's DuckDB type."""
    if metric.aggregate == "mean" or metric.kind == "float":
        return "DOUBLE"
    if metric.kind == "decimal":
        return f"DECIMAL({_DIGITS}, {metric.scale})"
    return "BIGINT" if fits_bigint else f"DECIMAL({_DIGITS}, 0)"


_PART_TYPES = {"integer": "HUGEINT", "decimal": "DECIMAL(38, {})", "float": "DOUBLE"}


def _combine(metric: Metric) -> str:
    return metric.aggregate if metric.aggregate in ("min", "max") else "sum"


def _floating(engine: Engine, name: str, aggregate: str, columns: _Columns) -> tuple[Metric, int]:
    smallest, largest, nothing = math.inf, 0.0, 0
    for source, column in columns:
        value = f"abs({number(column)}::DOUBLE)"
        low, high, ignored = engine.row(
            f"SELECT min({value}) FILTER ({value} > 0), max({value}), "
            f"count(*) FILTER ({column.internal} IS NOT NULL AND {value} IS NULL) FROM {source.relation}",
            doing=f"measuring column {column.name!r} of source {source.name!r}",
        )
        smallest, largest = min(smallest, low or math.inf), max(largest, high or 0.0)
        nothing += ignored
    if aggregate in ("min", "max"):
        return Metric(name, aggregate, "float"), nothing
    rows = sum(source.rows for source, _ in columns)
    if math.frexp(largest)[1] + rows.bit_length() > 1023:
        raise DataError(_too_large(name, columns, "the range of a double"))
    return Metric(name, aggregate, "float", units=_units(smallest, largest, rows)), nothing


def _units(smallest: float, largest: float, rows: int) -> tuple[int, ...]:
    """Exponents of the units, the largest first, that hold every bit from the smallest value's last on."""
    if largest == 0.0:
        return (0,)
    last_bit = max(math.frexp(smallest)[1] - 1 - _MANTISSA, -1074)
    width = _BITS - rows.bit_length()
    return tuple(range(last_bit, math.frexp(largest)[1], width))[::-1]


def _check_digits(engine: Engine, name: str, columns: _Columns, scale: int) -> None:
    bound = 0
    for source, column in columns:
        (largest,) = engine.row(f"SELECT max(abs({number(column)})) FROM {source.relation}")
        bound += math.ceil(largest or 0) * source.rows
    if len(str(bound)) + scale > _DIGITS:
        raise DataError(_too_large(name, columns, f"{_DIGITS} digits"))


def _too_large(name: str, columns: _Columns, limit: str) -> str:
    where = ", ".join(f"{source.name}.{column.name}" for source, column in columns)
    return (
        f"The sum of metric {name!r} may exceed {limit} (from {where}). State it as an attribute, or scale "
        "it in the source."
    )


def _power(exponent: int) -> str:
    return f"{2.0**exponent!r}::DOUBLE"


def _kind(duckdb_type: str) -> str:
    if duckdb_type in ("DOUBLE", "VARCHAR"):
        return "float"
    return "decimal" if duckdb_type.startswith("DECIMAL") else "integer"


def _decimal_scale(duckdb_type: str) -> int:
    return int(duckdb_type.rstrip(")").split(",")[1]) if duckdb_type.startswith("DECIMAL") else 0


def _finite(value: str) -> str:
    return f"CASE WHEN isfinite({value}) THEN {value} END"
