"""Publishing: results become tables, all of them or none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from airflow_provider_customer360.database.tables import Table, parse_table
from airflow_provider_customer360.publish.failures import TransientPublishError
from airflow_provider_customer360.publish.fingerprints import Fingerprint, fingerprint_of
from airflow_provider_customer360.publish.loads import Load, Published, Removal, Snapshot
from airflow_provider_customer360.publish.session import relation_of
from airflow_provider_customer360.publish.transaction import opened, publish_all
from airflow_provider_customer360.publish.turns import turn

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook

__all__ = [
    "Fingerprint",
    "Load",
    "Published",
    "Removal",
    "Snapshot",
    "Table",
    "TransientPublishError",
    "fingerprint",
    "parse_table",
    "publish",
    "table_exists",
]


def publish(
    hook: DbApiHook,
    loads: Sequence[Load],
    *,
    expect: Fingerprint | None = None,
    before_commit: Callable[[], None] = lambda: None,
    dry_run: bool = False,
) -> dict[str, Published]:
    """Bring every load into its table, all in one transaction; tell what happened to each table.

    Readers see the old tables until the commit and the new ones afterwards. The tables themselves stay,
    with their grants, indexes and dependent views; rows that did not change are not written. Where a new
    column or a wider type would make readers wait for all of that, it comes before, in a transaction of its
    own. Columns that are dropped go last; in MySQL just after the commit, which dropping them would be.

    Args:
        hook: of a SQL connection.
        loads: one a table; their batches are read in the order of the tables' names.
        expect: what tables were before the work whose result this is. It is compared when no other
            publisher can change the tables of the loads any more.
        before_commit: called last; what it raises cancels everything.
        dry_run: do everything but change the tables, and tell what would happen to them.

    Raises:
        ConfigError: a table, a key or the database cannot be used, or two loads are for one table.
        TransientPublishError: the database failed in a way that passes by itself, or a table is not what
            was expected.
        PublishError: a table cannot hold its rows; all are as they were. Or, as it says then, rows are
            published and columns are still to be dropped.
    """
    targets = [load.target for load in loads]
    another = partial(opened, hook, targets)
    with another() as session, turn(session, targets, another, dry_run=dry_run) as check_turn:

        def last_check() -> None:
            before_commit()
            check_turn()

        return publish_all(
            session, loads, another=another, expect=expect, before_commit=last_check, dry_run=dry_run
        )


def fingerprint(hook: DbApiHook, tables: Sequence[str]) -> Fingerprint:
    """What `publish` is to expect: taken before anything is read from the tables.

    Raises:
        ConfigError, TransientPublishError, PublishError: as for `publish`.
    """
    with opened(hook, [parse_table(table) for table in tables]) as session:
        return fingerprint_of(session, tuple(tables))


def table_exists(hook: DbApiHook, table: str) -> bool:
    """Whether there is a table, or a view, of that name.

    Raises:
        ConfigError, TransientPublishError, PublishError: as for `publish`.
    """
    target = parse_table(table)
    with opened(hook, [target]) as session:
        return relation_of(session, target) is not None
