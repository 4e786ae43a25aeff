"""Staged profiles and the live table, as the audit sees them."""

from __future__ import annotations

from typing import Any

from airflow_provider_customer360.database.tables import Table
from airflow_provider_customer360.publish.failures import guarded
from airflow_provider_customer360.publish.plan import Plan
from airflow_provider_customer360.publish.session import Session
from airflow_provider_customer360.unify.quoting import quoted


class StagedProfiles:
    """See `Audited`; valid while the target is locked and not changed yet."""

    nested_with = True

    def __init__(self, session: Session, plan: Plan, staging: str) -> None:
        self._session = session
        self._plan = plan
        self._staging = staging

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(column.name for column in self._plan.columns)

    @property
    def live_columns(self) -> tuple[str, ...] | None:
        if self._plan.create:
            return None
        added = {column.name for column in self._plan.added}
        return tuple(name for name in (*self.columns, *self._plan.nulled) if name not in added)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        staged = ", ".join(f"{column.staged} AS {quoted(column.name)}" for column in self._plan.columns)
        live = "profiles WHERE 1 = 0" if self._plan.create else self._qualified()
        return guarded(
            lambda: self._session.fetch(
                f"WITH profiles AS (SELECT {staged} FROM {quoted(self._staging)}), "
                f"live AS (SELECT * FROM {live}) {query}"
            ),
            f"Checking the profiles for {self._plan.target}",
        )

    def _qualified(self) -> str:
        """The target with its schema: without, a target called profiles would be those that are staged."""
        target = self._plan.target
        schema = target.schema or self._session.fetch(self._session.dialect.default_schema)[0][0]
        return Table(schema, target.name).quoted
