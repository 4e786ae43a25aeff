"""The operator as a DAG's author and Airflow meet it: parsed, rendered, run twice, reporting, failing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import psycopg
import pytest

from tests.airflow.support import DAY, Ran, import_error, run_dag

if TYPE_CHECKING:
    from tests.conftest import Postgres


def crm() -> pd.DataFrame:
    """Two contacts and a record that nobody can be identified by."""
    return pd.DataFrame(
        {
            "customer_id": ["c1", "c2", None],
            "email": ["ada@a.example", "bob@b.example", "n/a"],
            "full_name": ["Ada Nonesuch", "Bob Nonesuch", "Nobody"],
            "modified_at": pd.to_datetime(["2026-01-30", "2025-06-01", "2026-01-30"]),
        }
    )


def orders() -> pd.DataFrame:
    """Orders, with what JSON cannot hold: an amount that is no number and one that is infinite."""
    return pd.DataFrame(
        {
            "email": ["ADA@a.example", "bob@b.example", "bob@b.example", "bob@b.example"],
            "amount": [1.5, 2.25, float("nan"), float("inf")],
            "ordered_at": pd.to_datetime(["2026-01-29"] * 4, utc=True),
        }
    )


def operator(**arguments: Any) -> Any:
    """An operator that is valid apart from the arguments given."""
    from airflow_provider_customer360 import Customer360Operator

    return Customer360Operator(**({"task_id": "unify", "asset_name": "customers"} | arguments))


def source(**spec: Any) -> dict[str, Any]:
    """The operator's arguments with one source called ``s``."""
    return {"sources": {"s": spec}}


WRONG = {
    "misspelt key": (source(con_id="x", table="t"), r"'s' has the key 'con_id'. Did you mean 'conn_id'\?"),
    "unknown key": (source(path="x", colour="red"), r"'colour'.*Allowed: .*event_time"),
    "sql and table": (source(conn_id="x", sql="select 1", table="t"), "'s'.*either 'sql' or 'table'"),
    "neither": (source(conn_id="x"), "'s'.*either 'sql' or 'table'"),
    "two origins": (source(conn_id="x", table="t", path="y"), "conn_id and path; give exactly one"),
    "no origin": (source(event_time="t"), "none of its keys"),
    "sql without a connection": (source(path="x", sql="select 1"), "'sql' go with a 'conn_id'"),
    "parameters of a table": (source(conn_id="x", table="t", parameters=[1]), "'parameters' go with 'sql'"),
    "sql is no text": (source(conn_id="x", sql=5), "sql is a int"),
    "a frame": ({"sources": {"s": pd.DataFrame()}}, "'s' is a DataFrame; allowed: an upstream task's output"),
    "a frame as data": (source(data=pd.DataFrame()), "built at every parse"),
    "a list of sources": ({"sources": ["x"]}, "sources is a list"),
    "a bare path": ({"sources": {"s": "x.csv"}}, "'s' is a str; allowed: .*'path'"),
    "a source without a name": ({"sources": {"": {"path": "x"}}}, "must be text that is not blank"),
    "roles": (source(path="x", metrics={"amount": "median"}), "'median'; allowed: sum, mean, min, max"),
    "event times": (source(path="x", event_time=["a", "b"]), "event_time is the name of one column"),
    "active_within": (
        {"active_within": "30 fortnights"},
        "active_within is '30 fortnights'; give a positive",
    ),
    "no time": ({"active_within": timedelta(0)}, "active_within is .*; give a positive timedelta"),
    "write_mode": ({"write_mode": "overwrite"}, "write_mode is 'overwrite'"),
    "upsert without identities": (
        {"write_mode": "upsert", "identities_table": False},
        "write_mode='upsert' needs identities_table",
    ),
    "on_schema_change": ({"on_schema_change": "drop"}, "on_schema_change is 'drop'; allowed: 'add'"),
    "columns that snapshots need": (
        {"on_schema_change": "replace", "write_mode": "append"},
        "on_schema_change='replace' drops columns",
    ),
    "retention of no snapshots": ({"snapshot_retention": 7}, "snapshot_retention is for write_mode='append'"),
    "no retention": (
        {"snapshot_retention": 0, "write_mode": "append"},
        "snapshot_retention is 0; give a positive timedelta",
    ),
    "when_no_data": (
        {"when_no_data": "ignore"},
        "when_no_data is 'ignore'; allowed: auto, sample, skip, fail",
    ),
    "a table of three parts": (
        {"target_table": "a.b.c"},
        "target_table is 'a.b.c'; give 'name' or 'schema.name'",
    ),
    "a table that is no text": ({"target_table": 5}, "target_table is 5; give 'name' or 'schema.name'"),
    "aggregates in a list": ({"metrics": {"amount": ["sum"]}}, "metrics"),
    "no asset name": ({"asset_name": " "}, "asset_name is ' '"),
    "asset name None": ({"asset_name": None}, "asset_name is None"),
    "derived": ({"derived": ["a / b"]}, "derived is .*'average_order_value'"),
    "identifiers": ({"identifiers": "email"}, "identifiers is a str; give "),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_argument_fails_at_parse_time(arguments: dict[str, Any], message: str) -> None:
    """With a ValueError that says what was given, what is allowed and, where close, what was meant."""
    with pytest.raises(ValueError, match=message):
        operator(**arguments)


def test_a_wrong_dag_is_an_import_error(airflow_db: None, airflow_home: Path) -> None:
    """Airflow shows the operator's message as the last line; a missing asset_name is named."""
    wrong = import_error(airflow_home, lambda: operator(**source(con_id="x", table="t")))
    assert "Did you mean 'conn_id'?" in wrong.strip().splitlines()[-1]
    missing = import_error(airflow_home, lambda: type(operator())(task_id="other"))
    assert "asset_name" in missing.strip().splitlines()[-1]
    assert import_error(airflow_home, operator) == ""


@pytest.mark.parametrize("within", [30, 30.0, "P30D", timedelta(days=30)], ids=repr)
def test_active_within_as_plain_data(within: Any) -> None:
    """A YAML DAG gives days or ISO 8601, Python a timedelta."""
    assert operator(active_within=within)._config().active_within == timedelta(days=30)


def test_description_and_asset() -> None:
    """The description is the task's doc; outlets of one's own stay; an own doc wins."""
    from airflow.sdk import Asset

    mine = Asset("mine")
    task = operator(description="All customers.", outlets=[mine])
    assert task.doc == "All customers."
    assert [asset.name for asset in task.outlets] == ["mine", "customers"]
    assert operator(task_id="other", doc="Mine.").doc == "Mine."
    assert operator(task_id="third").doc == "Unified customer 360 profiles"


def build_customers() -> None:
    """The same customers to three databases, and upstream outputs in every place that a template has."""
    from airflow.sdk import task

    def frame(name: str, value: Callable[[], Any]) -> Any:
        return task(task_id=name, show_return_value_in_logs=False)(value)()

    @task(show_return_value_in_logs=False)
    def part(i: int) -> pd.DataFrame:
        return orders()[i : i + 1]

    sources = {
        "crm": frame("contacts", crm),
        "orders": {"data": frame("sales", orders)},
        "parts": part.expand(i=[0]),
    }
    for name, target in (("to_postgres", "pg"), ("to_sqlite", "lite"), ("to_duckdb", "duck")):
        operator(
            task_id=name,
            asset_name=f"customers.{name}",
            target_conn_id=target,
            sources=sources,
            derived={"ratio": "amount / orders_records", "day": "'{{ ds }}'"},
        )


@pytest.fixture(scope="module")
def connections(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Iterator[Path]:
    """Connections to the three databases."""
    folder = tmp_path_factory.mktemp("operator")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_PG", postgres.airflow_uri)
        for name, kind in (("LITE", "sqlite"), ("DUCK", "duckdb")):
            patch.setenv(f"AIRFLOW_CONN_{name}", json.dumps({"conn_type": kind, "host": str(folder / kind)}))
        yield folder


@pytest.fixture(scope="module")
def runs(connections: Path, airflow_db: None, airflow_home: Path) -> list[Ran]:
    """Two runs of one DAG for the same day."""
    return run_dag(airflow_home, build_customers, times=2)


TARGETS = ("to_postgres", "to_sqlite", "to_duckdb")


@pytest.mark.parametrize("task_id", TARGETS)
def test_the_summary_is_xcom_and_asset_event(runs: list[Ran], task_id: str) -> None:
    """The same strict JSON in both, however odd the numbers; the asset has the operator's asset_name."""
    for ran in runs:
        assert ran.states[task_id] == "success", ran.errors
        summary = ran.returned[task_id]
        assert ran.extras[f"customers.{task_id}"] == summary
        json.dumps(summary, allow_nan=False)
        assert summary["asset_name"] == f"customers.{task_id}"
        assert summary["as_of"] == "2026-01-31T00:00:00+00:00"
        assert (summary["total_customers"], summary["active_customers"]) == (2, 2)
        assert (summary["total_records"], summary["unidentified_records"]) == (8, 1)
        assert summary["sample_data"] is False


@pytest.mark.parametrize("task_id", TARGETS)
def test_a_second_run_changes_nothing(runs: list[Ran], task_id: str) -> None:
    """All rows are unchanged, and apart from the counts and durations the summaries are equal."""
    first, second = (ran.returned[task_id] for ran in runs)
    counts = ("rows_written", "rows_inserted", "rows_updated", "rows_deleted", "rows_unchanged")
    assert [first[count] for count in counts] == [2, 2, 0, 0, 0]
    assert [second[count] for count in counts] == [2, 0, 0, 0, 2]
    for summary, inserted in ((first, [4, 3]), (second, [0, 0])):  # two of the three events: created
        assert [table["rows_inserted"] for table in summary["side_tables"].values()] == inserted
    assert (first["identity_events"]["created"], second["identity_events"]["created"]) == (2, 0)
    same = first.keys() - {*counts, "duration_seconds", "stage_rows", "side_tables", "identity_events"}
    assert {key: first[key] for key in same} == {key: second[key] for key in same}


def test_the_table_in_postgres(runs: list[Ran], postgres: Postgres) -> None:
    """One row a customer, in the table named as the asset, a dot in its name or not."""
    with psycopg.connect(postgres.dsn) as connection:
        rows = connection.execute(
            "select customer_id, email, full_name, amount, total_records, is_active, day "
            'from "customers.to_postgres" order by 1'
        ).fetchall()
    assert rows == [
        ("c1", "ada@a.example", "Ada Nonesuch", 3.0, 3, True, "2026-01-31"),
        ("c2", "bob@b.example", "Bob Nonesuch", 2.25, 4, True, "2026-01-31"),
    ]


def test_rendered_templates_hold_no_customer(runs: list[Ran]) -> None:
    """Of a frame only kind and size are kept; of mapped frames the kind; text is shown as rendered."""
    for task_id in TARGETS:
        rendered = json.loads(runs[0].rendered[task_id])
        assert rendered["sources"]["crm"] == "<DataFrame 3 rows x 4 columns>"
        assert rendered["sources"]["orders"] == {"data": "<DataFrame 4 rows x 3 columns>"}
        assert rendered["sources"]["parts"].startswith("<LazyXComSequence")
        assert rendered["derived"]["day"] == "'2026-01-31'"
        assert "example" not in runs[0].rendered[task_id]


def nesting(lines: list[str]) -> list[int]:
    """How many groups are open at each line."""
    open_groups, depths = 0, []
    for line in lines:
        open_groups += line.startswith("::group::")
        depths.append(open_groups)
        open_groups -= line.startswith("::endgroup::")
    assert open_groups == 0, "a group is not closed"
    assert set(depths) <= {0, 1}, "groups do not nest in Airflow's log"
    return depths


def test_what_a_person_reads_in_the_task_log(runs: list[Ran]) -> None:
    """Stages are folded; the outcome, the warnings and the masked preview are not, in this order."""
    lines = runs[0].log("to_postgres")
    depths = nesting(lines)
    groups = [line.removeprefix("::group::") for line in lines if line.startswith("::group::")]
    assert groups == ["Read sources", "Detect columns", "Resolve identities", "Build profiles", "Publish"]
    unfolded = [line for line, depth in zip(lines, depths, strict=True) if depth == 0]
    assert unfolded[0].startswith("2 customers (2 active) from 8 records of 3 sources; merge rate ")
    assert "2 rows in" in unfolded[0]
    start = unfolded.index("Preview, masked:")
    assert unfolded[1] == "Identity events: 2 created, 1 value_blocked"
    warnings = unfolded[2:start]
    assert warnings == runs[0].returned["to_postgres"]["warnings"]
    assert any("1 of 3 records have no identifier that links" in warning for warning in warnings)
    assert set(warnings) <= {line.text for line in runs[0].lines["to_postgres"] if line.level == "warning"}
    preview = unfolded[start + 1 :]
    assert len(preview) == 4
    assert all(line.startswith("|") for line in preview)
    assert not re.search("ada@|bob@|Nonesuch", "".join(lines))


def test_the_log_explains_each_column(runs: list[Ran]) -> None:
    """The folded lines of detection name role and reason."""
    text = "\n".join(line.text for line in runs[0].lines["to_postgres"])
    assert re.search(r"crm\.email -> identifier email: .+", text)
    assert re.search(r"orders\.amount -> metric amount \(sum\): .+", text)
    assert re.search(r"orders\.ordered_at -> event time: .+", text)


def build_failures() -> None:
    """Each task fails in a way of its own."""
    from airflow.sdk import task

    @task(show_return_value_in_logs=False)
    def things() -> pd.DataFrame:
        return pd.DataFrame({"width": [1.0], "colour": ["planted-blue"]})

    def of(name: str, sources: Any, **arguments: Any) -> None:
        operator(task_id=name, asset_name=name, sources=sources, **({"target_conn_id": "lite"} | arguments))

    thing = things()
    sales = task(task_id="sales", show_return_value_in_logs=False)(orders)()
    of("no_source_connection", {"a": {"conn_id": "nowhere", "table": "t"}})
    of("no_target_connection", {"a": sales}, target_conn_id="nowhere")
    of("no_sql_connection", {"a": {"conn_id": "web", "table": "t"}})
    of("target_cannot_publish", {"a": sales}, target_conn_id="web")
    of("sql_fails", {"a": {"conn_id": "pg", "sql": "select 'planted@p.example'::int"}})
    of("no_such_table", {"a": {"conn_id": "pg", "table": "no_such_table"}})
    of("sql_without_rows", {"a": {"conn_id": "lite", "sql": "create table if not exists t (x int)"}})
    of("no_identifier", {"a": thing})
    of("unknown_column", {"a": {"data": sales, "identifiers": {"email": "contact"}}})
    of("bad_derived", {"a": sales}, derived={"x": "amuont + 1"})
    of("source_down", {"a": {"conn_id": "down", "table": "t"}})
    of("target_down", {"a": sales}, target_conn_id="down")


@pytest.fixture(scope="module")
def failed(connections: Path, airflow_db: None, airflow_home: Path) -> Iterator[Ran]:
    """One run of all of them; each may be retried once."""
    retry = {"retries": 1, "retry_delay": timedelta(0)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_DOWN", "postgres://nobody@127.0.0.1:1/none?connect_timeout=2")
        patch.setenv("AIRFLOW_CONN_WEB", "fs://")
        [ran] = run_dag(airflow_home, build_failures, default_args=retry)
        yield ran


FINAL = {
    "no_source_connection": "There is no connection 'nowhere'. .*AIRFLOW_CONN_NOWHERE",
    "no_target_connection": "There is no connection 'nowhere'. .*airflow connections add",
    "no_sql_connection": "'web'",
    "target_cannot_publish": "'web'",
    "sql_fails": "connection 'pg' failed with InvalidTextRepresentation",
    "no_such_table": "connection 'pg' failed with UndefinedTable .*no_such_table",
    "sql_without_rows": "The SQL of the source returns no rows and columns",
    "no_identifier": "width.*colour|colour.*width",
    "unknown_column": "'contact'",
    "bad_derived": "'amuont', which is no profile column. Did you mean 'amount'",
}


@pytest.mark.parametrize("task_id", FINAL)
def test_what_a_retry_cannot_mend_fails_for_good(failed: Ran, task_id: str) -> None:
    """Once, although retries are left; with a message that names the culprit and no value."""
    from airflow.sdk.exceptions import AirflowFailException

    assert failed.states[task_id] == "failed"
    assert failed.tries[task_id] == 1
    assert type(failed.errors[task_id]) is AirflowFailException
    assert re.search(FINAL[task_id], failed.message(task_id), re.DOTALL)
    assert "planted" not in failed.message(task_id)


@pytest.mark.parametrize("task_id", ["source_down", "target_down"])
def test_a_lost_connection_is_retried(failed: Ran, task_id: str) -> None:
    """What passes by itself is Airflow's to retry."""
    from airflow.sdk.exceptions import AirflowException, AirflowFailException

    assert failed.states[task_id] == "failed"
    assert isinstance(failed.errors[task_id], AirflowException)
    assert not isinstance(failed.errors[task_id], AirflowFailException)
    assert failed.tries[task_id] == 2


def test_groups_are_closed_on_failure(failed: Ran) -> None:
    """Whatever stage fails, the rest of the task log is not swallowed by its group."""
    stages = {}
    for task_id in failed.errors:
        lines = failed.log(task_id)
        nesting(lines)
        stages[task_id] = [line for line in lines if line.startswith("::group::")][-1:]
    assert stages["sql_fails"] == ["::group::Read sources"]
    assert stages["no_identifier"] == ["::group::Detect columns"]
    assert stages["bad_derived"] == ["::group::Build profiles"]
    assert stages["target_down"] == []  # said before anything is read
    assert stages["no_target_connection"] == []


def test_the_reference_time_of_a_run_without_logical_date(
    connections: Path, airflow_db: None, airflow_home: Path
) -> None:
    """It has no data interval; the time after which it may run decides who is active, not the wall clock."""
    from airflow.sdk import task

    def build() -> None:
        contacts = task(task_id="contacts", show_return_value_in_logs=False)(crm)()
        operator(sources={"crm": contacts}, asset_name="as_of", target_conn_id="lite", active_within=30)

    [ran] = run_dag(airflow_home, build, logical_date=None, run_after=DAY.add(days=10))
    assert ran.states["unify"] == "success", ran.errors
    assert ran.returned["unify"]["as_of"] == "2026-02-10T00:00:00+00:00"
    assert ran.returned["unify"]["active_customers"] == 1
