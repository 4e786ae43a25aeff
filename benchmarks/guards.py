"""What the guards cost: `unify` with its defaults and with ``guards=False``, each in a process of its own.

python -m benchmarks.guards --rows 10_000_000          # where nothing is shared
python -m benchmarks.guards --dirty --rows 1_000_000   # where the guards have work to do
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from airflow_provider_customer360.unify import Config, unify
from benchmarks.accuracy.generated import generated
from benchmarks.data import AS_OF, dataset


def measured(rows: int, dirty: bool, guards: bool) -> dict[str, Any]:
    """Seconds, processor seconds and what came out."""
    sources: Mapping[str, Any] = generated(rows).sources if dirty else dataset(rows).sources
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    with unify(sources, Config(guards=guards), as_of=AS_OF) as result:
        seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
        summary = result.summary
    return {
        "seconds": seconds,
        "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "records": summary["total_records"],
        "customers": summary["total_customers"],
        "largest": summary["largest_customer"],
    }


def main() -> None:
    """Measure both, check that no record is lost, print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dirty", action="store_true", help="the data of benchmarks.accuracy")
    parser.add_argument("--one", choices=("on", "off"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measured(given.rows, given.dirty, given.one == "on")))
        return
    found = {}
    for which in ("on", "off"):
        command = [sys.executable, "-m", "benchmarks.guards", "--rows", str(given.rows), "--one", which]
        output = subprocess.run([*command, *["--dirty"] * given.dirty], check=True, capture_output=True)
        found[which] = json.loads(output.stdout.splitlines()[-1])
    assert found["on"]["records"] == found["off"]["records"], "a record was lost"
    assert found["on"]["customers"] >= found["off"]["customers"], "guards joined somebody"
    print("| guards | seconds | processor seconds | customers | records of the largest |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for which, one in found.items():
        figures = f"{one['seconds']:.1f} | {one['cpu']:.1f} | {one['customers']:,} | {one['largest']:,}"
        print(f"| {which} | {figures} |")
    print(f"\nRatio: {found['on']['seconds'] / found['off']['seconds']:.2f}")


if __name__ == "__main__":
    main()
