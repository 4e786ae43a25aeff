"""What can be asked of rows that are about to be published, and of the table as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_customer360.publish.failures import guarded
from airflow_provider_customer360.publish.plan import Relation
from airflow_provider_customer360.unify.quoting import quoted

if TYPE_CHECKING:
    from airflow_provider_customer360.publish.loads import Load
    from airflow_provider_customer360.publish.plan import Plan
    from airflow_provider_customer360.publish.session import Session
    from airflow_provider_customer360.publish.statements import Temporaries


class Audited:
    """The table as it will be and as it is.

    Attributes:
        columns: of the profiles, as they are called in the target.
        live_columns: of the table as it is; None: there is none.
    """

    def __init__(
        self, session: Session, load: Load, plan: Plan, relation: Relation | None, tables: Temporaries
    ) -> None:
        self._session = session
        self._load = load
        self._plan = plan
        self._tables = tables
        self.columns = tuple(column.name for column in plan.columns)
        self.live_columns = tuple(column.name for column in relation.columns) if relation else None

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """A query over ``profiles``, the table as it will be, and ``live``, the table as it is.

        Of a table of snapshots, both are one snapshot: the new one and the one before it.

        Raises:
            PublishError, TransientPublishError: the database refuses the query.
        """
        views = {"customer360_staged": self._staged()}
        if self.live_columns is not None:
            views["live"] = self._live()
        views["profiles"] = self._profiles()
        listed = ", ".join(f"{name} AS ({select})" for name, select in views.items())
        statement = f"WITH {listed} {query}"
        rows: list[tuple[Any, ...]] = guarded(
            lambda: self._session.fetch(statement), f"Checking the rows for {self._load.table}"
        )
        return rows

    def _staged(self) -> str:
        columns = ", ".join(f"{column.staged} AS {quoted(column.name)}" for column in self._plan.columns)
        return f"SELECT {columns} FROM {self._tables.staging}"

    def _live(self) -> str:
        target = self._plan.target.quoted
        if not self._load.snapshot:
            return f"SELECT * FROM {target}"
        column, times = quoted(self._load.snapshot.column), self._tables.snapshot
        before = f"SELECT max({column}) FROM {target} WHERE {column} < (SELECT c0 FROM {times})"
        return f"SELECT * FROM {target} WHERE {column} = ({before})"

    def _profiles(self) -> str:
        if self._load.mode == "replace" or self.live_columns is None:
            return "SELECT * FROM customer360_staged"
        # The rows that stay are among them.
        missing = {column.name for column in self._plan.columns if column.is_new}
        stay = ", ".join(
            f"NULL AS {quoted(name)}" if name in missing else f"live.{quoted(name)}" for name in self.columns
        )
        same = " AND ".join(
            f"customer360_staged.{quoted(column.name)} = live.{quoted(column.name)}"
            for column in self._plan.key
        )
        return (
            f"SELECT * FROM customer360_staged UNION ALL SELECT {stay} FROM live WHERE NOT EXISTS "
            f"(SELECT 1 FROM customer360_staged WHERE {same})"
        )
