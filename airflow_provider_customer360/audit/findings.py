"""One check, applied: what was found, live and new, and whether the bound holds."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

Result = Literal["passed", "breached", "overridden", "not compared"]


@dataclass(frozen=True)
class Finding:
    """What came of a check.

    Attributes:
        check: its full name: ``min_customers``, ``not_null.email``.
        live: of the table as it is; None: not known.
        new: of the staged profiles; None: not asked.
        bound: what the user allows.
        text: all of that in words, without any customer's value.
    """

    check: str
    live: int | Fraction | None
    new: int | Fraction | None
    bound: int | Fraction
    result: Result
    text: str

    @property
    def kind(self) -> str:
        """The check's name among `Checks`."""
        return self.check.partition(".")[0]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "check": self.check,
            "live": _plain(self.live),
            "new": _plain(self.new),
            "bound": _plain(self.bound),
            "result": self.result,
        }


def at_least(check: str, what: str, new: int, live: int | None, bound: int) -> Finding:
    """A number with a lower bound; the ``{s}`` of ``what`` is there where it is not 1."""
    text = f"{_counted(new, what)}{_beside(live)}; required: {bound:,}"
    return Finding(check, live, new, bound, _result(new >= bound), text)


def at_most(check: str, what: str, new: int, live: int | None, bound: int) -> Finding:
    """A number with an upper bound."""
    text = f"{_counted(new, what)}{_beside(live)}; allowed: {bound:,}"
    return Finding(check, live, new, bound, _result(new <= bound), text)


def fall(check: str, what: str, new: int, live: int | None, bound: Fraction, otherwise: str) -> Finding:
    """How far a number falls, as a share of the live one; ``otherwise`` says why there is none."""
    if live is None:
        return not_compared(check, new, bound, otherwise)
    share = Fraction(live - new, live) if live else Fraction(0)
    moved = f", a fall of {_percent(share)} %" if share > 0 else ""
    text = f"{_counted(new, what)}{_beside(live)}{moved}; allowed: a fall of {_percent(bound)} %"
    return Finding(check, live, new, bound, _result(share <= bound), text)


def change(
    check: str, what: str, new: Fraction, live: Fraction | None, bound: Fraction, otherwise: str
) -> Finding:
    """How far a share of customers moves, up or down; ``otherwise`` says why there is no live one."""
    if live is None:
        return not_compared(check, new, bound, otherwise)
    moved = abs(new - live)
    text = (
        f"{_percent(new)} % of customers {what} (live: {_percent(live)} %), a change of {_percent(moved)} "
        f"points; allowed: {_percent(bound)} points"
    )
    return Finding(check, live, new, bound, _result(moved <= bound), text)


def not_compared(check: str, new: int | Fraction | None, bound: Fraction, otherwise: str) -> Finding:
    """What needs a live number, and there is none."""
    return Finding(check, None, new, bound, "not compared", otherwise)


def _result(holds: bool) -> Result:
    return "passed" if holds else "breached"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what.format(s='' if number == 1 else 's')}"


def _beside(live: int | None) -> str:
    return "" if live is None else f" (live: {live:,})"


def _percent(share: Fraction) -> str:
    return f"{float(100 * share):.6g}"


def _plain(number: int | Fraction | None) -> int | float | None:
    return round(float(number), 6) if isinstance(number, Fraction) else number
