"""What a run does to customers whom it does not see, to the runs before it, and to columns that change."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.airflow.support import DAY, Ran, run_dag

#: Rows of the shop by day: customer number, e-mail, spent.
DAYS = {
    1: [("1", "ana@x.example", 10), ("2", "bob@x.example", 20), ("3", None, 30)],
    2: [("2", "bob@x.example", 25), ("4", "dan@x.example", 40)],
    3: [("2", "ana@x.example", 5)],  # bob's number with ana's e-mail: they are one
}


@pytest.fixture
def target(airflow_db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The SQLite file to which the tasks publish."""
    path = tmp_path / "target.sqlite"
    monkeypatch.setenv("AIRFLOW_CONN_LITE", json.dumps({"conn_type": "sqlite", "host": str(path)}))
    return path


def rows_of(path: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query).fetchall()


def tables_of(path: Path) -> set[str]:
    return {name for (name,) in rows_of(path, "SELECT name FROM sqlite_master WHERE type = 'table'")}


def frame(day: int) -> pd.DataFrame:
    return pd.DataFrame(DAYS[day], columns=["customer_id", "email", "spent"])


def run(home: Path, day: int, make: Callable[[int], pd.DataFrame] = frame, **arguments: Any) -> Ran:
    """One run of a task that unifies a day's frame."""
    from airflow_provider_customer360 import Customer360Operator

    def build() -> None:
        from airflow.sdk import task

        shop = task(task_id="shop", show_return_value_in_logs=False)(lambda: make(day))()
        defaults = {"asset_name": "customers", "target_conn_id": "lite", "params": {"dry": False}}
        Customer360Operator(task_id="unify", sources={"shop": shop}, **(defaults | arguments))

    (ran,) = run_dag(home, build, logical_date=DAY.add(days=day))
    return ran


def test_upsert_keeps_customers_who_are_not_in_the_run(airflow_home: Path, target: Path) -> None:
    """Absent customers stay, present ones are written anew, and an id that was merged away goes."""
    spent = "SELECT customer_id, spent FROM customers ORDER BY 1"
    run(airflow_home, 1, write_mode="upsert")
    second = run(airflow_home, 2, write_mode="upsert")
    assert rows_of(target, spent) == [("1", 10), ("2", 25), ("3", 30), ("4", 40)]
    summary = second.returned["unify"]
    assert (summary["rows_inserted"], summary["rows_updated"], summary["rows_deleted"]) == (1, 1, 0)
    assert "retired" not in summary["identity_events"]
    third = run(airflow_home, 3, write_mode="upsert").returned["unify"]
    (kept,) = {"1", "2"} & {customer for customer, _ in rows_of(target, spent)}
    assert rows_of(target, spent) == [(kept, 5), ("3", 30), ("4", 40)]
    assert (third["rows_deleted"], third["identity_events"]["merged"]) == (1, 1)
    kinds = {kind for (kind,) in rows_of(target, "SELECT kind FROM customers_identity_events")}
    assert kinds == {"created", "merged"}


def test_append_keeps_one_snapshot_a_run(airflow_home: Path, target: Path) -> None:
    """Each run adds its snapshot, a rerun replaces it, and those beyond the retention go."""
    for day in (1, 2, 2, 3):
        ran = run(airflow_home, day, write_mode="append", snapshot_retention=1)
    days = rows_of(target, "SELECT substr(snapshot_at, 1, 10), count(*) FROM customers GROUP BY 1 ORDER BY 1")
    assert days == [("2026-02-02", 2), ("2026-02-03", 1)]
    assert ran.returned["unify"]["rows_deleted"] == 3
    assert ran.returned["unify"]["write_mode"] == "append"


@pytest.mark.parametrize("write_mode", ["upsert", "append"])
def test_whoever_is_forgotten_leaves_what_is_kept(airflow_home: Path, target: Path, write_mode: str) -> None:
    """Rows that would stay go: of profiles, snapshots, events, assignments and identities."""
    kept: dict[str, Any] = {"write_mode": write_mode, "assignments_table": True}
    for day in (1, 2):
        run(airflow_home, day, **kept)
    assert rows_of(target, "SELECT 1 FROM customers WHERE customer_id = '1'")
    listed = target.parent / "forget.csv"
    listed.write_text("identifier_type,identifier_value\nemail,ANA@x.example\n")
    ran = run(airflow_home, 2, forget={"path": str(listed)}, **kept)
    assert ran.states["unify"] == "success", ran.errors
    assert len(tables_of(target)) == 4
    everything = repr([rows_of(target, f"SELECT * FROM {table}") for table in sorted(tables_of(target))])
    assert "ana" not in everything
    assigned = {customer for (customer,) in rows_of(target, "SELECT customer_id FROM customers_assignments")}
    assert "1" not in assigned
    others = [
        rows_of(target, f"SELECT * FROM customers{what}") for what in ("", "_identities", "_identity_events")
    ]
    assert "'1'" not in repr(others)
    customers = {customer for (customer,) in rows_of(target, "SELECT customer_id FROM customers")}
    assert customers == {"2", "3", "4"}


def test_a_profile_column_called_as_the_snapshots(airflow_home: Path, target: Path) -> None:
    """The message says which column is in the way, and no table is made."""
    taken: Callable[[int], pd.DataFrame] = lambda day: frame(day).assign(snapshot_at="today")  # noqa: E731
    ran = run(airflow_home, 1, taken, write_mode="append")
    assert ran.states["unify"] == "failed"
    assert "The profiles have a column 'snapshot_at'" in ran.message("unify")
    assert not target.exists() or tables_of(target) == set()


def test_a_dry_run_publishes_nothing_and_tells_what_it_would(airflow_home: Path, target: Path) -> None:
    """The task is skipped, no asset event is made, and the XCom and the log have the counts."""
    ran = run(airflow_home, 1, dry_run=True)
    assert ran.states["unify"] == "skipped"
    assert ran.returned["unify"]["rows_inserted"] == 3
    assert ran.returned["unify"]["dry_run"] is True
    assert ran.extras == {}
    assert not target.exists() or tables_of(target) == set()
    run(airflow_home, 1)
    ran = run(airflow_home, 2, dry_run="{{ params.dry }}", params={"dry": True})
    assert rows_of(target, "SELECT customer_id, spent FROM customers ORDER BY 1") == [
        ("1", 10), ("2", 20), ("3", 30),
    ]  # fmt: skip
    log = "\n".join(ran.log("unify"))
    assert "customers: would be: 1 inserted, 1 updated, 2 deleted, 0 unchanged" in log
    assert "2 rows would be in customers" in log
    assert run(airflow_home, 2, dry_run="{{ params.dry }}").returned["unify"]["rows_inserted"] == 1


def test_a_template_that_gives_no_truth_value(airflow_home: Path, target: Path) -> None:
    """The message says what it gave."""
    ran = run(airflow_home, 1, dry_run="{{ ds }}")
    assert "dry_run is '2026-02-01'; give True, False" in ran.message("unify")


def test_what_pii_drops_does_not_stay(airflow_home: Path, target: Path) -> None:
    """A table in which it cannot become NULL is refused, with what to do."""
    with closing(sqlite3.connect(target)) as database:
        columns = "customer_id TEXT PRIMARY KEY, spent INTEGER, city TEXT NOT NULL DEFAULT ''"
        database.execute(f"CREATE TABLE customers ({columns})")
    more: Callable[[int], pd.DataFrame] = lambda day: frame(day).assign(city="Rome")  # noqa: E731
    assert run(airflow_home, 1, more).states["unify"] == "success"
    ran = run(airflow_home, 2, more, pii={"City": "drop"})
    assert ran.states["unify"] == "failed"
    assert "would keep the values of 'city'" in ran.message("unify")
    assert len(rows_of(target, "SELECT * FROM customers WHERE city = 'Rome'")) == 3


def test_a_changed_schema_may_be_refused(airflow_home: Path, target: Path) -> None:
    """With "fail" a new column in a source fails the task for good and leaves all tables as they are."""
    run(airflow_home, 1, on_schema_change="fail")
    before = {table: rows_of(target, f"SELECT * FROM {table}") for table in tables_of(target)}
    more: Callable[[int], pd.DataFrame] = lambda day: frame(day).assign(visits=1)  # noqa: E731
    ran = run(airflow_home, 2, more, on_schema_change="fail", retries=3)
    assert (ran.states["unify"], ran.tries["unify"]) == ("failed", 1)
    assert "would change (new: 'visits')" in ran.message("unify")
    assert {table: rows_of(target, f"SELECT * FROM {table}") for table in tables_of(target)} == before
    assert run(airflow_home, 2, more, on_schema_change="replace").states["unify"] == "success"
