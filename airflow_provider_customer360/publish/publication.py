"""One load on its way to its table: staged, compared, then merged under a lock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from airflow_provider_customer360.database.tables import Table
from airflow_provider_customer360.publish import statements
from airflow_provider_customer360.publish.alterations import alter
from airflow_provider_customer360.publish.audited import StagedProfiles
from airflow_provider_customer360.publish.batches import clean, cut
from airflow_provider_customer360.publish.columns import ColumnType, Kind, type_of
from airflow_provider_customer360.publish.failures import NOTHING_WRITTEN, guarded
from airflow_provider_customer360.publish.loads import Load, Published, Snapshot
from airflow_provider_customer360.publish.plan import columns_of, make_plan
from airflow_provider_customer360.publish.session import Session, relation_of
from airflow_provider_customer360.publish.statements import Temporaries
from airflow_provider_customer360.unify.errors import PublishError

if TYPE_CHECKING:
    import pyarrow as pa

_ALTERATION = (
    "If a view, index, trigger or constraint depends on the column, drop it first and make it anew "
    "afterwards, or alter the table yourself."
)


@dataclass(frozen=True)
class Differences:
    """How many rows of the load are new or changed, and how many of the target go.

    Attributes:
        repeated: further rows of the target, whose keys came twice; they are gone.
    """

    new: int
    changed: int
    gone: int
    repeated: int = 0


class Publication:
    """A load, its target and its temporary tables; every call to the database is guarded.

    In this order: `stage`, `lock`, `compare`, `audit`, `merge`, `insert_last`; from `lock` on again where
    something has to be done `apart`. Columns are dropped before `insert_last` or after the commit.
    """

    def __init__(self, session: Session, load: Load) -> None:
        self._session = session
        self._dialect = session.dialect
        self._tables = Temporaries.of(load.target, len(load.removals))
        self._columns = columns_of(load.schema, load.key, session.dialect)
        self._key = [column for column in self._columns if column.is_key]
        self._rows = 0
        #: Tables with rows to be removed, and the columns by which these are known.
        self._removals: dict[str, tuple[str, ...]] = {}
        self._differences = Differences(0, 0, 0)
        self.load = load
        self.target = load.target
        #: The target has been made for this run, and is empty.
        self.is_made = False
        #: The columns that have been added to it for this run.
        self._added: frozenset[str] = frozenset()

    def plan(self) -> None:
        """Find out what has to happen to the target as it is.

        Raises:
            PublishError: it cannot hold the rows.
        """
        self._relation = relation_of(self._session, self.target)
        load = self.load
        self._plan = make_plan(
            self._dialect, self.target, self._columns, self._relation, load.on_schema_change, load.withheld
        )

    def stage(self) -> None:
        """Load all rows into a table that only this connection sees.

        Raises:
            PublishError: two of them have the same key.
        """
        index = statements.staged_key(self._key)
        self._create(self._tables.staging, statements.staged_columns(self._columns), index)
        keys = [(column.staged, column.native) for column in self._key]
        is_new = ("is_new", self._dialect.native(ColumnType(Kind.INTEGER)))
        self._create(self._tables.differences, [*keys, is_new], index)
        self._rows = self._fill(self._tables.staging, self.load.batches, self.load.schema)
        self._run(statements.after_load(self._dialect, self._tables.staging, index))
        if self._fetch(statements.repeated_key(self._tables.staging, self._key)):
            names = ", ".join(repr(column.name) for column in self._key)
            raise PublishError(
                f"Two rows for table {self.target} have the same key ({names}); nothing was written. Keys "
                "must differ (in Postgres also without their NUL characters)."
            )
        if self.load.snapshot:
            self._stage_times(self.load.snapshot)
        for name, removal in zip(self._tables.removals, self.load.removals, strict=True):
            if self._stage_values(name, removal.batches, removal.schema):
                self._removals[name] = removal.columns

    def discard(self) -> None:
        """Remove temporary tables that do not go by themselves, whether this run has made them or another."""
        for name in self._tables.all:
            if relation_of(self._session, Table(None, name.strip('"'))):
                self._run(self._dialect.drop_temporary.format(name=name))
        self._guarded(self._session.commit)

    def alter(self, changes: Sequence[str], outcome: str = NOTHING_WRITTEN) -> None:
        """Run statements that make or alter the target.

        Raises:
            PublishError: the database refuses; it tells the statements, which have no values.
        """
        needed = shorten("; ".join(changes), 200, placeholder=" …")
        subject = f"Publishing to {self.target}, which needs {needed},"
        advice = "Does the schema exist?" if self._plan.create else _ALTERATION
        guarded(partial(alter, self._session, changes), subject, outcome=outcome, advice=advice)

    def altered(self) -> None:
        """Take note that what comes before the transaction has been done."""
        self.is_made = self._plan.create and self._dialect.creates == "before"
        self._added = frozenset(column.name for column in self._plan.added)

    def lock(self) -> None:
        """Keep other writers from the target, and plan for what they have left."""
        self._drop_hidden()  # of a run that was killed
        self.plan()
        if not self._plan.create:
            self._run(statements.lock(self._dialect, self.target))
            self.plan()

    def compare(self) -> None:
        """Find out what differs between the staged rows and the locked target."""
        if self._plan.create:
            self._differences = Differences(self._rows, 0, 0)
            return
        repeated = 0
        if self.load.mode == "replace" and not self._plan.key_is_unique:
            repeated = self._delete(statements.repeated_in_target(self._plan))
        changed = self.load.mode != "append"
        for find in statements.find_differences(self._dialect, self._tables, self._plan, changed=changed):
            self._run(find)
        index = statements.staged_key(self._key)
        self._run(statements.after_load(self._dialect, self._tables.differences, index))
        self._run(self._dialect.after_compare.format(name=self._tables.differences))
        differing, new = map(int, self._fetch(statements.count_differences(self._tables))[0])
        self._differences = Differences(new, differing - new, self._count_gone(new), repeated)

    def audit(self) -> None:
        """Let the caller look at what is to be published, beside what is; once for a table that is made."""
        if self.load.audit and not self.is_made:
            removals = self._known_removals()
            self.load.audit(
                StagedProfiles(self._session, self.load, self._plan, self._tables, removals, self._added)
            )

    def apart(self) -> list[str]:
        """Statements that are committed by themselves, before the transaction; empty once they were."""
        if self._plan.create and self._dialect.creates == "before":
            return statements.create_target(self._dialect, self._plan, self._home)
        is_apart = self._dialect.alters_apart and not self._plan.create
        return statements.alter(self._dialect, self._plan) if is_apart else []

    def prepare(self) -> None:
        """Make what cannot be made once rows have changed, because it commits."""
        for statement in statements.create_hidden(self._dialect, self._plan) if self._is_hidden else []:
            self._run(statement)

    def undo(self) -> None:
        """Remove what `prepare` has made."""
        if self._is_hidden:
            self._drop_hidden()

    def merge(self) -> None:
        """Bring what differs into the locked target, but for rows that come last."""
        plan, found = self._plan, self._differences
        if plan.create and not self._is_hidden:
            self.alter(statements.create_target(self._dialect, plan, self._home))
        elif not plan.create:
            self.alter([*statements.alter(self._dialect, plan), *statements.remake(self._dialect, plan)])
        if found.gone and (condition := self._gone()):
            self._change(f"DELETE FROM {self.target.quoted} WHERE {condition}", found.gone)
        if found.changed:
            # Where a key may come twice in the target, one row of it may differ and the other one not.
            certain = plan.key_is_unique or self.load.mode == "replace"
            update = statements.update_changed(self._dialect, self._tables, plan)
            self._change(update, found.changed if certain else None)
        if not plan.inserts_last:
            self._insert()

    def insert_last(self) -> None:
        """Insert the rows that a column which is dropped now has kept out."""
        if self._plan.inserts_last:
            self._insert()

    def drop_inside(self) -> None:
        """Drop columns as a part of the transaction; from now on readers wait until its end."""
        if self._dialect.drops == "inside":
            self.alter(statements.drop(self._dialect, self._plan))

    def drop_after(self) -> None:
        """Drop columns once everything else is committed.

        Raises:
            PublishError: they are still there.
        """
        drops = statements.drop(self._dialect, self._plan) if self._dialect.drops == "after" else []
        for number, statement in enumerate(drops):
            left = ", ".join(map(repr, self._plan.dropped[number:]))
            self.alter([statement], f"the rows are published, but the next run has still to drop {left}")

    @property
    def renamed(self) -> list[tuple[str, str]]:
        """Which tables, quoted, get which names with the commit."""
        return [(self._home, self.target.quoted)] if self._is_hidden else []

    def published(self) -> Published:
        """What merging does to the target."""
        found = self._differences
        unchanged = self._rows - found.new - found.changed
        created = self._plan.create or self.is_made
        gone = found.gone + found.repeated
        return Published(self._rows, found.new, found.changed, gone, unchanged, created)

    @property
    def _is_hidden(self) -> bool:
        """Whether rows go into a new table under a hidden name."""
        return self._dialect.creates == "hidden" and self._plan.create

    @property
    def _home(self) -> str:
        """The table that rows are put into, quoted."""
        return (statements.hidden("new", self.target) if self._is_hidden else self.target).quoted

    def _drop_hidden(self) -> None:
        for table in statements.hidden_tables(self._dialect, self.target):
            # Only where there is one: who publishes to a table that exists needs no right to drop tables.
            if relation_of(self._session, table):
                self._run(f"DROP TABLE {table.quoted}")

    def _insert(self) -> None:
        new = self._differences.new
        if new:
            everything = new == self._rows
            insert = statements.insert_new(self._tables, self._plan, self._home, everything=everything)
            self._change(insert, new)

    def _gone(self) -> str:
        """The condition under which a row of the target goes; empty if none does."""
        snapshot = self.load.snapshot
        conditions = statements.gone(
            self._tables,
            self._plan,
            mode=self.load.mode,
            snapshot=snapshot.column if snapshot else None,
            oldest=bool(snapshot and snapshot.oldest),
        )
        for name, columns in self._known_removals().items():
            conditions.append(statements.removed(self._plan, name, columns))
        return statements.but_staged(self._tables, self._plan, conditions)

    def _known_removals(self) -> dict[str, tuple[str, ...]]:
        """Those of the removals of whose columns the target has each."""
        known = {column.name for column in self._relation.columns} if self._relation else set()
        return {name: columns for name, columns in self._removals.items() if known.issuperset(columns)}

    def _count_gone(self, new: int) -> int:
        """How many rows of the target go; its keys are unique."""
        if self.load.mode == "replace" and not self.load.snapshot and not self._removals:
            # All rows of the target but those that are staged; that is faster than to look for them.
            return self._count("") - (self._rows - new)
        condition = self._gone()
        return self._count(condition) if condition else 0

    def _create(self, name: str, columns: Sequence[tuple[str, str]], key: Sequence[str]) -> None:
        for statement in statements.create_temporary(self._dialect, name, columns, key):
            self._run(statement)

    def _fill(self, name: str, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> int:
        """Load batches into a temporary table; return the number of rows."""
        rows = 0

        def cleaned() -> Iterator[pa.RecordBatch]:
            nonlocal rows
            for batch in batches:
                rows += batch.num_rows
                yield from (clean(part, schema) for part in cut(batch))

        self._guarded(lambda: self._session.load(name, cleaned()))
        return rows

    def _stage_values(self, name: str, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> int:
        """Put values that statements compare with into a temporary table: they never become text."""
        types = [type_of(field) for field in schema]
        columns = [(f"c{i}", self._dialect.native(kind, len(types))) for i, kind in enumerate(types)]
        self._create(name, columns, [name for name, _ in columns])
        return self._fill(name, batches, schema)

    def _stage_times(self, snapshot: Snapshot) -> None:
        import pyarrow as pa

        times = {self._tables.snapshot: snapshot.at, self._tables.oldest: snapshot.oldest}
        for name, time in ((name, time) for name, time in times.items() if time):
            table = pa.table({"c0": pa.array([time], pa.timestamp("us", tz="UTC"))})
            self._stage_values(name, table.to_batches(), table.schema)

    def _count(self, condition: str) -> int:
        where = f" WHERE {condition}" if condition else ""
        return int(self._fetch(f"SELECT count(*) FROM {self.target.quoted}{where}")[0][0])

    def _delete(self, condition: str) -> int:
        """Delete rows, whose number is asked for before: not every driver tells it."""
        if count := self._count(condition):
            self._run(f"DELETE FROM {self.target.quoted} WHERE {condition}")
        return count

    def _change(self, statement: str, rows: int | None) -> None:
        """Change rows of the target, so many if that is known.

        Raises:
            PublishError: the database has changed more or fewer.
        """
        touched = self._guarded(lambda: self._session.execute(statement))
        if self._dialect.counts_rows and rows is not None and touched not in (rows, -1):
            what = statement.partition(" ")[0]
            raise PublishError(
                f"{what} on {self.target} touched {touched:,} rows and not the {rows:,} that differ: a "
                "trigger, rule or row-level policy of the table kept the others as they are. Nothing was "
                "written. Drop it, or let it not apply to the connection's user."
            )

    def _fetch(self, query: str, parameters: Sequence[str | None] = ()) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._guarded(lambda: self._session.fetch(query, parameters))
        return rows

    def _run(self, statement: str) -> None:
        """Execute a statement; an empty one does nothing."""
        if statement:
            self._guarded(lambda: self._session.execute(statement))

    def _guarded(self, action: Callable[[], Any]) -> Any:
        return guarded(action, f"Publishing to {self.target}")
