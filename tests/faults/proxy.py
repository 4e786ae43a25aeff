"""A proxy between a publisher and its server that stops at a chosen moment, and then goes on or breaks off.

Databases and clients take turns: a request, then its reply. The proxy counts the turns, which are therefore
the same in every run, whatever the driver calls them. A step is the moment before the server sees a request,
or after it has replied and before the client knows.
"""

from __future__ import annotations

import re
import selectors
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Protocol

_SQL = re.compile(
    rb"(ALTER|ANALYZE|BEGIN|COMMIT|COPY|CREATE|DELETE|DROP|INSERT|LOAD|LOCK|RENAME|ROLLBACK|SELECT|SET|"
    rb"UPDATE)\b[\s\x20-\x7e]{0,80}",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Turn:
    """A request; `sql` is the beginning of the first statement in it."""

    number: int
    sql: str
    replied: bool = False


class Moment(Protocol):
    """When to stop."""

    def bytes_before(self, turn: int, sent: int, *, is_reply: bool) -> int | None:
        """How many of the bytes at hand may pass; None if all may.

        Args:
            turn: of which these bytes are a part.
            sent: bytes of requests that passed before.
            is_reply: the bytes come from the server.
        """


@dataclass(frozen=True)
class Step:
    """Before the server sees the request of a turn, or after it has replied."""

    turn: int
    replied: bool
    sql: str = field(default="", compare=False)

    @property
    def is_commit(self) -> bool:
        return self.sql.upper() == "COMMIT"

    def bytes_before(self, turn: int, sent: int, *, is_reply: bool) -> int | None:
        return 0 if turn == self.turn and is_reply == self.replied else None


@dataclass(frozen=True)
class Byte:
    """After so many bytes of requests, wherever in a statement or in a batch of rows that is."""

    sent: int

    def bytes_before(self, turn: int, sent: int, *, is_reply: bool) -> int | None:
        return None if is_reply else max(self.sent - sent, 0)


class Proxy:
    """Listens on `port` of the loopback interface.

    Attributes:
        turns: those since `arm`.
        sent: bytes of requests since then.
        held: set when the moment has come; from then on nothing passes until `go_on` or `break_off`.
    """

    def __init__(self, upstream_port: int) -> None:
        self._upstream_port = upstream_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._peers: dict[socket.socket, tuple[socket.socket, bool]] = {}
        self.held = threading.Event()
        self._decided = threading.Event()
        self._reset: bool | None = None
        self.arm(None)

    def arm(self, moment: Moment | None) -> None:
        """Start counting anew, and stop at that moment."""
        self._moment = moment
        self.turns: list[Turn] = []
        self.sent = 0
        self.held.clear()
        self._decided.clear()

    def go_on(self, moment: Moment | None = None) -> None:
        """Let everything pass that was held, and whatever comes until that moment."""
        self.held.clear()
        self._moment, self._reset = moment, None
        self._decided.set()

    def break_off(self, *, reset: bool) -> None:
        """Close both sides: with a reset, as a failing network does, or as the system does after a kill."""
        self._moment, self._reset = None, reset
        self._decided.set()

    def serve(self) -> None:
        """Forward until the listener is closed."""
        while self._listener.fileno() >= 0:
            for key, _ in self._selector.select(0.2):
                source = key.fileobj
                assert isinstance(source, socket.socket)
                if source is self._listener:
                    self._accept()
                elif source in self._peers:  # may have been closed by the event before
                    self._forward(source)

    def close(self) -> None:
        """Stop; `serve` returns soon."""
        self.break_off(reset=False)
        self._listener.close()

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        server = socket.create_connection(("127.0.0.1", self._upstream_port))
        for source, sink in ((client, server), (server, client)):
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
            self._peers[source] = (sink, source is server)
            self._selector.register(source, selectors.EVENT_READ)

    def _forward(self, source: socket.socket) -> None:
        sink, is_reply = self._peers[source]
        try:
            data = source.recv(65536)
            if data:
                self._pass_on(data, sink, is_reply=is_reply)
        except OSError:
            data = b""
        if not data:
            self._close(source, reset=False)

    def _pass_on(self, data: bytes, sink: socket.socket, *, is_reply: bool) -> None:
        self._count(data, is_reply=is_reply)
        turn = self.turns[-1].number if self.turns else 0
        allowed = self._moment and self._moment.bytes_before(turn, self.sent, is_reply=is_reply)
        if allowed is not None and allowed < len(data):
            sink.sendall(data[:allowed])
            self.held.set()
            self._decided.wait()
            self._decided.clear()
            if self._reset is not None:
                self._close(sink, reset=self._reset)
                return
            data = data[allowed:]
        self.sent += 0 if is_reply else len(data)
        sink.sendall(data)

    def _count(self, data: bytes, *, is_reply: bool) -> None:
        if is_reply and self.turns:
            self.turns[-1] = replace(self.turns[-1], replied=True)
        elif not is_reply and (not self.turns or self.turns[-1].replied):
            found = _SQL.search(data)
            sql = " ".join(found[0].decode("ascii", "replace").split()) if found else ""
            self.turns.append(Turn(len(self.turns) + 1, sql))

    def _close(self, one: socket.socket, *, reset: bool) -> None:
        for side in (one, self._peers[one][0]):
            del self._peers[side]
            self._selector.unregister(side)
            if reset:
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with suppress(OSError):
                side.close()


@contextmanager
def proxy_to(port: int) -> Iterator[Proxy]:
    """A proxy to a port of this machine."""
    proxy = Proxy(port)
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join()
