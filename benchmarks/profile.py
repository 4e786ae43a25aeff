"""Where the time of `unify` goes: seconds per stage and, with ``--sql``, per statement.

    python -m benchmarks.profile                          # a million generated rows
    python -m benchmarks.profile --rows 10_000_000 --sql
    python -m benchmarks.profile crm.parquet 'orders/*.csv' --sql

Any files will do; each is a source named after its file.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_provider_customer360.unify import unify
from airflow_provider_customer360.unify.engine import Engine
from benchmarks.data import AS_OF, dataset


@dataclass
class Statement:
    """One statement that the engine ran, or a whole stage; the times include fetching results.

    On a busy machine compare ``cpu``: the processor seconds of all threads.
    """

    stage: str
    sql: str
    seconds: float = 0.0
    cpu: float = 0.0


@dataclass
class Recorder:
    """Wraps `Engine._execute`, so that the package needs no code for it."""

    stage: str = ""
    stages: list[Statement] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)

    @contextmanager
    def in_stage(self, title: str) -> Iterator[None]:
        """For `unify`'s ``wrap_stage``."""
        self.stage = title
        self.stages.append(Statement(title, ""))
        with _adding_to(self.stages[-1]):
            yield

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record every statement of every engine."""
        plain = Engine._execute
        recorder = self

        def timed(engine: Engine, sql: str, doing: str) -> Any:
            statement = Statement(recorder.stage, sql)
            recorder.statements.append(statement)
            with _adding_to(statement):
                result = plain(engine, sql, doing)
            return _Fetching(result, statement)

        Engine._execute = timed  # type: ignore[assignment,method-assign]
        try:
            yield
        finally:
            Engine._execute = plain  # type: ignore[method-assign]


class _Fetching:
    """A result whose fetching counts for its statement: DuckDB computes what is fetched only then."""

    def __init__(self, result: Any, statement: Statement) -> None:
        self._result, self._statement = result, statement

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._result, name)

        def timed(*arguments: Any) -> Any:
            with _adding_to(self._statement):
                return method(*arguments)

        return timed


@contextmanager
def _adding_to(statement: Statement) -> Iterator[None]:
    started, cpu = time.perf_counter(), time.process_time()
    yield
    statement.seconds += time.perf_counter() - started
    statement.cpu += time.process_time() - cpu


def profile(sources: dict[str, str]) -> Recorder:
    """Run `unify` once and record where its time goes."""
    recorder = Recorder()
    with recorder.recording(), unify(sources, as_of=AS_OF, wrap_stage=recorder.in_stage):
        pass
    return recorder


def report(recorder: Recorder, with_sql: bool, width: int) -> Iterator[str]:
    """The lines to print."""
    yield " seconds  CPU seconds"
    for stage in recorder.stages:
        inside = sum(one.seconds for one in recorder.statements if one.stage == stage.stage)
        yield f"{_times(stage)}  {stage.stage} ({stage.seconds - inside:.2f} s of it not in statements)"
    seconds, cpu = (sum(getattr(one, time) for one in recorder.stages) for time in ("seconds", "cpu"))
    yield f"{seconds:8.2f} {cpu:8.2f}  in all"
    if with_sql:
        yield ""
        for one in sorted(recorder.statements, key=lambda one: -one.seconds):
            if one.seconds >= 0.01:
                yield f"{_times(one)}  {one.stage}: {_one_line(one.sql, width)}"


def _times(one: Statement) -> str:
    return f"{one.seconds:8.2f} {one.cpu:8.2f}"


def _one_line(sql: str, width: int) -> str:
    line = re.sub(r"\s+", " ", sql)
    return line if len(line) <= width else f"{line[: width - 3]}..."


def _source_names(paths: list[str]) -> dict[str, str]:
    names: dict[str, str] = {}
    for path in paths:
        stem = re.sub(r"\W+", "_", Path(path).with_suffix("").name).strip("_") or Path(path).parent.name
        names[stem if stem not in names else f"{stem}_{len(names)}"] = path
    return names


def main() -> None:
    """Read the arguments, run, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", nargs="*", help="Parquet, CSV or JSON-lines files or globs, one per source")
    parser.add_argument(
        "--rows", type=int, default=1_000_000, help="rows to generate where no paths are given"
    )
    parser.add_argument("--data", type=Path, help="folder for generated data")
    parser.add_argument("--sql", action="store_true", help="also list the statements, slowest first")
    parser.add_argument("--width", type=int, default=200, help="characters of each statement")
    given = parser.parse_args()
    sources = _source_names(given.paths) if given.paths else dataset(given.rows, given.data).sources
    for line in report(profile(sources), given.sql, given.width):
        print(line)


if __name__ == "__main__":
    main()
