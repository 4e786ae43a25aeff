"""Somebody who reads all tables as fast as the server answers, while they are published to."""

from __future__ import annotations

import bisect
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from tests.faults.publishers import PATIENCE
from tests.faults.servers import Server
from tests.faults.versions import LOOK, MISSING, Marks
from tests.publish.children import forked


@dataclass(frozen=True)
class Read:
    """One query; times are those of the machine's monotonic clock, in seconds."""

    started: float
    ended: float
    marks: Marks


@dataclass
class Reader:
    """A process with a connection of its own, in the server's default isolation.

    Attributes:
        session: the server's number for its connection.
        reads: all of them, once it has stopped.
    """

    session: int
    _last_started: Any
    _allowed: list[tuple[float, frozenset[Marks]]] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)

    def expect(self, *marks: Marks) -> None:
        """From now on a read may find these, and until now it might find what was expected before."""
        self._allowed.append((time.monotonic(), frozenset(marks)))

    def has_read_since(self, moment: float) -> bool:
        """Whether a read that began after that moment is over."""
        return bool(self._last_started.value > moment)

    def surprises(self) -> list[Marks]:
        """What reads found that was not allowed at any moment between their start and their end."""
        moments = [moment for moment, _ in self._allowed]

        def is_allowed(read: Read) -> bool:
            first = max(bisect.bisect_right(moments, read.started) - 1, 0)
            last = max(bisect.bisect_right(moments, read.ended), first + 1)
            return any(read.marks in marks for _, marks in self._allowed[first:last])

        return [read.marks for read in self.reads if not is_allowed(read)]

    def longest_wait(self) -> float:
        """In seconds."""
        return max(read.ended - read.started for read in self.reads)


@contextmanager
def reading(server: Server, pause: float) -> Iterator[Reader]:
    """A reader that reads until the end of the block, with that pause between two reads, in seconds."""
    context = multiprocessing.get_context("forkserver")
    stop, last_started = context.Event(), context.Value("d", 0.0)
    with forked(_read, server, pause, stop, last_started) as (_, pipe):
        assert pipe.poll(PATIENCE)
        reader = Reader(pipe.recv(), last_started)
        reader.expect(MISSING)
        try:
            yield reader
        finally:
            stop.set()
            assert pipe.poll(PATIENCE), "a reader waits for ever"
            reader.reads += pipe.recv()


def _read(server: Server, pause: float, stop: Any, last_started: Any, pipe: Connection) -> None:
    reads: list[Read] = []
    with closing(server.connect()) as connection, closing(connection.cursor()) as cursor:
        pipe.send(server.session_of(connection))
        while not stop.is_set():
            started = time.monotonic()
            try:
                cursor.execute(LOOK)
                marks = tuple(int(value) for value in cursor.fetchone())
            except Exception as error:
                if not server.is_missing(error):
                    raise
                marks = MISSING
            reads.append(Read(started, time.monotonic(), marks))
            last_started.value = started
            time.sleep(pause)
    pipe.send(reads)
