"""Whether `unify`'s time grows in proportion with the types of identifiers and with the metrics.

    python -m benchmarks.growth --rows 1_000_000 --types 2 4 8 --metrics 2 8 32

One source of ten rows a person is made for the purpose: every row has every identifier of its person with a
chance of 80 %, and every metric. While one number varies, the other is the smallest of its own. How time
grows with the rows is in the tables of `benchmarks.run`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.alone import alone, spent_by
from benchmarks.data import AS_OF
from benchmarks.machine import about

_VERSIONS = ("airflow-provider-customer360", "duckdb", "numpy", "scipy", "pyarrow")


def write(path: Path, rows: int, types: int, metrics: int) -> None:
    """The source: ``key_0`` to ``key_<types>``, each a text of its own person, and the metrics."""
    # Rows of one person lie far apart, as in life: 7919 is a prime, and so no factor of the people.
    people = people_of(rows)
    keys = (
        f"CASE WHEN hash(i, 'gap', {j}) % 5 > 0 THEN to_hex(hash(person, 'key', {j})) END AS key_{j}"
        for j in range(types)
    )
    sums = (f"(hash(i, 'metric', {j}) % 100_000)::BIGINT AS metric_{j}" for j in range(metrics))
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT {', '.join([*keys, *sums])}, TIMESTAMP '2024-01-01' + to_seconds(i) AS at "
            f"FROM (SELECT i, (i * 7919) % {people} AS person FROM range({rows}) numbered(i))) "
            f"TO '{path}' (FORMAT parquet, COMPRESSION zstd)"
        )


def measured(path: Path, types: int, metrics: int) -> dict[str, Any]:
    """Seconds and processor seconds of `unify` in this process, and how many customers it found."""
    from airflow_provider_customer360.unify import Config, Source, unify

    source = Source(
        data=str(path),
        identifiers={f"key_{j}": f"key_{j}" for j in range(types)},
        metrics=[f"metric_{j}" for j in range(metrics)],
        event_time="at",
    )
    unified, spent = spent_by(lambda: unify({"events": source}, Config(), as_of=AS_OF))
    with unified:
        return spent | {"customers": unified.summary["total_customers"]}


def sweep(
    rows: int, types: Sequence[int], metrics: Sequence[int], repeat: int, folder: Path
) -> Iterator[dict[str, Any]]:
    """One line of the table per number of types and of metrics, each measured in a process of its own."""
    cases = [("types", n, n, min(metrics)) for n in types] + [("metrics", n, min(types), n) for n in metrics]
    for what, number, type_count, metric_count in cases:
        path = folder / f"{type_count}-{metric_count}.parquet"
        if not path.exists():
            write(path, rows, type_count, metric_count)
        arguments = ["--measure", str(path), "--types", str(type_count), "--metrics", str(metric_count)]
        runs = [alone("benchmarks.growth", arguments, {}) for _ in range(repeat)]
        _check(runs[-1]["customers"], people_of(rows))
        print(f"{number} {what}: {runs[-1]['seconds']:.2f} s", file=sys.stderr)
        middle = {key: statistics.median(run[key] for run in runs) for key in ("seconds", "cpu_seconds")}
        yield {"what": what, "number": number, "rows": rows, "customers": runs[-1]["customers"]} | middle


def _check(customers: int, people: int) -> None:
    """With two keys or more, all but very few of the people have a record that holds theirs together."""
    if not people * 0.999 - 1 <= customers <= people * 1.001 + 1:
        raise SystemExit(f"unify found {customers:,} customers for {people:,} people")


def people_of(rows: int) -> int:
    """How many people the rows are of."""
    return max(rows // 10, 1)


def markdown(lines: Sequence[dict[str, Any]], told: str) -> str:
    """The table; what one more costs stays the same where growth is linear."""
    table = [
        told,
        "",
        "| rows | growing | number | seconds | for one more | CPU seconds | for one more |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    before: dict[str, Any] = {}
    for line in lines:
        figures = []
        for key in ("seconds", "cpu_seconds"):
            more = ""
            if before and before["what"] == line["what"]:
                more = f"{(line[key] - before[key]) / (line['number'] - before['number']):.3f}"
            figures += [f"{line[key]:.2f}", more]
        title = {"types": "identifier types", "metrics": "metrics"}[line["what"]]
        table.append(f"| {line['rows']:,} | {title} | {line['number']} | {' | '.join(figures)} |")
        before = line
    return "\n".join(table)


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--types", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--metrics", type=int, nargs="+", default=[2, 8, 32])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measured(given.measure, given.types[0], given.metrics[0])))
        return
    with tempfile.TemporaryDirectory(prefix="customer360-benchmark-") as folder:
        lines = list(
            sweep(given.rows, sorted(given.types), sorted(given.metrics), given.repeat, Path(folder))
        )
    print(markdown(lines, f"{about(_VERSIONS)}; median of {given.repeat} runs of each."))


if __name__ == "__main__":
    main()
