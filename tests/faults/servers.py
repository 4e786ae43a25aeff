"""What a server has to offer so that publishing to it can be put to the test."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, closing
from typing import Any, Protocol

from airflow.providers.common.sql.hooks.sql import DbApiHook


class Server(Protocol):
    """A running server with a database of its own for these tests. It is pickled for child processes.

    Attributes:
        name: for the report.
        port: on the loopback interface.
        driver: what the hook uses.
    """

    name: str
    port: int
    driver: str

    def environment(self, port: int) -> dict[str, str]:
        """What the process of a publisher needs; the port is the server's or a proxy's."""

    def hook(self) -> DbApiHook:
        """A hook, in a process with that environment."""

    def connect(self) -> Any:
        """A connection for looking on: each of its statements sees what is committed by then."""

    def session_of(self, connection: Any) -> int:
        """The server's number for a connection."""

    def is_missing(self, error: Exception) -> bool:
        """Whether a table that does not exist is the cause."""

    def publishers(self, watcher: Any) -> list[int]:
        """The sessions that do not look on, seen through a connection that does."""

    def is_held_up(self, watcher: Any, session: int) -> bool:
        """Whether a session's statement waits for another session."""

    def end(self, watcher: Any, session: int) -> None:
        """End a session, as an administrator does."""

    def debris(self, watcher: Any) -> list[str]:
        """Whatever is there beside `TABLES`: relations, files, locks."""

    def blocked(self, how: str) -> AbstractContextManager[None]:
        """Another session is in the way of publishers to the first table.

        Args:
            how: it has locked the "table", its "rows", or is in the middle of a "long read".
        """


def query(connection: Any, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """The rows of a query."""
    with closing(connection.cursor()) as cursor:
        cursor.execute(statement, parameters or None)
        return list(cursor.fetchall())


def execute(connection: Any, *statements: str) -> None:
    """Run statements, each committed by itself."""
    with closing(connection.cursor()) as cursor:
        for statement in statements:
            cursor.execute(statement)
