"""A disk that is soon full."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class SmallDisk:
    """A file system of its own."""

    folder: Path

    @property
    def free(self) -> int:
        """In bytes."""
        status = os.statvfs(self.folder)
        return status.f_bavail * status.f_frsize

    def leave(self, size: int) -> None:
        """Fill it, but for so many bytes."""
        assert size < self.free
        with (self.folder / "ballast").open("wb") as ballast:
            os.posix_fallocate(ballast.fileno(), 0, self.free - size)

    def clear(self) -> None:
        """Give back what was filled."""
        (self.folder / "ballast").unlink()


@contextmanager
def small_disk(owner: tuple[int, int]) -> Iterator[SmallDisk]:
    """A disk of 32 MiB that belongs to a user and a group; skips the test where nobody may mount one."""
    place = Path(tempfile.mkdtemp(prefix="customer360-disk-"))
    place.chmod(0o755)
    folder = place / "disk"
    folder.mkdir()
    options = f"size=32m,mode=700,uid={owner[0]},gid={owner[1]}"
    try:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False
        )
        if mounted.returncode:
            pytest.skip("a disk that is full takes the right to mount one; run the tests as root")
        try:
            yield SmallDisk(folder)
        finally:
            subprocess.run(["umount", folder], check=True)
    finally:
        shutil.rmtree(place)
