"""What a run may use of its worker: memory of the whole process, and the directory in which it spills.

The memory of a worker is the least of the machine's, of the limits of its control groups (both versions, the
group's own and all above it, as a container or a Celery slot has them) and of ``ulimit``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from airflow_provider_customer360.unify.errors import ConfigError

try:
    import resource
except ImportError:  # on Windows, which has no ulimit
    resource = None  # type: ignore[assignment]

#: Of what the worker has, when nothing is stated: the rest is for the system's cache and for neighbours.
DEFAULT_SHARE = 0.6
# Arrow's allocator takes a gigabyte of addresses at once, whatever becomes of it.
_ARENA = 1_100_000_000
# Others keep addresses that hold no memory any more; ulimit counts all of them.
_ADDRESSES_USED = 0.5
_UNITS = {"": 1, "B": 1} | {
    f"{letter}{kind}B": base**power
    for power, letter in enumerate("KMGT", start=1)
    for kind, base in (("", 1000), ("I", 1024))
}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")
_SHARE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*")


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a run may use; checks itself.

    Attributes:
        memory_limit: of the whole process: bytes, text such as ``4GB`` or ``512 MiB``, or ``50%`` of what the
            worker has. None: 60 % of that.
        temp_directory: where the run makes the private directory into which it spills. None: the system's.
        names: what a setting is called in messages, where that is not its own name.
    """

    memory_limit: str | int | None = None
    temp_directory: str | os.PathLike[str] | None = None
    names: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.memory_limit is not None:
            self._size_or_share()
        folder = self.temp_directory
        if folder is not None and not (isinstance(folder, os.PathLike) or _is_text(folder)):
            raise ConfigError(
                f"{self.name('temp_directory')} is {folder!r}; give the path of a directory that exists."
            )

    def name(self, setting: str) -> str:
        """What a setting is called in messages."""
        return self.names.get(setting, setting)

    def memory(self, root: Path = Path("/")) -> Memory:
        """The limit in bytes, as it is on this worker."""
        size, share = (None, DEFAULT_SHARE) if self.memory_limit is None else self._size_or_share()
        there = memory_of_worker(root)
        stated = f"{self.name('memory_limit')} {self.memory_limit!r}"
        if size is not None:
            return Memory(size, stated, stated=True)
        whose = stated if self.memory_limit is not None else f"no memory_limit is stated: {share:.0%}"
        return Memory(
            int(there.size * share),
            f"{whose} of {shown(there.size)}, {there.origin}",
            stated=self.memory_limit is not None,
        )

    def _size_or_share(self) -> tuple[int | None, float]:
        value = self.memory_limit
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value, 0
        if isinstance(value, str) and (found := _SHARE.fullmatch(value)) and 0 < float(found[1]) <= 100:
            return None, float(found[1]) / 100
        if isinstance(value, str) and (found := _SIZE.fullmatch(value)) and found[2].upper() in _UNITS:
            size = int(float(found[1]) * _UNITS[found[2].upper()])
            if size:
                return size, 0
        raise ConfigError(
            f"{self.name('memory_limit')} is {value!r}; give a size such as '4GB' or '512 MiB' (units: B, "
            "KB, MB, GB, TB, KiB, MiB, GiB, TiB), a share of what the worker has such as '50%', or bytes."
        )


@dataclass(frozen=True)
class Memory:
    """An amount of memory in bytes, what it comes from in words, and whether a person stated it."""

    size: int
    origin: str
    stated: bool = False


def memory_of_worker(root: Path = Path("/")) -> Memory:
    """What this process can have at most, by whatever limits it first.

    Args:
        root: of the file system; another one in tests.
    """
    return min([_of_machine(root), *_of_groups(root), *_of_ulimit(root)], key=lambda found: found.size)


def resident(root: Path = Path("/")) -> int:
    """The bytes of memory that this process holds; 0 where the system does not tell."""
    return _status(root).get("VmRSS", 0)


def shown(size: int) -> str:
    """An amount for messages."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def _of_machine(root: Path) -> Memory:
    with suppress(OSError):
        found = re.search(r"^MemTotal:\s+(\d+) kB", (root / "proc/meminfo").read_text(), re.MULTILINE)
        if found:
            return Memory(int(found[1]) * 1024, "the machine's memory")
    return Memory(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), "the machine's memory")


def _of_groups(root: Path) -> Iterator[Memory]:
    """The limits of the process's control groups and of those above them."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    mounts = root / "sys/fs/cgroup"
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2; "unified" beside version 1
            yield from _limits((mounts, mounts / "unified"), path, "memory.max")
        elif "memory" in controllers.split(","):
            yield from _limits((mounts / "memory",), path, "memory.limit_in_bytes")


def _limits(mounts: tuple[Path, ...], path: str, file: str) -> Iterator[Memory]:
    # In a container the path may be the host's, of which only the mount itself, its last "parent", is there.
    group = PurePosixPath(*(part for part in PurePosixPath(path).parts if part not in ("/", "..")))
    for mount in mounts:
        for folder in (group, *group.parents):
            with suppress(OSError, ValueError):  # the root has no such file; "max" is no number
                yield Memory(
                    int((mount / folder / file).read_text()), f"the limit of its control group {path}"
                )


def _of_ulimit(root: Path) -> Iterator[Memory]:
    if resource is None:
        return
    status = _status(root)
    for limit, counted, option in (
        (resource.RLIMIT_AS, "VmSize", "-v"),
        (resource.RLIMIT_DATA, "VmData", "-d"),
    ):
        size, _ = resource.getrlimit(limit)
        if size != resource.RLIM_INFINITY:
            # Code and stacks count as well, though little of them is ever in memory.
            idle = max(_ARENA, status.get(counted, 0) - status.get("VmRSS", 0))
            yield Memory(int(max(0, size - idle) * _ADDRESSES_USED), f"half of what ulimit {option} leaves")


def _status(root: Path) -> dict[str, int]:
    """The sizes that the system tells of this process, in bytes."""
    try:
        text = (root / "proc/self/status").read_text()
    except OSError:
        return {}
    return {name: int(size) * 1024 for name, size in re.findall(r"^(Vm\w+):\s+(\d+) kB", text, re.MULTILINE)}


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
