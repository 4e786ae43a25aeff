"""What a run is doing: seconds and rows per stage, and a line in the log now and then while a stage is long.

The lines name stages, sources and kinds of work, never anything of a customer.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

log = logging.getLogger(__name__)

#: Seconds of work after which the log gets a line, again and again.
INTERVAL = 30.0


@dataclass
class Stage:
    """A stage of a run; the seconds are there once it is over, the rows when the stage tells them."""

    title: str
    seconds: float = 0.0
    rows: int | None = None


class Progress:
    """Tells what is being done; one thread sets, another one tells.

    Args:
        percentage: how much of the running statement is done, 0 to 100; negative where that is not known.
    """

    def __init__(self, percentage: Callable[[], float] = lambda: -1.0) -> None:
        self._percentage = percentage
        self._interval = INTERVAL
        self._adding = threading.Lock()
        self.begin("")

    def begin(self, doing: str) -> None:
        """From now on this is done."""
        self.doing, self._rows, self._begun = doing, 0, time.monotonic()

    def add(self, rows: int) -> None:
        """So many more rows have gone through; several threads may say so."""
        with self._adding:
            self._rows += rows

    @property
    def rate(self) -> str:
        """The rows since `begin`, and how many that is in a second."""
        return f"{self._rows:,} rows, {self._rows / (time.monotonic() - self._begun + 1e-9):,.0f} a second"

    @property
    def seconds(self) -> float:
        """Since `begin`."""
        return time.monotonic() - self._begun

    @contextmanager
    def stage(self, title: str) -> Iterator[Stage]:
        """Measure a stage and tell of it: while it is long, and once it is over."""
        stage, started, over = Stage(title), time.monotonic(), threading.Event()
        self.begin("")
        telling = threading.Thread(target=self._tell, args=(stage, over), name="progress", daemon=True)
        telling.start()
        try:
            yield stage
        finally:
            over.set()
            telling.join()
            stage.seconds = round(time.monotonic() - started, 3)
            rows = "" if stage.rows is None else f", {stage.rows:,} rows"
            log.info("%s took %.1f s%s", title, stage.seconds, rows)

    def _tell(self, stage: Stage, over: threading.Event) -> None:
        started = time.monotonic()
        while not over.wait(self._interval):
            percentage = self._percentage()
            told = [f"{stage.title}: {time.monotonic() - started:,.0f} s so far", self.doing]
            told.append(self.rate if self._rows else "")
            told.append(f"{percentage:.0f} % of this step" if 0 < percentage <= 100 else "")
            log.info("%s", ", ".join(filter(None, told)))
