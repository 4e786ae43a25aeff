"""Sources that others send are read at the same time: same result, errors in order, no thread left."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_customer360.unify import reading
from airflow_provider_customer360.unify.config import Source
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.errors import SourceError, TransientError
from airflow_provider_customer360.unify.events import Recorded
from airflow_provider_customer360.unify.pipeline import Config, unify
from airflow_provider_customer360.unify.previous import COLUMNS
from airflow_provider_customer360.unify.reading import AT_ONCE, read_sources
from airflow_provider_customer360.unify.staged import Staged
from tests.alarm import alarm


class Sent:
    """A stream of given tables, which tells what is done with it."""

    way = "post"

    def __init__(self, *tables: Any, elsewhere: bool = True, refused: Exception | None = None) -> None:
        self.tables, self.elsewhere, self.refused = tables, elsewhere, refused
        self.calls: list[str] = []
        self.reader: threading.Thread | None = None
        self.cancelled = threading.Event()

    def connect(self) -> bool:
        assert threading.current_thread() is threading.main_thread()
        self.calls.append("connect")
        if self.refused is not None:
            raise self.refused
        return self.elsewhere

    def __iter__(self) -> Iterator[Any]:
        self.reader = threading.current_thread()
        for table in self.tables:
            if isinstance(table, Exception):
                raise table
            yield table(self) if callable(table) else table

    def cancel(self) -> None:
        self.cancelled.set()

    def close(self) -> None:
        self.calls.append("close")


def table(*values: Any) -> pa.Table:
    return pa.table({"email": pa.array(values, pa.string())})


def slowly(sent: Sent) -> pa.Table:
    """A batch that comes when the query is cancelled, or much too late."""
    sent.cancelled.wait(30)
    return table("late")


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine() as engine:
        yield engine
    assert not [one for one in threading.enumerate() if one.name.startswith("source")]


def read(engine: Engine, **data: Any) -> dict[str, Staged]:
    return read_sources(engine, {name: Source(data=one) for name, one in data.items()})


def test_streams_are_read_at_the_same_time(engine: Engine) -> None:
    """Each waits for all the others, so that one after the other they would never end."""
    together = threading.Barrier(AT_ONCE, timeout=20)

    def met(sent: Sent) -> pa.Table:
        together.wait()
        return table("x")

    names = [f"s{number}" for number in range(AT_ONCE)]
    staged = read(engine, **{name: Sent(met) for name in names})
    assert list(staged) == names
    assert [one.relation for one in staged.values()] == [f"source_{number}" for number in range(AT_ONCE)]


def test_no_more_than_a_few_at_once(engine: Engine) -> None:
    """The next one is connected once another one is through."""
    lock, reading_now, most = threading.Lock(), [0], [0]

    def count(sent: Sent) -> pa.Table:
        with lock:
            reading_now[0] += 1
            most[0] = max(most[0], reading_now[0])
        time.sleep(0.02)
        with lock:
            reading_now[0] -= 1
        return table("x")

    streams = {f"s{number}": Sent(count) for number in range(3 * AT_ONCE)}
    assert sum(one.rows for one in read(engine, **streams).values()) == 3 * AT_ONCE
    assert 1 < most[0] <= AT_ONCE
    assert all(stream.calls == ["connect", "close"] for stream in streams.values())


def test_the_result_is_that_of_one_after_the_other(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Types that widen, frames, files, sources without rows or columns: the same relations."""
    pq.write_table(table("file"), tmp_path / "a.parquet")

    def given() -> dict[str, Any]:
        return {
            "wide": Sent(pa.table({"a": [1]}), pa.table({"a": [1.5], "b": ["x"]})),
            "frame": table("frame"),
            "nothing": Sent(pa.table({})),
            "file": str(tmp_path / "*.parquet"),
            "empty": Sent(table()),
            "many": Sent(*(table(str(n)) for n in range(50))),
            "here": Sent(table("here"), elsewhere=False),
        }

    def outcome(at_once: int) -> Any:
        monkeypatch.setattr(reading, "AT_ONCE", at_once)
        staged = read(engine, **given())
        return staged, {
            name: sorted(engine.rows(f"SELECT * FROM {one.relation}"), key=str)
            for name, one in staged.items()
        }

    assert outcome(4) == outcome(1)


def test_a_stream_of_one_thread_stays_there(engine: Engine) -> None:
    """SQLite's connections, for one, cannot be used by another thread."""
    here, there = Sent(table("x"), elsewhere=False), Sent(table("y"))
    read(engine, here=here, there=there)
    assert here.reader is threading.main_thread()
    assert there.reader is not threading.main_thread()


def test_a_timeout_interrupts_whoever_waits_for_a_database(engine: Engine) -> None:
    """Its signal reaches the main thread, which is not the one that waits, even for a single source."""
    only = Sent(slowly)
    with pytest.raises(TimeoutError), alarm(0.3):
        read(engine, only=only)
    assert only.cancelled.is_set()
    assert only.calls == ["connect", "close"]


@pytest.mark.parametrize("where", ["rows", "end"])
def test_a_dead_network_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    """Neither the rows come then nor does the cancelling end; if they ever do, nothing is done with them."""
    monkeypatch.setattr(reading, "PATIENCE", 0.5)
    alive, stage = threading.Event(), reading.stage
    staged: list[Any] = []

    def recorded(connection: Any, relation: str, data: Any, *further: Any) -> Staged:
        def frames() -> Iterator[Any]:
            for frame in data:
                staged.append(frame)
                yield frame

        return stage(connection, relation, frames(), *further)

    monkeypatch.setattr(reading, "stage", recorded)

    class Dead(Sent):
        def __iter__(self) -> Iterator[Any]:
            self.reader = threading.current_thread()
            yield table("x")
            alive.wait(60)
            if where == "rows":
                yield table("late")

        def cancel(self) -> None:
            alive.wait(60)

    dead, begun = Dead(), time.monotonic()
    try:
        with Engine() as engine, pytest.raises(TimeoutError), alarm(0.3):
            read(engine, dead=dead)
        assert time.monotonic() - begun < 30
        assert dead.calls == ["connect"]
        assert "dead: its database does not answer" in caplog.text
    finally:
        alive.set()
    assert dead.reader is not None
    dead.reader.join(20)
    assert staged == [table("x")]
    assert dead.calls == ["connect", "close"]


def test_who_is_at_the_engine_is_waited_for(monkeypatch: pytest.MonkeyPatch, engine: Engine) -> None:
    """However long that takes: the engine is closed afterwards."""
    monkeypatch.setattr(reading, "PATIENCE", 0.1)
    at_engine = threading.Event()
    stage = reading.stage

    def slow(connection: Any, relation: str, data: Any, *further: Any) -> Staged:
        def frames() -> Iterator[Any]:
            for frame in data:
                at_engine.set()
                time.sleep(1.5)
                done.append(frame)
                yield frame

        return stage(connection, relation, frames(), *further)

    class Failing(Sent):
        def connect(self) -> bool:
            assert at_engine.wait(20)
            raise SourceError("broken")

    done: list[Any] = []
    monkeypatch.setattr(reading, "stage", slow)
    with pytest.raises(SourceError, match="broken"):
        read(engine, busy=Sent(table("x"), slowly), failing=Failing())
    assert len(done) == 1


def test_what_is_no_source_is_read_in_a_thread_too() -> None:
    """A timeout interrupts also the reading of earlier identities and events, of rules and of lists."""
    sides = ("identifier_type", "identifier_value", "other_identifier_type", "other_identifier_value")
    previous = [*COLUMNS]
    given = {
        "previous": Sent(pa.table({name: pa.array([], pa.string()) for name in previous})),
        "must_link": Sent(pa.table({name: pa.array([], pa.string()) for name in sides})),
        "forget": Sent(pa.table({name: pa.array([], pa.string()) for name in sides[:2]})),
    }
    events = Sent(pa.table({"event_id": pa.array([], pa.string())}))
    people = pa.table({"email": ["ana@x.example"], "customer_id": ["c1"]})
    with unify({"crm": people}, recorded=Recorded(1, events), **given) as unified:
        assert unified.events.to_arrow().num_rows
    for sent in (*given.values(), events):
        assert sent.reader not in (None, threading.main_thread())
        assert sent.calls == ["connect", "close"]


@pytest.mark.parametrize("where", ["rows", "connect", "frame"])
def test_a_failure_stops_the_others(engine: Engine, where: str) -> None:
    """It is told as it is, and whoever is waiting for a database is not waited for."""
    failing: Any = {
        "rows": Sent(table("x"), SourceError("broken")),
        "connect": Sent(refused=SourceError("broken")),
        "frame": [table("x"), "no frame"],
    }[where]
    slow, busy, after = Sent(slowly, slowly), Sent(*[table("again")] * 100_000), Sent(table("x"))
    begun = time.monotonic()
    with pytest.raises(SourceError, match="broken" if where != "frame" else "not a frame"):
        read(engine, slow=slow, busy=busy, failing=failing, after=after)
    assert time.monotonic() - begun < 15
    assert slow.calls[-1] == busy.calls[-1] == "close"


def test_of_two_failures_the_first_source_is_told(engine: Engine) -> None:
    """Whichever thread was faster, if both have failed before either is noticed."""
    failed = {name: threading.Event() for name in ("first", "second")}
    busy = threading.Event()

    class Failing(Sent):
        def close(self) -> None:
            failed[self.tables[0]].set()

        def __iter__(self) -> Iterator[Any]:
            (failed["second"] if self.tables[0] == "first" else busy).wait(20)
            raise SourceError(self.tables[0])
            yield

    def frames() -> Iterator[pa.Table]:
        busy.set()
        for one in failed.values():
            one.wait(20)
        yield from ()

    with pytest.raises(SourceError, match="first") as error:
        read(engine, first=Failing("first"), second=Failing("second"), slow=frames())
    assert error.value.__context__ is None


def test_an_interrupt_ends_the_threads(engine: Engine) -> None:
    """Ctrl-C or Airflow's timeout in the main thread, while others read."""

    class Interrupting(Sent):
        def connect(self) -> bool:
            raise KeyboardInterrupt

    slow, busy = Sent(slowly), Sent(*[table("again")] * 100_000)
    with pytest.raises(KeyboardInterrupt):
        read(engine, slow=slow, busy=busy, interrupted=Interrupting())
    assert slow.calls == busy.calls == ["connect", "close"]


def test_the_log_names_the_way(engine: Engine, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """One line for each source, and how it was read where that may differ."""
    pq.write_table(table("file"), tmp_path / "a.parquet")
    with caplog.at_level(logging.INFO, logger=reading.__name__):
        read(
            engine,
            crm=Sent(table("a", "b")),
            orders=Sent(table("a")),
            web=str(tmp_path / "a.parquet"),
            x=table(),
        )
    assert sorted(record.getMessage() for record in caplog.records) == [
        "crm: 2 rows, 1 columns by post",
        "orders: 1 rows, 1 columns by post",
        "web: 1 rows, 1 columns, Parquet in place",
        "x: 0 rows, 1 columns",
    ]


def test_rows_keep_their_order_for_assignments() -> None:
    """A row's number is that within its source, also where several are read at once."""
    streams = {
        name: Sent(
            *(table(*(f"{name}{n}@{name}.example" for n in range(k, k + 500))) for k in range(0, 3000, 500))
        )
        for name in ("a", "b", "c")
    }
    with unify(streams, Config(assignments=True)) as unified:
        assigned = unified.assignments.to_arrow().to_pylist()
        emails = {
            one["customer_id"]: one["identifier_value"] for one in unified.identities.to_arrow().to_pylist()
        }
    assert len(assigned) == 9000
    for one in assigned:
        assert emails[one["customer_id"]] == f"{one['source']}{one['source_key']}@{one['source']}.example"


@pytest.mark.parametrize("stated", ["forget", "must_link", "must_not_link"])
def test_a_stated_table_that_is_out_of_reach_for_a_moment_may_be_tried_again(stated: str) -> None:
    """Its error stays one that passes by itself, and names the argument."""

    class Lost(SourceError, TransientError):
        pass

    def frames() -> Iterator[pa.Table]:
        raise Lost("the connection is lost")
        yield

    crm = pa.table({"email": ["ann@mail.example"]})
    with pytest.raises(TransientError, match=f"{stated}: the connection is lost"):
        unify({"crm": crm}, **{stated: frames()})
