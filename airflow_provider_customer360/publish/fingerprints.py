"""Whether tables are still what somebody read before their work."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from airflow_provider_customer360.database.tables import Table, parse_table
from airflow_provider_customer360.publish.failures import TransientPublishError, guarded
from airflow_provider_customer360.publish.session import Session, relation_of


@dataclass(frozen=True)
class Fingerprint:
    """Tables and the number of their rows; None where there is no such table.

    A number that stays the same may hide a row that was replaced. With a table among them to which every
    run that changes something appends, it does not.
    """

    tables: tuple[str, ...]
    rows: tuple[int | None, ...]


def fingerprint_of(session: Session, tables: tuple[str, ...]) -> Fingerprint:
    """Count the rows of tables.

    Raises:
        ConfigError, TransientPublishError, PublishError: see `publish`.
    """
    return Fingerprint(tables, tuple(_count(session, table) for table in tables))


def check(session: Session, expected: Fingerprint, made: Collection[Table] = ()) -> None:
    """Refuse to go on where a table is no longer what it was.

    Args:
        session: in which the tables are locked.
        expected: what they were.
        made: tables that this run has made since, still empty.

    Raises:
        TransientPublishError: another run has published.
    """
    found = [
        None if rows == 0 and parse_table(table) in made else rows
        for table, rows in zip(expected.tables, fingerprint_of(session, expected.tables).rows, strict=True)
    ]
    changes = [
        f"{table} (rows before: {_told(before)}, now: {_told(now)})"
        for table, before, now in zip(expected.tables, expected.rows, found, strict=True)
        if before != now
    ]
    if changes:
        raise TransientPublishError(
            f"Another run published to {', '.join(changes)} while this one was working; nothing was written. "
            "A retry starts from its result: run the task again, or give it retries."
        )


def _count(session: Session, table: str) -> int | None:
    target = parse_table(table)
    if relation_of(session, target) is None:
        return None
    rows = guarded(lambda: session.fetch(f"SELECT count(*) FROM {target.quoted}"), f"Counting {target}")
    return int(rows[0][0])


def _told(rows: int | None) -> str:
    return "no table" if rows is None else f"{rows:,}"
