"""SQL expressions that a user states: one expression of its own, never a statement."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import sqlglot
from sqlglot import expressions as exp
from sqlglot.errors import SqlglotError

from airflow_provider_customer360.unify.errors import ConfigError

#: Functions whose value depends on when or where the run happens, as DuckDB names them.
_NOT_REPRODUCIBLE = (
    *("random", "rand", "setseed", "uuid", "uuidv4", "uuidv7", "gen_random_uuid", "nextval", "currval"),
    *("now", "today", "current_date", "current_time", "current_timestamp", "current_localtime", "localtime"),
    *("localtimestamp", "current_localtimestamp", "get_current_time", "get_current_timestamp", "getenv"),
    *("transaction_timestamp", "current_setting", "current_user", "session_user", "age"),
)
_VALUE = "value"


def parsed(expression: str) -> exp.Expression | None:
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
    unfit = (exp.Query, exp.Placeholder, exp.Parameter, exp.Unnest, exp.Explode, exp.Alias)
    return None if is_star or only.find(*unfit) else only


def not_reproducible(tree: exp.Expression) -> list[str]:
    """The functions of an expression by which a rerun would give something else."""
    return sorted({one for one in map(_function_name, tree.find_all(exp.Func)) if one in _NOT_REPRODUCIBLE})


def over_value(setting: str, expression: str, field: str, names: Sequence[str] = ()) -> str:
    """A template, for `str.format`, of an expression over ``value``.

    Args:
        setting: what the expression was stated for, as errors name it.
        field: the name by which the template mentions the value, such as ``t`` for ``{t}``.
        names: what else the setting may be.

    Raises:
        ConfigError: it is no expression over ``value`` alone, or not reproducible.
    """
    found = f"{setting} is {expression!r}"
    or_names = f", or one of {', '.join(names)}" if names else ""
    tree = parsed(expression)
    if tree is None or tree.find(exp.Window, exp.AggFunc):
        raise ConfigError(
            f"{found}; allowed is one SQL expression over value, without subqueries, aggregates, window "
            f"functions and statements{or_names}."
        )
    changing = not_reproducible(tree)
    if changing:
        raise ConfigError(
            f"{found} and uses {', '.join(changing)}, so a rerun gives other customers; use value."
        )
    columns = list(tree.find_all(exp.Column))
    others = [one.sql() for one in columns if one.name.lower() != _VALUE or len(one.parts) > 1]
    if others or not columns:
        close = difflib.get_close_matches(expression, names, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        uses = f"uses {others[0]!r}" if others else "does not use value"
        raise ConfigError(
            f"{found} and {uses}; allowed is an SQL expression over value alone{or_names}.{hint}"
        )
    name = "stated_value"
    while name in expression.lower():
        name += "_"
    sql = tree.transform(lambda node: exp.column(name) if isinstance(node, exp.Column) else node)
    return braced(sql.sql(dialect="duckdb")).replace(name, f"{{{field}}}")


def braced(text: str) -> str:
    """A text whose braces survive `str.format`."""
    return text.replace("{", "{{").replace("}", "}}")


def _function_name(function: exp.Func) -> str:
    return str(function.name if isinstance(function, exp.Anonymous) else function.sql_name()).lower()
