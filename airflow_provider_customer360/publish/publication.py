"""One load on its way to its table: staged, then merged under a lock."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_customer360.publish import statements
from airflow_provider_customer360.publish.audited import StagedProfiles
from airflow_provider_customer360.publish.batches import clean, cut
from airflow_provider_customer360.publish.failures import guarded
from airflow_provider_customer360.publish.loads import Load, Published
from airflow_provider_customer360.publish.plan import Plan, columns_of, make_plan
from airflow_provider_customer360.publish.session import Session, relation_of
from airflow_provider_customer360.unify.errors import PublishError

if TYPE_CHECKING:
    import pyarrow as pa


class Publication:
    """A load, its target and its staging table; every call to the database is guarded."""

    def __init__(self, session: Session, load: Load) -> None:
        self._session = session
        self._dialect = session.dialect
        self._load = load
        self.target = load.target
        self._staging = statements.staging_name(self.target)
        self._columns = columns_of(load.schema, load.key, session.dialect)
        self._key = [column for column in self._columns if column.is_key]

    def plan(self) -> Plan:
        """What has to happen to the target as it is.

        Raises:
            PublishError: it cannot hold the rows.
        """
        return make_plan(self._dialect, self.target, self._columns, relation_of(self._session, self.target))

    def stage(self) -> int:
        """Load all rows into a table that only this connection sees; return their number.

        Raises:
            PublishError: two of them have the same key.
        """
        self._run(statements.create_staging(self._dialect, self._staging, self._columns))
        staged = 0
        for batch in self._load.batches:  # not guarded: its errors are the caller's own
            self._guarded(partial(self._stage_batch, batch))
            staged += batch.num_rows
        self._run(statements.after_load(self._dialect, self._staging, self._key))
        if self._guarded(lambda: self._session.fetch(statements.repeated_key(self._staging, self._key))):
            names = ", ".join(repr(column.name) for column in self._key)
            raise PublishError(
                f"Two rows for table {self.target} have the same key ({names}); nothing was written. Keys "
                "must differ (in Postgres also without their NUL characters)."
            )
        return staged

    def lock(self) -> Plan:
        """Keep other writers from the target; return the plan for what they have left."""
        plan = self.plan()
        if plan.create:
            return plan
        self._run(statements.lock(self._dialect, self.target))
        return self.plan()

    def audited(self, plan: Plan) -> StagedProfiles:
        """The staged rows and the locked target, to look at."""
        return StagedProfiles(self._session, plan, self._staging)

    def merge(self, plan: Plan, staged: int) -> Published:
        """Bring the staged rows into the locked target."""
        self._prepare(plan)
        deleted = updated = 0
        if self._load.mode == "replace" and not plan.create:
            if not plan.key_is_unique:
                deleted += self._run(statements.delete_repeated(plan))
            deleted += self._run(statements.delete_gone(self._staging, plan))
            updated = self._run(statements.update_changed(self._dialect, self._staging, plan))
        inserted = self._run(statements.insert_new(self._staging, plan))
        return Published(staged, inserted, updated, deleted, staged - inserted - updated, plan.create)

    def _stage_batch(self, batch: pa.RecordBatch) -> None:
        for part in cut(batch):
            self._session.load(self._staging, clean(part, self._load.schema))

    def _prepare(self, plan: Plan) -> None:
        """Make the target a table that can hold the rows."""
        if plan.create:
            self._run(statements.create_target(self._dialect, plan))
        for column in plan.added:
            self._run(statements.add_column(plan, column))
        for name, native in plan.widened:
            for statement in statements.widen_column(self._dialect, plan, name, native):
                self._run(statement)

    def _run(self, statement: str) -> int:
        """Execute a statement; an empty one touches no rows."""
        return int(self._guarded(lambda: self._session.execute(statement))) if statement else 0

    def _guarded(self, action: Callable[[], Any]) -> Any:
        return guarded(action, f"Publishing to {self.target}")
