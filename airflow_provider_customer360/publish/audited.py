"""Staged profiles and the live table, as an audit sees them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_customer360.database.tables import Table
from airflow_provider_customer360.publish.failures import guarded
from airflow_provider_customer360.publish.statements import removed
from airflow_provider_customer360.unify.quoting import quoted

if TYPE_CHECKING:
    from airflow_provider_customer360.publish.loads import Load
    from airflow_provider_customer360.publish.plan import Plan
    from airflow_provider_customer360.publish.session import Session
    from airflow_provider_customer360.publish.statements import Temporaries

_STAGED = "customer360_staged"


class StagedProfiles:
    """See `Audited` of the audit; valid while the target is locked and not changed yet.

    The profiles are the table as it will be: of an upsert, those that stay are among them, and those that are
    removed are not. Of a table of snapshots, profiles and live are one snapshot each, the new one and the one
    before it.
    """

    def __init__(
        self,
        session: Session,
        load: Load,
        plan: Plan,
        tables: Temporaries,
        removals: Mapping[str, tuple[str, ...]],
        added: Collection[str],
    ) -> None:
        self._session = session
        self._load = load
        self._plan = plan
        self._tables = tables
        self._removals = removals
        self._added = added
        self.without_rows = "there is no earlier snapshot" if load.snapshot else "the table has no rows"
        self.nested_with = session.dialect.nested_with
        self.columns = tuple(column.name for column in plan.columns)

    @property
    def live_columns(self) -> tuple[str, ...] | None:
        """Of the table as publishing writes them, without those that this run added; None: no table."""
        if self._plan.create:
            return None
        old = (column.name for column in self._plan.columns if not column.is_new)
        there = [name for name in old if name not in self._added]
        remade = [column.name for column in self._plan.remade]
        return (*there, *self._plan.nulled, *remade, *self._plan.dropped)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """A query over ``profiles`` and ``live``, which without a table has no rows.

        Raises:
            PublishError, TransientPublishError: the database refuses the query.
        """
        views = {_STAGED: self._staged(), "live": self._live(), "profiles": self._profiles()}
        listed = ", ".join(f"{name} AS ({select})" for name, select in views.items())
        rows: list[tuple[Any, ...]] = guarded(
            lambda: self._session.fetch(f"WITH {listed} {query}"),
            f"Checking the profiles for {self._plan.target}",
        )
        return rows

    def _staged(self) -> str:
        columns = ", ".join(f"{column.staged} AS {quoted(column.name)}" for column in self._plan.columns)
        return f"SELECT {columns} FROM {self._tables.staging}"

    def _live(self) -> str:
        if self._plan.create:
            return f"SELECT * FROM {_STAGED} WHERE 1 = 0"
        target = self._qualified()
        if not self._load.snapshot:
            return f"SELECT * FROM {target}"
        column, times = quoted(self._load.snapshot.column), self._tables.snapshot
        before = f"SELECT max({column}) FROM {target} WHERE {column} < (SELECT c0 FROM {times})"
        return f"SELECT * FROM {target} WHERE {column} = ({before})"

    def _profiles(self) -> str:
        if self._load.mode == "replace" or self._plan.create:
            return f"SELECT * FROM {_STAGED}"
        stay = ", ".join(
            "NULL" if column.is_new else f"live.{quoted(column.name)}" for column in self._plan.columns
        )
        same = " AND ".join(
            f"{_STAGED}.{quoted(column.name)} = live.{quoted(column.name)}" for column in self._plan.key
        )
        gone = [f"EXISTS (SELECT 1 FROM {_STAGED} WHERE {same})"]
        gone += [removed(self._plan, name, columns, "live") for name, columns in self._removals.items()]
        return f"SELECT * FROM {_STAGED} UNION ALL SELECT {stay} FROM live WHERE NOT ({' OR '.join(gone)})"

    def _qualified(self) -> str:
        """The target with its schema: without, a target called profiles would be those that are staged."""
        target, default = self._plan.target, self._session.dialect.default_schema
        schema = target.schema or (self._session.fetch(default)[0][0] if default else None)
        return Table(schema, target.name).quoted
