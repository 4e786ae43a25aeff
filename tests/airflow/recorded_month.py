"""The shop's thirty days as Airflow ran them, with everything that lay in the tables after each run."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import psycopg
from psycopg.rows import dict_row

from tests.airflow.support import Ran, run_dag
from tests.airflow.thirty_days import DAYS, TABLES, Row, Shop, Sources, columns, evening

if TYPE_CHECKING:
    from tests.conftest import Postgres

SCHEMA = "shop"
#: Metric to the source that it is from.
METRICS = {"amount": "orders", "minutes": "support", "pages": "web"}
#: Days on which the customer of every source row is published too.
ASSIGNED = range(3, DAYS + 1, 3)
KEYS = {
    "people": ("customer_id",),
    "people_identities": ("identifier_type", "identifier_value"),
    "people_identity_events": ("event_id",),
    "people_assignments": ("source", "source_key"),
}
#: The connection is cut once while events are being published, and publishing fails whenever it gets there.
CUT, FAIL = "perform pg_terminate_backend(pg_backend_pid())", "raise exception 'disk full'"
Table = dict[tuple[str, ...], Row]


@dataclass(frozen=True)
class State:
    """Rows by key, each with Postgres' ``xmin``: the transaction that wrote it."""

    profiles: Table
    identities: Table
    events: Table
    assignments: Table

    @property
    def ids(self) -> set[str]:
        """The customers."""
        return {customer_id for (customer_id,) in self.profiles}

    def having(self, status: str) -> Table:
        """Identities of a status."""
        return {key: row for key, row in self.identities.items() if row["status"] == status}

    def owner(self, identifier_type: str, value: str) -> str | None:
        """Whose an identifier is."""
        return self.identities[identifier_type, value]["customer_id"]


@dataclass(frozen=True)
class Run:
    """One run that published.

    Attributes:
        label: which one, for a failing assertion.
        sources, sources_before: what this run and the one before it read.
        sums: metric to its total in the sources, over the profiles and, where rows are assigned, by
            customer; worked out by Postgres.
        summary: what the task returned.
        assigned: whether it published the customer of every row.
    """

    label: str
    day: int
    run_id: str
    before: State
    after: State
    sources: Sources
    sources_before: Sources
    rules: list[tuple[str, tuple[str, str]]]
    rules_before: list[tuple[str, tuple[str, str]]]
    sums: dict[str, tuple[Any, Any, dict[str, Any]]]
    summary: dict[str, Any]
    assigned: bool

    @property
    def new_events(self) -> list[Row]:
        """The events that this run added."""
        return [row for key, row in self.after.events.items() if key not in self.before.events]

    def told(self, *kinds: str) -> set[tuple[str, str | None]]:
        """Customers, and other customers, of new events."""
        return {(e["customer_id"], e["other_customer_id"]) for e in self.new_events if e["kind"] in kinds}


@dataclass
class Month:
    """The runs in their order.

    Attributes:
        again: runs for which nothing had changed since the run before.
        failed: day to what a failed run found and left.
        tries: day to how often Airflow started the task, where that is not once.
    """

    runs: list[Run] = field(default_factory=list)
    again: list[Run] = field(default_factory=list)
    failed: dict[int, tuple[State, State]] = field(default_factory=dict)
    tries: dict[int, int] = field(default_factory=dict)

    def day(self, number: int) -> Run:
        """The first run that published on a day."""
        return next(run for run in self.runs if run.day == number)


class Recorder:
    """Lets the shop live and runs its DAG every evening."""

    def __init__(self, postgres: Postgres, home: Path, seed: int) -> None:
        self._home = home
        self._dsn = postgres.dsn
        self._shop = Shop(seed)
        self._connection = psycopg.connect(postgres.dsn, autocommit=True, row_factory=dict_row)
        self._written: Sources = {name: {} for name in TABLES}
        self._rules: list[tuple[str, tuple[str, str]]] = []
        self._read, self._obeyed = copy.deepcopy(self._written), list(self._rules)
        self.month = Month()

    def record(self) -> Month:
        """The whole month."""
        with self._connection:
            self._create()
            for day in range(1, DAYS + 1):
                self._shop.live(day)
                with self._shop.incomplete(day) as lacking:
                    self._write()
                    self._evening(day)
                if lacking and day == 17:  # the rows come at noon, and the task is cleared
                    self._write()
                    self._run(day, "cleared at noon")
        return self.month

    def _evening(self, day: int) -> None:
        """The nightly run, and what befalls it."""
        if day == 13:
            with self._broken(CUT):
                self._run(day, "connection cut")
        elif day == 21:
            with self._broken(FAIL):
                self._run(day, "publishing fails", fails=True)
            self._run(day, "cleared after the failure")
        else:
            self._run(day, "nightly")
        if day in (12, 30):
            self._run(day, "again", again=True)
            self._run(day, "once more", again=True)
        if day == 24:  # somebody clears an old run; the sources are what they are now
            self._run(19, "cleared on day 24", again=True)
            self._run(24, "cleared after that", again=True)

    def _run(self, day: int, label: str, *, again: bool = False, fails: bool = False) -> None:
        before = self._state()
        assigned = day in ASSIGNED
        [ran] = run_dag(
            self._home,
            lambda: dag(self._dsn, assigned),
            default_args={"retries": 0 if fails else 1, "retry_delay": timedelta(0)},
            logical_date=evening(day),
            run_after=evening(day),
        )
        after = self._state()
        if fails:
            assert ran.states["unify"] == "failed"
            self.month.failed[day] = before, after
            return
        assert ran.states["unify"] == "success", (day, label, ran.errors)
        if ran.tries["unify"] != 1:
            self.month.tries[day] = ran.tries["unify"]
        run = self._made(day, label, ran, before, after, assigned)
        self.month.runs.append(run)
        if again:
            self.month.again.append(run)
        self._read, self._obeyed = copy.deepcopy(self._written), list(self._rules)

    def _made(self, day: int, label: str, ran: Ran, before: State, after: State, assigned: bool) -> Run:
        return Run(
            label=f"day {day}, {label}",
            day=day,
            run_id=f"manual__{evening(day).isoformat()}",
            before=before,
            after=after,
            sources=copy.deepcopy(self._written),
            sources_before=self._read,
            rules=list(self._rules),
            rules_before=self._obeyed,
            sums={name: self._sums(name, source, assigned) for name, source in METRICS.items()},
            summary=ran.returned["unify"],
            assigned=assigned,
        )

    def _create(self) -> None:
        run = self._connection.execute
        for schema in (SCHEMA, "c360"):
            run(f"drop schema if exists {schema} cascade")
            run(f"create schema {schema}")
        for name, definition in TABLES.items():
            run(f"create table {SCHEMA}.{name} ({definition})")
        for name in ("must_link", "must_not_link"):
            ends = "identifier_type text, identifier_value text"
            others = "other_identifier_type text, other_identifier_value text"
            run(f"create table {SCHEMA}.{name} ({ends}, {others}, reason text)")

    def _write(self) -> None:
        """Bring the shop's systems into Postgres."""
        self._written = copy.deepcopy(self._shop.sources)
        with self._connection.transaction(), self._connection.cursor() as cursor:
            for name, rows in self._written.items():
                cursor.execute(f"truncate {SCHEMA}.{name}")
                with cursor.copy(f"copy {SCHEMA}.{name} from stdin") as copying:
                    for row in rows.values():
                        copying.write_row([row[column] for column in columns(name)])
            self._rules = []
            for name, pairs in (
                ("must_link", self._shop.must_link),
                ("must_not_link", self._shop.must_not_link),
            ):
                cursor.execute(f"truncate {SCHEMA}.{name}")
                for pair in pairs:
                    self._rules.append((name, pair))
                    values = "'customer_id', %s, 'customer_id', %s, 'told by the help desk'"
                    cursor.execute(f"insert into {SCHEMA}.{name} values ({values})", pair)

    def _state(self) -> State:
        return State(*(self._table(name, key) for name, key in KEYS.items()))

    def _table(self, name: str, key: tuple[str, ...]) -> Table:
        exists = self._connection.execute("select to_regclass(%s) as it", (f"c360.{name}",)).fetchone()
        if not exists or exists["it"] is None:
            return {}
        rows = self._connection.execute(f"select xmin::text, * from c360.{name}").fetchall()
        table = {tuple(row[column] for column in key): row for row in rows}
        assert len(table) == len(rows), f"{name} has a key twice"
        return table

    def _sums(self, metric: str, source: str, assigned: bool) -> tuple[Any, Any, dict[str, Any]]:
        def total(table: str) -> Any:
            row = self._connection.execute(f"select coalesce(sum({metric}), 0) as it from {table}").fetchone()
            return row and row["it"]

        by_customer: dict[str, Any] = {}
        if assigned:
            by_customer = {
                row["customer_id"]: row["it"]
                for row in self._connection.execute(
                    f"select a.customer_id, sum({metric}) as it from {SCHEMA}.{source} s "
                    f"join c360.people_assignments a on a.source_key = s.{columns(source)[0]} "
                    f"and a.source = '{source}' group by a.customer_id"
                )
            }
        return total(f"{SCHEMA}.{source}"), total("c360.people"), by_customer

    @contextmanager
    def _broken(self, what: str) -> Iterator[None]:
        """Let something happen in the middle of publishing: profiles and identities come before events."""
        run = self._connection.execute
        run("create sequence c360.fuse")
        once = "if nextval('c360.fuse') = 1 then {}; end if"
        body = once.format(what) if what == CUT else what
        run(
            "create function c360.burn() returns trigger language plpgsql as "
            f"$$ begin {body}; return null; end $$"
        )
        events = "c360.people_identity_events"
        run(f"create trigger burn after insert on {events} for each statement execute function c360.burn()")
        try:
            yield
        finally:
            run(f"drop trigger burn on {events}")
            run("drop function c360.burn")
            run("drop sequence c360.fuse")


def dag(dsn: str, assigned: bool) -> None:
    """The shop's DAG: three tables, and the web's log by an upstream task."""
    from airflow.sdk import task

    from airflow_provider_customer360 import Customer360Operator

    @task(show_return_value_in_logs=False)
    def web() -> pd.DataFrame:
        names = columns("web")
        with psycopg.connect(dsn) as connection:
            rows = connection.execute(f"select {', '.join(names)} from {SCHEMA}.web").fetchall()
        return pd.DataFrame(rows, columns=names)

    tables = {
        name: {"conn_id": "pg", "table": f"{SCHEMA}.{name}", "key": columns(name)[0]}
        for name in ("crm", "orders", "support")
    }
    # A frame without rows has no types either: stated, its columns are the same in every night.
    roles = {"key": "visit_no", "metrics": ["pages"], "event_time": "seen_at"}
    Customer360Operator(
        task_id="unify",
        asset_name="people",
        target_table="c360.people",
        target_conn_id="pg",
        sources={**tables, "web": {"data": web(), **roles}},
        must_link={"conn_id": "pg", "table": f"{SCHEMA}.must_link"},
        must_not_link={"conn_id": "pg", "table": f"{SCHEMA}.must_not_link"},
        identifier_types={"phone": {"shared_after": 2}},  # father and son are told apart by a rule
        assignments_table=assigned,
    )
