"""What a user states that profiles must keep to, as a frozen dataclass that checks itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from decimal import Decimal
from fractions import Fraction
from typing import Any

from airflow_provider_customer360.unify.errors import ConfigError
from airflow_provider_customer360.unify.survivorship_rules import unknown


@dataclass(frozen=True, kw_only=True)
class Checks:
    """The checks of a task; None and nothing: not checked. A bound itself is allowed.

    Shares are from 0 to 1 and exact: 0.1 is a tenth.

    Attributes:
        min_customers: the fewest customers that there must be.
        max_customers_fall: the greatest fall in customers, as a share of the live number.
        max_active_fall: the greatest fall in active customers, as a share of the live number.
        max_match_rate_change: the greatest change, up or down, of the share of customers that more than one
            source knows.
        max_fill_rate_change: the greatest change, up or down, of the share of customers that have a value
            in a column: one for all columns of the live table, or by column.
        max_customer_records: the most records that one customer may have.
        not_null: columns in which every customer must have a value.
        no_rows: a name of the user's choice to a SELECT over ``profiles`` and ``live`` that must return no
            row, in the target database's SQL.
    """

    min_customers: int | None = None
    max_customers_fall: Fraction | None = None
    max_active_fall: Fraction | None = None
    max_match_rate_change: Fraction | None = None
    max_fill_rate_change: Fraction | Mapping[str, Fraction] | None = None
    max_customer_records: int | None = None
    not_null: tuple[str, ...] = ()
    no_rows: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, stated: Any) -> Checks:
        """Read what a user states; numbers may also be text, which is what templates give.

        Raises:
            ConfigError: an unknown check, or a bound that is none.
        """
        _check_names(stated)
        return cls(**{name: _READERS[name](name, value) for name, value in _given(stated)})


#: The names of all checks.
NAMES = tuple(one.name for one in fields(Checks))


def check_stated(stated: Any) -> None:
    """Refuse, when a DAG is parsed, what is wrong whatever templates will give.

    Raises:
        ConfigError: see `Checks.of`.
    """
    _check_names(stated)
    Checks.of(_without_templates(stated))


def _check_names(stated: Any) -> None:
    if not isinstance(stated, Mapping):
        raise ConfigError(
            f"checks is a {type(stated).__name__}; give a mapping of check to bound, such as "
            "{'min_customers': 1000, 'max_customers_fall': 0.1}."
        )
    for name in stated:
        if name not in NAMES:
            raise ConfigError(unknown("checks has the check", str(name), NAMES))


def _given(stated: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in stated.items() if value is not None]


def _without_templates(stated: Any) -> Any:
    if not isinstance(stated, Mapping):
        return stated
    return {name: _without_templates(value) for name, value in stated.items() if not _is_template(value)}


def _is_template(value: Any) -> bool:
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def _count(name: str, value: Any) -> int:
    text = str(value).strip()
    if isinstance(value, bool) or not isinstance(value, (int, str)) or not text.isdecimal():
        raise ConfigError(f"checks[{name!r}] is {value!r}; give a whole number from 0.")
    return int(text)


def _share(name: str, value: Any, also: str = "") -> Fraction:
    share = Fraction(-1)
    if isinstance(value, (int, float, Decimal, str)) and not isinstance(value, bool):
        with suppress(ValueError, ZeroDivisionError):  # NaN, infinity, or text that is no number
            share = Fraction(str(value))  # of 0.1 a tenth, not the nearest binary fraction
    if not 0 <= share <= 1:
        raise ConfigError(
            f"checks[{name!r}] is {value!r}; give a share from 0 to 1, such as 0.1 for 10 %{also}."
        )
    return share


def _shares(name: str, value: Any) -> Fraction | Mapping[str, Fraction]:
    if not isinstance(value, Mapping):
        return _share(name, value, also=", or shares by column, such as {'email': 0.02}")
    return {column: _share(f"{name}.{column}", share) for column, share in _texts(name, value).items()}


def _columns(name: str, value: Any) -> tuple[str, ...]:
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    if not is_list or not all(isinstance(column, str) and column for column in value):
        raise ConfigError(
            f"checks[{name!r}] is {value!r}; give a list of profile columns, such as ['email']."
        )
    return tuple(dict.fromkeys(value))


def _queries(name: str, value: Any) -> Mapping[str, str]:
    is_mapping = isinstance(value, Mapping)
    queries = _texts(name, value) if is_mapping else {}
    if not is_mapping or not all(isinstance(query, str) and query.strip() for query in queries.values()):
        raise ConfigError(
            f"checks[{name!r}] is no mapping of names to SQL; name each SELECT that must return no row, such "
            "as {'no negative amounts': 'SELECT customer_id FROM profiles WHERE amount < 0'}."
        )
    return queries


def _texts(name: str, value: Mapping[Any, Any]) -> dict[str, Any]:
    """A mapping whose keys are text that is not blank."""
    for key in value:
        if not isinstance(key, str) or not key.strip():
            raise ConfigError(f"checks[{name!r}] has the key {key!r}; give text that is not blank.")
    return dict(value)


_READERS: Mapping[str, Callable[[str, Any], Any]] = {
    "min_customers": _count,
    "max_customers_fall": _share,
    "max_active_fall": _share,
    "max_match_rate_change": _share,
    "max_fill_rate_change": _shares,
    "max_customer_records": _count,
    "not_null": _columns,
    "no_rows": _queries,
}
