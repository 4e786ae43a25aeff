"""Work on many rows that is done part by part, because a join or grouping has to keep its rows in memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One of several parts into which a whole number of each row, such as its customer, cuts the rows.

    Attributes:
        number: its own, from 0 on.
        of: how many there are.
    """

    number: int = 0
    of: int = 1

    @classmethod
    def all(cls, of: int) -> list[Part]:
        """As many parts, in their order."""
        return [cls(number, of) for number in range(of)]

    def holds(self, number: str) -> str:
        """The SQL condition that a row is of this part, given its number as SQL, which is never negative."""
        return "true" if self.of == 1 else f"({number}) % {self.of} = {self.number}"


WHOLE = Part()
