"""Several tables change together or not at all, whoever else publishes to them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from airflow_provider_customer360.publish import (
    Fingerprint,
    Load,
    Published,
    TransientPublishError,
    fingerprint,
    publish,
)
from airflow_provider_customer360.publish.dialects import POSTGRES
from airflow_provider_customer360.unify.errors import ConfigError, PublishError
from tests.publish.children import child_publishing
from tests.publish.databases import Database, events, identities, load, people, profiles
from tests.publish.test_failures import Cancelled, cancel, wait_until
from tests.publish.test_values import HOSTILE

OLD = {
    "customers": [("a", None, 1), ("b", None, 1)],
    "events": [("1", "made")],
    "identities": [("email", "x", "a"), ("email", "y", "b"), ("phone", "x", "a")],
}
NEW = [events(("2", "merged")), load(people(("a", None, 2))), identities(("email", "x", "a"))]


def publish_old(db: Database) -> dict[str, Published]:
    """The state before most tests: `OLD`."""
    loads = [load(people(*OLD["customers"])), identities(*OLD["identities"]), events(*OLD["events"])]
    return publish(db.hook, loads)


def test_each_table_by_its_own_rows_key_and_mode(db: Database) -> None:
    """Tables are created and changed together, and counted each by itself."""
    assert publish_old(db) == {
        "customers": Published(2, 2, 0, 0, 0, created=True),
        "identities": Published(3, 3, 0, 0, 0, created=True),
        "events": Published(1, 1, 0, 0, 0, created=True),
    }
    assert db.everything() == OLD
    assert publish(db.hook, NEW) == {
        "customers": Published(1, 0, 1, 1, 0, created=False),
        "identities": Published(1, 0, 0, 2, 1, created=False),
        "events": Published(1, 1, 0, 0, 0, created=False),
    }
    assert db.everything() == {
        "customers": [("a", None, 2)],
        "events": [("1", "made"), ("2", "merged")],
        "identities": [("email", "x", "a")],
    }


def test_a_new_table_beside_an_old_one(db: Database) -> None:
    """A run of a later version brings tables that the first one did not."""
    publish(db.hook, [NEW[1]])
    published = publish(db.hook, NEW)
    assert [published[table].created for table in ("customers", "events", "identities")] == [
        False,
        True,
        True,
    ]


def failing(rows: Load) -> Load:
    """The same rows, but after them the source fails."""

    def batches() -> Iterator[pa.RecordBatch]:
        yield from rows.batches
        raise Cancelled

    return replace(rows, batches=batches())


@pytest.mark.parametrize("cause", ["its source", "its constraint", "the last check"])
def test_a_failure_of_one_table_leaves_all(db: Database, cause: str) -> None:
    """Whichever it is and whenever it happens, every table is as it was."""
    publish_old(db)
    last = identities(("email", "new", "same"), ("phone", "new", "same"))
    check: Callable[[], None] = lambda: None  # noqa: E731
    if cause == "its source":
        last = failing(last)
    elif cause == "its constraint":  # the other tables are written by then
        db.execute("DELETE FROM identities")
        db.create_unique_index("one_each", "identities", "customer_id")
    else:
        check = cancel
    before = db.everything()
    with pytest.raises((Cancelled, PublishError)):
        publish(db.hook, [last, *NEW[:2]], before_commit=check)
    assert db.everything() == before


@pytest.mark.parametrize("moment", ["loading", "merged"])
def test_a_kill_leaves_all_tables(db: Database, moment: str) -> None:
    """kill -9 at any moment leaves the rows of before in all of them, and the next run works."""
    publish_old(db)
    with child_publishing(db, moment) as child:
        child.kill()
        child.join()
    wait_until(lambda: db.lasting_tables() == OLD.keys())  # a server takes a moment to notice
    assert {table: rows for table, rows in db.everything().items() if table in OLD} == OLD
    assert publish(db.hook, NEW)["customers"].rows_updated == 1
    assert db.tables() == OLD.keys()


def test_readers_see_the_old_tables_until_the_commit(db: Database) -> None:
    """While everything is written but not committed, a reader gets the old rows of all tables."""
    publish_old(db)
    seen: dict[str, Any] = {}
    publish(db.hook, NEW, before_commit=lambda: seen.update((table, db.everything()[table]) for table in OLD))
    assert seen == OLD


@pytest.mark.parametrize("spelling", ["same", "schema", "case"])
def test_a_table_is_published_to_once(db: Database, spelling: str) -> None:
    """Two loads for one table are a mistake, however they spell it; nothing is read or written."""
    if db.name == "firebird" and spelling == "schema":
        pytest.skip("Firebird has no schemas")
    again = {"same": "customers", "schema": f"{db.default_schema}.customers", "case": "Customers"}[spelling]
    loads = [load(people()), failing(load(people(), again))]
    if spelling == "case" and not db.ignores_case:
        loads = [load(people()), load(people(), again)]
        assert publish(db.hook, loads).keys() == {"customers", "Customers"}  # there they are two
        return
    with pytest.raises(ConfigError, match=f"customers and {again} are the same table"):
        publish(db.hook, loads)
    assert db.tables() == set()


def test_hostile_names(db: Database) -> None:
    """Whatever tables and the columns of their keys are called, that is what they are called."""
    names = db.possible(HOSTILE)
    tables = ['"' + name.replace('"', '""') + '"' for name in names[:11]]
    rows = {
        table: profiles([(n, "x", n)], **{one: pa.int64(), other: pa.string(), "value": pa.int64()})
        for n, (table, one, other) in enumerate(zip(tables, names[:11], names[12:], strict=False))
    }
    loads = [load(one, table, *one.schema.names[:2]) for table, one in rows.items()]
    assert all(result.rows_inserted == 1 for result in publish(db.hook, loads).values())
    expected = fingerprint(db.hook, tables)
    assert expected == Fingerprint(tuple(tables), (1,) * len(rows))
    again = publish(db.hook, loads, expect=expected)
    assert all(result.rows_unchanged == 1 for result in again.values())
    assert [db.rows(table=table) for table in rows] == [[(n, "x", n)] for n in range(len(rows))]


def in_background(db: Database, loads: Sequence[Load], **arguments: Any) -> Future[dict[str, Published]]:
    """Publish in a thread."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(publish, db.hook, loads, **arguments)
    pool.shutdown(wait=False)
    return future


def test_runs_that_name_their_tables_in_another_order(db: Database) -> None:
    """They take turns, over and over; neither fails, and the tables are always of one run."""
    if db.loads_alone:
        pytest.skip("the second waits before it loads")
    for number in range(3):
        both = threading.Barrier(2)

        def run(name: str, both: threading.Barrier = both, number: int = number) -> list[Load]:
            customers = load(people((f"{name}{number}", None, 1)))

            def together() -> Iterator[pa.RecordBatch]:
                yield from identities(("email", "x", f"{name}{number}")).batches
                both.wait(30)

            return [customers, replace(identities(), batches=together())]

        one = in_background(db, run("one"))
        other = in_background(db, run("other")[::-1])
        one.result(30), other.result(30)
        ((customer, _, _),) = db.rows()
        assert db.rows("customer_id", "identities") == [(customer,)]


def test_locks_are_taken_in_one_order(pg: Database) -> None:
    """Not in the order of the loads, and not by how a name is spelled: two runs would wait for each other."""
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    there = [load(people(("a", None, 1))), identities(("email", "x", "a"))]
    back = [identities(("email", "x", "b")), load(people(("b", None, 1)), "public.customers")]
    with closing(pg.look.get_conn()) as blocker, closing(blocker.cursor()) as cursor:
        cursor.execute(POSTGRES.begin, (None, "customers"))
        first = in_background(pg, there)
        wait_until(lambda: pg.query(waiting) == [(1,)])
        second = in_background(pg, back)
        wait_until(lambda: pg.query(waiting) == [(2,)])
        blocker.rollback()
    assert first.result(30)["customers"].created
    assert second.result(30)["public.customers"] == Published(1, 1, 0, 1, 0, created=False)


NAMES = ("identities", "events")


def test_what_was_expected(db: Database) -> None:
    """Tables that are what they were are published to; missing ones are expected to be missing."""
    nothing = fingerprint(db.hook, NAMES)
    assert nothing == Fingerprint(NAMES, (None, None))
    publish(db.hook, NEW, expect=nothing)
    something = fingerprint(db.hook, NAMES)
    assert something == Fingerprint(NAMES, (1, 1))
    assert publish(db.hook, NEW, expect=something)["identities"].rows_unchanged == 1


@pytest.mark.parametrize("there", [False, True], ids=["created", "appended"])
def test_what_another_run_published_in_between(db: Database, there: bool) -> None:
    """The run that waits for its turn finds that its input is no longer true, and writes nothing."""
    if db.loads_alone:
        pytest.skip("the second waits before it loads")
    if there:
        publish_old(db)
    expected = fingerprint(db.hook, NAMES)
    loaded = threading.Event()
    late: list[Future[dict[str, Published]]] = []

    def batches() -> Iterator[pa.RecordBatch]:
        yield from people(("late", None, 0)).to_batches()
        loaded.set()

    def start_late_run() -> None:
        stale = [load(batches(), schema=people().schema), identities(("email", "late", "late"))]
        late.append(in_background(db, stale, expect=expected))
        assert loaded.wait(30)
        threading.Event().wait(0.3)  # time enough to compare too early, if it did

    publish(db.hook, NEW, expect=expected, before_commit=start_late_run)
    told = f"rows before: {'3' if there else 'no table'}, now: 1"
    with pytest.raises(TransientPublishError, match=rf"Another run published to identities \({told}\)"):
        late[0].result(30)
    assert db.rows() == [("a", None, 2)]
    assert db.rows(table="identities") == [("email", "x", "a")]
    publish(db.hook, NEW, expect=fingerprint(db.hook, NAMES))  # as a retry does


def test_what_is_expected_of_a_name_that_is_too_long(pg: Database) -> None:
    """Postgres would count the rows of another table."""
    with pytest.raises(ConfigError, match="Postgres allows at most 63 bytes"):
        fingerprint(pg.hook, ["x" * 64])
