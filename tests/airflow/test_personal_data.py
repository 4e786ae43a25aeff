"""Personal data in tasks: people who are forgotten, columns that are hashed, and where the salt is from."""

from __future__ import annotations

import hmac
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from airflow_provider_customer360.unify import ConfigError
from tests.airflow.support import DAY, Ran, run_dag

SALT = "a salt that nobody knows"
CRM = pd.DataFrame(
    {
        "customer_id": ["c1", "c2", "c3"],
        "email": ["ana@x.example", "bob@x.example", "cleo@x.example"],
        "full_name": ["Ana", "Bob", "Cleo"],
    }
)
PII = {"email": "hash", "full_name": "drop"}


def digest(email: str) -> str:
    return hmac.new(SALT.encode(), f"email:{email}".encode(), "sha256").hexdigest()


def operator(name: str, **arguments: Any) -> Any:
    """An operator that is valid apart from the arguments given."""
    from airflow_provider_customer360 import Customer360Operator

    return Customer360Operator(
        **({"task_id": name, "asset_name": name, "target_conn_id": "lite"} | arguments)
    )


def build(day: int) -> None:
    """Hashing begins, and people are forgotten, on the second day."""
    from airflow.sdk import task

    crm = task(task_id="crm", show_return_value_in_logs=False)(lambda: CRM)()
    gone = task(task_id="gone", show_return_value_in_logs=False)(
        lambda: pd.DataFrame({"identifier_type": ["email"], "identifier_value": ["ana@x.example"]})
    )()
    sources = {"sources": {"crm": crm}}
    by_variable = {"pii": PII, "pii_salt": {"variable": "salt_of_tests"}}
    operator("by_variable", **sources, **by_variable)
    operator("by_connection", **sources, pii=PII, pii_salt={"conn_id": "salt_of_tests"})
    operator("begins", **sources, **(by_variable if day == 2 else {}))
    operator("no_variable", **sources, pii=PII, pii_salt={"variable": "no_such_salt"})
    operator("no_connection", **sources, pii=PII, pii_salt={"conn_id": "no_such_salt"})
    operator("no_password", **sources, pii=PII, pii_salt={"conn_id": "lite"})
    operator("weak", **sources, pii=PII, pii_salt={"variable": "weak_salt"})
    operator("no_salt", **sources, pii={"email": "drop"})
    forgotten = [{}, {}] if day == 1 else [{"forget": gone}, {"forget": {"task_ids": "gone"}}]
    operator("forgets", **sources, **forgotten[0])
    [crm, gone][:day] >> operator("upstream", **forgotten[1])
    people = {"conn_id": "lite", "table": "{{ params.list }}"}
    operator("listed", **sources, forget=people, params={"list": "people"})


@dataclass(frozen=True)
class Day:
    """A day's run and the tables after it."""

    ran: Ran
    tables: dict[str, list[dict[str, Any]]]

    def ids(self, name: str) -> set[str]:
        assert self.ran.states[name] == "success", self.ran.errors
        return {row["customer_id"] for row in self.tables[name]}


def tables(path: Path) -> dict[str, list[dict[str, Any]]]:
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        names = [
            name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")
        ]
        return {name: list(map(dict, connection.execute(f"select * from {name}"))) for name in names}


@pytest.fixture(scope="module")
def days(
    tmp_path_factory: pytest.TempPathFactory, airflow_db: None, airflow_home: Path
) -> Iterator[list[Day]]:
    """Two days of one shop."""
    path = tmp_path_factory.mktemp("personal_data") / "lite.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("create table people (identifier_type text, identifier_value text)")
        connection.execute("insert into people values ('E-Mail', ' BOB@x.example')")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_LITE", json.dumps({"conn_type": "sqlite", "host": str(path)}))
        patch.setenv("AIRFLOW_CONN_SALT_OF_TESTS", json.dumps({"conn_type": "generic", "password": SALT}))
        patch.setenv("AIRFLOW_VAR_SALT_OF_TESTS", SALT)
        patch.setenv("AIRFLOW_VAR_WEAK_SALT", "s3cr3t")
        found = []
        for day in (1, 2):
            [ran] = run_dag(airflow_home, lambda day=day: build(day), logical_date=DAY.add(days=day))
            found.append(Day(ran, tables(path)))
        yield found


@pytest.mark.parametrize("name", ["by_variable", "by_connection"])
def test_the_salt_is_from_a_variable_or_a_connection(days: list[Day], name: str) -> None:
    """Both give the digest that anybody with the salt can compute; a second run changes no row."""
    for day in days:
        rows = {row["customer_id"]: row for row in day.tables[name]}
        assert rows["c1"]["email"] == digest("ana@x.example")
        assert "full_name" not in rows["c1"]
        values = {row["identifier_value"] for row in day.tables[f"{name}_identities"]}
        assert digest("ana@x.example") in values
        assert "ana@x.example" not in values
    again = days[1].ran.returned[name]
    assert again["rows_unchanged"] == 3
    assert again["side_tables"][f"{name}_identities"]["rows_unchanged"] == 6


def test_hashing_begins(days: list[Day]) -> None:
    """Customers keep their ids; a table that has a dropped column keeps it, without a value."""
    before, after = days
    assert before.ids("begins") == after.ids("begins")
    assert {row["full_name"] for row in before.tables["begins"]} == {"Ana", "Bob", "Cleo"}
    assert {row["full_name"] for row in after.tables["begins"]} == {None}
    assert not after.ran.returned["begins"]["identity_events"]["created"]


@pytest.mark.parametrize(
    ("name", "message"),
    {
        "no_variable": "the variable 'no_such_salt', which does not exist or is empty. Make a salt",
        "no_connection": "the password of connection 'no_such_salt', which does not exist or is empty",
        "no_password": "the password of connection 'lite', which does not exist or is empty",
        "weak": "no text of 16 characters or more, so that it could be guessed",
        "no_salt": "pii names 'email', whose values are hashed where later runs must recognise them; give",
    }.items(),
)
def test_a_missing_salt_fails_the_task_for_good(days: list[Day], name: str, message: str) -> None:
    """And says what to do, without the salt."""
    from airflow.sdk.exceptions import AirflowFailException

    error = days[0].ran.errors[name]
    assert isinstance(error, AirflowFailException)
    assert message in str(error)
    assert "s3cr3t" not in str(error)


def test_people_are_forgotten(days: list[Day]) -> None:
    """From the day on which the list says so, also where the list is an upstream task and sources are too."""
    for name in ("forgets", "upstream"):
        before, after = (day.ids(name) for day in days)
        assert before - after == {"c1"}, name
        for table in (name, f"{name}_identities"):
            assert not re.search("ana@|c1", repr(days[1].tables[table]))
        assert days[1].ran.returned[name]["forgotten"]["records"] == 1
        assert any("1 customers with 1 records" in line for line in days[1].ran.log(name))
    assert days[1].ran.returned["upstream"]["data_sources"] == 1
    assert days[1].ids("listed") == {"c1", "c3"}


WRONG = {
    "actions": ({"pii": {"email": "encrypt"}}, "pii\\['email'\\] is 'encrypt'; allowed: hash, mask, drop"),
    "a list": ({"pii": ["email"]}, "pii is not a mapping"),
    "no salt": ({"pii": {"email": "hash"}}, "takes a salt: give pii_salt"),
    "the salt itself": ({"pii": PII, "pii_salt": SALT}, "The salt itself must not stand in a DAG file"),
    "another place": ({"pii": PII, "pii_salt": {"file": SALT}}, "pii_salt is a dict that does not say where"),
    "two places": ({"pii_salt": {"variable": "a", "conn_id": "b"}}, "pii_salt is a dict"),
    "no name": ({"pii_salt": {"variable": None}}, "pii_salt is a dict"),
    "a fraction": ({"preview_rows": 2.5}, "preview_rows is 2.5; give a whole number from 0"),
    "less than none": ({"preview_rows": -1}, "preview_rows is -1"),
    "people in the file": ({"forget": [("email", "ana@x.example")]}, "'forget' is a list; allowed"),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_argument_fails_at_parse_time(arguments: dict[str, Any], message: str) -> None:
    """Without what may be a secret."""
    with pytest.raises(ConfigError, match=message) as raised:
        operator("wrong", **arguments)
    assert SALT not in str(raised.value)
    assert "ana@" not in str(raised.value)
