"""Firebird: a real database that nothing in this package knows by name, reached through SQLAlchemy.

Its engine is a library (Debian: firebird3.0-server-core), so there is no server to start and stop. Several
processes may have a database open, and one that is killed takes nothing along but its own transaction.
"""

from __future__ import annotations

import ctypes.util
import importlib.util
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

#: What belongs to an installed engine beside its configuration.
PARTS = ("firebird.msg", "intl", "plugins", "plugins.conf")


@dataclass(frozen=True)
class Firebird:
    """An engine that is configured.

    Attributes:
        folder: for its files and the databases.
        environment: what a process needs before it loads the engine.
    """

    folder: Path
    environment: Mapping[str, str]

    @contextmanager
    def database(self) -> Iterator[str]:
        """The Airflow URI of a new database, for `tests.firebird_hook`; its file is removed at the end."""
        file = self.folder / f"{uuid.uuid4().hex[:8]}.fdb"
        driver().create_database(str(file), user="SYSDBA", charset="UTF8").close()
        try:
            # What follows the host is the connection's schema; the file's slashes are part of it.
            yield f"firebird://localhost/{quote(str(file), safe='')}"
        finally:
            file.unlink()


def driver() -> Any:
    """The driver; asked for the row count of DDL, it says that there is none.

    Releases before 2.0, the last that go with any protobuf, raise an error there (fixed in 2.1).
    """
    import firebird.driver
    from firebird.driver import Cursor, InterfaceError

    def rowcount(cursor: Cursor) -> int:
        try:
            return int(cursor.affected_rows)
        except InterfaceError:
            return -1

    Cursor.rowcount = property(rowcount)
    return firebird.driver


def installed() -> bool:
    """Whether the engine and its driver are there."""
    return engine() is not None and importlib.util.find_spec("sqlalchemy_firebird") is not None


def engine() -> Path | None:
    """The folder of the engine's parts; None where it is not installed."""
    library = ctypes.util.find_library("fbclient")
    if library is None:
        return None
    places = [*Path("/usr/lib").glob("*/firebird/*"), Path("/usr/lib/firebird"), Path("/opt/firebird")]
    return next((place for place in places if all((place / part).exists() for part in PARTS)), None)


def configured(folder: Path) -> Firebird:
    """An engine of whose databases any number of processes may have the same one open."""
    root, locks, installation = folder / "root", folder / "locks", engine()
    assert installation is not None
    root.mkdir()
    locks.mkdir()
    for part in PARTS:
        (root / part).symlink_to(installation / part)
    # The timeout is how long a killed process's locks remain, in seconds.
    (root / "firebird.conf").write_text("ServerMode = Classic\nDeadlockTimeout = 1\n")
    return Firebird(folder, {"FIREBIRD": str(root), "FIREBIRD_LOCK": str(locks)})
