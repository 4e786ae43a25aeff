"""Whatever goes wrong, the table is as it was, a rerun works, and no message has a customer in it."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pyarrow as pa
import pytest

from airflow_provider_customer360.publish import (
    Published,
    TransientPublishError,
    dialects,
    publish,
    table_exists,
)
from airflow_provider_customer360.unify.errors import PublishError
from tests.publish.children import child_publishing
from tests.publish.databases import Database, described, events, identities, load, people, profiles

OLD = people(("a", "a@x.org", 1), ("b", "b@x.org", 2))
NEW = people(("b", "new@x.org", 2), ("c", "c@x.org", 3))


class Cancelled(BaseException):
    """Not an Exception, as KeyboardInterrupt and Airflow's own are not."""


#: Not in one piece in the source, because a traceback quotes the lines of the test.
SECRET = "".join(["sec", "ret@x.org"])


def cancel() -> None:
    raise Cancelled


def interrupted(table: pa.Table) -> Iterator[pa.RecordBatch]:
    """One batch, then the source fails."""
    yield table.to_batches()[0]
    raise Cancelled


def assert_untouched(db: Database) -> None:
    """The old rows and nothing else, and publishing works."""
    assert db.rows() == [("a", "a@x.org", 1), ("b", "b@x.org", 2)]
    assert db.tables() == {"customers"}
    assert db.publish(NEW) == Published(2, 1, 1, 1, 0, created=False)


def test_what_the_last_check_raises_cancels_everything(db: Database) -> None:
    """`before_commit` may refuse, and before anything is altered; its exception gets out as it is."""
    db.publish(OLD)
    with pytest.raises(Cancelled):
        db.publish(NEW.append_column("added", pa.array([1, 2])), before_commit=cancel)
    assert_untouched(db)


def test_the_last_check_cancels_a_creation(db: Database) -> None:
    """No empty table remains."""
    with pytest.raises(Cancelled):
        db.publish(NEW, before_commit=cancel)
    assert db.tables() == set()
    assert not table_exists(db.hook, "customers")


def test_a_source_that_fails_while_loading(db: Database) -> None:
    """The error of whoever makes the profiles gets out as it is."""
    db.publish(OLD)
    with pytest.raises(Cancelled):
        publish(db.hook, [load(interrupted(NEW), schema=NEW.schema)])
    assert_untouched(db)


def test_a_batch_that_is_not_of_the_schema(db: Database) -> None:
    """Values that do not fit the schema are a failure and not a cut value."""
    db.publish(OLD)
    wrong = pa.record_batch({"customer_id": ["a"], "email": [SECRET], "orders": [SECRET]})
    with pytest.raises(PublishError) as caught:
        publish(db.hook, [load([wrong], schema=NEW.schema)])
    assert SECRET not in everything_said_by(caught.value)
    assert_untouched(db)


def test_readers_see_the_old_table_until_the_commit(db: Database) -> None:
    """While everything is written but not committed, a reader gets the old rows and does not wait."""
    db.publish(OLD)
    seen: list[Any] = []
    db.publish(NEW, before_commit=lambda: seen.extend(db.rows()))
    assert seen == [("a", "a@x.org", 1), ("b", "b@x.org", 2)]
    assert db.rows() == [("b", "new@x.org", 2), ("c", "c@x.org", 3)]


@pytest.mark.parametrize("moment", ["loading", "merged"])
def test_a_kill_leaves_the_old_table(db: Database, moment: str) -> None:
    """kill -9 at any moment leaves the old rows and nothing that the next run does not remove."""
    db.publish(OLD)
    with child_publishing(db, moment) as child:
        child.kill()
        child.join()
    wait_until(lambda: db.lasting_tables() == {"customers"})  # a server takes a moment to notice
    assert db.rows() == [("a", "a@x.org", 1), ("b", "b@x.org", 2)]
    published = publish(db.hook, [load(NEW), identities(("email", "x", "b")), events(("1", "made"))])
    assert published["customers"] == Published(2, 1, 1, 1, 0, created=False)
    assert db.tables() == {"customers", "identities", "events"}


def wait_until(condition: Callable[[], bool]) -> None:
    """Poll; fail after half a minute."""
    waiting = threading.Event()
    for _ in range(300):
        if condition():
            return
        waiting.wait(0.1)
    raise AssertionError("waited in vain")


@pytest.mark.parametrize("first_run", [True, False], ids=["creating", "replacing"])
def test_two_runs_at_once_take_turns(db: Database, first_run: bool) -> None:
    """The second waits for the first, and the table is then the second's; neither fails."""
    if db.has_one_connection:
        pytest.skip("the second waits to connect")
    if not first_run:
        db.publish(OLD)
    ends: list[str] = []
    results: dict[str, Any] = {}
    loaded = threading.Event()

    def second_batches() -> Iterator[pa.RecordBatch]:
        yield from NEW.to_batches()
        loaded.set()

    def second() -> None:
        try:
            results["second"] = publish(
                db.hook,
                [load(second_batches(), schema=NEW.schema)],
                before_commit=lambda: ends.append("second"),
            )["customers"]
        except Exception as error:
            results["second"] = error

    thread = threading.Thread(target=second)

    def hold() -> None:
        if thread.ident:
            return
        thread.start()
        assert db.loads_alone or loaded.wait(30)
        thread.join(0.5)  # time enough for the second to overtake, if it could
        ends.append("first")

    table = people(("a", "first", 1), ("z", "first", 9))
    db.publish(table, before_commit=hold)
    thread.join(30)
    assert ends == ["first", "second"]
    assert results["second"] == Published(2, 2, 0, 2, 0, created=False)
    assert db.rows() == [("b", "new@x.org", 2), ("c", "c@x.org", 3)]


def everything_said_by(error: BaseException) -> str:
    """All that a log could show of an error, its hidden context included."""
    chain: list[str] = []
    current: BaseException | None = error
    while current is not None:
        chain += [repr(current), *map(repr, current.args), *traceback.format_exception(current)]
        current = current.__cause__ or current.__context__
    return "\n".join(chain)


def test_a_constraint_of_the_live_table_tells_no_value(db: Database) -> None:
    """The message says what to do and whose rule it is; databases' own messages quote the row."""
    db.publish(OLD)
    db.create_unique_index("one_email", "customers", "email")
    with pytest.raises(PublishError, match="A constraint that somebody put on the table") as caught:
        db.publish(people(("a", SECRET, 1), ("b", SECRET, 2)))
    assert not isinstance(caught.value, TransientPublishError)
    said = everything_said_by(caught.value)
    assert SECRET not in said
    assert ("one_email" in said) == db.words.names_constraints
    db.drop_index("one_email", "customers")
    assert_untouched(db)


def test_a_failing_load_tells_no_value(pg: Database) -> None:
    """COPY's context has the line that failed; it stays in the database."""
    beyond = profiles([(SECRET, 2**31 - 1)], customer_id=pa.string(), born=pa.int32())
    beyond = beyond.set_column(1, "born", beyond["born"].cast(pa.date32()))
    with pytest.raises(PublishError, match=r"\(2200[78]\).*beyond what a column can hold") as caught:
        pg.publish(beyond)
    assert SECRET not in everything_said_by(caught.value)


def test_a_key_that_is_too_long_for_an_index(pg: Database) -> None:
    """The message says what cannot be, and not the value."""
    digits = "".join(f"{number * number}" for number in range(2_000))  # does not compress to what fits
    with pytest.raises(PublishError, match=r"\(54000\).*longer than the database can index") as caught:
        pg.publish(people((digits, None, 1)))
    assert digits[:40] not in everything_said_by(caught.value)


def test_a_server_that_is_not_there_is_worth_a_retry(pg: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the connection, not its password."""
    nothing = f"postgres://me:{SECRET[:6]}@127.0.0.1:1/nothing"
    monkeypatch.setenv("AIRFLOW_CONN_TARGET", described(pg.name, nothing, is_adbc=pg.is_adbc))
    with pytest.raises(TransientPublishError, match="Connecting with 'target'") as caught:
        pg.publish(OLD)
    assert SECRET[:6] not in everything_said_by(caught.value)


@pytest.mark.parametrize("name", ["sqlite", "duckdb"])
def test_a_file_in_use_is_worth_a_retry(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may have the file for longer than one waits."""
    db: Database = request.getfixturevalue(name)
    db.publish(OLD)
    monkeypatch.setattr(dialects, "LOCK_SECONDS", 1.0)
    with child_publishing(db, "merged"), pytest.raises(TransientPublishError, match="run the task again"):
        db.publish(NEW)
    assert_untouched(db)


def test_a_connection_that_does_not_exist_is_airflow_s_business(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no failure of a database gets out as it is."""
    monkeypatch.delenv("AIRFLOW_CONN_TARGET")
    monkeypatch.setattr(type(sqlite.hook), "get_conn", lambda hook: hook.nothing)
    with pytest.raises(AttributeError, match="nothing"):
        sqlite.publish(OLD)


def test_connections_are_closed(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """After success, failure and looking, none stays open."""
    hook = db.hook
    opened = db.watch(hook, monkeypatch)
    publish(hook, [load(OLD)])
    assert table_exists(hook, "customers")
    with pytest.raises(Cancelled):
        publish(hook, [load(interrupted(NEW), schema=NEW.schema)])
    assert len(opened) >= 3
    for connection in opened:
        assert db.is_closed(connection)


def test_rows_that_are_dicts(pg: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection may ask for another kind of cursor."""
    if pg.is_adbc:
        pytest.skip("ADBC has one kind")
    monkeypatch.setenv("AIRFLOW_CONN_TARGET", pg.environment["AIRFLOW_CONN_TARGET"] + "?cursor=dictcursor")
    assert pg.publish(OLD).created
    assert pg.publish(NEW) == Published(2, 1, 1, 1, 0, created=False)


def test_strict_isolation_does_not_break_turns(pg: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server may default to serializable transactions; what the other run committed must be seen."""
    strict = (
        pg.environment["AIRFLOW_CONN_LOOK"] + "?options=-c%20default_transaction_isolation%3Dserializable"
    )
    monkeypatch.setenv("AIRFLOW_CONN_TARGET", described(pg.name, strict, is_adbc=pg.is_adbc))
    test_two_runs_at_once_take_turns(pg, first_run=False)


def test_what_hangs_on_a_column_is_advised(db: Database) -> None:
    """A view, or an index, that keeps a column from being altered; the error says what to do."""
    db.publish(people(("a", "x", 1)))
    if db.name in ("duckdb", "sqlite"):
        db.execute("CREATE INDEX by_orders ON customers (orders)")
    db.execute("CREATE VIEW ordering AS SELECT orders FROM customers")
    wider = profiles([("a", "x", "m")], customer_id=pa.string(), email=pa.string(), orders=pa.string())
    if db.is_mysql or not db.widens:
        pytest.skip("views do not depend on types there, or types are not widened")
    with pytest.raises(PublishError, match=r"ALTER TABLE.*If a view, index, trigger or constraint depends"):
        db.publish(wider)
    assert db.rows() == [("a", "x", 1)]


def test_duckdb_does_not_update_rows_that_are_referred_to(duckdb: Database) -> None:
    """That is a limit of its own, which no message of DuckDB's that may be shown says."""
    duckdb.execute(
        "CREATE TABLE customers (customer_id text PRIMARY KEY, email text UNIQUE, orders bigint)",
        "CREATE TABLE notes (customer_id text REFERENCES customers)",
    )
    duckdb.publish(people(("a", "x", 1)))
    duckdb.execute("INSERT INTO notes VALUES ('a')")
    with pytest.raises(PublishError, match="DuckDB itself cannot update rows that a foreign key"):
        duckdb.publish(people(("a", "y", 1)))


def test_a_statement_that_takes_too_long_is_worth_a_retry(pg: Database) -> None:
    """The server's limits pass by themselves, or are told; that nobody does anything is no limit here."""
    pg.publish(people(("a", "x", 1)))
    slow = [load(people(("a", "y", 1)), audit=lambda _: time.sleep(0.6))]
    with limited(pg, "idle_in_transaction_session_timeout"):
        assert publish(pg.hook, slow)["customers"].rows_updated == 1
    with limited(pg, "statement_timeout"), closing(pg.look.get_conn()) as other:
        other.cursor().execute("LOCK TABLE customers IN EXCLUSIVE MODE")
        with pytest.raises(TransientPublishError, match=r"57014\).*statement_timeout"):
            pg.publish(people(("a", "z", 1)))


@contextmanager
def limited(pg: Database, setting: str) -> Iterator[None]:
    """New sessions have at most 300 ms for something."""
    pg.execute(f"ALTER DATABASE publishing SET {setting} = '300ms'")
    try:
        yield
    finally:
        pg.execute(f"ALTER DATABASE publishing RESET {setting}")
