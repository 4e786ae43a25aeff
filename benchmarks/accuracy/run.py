"""Measure how accurate this package and its peers are, record by record against known truth, in one run.

    python -m benchmarks.accuracy.run --rows 1_000_000 --out accuracy.json

Needs the extra ``accuracy``. The data sets that ship in other packages are written once by an environment of
their own, which is made below ``--data`` and takes a minute and a package index.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy import ours, peers
from benchmarks.accuracy.generated import generated
from benchmarks.accuracy.labelled import Labelled
from benchmarks.accuracy.metrics import accuracy, difference
from benchmarks.accuracy.packaged import packaged
from benchmarks.accuracy.standard import standard_identifiers, tuned_by_hand
from benchmarks.machine import about

#: What each contender is, in the order of the table. `plain` is what gain and cost are measured against.
CONTENDERS = {
    "naive": "grouped by the first id-like column, as written",
    "plain": "plain transitive matching, by SciPy",
    "splink": "Splink, deterministic linkage",
    "tuned": "Splink, data prepared by hand",
    "unguarded": "this package, guards off",
    "guarded": "this package",
    "ceiling": "the best that equal identifiers allow",
}
_VERSIONS = ("airflow-provider-customer360", "splink", "duckdb", "numpy", "scipy", "pyarrow")


def data_sets(rows: int, cache: Path | None, only: Sequence[str] | None = None) -> Iterator[Labelled]:
    """The generated one, then those of other packages; ``only`` by the beginnings of their names."""
    wanted = tuple(only or [""])
    if "generated".startswith(wanted):
        yield generated(rows, cache)
    if not only or any(not "generated".startswith(name) for name in only):
        try:
            yield from (data for data in packaged(cache) if data.name.startswith(wanted))
        except subprocess.CalledProcessError as failure:
            print(f"Left out, their packages cannot be had: Febrl, pseudopeople. {failure}", file=sys.stderr)


def measure(data: Labelled, contenders: Sequence[str]) -> Iterator[dict[str, Any]]:
    """One line of the table per contender."""
    identifiers = standard_identifiers(data)
    plain = peers.transitive(identifiers, data.types)
    work: dict[str, Callable[[], np.ndarray]] = {
        "naive": lambda: peers.naive(data),
        "plain": lambda: plain,
        "splink": lambda: peers.splink(identifiers, data.types),
        "tuned": lambda: peers.splink(tuned_by_hand(data, identifiers), data.types),
        "unguarded": lambda: ours.assigned(data, guards=False),
        "guarded": lambda: ours.assigned(data),
        "ceiling": lambda: peers.ceiling(identifiers, data.types, data.truth),
    }
    for contender in contenders:
        started = time.perf_counter()
        found = work[contender]()
        seconds = time.perf_counter() - started
        print(f"{data.name}, {contender}: {seconds:.1f} s", file=sys.stderr)
        yield {
            "data": data.name,
            "records": len(data),
            "contender": contender,
            **accuracy(found, data.truth).as_dict(),
            "against_plain": asdict(difference(found, plain, data.truth)),
            "seconds": seconds,
        }


def markdown(lines: Sequence[dict[str, Any]]) -> str:
    """One table a data set."""
    tables = []
    for name in dict.fromkeys(line["data"] for line in lines):
        rows = [line for line in lines if line["data"] == name]
        tables += [
            f"### {name}: {rows[0]['records']:,} records of {rows[0]['people']:,} people",
            "",
            "| contender | pairs: precision | recall | F1 | profiles: precision | recall = people whole | F1 "
            "| people together | profiles | most people in one | false links avoided | true links lost "
            "| true links added | false links added |",
            "| --- |" + " ---: |" * 13,
            *(_row(line) for line in rows),
            "",
        ]
    return "\n".join(tables)


def _row(line: dict[str, Any]) -> str:
    scores = [_percent(line[kind][part]) for kind in ("pairs", "clusters") for part in _PARTS]
    counts = [f"{line[key]:,}" for key in ("profiles", "most_people")]
    plain = line["against_plain"]
    links = [f"{plain[key]:,}" for key in ("false_avoided", "true_lost", "true_added", "false_added")]
    cells = [CONTENDERS[line["contender"]], *scores, _percent(line["together"]), *counts, *links]
    return f"| {' | '.join(cells)} |"


_PARTS = ("precision", "recall", "f1")


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def about_this_run() -> str:
    """Date, machine and versions."""
    return f"{about(_VERSIONS)}. Shares in per cent."


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the generated customer base")
    parser.add_argument("--only", nargs="+", choices=list(CONTENDERS), help="contenders (default: all)")
    parser.add_argument("--sets", nargs="+", help="data sets, by the beginning of their names (default: all)")
    parser.add_argument("--data", type=Path, help="folder for the data (default: the system's temporary one)")
    parser.add_argument("--out", type=Path, help="also write everything as JSON to this file")
    given = parser.parse_args()
    wanted = [name for name in CONTENDERS if name in (given.only or CONTENDERS)]
    lines = [line for data in data_sets(given.rows, given.data, given.sets) for line in measure(data, wanted)]
    told = about_this_run()
    print(f"{told}\n\n{markdown(lines)}")
    if given.out:
        given.out.write_text(json.dumps({"about": told, "lines": lines}, indent=1))


if __name__ == "__main__":
    main()
