"""Stage 6: derived columns, SQL expressions over the columns of a profile."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

import sqlglot
from sqlglot import expressions as exp
from sqlglot.errors import SqlglotError

from airflow_provider_customer360.unify.engine import Engine, quoted
from airflow_provider_customer360.unify.errors import ConfigError, DataError
from airflow_provider_customer360.unify.spelling import canonical


def derive(engine: Engine, derived: Mapping[str, str]) -> tuple[str, ...]:
    """Add the derived columns to ``profiles``, in their order; a later one may use an earlier one.

    Args:
        derived: new column to expression in DuckDB's SQL, such as
            ``{"average_order_value": "amount / nullif(orders_records, 0)"}``. Window functions are
            allowed, subqueries are not.

    Returns:
        The new columns' names.

    Raises:
        ConfigError: an expression does not parse, names an unknown column or reaches outside the profile.
    """
    names = []
    for name, expression in derived.items():
        column = canonical(name)
        known = [row[0] for row in engine.rows("DESCRIBE profiles")]
        if column in known:
            raise ConfigError(
                f"derived names {name!r}, which is a profile column already; choose another name."
            )
        sql = _checked(name, expression, known)
        _add(engine, name, column, sql)
        names.append(column)
    return tuple(names)


def _checked(name: str, expression: str, known: Sequence[str]) -> str:
    tree = _parsed(expression)
    if tree is None:
        raise ConfigError(
            f"derived[{name!r}] is {expression!r}; allowed is one SQL expression over the columns of a "
            "profile, window functions included, without subqueries and statements."
        )
    for column in tree.find_all(exp.Column):
        if column.name.lower() not in known:
            close = difflib.get_close_matches(column.name, known, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ConfigError(
                f"derived[{name!r}] uses {column.name!r}, which is no profile column.{hint} "
                f"Columns: {', '.join(known)}."
            )
    return tree.sql(dialect="duckdb")


def _parsed(expression: str) -> exp.Expression | None:
    """The expression, or None where the text is anything else than one expression of its own."""
    try:
        statements = sqlglot.parse(f"SELECT {expression}", dialect="duckdb")
    except SqlglotError:
        return None
    select = statements[0] if len(statements) == 1 else None
    if not isinstance(select, exp.Select) or len(select.expressions) != 1:
        return None
    if any(value for key, value in select.args.items() if key != "expressions"):
        return None
    only: exp.Expression = select.expressions[0]
    is_star = isinstance(only, exp.Star) or (isinstance(only, exp.Column) and isinstance(only.this, exp.Star))
    if is_star or isinstance(only, exp.Alias) or only.find(exp.Query, exp.Placeholder, exp.Parameter):
        return None
    return only


def _add(engine: Engine, name: str, column: str, sql: str) -> None:
    described = f"DESCRIBE SELECT {sql} AS x FROM profiles"
    try:
        kind = engine.row(described, doing=f"checking derived[{name!r}]")[1]
    except DataError as error:
        raise ConfigError(str(error)) from None
    value, kind = _publishable(sql, kind)
    engine.run(
        f"CREATE OR REPLACE TABLE profiles AS SELECT *, ({value})::{kind} AS {quoted(column)} FROM profiles",
        doing=f"computing derived[{name!r}]",
    )


def _publishable(sql: str, kind: str) -> tuple[str, str]:
    """The expression in one of the types that profiles have; what divides by zero is NULL."""
    if kind in ("DOUBLE", "FLOAT"):
        return f"CASE WHEN isfinite({sql}) THEN {sql} END", "DOUBLE"
    if kind.endswith("INT") or kind == "INTEGER":
        return sql, "DECIMAL(38, 0)" if kind in ("HUGEINT", "UHUGEINT", "UBIGINT") else "BIGINT"
    if kind.startswith("DECIMAL") or kind in ("BOOLEAN", "DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"):
        return sql, kind
    return sql, "VARCHAR"
