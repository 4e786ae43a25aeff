"""`airflow customer360 explain`, as it is typed: on tables of identities that a run gave."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import psycopg
import pyarrow as pa
import pytest

from airflow_provider_customer360.database.tables import parse_table, side_table
from airflow_provider_customer360.unify import Config, ConfigError, unify
from tests.conftest import Postgres

#: The name of a table that is safe only if it is quoted, and a percent sign that is safe only if it is bound.
ODD = '"100 % of ""us""; drop table x; --"'


@pytest.fixture(scope="module")
def identities() -> pa.Table:
    """Of a second run, in which the customers c1 and c2 turned out to be one, and one is new."""
    crm = pd.DataFrame({"customer_id": ["c1", "c2"], "email": ["ana@x.io", "bob@x.io"]})
    shop = pd.DataFrame({"email": ["ana@x.io"], "member_id": ["m-0001"]})
    with unify({"crm": crm}) as first:
        before = first.identities.to_arrow()
    with unify({"crm": crm.assign(email="ana@x.io"), "shop": shop}, previous=before) as second:
        return second.identities.to_arrow()


def write(connection: Any, table: str, identities: pa.Table, placeholder: str = "?") -> None:
    """Make a table of identities in any database: numbers and texts, which is all that is looked at."""
    rows = identities.drop_columns(["first_seen", "last_seen"]).to_pylist()
    columns = ", ".join(f"{name} {'bigint' if 'records' in name else 'text'}" for name in rows[0])
    cursor = connection.cursor()
    cursor.execute(f"create table {table} ({columns})")
    marks = ", ".join([placeholder] * len(rows[0]))
    sql = f"insert into {table} values ({marks})"
    cursor.executemany(
        sql if placeholder == "?" else sql.replace("100 %", "100 %%"), [[*row.values()] for row in rows]
    )
    connection.commit()


def typed(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    command = [sys.executable, "-m", "airflow", "customer360", "explain", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The command in this process, which need not start Airflow each time: what it prints or ends with."""
    from airflow.cli.cli_parser import get_parser

    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "")  # the command sets it: put back what was there

    def run(*arguments: str) -> str:
        parsed = get_parser().parse_args(["customer360", "explain", *arguments])
        try:
            parsed.func(parsed)
        except SystemExit as ended:
            return str(ended.code)  # a text goes to stderr, and the exit code is 1
        return capsys.readouterr().out

    return run


@pytest.fixture
def duck(tmp_path: Path, identities: pa.Table, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DuckDB file with identities, to which the connection ``duck`` leads."""
    path = tmp_path / "customers.duckdb"
    with duckdb.connect(str(path)) as connection:
        write(connection, "customers_identities", identities)
    monkeypatch.setenv("AIRFLOW_CONN_DUCK", json.dumps({"conn_type": "duckdb", "host": str(path)}))
    return path


def test_the_command_explains_a_customer_of_a_duckdb_file(duck: Path, airflow_db: None) -> None:
    """Typed as in the README, it prints the explanation, with e-mails masked, and nothing else."""
    done = typed("c1", "--table", "customers", "--conn-id", "duck")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "Customer c1: 4 identifiers",
        "  [1] customer_id c1, on 1 record",
        "  [2] customer_id c2, on 1 record",
        "  [3] member_id m***, on 1 record",
        "  [4] email a***@x.io, on 3 records",
        "Links, the weakest first:",
        "  [3] member_id m*** -- [4] email a***@x.io, on 1 record of shop; "
        "without it, 1 identifier would be another customer",
        "  [2] customer_id c2 -- [4] email a***@x.io, on 1 record of crm; "
        "without it, 1 identifier would be another customer",
        "  [4] email a***@x.io -- [1] customer_id c1, on 1 record of crm; "
        "without it, 3 identifiers would be another customer",
        "Earlier ids of this customer: c2",
        "No longer in the data: email b***@x.io",
    ]


def test_hashed_identities_are_explained_by_their_digests(tmp_path: Path, run: Any, monkeypatch: Any) -> None:
    """Which needs no salt; they are shortened, and shown in full where values are."""
    crm = pd.DataFrame({"customer_id": ["c1"], "email": ["ana@x.io"], "user_id": ["u-0001"]})
    hashed = Config(pii={"email": "hash", "user_id": "drop"})
    with unify({"crm": crm}, hashed, pii_salt="a salt that nobody knows") as result:
        identities = result.identities.to_arrow()
    [email] = [row["identifier_value"] for row in identities.to_pylist() if row["identifier_type"] == "email"]
    with duckdb.connect(str(tmp_path / "hashed.duckdb")) as connection:
        write(connection, "customers_identities", identities)
    connection_of = {"conn_type": "duckdb", "host": str(tmp_path / "hashed.duckdb")}
    monkeypatch.setenv("AIRFLOW_CONN_HASHED", json.dumps(connection_of))
    shown = run("c1", "--table", "customers", "--conn-id", "hashed")
    assert shown.startswith("Customer c1: 3 identifiers")
    assert f"email {email[:2]}***{email[-2:]}, on 1 record" in shown
    assert "user_id" in shown
    assert "u-0001" not in shown
    assert email in run("c1", "--table", "customers", "--conn-id", "hashed", "--show-values")


def test_the_command_ends_with_exit_code_1_and_one_line(duck: Path, airflow_db: None) -> None:
    """What goes wrong is told on stderr, without a traceback."""
    done = typed("nobody", "--table", "customers", "--conn-id", "duck")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("No identity has the customer_id 'nobody'.")
    assert len(done.stderr.splitlines()) == 1


def test_the_command_reads_postgres(
    postgres: Postgres, identities: pa.Table, run: Any, monkeypatch: Any
) -> None:
    """The id is bound in Postgres' own form, also where the name of the table has a percent sign."""
    monkeypatch.setenv("AIRFLOW_CONN_PG", postgres.airflow_uri)
    with psycopg.connect(postgres.dsn) as connection:
        connection.execute("create schema explained")
        write(connection, f"explained.{ODD}", identities, "%s")
    try:
        shown = run("c2", "--identities-table", f"explained.{ODD}", "--conn-id", "pg")
        assert shown.splitlines()[:2] == ["Customer c2 is now c1.", "Customer c1: 4 identifiers"]
        missing = run("c1", "--table", "explained.customers", "--conn-id", "pg")
        assert "cannot be read from table explained.customers_identities (postgres connection pg)" in missing
        assert "42P01" in missing
    finally:
        with psycopg.connect(postgres.dsn) as connection:
            connection.execute("drop schema explained cascade")


def test_the_command_reads_sqlite(tmp_path: Path, identities: pa.Table, run: Any, monkeypatch: Any) -> None:
    """SQLite is a target as well."""
    path = tmp_path / "customers.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        write(connection, '"my.customers_identities"', identities)
    monkeypatch.setenv("AIRFLOW_CONN_LITE", json.dumps({"conn_type": "sqlite", "host": str(path)}))
    assert run("c1", "--table", '"my.customers"', "-c", "lite").startswith("Customer c1: 4 identifiers")
    assert "no such table: customers_identities" in run("c1", "--table", "customers", "-c", "lite")


def test_an_id_is_a_value_and_never_sql(duck: Path, run: Any) -> None:
    """Whatever is typed as an id is compared with ids."""
    hostile = "c1' or '1' = '1"
    assert run(hostile, "-t", "customers", "-c", "duck").startswith(
        f"No identity has the customer_id {hostile!r}"
    )


def test_an_absorbed_id_explains_the_customer_that_it_became(duck: Path, run: Any) -> None:
    """And says so first."""
    lines = run("c2", "-t", "customers", "-c", "duck").splitlines()
    assert lines[:2] == ["Customer c2 is now c1.", "Customer c1: 4 identifiers"]


def test_values_are_shown_only_when_asked_for(duck: Path, run: Any) -> None:
    """E-mails, and values of types that the package does not know, are masked otherwise."""
    masked, shown = (run("c1", "-t", "customers", "-c", "duck", *more) for more in ((), ("--show-values",)))
    for value in ("ana@x.io", "bob@x.io", "m-0001"):
        assert value in shown
        assert value not in masked


def test_a_missing_table_says_who_publishes_identities(duck: Path, run: Any) -> None:
    """The usual mistakes are the name of the table and a task that publishes profiles alone."""
    message = run("c1", "--table", "clients", "--conn-id", "duck")
    assert message.startswith("The identities cannot be read from table clients_identities (duckdb ")
    assert "Only a task that publishes identities" in message
    assert "--identities-table" in message


def test_a_table_of_something_else_is_told_apart(duck: Path, run: Any) -> None:
    """A table without the columns of identities is no traceback."""
    with duckdb.connect(str(duck)) as connection:
        connection.execute("create table customers (customer_id text)")
    assert "cannot be read from table customers" in run("c1", "--identities-table", "customers", "-c", "duck")


def test_a_missing_connection_says_how_to_make_one(run: Any) -> None:
    """As everywhere else in the package."""
    assert run("c1", "-t", "customers", "-c", "nowhere").startswith(
        "There is no connection 'nowhere'. Create it"
    )


def test_without_the_default_connection_the_default_file_is_read(
    duck: Path, tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the operator writes by default the command looks by default, and it makes no file."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    missing = run("c1", "-t", "customers")
    assert missing.startswith("There is no connection 'customer360_default' and no file ")
    assert not (tmp_path / "customer360.duckdb").exists()
    duck.rename(tmp_path / "customer360.duckdb")
    assert run("c1", "-t", "customers").startswith("Customer c1:")


def test_a_table_must_be_named(run: Any) -> None:
    """There may be several tables of profiles in one database."""
    assert run("c1").startswith("Which table? Give --table")
    assert run("c1", "--table", "a.b.c").startswith("--table is 'a.b.c'; give 'name' or 'schema.name'")


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("customers", "customers_identities"),
        ("shop.customers", "shop.customers_identities"),
        ('"my.customers"', '"my.customers_identities"'),
        ('shop."my ""best"" ones"', 'shop."my ""best"" ones_identities"'),
        ('" padded"."x"', '" padded".x_identities'),
        ("Großkunden", "Großkunden_identities"),
        (ODD, '"100 % of ""us""; drop table x; --_identities"'),
    ],
)
def test_a_side_table_lies_beside_its_target(target: str, expected: str) -> None:
    """Same schema, the suffix behind the name, and the result can be read like any name of a table."""
    assert side_table(target, "_identities") == expected
    one, other = parse_table(target), parse_table(side_table(target, "_identities"))
    assert (other.schema, other.name) == (one.schema, one.name + "_identities")


@pytest.mark.parametrize("target", ["", "a.b.c", '"half', "."])
def test_a_side_table_needs_a_table(target: str) -> None:
    """What is no name of a table has no table beside it."""
    with pytest.raises(ConfigError, match=r"give 'name' or 'schema\.name'"):
        side_table(target, "_identities")


def test_the_definition_costs_no_airflow_command_anything() -> None:
    """Every `airflow` command imports it: it loads neither engine nor frames."""
    code = "import sys, airflow_provider_customer360.cli.definition; print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not [name for name in ("duckdb", "pandas", "pyarrow", "numpy", "airflow") if f"'{name}'" in loaded]
