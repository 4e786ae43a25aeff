"""What each setting of each guard does to accuracy, so that the defaults are chosen by measurement.

    python -m benchmarks.accuracy.sweep --rows 300_000 --out sweep.json     # around the default settings
    python -m benchmarks.accuracy.sweep --around off                         # each guard alone
    python -m benchmarks.accuracy.sweep --types email phone --stated '{"phone": {"limit": 2}}'

One setting of one identifier type is varied at a time; all others are the defaults, or off, but for what is
stated. The best F1 of each guard stands in bold.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.accuracy import ours
from benchmarks.accuracy.labelled import Labelled
from benchmarks.accuracy.metrics import accuracy
from benchmarks.accuracy.run import about_this_run, data_sets

THRESHOLDS = (None, 1, 2, 3, 5, 10, 20)
NUMBERINGS = ("auto", "shared", "per_source")
AROUND = ("default", "off")


def settings(kinds: Sequence[str]) -> Iterator[tuple[str, str, Any]]:
    """Identifier type, guard and value, one at a time."""
    for kind in kinds:
        for guard, values in _guards_of(kind).items():
            for value in values:
                yield kind, guard, value


def _guards_of(kind: str) -> dict[str, tuple[Any, ...]]:
    guards: dict[str, tuple[Any, ...]] = {"shared_after": THRESHOLDS, "limit": THRESHOLDS}
    return guards if kind in ours.ADDRESSES else guards | {"numbering": NUMBERINGS}


def measure(
    data: Labelled, around: str, stated: ours.Stated, types: Sequence[str] | None = None
) -> Iterator[dict[str, Any]]:
    """One line a setting, after those of the default settings, of none and of what is stated."""
    yield _line(data, ("all", "all", "default"), True, {})
    yield _line(data, ("all", "all", "off"), False, {})
    guards = around == "default"
    if stated:
        yield _line(data, ("all", "all", f"{around}, but stated"), guards, stated)
    for kind, guard, value in settings([kind for kind in data.types if not types or kind in types]):
        varied = {kind: {**stated.get(kind, {}), guard: value}}
        yield _line(data, (kind, guard, value), guards, {**stated, **varied})


def _line(data: Labelled, setting: tuple[str, str, Any], guards: bool, stated: ours.Stated) -> dict[str, Any]:
    started = time.perf_counter()
    found = accuracy(ours.assigned(data, guards=guards, stated=stated), data.truth)
    seconds = time.perf_counter() - started
    kind, guard, value = setting
    print(f"{data.name}, {kind}.{guard} = {value}: {seconds:.1f} s", file=sys.stderr)
    about = {"data": data.name, "type": kind, "guard": guard, "value": value}
    return about | found.as_dict() | {"seconds": seconds}


def markdown(lines: Sequence[dict[str, Any]]) -> str:
    """One table of all lines."""
    table = [
        "| data | type | guard | value | pairs: precision | recall | F1 | profiles: precision | recall | F1 "
        "| records: F1 | most people in one |",
        "| --- | --- | --- | --- |" + " ---: |" * 8,
    ]
    for _, group in groupby(lines, key=lambda line: (line["data"], line["type"], line["guard"])):
        found = list(group)
        best = {kind: max(line[kind]["f1"] for line in found) for kind in ("pairs", "clusters", "b_cubed")}
        table += [_row(line, best) for line in found]
    return "\n".join(table)


def _row(line: dict[str, Any], best: dict[str, float]) -> str:
    def f1(kind: str) -> str:
        text = f"{100 * line[kind]['f1']:.2f}"
        return f"**{text}**" if line[kind]["f1"] == best[kind] else text

    cells = [line["data"], line["type"], line["guard"], str(line["value"])]
    for kind in ("pairs", "clusters"):
        cells += [*(f"{100 * line[kind][part]:.2f}" for part in ("precision", "recall")), f1(kind)]
    most = f"{line['most_people']:,}"
    return f"| {' | '.join([*cells, f1('b_cubed'), most])} |"


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=300_000, help="of the generated customer base")
    parser.add_argument(
        "--around", choices=AROUND, default="default", help="the settings of all other guards"
    )
    parser.add_argument("--stated", type=json.loads, default={}, help="settings of all runs, as JSON")
    parser.add_argument("--types", nargs="+", help="identifier types whose guards are varied (default: all)")
    parser.add_argument("--sets", nargs="+", help="data sets, by the beginning of their names (default: all)")
    parser.add_argument("--data", type=Path, help="folder for the data (default: the system's temporary one)")
    parser.add_argument("--out", type=Path, help="also write everything as JSON to this file")
    given = parser.parse_args()
    lines = [
        line
        for data in data_sets(given.rows, given.data, given.sets)
        for line in measure(data, given.around, given.stated, given.types)
    ]
    but = f", but {given.stated}" if given.stated else ""
    about = f"{about_this_run()} Others: {given.around}{but}."
    print(f"{about}\n\n{markdown(lines)}")
    if given.out:
        given.out.write_text(json.dumps({"about": about, "lines": lines}, indent=1))


if __name__ == "__main__":
    main()
