"""What a test run has tried and seen, for the report at its end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields


@dataclass
class Tally:
    """The numbers of one server.

    Attributes:
        longest_read: in seconds; what happened meanwhile is the key.
        wrong: tables seen that were neither the old nor the new version, each in words.
        empty: reads that found an empty table, or none where there was one.
        debris: what was still there after the next run, each in words.
    """

    kills_by_step: int = 0
    kills_at_random: int = 0
    connections_broken: int = 0
    disks_full: int = 0
    runs_at_once: int = 0
    reads: int = 0
    longest_read: dict[str, float] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    empty: int = 0
    debris: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Add the numbers of a test."""
        for one in fields(self):
            if one.name != "longest_read":
                setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))

    def lines(self) -> Iterator[str]:
        """The report."""
        yield f"kills at every step      {self.kills_by_step:>8,}"
        yield f"kills at random moments  {self.kills_at_random:>8,}"
        yield f"connections broken       {self.connections_broken:>8,}"
        yield f"disks full               {self.disks_full:>8,}"
        yield f"runs at the same time    {self.runs_at_once:>8,}"
        yield f"reads meanwhile          {self.reads:>8,}"
        for meanwhile, seconds in self.longest_read.items():
            yield f"longest read             {seconds * 1000:>8,.0f} ms, {meanwhile}"
        yield f"wrong tables seen        {len(self.wrong):>8,}"
        yield f"empty reads              {self.empty:>8,}"
        yield f"debris left              {len(self.debris):>8,}"
