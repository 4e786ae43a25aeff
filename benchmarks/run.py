"""Measure `unify` and the operator beside their peers and their floor, in one run, and check that they agree.

    python -m benchmarks.run --rows 1_000_000 10_000_000 --out benchmarks/figures.json

Contenders take turns (a, b, c, a, b, c, ...), so that whatever else the machine does meets all of them.
Beside the JSON come the tables (``.md``) and a picture of them (``.svg``).
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from benchmarks.alone import NotFinishedError, alone
from benchmarks.by_operator import postgres
from benchmarks.chart import chart
from benchmarks.data import Dataset, dataset
from benchmarks.machine import about
from benchmarks.report import POSTGRES_TITLES, TITLES, markdown

CONTENDERS = (*TITLES, *POSTGRES_TITLES)
WARM_UP_ROWS = 5_000
_VERSIONS = (
    *("airflow-provider-customer360", "duckdb", "polars", "pandas", "networkx", "splink"),
    *("numpy", "scipy", "pyarrow", "adbc-driver-postgresql"),
)


def check(contender: str, result: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """What is to be said about a result; only the naive one may differ from the facts.

    Raises:
        SystemExit: rows, customers, profiles or totals are wrong.
    """
    if contender == "naive":
        kept = min(result["totals"][name] / total for name, total in facts["totals"].items())
        return f"keeps {result['customers']:,} customers and as little as {kept:.0%} of a metric"
    wrong = [
        f"{what} is {result[what]}, not {facts[what]}"
        for what in ("rows", "customers", "fingerprint")
        if what in result and result[what] != facts[what]
    ]
    wrong += [
        f"{name} with the records that are nobody's is {total}, not {facts['totals'][name]}"
        for name, total in result.get("accounted", {}).items()
        if not math.isclose(total, facts["totals"][name], rel_tol=1e-9)
    ]
    if wrong:
        raise SystemExit(f"{contender} is wrong: {'; '.join(wrong)}")
    return "agrees" if "fingerprint" in result else ""


class Comparison:
    """Measures all contenders at one size after the other.

    A contender that does not finish is not tried again, neither at this size nor at a larger one.
    """

    def __init__(
        self, contenders: Sequence[str], repeat: int, limit: float, environment: Mapping[str, str]
    ) -> None:
        self.contenders = contenders
        self.repeat = repeat
        self.limit = limit
        self.environment = environment
        self._given_up: dict[str, tuple[int, str]] = {}

    def lines(self, rows: int, cache: Path | None) -> list[dict[str, Any]]:
        """One line of the tables per contender."""
        data = made_elsewhere(rows, cache)
        facts = data.facts
        _check_facts(facts)
        _read_once(data)
        if any(one in POSTGRES_TITLES for one in self.contenders):
            alone("benchmarks.by_postgres", [str(data.folder)], self.environment)
        runs: dict[str, list[dict[str, Any]]] = {contender: [] for contender in self.contenders}
        for turn in range(self.repeat):
            print(f"{rows:,} rows, turn {turn + 1} of {self.repeat}", file=sys.stderr)
            for contender in self.contenders:
                if contender not in self._given_up:
                    runs[contender] += self._run(contender, rows, data.folder, facts)
        lines: list[dict[str, Any]] = [
            {"contender": contender, "rows": rows} | self._figures(contender, rows, found)
            for contender, found in runs.items()
        ]
        floor = next((line for line in lines if line["contender"] == "floor" and "seconds" in line), None)
        for line in lines:
            if floor and "seconds" in line:
                line["ratio"] = line["seconds"] / floor["seconds"]
                line["cpu_ratio"] = line["cpu_seconds"] / floor["cpu_seconds"]
        return lines

    def _run(self, contender: str, rows: int, folder: Path, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
        """One result, or none where it did not finish."""
        try:
            result = alone("benchmarks.contenders", [contender, str(folder)], self.environment, self.limit)
        except NotFinishedError as reason:
            print(f"  {contender}: {reason}", file=sys.stderr)
            self._given_up[contender] = rows, str(reason)
            return []
        print(f"  {contender}: {result['seconds']:.2f} s", file=sys.stderr)
        return [result | {"check": check(contender, result, facts)}]

    def _figures(self, contender: str, rows: int, found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The median of all turns; a contender that did not finish all of them has no figures."""
        if contender in self._given_up:
            tried, reason = self._given_up[contender]
            return {"check": reason if tried == rows else f"not tried: with {tried:,} rows {reason}"}
        middle = {key: statistics.median(one[key] for one in found) for key in ("seconds", "cpu_seconds")}
        return middle | {
            "peak_mb": max(one["peak_mb"] for one in found),
            "check": found[-1]["check"],
            "stages": found[-1].get("stages"),
            "all_seconds": [round(one["seconds"], 3) for one in found],
        }


def made_elsewhere(rows: int, cache: Path | None) -> Dataset:
    """The data, made by another process: a child's peak memory is at least its parent's at the fork."""
    command = [sys.executable, "-m", "benchmarks.data", "--rows", str(rows)]
    command += ["--data", str(cache)] if cache else []
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return dataset(rows, cache)


def _read_once(data: Dataset) -> None:
    """Have the files in the system's cache, or the first contender alone would wait for the disk."""
    for path in (*data.sources.values(), *map(data.resolved, data.sources)):
        with Path(path).open("rb") as file:
            while file.read(2**24):
                pass


def _check_facts(facts: Mapping[str, Any]) -> None:
    """The data is worth comparing on: nobody is merged with a stranger, few are split."""
    assert facts["strangers_merged"] == 0, "identifiers of two people meet: the generator is at fault"
    assert facts["people"] <= facts["customers"] <= 1.2 * facts["people"], (
        "identifiers hold together too little"
    )


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=CONTENDERS, help="contenders")
    parser.add_argument("--limit", type=float, default=1200, help="seconds that a contender may take")
    parser.add_argument("--data", type=Path, help="folder for the data (default: the system's temporary one)")
    parser.add_argument("--out", type=Path, help="write this JSON file, and .md and .svg beside it")
    given = parser.parse_args()
    served = {"operator", *POSTGRES_TITLES} & set(given.only)
    server: AbstractContextManager[Mapping[str, str]] = postgres() if served else nullcontext({})
    wanted = [one for one in CONTENDERS if one in given.only]
    lines: list[dict[str, Any]] = []
    with server as environment:
        # The first run of a fresh installation compiles byte code and reads libraries from the disk.
        print("Warming up", file=sys.stderr)
        Comparison(wanted, 1, given.limit, environment).lines(WARM_UP_ROWS, given.data)
        comparison = Comparison(wanted, given.repeat, given.limit, environment)
        for rows in sorted(given.rows):
            lines += comparison.lines(rows, given.data)
    turns = "one run each" if given.repeat == 1 else f"median of {given.repeat} runs of each"
    told = f"{about(_VERSIONS)}; {turns}, at most {given.limit:,.0f} s long."
    tables = markdown(lines, told)
    print(tables)
    if given.out:
        given.out.write_text(json.dumps({"about": told, "lines": lines}, indent=1) + "\n")
        given.out.with_suffix(".md").write_text(tables + "\n")
        given.out.with_suffix(".svg").write_text(chart(lines))


if __name__ == "__main__":
    main()
