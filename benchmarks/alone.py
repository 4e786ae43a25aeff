"""Run one contender in a process of its own, for a limited time, and measure it there."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

Done = TypeVar("Done")

#: Compiling pandas alone takes seconds where byte code is not kept.
_LIBRARIES = (
    *("duckdb", "numpy", "pandas", "phonenumbers", "pyarrow.dataset", "pyarrow.parquet"),
    *("scipy.sparse.csgraph", "sqlglot", "zoneinfo"),
)
#: Exit status of a process that noticed itself that it had too little memory.
OUT_OF_MEMORY = 71


def spent_by(work: Callable[[], Done]) -> tuple[Done, dict[str, float]]:
    """What some work gives, and its seconds, processor seconds and the most memory of this process, in MB.

    Libraries that some code imports only where it needs them are imported first, whoever needs them.
    """
    for library in _LIBRARIES:
        import_module(library)
    started, cpu = time.perf_counter(), time.process_time()
    done = work()
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    return done, {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mb": _peak_mb()}


def _peak_mb() -> float:
    if sys.platform != "linux":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    # Of this program alone; what getrusage tells here includes the process that started it.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 2**10


class NotFinishedError(Exception):
    """The process took too long, or more memory than there is; the text says which."""


def alone(
    module: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    limit: float | None = None,
    procs: Path | None = None,
) -> dict[str, Any]:
    """What ``python -m module arguments`` prints as its last line, as JSON.

    Args:
        limit: seconds until the process is killed.
        procs: of a cgroup, the file that takes the ids of its processes. The process is in it from its first
            byte on: what it had before would not count.

    Raises:
        NotFinishedError: it was killed, by us or by the kernel for want of memory, or ended with
            `OUT_OF_MEMORY`.
        SystemExit: it failed.
    """
    command = [sys.executable, "-m", module, *arguments]

    def enter() -> None:
        assert procs
        procs.write_text(str(os.getpid()))

    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env=os.environ | environment, preexec_fn=enter if procs else None
    ) as process:
        with suppress(OSError):  # where there is no such file, the kernel chooses by size, which will do
            Path(f"/proc/{process.pid}/oom_score_adj").write_text("1000")
        try:
            output, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            process.kill()
            raise NotFinishedError(f"not finished after {limit:,.0f} s") from None
    if process.returncode in (-signal.SIGKILL, OUT_OF_MEMORY):
        raise NotFinishedError("not finished: out of memory")
    if process.returncode:
        raise SystemExit(f"{module} {' '.join(arguments)} failed with status {process.returncode}")
    printed = [line for line in output.splitlines() if line.startswith(b"{")]
    result: dict[str, Any] = json.loads(printed[-1]) if printed else {}
    return result
