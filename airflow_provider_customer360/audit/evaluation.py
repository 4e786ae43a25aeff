"""The stated checks, applied to staged profiles and the live table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from airflow_provider_customer360.audit.checks import Checks
from airflow_provider_customer360.audit.findings import (
    Finding,
    at_least,
    at_most,
    change,
    fall,
    not_compared,
)
from airflow_provider_customer360.audit.measures import COLUMNS, Audited, Measures, find, measure
from airflow_provider_customer360.audit.override import Override
from airflow_provider_customer360.audit.queries import count_rows
from airflow_provider_customer360.unify.errors import ConfigError
from airflow_provider_customer360.unify.survivorship_rules import unknown

#: Which of the `COLUMNS` a check counts by.
_COUNTS = {"max_active_fall": "active", "max_match_rate_change": "matched", "max_customer_records": "largest"}


def evaluate(checks: Checks, audited: Audited, override: Override) -> Iterator[Finding]:
    """What comes of each check, in their order; SQL that is overridden is not run.

    Raises:
        ConfigError: a check names a column that there is not, or its SQL fails.
        TransientError: the database fails in a way that passes by itself.
    """
    if replace(checks, no_rows={}) != Checks():
        yield from _measured(checks, audited, override)
    for title, query in checks.no_rows.items():
        name = f"no_rows.{title}"
        if override.covers(name):
            yield Finding(name, None, None, 0, "overridden", "not run")
        else:
            yield at_most(name, "row{s}", count_rows(audited, title, query), None, 0)


def _measured(checks: Checks, audited: Audited, override: Override) -> Iterator[Finding]:
    """The checks that one query a side answers."""
    _check_columns(checks, audited, override)
    fill = _fill_bounds(checks, audited)
    counts = [count for check, count in _COUNTS.items() if getattr(checks, check) is not None]
    filled = list(dict.fromkeys([*fill, *checks.not_null]))
    new = measure(audited, "profiles", audited.columns, counts, filled)
    live = None
    if audited.live_columns is not None:
        live = measure(audited, "live", audited.live_columns, counts, filled)
    sides = _Sides(new, live, audited.without_rows)
    yield from _customers(checks, sides)
    yield from _shares(checks, fill, sides)
    yield from _fixed(checks, sides)


@dataclass(frozen=True)
class _Sides:
    """What was counted of both; ``live`` is None without a table."""

    new: Measures
    live: Measures | None
    without_rows: str

    @property
    def compared(self) -> Measures | None:
        """What changes are measured from: the live table, if there is anybody in it."""
        return self.live if self.live and self.live.customers else None

    def otherwise(self, column: str = "") -> str:
        """Why there is no live number to compare with."""
        if self.live is None:
            return "there is no table yet"
        return f"the table has no column {column!r}" if self.live.customers else self.without_rows


def _customers(checks: Checks, sides: _Sides) -> Iterator[Finding]:
    """How many there are."""
    new, live, compared = sides.new, sides.live, sides.compared
    if checks.min_customers is not None:
        known = live.customers if live else None
        yield at_least("min_customers", "customer{s}", new.customers, known, checks.min_customers)
    if checks.max_customers_fall is not None:
        known, bound = compared.customers if compared else None, checks.max_customers_fall
        yield fall("max_customers_fall", "customer{s}", new.customers, known, bound, sides.otherwise())
    if checks.max_active_fall is not None:
        known, active = compared.counts.get("active") if compared else None, new.counts.get("active", 0)
        bound, otherwise = checks.max_active_fall, sides.otherwise(COLUMNS["active"])
        yield fall("max_active_fall", "active customer{s}", active, known, bound, otherwise)


def _shares(checks: Checks, fill: Mapping[str, Fraction], sides: _Sides) -> Iterator[Finding]:
    """Which part of them is known to several sources, or has a value."""
    new, compared = sides.new, sides.compared
    if checks.max_match_rate_change is not None:
        known = compared.share(compared.counts.get("matched")) if compared else None
        share = new.share(new.counts.get("matched")) or Fraction(0)
        bound, otherwise = checks.max_match_rate_change, sides.otherwise(COLUMNS["matched"])
        yield change("max_match_rate_change", "in several sources", share, known, bound, otherwise)
    if isinstance(checks.max_fill_rate_change, Fraction) and not compared:
        yield not_compared("max_fill_rate_change", None, checks.max_fill_rate_change, sides.otherwise())
        return
    for column, bound in fill.items():
        known = compared.share(compared.filled.get(column)) if compared else None
        # Publishing empties a column that the profiles no longer have.
        share = new.share(new.filled.get(column)) or Fraction(0)
        name, otherwise = f"max_fill_rate_change.{column}", sides.otherwise(column)
        yield change(name, "have a value", share, known, bound, otherwise)


def _fixed(checks: Checks, sides: _Sides) -> Iterator[Finding]:
    """What has a bound of its own, whatever the table has."""
    new, live = sides.new, sides.live
    if checks.max_customer_records is not None:
        largest, known = new.counts.get("largest", 0), live.counts.get("largest") if live else None
        what = "record{s} of the largest customer"
        yield at_most("max_customer_records", what, largest, known, checks.max_customer_records)
    for column in checks.not_null:
        missing = new.customers - new.filled.get(column, 0)
        known = live.customers - live.filled[column] if live and column in live.filled else None
        yield at_most(f"not_null.{column}", "customer{s} without a value", missing, known, 0)


def _fill_bounds(checks: Checks, audited: Audited) -> Mapping[str, Fraction]:
    """Column to bound; without a table, one for all columns has nothing to apply to."""
    bounds = checks.max_fill_rate_change
    if isinstance(bounds, Fraction):
        return dict.fromkeys(audited.live_columns or (), bounds)
    return bounds or {}


def _check_columns(checks: Checks, audited: Audited, override: Override) -> None:
    known = {*audited.columns, *(audited.live_columns or ())}
    by_column = checks.max_fill_rate_change
    fill = by_column if isinstance(by_column, Mapping) else {}
    for check, columns in (("max_fill_rate_change", fill), ("not_null", checks.not_null)):
        for column in columns:
            if not find(column, known) and not override.covers(f"{check}.{column}"):
                raise ConfigError(unknown(f"checks[{check!r}] has the column", column, audited.columns))
    for check, count in _COUNTS.items():
        wanted = getattr(checks, check) is not None and not override.covers(check)
        if wanted and not find(COLUMNS[count], audited.columns):
            raise ConfigError(
                f"checks[{check!r}] needs the column {COLUMNS[count]!r}, which the profiles do not have; "
                "leave the check out."
            )
