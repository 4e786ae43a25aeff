"""What a person reads of a run: lines of the task log, counts of the summary, errors without values."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_customer360.publish import Published


def log_report(log: Any, summary: Mapping[str, Any]) -> None:
    """What a person reads first: the outcome, the warnings and a masked preview, outside the groups."""
    log.info(
        "%s customers (%s active) from %s records of %d sources; merge rate %.1f %%; %s",
        f"{summary['total_customers']:,}",
        f"{summary['active_customers']:,}",
        f"{summary['total_records']:,}",
        summary["data_sources"],
        100 * summary["merge_rate"],
        f"{summary['rows_written']:,} rows {'would be ' if summary['dry_run'] else ''}in "
        f"{summary['target_table']} ({summary['target']})",
    )
    events = [f"{count:,} {kind}" for kind, count in summary["identity_events"].items() if count]
    log.info("Identity events: %s", ", ".join(events) or "none")
    if (forgotten := summary["forgotten"])["listed"]:
        log.info(
            "Forgotten: %s customers with %s records; %s of %s identifiers of the list were not found",
            *(f"{forgotten[name]:,}" for name in ("customers", "records", "not_found", "listed")),
        )
    for warning in summary["warnings"]:
        log.warning("%s", warning)
    if summary["preview"]:
        log.info("Preview, masked:")
    for line in summary["preview"].splitlines():
        log.info("%s", line)


def counted(published: Published, *, dry_run: bool) -> str:
    """What became of a table's rows, in words."""
    would = "would be: " if dry_run else ""
    return (
        f"{would}{published.rows_inserted:,} inserted, {published.rows_updated:,} updated, "
        f"{published.rows_deleted:,} deleted, {published.rows_unchanged:,} unchanged"
    )


def row_counts(target: str, published: Mapping[str, Published]) -> dict[str, Any]:
    """What became of the rows of the target and, below ``side_tables``, of the tables beside it."""
    counts = {
        table: {key: value for key, value in asdict(rows).items() if key != "created"}
        for table, rows in published.items()
    }
    return {**counts.pop(target), "side_tables": counts}


def without_values(error: Exception) -> str:
    """An unexpected error by kind and places: its own message may quote customer data."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{frame.filename}:{frame.lineno}" for frame in frames]
    return (
        f"Unexpected {type(error).__name__}. Its message is withheld, since it may quote customer data. "
        f"Please report it with its places: {' > '.join(places[1:])}"
    )
