"""Run `unify` where the system gives it no more memory, and check that the result is the same.

    python -m benchmarks.limited --rows 30_000_000 --memory 2GB

As root on Linux the process gets a cgroup of that size: beyond it the kernel ends the process, so that no
counter has to be believed. The run is told nothing and finds the limit by itself, of which it takes its
share; ``--memory-limit`` states another one, such as 80%. Profiles, identities and events are read to the
end, as the operator does; profiles are checked as in `benchmarks.run`.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.alone import NotFinishedError, alone, spent_by
from benchmarks.data import AS_OF, Dataset
from benchmarks.machine import about
from benchmarks.run import check, made_elsewhere

_GROUPS = Path("/sys/fs/cgroup")
#: Where the limits of memory and of what may be swapped are written: version 1 of cgroups, then version 2.
_LIMITS = (
    ("memory/{name}/memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "{size}"),
    ("{name}/memory.max", "memory.swap.max", "0"),
)
_VERSIONS = ("airflow-provider-customer360", "duckdb", "numpy", "scipy", "pyarrow")


@contextmanager
def cage(size: int) -> Iterator[Path]:
    """A cgroup of this many bytes; gives the file that takes the ids of its processes.

    Raises:
        SystemExit: the system lets us make none.
    """
    for pattern, swap, swapped in _LIMITS:
        limit = _GROUPS / pattern.format(name=f"customer360-{os.getpid()}")
        with suppress(OSError):
            limit.parent.mkdir()
            if limit.exists():  # a directory of another kind otherwise
                limit.write_text(str(size))
                with suppress(OSError):  # a system without swap has no such file
                    (limit.parent / swap).write_text(swapped.format(size=size))
                break
        with suppress(OSError):
            limit.parent.rmdir()
    else:
        raise SystemExit(
            "No cgroup with a limit of memory can be made below /sys/fs/cgroup: that takes Linux, root and, "
            "with version 2 of cgroups, 'memory' in cgroup.subtree_control."
        )
    try:
        yield limit.parent / "cgroup.procs"
    finally:
        with suppress(OSError):  # of a process that was killed, something may still be there
            limit.parent.rmdir()


def limited(data: Dataset, memory: str | None, out: Path) -> dict[str, Any]:
    """Unify in this process, inside the cgroup; profiles are written to ``out`` to be checked elsewhere."""
    import pyarrow.parquet as pq

    from airflow_provider_customer360.unify import Resources, unify
    from benchmarks.by_operator import accounted

    def work() -> dict[str, Any]:
        with unify(data.sources, as_of=AS_OF, resources=Resources(memory_limit=memory)) as unified:
            with pq.ParquetWriter(out, unified.profiles.schema) as writer:
                for batch in unified.profiles.batches():
                    writer.write_batch(batch)
            others = (unified.identities, unified.events)
            rows = [sum(batch.num_rows for batch in frame.batches()) for frame in others]
            return accounted(unified.summary) | {"identities": rows[0], "events": rows[1]}

    result, spent = spent_by(work)
    return result | spent


def told_of(profiles: Path) -> dict[str, Any]:
    """What is compared of the profiles in a file."""
    import duckdb

    from benchmarks.compared import told

    with duckdb.connect() as connection:
        return told(connection, f"read_parquet('{profiles}')")


def measured(rows: int, memory: str, memory_limit: str, cache: Path | None, seconds: float) -> str:
    """A line of the table."""
    from airflow_provider_customer360.unify import Resources

    data = made_elsewhere(rows, cache)
    size = Resources(memory_limit=memory).memory().size
    with tempfile.TemporaryDirectory(prefix="customer360-benchmark-") as folder, cage(size) as procs:
        out = Path(folder) / "profiles.parquet"
        arguments = ["--measure", str(data.folder), memory_limit, str(out)]
        try:
            result = alone("benchmarks.limited", arguments, {}, seconds, procs)
        except NotFinishedError as reason:
            return f"| {rows:,} | {memory} |  |  |  |  | {reason} |"
        verdict = check("limited", result | told_of(out), data.facts)
    figures = f"{result['seconds']:,.0f} | {result['cpu_seconds']:,.0f} | {result['peak_mb']:,.0f}"
    return f"| {rows:,} | {memory} | {figures} | {result['identities']:,} | {verdict} |"


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--memory", default="1GB", help="size of the cgroup, such as 2GB")
    parser.add_argument("--memory-limit", default="", help="memory_limit of the run (default: its own)")
    parser.add_argument("--data", type=Path, help="folder for the data (default: the system's temporary one)")
    parser.add_argument("--limit", type=float, default=7200, help="seconds that it may take")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        folder, memory, out = given.measure
        print(json.dumps(limited(Dataset(Path(folder)), memory or None, Path(out))))
        return
    line = measured(given.rows, given.memory, given.memory_limit, given.data, given.limit)
    print(f"{about(_VERSIONS)}.\n")
    print("| rows | memory of the cgroup | seconds | CPU seconds | peak MB | identities | profiles |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | --- |")
    print(line)


if __name__ == "__main__":
    main()
