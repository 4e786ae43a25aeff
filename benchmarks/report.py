"""The tables that are made of what `benchmarks.run` measured, in Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Line = Mapping[str, Any]

#: Contenders that do the whole job from the same Parquet files, in the order of the table.
TITLES = {
    "floor": "floor",
    "unify": "**unify**",
    "operator": "**operator**, Parquet to Postgres",
    "polars": "polars, by hand",
    "pandas": "pandas and SciPy, by hand",
    "networkx": "pandas and networkx, by hand",
    "splink": "Splink, exact",
    "naive": "naive",
}
#: Contenders with Postgres on both sides, and parts of what they do.
POSTGRES_TITLES = {
    "postgres": "**operator**, Postgres to Postgres",
    "postgres_profiles": "**operator**, the same without identities",
    "streaming_out": "streaming the sources out by ADBC",
    "copying_profiles": "COPY of the profiles in",
    "copying_identities": "COPY of the identities in",
}
#: Operator and parts that together do the same.
SUMS = {
    "postgres_profiles": ("streaming_out", "unify", "copying_profiles"),
    "postgres": ("streaming_out", "unify", "copying_profiles", "copying_identities"),
}


def markdown(lines: Sequence[Line], about: str) -> str:
    """All tables, ready for the README."""
    parts = [
        about,
        _table(
            "contender | rows | seconds | to floor | CPU seconds | to floor | peak MB | result",
            "--- | ---: | ---: | ---: | ---: | ---: | ---: | ---",
            [_main(line) for line in lines if line["contender"] in TITLES],
        ),
        _table(
            "Postgres to Postgres | rows | seconds | sum of parts | ratio | CPU seconds | peak MB | result",
            "--- | ---: | ---: | ---: | ---: | ---: | ---: | ---",
            [_with_sum(line, lines) for line in lines if line["contender"] in POSTGRES_TITLES],
        ),
        _table(
            "growth | from rows | to rows | exponent of seconds | of CPU seconds | of peak MB",
            "--- | ---: | ---: | ---: | ---: | ---:",
            list(_growth(lines)),
        ),
    ]
    return "\n\n".join(part for part in parts if part)


def _table(head: str, rule: str, rows: Sequence[str]) -> str:
    return "\n".join(f"| {row} |" for row in (head, rule, *rows)) if rows else ""


def _main(line: Line) -> str:
    title = f"{TITLES[line['contender']]} | {line['rows']:,}"
    if "seconds" not in line:
        return f"{title} | | | | | | {line['check']}"
    ratio, cpu = (f"{line[key]:.1f}" if line.get(key) else "" for key in ("ratio", "cpu_ratio"))
    return (
        f"{title} | {line['seconds']:.2f} | {ratio} | {line['cpu_seconds']:.2f} | {cpu} | "
        f"{line['peak_mb']:,.0f} | {line['check']}"
    )


def _with_sum(line: Line, lines: Sequence[Line]) -> str:
    title = f"{POSTGRES_TITLES[line['contender']]} | {line['rows']:,}"
    if "seconds" not in line:
        return f"{title} | | | | | | {line['check']}"
    total = sum_of_parts(line, lines)
    added, ratio = (f"{total:.2f}", f"{line['seconds'] / total:.2f}") if total else ("", "")
    return (
        f"{title} | {line['seconds']:.2f} | {added} | {ratio} | {line['cpu_seconds']:.2f} | "
        f"{line['peak_mb']:,.0f} | {line['check']}"
    )


def sum_of_parts(line: Line, lines: Sequence[Line]) -> float | None:
    """Seconds of the parts of an operator from Postgres to Postgres; None where one was not measured."""
    seconds = {one["contender"]: one.get("seconds") for one in lines if one["rows"] == line["rows"]}
    parts = [seconds.get(part) for part in SUMS.get(line["contender"], ())]
    known = [part for part in parts if part is not None]
    return sum(known) if known and len(known) == len(parts) else None


def _growth(lines: Sequence[Line]) -> Iterator[str]:
    for contender, title in (TITLES | POSTGRES_TITLES).items():
        mine = [line for line in lines if line["contender"] == contender and "seconds" in line]
        first, last = (extreme(mine, key=_rows, default=None) for extreme in (min, max))
        if first and last and first["rows"] < last["rows"]:
            exponents = [_exponent(first, last, key) for key in ("seconds", "cpu_seconds", "peak_mb")]
            figures = " | ".join(f"{one:.2f}" for one in exponents)
            yield f"{title} | {first['rows']:,} | {last['rows']:,} | {figures}"


def _rows(line: Line) -> int:
    rows: int = line["rows"]
    return rows


def _exponent(first: Line, last: Line, key: str) -> float:
    """Of growth with the rows: 1 is linear, 2 is quadratic."""
    return math.log(last[key] / first[key]) / math.log(last["rows"] / first["rows"])
