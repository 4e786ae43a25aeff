"""When, where and with what a benchmark ran: one sentence under its table."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def _is_installed(package: str) -> bool:
    """Whether it is: what only a contender needs who is left out may be missing."""
    with suppress(PackageNotFoundError):
        return bool(version(package))
    return False


def about(packages: Sequence[str]) -> str:
    """Date, machine and versions, and how busy the machine was at the end."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {version(name)}" for name in packages if _is_installed(name))
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {_processor()}, {cores} cores, {memory:.0f} GB, "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, {versions}; "
        f"load {os.getloadavg()[0]:.1f} at the end"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or "unknown processor"
