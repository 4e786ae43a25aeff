"""The one transaction that makes a table equal to the profiles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_customer360.database.tables import Table
from airflow_provider_customer360.publish import statements
from airflow_provider_customer360.publish.batches import clean, cut
from airflow_provider_customer360.publish.columns import ExistingColumn
from airflow_provider_customer360.publish.dialects import Dialect, dialect_of
from airflow_provider_customer360.publish.failures import guarded
from airflow_provider_customer360.publish.names import check_length
from airflow_provider_customer360.publish.plan import Column, Plan, Relation, columns_of, make_plan
from airflow_provider_customer360.publish.session import Session, open_session
from airflow_provider_customer360.unify.errors import ConfigError, PublishError

if TYPE_CHECKING:
    import pyarrow as pa
    from airflow.providers.common.sql.hooks.sql import DbApiHook


@dataclass(frozen=True)
class Published:
    """What publishing did.

    Attributes:
        rows_written: rows that the table has now: inserted, updated and unchanged ones.
        created: the table did not exist before.
    """

    rows_written: int
    rows_inserted: int
    rows_updated: int
    rows_deleted: int
    rows_unchanged: int
    created: bool


class Publication:
    """A session, a target and its staging table; every call to the database is guarded."""

    def __init__(self, session: Session, target: Table) -> None:
        self.session = session
        self.target = target
        self.staging = statements.staging_name(target)

    @property
    def dialect(self) -> Dialect:
        return self.session.dialect

    def guarded(self, action: Callable[[], Any]) -> Any:
        return guarded(action, f"Publishing to {self.target}")

    def run(self, statement: str) -> int:
        """Execute a statement; an empty one touches no rows."""
        return int(self.guarded(lambda: self.session.execute(statement))) if statement else 0

    def relation(self) -> Relation | None:
        """The target as it is; None if there is no such table or view."""
        parameters = (self.target.schema, self.target.name)
        rows = self.guarded(lambda: self.session.fetch(self.dialect.describe, parameters))
        return Relation(rows[0][0], tuple(ExistingColumn(*row[1:]) for row in rows)) if rows else None


@contextmanager
def opened(hook: DbApiHook, target: Table) -> Iterator[Publication]:
    """Connect; whatever happens then, nothing uncommitted and no connection stays."""
    check_length(target, dialect_of(hook))
    session = open_session(hook)
    try:
        yield Publication(session, target)
    except BaseException:
        with suppress(Exception):  # the connection may be what failed
            session.rollback()
        raise
    finally:
        with suppress(Exception):
            session.close()


def replace(
    publication: Publication,
    profiles: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    key: str,
    before_commit: Callable[[], None],
) -> Published:
    """Make the target equal to the profiles. The caller rolls back if this raises.

    Raises:
        ConfigError, PublishError: see `publish`.
    """
    columns = columns_of(schema, key, publication.dialect)
    # 1. Refuse what is impossible before anything is loaded.
    make_plan(publication.dialect, publication.target, columns, publication.relation())
    # 2. Load; only this connection sees the staging table.
    written = _load(publication, columns, profiles, schema)
    # 3. Wait for other publishers, then look at the target again: they may have changed it.
    publication.guarded(lambda: publication.session.begin(publication.target))
    plan = _locked_plan(publication, columns)
    # 4. Change what differs.
    deleted, updated, inserted = _merge(publication, plan)
    # 5. The last moment at which the caller can prevent it.
    before_commit()
    publication.guarded(publication.session.commit)
    return Published(written, inserted, updated, deleted, written - inserted - updated, plan.create)


def _load(
    publication: Publication, columns: Sequence[Column], profiles: Iterable[pa.RecordBatch], schema: pa.Schema
) -> int:
    staging = publication.staging
    publication.run(statements.create_staging(publication.dialect, staging, columns))
    written = 0
    for batch in profiles:  # not guarded: its errors are the caller's own
        publication.guarded(partial(_load_batch, publication.session, staging, batch, schema))
        written += batch.num_rows
    publication.run(statements.after_load(publication.dialect, staging))
    if publication.guarded(lambda: publication.session.fetch(statements.repeated_key(staging, columns[0]))):
        raise PublishError(
            f"Two profiles have the same key in column {columns[0].name!r}; table {publication.target} is as "
            "it was. Keys must differ (in Postgres also without their NUL characters)."
        )
    return written


def _load_batch(session: Session, staging: str, batch: pa.RecordBatch, schema: pa.Schema) -> None:
    for part in cut(batch):
        session.load(staging, clean(part, schema))


def _locked_plan(publication: Publication, columns: Sequence[Column]) -> Plan:
    dialect, target = publication.dialect, publication.target
    plan = make_plan(dialect, target, columns, publication.relation())
    if plan.create:
        return plan
    publication.run(statements.lock(dialect, target))
    return make_plan(dialect, target, columns, publication.relation())


def _merge(publication: Publication, plan: Plan) -> tuple[int, int, int]:
    """Rows deleted, updated and inserted."""
    dialect, staging = publication.dialect, publication.staging
    deleted = updated = 0
    if plan.create:
        publication.run(statements.create_target(dialect, plan))
    else:
        for column in plan.added:
            publication.run(statements.add_column(plan, column))
        for name, native in plan.widened:
            for statement in statements.widen_column(dialect, plan, name, native):
                publication.run(statement)
        if not plan.key_is_unique:
            deleted += publication.run(statements.delete_repeated(plan))
        deleted += publication.run(statements.delete_gone(staging, plan))
        updated = publication.run(statements.update_changed(dialect, staging, plan))
    return deleted, updated, publication.run(statements.insert_new(staging, plan))


def check_write_mode(write_mode: str) -> None:
    """Refuse the modes that are to come.

    Raises:
        ConfigError: any but "replace".
    """
    if write_mode != "replace":
        raise ConfigError(
            f"write_mode is {write_mode!r}; allowed: 'replace'. 'upsert' and 'append' are not available yet "
            "in this version."
        )
