"""Measure `unify` and the operator beside their peers and their floor, in one run, and check that they agree.

    python -m benchmarks.run --rows 1_000_000 10_000_000 --operator --out figures.json

Contenders take turns (a, b, c, a, b, c, ...), so that whatever else the machine does meets all of them.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.by_operator import postgres
from benchmarks.data import Dataset, dataset

ORDER = ("floor", "unify", "operator", "pandas", "naive")
_VERSIONS = ("duckdb", "pandas", "numpy", "pyarrow", "scipy")


def measure(contender: str, data: Dataset, environment: Mapping[str, str]) -> dict[str, Any]:
    """One run in a process of its own: its result and the most memory that it held (resident, in MB)."""
    command = [sys.executable, "-m", "benchmarks.contenders", contender, str(data.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | environment) as process:
        assert process.stdout
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{contender} failed with status {process.returncode} on {data.folder}")
    kilobytes = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return json.loads(output.splitlines()[-1]) | {"peak_mb": kilobytes / 1024}


def checked(contender: str, result: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """What is to be said about a result; only the naive one may differ from the facts.

    Raises:
        SystemExit: customers or totals are wrong.
    """
    kept = min(result["totals"][name] / total for name, total in facts["totals"].items())
    if contender == "naive":
        return f"keeps {result['customers']:,} customers and as little as {kept:.0%} of a metric"
    wrong = [
        f"{name} is {result['totals'].get(name)}, not {total}"
        for name, total in facts["totals"].items()
        if not math.isclose(result["totals"].get(name, math.nan), total, rel_tol=1e-9)
    ]
    if result["customers"] != facts["customers"]:
        wrong.append(f"{result['customers']:,} customers, not {facts['customers']:,}")
    if wrong:
        raise SystemExit(f"{contender} is wrong: {'; '.join(wrong)}")
    return "agrees"


def compare(
    contenders: Sequence[str], rows: int, repeat: int, cache: Path | None, environment: Mapping[str, str]
) -> list[dict[str, Any]]:
    """One line of the table per contender."""
    data = _made_elsewhere(rows, cache)
    facts = data.facts
    _check_facts(facts)
    runs: dict[str, list[dict[str, Any]]] = {contender: [] for contender in contenders}
    for turn in range(repeat):
        for contender in contenders:
            result = measure(contender, data, environment)
            runs[contender].append(result | {"check": checked(contender, result, facts)})
            print(f"{rows:,} rows, turn {turn + 1}, {contender}: {result['seconds']:.2f} s", file=sys.stderr)
    lines = [{"contender": contender, "rows": rows, **_middle(found)} for contender, found in runs.items()]
    floor = next((line for line in lines if line["contender"] == "floor"), None)
    for line in lines:
        line["ratio"] = line["seconds"] / floor["seconds"] if floor else None
        line["cpu_ratio"] = line["cpu_seconds"] / floor["cpu_seconds"] if floor else None
    return lines


def _made_elsewhere(rows: int, cache: Path | None) -> Dataset:
    """The data, made by another process: a child's peak memory is at least its parent's at the fork."""
    command = [sys.executable, "-m", "benchmarks.data", "--rows", str(rows)]
    command += ["--data", str(cache)] if cache else []
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return dataset(rows, cache)


def _check_facts(facts: Mapping[str, Any]) -> None:
    """The data is worth comparing on: nobody is merged with a stranger, few are split."""
    assert facts["strangers_merged"] == 0, "identifiers of two people meet: the generator is at fault"
    assert facts["people"] <= facts["customers"] <= 1.2 * facts["people"], (
        "identifiers hold together too little"
    )


def _middle(found: list[dict[str, Any]]) -> dict[str, Any]:
    middle = {key: statistics.median(one[key] for one in found) for key in ("seconds", "cpu_seconds")}
    last = found[-1]
    return middle | {
        "peak_mb": max(one["peak_mb"] for one in found),
        "customers": last["customers"],
        "check": last["check"],
        "stages": last.get("stages"),
        "all_seconds": [round(one["seconds"], 3) for one in found],
    }


def markdown(lines: Sequence[Mapping[str, Any]], about: str) -> str:
    """The table."""
    table = [
        about,
        "",
        "| contender | rows | seconds | to floor | CPU seconds | to floor | peak MB | result |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for line in lines:
        ratio, cpu = (f"{line[key]:.1f}" if line[key] else "" for key in ("ratio", "cpu_ratio"))
        table.append(
            f"| {line['contender']} | {line['rows']:,} | {line['seconds']:.2f} | {ratio} | "
            f"{line['cpu_seconds']:.2f} | {cpu} | {line['peak_mb']:,.0f} | {line['check']} |"
        )
    return "\n".join(table)


def about_this_run(repeat: int) -> str:
    """Date, versions and machine."""
    versions = ", ".join(f"{name} {version(name)}" for name in _VERSIONS)
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores ({platform.machine()}), Python "
        f"{platform.python_version()}, {versions}; "
        f"median of {repeat}, load {os.getloadavg()[0]:.1f} at the end."
    )


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=ORDER, help="contenders (default: all but operator)")
    parser.add_argument("--operator", action="store_true", help="also the whole operator, into Postgres")
    parser.add_argument("--data", type=Path, help="folder for the data (default: the system's temporary one)")
    parser.add_argument("--out", type=Path, help="also write everything as JSON to this file")
    given = parser.parse_args()
    wanted = [one for one in ORDER if one in (given.only or ORDER) and (one != "operator" or given.operator)]
    lines = []
    with postgres() if given.operator else nullcontext({}) as environment:
        for rows in given.rows:
            lines += compare(wanted, rows, given.repeat, given.data, environment)
    about = about_this_run(given.repeat)
    print(markdown(lines, about))
    if given.out:
        given.out.write_text(json.dumps({"about": about, "lines": lines}, indent=1))


if __name__ == "__main__":
    main()
