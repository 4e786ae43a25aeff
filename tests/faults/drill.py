"""Publishing goes wrong, over and over, while somebody reads; the tables are held against the rules.

The rules: all tables are of the old version or all of the new one, for every reader at any time; the next run
brings the new version, changes nothing where it is there already, and nothing else is left.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

from airflow_provider_customer360.publish import Published, publish
from tests.faults.contents import contents, described, is_version
from tests.faults.proxy import Moment, Proxy, Step, proxy_to
from tests.faults.publishers import PATIENCE, Outcome, Publish, Publisher, outcome_of, publisher
from tests.faults.reader import Reader, reading
from tests.faults.servers import Server, execute, query
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
            self._drop(*TABLES)
            self.version = None
            return first_version(self.customers)
        if self.version is None:
            self.next_run(first_version(self.customers), None)
        assert self.version is not None
        if change is Change.NARROWER:
            self.next_run(self.version.after(Change.WIDER), None)
        elif self.version.is_wider:
            execute(self.watcher, "ALTER TABLE customers DROP COLUMN plan")
            self.version = replace(self.version, is_wider=False)
        if change is Change.MORE:
            self._drop("customers_identities", "customers_events")
            self.version = self.version.with_customers_only()
        return self.version.after(change)

    def _drop(self, *tables: str) -> None:
        self.reader.expect(marks_of(self.version), MISSING)
        execute(self.watcher, *(f"DROP TABLE IF EXISTS {table}" for table in tables))
        self.reader.expect(MISSING)

    def expect(self, *possible: Version) -> None:
        """From now on, somebody who reads finds the tables as they are or of these versions."""
        self.reader.expect(marks_of(self.version), *(version.marks for version in possible))

    @contextmanager
    def publishing(
        self, new: Version, moment: Moment | None = None, *, lock_seconds: float | None = None
    ) -> Iterator[Publisher]:
        """A run that brings a version through the proxy, which stops at that moment."""
        self.expect(new)
        self.proxy.arm(moment)
        with publisher(self.server, self.proxy.port, new, self.publish, lock_seconds) as run:
            yield run

    @contextmanager
    def held(self, new: Version, moment: Moment) -> Iterator[Publisher]:
        """A run that has come so far, and waits for the proxy."""
        with self.publishing(new, moment) as run:
            while not self.proxy.held.wait(0.01):
                assert not run.is_done(), f"{moment} was never reached: {run.outcome().error}"
            yield run

    def undisturbed(self, change: Change) -> float:
        """A run that nothing disturbs; return how long it takes, in seconds."""
        with self.publishing(self.prepare(change)) as run:
            started = time.monotonic()
            outcome = run.outcome()
            seconds = time.monotonic() - started
        assert outcome.published is not None, outcome.error
        self.recover("an undisturbed run", run.version)
        return seconds

    def steps(self, change: Change) -> list[Step]:
        """The steps of a run after each reply: the server is as it is before the request that follows."""
        self.undisturbed(change)
        return [Step(turn.number, True, turn.sql) for turn in self.proxy.turns if turn.replied]

    def keeps_a_reader_waiting(self) -> bool:
        """Whether the run that is held is in the way of a read."""
        now = time.monotonic()
        while not self.reader.has_read_since(now):
            if self.server.is_held_up(self.watcher, self.reader.session):
                return True
            time.sleep(0.002)
        return False

    def recover(self, what: str, new: Version) -> Version | None:
        """After a run that may have brought a version: look at what is left, and run again.

        Args:
            what: what happened to the run, for the report.

        Returns:
            What was left.
        """
        found = self.settle(what, new)
        self.next_run(new, found)
        return found

    def settle(self, what: str, *possible: Version) -> Version | None:
        """Wait until the server has noticed that runs are over; find out which version the tables are."""
        self.wait_for_the_end()
        found = contents(self.server, self.watcher)
        for version in (self.version, *possible):
            if is_version(found, version, exactly=False):
                self.version = version
                self.reader.expect(marks_of(version))
                return version
        self.tally.wrong.append(f"after {what}: {described(found)}")
        is_complete = found.keys() == TABLES.keys()
        self.reader.expect(tuple(map(int, query(self.watcher, LOOK)[0])) if is_complete else MISSING)
        return self.version

    def next_run(self, new: Version, found: Version | None) -> dict[str, Published]:
        """The run after: it brings the version whole, and nothing is left of the one before.

        Args:
            found: what the tables are; if that is what the run brings, it has to change nothing.
        """
        self.expect(new)
        outcome = outcome_of(lambda: publish(self.server.hook(), new.loads()))
        assert outcome.published is not None, f"the next run failed: {outcome.error}"
        self.wait_for_the_end()
        self.version = new
        self.reader.expect(new.marks)
        after = contents(self.server, self.watcher)
        if not is_version(after, new, exactly=True):
            self.tally.wrong.append(f"after the next run: {described(after)}")
        if found is new and any(map(changed_rows, outcome.published.values())):
            self.tally.wrong.append(f"the next run changed what was there: {outcome.published}")
        left = self.server.debris(self.watcher)
        self.tally.debris += [thing for thing in left if thing not in self.tally.debris]
        return dict(outcome.published)

    def wait_for_the_end(self) -> None:
        """Until no session of a publisher is left."""
        deadline = time.monotonic() + PATIENCE
        while self.server.publishers(self.watcher):
            assert time.monotonic() < deadline, "the server keeps the session of a publisher"
            time.sleep(0.005)

    def judge_reads(self) -> None:
        """Hold every read against what was there at the time."""
        for marks in self.reader.surprises():
            if marks == MISSING or 0 in marks[::3]:
                self.tally.empty += 1
            else:
                self.tally.wrong.append(f"read: {marks}")
        self.tally.reads = len(self.reader.reads)


@contextmanager
def drill(
    server: Server, total: Tally, customers: int, *, pause: float = 0.005, run: Publish = publish
) -> Iterator[Drill]:
    """A series of runs with a reader beside them; at the end, all that was seen has to have been right.

    Args:
        total: gets the numbers.
        pause: of the reader between two reads, in seconds; 0 where its waits are measured.
        run: what a run calls instead of `publish`.
    """
    with (
        patch.dict(os.environ, server.environment(server.port)),
        proxy_to(server.port) as proxy,
        closing(server.connect()) as watcher,
    ):
        execute(watcher, *(f"DROP TABLE IF EXISTS {table}" for table in TABLES))
        with reading(server, pause) as reader:
            series = Drill(server, proxy, reader, watcher, customers, run)
            try:
                yield series
            finally:
                proxy.break_off(reset=False)
        series.judge_reads()
    total.add(series.tally)
    assert not series.tally.wrong, f"{len(series.tally.wrong)} wrong, such as {series.tally.wrong[:5]}"
    assert not series.tally.debris, f"debris: {series.tally.debris}"
    assert not series.tally.empty, f"{series.tally.empty} reads found an empty table, or none"


def judge_error(outcome: Outcome) -> None:
    """What every failure owes: it is an error of ours, and tells nobody's data."""
    if outcome.published is None:
        assert outcome.is_ours, outcome.error
        assert not outcome.tells_values, "an error tells a customer's value"


def changed_rows(published: Published) -> int:
    """The rows that a run wrote or removed."""
    return published.rows_inserted + published.rows_updated + published.rows_deleted
