"""Checks before publishing, as Airflow meets them: stated, rendered, breached, overridden for one run."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.airflow.support import Ran, import_error, run_dag

if TYPE_CHECKING:
    from tests.conftest import Postgres

TARGETS = ("pg", "lite", "duck")
CHECKS = {
    "min_customers": "{{ params.fewest }}",
    "max_customers_fall": 0.25,
    "max_fill_rate_change": {"email": 0.2},
    "not_null": ["phone"],
    "no_rows": {
        "no 20": "SELECT customer_id FROM profiles WHERE customer_id = '20' AND '{{ ds }}' > '2026'",
        "from a file": "nobody.sql",
    },
}


def operator(task_id: str = "unify", **arguments: Any) -> Any:
    """An operator that is valid apart from the arguments given."""
    from airflow_provider_customer360 import Customer360Operator

    return Customer360Operator(task_id=task_id, **({"asset_name": "customers"} | arguments))


def build() -> None:
    """The shop's customers, to each target; the DAG has a param that is not about checks."""
    from airflow.sdk import Param

    for conn_id in TARGETS:
        operator(
            conn_id,
            asset_name=f"audited_{conn_id}",
            sources={"shop": {"conn_id": "shop", "sql": "select * from people"}},
            target_conn_id=conn_id,
            checks=CHECKS,
            params={"fewest": Param(3)},
        )


class World:
    """The shop, the targets, and the DAG run by run."""

    def __init__(self, folder: Path, home: Path, postgres: Postgres) -> None:
        self.folder = folder
        self._home = home
        self._postgres = postgres

    def shop_has(self, *people: tuple[int, str | None, str | None]) -> None:
        with closing(sqlite3.connect(self.folder / "shop")) as shop, shop:
            shop.execute("drop table if exists people")
            shop.execute("create table people (customer_id integer, email text, phone text)")
            shop.executemany("insert into people values (?, ?, ?)", people)

    def run(self, **conf: Any) -> Ran:
        retry = {"retries": 1, "retry_delay": timedelta(0)}
        [ran] = run_dag(self._home, build, default_args=retry, searchpath=self.folder, run_conf=conf)
        return ran

    def tables(self, conn_id: str) -> dict[str, Any]:
        """All rows of profiles, identities and events."""
        names = [f"audited_{conn_id}{end}" for end in ("", "_identities", "_identity_events")]
        with closing(self._connect(conn_id)) as connection:
            cursor = connection.cursor()
            found = {}
            for name in names:
                cursor.execute(f"select * from {name} order by 1, 2")
                found[name] = cursor.fetchall()
            return found

    def _connect(self, conn_id: str) -> Any:
        import duckdb

        if conn_id == "pg":
            return psycopg.connect(self._postgres.dsn)
        return (sqlite3 if conn_id == "lite" else duckdb).connect(str(self.folder / conn_id))


EVERYBODY = [(i, f"planted{i}@x.example", f"+4420794600{i:02}") for i in range(10, 18)]


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory, postgres: Postgres, airflow_db: None, airflow_home: Path
) -> Iterator[World]:
    """Everybody is published once."""
    folder = tmp_path_factory.mktemp("checks")
    (folder / "nobody.sql").write_text("SELECT customer_id FROM profiles WHERE customer_id = 'nobody';\n")
    world = World(folder, airflow_home, postgres)
    world.shop_has(*EVERYBODY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_PG", postgres.airflow_uri)
        for name, kind in (("SHOP", "sqlite"), ("LITE", "sqlite"), ("DUCK", "duckdb")):
            host = str(folder / name.lower())
            patch.setenv(f"AIRFLOW_CONN_{name}", json.dumps({"conn_type": kind, "host": host}))
        first = world.run()
        assert set(first.states.values()) == {"success"}, first.errors
        yield world


@pytest.fixture(scope="module")
def breached(world: World) -> tuple[Ran, dict[str, Any], dict[str, Any]]:
    """A night on which half of the shop's people are missing, and the phone of one: before and after."""
    before = {conn_id: world.tables(conn_id) for conn_id in TARGETS}
    world.shop_has((10, EVERYBODY[0][1], None), *EVERYBODY[1:4], (20, "planted20@x.example", "+442079460020"))
    return world.run(fewest=6), before, {conn_id: world.tables(conn_id) for conn_id in TARGETS}


@pytest.mark.parametrize("conn_id", TARGETS)
def test_a_breach_fails_for_good(breached: tuple[Ran, Any, Any], conn_id: str) -> None:
    """Once, although a retry is left; no table has changed, and the message says all that was wrong."""
    from airflow.sdk.exceptions import AirflowFailException

    ran, before, after = breached
    assert (ran.states[conn_id], ran.tries[conn_id]) == ("failed", 1)
    assert type(ran.errors[conn_id]) is AirflowFailException
    assert len(before[conn_id][f"audited_{conn_id}"]) == 8
    assert len(before[conn_id][f"audited_{conn_id}_identities"]) >= 24
    assert after[conn_id] == before[conn_id]
    assert ran.message(conn_id).splitlines() == [
        "4 of 6 checks failed. Nothing was published; the table and the identities are as they were.",
        "- min_customers: 5 customers (live: 8); required: 6",
        "- max_customers_fall: 5 customers (live: 8), a fall of 37.5 %; allowed: a fall of 25 %",
        "- not_null.phone: 1 customer without a value (live: 0); allowed: 0",
        "- no_rows.no 20: 1 row; allowed: 0",
        "Look at the sources. If the profiles are right, run the DAG once without these checks: airflow dags "
        """trigger <dag_id> --conf '{"customer360_skip_checks": ["min_customers", "max_customers_fall", """
        """"not_null.phone", "no_rows.no 20"]}'""",
    ]
    assert conn_id not in ran.returned
    assert f"audited_{conn_id}" not in ran.extras


def test_no_customer_leaves_through_a_breach(breached: tuple[Ran, Any, Any]) -> None:
    """Neither by messages and logs nor by what Airflow keeps, which has the rendered checks."""
    ran, _, _ = breached
    rendered = json.loads(ran.rendered["pg"])["checks"]
    assert "'2026-01-31' > '2026'" in str(rendered)
    assert "customer_id = 'nobody'" in str(rendered)
    assert "planted" not in ran.kept() + repr([dict(ran.lines), ran.errors])


@pytest.mark.parametrize("conn_id", TARGETS)
def test_what_the_log_says_of_each_check(breached: tuple[Ran, Any, Any], conn_id: str) -> None:
    """Those that passed too."""
    lines = [line for line in breached[0].log(conn_id) if line.startswith("Check ")]
    assert lines[0] == "Check min_customers breached: 5 customers (live: 8); required: 6"
    assert lines[2] == (
        "Check max_fill_rate_change.email passed: 100 % of customers have a value (live: 100 %), a change of "
        "0 points; allowed: 20 points"
    )
    assert lines[-1] == "Check no_rows.from a file passed: 0 rows; allowed: 0"


def test_an_override_is_of_one_run(world: World, breached: tuple[Ran, Any, Any]) -> None:
    """The DAG declares no such param; the run that is triggered with it publishes, and no later one."""
    some = world.run(fewest=6, customer360_skip_checks=["max_customers_fall", "not_null", "no_rows"])
    assert set(some.states.values()) == {"failed"}
    assert "1 of 6 checks failed." in some.message("lite")
    skipped = world.run(fewest=6, customer360_skip_checks=True)
    for conn_id in TARGETS:
        assert skipped.states[conn_id] == "success", skipped.errors
        assert len(world.tables(conn_id)[f"audited_{conn_id}"]) == 5
        summary = skipped.returned[conn_id]
        assert summary == skipped.extras[f"audited_{conn_id}"]
        assert {one["check"]: one["result"] for one in summary["checks"]} == {
            "min_customers": "overridden",
            "max_customers_fall": "overridden",
            "max_fill_rate_change.email": "passed",
            "not_null.phone": "overridden",
            "no_rows.no 20": "overridden",
            "no_rows.from a file": "overridden",
        }
        assert summary["checks"][0] == {
            "check": "min_customers", "live": 8, "new": 5, "bound": 6, "result": "overridden"
        }  # fmt: skip
        warnings = [line.text for line in skipped.lines[conn_id] if line.level == "warning"]
        assert "The DAG param customer360_skip_checks overrides in this run: all checks" in warnings
        assert "Check min_customers was overridden: 5 customers (live: 8); required: 6" in summary["warnings"]
        assert summary["warnings"][0] in warnings
    assert set(world.run(fewest=6).states.values()) == {"failed"}


def test_a_wrong_override_fails_before_anything_is_read(world: World) -> None:
    """So does what a template gave that is no bound."""
    wrong = world.run(customer360_skip_checks=["min_customer"])
    assert "Did you mean 'min_customers'?" in wrong.message("lite")
    assert "fewest'] is 'many'" not in wrong.message("lite")
    many = world.run(fewest="many")
    assert "checks['min_customers'] is 'many'; give a whole number" in many.message("lite")
    for ran in (wrong, many):
        assert (ran.states["lite"], ran.tries["lite"]) == ("failed", 1)
        assert not any("::group::" in line for line in ran.log("lite"))


def test_checks_are_checked_when_the_dag_is_parsed(airflow_db: None, airflow_home: Path) -> None:
    """Airflow shows it as an import error."""
    wrong = import_error(airflow_home, lambda: operator(checks={"min_customer": 1}))
    assert "Did you mean 'min_customers'?" in wrong.strip().splitlines()[-1]
    assert import_error(airflow_home, lambda: operator(checks=CHECKS)) == ""


def test_samples_are_not_checked(airflow_db: None, airflow_home: Path, tmp_path: Path) -> None:
    """They show what the table will be like, and replace none."""
    with pytest.MonkeyPatch.context() as patch:
        host = str(tmp_path / "samples")
        patch.setenv("AIRFLOW_CONN_LITE", json.dumps({"conn_type": "sqlite", "host": host}))
        checks = {"min_customers": 1_000_000}
        [ran] = run_dag(airflow_home, lambda: operator(checks=checks, target_conn_id="lite"))
    assert ran.states["unify"] == "success"
    assert ran.returned["unify"]["checks"] == []
