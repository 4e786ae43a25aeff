"""Stage 0 of all sources: they are staged in their order, and those that others send at the same time."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from queue import SimpleQueue
from typing import Any, Protocol, runtime_checkable

import duckdb

from airflow_provider_customer360.unify.config import Source
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.staged import Staged
from airflow_provider_customer360.unify.staging import MOST_HELD, stage

log = logging.getLogger(__name__)

#: Streams that are read at the same time. What they have read ahead lies outside of the engine's memory.
AT_ONCE = 4
# After so many seconds a stream that was cancelled is cancelled again: it may not have begun before.
_AGAIN = 1.0
#: Seconds in which a cancelled stream has to end. A network that is dead lets neither through.
PATIENCE = 5.0


@runtime_checkable
class Stream(Protocol):
    """Frames that somebody else sends, so that reading them is mostly waiting.

    Attributes:
        way: how they are read, in words for the log; known once they are.
    """

    way: str

    def connect(self) -> bool:
        """Called first, by the thread of `unify`; whether another thread may do the rest."""

    def __iter__(self) -> Iterator[Any]: ...

    def cancel(self) -> None:
        """Called by a thread of its own, more than once, while another one iterates and need not go on."""

    def close(self) -> None:
        """Called by the thread that has iterated."""


class _Stopped(Exception):
    """Another source has failed, so this one is not read to its end."""


def read_sources(engine: Engine, given: Mapping[str, Source]) -> dict[str, Staged]:
    """Stage the sources as ``source_0``, ``source_1``, ... in their order.

    Raises:
        SourceError: one cannot be read. Of several that fail at the same time it is the first one, as far as
            the others' failures are known by then.
    """
    return _read(engine, {name: (f"source_{n}", given[name].data) for n, name in enumerate(given)})


def read_table(engine: Engine, name: str, relation: str, data: Any) -> Staged:
    """Stage what is no source, in any form that one may have, as the relation.

    Args:
        name: what it is, for the log.

    Raises:
        SourceError: it cannot be read.
    """
    return _read(engine, {name: (relation, data)})[name]


def _read(engine: Engine, given: Mapping[str, tuple[str, Any]]) -> dict[str, Staged]:
    streams = sum(isinstance(data, Stream) for _, data in given.values())
    readers = _Readers(engine, given, at_once=min(AT_ONCE, streams))
    readers.read()
    return {name: readers.staged[name] for name in given}


class _Readers:
    """The threads that stage streams, and this one, which stages everything else.

    Also a single stream has a thread: what a driver waits for in C, no signal interrupts, such as that of a
    timeout; this thread is interrupted and cancels it. Whoever does not end then waits for a network that is
    dead, maybe for ever: it is left alone, has nothing of the engine and ends with the process.

    Args:
        given: name to relation and data.
        at_once: how many threads there may be.
    """

    def __init__(self, engine: Engine, given: Mapping[str, tuple[str, Any]], at_once: int) -> None:
        self.staged: dict[str, Staged] = {}
        self._engine, self._given, self._at_once = engine, given, at_once
        self._failures: dict[str, BaseException] = {}
        self._cancelled: set[str] = set()
        self._stopped = threading.Event()
        self._running: dict[str, threading.Thread] = {}
        self._cursors: dict[str, duckdb.DuckDBPyConnection] = {}  # closed by this thread alone
        self._ended: SimpleQueue[str] = SimpleQueue()
        self._entering, self._at_engine = threading.Lock(), set[str]()
        self._held_bytes = min(MOST_HELD, engine.beside(1, at_least=0) // max(1, at_once))

    def read(self) -> None:
        """Stage everything; no thread is left at the engine, whatever happens."""
        if self._at_once:
            import_module("pandas")  # else pyarrow does so in one thread, while others see half of it
        try:
            for name in self._given:
                self._begin(name)
                if self._stopped.is_set():
                    break
            while self._running and not self._stopped.is_set():
                self._finish(self._ended.get())
        finally:
            self._stopped.set()
            self._end()
        for name in self._given:
            if name in self._failures:
                raise self._failures[name]

    def _begin(self, name: str) -> None:
        """Stage a source, or let another thread do that once one is free."""
        _, stream = self._given[name]
        is_stream = isinstance(stream, Stream)
        while is_stream and len(self._running) == self._at_once:
            self._finish(self._ended.get())
        if self._stopped.is_set():
            return
        self._tell(name)
        try:
            elsewhere = is_stream and stream.connect()
        except Exception as error:
            self._failed(name, error)
            return
        if elsewhere:
            self._cursors[name] = self._engine.connection.cursor()
            self._running[name] = _thread(f"source {name}", self._stage_elsewhere, name)
            self._running[name].start()
        else:
            self._stage(name, self._engine.connection)

    def _stage_elsewhere(self, name: str) -> None:
        try:
            self._stage(name, self._cursors[name])
        except BaseException as error:
            self._failed(name, error)
        finally:
            self._ended.put(name)

    def _stage(self, name: str, connection: duckdb.DuckDBPyConnection) -> None:
        (relation, data), begun = self._given[name], time.monotonic()
        is_stream = isinstance(data, Stream)
        try:
            given = self._frames(name, data) if is_stream else data
            staged = stage(connection, relation, given, self._arrived, self._held_bytes)
        except Exception as error:
            self._failed(name, error)
            return
        finally:
            self._at_engine.discard(name)
            if is_stream:
                data.close()
        self.staged[name] = staged
        seconds = time.monotonic() - begun
        took = f" in {seconds:.1f} s" if seconds >= 1 else ""
        log.info(
            "%s: %s rows, %d columns%s%s", name, f"{staged.rows:,}", len(staged.columns), _way(data), took
        )

    def _frames(self, name: str, stream: Stream) -> Iterator[Any]:
        """What is sent, as long as it is wanted; while it is waited for, the thread is not at the engine."""
        for frame in stream:
            self._enter(name)
            yield frame
            self._at_engine.discard(name)
        self._enter(name)

    def _enter(self, name: str) -> None:
        with self._entering:
            if self._stopped.is_set():
                raise _Stopped
            self._at_engine.add(name)

    def _arrived(self, rows: int) -> None:
        if self._stopped.is_set():
            raise _Stopped
        self._engine.progress.add(rows)

    def _failed(self, name: str, error: BaseException) -> None:
        # Who was stopped or cancelled has not failed.
        if not isinstance(error, _Stopped) and name not in self._cancelled:
            self._failures[name] = error
        self._stopped.set()

    def _finish(self, name: str) -> None:
        self._running[name].join()
        del self._running[name]
        self._cursors.pop(name).close()

    def _end(self) -> None:
        """Let nobody go on; called once all are stopped."""
        for name, thread in self._running.items():
            self._cancelled.add(name)
            # Also who cancels may wait for the network.
            _thread(f"cancel {name}", self._cancel, name, thread).start()
        until = time.monotonic() + PATIENCE
        for name, thread in list(self._running.items()):
            while thread.is_alive() and (time.monotonic() < until or self._is_at_engine(name)):
                thread.join(min(_AGAIN, max(0.01, until - time.monotonic())))
            if thread.is_alive():
                log.warning("%s: its database does not answer; its connection is left as it is", name)
            self._cursors.pop(name).close()
        self._running.clear()

    def _cancel(self, name: str, thread: threading.Thread) -> None:
        until = time.monotonic() + PATIENCE
        while thread.is_alive() and time.monotonic() < until:
            self._given[name][1].cancel()
            thread.join(_AGAIN)

    def _is_at_engine(self, name: str) -> bool:
        with self._entering:  # whoever comes later is told to stop
            return name in self._at_engine

    def _tell(self, name: str) -> None:
        doing = f"reading {', '.join([*self._running, name])}"
        if self._running:  # whose rows go on being counted
            self._engine.progress.doing = doing
        else:
            self._engine.progress.begin(doing)


def _thread(name: str, work: Callable[..., None], *given: Any) -> threading.Thread:
    """One that the end of the process does not wait for."""
    return threading.Thread(target=work, args=given, name=name, daemon=True)


def _way(data: Any) -> str:
    if isinstance(data, Stream):
        return f" by {data.way}"
    in_place = isinstance(data, (str, os.PathLike)) and os.fspath(data).lower().endswith(".parquet")
    return ", Parquet in place" if in_place else ""
