"""Publishing: profiles become a table, all of them or none."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from airflow_provider_customer360.database.tables import Table, parse_table
from airflow_provider_customer360.publish.failures import TransientPublishError
from airflow_provider_customer360.publish.transaction import Published, check_write_mode, opened, replace

if TYPE_CHECKING:
    import pyarrow as pa
    from airflow.providers.common.sql.hooks.sql import DbApiHook

__all__ = [
    "Published",
    "Table",
    "TransientPublishError",
    "parse_table",
    "publish",
    "table_exists",
]


def publish(
    hook: DbApiHook,
    table: str,
    profiles: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    *,
    key: str = "customer_id",
    write_mode: str = "replace",
    before_commit: Callable[[], None] = lambda: None,
) -> Published:
    """Make a table equal to the profiles, in one transaction.

    Readers see the old table until the commit and the new one afterwards. The table itself stays, with
    its grants, indexes and dependent views; rows that did not change are not written. Only a run that
    brings a new column makes readers wait in Postgres, which locks them out while a table is altered.

    Args:
        hook: of a DuckDB, SQLite or Postgres connection.
        table: ``name`` or ``schema.name``; a part that has a dot is put in double quotes.
        profiles: batches of `schema`; read once, one at a time.
        key: the column that is unique and never null.
        before_commit: called last; what it raises cancels everything.

    Raises:
        ConfigError: table, key, write mode or database cannot be used.
        TransientPublishError: the database failed in a way that passes by itself.
        PublishError: the table cannot become equal to the profiles; it is as it was.
    """
    check_write_mode(write_mode)
    with opened(hook, parse_table(table)) as publication:
        return replace(publication, profiles, schema, key, before_commit)


def table_exists(hook: DbApiHook, table: str) -> bool:
    """Whether there is a table, or a view, of that name.

    Raises:
        ConfigError, TransientPublishError, PublishError: as for `publish`.
    """
    with opened(hook, parse_table(table)) as publication:
        return publication.relation() is not None
