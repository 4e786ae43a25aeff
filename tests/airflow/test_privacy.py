"""Customers' values, planted in every source, are looked for wherever Airflow keeps or prints text.

There are two sets of them. Those of `FRAMES` come from upstream tasks, whose results lie in Airflow's XCom as
always; those of `TABLES` come from databases and files, and must be in no file of Airflow's at all.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sqlite3
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import psycopg
import pytest

from airflow_provider_customer360.database.connections import hook_of as connections_hook_of
from tests import mariadb_server
from tests.airflow.support import Line, Ran, metadata, run_dag
from tests.publish.databases import UnknownPostgresHook, described

if TYPE_CHECKING:
    from tests.conftest import Postgres

#: Parts of the planted values that a mask must not show either.
FRAMES = ("zaphod", "Beeblebrox", "5550199", "555-0199", "555 0199", "PLANT-77", "Magrathea", "marvin")
TABLES = ("tricia", "McMillan", "5550188", "555-0188", "555 0188", "PLANT-88", "Islington", "fenchurch")
#: A value that a query is given.
PARAMETER = "secret-of-the-query"
#: The salt of hashed values.
SALT = "salt-that-nobody-may-read"

ROW: dict[str, Any] = {
    "customer_id": "PLANT-77",
    "email": "Zaphod.Beeblebrox@magic.example",
    "phone": "+1 415 555 0199",
    "full_name": "Zaphod Beeblebrox",
    "city": "Magrathea",
}
TABLE_ROW: dict[str, Any] = {
    "customer_id": "PLANT-88",
    "email": "Tricia.McMillan@gold.example",
    "phone": "+1 415 555 0188",
    "full_name": "Tricia McMillan",
    "city": "Islington",
}
SIDE = ("identifier_type", "identifier_value")
PAIR = (*SIDE, "other_identifier_type", "other_identifier_value", "reason")
#: People who are to be forgotten, by a frame and by a table.
GONE, TABLE_GONE = ("email", "marvin@heart.example"), ("email", "fenchurch@gold.example")
APART = ("customer_id", "PLANT-77", "customer_id", "PLANT-88", "Zaphod told us so")
SAME = ("email", "tricia.mcmillan@gold.example", "customer_id", "PLANT-88", "Tricia told us so")

#: Upstream tasks, whose results hold the values of `FRAMES`.
UPSTREAM = ("contacts", "part", "apart", "gone", "swapped")
#: Targets that are reached in other ways than Postgres and SQLite are by their own hooks.
HAS_MYSQL = mariadb_server.program() is not None and importlib.util.find_spec("MySQLdb") is not None
THROUGH = ("unknown", "adbc", *(["mysql"] if HAS_MYSQL else []))
SUCCEEDING = ("success", "to_sqlite", "again", "hashed", "quiet", *(f"to_{conn_id}" for conn_id in THROUGH))
FAILING = (
    *("failing_sql", "failing_duckdb_sql", "failing_parameters", "failing_rules", "failing_list"),
    *("broken_file", "broken_json", "swapped_list", "contradictory", "bad_previous", "no_salt"),
    *("bad_standard", "bad_valid", "bad_truth", "bad_time", "bad_key", "oversized"),
    *("unknown_derived", "impossible_derived", "erring_derived"),
    *("type_conflict", "too_narrow", "constraint", "not_null", "raising_trigger", "refused_identities"),
    *("sqlite_constraint", "duckdb_constraint"),
    *(f"{conn_id}_constraint" for conn_id in THROUGH),
)


def frame() -> pd.DataFrame:
    """The planted customer, one who is to be forgotten, and an amount for a metric."""
    return pd.DataFrame([ROW | {"amount": 7}, {"email": GONE[1], "amount": 1}])


def build() -> None:
    """The planted customers from each kind of source; successes, and a failure at each stage."""
    from airflow.sdk import task

    from airflow_provider_customer360 import Customer360Operator

    def upstream(name: str, columns: tuple[str, ...], *rows: tuple[str, ...]) -> Any:
        return task(task_id=name, show_return_value_in_logs=False)(
            lambda: pd.DataFrame(rows, columns=list(columns))
        )()

    @task(show_return_value_in_logs=False)
    def contacts() -> pd.DataFrame:
        return frame()

    @task(show_return_value_in_logs=False)
    def part(i: int) -> pd.DataFrame:
        return frame()

    data, parts = contacts(), part.expand(i=[1, 2])
    apart, gone = upstream("apart", PAIR, APART), upstream("gone", SIDE, GONE)
    swapped = upstream("swapped", SIDE, GONE[::-1])

    class Killed(Customer360Operator):
        """Is killed as soon as it is about to publish."""

        def _folded(self, title: str) -> Any:
            if title == "Publish":
                self.on_kill()
            return super()._folded(title)

    def of(name: str, extra: Any = None, kind: type = Customer360Operator, **more: Any) -> Any:
        sources = {
            "frames": data,
            "mapped": {"data": parts},
            "postgres": {"conn_id": "pg", "table": "planted"},
            "sqlite": {"conn_id": "lite", "table": "planted"},
            "files": {"path": "{{ dag_run.conf.folder }}/planted.*sv"},
        }
        arguments = {"sources": sources | (extra or {}), "target_conn_id": "pg", "forget": gone} | more
        return kind(task_id=name, asset_name=f"privacy_{name}", **arguments)

    def broken(conn_id: str, sql: str, **more: Any) -> dict[str, Any]:
        return {"broken": {"conn_id": conn_id, "sql": sql, **more}}

    lists = {
        "must_link": {"conn_id": "pg", "table": "same"},
        "must_not_link": apart,
        "forget": {"conn_id": "lite", "table": "gone"},
        "assignments_table": True,
    }
    cast = "select customer_id, email::int as amount from planted"
    success = of("success", **lists)
    success >> of("again", **lists, target_table="privacy_success")
    of("to_sqlite", target_conn_id="lite", **lists | {"forget": gone})
    for conn_id in THROUGH:
        of(f"to_{conn_id}", target_conn_id=conn_id, **lists | {"forget": gone})
    hashed = {"email": "hash", "phone": "mask", "full_name": "drop", "city": "hash"}
    of("hashed", **lists, pii=hashed, pii_salt={"variable": "planted_salt"})
    of("quiet", **lists, preview_rows=0)
    of("killed", kind=Killed)

    of("failing_sql", broken("pg", cast))
    of("failing_duckdb_sql", broken("duck", "select (email || '')::int as email from planted"))
    of(
        "failing_parameters",
        broken("pg", "select email, (%s)::int as x from planted", parameters=[PARAMETER]),
    )
    of("failing_rules", must_link={"conn_id": "pg", "sql": cast})
    of("failing_list", forget={"conn_id": "lite", "sql": "select abs(email), json(city) from planted"})
    of("broken_file", {"broken": {"path": "{{ dag_run.conf.folder }}/broken.csv"}})
    of("broken_json", {"broken": {"path": "{{ dag_run.conf.folder }}/broken.jsonl"}})
    of("swapped_list", forget=swapped)
    of("contradictory", must_link=lists["must_link"], must_not_link=lists["must_link"])
    of("bad_previous")
    of("no_salt", pii={"email": "hash"}, pii_salt={"variable": "no_such_variable"})

    of("bad_standard", identifier_types={"email": {"standardise": "value::int::varchar"}})
    of("bad_valid", identifier_types={"phone": {"valid": "value[2:]::tinyint > 0"}})
    of("bad_truth", survivorship={"full_name": "any"})
    of("bad_time", {"timed": {"conn_id": "pg", "table": "planted", "event_time": "full_name"}})
    of("bad_key", {"keyed": {"data": parts, "key": "email"}}, assignments_table=True)
    of("oversized", max_customer_records=1, on_oversized_customer="fail")

    of("unknown_derived", derived={"x": "nothing_of_the_kind + 1"})
    of("impossible_derived", derived={"x": "full_name::int"})
    of("erring_derived", derived={"x": "error(full_name)"})

    for name in ("type_conflict", "too_narrow", "constraint", "not_null", "raising_trigger"):
        of(name)
    of("refused_identities")
    for name, conn_id in {"sqlite": "lite", "duckdb": "duck", **{name: name for name in THROUGH}}.items():
        of(f"{name}_constraint", target_conn_id=conn_id)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files and embedded databases with a planted customer."""
    import duckdb

    path = tmp_path_factory.mktemp("privacy")
    pd.DataFrame([TABLE_ROW | {"amount": 7}]).to_csv(path / "planted.csv", index=False)
    header, line = (path / "planted.csv").read_text().splitlines()
    (path / "broken.csv").write_text(f'{header}\n{line}\n"{line},{line},{line}\n{line}"x"')
    (path / "broken.jsonl").write_text(json.dumps(TABLE_ROW) + '\n{"email": "tricia@gold.example", "phone"\n')
    columns = ", ".join(f"{name} text" for name in TABLE_ROW)
    values = list(TABLE_ROW.values())
    with closing(sqlite3.connect(path / "lite.db")) as connection, connection:
        connection.execute(f"create table planted ({columns})")
        connection.execute(f"insert into planted values ({', '.join('?' * len(values))})", values)
        connection.execute(f"create table gone ({', '.join(f'{name} text' for name in SIDE)})")
        connection.execute("insert into gone values (?, ?)", TABLE_GONE)
        connection.execute(
            "create table privacy_sqlite_constraint "
            "(customer_id text primary key, email text check (length(email) < 3))"
        )
    with duckdb.connect(path / "duck.db") as database:
        database.execute(f"create table planted ({columns})")
        database.execute(f"insert into planted values ({', '.join('?' * len(values))})", values)
        database.execute(
            "create table privacy_duckdb_constraint (customer_id text, email text check (length(email) < 3))"
        )
    return path


def plant(postgres: Postgres) -> None:
    """The planted customer in Postgres, and tables that refuse profiles."""
    identities = (*SIDE, "customer_id", "status", "first_seen", "last_seen", "records", "data_sources")
    filled: dict[str, tuple[tuple[str, ...], list[tuple[Any, ...]]]] = {
        "planted": (tuple(TABLE_ROW), [tuple(TABLE_ROW.values()), (None, TABLE_GONE[1], None, None, None)]),
        "same": (PAIR, [SAME]),
        "privacy_bad_previous_identities": (identities, [tuple(TABLE_ROW.values()) + ("Islington",) * 3]),
    }
    key = "customer_id text primary key"
    refusing = {
        "type_conflict": f"{key}, email integer",
        "too_narrow": f"{key}, email varchar(3) references privacy_names (name)",
        "constraint": f"{key}, email text check (length(email) < 3)",
        "not_null": f"{key}, last_seen timestamptz not null",
        "raising_trigger": f"{key}, full_name text",
        "unknown_constraint": f"{key}, email text check (length(email) < 3)",
        "adbc_constraint": f"{key}, email text check (length(email) < 3)",
        "refused_identities_identities": "identifier_type text, identifier_value text "
        "check (length(identifier_value) < 3), primary key (identifier_type, identifier_value)",
    }
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        for name, (columns, rows) in filled.items():
            connection.execute(f"create table {name} ({', '.join(f'{column} text' for column in columns)})")
            marks = ", ".join(["%s"] * len(columns))
            connection.cursor().executemany(f"insert into {name} values ({marks})", rows)
        connection.execute("create table privacy_names (name varchar(3) primary key)")
        for name, definition in refusing.items():
            connection.execute(f"create table privacy_{name} ({definition})")
        connection.execute(
            "create function tell() returns trigger language plpgsql as $$ begin "
            "raise notice 'noticed: %', new.full_name; raise warning 'warned: %', new.full_name; "
            "raise exception 'refused: %', new.full_name using detail = new.full_name, hint = new.full_name; "
            "end $$"
        )
        connection.execute(
            "create trigger tell before insert on privacy_raising_trigger "
            "for each row execute function tell()"
        )


@contextmanager
def printed(path: Path) -> Iterator[None]:
    """Whatever this process prints goes into a file, also what no Python code prints."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(number) for number in (1, 2)]
    with path.open("w") as output, pytest.MonkeyPatch.context() as patch:
        for number, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(output.fileno(), number)
            patch.setattr(sys, name, output)
        try:
            yield
        finally:
            output.flush()
            for number, before in zip((1, 2), kept, strict=True):
                os.dup2(before, number)
                os.close(before)


@pytest.fixture(scope="module")
def mysql_uri(request: pytest.FixtureRequest) -> Iterator[str]:
    """Of a database with a table that refuses profiles; empty where there is no MariaDB."""
    if not HAS_MYSQL:
        yield ""
        return
    server: mariadb_server.MariaDB = request.getfixturevalue("mariadb")
    with server.database() as name:
        key = "customer_id varchar(50) primary key"
        server.query(f"create table {name}.privacy_mysql_constraint ({key}, email text check (email = ''))")
        yield server.airflow_uri(name, "mysqlclient")


def hook_of(conn_id: str) -> Any:
    """As the package has it, but of one connection it does not know the database."""
    return UnknownPostgresHook("pg") if conn_id == "unknown" else connections_hook_of(conn_id)


@pytest.fixture(scope="module")
def output(
    folder: Path, postgres: Postgres, mysql_uri: str, airflow_db: None, airflow_home: Path
) -> Iterator[tuple[Ran, str]]:
    """One run of all of them, and all that it printed."""
    plant(postgres)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("airflow_provider_customer360.database.connections.hook_of", hook_of)
        patch.setenv("AIRFLOW_CONN_PG", postgres.airflow_uri)
        patch.setenv("AIRFLOW_CONN_UNKNOWN", postgres.airflow_uri)
        patch.setenv("AIRFLOW_CONN_ADBC", described("postgres", postgres.airflow_uri, is_adbc=True))
        patch.setenv("AIRFLOW_CONN_MYSQL", mysql_uri)
        patch.setenv("AIRFLOW_VAR_PLANTED_SALT", SALT)
        for name, kind in (("lite", "sqlite"), ("duck", "duckdb")):
            value = json.dumps({"conn_type": kind, "host": str(folder / f"{name}.db")})
            patch.setenv(f"AIRFLOW_CONN_{name.upper()}", value)
        with printed(folder / "printed"):
            [ran] = run_dag(
                airflow_home,
                build,
                run_conf={"folder": str(folder)},
                talkative=(
                    *("sqlalchemy", "sqlalchemy.engine", "sqlalchemy.engine.Engine", "sqlalchemy.pool"),
                    *("psycopg", "psycopg.pq"),
                ),
            )
        yield ran, (folder / "printed").read_text()


@pytest.fixture(scope="module")
def ran(output: tuple[Ran, str]) -> Ran:
    """The run alone."""
    return output[0]


def found(text: str, planted: tuple[str, ...] = (*FRAMES, *TABLES, SALT)) -> list[str]:
    """The planted values in a text, each with what surrounds it."""
    return [f"…{match[0]}…" for match in re.finditer(rf"(?is).{{0,120}}({'|'.join(planted)}).{{0,80}}", text)]


def hidden_in(line: Line) -> list[str]:
    """The planted values in a log record."""
    if line.logger.startswith("sqlalchemy"):  # Airflow's own database gives what upstream tasks returned
        return found(line.text, (*TABLES, SALT))
    # Airflow tells itself what it is to mask from then on, in this record too.
    return found(line.text, (*FRAMES, *TABLES) if "MaskSecret" in line.text else (*FRAMES, *TABLES, SALT))


def chain(error: BaseException | None) -> list[BaseException]:
    """An exception and all that it leads to, also what no traceback shows."""
    errors: list[BaseException] = []
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and one not in errors:
            errors.append(one)
            waiting += [one.__cause__, one.__context__]
    return errors


def test_it_is_found_where_it_is() -> None:
    """The search itself works: it finds the planted rows as they are, and nothing in a mask."""
    for row in (ROW, TABLE_ROW):
        assert all(found(str(value)) for value in row.values())
    assert all(found(value) for value in (GONE[1], TABLE_GONE[1], SALT))
    assert not found("Z***@magic.example PL***77 +1***99 T***@gold.example PL***88 Tr***an +1***88")


@pytest.mark.parametrize("task_id", SUCCEEDING)
def test_success(ran: Ran, task_id: str) -> None:
    """The tasks that should succeed did, without the one who is to be forgotten."""
    assert ran.states[task_id] == "success", ran.errors
    assert ran.returned[task_id]["total_customers"] == 3
    assert ran.returned[task_id]["forgotten"]["customers"] == 1


def test_what_was_planted_was_published(ran: Ran, folder: Path, postgres: Postgres) -> None:
    """Or there would be nothing to find; what is hashed, masked or dropped is in no table at all."""
    ends = ("", "_identities", "_identity_events", "_assignments")
    with closing(sqlite3.connect(folder / "lite.db")) as lite:
        text = repr([lite.execute(f"select * from privacy_to_sqlite{end}").fetchall() for end in ends])
    assert all(found(text, (value,)) for value in ("tricia", "zaphod", "Magrathea", "Islington", "fenchurch"))
    assert not found(text, ("marvin",))
    with psycopg.connect(postgres.dsn) as pg:
        text = repr([pg.execute(f"select * from privacy_hashed{end}").fetchall() for end in ends])
    assert found(text, ("PLANT-88",))
    assert not found(re.sub("PLANT-[78]+", "", text))


@pytest.mark.parametrize("task_id", FAILING)
def test_failures_tell_no_values(ran: Ran, task_id: str) -> None:
    """Each fails for good, with a message of the package's own; neither it nor its cause quotes a value."""
    from airflow.sdk.exceptions import AirflowFailException

    assert ran.states[task_id] == "failed"
    error = ran.errors[task_id]
    assert isinstance(error, AirflowFailException)
    assert_silent(error)


def test_a_kill_tells_no_values(ran: Ran) -> None:
    """A task that is killed before it publishes fails, and may be tried again."""
    assert ran.states["killed"] == "failed"
    assert "was killed before it published" in ran.message("killed")
    assert_silent(ran.errors["killed"])


def assert_silent(error: BaseException) -> None:
    text = "".join(traceback.format_exception(error))
    for one in chain(error):
        text += f"\n{one!r} {getattr(one, '__notes__', '')}"
    assert found(text) == []
    assert PARAMETER not in text


@pytest.mark.parametrize("task_id", [*SUCCEEDING, "killed", *FAILING])
def test_logs_hold_no_values(ran: Ran, task_id: str) -> None:
    """No record of any logger at any level, Airflow's, the hooks' and the drivers' among them."""
    lines = ran.lines[task_id]
    assert len(lines) > 5
    assert [value for line in lines for value in hidden_in(line)] == []
    # Airflow keeps what the DAG's author wrote into a template field.
    others = [line for line in lines if not line.logger.startswith("sqlalchemy")]
    assert not [line for line in others if PARAMETER in line.text and "SetRenderedFields" not in line.text]


def test_without_a_preview_not_even_masks_are_shown(ran: Ran) -> None:
    """Neither in the log nor in the summary, where they are otherwise."""
    masks = re.compile(r"\*\*\*@|PL\*\*\*|\+1\*\*\*")
    assert masks.search("\n".join(ran.log("success")))
    assert not masks.search("\n".join(line.text for line in ran.lines["quiet"]))
    assert not masks.search(json.dumps(ran.returned["quiet"]))
    assert not masks.search(json.dumps(ran.extras["privacy_quiet"]))
    assert ran.returned["quiet"]["preview"] == ""


def test_output_holds_no_values(output: tuple[Ran, str]) -> None:
    """Neither does what was printed, tracebacks included."""
    text = output[1]
    assert text.count("Task failed with exception") == len(FAILING) + 1
    assert found(text) == []


def test_metadata_database_holds_no_values(ran: Ran) -> None:
    """Rendered templates, XCom, asset events, task instances, the audit log, whatever there is; apart from
    what upstream tasks returned.
    """
    assert set(ran.returned) >= set(SUCCEEDING)
    assert {f"privacy_{name}" for name in SUCCEEDING} == set(ran.extras)
    assert "<DataFrame 1 rows x 2 columns>" in ran.rendered["to_sqlite"]
    with metadata(ran.home) as database:
        tables = [name for (name,) in database.execute("select name from sqlite_master where type = 'table'")]
        assert {"xcom", "asset_event", "rendered_task_instance_fields", "log"} <= set(tables)
        for table in tables:
            upstream = f" where task_id not in {UPSTREAM}" if table == "xcom" else ""
            for row in database.execute(f"select * from {table}{upstream}"):
                text = "\n".join(
                    one.decode(errors="replace") if isinstance(one, bytes) else str(one) for one in row
                )
                assert found(text) == [], table


def test_no_file_of_airflows_holds_values_of_tables(ran: Ran) -> None:
    """Not one byte of its database, of its logs or of anything else in its home."""
    files = [path for path in ran.home.rglob("*") if path.is_file()]
    assert ran.home / "airflow.db" in files
    for path in files:
        assert not found(path.read_bytes().decode(errors="replace"), (*TABLES, SALT)), path


def test_no_file_is_left_behind(ran: Ran) -> None:
    """What the engine put aside while it worked is gone."""
    assert ran.states
    assert not list(Path(tempfile.gettempdir()).glob("customer360-spill-*/duckdb*"))
