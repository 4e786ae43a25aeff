"""Spill directories: where an engine keeps what does not fit into memory, which is data of customers.

A process that is killed leaves its directory behind, and the next one on the machine removes it. A directory
in use has a lock, which ends with the process however that ends.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from airflow_provider_customer360.unify.errors import ConfigError

try:
    import fcntl
except ImportError:  # on Windows, where nothing but the lock is missing
    fcntl = None  # type: ignore[assignment]

PREFIX = "customer360-spill-"
_LOCK = "lock"


class SpillDirectory:
    """A private directory that is there until `remove` is called or the process ends.

    Args:
        parent: where it is made; None: among the system's temporary files.
        setting: what states the parent, for the error.

    Raises:
        ConfigError: the parent is no directory in which this process may make one.
    """

    def __init__(self, parent: str | os.PathLike[str] | None = None, setting: str = "temp_directory") -> None:
        for folder in {Path(tempfile.gettempdir()), Path(parent or tempfile.gettempdir())}:
            remove_abandoned(folder)
        try:
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        except OSError as error:
            raise ConfigError(
                f"{setting} is {os.fspath(parent or tempfile.gettempdir())!r}, in which no directory can be "
                f"made: {error.strerror}. Give a directory that exists and that the worker may write to."
            ) from None
        # It gets its name once it is locked, so that nobody ever takes the directory for an abandoned one.
        unlocked = self.path / f"un{_LOCK}ed"
        self._lock: int | None = os.open(unlocked, os.O_CREAT | os.O_RDWR)
        if fcntl is not None:
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        unlocked.rename(self.path / _LOCK)

    def remove(self) -> None:
        """Remove it with all that is in it; harmless when repeated."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def remove_abandoned(parent: Path) -> None:
    """Remove what processes of this user that were killed left behind; another's stays, and stays closed."""
    for folder in parent.glob(f"{PREFIX}*") if fcntl is not None else ():
        with suppress(OSError):  # it is in use, or has just been removed
            if folder.lstat().st_uid == os.getuid():
                lock = os.open(folder / _LOCK, os.O_RDWR)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
                finally:
                    os.close(lock)
