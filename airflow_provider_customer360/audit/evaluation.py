"""The stated checks, applied to staged profiles and the live table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

from airflow_provider_customer360.audit.checks import Checks
from airflow_provider_customer360.audit.findings import Finding, at_least, at_most, change, fall
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
    _check_columns(checks, audited, override)
    fill = _fill_bounds(checks, audited)
    counts = [count for check, count in _COUNTS.items() if getattr(checks, check) is not None]
    filled = {*fill, *checks.not_null}
    new = measure(audited, "profiles", audited.columns, counts, filled)
    live = None
    if audited.live_columns is not None:
        live = measure(audited, "live", audited.live_columns, counts, filled)
    yield from _customers(checks, new, live)
    yield from _shares(checks, fill, new, live)
    yield from _fixed(checks, new, live)
    for title, query in checks.no_rows.items():
        name = f"no_rows.{title}"
        if override.covers(name):
            yield Finding(name, None, None, 0, "overridden", "not run")
        else:
            yield at_most(name, "rows", count_rows(audited, title, query), None, 0)


def _customers(checks: Checks, new: Measures, live: Measures | None) -> Iterator[Finding]:
    """How many there are."""
    known = live.customers if live else None
    if checks.min_customers is not None:
        yield at_least("min_customers", "customers", new.customers, known, checks.min_customers)
    if checks.max_customers_fall is not None:
        bound, otherwise = checks.max_customers_fall, _otherwise(live)
        yield fall("max_customers_fall", "customers", new.customers, known or None, bound, otherwise)
    if checks.max_active_fall is not None:
        before = live.counts.get("active") if live and live.customers else None
        active, otherwise = new.counts.get("active", 0), _otherwise(live, COLUMNS["active"])
        yield fall("max_active_fall", "active customers", active, before, checks.max_active_fall, otherwise)


def _shares(
    checks: Checks, fill: Mapping[str, Fraction], new: Measures, live: Measures | None
) -> Iterator[Finding]:
    """Which part of them is known to several sources, or has a value."""
    if checks.max_match_rate_change is not None:
        before = _share(live, live.counts.get("matched")) if live else None
        after = _share(new, new.counts.get("matched", 0)) or Fraction(0)
        otherwise = _otherwise(live, COLUMNS["matched"])
        bound = checks.max_match_rate_change
        yield change("max_match_rate_change", "in several sources", after, before, bound, otherwise)
    for column, bound in fill.items():
        before = _share(live, live.filled.get(column)) if live else None
        # Publishing empties a column that the profiles no longer have.
        after = _share(new, new.filled.get(column, 0)) or Fraction(0)
        name = f"max_fill_rate_change.{column}"
        yield change(name, "have a value", after, before, bound, _otherwise(live, column))


def _fixed(checks: Checks, new: Measures, live: Measures | None) -> Iterator[Finding]:
    """What has a bound of its own, whatever the table has."""
    if checks.max_customer_records is not None:
        largest, before = new.counts.get("largest", 0), live.counts.get("largest") if live else None
        what = "records of the largest customer"
        yield at_most("max_customer_records", what, largest, before, checks.max_customer_records)
    for column in checks.not_null:
        missing = new.customers - new.filled.get(column, 0)
        before = live.customers - live.filled[column] if live and column in live.filled else None
        yield at_most(f"not_null.{column}", "customers without a value", missing, before, 0)


def _fill_bounds(checks: Checks, audited: Audited) -> Mapping[str, Fraction]:
    """Column to bound; without a table, one for all columns has nothing to apply to."""
    bounds = checks.max_fill_rate_change
    if isinstance(bounds, Fraction):
        return dict.fromkeys(audited.live_columns or (), bounds)
    return bounds or {}


def _check_columns(checks: Checks, audited: Audited, override: Override) -> None:
    known = [*audited.columns, *(audited.live_columns or ())]
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


def _share(of: Measures, number: int | None) -> Fraction | None:
    return Fraction(number, of.customers) if number is not None and of.customers else None


def _otherwise(live: Measures | None, column: str = "") -> str:
    """Why there is no live number."""
    if live is None:
        return "there is no table yet"
    return f"the table has no column {column!r}" if live.customers else "the table has no rows"
