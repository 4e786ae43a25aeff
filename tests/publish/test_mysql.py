"""What only MySQL and MariaDB have: collations, DDL that commits, statements that read a table once."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_customer360.publish import Published, TransientPublishError, dialects, publish
from airflow_provider_customer360.publish.loads import Removal, Snapshot
from airflow_provider_customer360.publish.mysql_session import MySQLSession
from airflow_provider_customer360.unify.errors import PublishError
from tests.mariadb_server import CLIENTS, MariaDB
from tests.publish.conftest import prepared
from tests.publish.databases import Database, events, identities, load, people, profiles
from tests.publish.test_failures import SECRET, Cancelled, cancel, everything_said_by
from tests.publish.test_several_tables import in_background

TEXT = {"customer_id": pa.string(), "email": pa.string()}
FEWER = profiles([("a", 2)], customer_id=pa.string(), orders=pa.int64())


@pytest.fixture(params=CLIENTS)
def mysql(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """MariaDB, with each client."""
    return prepared(request.param, request, tmp_path, monkeypatch)


COLLATIONS = (
    "utf8mb4_general_ci", "utf8mb4_bin", "utf8mb4_nopad_bin", "utf8mb4_unicode_nopad_ci",
    "utf8mb3_general_ci", "latin1_swedish_ci", "utf16_general_ci",
)  # fmt: skip


@pytest.mark.parametrize("collation", COLLATIONS)
@pytest.mark.parametrize("index", ["", "KEY (customer_id), "])
def test_texts_are_compared_exactly(mysql: Database, collation: str, index: str) -> None:
    """Case, accents and blanks count in keys and values, whatever the table's own collation says."""
    mysql.execute(
        f"CREATE TABLE customers ({index}customer_id varchar(50), email varchar(50)) "
        f"DEFAULT CHARACTER SET {collation.partition('_')[0]} COLLATE {collation}"
    )
    keys = ["a", "A", "a ", "é", "e", "E"]
    rows = profiles([(key, "x") for key in keys], **TEXT)
    assert mysql.publish(rows) == Published(6, 6, 0, 0, 0, created=False)
    assert mysql.publish(rows) == Published(6, 0, 0, 0, 6, created=False)
    changed = profiles([("a", "X"), ("A", "x "), ("a ", "x"), ("é", None), ("E", "x"), ("B", "x")], **TEXT)
    assert mysql.publish(changed) == Published(6, 1, 3, 1, 2, created=False)
    assert set(mysql.rows()) == {tuple(row.values()) for row in changed.to_pylist()}


def test_people_to_be_removed_are_told_apart_exactly(mysql: Database) -> None:
    """Only who is meant goes."""
    mysql.execute(
        "CREATE TABLE customers (customer_id varchar(50), email varchar(50)) COLLATE utf8mb4_general_ci"
    )
    mysql.publish(profiles([("a", None), ("A", None)], **TEXT))
    ids = pa.table({"customer_id": ["A"]})
    removals = (Removal(("customer_id",), ids.to_batches(), ids.schema),)
    published = publish(mysql.hook, [load(profiles([], **TEXT), mode="upsert", removals=removals)])
    assert published["customers"].rows_deleted == 1
    assert mysql.rows() == [("a", None)]


def test_a_key_that_does_not_tell_case(mysql: Database) -> None:
    """The database refuses the second key; the message says why, and the table is as it was."""
    mysql.execute(
        "CREATE TABLE customers (customer_id varchar(50) PRIMARY KEY, email text) COLLATE utf8mb4_general_ci"
    )
    mysql.publish(profiles([("a", "old")], **TEXT))
    mysql.publish(profiles([("A", "old")], **TEXT))  # another customer, but not beside the first
    with pytest.raises(
        PublishError, match=r"1062, constraint 'PRIMARY'\).*ignores case or accents"
    ) as caught:
        mysql.publish(profiles([(SECRET, "x"), (SECRET.upper(), "x")], **TEXT))
    assert SECRET not in everything_said_by(caught.value).lower()
    assert mysql.rows() == [("A", "old")]


@pytest.mark.parametrize(
    "key", ["customer_id varchar(50)", "customer_id varchar(50) CHARACTER SET latin1 PRIMARY KEY"]
)
def test_a_table_that_cannot_be_searched(mysql: Database, key: str) -> None:
    """Without an index on the key, or with one that is of no use, each row is still read only once."""
    mysql.execute(f"CREATE TABLE customers ({key}, orders bigint)")

    def generation(number: int) -> pa.Table:
        ids = [f"{n:06}" for n in range(number, number + 20_000)]
        return pa.table({"customer_id": ids, "orders": [n // 1000 * number for n in range(20_000)]})

    started = time.monotonic()
    mysql.publish(generation(0))
    assert mysql.publish(generation(1)).rows_updated == 18_999
    assert time.monotonic() - started < 60  # not the minutes of 400 million comparisons


def test_the_connection_s_characters_and_cursors_do_not_matter(
    mysql: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection may say latin1, or ask for rows that are dicts."""
    uri = os.environ["AIRFLOW_CONN_TARGET"]
    rows = profiles([("名😀", "ü")], **TEXT)
    with monkeypatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_TARGET", f"{uri}&charset=latin1&cursor=dictcursor")
        assert mysql.publish(rows).rows_inserted == 1
        patch.setenv("AIRFLOW_CONN_TARGET", f"{uri}&cursor=sscursor")
        assert mysql.publish(rows).rows_unchanged == 1
    assert mysql.rows() == [("名😀", "ü")]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.text("\\'\"\0\n\r\x1a%;-`a é名😀 ", max_size=8) | st.none(), min_size=1, max_size=20),
    number=st.floats(allow_nan=False, allow_infinity=False),
)
def test_any_text_and_number_is_a_value(mysql: Database, texts: list[str | None], number: float) -> None:
    """What quotes, escapes or ends a text in SQL is a character like others; every bit of a number counts."""
    columns = {"customer_id": pa.int64(), "value": pa.string(), "number": pa.float64()}
    rows = [(position, text, number) for position, text in enumerate(texts)]
    mysql.publish(profiles(rows, **columns))
    assert mysql.rows("customer_id, value, number") == rows
    assert mysql.publish(profiles(rows, **columns)).rows_unchanged == len(rows)


def test_rows_of_every_size(mysql: Database) -> None:
    """A statement takes as many rows as the server lets it; one row may be large, and all of them."""
    texts = ["x", "y" * 5_000_000, "z", *["w" * 300_000] * 100]
    mysql.publish(
        profiles([(n, text) for n, text in enumerate(texts)], customer_id=pa.int64(), value=pa.string())
    )
    assert mysql.rows("customer_id, length(value)") == [(n, len(text)) for n, text in enumerate(texts)]
    with pytest.raises(PublishError, match=r"1153\).*max_allowed_packet"):
        mysql.publish(profiles([(1, "x" * 17_000_000)], customer_id=pa.int64(), value=pa.string()))


def test_names_of_tables_that_differ_by_case(mysql: Database) -> None:
    """Where the server tells them apart, each is described by its own columns."""
    mysql.execute("CREATE TABLE CUSTOMERS (id int)", "CREATE VIEW Customers AS SELECT 1 AS one")
    assert mysql.publish(people(("a", None, 1))).created
    assert mysql.publish(people(("a", None, 1))).rows_unchanged == 1
    assert mysql.rows() == [("a", None, 1)]


def statements_of(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements of all sessions from now on."""
    seen: list[str] = []
    for method in ("execute", "fetch"):
        original: Callable[..., Any] = getattr(MySQLSession, method)

        def recorded(session: Any, statement: str, *rest: Any, original: Any = original) -> Any:
            seen.append(statement)
            return original(session, statement, *rest)

        monkeypatch.setattr(MySQLSession, method, recorded)
    return seen


def test_a_temporary_table_is_read_once_in_a_statement(
    mysql: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MySQL cannot open it again; MariaDB, on which this runs, can."""
    seen = statements_of(monkeypatch)
    ids = pa.table({"customer_id": ["b"]})
    removals = (Removal(("customer_id",), ids.to_batches(), ids.schema),)

    def run(day: int, *rows: tuple[str, str | None, int | None], **arguments: Any) -> None:
        at = datetime(2024, 1, day, tzinfo=UTC)
        snapshot = people(*rows).append_column("at", pa.array([at] * len(rows), pa.timestamp("us", "UTC")))
        retained = Snapshot("at", at, at - timedelta(days=1))
        history = load(snapshot, "history", "at", "customer_id", snapshot=retained, removals=removals)
        first = load(people(*rows), removals=removals, **arguments)
        publish(mysql.hook, [first, history, identities(("email", "x", "a")), events(("1", rows[0][0]))])

    run(1, ("a", "x", 1), ("b", "x", 1), ("c", "x", 1))
    run(2, ("a", "y", 1), ("d", "x", 1))
    run(5, ("a", "z", 1), ("e", "x", 1), mode="upsert")
    assert len(mysql.rows(table="history")) == 2
    names = "staging|differences|changes|snapshot|oldest|removal0"
    counts = [
        max(Counter(re.findall(rf"customer360_(?:{names})_[0-9a-f]{{8}}", statement)).values(), default=0)
        for statement in seen
    ]
    assert len(seen) > 100
    assert max(counts) == 1


def test_what_hangs_on_the_table_survives(mysql: Database, mariadb: MariaDB) -> None:
    """Grants, indexes, comments, triggers, dependent views and foreign keys are those of before."""
    schema = mysql.default_schema
    mysql.publish(people(("a", "a@x.org", 1), ("b", None, 2)))
    mariadb.query("CREATE OR REPLACE USER analyst@'127.0.0.1'")
    mariadb.query(f"GRANT SELECT ON {schema}.customers TO analyst@'127.0.0.1'")
    mysql.execute(
        "CREATE INDEX by_orders ON customers (orders)",
        "ALTER TABLE customers COMMENT 'ours', MODIFY orders bigint COMMENT 'in all'",
        "CREATE VIEW ordering AS SELECT customer_id FROM customers WHERE orders > 1",
        "CREATE TABLE notes (customer_id varchar(768) COLLATE utf8mb4_nopad_bin, n int, "
        "FOREIGN KEY (customer_id) REFERENCES customers (customer_id))",
        "INSERT INTO notes VALUES ('a', 1)",
        "CREATE TRIGGER noted AFTER UPDATE ON customers FOR EACH ROW UPDATE notes SET n = n + 1",
    )
    wider = profiles([("a", "new", 3, 1), ("c", None, 4, 1)], **TEXT, orders=pa.int64(), visits=pa.int64())
    mysql.publish(wider)
    assert mysql.rows(table="notes") == [("a", 2)]
    assert mysql.rows(table="ordering") == [("a",), ("c",)]
    ((_, created),) = mysql.query("SHOW CREATE TABLE customers")
    assert "by_orders" in created
    assert "COMMENT='ours'" in created
    assert "COMMENT 'in all'" in created
    grants = "SELECT table_name FROM information_schema.table_privileges WHERE grantee LIKE '%analyst%'"
    assert mariadb.query(grants) == [("customers",)]
    with pytest.raises(PublishError, match="1451, constraint 'notes_ibfk_1'"):
        mysql.publish(people(("c", None, 1)))


def test_replacing_columns_keeps_the_rest(mysql: Database) -> None:
    """Indexes, comments, foreign keys and triggers stay, since the table does."""
    mysql.execute(
        "CREATE TABLE customers (customer_id varchar(50) PRIMARY KEY, orders bigint COMMENT 'all', old int, "
        "KEY by_orders (orders)) COMMENT 'ours' COLLATE utf8mb4_bin"
    )
    rows = profiles([("a", 1, 2.5)], customer_id=pa.string(), orders=pa.int64(), spent=pa.float64())
    replacing = load(rows, on_schema_change="replace")
    assert publish(mysql.hook, [replacing])["customers"] == Published(1, 1, 0, 0, 0, created=False)
    assert mysql.rows("*") == [("a", 1, 2.5)]
    ((_, created),) = mysql.query("SHOW CREATE TABLE customers")
    for kept in ("by_orders", "COMMENT 'all'", "COMMENT='ours'", "utf8mb4_bin"):
        assert kept in created
    mysql.execute(
        "CREATE TABLE notes (customer_id varchar(50) COLLATE utf8mb4_bin, "
        "FOREIGN KEY noted (customer_id) REFERENCES customers (customer_id))",
        "CREATE TRIGGER counted AFTER INSERT ON customers FOR EACH ROW DELETE FROM notes",
    )
    fewer = load(profiles([("a", 1)], customer_id=pa.string(), orders=pa.int64()), on_schema_change="replace")
    publish(mysql.hook, [fewer])
    assert mysql.rows("*") == [("a", 1)]
    assert mysql.tables() == {"customers", "notes"}
    triggers = "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = database()"
    assert mysql.query(triggers) == [("counted",)]


def test_columns_are_dropped_when_the_rows_are_there(
    mysql: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That would commit what was done before: if it fails, the error says what is left for the next run."""
    monkeypatch.setattr(dialects, "LOCK_SECONDS", 1.0)
    mysql.publish(people(("a", "old", 1)))
    loads = [load(FEWER, on_schema_change="replace"), events(("1", "made"))]
    with closing(mysql.hook.get_conn()) as reader:
        with closing(reader.cursor()) as cursor:
            cursor.execute("SELECT orders FROM customers")
            cursor.fetchall()  # in a transaction that is not over
        with pytest.raises(TransientPublishError, match=r"rows are published, .* still to drop 'email'"):
            publish(mysql.hook, loads)
        assert mysql.rows("customer_id, orders") == [("a", 2)]
        assert mysql.rows(table="events") == [("1", "made")]
        reader.rollback()
    publish(mysql.hook, [load(FEWER, on_schema_change="replace")])
    assert mysql.rows() == [("a", 2)]


def test_columns_that_cannot_be_dropped_at_the_end_are_refused(mysql: Database) -> None:
    """Where new rows cannot do without an old column, or with it, nothing is begun."""
    mysql.execute(
        "CREATE TABLE customers (customer_id varchar(50) PRIMARY KEY, orders bigint, tier int NOT NULL)"
    )
    with pytest.raises(PublishError, match="'tier' of table customers refuses NULL"):
        publish(mysql.hook, [load(FEWER, on_schema_change="replace")])
    mysql.execute("ALTER TABLE customers DROP COLUMN tier, MODIFY orders date")
    with pytest.raises(PublishError, match="'orders' is date, the new rows need bigint"):
        publish(mysql.hook, [load(FEWER, on_schema_change="replace")])


def test_few_rights_are_enough(mysql: Database, mariadb: MariaDB, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who publishes to a table that exists needs to write to it, and temporary tables of their own."""
    mysql.publish(people(("a", None, 1)))
    schema = mysql.default_schema
    for statement in (
        "CREATE OR REPLACE USER publisher@'127.0.0.1'",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.customers TO publisher@'127.0.0.1'",
        f"GRANT CREATE TEMPORARY TABLES ON {schema}.* TO publisher@'127.0.0.1'",
    ):
        mariadb.query(statement)
    uri = os.environ["AIRFLOW_CONN_TARGET"].replace("customer360@", "publisher@")
    with monkeypatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_TARGET", uri)
        assert mysql.publish(people(("a", None, 2), ("b", None, 1))) == Published(
            2, 1, 1, 0, 0, created=False
        )
        with pytest.raises(PublishError, match=r"114[24]\).*Grant the connection's user what it lacks"):
            mysql.publish(people(("a", None, 2)), "new")
    assert mysql.tables() == {"customers"}


def test_a_server_that_demands_primary_keys(mysql: Database, mariadb: MariaDB) -> None:
    """Every table has one, those with several columns in their keys too."""
    mariadb.query("SET GLOBAL innodb_force_primary_key = ON")
    try:
        for _ in range(2):
            publish(
                mysql.hook,
                [load(people(("a", None, 1))), identities(("email", "x", "a")), events(("1", "x"))],
            )
    finally:
        mariadb.query("SET GLOBAL innodb_force_primary_key = OFF")


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([("x" * 769, "e")], r"1406\).*room for 768 characters"),
        ([("a", "e" * 21)], r"1406, column 'email'\).*longer than its column"),
        ([("a", "名")], r"1366\).*character set utf8mb4"),
        ([("a", "no")], r"4025, constraint '[^']*no_no'\).*A constraint that somebody put on the table"),
        ([("a", "trigger")], r"1644\).*A constraint that somebody put on the table"),
        ([("a", "one"), ("b", "one")], r"1062, constraint 'by_email'\)"),
        ([(None, "e")], r"1048\).*NULL is refused"),
    ],
    ids=str,
)
def test_a_refused_row_is_told_without_its_values(
    mysql: Database, rows: list[tuple[Any, ...]], told: str
) -> None:
    """The message has MySQL's number, whose rule it is, and what to do; it is final, and has no value."""
    mysql.execute(
        "CREATE TABLE customers (customer_id varchar(9) PRIMARY KEY, email varchar(20) CHARACTER SET latin1, "
        "UNIQUE KEY by_email (email), CONSTRAINT no_no CHECK (email <> 'no'))",
        "CREATE TRIGGER guard BEFORE INSERT ON customers FOR EACH ROW "
        "IF NEW.email = 'trigger' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'planted'; END IF",
    )
    with pytest.raises(PublishError, match=told) as caught:
        mysql.publish(profiles(rows, **TEXT))
    assert not isinstance(caught.value, TransientPublishError)
    said = everything_said_by(caught.value)
    assert not any(value in said for value in ("planted", "x" * 20, "e" * 20, "名"))
    assert mysql.rows() == []


def test_too_many_columns(mysql: Database) -> None:
    """The message says what to do; nothing of the table remains."""
    names = {f"c{number}": pa.string() for number in range(600)}
    with pytest.raises(PublishError, match=r"1118\).*more columns than the database allows"):
        mysql.publish(profiles([], customer_id=pa.string(), **names))
    assert mysql.tables() == set()


@pytest.mark.parametrize("years", [(9999, True), (10_000, False)])
def test_the_last_year(mysql: Database, years: tuple[int, bool]) -> None:
    """Dates end with the year 9999; a later one is refused and not changed."""
    year, fits = years
    days = [(year - 1970) * 365 + 2000]
    rows = pa.table({"customer_id": ["a"], "born": pa.array(days, pa.int32()).cast(pa.date32())})
    if fits:
        assert mysql.publish(rows).rows_inserted == 1
    else:
        with pytest.raises(PublishError, match=r"1292\).*a year after 9999"):
            mysql.publish(rows)


@pytest.mark.parametrize("moment", ["loading", "merged"])
def test_a_lost_connection_is_worth_a_retry(mysql: Database, mariadb: MariaDB, moment: str) -> None:
    """A server that ends the session is a transient failure, wherever it happens; the next run works."""
    mysql.publish(people(("a", "old", 1)))

    def end_all() -> None:
        schema = mysql.default_schema
        mine = "SELECT id FROM information_schema.processlist WHERE db = '{}' AND user = 'customer360'"
        for (session,) in mariadb.query(mine.format(schema)):
            mariadb.query(f"KILL {session}")

    def batches() -> Iterator[pa.RecordBatch]:
        yield from people(("b", SECRET, 1)).to_batches()
        if moment == "loading":
            end_all()
        yield from people(("c", SECRET, 1)).to_batches()

    check = end_all if moment == "merged" else lambda: None
    loads = [load(batches(), schema=people().schema), identities(("email", "x", "b"))]
    with pytest.raises(TransientPublishError, match="run the task again") as caught:
        publish(mysql.hook, loads, before_commit=check)
    assert SECRET not in everything_said_by(caught.value)
    assert mysql.rows() == [("a", "old", 1)]
    publish(mysql.hook, [load(people(("a", "new", 1))), identities(("email", "x", "b"))])
    assert mysql.tables() == {"customers", "identities"}


def test_a_lock_that_others_hold(mysql: Database, mariadb: MariaDB, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another publisher, and somebody's open transaction, are waited for, but not for ever."""
    mysql.publish(people(("a", "old", 1)))
    monkeypatch.setattr(dialects, "LOCK_SECONDS", 1.0)

    def overtaken() -> None:
        with pytest.raises(TransientPublishError, match="run the task again"):
            mysql.publish(people(("a", "newer", 1)))

    mysql.publish(people(("a", "new", 1)), before_commit=overtaken)
    assert mysql.rows() == [("a", "new", 1)]
    connection = mysql.hook.get_conn()
    try:
        cursor = connection.cursor()
        cursor.execute("START TRANSACTION")
        cursor.execute("UPDATE customers SET orders = 2")
        with pytest.raises(TransientPublishError, match=r"1205\)"):
            mysql.publish(people(("a", "newest", 1)))
        connection.rollback()
    finally:
        connection.close()
    assert mysql.publish(people(("a", "newest", 1))).rows_updated == 1


def test_a_read_only_server(mysql: Database, mariadb: MariaDB) -> None:
    """It says so."""
    mysql.publish(people(("a", None, 1)))
    mariadb.query("SET GLOBAL read_only = ON")
    try:
        with pytest.raises(PublishError, match=r"1290\).*read-only"):
            mysql.publish(people(("a", None, 2)))
    finally:
        mariadb.query("SET GLOBAL read_only = OFF")


def test_a_failed_first_run_leaves_nothing(mysql: Database) -> None:
    """New tables are filled under other names, which go when the run fails at the last moment."""
    mysql.publish(people(("a", "old", 1)))
    loads = [load(people(("a", "new", 1))), identities(("email", "x", "a")), events(("1", "made"))]
    with pytest.raises(Cancelled):
        publish(mysql.hook, loads, before_commit=cancel)
    assert mysql.everything() == {"customers": [("a", "old", 1)]}


@pytest.mark.parametrize("change", ["add", "replace"])
def test_readers_do_not_wait_behind_an_alteration(mysql: Database, change: Any) -> None:
    """While somebody's long query keeps a table from being altered, others go on reading it."""
    mysql.publish(people(("a", "old", 1)))
    wider = profiles([("a", 1, 2)], customer_id=pa.string(), orders=pa.int64(), visits=pa.int64())
    reader = mysql.hook.get_conn()
    try:
        cursor = reader.cursor()
        cursor.execute("SELECT count(*) FROM customers")  # in a transaction that is not over
        cursor.fetchall()
        run = in_background(mysql, [load(wider, on_schema_change=change)])
        waits = []
        for _ in range(40):
            started = time.monotonic()
            mysql.rows()
            waits.append(time.monotonic() - started)
            time.sleep(0.1)
        assert not run.done()
        reader.rollback()
    finally:
        reader.close()
    assert run.result(60)["customers"].rows_updated == 1
    assert max(waits) < 3
    assert max(waits) > 0.5  # the alteration did wait


def test_new_texts_hold_every_character(mysql: Database) -> None:
    """Columns that are added to a table of other characters, or widened to text, are not of those."""
    mysql.execute(
        "CREATE TABLE customers (customer_id bigint PRIMARY KEY, n bigint) DEFAULT CHARACTER SET latin1"
    )
    numbers = profiles([(1, 1), (2, 2)], customer_id=pa.int64(), n=pa.int64())
    mysql.publish(numbers)
    rows = profiles(
        [("名", "😀", "ü"), ("1", "1", None)], customer_id=pa.string(), n=pa.string(), email=pa.string()
    )
    assert mysql.publish(rows) == Published(2, 1, 0, 1, 1, created=False)
    assert set(mysql.rows("customer_id, n, email")) == {tuple(row.values()) for row in rows.to_pylist()}
    assert mysql.publish(rows).rows_unchanged == 2
    ((key,),) = mysql.query(
        "SELECT count(*) FROM information_schema.statistics WHERE index_name = 'PRIMARY' "
        "AND table_schema = database()"
    )
    assert key == 1


def test_a_float_is_not_a_double(mysql: Database) -> None:
    """It has no room for whole numbers beyond 2^24."""
    mysql.execute("CREATE TABLE customers (customer_id varchar(50) PRIMARY KEY, orders float)")
    with pytest.raises(PublishError, match="'orders' is float, the new rows need bigint"):
        mysql.publish(profiles([("a", 2**24 + 1)], customer_id=pa.string(), orders=pa.int64()))


def test_a_connection_without_a_database(mysql: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what is missing."""
    schema = mysql.default_schema
    nowhere = os.environ["AIRFLOW_CONN_TARGET"].replace(f"/{schema}?", "/?")
    with monkeypatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_TARGET", nowhere)
        with pytest.raises(PublishError, match=r"1046\).*names no database"):
            mysql.publish(people(("a", None, 1)), f"{schema}.customers")
