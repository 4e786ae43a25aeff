"""Stage 6: derived columns, SQL expressions over the columns of a profile."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlglot import expressions as exp

from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.errors import ConfigError, DataError
from airflow_provider_customer360.unify.expressions import not_reproducible, parsed
from airflow_provider_customer360.unify.quoting import quoted
from airflow_provider_customer360.unify.spelling import canonical

_AS_OF = "as_of"


def derive(engine: Engine, derived: Mapping[str, str], as_of: datetime | None) -> None:
    """Add the derived columns to ``profiles``, in their order; a later one may use an earlier one.

    Args:
        derived: new column to expression in DuckDB's SQL, such as
            ``{"average_order_value": "amount / nullif(orders_records, 0)"}``. Window functions are
            allowed, subqueries are not. ``as_of`` stands for the reference time.
        as_of: the reference time.

    Raises:
        ConfigError: an expression does not parse, names an unknown column or reaches outside the profile.
    """
    for name, expression in derived.items():
        column = canonical(name)
        known = [row[0] for row in engine.rows("DESCRIBE profiles")]
        if column in known:
            raise ConfigError(
                f"derived names {name!r}, which is a profile column already; choose another name."
            )
        sql = _checked(name, expression, known, as_of)
        _add(engine, name, column, sql)


def _checked(name: str, expression: str, known: Sequence[str], as_of: datetime | None) -> str:
    tree = parsed(expression)
    if tree is None:
        raise ConfigError(
            f"derived[{name!r}] is {expression!r}; allowed is one SQL expression over the columns of a "
            "profile, window functions included, without subqueries and statements."
        )
    changing = not_reproducible(tree)
    if changing:
        raise ConfigError(
            f"derived[{name!r}] is {expression!r} and uses {', '.join(changing)}, so a rerun gives other "
            "profiles; use as_of, the run's reference time."
        )
    for column in list(tree.find_all(exp.Column)):
        if column.name.lower() == _AS_OF and _AS_OF not in known:
            moment = exp.cast(exp.Literal.string(as_of.isoformat()) if as_of else exp.null(), "timestamptz")
            tree = moment if column is tree else tree
            column.replace(moment)
        elif column.name.lower() not in known:
            close = difflib.get_close_matches(column.name, known, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ConfigError(
                f"derived[{name!r}] uses {column.name!r}, which is no profile column.{hint} "
                f"Columns: {', '.join(known)}."
            )
    return tree.sql(dialect="duckdb")


def _add(engine: Engine, name: str, column: str, sql: str) -> None:
    try:
        described = engine.rows(
            f"DESCRIBE SELECT *, ({sql}) AS derived FROM profiles", doing=f"checking {name!r}"
        )
    except DataError as error:
        raise ConfigError(f"derived[{name!r}] does not fit the profiles. {error}") from None
    if described[-1][0] != "derived" or described[-2][0] == "derived":
        raise ConfigError(f"derived[{name!r}] gives several columns; give one expression for each.")
    value, kind = _publishable(sql, described[-1][1])
    try:
        engine.run(
            "CREATE OR REPLACE TABLE profiles AS "
            f"SELECT *, ({value})::{kind} AS {quoted(column)} FROM profiles",
            doing=f"computing {name!r}",
        )
    except DataError:
        raise DataError(
            f"derived[{name!r}] fails for some customer: divide by nullif(x, 0) and cast with TRY_CAST, or "
            "wrap the expression in TRY(...), so that it is NULL there."
        ) from None


def _publishable(sql: str, kind: str) -> tuple[str, str]:
    """The expression in one of the types that profiles have; what divides by zero is NULL."""
    if kind in ("DOUBLE", "FLOAT"):
        return f"CASE WHEN isfinite({sql}) THEN {sql} END", "DOUBLE"
    if kind.endswith("INT") or kind == "INTEGER":
        return sql, "DECIMAL(38, 0)" if kind in ("HUGEINT", "UHUGEINT", "UBIGINT") else "BIGINT"
    if kind.startswith("DECIMAL") or kind in ("BOOLEAN", "DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"):
        return sql, kind
    return sql, "VARCHAR"
