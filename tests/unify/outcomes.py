"""What a run says of who is who, in forms that tests compare."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from airflow_provider_customer360.unify import Config, Unified, unify

AS_OF = datetime(2026, 1, 31, tzinfo=UTC)
#: A name that must reach neither SQL nor a column name as it is.
HOSTILE = '"; drop table x; --'


def run(sources: Mapping[str, Any], config: Config | None = None, **more: Any) -> Unified:
    """A run at the tests' reference time; close it."""
    return unify(sources, config, as_of=AS_OF, **more)


def rows(frame: Any) -> list[dict[str, Any]]:
    """A frame of a result as dictionaries."""
    found: list[dict[str, Any]] = frame.to_arrow().to_pylist()
    return found


def customers(result: Unified) -> set[frozenset[str]]:
    """Which identifiers are one customer, as ``type=value``; what belongs to nobody is left out."""
    found: dict[str, set[str]] = {}
    for row in rows(result.identities):
        if row["status"] == "linked":
            identifier = f"{row['identifier_type']}={row['identifier_value']}"
            found.setdefault(row["customer_id"], set()).add(identifier)
    return set(map(frozenset, found.values()))


def joined(sources: Mapping[str, Any], config: Config | None = None, **more: Any) -> set[frozenset[str]]:
    """`customers` of a run."""
    with run(sources, config, **more) as result:
        return customers(result)


def shared(result: Unified) -> set[str]:
    """The values that belong to nobody."""
    return {row["identifier_value"] for row in rows(result.identities) if row["status"] == "shared"}


def conserved(result: Unified) -> bool:
    """Whether every record is in one profile or counted as unidentified, and the profiles' sums are told."""
    profiles, summary = rows(result.profiles), result.summary
    counted = sum(row["total_records"] for row in profiles) + summary["unidentified_records"]
    metrics = all(
        sum(row[name] for row in profiles) == metric["total"] for name, metric in summary["metrics"].items()
    )
    return counted == summary["total_records"] and metrics
