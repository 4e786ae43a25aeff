"""The arguments that say what a run keeps of who is who: tables beside the profiles, guards and rules."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from tests.airflow.support import DAY, Ran, run_dag

Row = dict[str, Any]

#: The shop's rows, each with the number of the day from which on it is there.
CRM = [
    (1, "c2", "bob@x.example", "2026-01-30"),
    (1, "n/a", "nobody@x.example", "2026-01-30"),
    (2, "c1", "ana@x.example", "2026-01-31"),
]
VISITS = [
    (1, "v1", "ana@x.example", 3, "2026-01-29"),
    (1, "v2", "bob@x.example", 4, "2026-01-29"),
    (1, "v3", None, 5, "2026-01-29"),
    (2, "v4", "cleo@x.example", 6, "2026-01-31"),
]
PAIR = ("identifier_type", "identifier_value", "other_identifier_type", "other_identifier_value", "reason")
SAME = ("email", "ana@x.example", "customer_id", "c2", "said so by phone")
#: What the names of the tables beside the profiles end with, unless stated otherwise.
SIDE_TABLES = ("_identities", "_identity_events", "_assignments")


def operator(name: str, **arguments: Any) -> Any:
    """An operator that is valid apart from the arguments given."""
    from airflow_provider_customer360 import Customer360Operator

    return Customer360Operator(
        **({"task_id": name, "asset_name": name, "target_conn_id": "lite"} | arguments)
    )


def shop() -> dict[str, Any]:
    """The shop's tables as they were on the day of the run."""
    until = "day <= {{ params.day }}"
    return {
        "crm": {
            "conn_id": "shop",
            "sql": f"select customer_id, email, updated_at from crm where {until}",
        },
        "visits": {
            "conn_id": "shop",
            "sql": f"select visit_no, email, pages, seen_at from visits where {until}",
            "key": "visit_no",
        },
    }


def desk() -> pd.DataFrame:
    """Four customers who called from one phone."""
    return pd.DataFrame({"customer_id": [f"k{i}" for i in range(4)], "phone": "+14155550101"})


def build_every_day(day: int) -> None:
    """One task for each choice of tables."""

    def of(name: str, **arguments: Any) -> None:
        operator(name, sources=shop(), params={"day": day}, **arguments)

    of("usual")
    of("off", identities_table=False)
    of("named", identities_table="who", events_table="decisions", assignments_table="rows_of")
    of(
        "rendered",
        target_conn_id="duck",
        target_table="main.customers",
        identities_table="main.{{ task.task_id }}_who",
        events_table="{{ task.task_id }}_told",
        assignments_table='"{{ task.task_id }}.rows"',
    )
    of("quiet", target_conn_id="duck", events_table=False, assignments_table=True)
    of("switched", identities_table=day == 1)
    of("viewed")
    of("capped", max_customer_records=1, on_oversized_customer="warn" if day == 1 else "fail")


def build_once() -> None:
    """Guards, rules and samples."""
    from airflow.sdk import task

    def frame(name: str, *pairs: tuple[str, ...]) -> Any:
        return task(task_id=name, show_return_value_in_logs=False)(
            lambda: pd.DataFrame(pairs, columns=list(PAIR))
        )()

    callers = task(task_id="callers", show_return_value_in_logs=False)(desk)()
    for name, arguments in {
        "guarded": {},
        "unguarded": {"guards": False},
        "lenient": {"identifier_types": {"phone": {"shared_after": None}}},
        "stated": {"guards": False, "identifier_types": {"phone": {"shared_after": 1}}},
    }.items():
        operator(name, sources={"desk": callers}, **arguments)
    same = frame("same", SAME)
    apart = frame("apart", ("email", "BOB@x.example ", "customer_id", "c2", "their mailbox"))
    for name, rules in {
        "joined_by_table": {"must_link": {"conn_id": "shop", "table": "pairs_{{ ds_nodash }}"}},
        "joined_by_sql": {"must_link": {"conn_id": "shop", "sql": "select * from pairs_20260131"}},
        "joined_by_frame": {"must_link": same},
        "separated": {"must_not_link": {"data": apart}},
        "contradictory": {"must_link": same, "must_not_link": frame("not_same", SAME)},
    }.items():
        operator(name, sources=shop(), params={"day": 1}, **rules)
    operator("sampled", identities_table="sampled_who", events_table="sampled_told", assignments_table=True)


@dataclass(frozen=True)
class Day:
    """A day's run and all tables after it."""

    ran: Ran
    tables: dict[str, list[Row]]

    def summary(self, task_id: str) -> dict[str, Any]:
        assert self.ran.states[task_id] == "success", self.ran.errors
        found: dict[str, Any] = self.ran.returned[task_id]
        return found

    def ids(self, table: str) -> dict[str | None, str]:
        """E-mail to the id of its customer."""
        return {row["email"]: row["customer_id"] for row in self.tables[table]}

    def beside(self, task_id: str) -> set[str]:
        """The tables with a name that belongs to the task."""
        return {table for table in self.tables if table.startswith(f"{task_id}_")}


def everything(folder: Path) -> dict[str, list[Row]]:
    """The rows of every table of both databases, in the order of all their values."""
    found: dict[str, list[Row]] = {}
    with closing(sqlite3.connect(folder / "lite")) as lite, duckdb.connect(folder / "duck") as duck:
        for connection, names in (
            (lite, "select name from sqlite_master where type = 'table'"),
            (duck, "select table_name from duckdb_tables()"),
        ):
            for (name,) in connection.execute(names).fetchall():
                cursor = connection.execute(f'select * from "{name}"')
                columns = [column[0] for column in cursor.description]
                rows = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
                assert name not in found, "the tables of these tests have different names"
                found[name] = sorted(rows, key=repr)
    return found


def stock(path: Path) -> None:
    """Make the shop's database."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("create table crm (day integer, customer_id text, email text, updated_at text)")
        connection.executemany("insert into crm values (?, ?, ?, ?)", CRM)
        connection.execute(
            "create table visits (day integer, visit_no text, email text, pages integer, seen_at text)"
        )
        connection.executemany("insert into visits values (?, ?, ?, ?, ?)", VISITS)
        connection.execute(f"create table pairs_20260131 ({' text, '.join(PAIR)} text)")
        connection.execute("insert into pairs_20260131 values (?, ?, ?, ?, ?)", SAME)


@pytest.fixture(scope="module")
def days(
    tmp_path_factory: pytest.TempPathFactory, airflow_db: None, airflow_home: Path
) -> Iterator[tuple[Day, Day]]:
    """Two days; on the second one the events of ``viewed`` would have to go into a view."""
    folder = tmp_path_factory.mktemp("identity_tables")
    stock(folder / "shop")

    def first() -> None:
        build_every_day(1)
        build_once()

    with pytest.MonkeyPatch.context() as patch:
        for name, kind in (("shop", "sqlite"), ("lite", "sqlite"), ("duck", "duckdb")):
            connection = {"conn_type": kind, "host": str(folder / name)}
            patch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(connection))
        [ran] = run_dag(airflow_home, first)
        one = Day(ran, everything(folder))
        with closing(sqlite3.connect(folder / "lite")) as connection, connection:
            connection.execute("alter table viewed_identity_events rename to viewed_before")
            connection.execute("create view viewed_identity_events as select * from viewed_before")
        [ran] = run_dag(airflow_home, lambda: build_every_day(2), logical_date=DAY.add(days=1))
        yield one, Day(ran, everything(folder))


def owners(rows: list[Row]) -> dict[tuple[str, str], str]:
    """Identifier to the id of its customer, as a table of identities tells."""
    return {(row["identifier_type"], row["identifier_value"]): row["customer_id"] for row in rows}


# --- ids over two days -----------------------------------------------------------------------------------


@pytest.mark.parametrize("task_id", ["usual", "named"])
def test_an_id_stays_when_a_stronger_identifier_turns_up(days: tuple[Day, Day], task_id: str) -> None:
    """Who was known by an e-mail keeps that id on the day on which a customer number is known too."""
    before, after = (day.ids(task_id) for day in days)
    assert before["ana@x.example"].startswith("email:")
    assert {email: after[email] for email in before} == before
    assert after.keys() - before.keys() == {"cleo@x.example"}


def test_identities_tell_whose_the_new_identifier_is(days: tuple[Day, Day]) -> None:
    """The customer number of the second day belongs to the id of the first, by the e-mail beside it."""
    first, second = days
    ids = second.ids("usual") | first.ids("usual")
    [row] = [row for row in second.tables["usual_identities"] if row["identifier_value"] == "c1"]
    assert row["customer_id"] == ids["ana@x.example"]
    assert (row["status"], row["records"]) == ("linked", 1)
    assert owners(second.tables["usual_identities"]) == {
        ("customer_id", "c1"): ids["ana@x.example"],
        ("customer_id", "c2"): "c2",
        ("email", "ana@x.example"): ids["ana@x.example"],
        ("email", "bob@x.example"): "c2",
        ("email", "cleo@x.example"): ids["cleo@x.example"],
        ("email", "nobody@x.example"): ids["nobody@x.example"],
    }


def test_without_identities_ids_follow_from_the_data(days: tuple[Day, Day]) -> None:
    """The id of the first day is gone on the second, and no table is there beside the profiles."""
    first, second = (day.ids("off") for day in days)
    assert first == days[0].ids("usual")
    assert second == first | {"ana@x.example": "c1", "cleo@x.example": second["cleo@x.example"]}
    for day in days:
        assert day.beside("off") == set()
        assert day.summary("off")["side_tables"] == {}


def test_identities_can_be_switched_off_later(days: tuple[Day, Day]) -> None:
    """Their tables stay as they were, and ids follow from the data again."""
    first, second = days
    assert first.ids("switched") == first.ids("usual")
    assert second.ids("switched") == second.ids("off")
    for table in ("switched_identities", "switched_identity_events"):
        assert second.tables[table] == first.tables[table] != []
    assert second.summary("switched")["side_tables"] == {}


# --- names of the tables ---------------------------------------------------------------------------------


def test_the_tables_unless_stated_otherwise(days: tuple[Day, Day]) -> None:
    """Identities and events, named as the profiles; no assignments."""
    for day in days:
        assert day.beside("usual") == {"usual_identities", "usual_identity_events"}
        assert day.summary("usual")["side_tables"].keys() == day.beside("usual")


@pytest.mark.parametrize(
    ("task_id", "profiles", "who", "told", "assigned"),
    [
        ("named", "named", "who", "decisions", "rows_of"),
        ("rendered", "customers", "rendered_who", "rendered_told", "rendered.rows"),
    ],
)
def test_tables_of_other_names(
    days: tuple[Day, Day], task_id: str, profiles: str, who: str, told: str, assigned: str
) -> None:
    """Stated or rendered from a template, they hold what the usual ones hold, and those are not made."""
    for day in days:
        assert not any(profiles + suffix in day.tables for suffix in SIDE_TABLES)
        assert owners(day.tables[who]) == owners(day.tables["usual_identities"])
        kinds = [
            sorted(row["kind"] for row in day.tables[table]) for table in (told, "usual_identity_events")
        ]
        assert kinds[0] == kinds[1] != []
        assert day.ids(profiles) == day.ids("usual")
        ids = set(day.ids(profiles).values())
        assert {row["customer_id"] for row in day.tables[assigned]} - {None} <= ids
    written = {"named": {who, told, assigned}, "rendered": {f"main.{who}", told, f'"{assigned}"'}}[task_id]
    assert days[1].summary(task_id)["side_tables"].keys() == written


def test_ids_stay_without_a_table_of_events(days: tuple[Day, Day]) -> None:
    """Events are counted in the summary though no table keeps them."""
    for day in days:
        assert day.beside("quiet") == {"quiet_identities", "quiet_assignments"}
        assert day.ids("quiet") == day.ids("usual")
        counts, usual = (day.summary(task_id)["identity_events"] for task_id in ("quiet", "usual"))
        ids = ("created", "merged", "split", "retired")
        assert [counts[kind] for kind in ids] == [usual[kind] for kind in ids]
        assert counts["value_blocked"] == 1


def test_assignments_name_every_row(days: tuple[Day, Day]) -> None:
    """By the stated key or the row's number, with the customer or the reason why there is none."""
    _, second = days
    rows = second.tables["quiet_assignments"]
    of = {(row["source"], row["source_key"]): (row["customer_id"], row["reason"] is None) for row in rows}
    ids = second.ids("quiet")
    assert of == {
        ("crm", "0"): ("c2", True),
        ("crm", "1"): (ids["nobody@x.example"], True),
        ("crm", "2"): (ids["ana@x.example"], True),
        ("visits", "v1"): (ids["ana@x.example"], True),
        ("visits", "v2"): ("c2", True),
        ("visits", "v3"): (None, False),
        ("visits", "v4"): (ids["cleo@x.example"], True),
    }


# --- the summary -----------------------------------------------------------------------------------------


def test_the_summary_counts_the_events_of_its_run(days: tuple[Day, Day]) -> None:
    """By kind: three customers on the first day, one more on the second, though ana has a new identifier."""
    first, second = (day.summary("usual")["identity_events"] for day in days)
    assert (first["created"], second["created"]) == (3, 1)
    assert (first["value_blocked"], first["merged"], first["split"], first["retired"]) == (1, 0, 0, 0)
    assert (second["merged"], second["split"], second["retired"], second["link_dropped"]) == (0, 0, 0, 0)


def test_events_are_only_added(days: tuple[Day, Day]) -> None:
    """The second run leaves those of the first, and adds what it was the first to find."""
    before, after = ({row["event_id"]: row for row in day.tables["usual_identity_events"]} for day in days)
    assert after.items() >= before.items()
    [added] = [row for event_id, row in after.items() if event_id not in before]
    assert (added["kind"], added["identifier"]) == ("created", "c***@x.example")
    assert added["customer_id"] == days[1].ids("usual")["cleo@x.example"]
    assert {row["run_id"] for row in before.values()}.isdisjoint({added["run_id"]})


def test_the_summary_counts_what_became_of_each_table(days: tuple[Day, Day]) -> None:
    """Two identifiers and one event are new on the second day; nothing is ever taken from either table."""
    first, second = (day.summary("usual")["side_tables"] for day in days)
    identities, events = "usual_identities", "usual_identity_events"
    sizes = [{table: len(day.tables[table]) for table in (identities, events)} for day in days]
    assert sizes == [{identities: 4, events: 4}, {identities: 6, events: 5}]
    assert {table: counts["rows_inserted"] for table, counts in first.items()} == sizes[0]
    assert {table: counts["rows_inserted"] for table, counts in second.items()} == {identities: 2, events: 1}
    assert [counts["rows_deleted"] for counts in second.values()] == [0, 0]
    assert second[events]["rows_updated"] == 0
    assert second[identities]["rows_updated"] + second[identities]["rows_unchanged"] == 4
    assert second[identities]["rows_written"] == sizes[1][identities]


# --- all or nothing --------------------------------------------------------------------------------------


def test_a_table_that_cannot_be_written_stops_all_of_them(days: tuple[Day, Day]) -> None:
    """Where a view is in the place of the events, profiles and identities stay those of the day before."""
    first, second = days
    assert second.ran.states["viewed"] == "failed"
    assert "viewed_identity_events is not a table" in second.ran.message("viewed")
    for table in ("viewed", "viewed_identities"):
        assert second.tables[table] == first.tables[table] != []
    assert second.tables["viewed_before"] == first.tables["viewed_identity_events"]


def test_an_oversized_customer_warns_or_fails(days: tuple[Day, Day]) -> None:
    """With ``fail`` it is final, shows nobody and leaves every table as it was."""
    from airflow.sdk.exceptions import AirflowFailException

    first, second = days
    assert any("more than 1 records, the largest 2" in text for text in first.summary("capped")["warnings"])
    assert isinstance(second.ran.errors["capped"], AirflowFailException)
    assert "on_oversized_customer is 'fail'" in second.ran.message("capped")
    assert "x.example" not in second.ran.message("capped")
    for table in ("capped", "capped_identities", "capped_identity_events"):
        assert second.tables[table] == first.tables[table] != []


def test_sample_profiles_have_no_tables_beside_them(days: tuple[Day, Day]) -> None:
    """Even where tables were asked for: made-up people never get into a record of years."""
    first, _ = days
    assert first.summary("sampled")["sample_data"] is True
    assert len(first.tables["sampled"]) == 4
    assert first.beside("sampled") == set()
    assert first.summary("sampled")["side_tables"] == {}


# --- guards and rules ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task_id", "customers", "shared"),
    [("guarded", 4, 1), ("unguarded", 1, 0), ("lenient", 1, 0), ("stated", 4, 1)],
)
def test_guards_keep_strangers_apart(
    days: tuple[Day, Day], task_id: str, customers: int, shared: int
) -> None:
    """Four customers of one phone stay four, unless guards are off; what is stated for a type wins."""
    first, _ = days
    summary = first.summary(task_id)
    assert summary["total_customers"] == len(first.tables[task_id]) == customers
    assert summary["identifiers"]["phone"]["shared"] == shared
    assert summary["identity_events"]["value_shared"] == shared
    statuses = [row["status"] for row in first.tables[f"{task_id}_identities"]]
    assert statuses.count("shared") == shared


@pytest.mark.parametrize("task_id", ["joined_by_table", "joined_by_sql", "joined_by_frame"])
def test_must_link_from_any_form_of_source(days: tuple[Day, Day], task_id: str) -> None:
    """A table with a templated name, a query and an upstream task's frame join the same strangers."""
    first, _ = days
    profiles = {row["customer_id"]: row["total_records"] for row in first.tables[task_id]}
    assert sorted(profiles.values()) == [1, 3]
    assert profiles["c2"] == 3
    assert "must_link" in {row["linked_in"] for row in first.tables[f"{task_id}_identities"]}
    assert len(first.tables["usual"]) == 3


def test_must_not_link_from_an_upstream_task(days: tuple[Day, Day]) -> None:
    """A pair is apart however its values are written, and the event has the reason that was given."""
    first, _ = days
    found = owners(first.tables["separated_identities"])
    assert found["customer_id", "c2"] != found["email", "bob@x.example"]
    [event] = [row for row in first.tables["separated_identity_events"] if row["kind"] == "link_dropped"]
    assert event["reason"] == "must_not_link: their mailbox"


def test_rendered_rules_hold_no_customer(days: tuple[Day, Day]) -> None:
    """Of an upstream task's pairs only kind and size are kept; the name of a table is shown as rendered."""
    rendered = {name: json.loads(text) for name, text in days[0].ran.rendered.items() if "link" in text}
    assert rendered["joined_by_frame"]["must_link"] == "<DataFrame 1 rows x 5 columns>"
    assert rendered["separated"]["must_not_link"] == {"data": "<DataFrame 1 rows x 5 columns>"}
    assert rendered["joined_by_table"]["must_link"] == {"conn_id": "shop", "table": "pairs_20260131"}
    assert rendered["rendered"]["identities_table"] == "main.rendered_who"
    assert "x.example" not in repr(rendered)


def test_rules_that_contradict_each_other_are_final(days: tuple[Day, Day]) -> None:
    """The task fails for good, with the pair masked, and makes no table."""
    from airflow.sdk.exceptions import AirflowFailException

    first, _ = days
    assert isinstance(first.ran.errors["contradictory"], AirflowFailException)
    message = first.ran.message("contradictory")
    assert "must_link" in message
    assert "must_not_link" in message
    assert "ana@x.example" not in message
    assert {table for table in first.tables if table.startswith("contradictory")} == set()


# --- wrong arguments -------------------------------------------------------------------------------------

WRONG = {
    "a number for a table": ({"identities_table": 3}, "identities_table is 3; give True, False or the name"),
    "a list of tables": ({"events_table": ["a"]}, r"events_table is \['a'\]; give True, False or the name"),
    "assignments by number": ({"assignments_table": 1}, "assignments_table is 1; give True, False or the"),
    "no name": ({"identities_table": ""}, "''; give .*name"),
    "three parts": ({"events_table": "a.b.c"}, "is 'a.b.c'; give 'name' or 'schema.name'"),
    "events alone": (
        {"events_table": True, "identities_table": False},
        "events_table is wanted, but identities_table is off",
    ),
    "named events alone": (
        {"events_table": "told", "identities_table": False},
        "events_table is wanted, but identities_table is off",
    ),
    "guards": ({"guards": "yes"}, "guards is 'yes'; give True or False"),
    "no guards": ({"guards": None}, "guards is None; give True or False"),
    "a misspelt setting": (
        {"identifier_types": {"email": {"limt": 3}}},
        r"identifier_types\['email'\] has 'limt'; allowed: .*limit",
    ),
    "a limit of none": (
        {"identifier_types": {"email": {"limit": 0}}},
        r"identifier_types\['email'\]\['limit'\] is 0; give a whole number from 1",
    ),
    "types by name": ({"identifier_types": ["email"]}, "identifier_types is not a mapping"),
    "a cap": ({"max_customer_records": 0}, "max_customer_records is 0; give a whole number from 1"),
    "a wish": ({"on_oversized_customer": "skip"}, "on_oversized_customer is 'skip'; allowed: warn, fail"),
    "rules as a frame": ({"must_link": pd.DataFrame()}, "'must_link' is a DataFrame; allowed: an upstream"),
    "rules from two places": (
        {"must_not_link": {"conn_id": "x", "sql": "y", "table": "z"}},
        "'must_not_link'",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_argument_fails_when_the_operator_is_constructed(
    arguments: dict[str, Any], message: str
) -> None:
    """With a ValueError that names the argument, what it is and what it may be."""
    with pytest.raises(ValueError, match=message):
        operator("wrong", **arguments)


def test_templates_of_names_are_no_wrong_names() -> None:
    """What a template renders to shows when the task runs."""
    names = ("identities_table", "events_table", "assignments_table")
    task = operator("right", **dict.fromkeys(names, "{{ params.schema }}.a.b"))
    assert set(names) <= set(task.template_fields)


def test_what_earlier_runs_published_is_sent() -> None:
    """So that it is read in another thread, as fast as a source is, and a timeout interrupts it."""
    from airflow.providers.sqlite.hooks.sqlite import SqliteHook

    from airflow_provider_customer360.operators.identity_tables import IdentityTables
    from airflow_provider_customer360.unify.reading import Stream

    tables = IdentityTables.of("customers", None, None, False)
    assert isinstance(tables.previous(SqliteHook("lite")), Stream)
    assert isinstance(tables.recorded(SqliteHook("lite"), 1).lasting, Stream)
