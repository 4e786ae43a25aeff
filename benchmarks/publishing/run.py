"""Measure publishing beside the fastest and the usual ways to load a table, and check every table.

    python -m benchmarks.publishing.run --rows 1_000_000 --out publishing.json

Contenders take turns (a, b, c, a, b, c, ...), so that whatever else the machine does meets all of them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.alone import alone
from benchmarks.by_operator import VARIABLE, postgres
from benchmarks.machine import about
from benchmarks.publishing.data import Days

_VERSIONS = ("apache-airflow-providers-common-sql", "pandas", "pyarrow", "duckdb")
BY_HAND = {
    "postgres": "COPY of CSV that Arrow writes",
    "mariadb": "LOAD DATA LOCAL of CSV that Arrow writes",
    "duckdb": "INSERT of Arrow",
    "sqlite": "executemany",
}


@dataclass(frozen=True)
class Line:
    """One line of the table: a contender, what it finds, and what the table is to become."""

    what: str
    contender: str
    before: str
    day: str


def lines(database: str, changed: float) -> list[Line]:
    """What is measured in a database; the first one is the floor."""
    hand = BY_HAND[database]
    first = [
        Line(f"{hand}, no key: the floor", "by_hand", "nothing", "yesterday"),
        *([Line("ADBC ingest, no key", "adbc", "nothing", "yesterday")] if database == "postgres" else []),
        Line("**publish**, a new table", "publish", "nothing", "yesterday"),
        # Nothing that this machine has makes an engine of a DuckDB connection.
        *([Line("`to_sql`", "to_sql", "empty", "sample")] if database != "duckdb" else []),
        # DuckDB takes 25 ms for each of its statements.
        Line("`insert_rows`", "insert_rows", "empty", "few" if database == "duckdb" else "sample"),
    ]
    daily = [
        Line("**publish**, nothing changed", "publish", "yesterday", "yesterday"),
        Line(f"**publish**, {changed:.0%} changed", "publish", "yesterday", "today"),
        Line("**publish**, all changed", "publish", "yesterday", "everything"),
        Line(f"DELETE and {hand}", "replace", "yesterday", "today"),
    ]
    return first + daily


def run_once(database: str, line: Line, data: Days, environment: Mapping[str, str]) -> dict[str, Any]:
    """Prepare, measure and check, each in a process of its own; memory in MB."""
    _child(database, "prepare", line, data, environment)
    result = _child(database, line.contender, line, data, environment)
    if wrong := _child(database, "check", line, data, environment)["differing"]:
        raise SystemExit(f"{database}, {line.what}: the table is wrong: {', '.join(wrong)}")
    return result


def _child(
    database: str, action: str, line: Line, data: Days, environment: Mapping[str, str]
) -> dict[str, Any]:
    arguments = [database, action, str(data.folder), line.day, line.before]
    return alone("benchmarks.publishing.contenders", arguments, environment)


def compare(database: str, data: Days, repeat: int, environment: Mapping[str, str]) -> list[dict[str, Any]]:
    """The lines of one database with their figures."""
    wanted = lines(database, data.changed)
    runs: dict[Line, list[dict[str, Any]]] = {line: [] for line in wanted}
    for turn in range(repeat):
        for line in wanted:
            result = run_once(database, line, data, environment)
            runs[line].append(result)
            print(f"{database}, turn {turn + 1}, {line.what}: {result['seconds']:.2f} s", file=sys.stderr)
    measured = [_figures(database, line, data, runs[line]) for line in wanted]
    for one in measured:
        one["ratio"] = one["scaled"] / measured[0]["scaled"]
    return measured


def _figures(database: str, line: Line, data: Days, runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    begin, end, _ = data.spans[line.day]
    rows = end - begin
    seconds = [one["seconds"] for one in runs]
    return {
        "database": database,
        "what": line.what,
        "rows": rows,
        "seconds": min(seconds),
        "median": statistics.median(seconds),
        "scaled": min(seconds) * data.rows / rows,
        "rows_a_second": rows / min(seconds),
        "cpu_seconds": min(one["cpu_seconds"] for one in runs),
        "peak_mb": max(one["peak_mb"] for one in runs),
        "all_seconds": [round(one, 3) for one in seconds],
    }


def markdown(measured: Sequence[Mapping[str, Any]], about: str) -> str:
    """The table. What was measured on fewer rows says so."""
    table = [
        about,
        "",
        "| database | what | rows | seconds (min) | median | to floor | rows a second | peak MB |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    most = max(one["rows"] for one in measured)
    for one in measured:
        is_scaled = one["rows"] < most
        seconds = f"{one['scaled']:,.0f} (scaled)" if is_scaled else f"{one['seconds']:.2f}"
        median = "" if is_scaled else f"{one['median']:.2f}"
        table.append(
            f"| {one['database']} | {one['what']} | {one['rows']:,} | {seconds} | {median} | "
            f"{one['ratio']:.1f} | {one['rows_a_second']:,.0f} | {one['peak_mb']:,.0f} |"
        )
    return "\n".join(table)


@contextmanager
def served(database: str) -> Iterator[dict[str, str]]:
    """A database of this run, as the environment that makes it a connection."""
    with tempfile.TemporaryDirectory(prefix="customer360-benchmark-") as name:
        folder = Path(name)
        airflow = {"AIRFLOW_HOME": str(folder / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        if database == "postgres":
            with postgres() as environment:
                yield airflow | environment
        elif database == "mariadb":
            from tests import mariadb_server

            with mariadb_server.serving(folder) as server, server.database() as schema:
                yield airflow | {VARIABLE: server.airflow_uri(schema)}
        else:
            described = {"conn_type": database, "host": str(folder / f"target.{database}")}
            yield airflow | {VARIABLE: json.dumps(described)}


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--changed", type=float, default=0.01, help="share of the customers of a daily run")
    parser.add_argument("--sample", type=int, default=20_000, help="rows for `to_sql` and `insert_rows`")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=BY_HAND, default=list(BY_HAND), help="databases")
    parser.add_argument("--data", type=Path, help="folder for the data (default: the system's temporary one)")
    parser.add_argument("--out", type=Path, help="also write everything as JSON to this file")
    given = parser.parse_args()
    data = _made_elsewhere(given)
    measured: list[dict[str, Any]] = []
    for database in given.only:
        with served(database) as environment:
            measured += compare(database, data, given.repeat, environment)
    told = f"{about(_VERSIONS)}; {given.repeat} runs of each."
    print(markdown(measured, told))
    if given.out:
        given.out.write_text(json.dumps({"about": told, "lines": measured}, indent=1))


def _made_elsewhere(given: argparse.Namespace) -> Days:
    """The data, made by another process: a child's peak memory is at least its parent's at the fork."""
    command = [sys.executable, "-m", "benchmarks.publishing.data", "--rows", str(given.rows)]
    command += ["--changed", str(given.changed), "--sample", str(given.sample)]
    command += ["--data", str(given.data)] if given.data else []
    folder = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    return Days(Path(folder), given.rows, given.changed, given.sample)


if __name__ == "__main__":
    main()
