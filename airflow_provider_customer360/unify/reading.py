"""Stage 0 of all sources: they are staged in their order, and those that others send at the same time."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from importlib import import_module
from typing import Any, Protocol, runtime_checkable

import duckdb

from airflow_provider_customer360.unify.config import Source
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.staged import Staged
from airflow_provider_customer360.unify.staging import stage

log = logging.getLogger(__name__)

#: Streams that are read at the same time. What they have read ahead lies outside of the engine's memory.
AT_ONCE = 4
# After so many seconds a stream that was cancelled is cancelled again: it may not have begun before.
_AGAIN = 1.0


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
        """Called by the thread of `unify` while another one iterates, who need not be kept waiting."""

    def close(self) -> None:
        """Called once nobody iterates any more."""


class _Stopped(Exception):
    """Another source has failed, so this one is not read to its end."""


def read_sources(engine: Engine, given: Mapping[str, Source]) -> dict[str, Staged]:
    """Stage the sources as ``source_0``, ``source_1``, ... in their order.

    Raises:
        SourceError: one cannot be read; of several, the first.
    """
    streams = sum(isinstance(source.data, Stream) for source in given.values())
    readers = _Readers(engine, given, at_once=min(AT_ONCE, streams))
    readers.read()
    return {name: readers.staged[name] for name in given}


class _Readers:
    """The threads that stage streams, and this one, which stages everything else.

    Also a single stream has a thread: what a driver waits for in C, no signal interrupts, such as that of a
    timeout; this thread is interrupted and cancels it.
    """

    def __init__(self, engine: Engine, given: Mapping[str, Source], at_once: int) -> None:
        self.staged: dict[str, Staged] = {}
        self._engine, self._given, self._at_once = engine, given, at_once
        self._order = list(given)
        self._failures: dict[str, Exception] = {}
        self._cancelled: set[str] = set()
        self._stopped = threading.Event()
        self._running: dict[Future[None], str] = {}

    def read(self) -> None:
        """Stage everything; no thread is left, whatever happens."""
        if self._at_once:
            import_module("pandas")  # else pyarrow does so in one thread, while others see half of it
        with ThreadPoolExecutor(max(1, self._at_once), thread_name_prefix="source") as pool:
            try:
                for name in self._order:
                    self._begin(name, pool)
                    if self._stopped.is_set():
                        break
                while self._running and not self._stopped.is_set():
                    self._finish(self._wait())
            finally:
                self._stopped.set()
                while self._running:
                    for name in self._running.values():
                        self._cancelled.add(name)
                        self._given[name].data.cancel()
                    self._finish(self._wait(_AGAIN))
        for name in self._order:
            if name in self._failures:
                raise self._failures[name]

    def _begin(self, name: str, pool: ThreadPoolExecutor) -> None:
        """Stage a source, or let another thread do that once one is free."""
        stream = self._given[name].data
        is_stream = isinstance(stream, Stream)
        while is_stream and len(self._running) == self._at_once:
            self._finish(self._wait())
        if self._stopped.is_set():
            return
        self._tell(name)
        try:
            elsewhere = is_stream and stream.connect()
        except Exception as error:
            self._failed(name, error)
            return
        if elsewhere:
            cursor = self._engine.connection.cursor()
            self._running[pool.submit(self._stage, name, cursor)] = name
        else:
            self._stage(name, self._engine.connection)

    def _stage(self, name: str, connection: duckdb.DuckDBPyConnection) -> None:
        data, begun = self._given[name].data, time.monotonic()
        try:
            staged = stage(connection, f"source_{self._order.index(name)}", data, self._arrived)
        except Exception as error:
            self._failed(name, error)
            return
        finally:
            if isinstance(data, Stream):
                data.close()
            if connection is not self._engine.connection:
                connection.close()
        self.staged[name] = staged
        seconds = time.monotonic() - begun
        took = f" in {seconds:.1f} s" if seconds >= 1 else ""
        log.info(
            "%s: %s rows, %d columns%s%s", name, f"{staged.rows:,}", len(staged.columns), _way(data), took
        )

    def _arrived(self, rows: int) -> None:
        if self._stopped.is_set():
            raise _Stopped
        self._engine.progress.add(rows)

    def _failed(self, name: str, error: Exception) -> None:
        # Who was stopped or cancelled has not failed.
        if not isinstance(error, _Stopped) and name not in self._cancelled:
            self._failures[name] = error
        self._stopped.set()

    def _wait(self, seconds: float | None = None) -> set[Future[None]]:
        return wait(self._running, seconds, FIRST_COMPLETED).done

    def _finish(self, futures: set[Future[None]]) -> None:
        for future in futures:
            del self._running[future]
            future.result()  # what is no Exception

    def _tell(self, name: str) -> None:
        doing = f"reading {', '.join([*self._running.values(), name])}"
        if self._running:  # whose rows go on being counted
            self._engine.progress.doing = doing
        else:
            self._engine.progress.begin(doing)


def _way(data: Any) -> str:
    if isinstance(data, Stream):
        return f" by {data.way}"
    in_place = isinstance(data, (str, os.PathLike)) and os.fspath(data).lower().endswith(".parquet")
    return ", Parquet in place" if in_place else ""
