"""Publishing goes wrong, over and over, while somebody reads; the tables are held against the rules.

The rules: all tables are of the old version or all of the new one, for every reader at any time; the next run
brings the new version, changes nothing where it is there already, and nothing else is left.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from airflow_provider_customer360.publish import Published, publish
from tests.faults.proxy import Moment, Proxy, Step, proxy_to
from tests.faults.publishers import PATIENCE, Outcome, Publish, Publisher, outcome_of, publisher
from tests.faults.reader import Reader, reading
from tests.faults.servers import Content, Server, content, execute, query
from tests.faults.tally import Tally
from tests.faults.versions import LOOK, MISSING, TABLES, Change, Version, first_version, marks_of


@dataclass
class Drill:
    """One series of runs, on tables that did not exist before.

    Attributes:
        watcher: a connection for looking on.
        customers: the number of them.
        publish: what a run calls.
        version: what the tables are; None where there are none.
    """

    server: Server
    proxy: Proxy
    reader: Reader
    watcher: Any
    customers: int
    publish: Publish
    tally: Tally = field(default_factory=Tally)
    version: Version | None = None

    def prepare(self, change: Change) -> Version:
        """Bring the tables to where a run can change them so; return the version that it would bring."""
        if change is Change.FIRST:
            self.drop_tables()
            return first_version(self.customers)
        if self.version is None:
            self.next_run(first_version(self.customers), None)
        assert self.version is not None
        if self.version.is_wider:
            execute(self.watcher, "ALTER TABLE customers DROP COLUMN plan")
            self.version = replace(self.version, is_wider=False)
        return self.version.after(change)

    def drop_tables(self) -> None:
        """As if nobody had ever published."""
        self.reader.expect(marks_of(self.version), MISSING)
        execute(self.watcher, *(f"DROP TABLE IF EXISTS {table}" for table in TABLES))
        self.version = None
        self.reader.expect(MISSING)

    def steps(self, change: Change) -> list[Step]:
        """The steps of a run, found by one that nothing disturbs."""
        with self.publishing(self.prepare(change), None) as run:
            new = run.version
            assert run.outcome().published is not None
        turns = list(self.proxy.turns)
        self.recover("an undisturbed run", new)
        return [
            Step(turn.number, replied, turn.sql)
            for turn in turns
            for replied in (False, True)
            if turn.replied or not replied
        ]

    @contextmanager
    def publishing(
        self, new: Version, moment: Moment | None, *, lock_seconds: float | None = None
    ) -> Iterator[Publisher]:
        """A run that brings a version through the proxy, which stops at that moment."""
        self.proxy.arm(moment)
        self.reader.expect(marks_of(self.version), new.marks)
        with publisher(self.server, self.proxy.port, new, self.publish, lock_seconds) as run:
            yield run

    @contextmanager
    def held(self, new: Version, moment: Moment) -> Iterator[Publisher]:
        """A run that has come so far, and waits for the proxy."""
        with self.publishing(new, moment) as run:
            while not self.proxy.held.wait(0.01):
                assert not run.is_done(), f"{moment} was never reached: {run.outcome().error}"
            yield run

    def keeps_a_reader_waiting(self) -> bool:
        """Whether the run that is held is in the way of a read."""
        now = time.monotonic()
        while not self.reader.has_read_since(now):
            if self.server.is_held_up(self.watcher, self.reader.session):
                return True
            time.sleep(0.002)
        return False

    def recover(self, what: str, *possible: Version) -> Version | None:
        """Look at what is left of a run that failed, then run again; return what was left.

        Args:
            what: what happened to the run, for the report.
            possible: what may have become of the tables, besides nothing; the first is the next run's.
        """
        found = self.settle(what, *possible)
        self.next_run(possible[0], found)
        return found

    def settle(self, what: str, *possible: Version) -> Version | None:
        """Wait until the server has noticed that a run is over; find out which version the tables are."""
        self.wait_for_the_end()
        found = content(self.server, self.watcher)
        for version in (self.version, *possible):
            if is_version(found, version, exactly=False):
                self.version = version
                self.reader.expect(marks_of(version))
                return version
        self.tally.wrong.append(f"after {what}: {described(found)}")
        marks = tuple(map(int, query(self.watcher, LOOK)[0])) if found.keys() == TABLES.keys() else MISSING
        self.reader.expect(marks)
        return self.version

    def next_run(self, new: Version, found: Version | None) -> dict[str, Published]:
        """The run after: it brings the version whole, and nothing is left of the one before."""
        self.reader.expect(*{marks_of(self.version), marks_of(found), new.marks})
        outcome = outcome_of(lambda: publish(self.server.hook(), new.loads()))
        assert outcome.published is not None, f"the next run failed: {outcome.error}"
        self.wait_for_the_end()
        self.reader.expect(new.marks)
        self.version = new
        after = content(self.server, self.watcher)
        if not is_version(after, new, exactly=True):
            self.tally.wrong.append(f"after the next run: {described(after)}")
        if found is new and any(map(changed_rows, outcome.published.values())):
            self.tally.wrong.append(f"the next run changed what was there: {outcome.published}")
        self.tally.debris += self.server.debris(self.watcher)
        return dict(outcome.published)

    def check(self, outcome: Outcome) -> None:
        """What every error owes: it is ours, and nobody's data is in it."""
        if outcome.published is None:
            assert outcome.is_ours, outcome.error
            assert not outcome.tells_values, "an error tells a customer's value"

    def wait_for_the_end(self) -> None:
        """Until no session of a publisher is left."""
        deadline = time.monotonic() + PATIENCE
        while self.server.publishers(self.watcher):
            assert time.monotonic() < deadline, "the server keeps the session of a publisher"
            time.sleep(0.005)

    def judge_reads(self) -> None:
        """Hold every read against what was there at the time."""
        for read in self.reader.reads:
            if self.reader.is_expected(read):
                continue
            if not read.marks or not read.marks[0]:
                self.tally.empty += 1
            else:
                self.tally.wrong.append(f"read: {read.marks}")
        self.tally.reads = len(self.reader.reads)


@contextmanager
def drill(
    server: Server, total: Tally, customers: int, *, pause: float = 0.0, run: Publish = publish
) -> Iterator[Drill]:
    """A series of runs with a reader beside them; at the end, all that was seen has to have been right.

    Args:
        total: gets the numbers.
        pause: of the reader between two reads, in seconds; none if its waits are measured.
        run: what a run calls instead of `publish`.
    """
    with proxy_to(server.port) as proxy, closing(server.connect()) as watcher:
        execute(watcher, *(f"DROP TABLE IF EXISTS {table}" for table in TABLES))
        with reading(server, pause) as reader:
            series = Drill(server, proxy, reader, watcher, customers, run)
            try:
                yield series
            finally:
                proxy.break_off(reset=False)
        series.judge_reads()
    total.add(series.tally)
    for kind in ("wrong", "debris"):
        found = getattr(series.tally, kind)
        assert not found, f"{kind}: {len(found)}, such as {found[:5]}"
    assert series.tally.empty == 0, f"{series.tally.empty} reads found nothing"


def changed_rows(published: Published) -> int:
    """The rows that a run wrote or removed."""
    return published.rows_inserted + published.rows_updated + published.rows_deleted


def is_version(found: dict[str, Content], version: Version | None, *, exactly: bool) -> bool:
    """Whether all tables are of this version; a column that is still empty is nothing unless `exactly`."""
    if version is None:
        return not found
    return found.keys() == TABLES.keys() and all(
        _is_equal(found[table], version.columns(table), exactly=exactly) for table in TABLES
    )


def _is_equal(found: Content, expected: dict[str, list[object]], *, exactly: bool) -> bool:
    names, rows = found
    if not expected.keys() <= set(names) or (exactly and len(names) > len(expected)):
        return False
    nothing: list[object] = [None] * len(next(iter(expected.values())))
    wanted = zip(*(expected.get(name, nothing) for name in names), strict=True)
    return sorted(map(tuple, rows), key=repr) == sorted(wanted, key=repr)


def described(found: dict[str, Content]) -> str:
    """Tables in a few words."""

    def versions(names: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
        stamps = sorted({str(row[names.index("stamp")]) for row in rows})
        return f"{len(rows)} rows of version {', '.join(stamps[-3:])}"

    return "; ".join(f"{table}: {versions(*table_content)}" for table, table_content in found.items()) or (
        "no tables"
    )
