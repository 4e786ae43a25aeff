"""What the unifier should find, worked out a second time: plain Python, networkx, no code of the package.

Rows are dicts, roles are declared. It is slow and simple on purpose: every rule stands where a reader can
check it against the README, and shares no line, list or regular expression with what it judges.
"""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import networkx as nx

#: Texts that stand for "no value" in any spelling of case; the tests draw their junk from here.
PLACEHOLDERS = (
    *(
        "",
        "-",
        "--",
        "n/a",
        "N/A",
        "na",
        "null",
        "NULL",
        "none",
        "None",
        "nan",
        "unknown",
        "Unknown",
        "undefined",
    ),
    *("xxx", "0000", "000-0000", "not set", "?", "-1"),
)
#: E-mail addresses of nobody.
PLACEHOLDER_EMAILS = ("none@none.com", "noreply@example.com", "test@test.com", "unknown@unknown.org")
#: Digits of no phone.
PLACEHOLDER_PHONES = ("0000000", "9999999999", "1234567890")

_BLANKS = " \t\n\r\u00a0\u200b\ufeff"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Identifier = tuple[str, str]


@dataclass(frozen=True)
class Declared:
    """A source with declared roles.

    Attributes:
        rows: dicts of column to value; a missing key is a missing value.
        identifiers: column to identifier type.
        metrics: columns to sum.
        attributes: columns of which the most recent value survives.
        event_time: the column with the time of the record (datetime, naive means UTC).
    """

    rows: Sequence[Mapping[str, Any]]
    identifiers: Mapping[str, str]
    metrics: Sequence[str] = ()
    attributes: Sequence[str] = ()
    event_time: str | None = None


@dataclass
class Customer:
    """What a profile must hold; `sums` are exact Fractions, or the floats that `math.fsum` gives."""

    customer_id: str
    identifiers: frozenset[Identifier]
    shown: dict[str, str | None]
    total_records: int = 0
    records: dict[str, int] = field(default_factory=dict)
    sums: dict[str, Fraction | float] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    is_active: bool = True

    @property
    def data_sources(self) -> int:
        """The number of sources with a record of this customer."""
        return sum(count > 0 for count in self.records.values())


@dataclass(frozen=True)
class Truth:
    """All customers by id, and what could not be identified, by source."""

    customers: dict[str, Customer]
    unidentified: dict[str, int]
    unidentified_sums: dict[str, Fraction | float]


def truth(sources: Mapping[str, Declared], as_of: datetime, active_within: timedelta) -> Truth:
    """Unify the declared sources."""
    graph: nx.Graph[Identifier] = nx.Graph()
    found: list[tuple[str, Declared, Mapping[str, Any], list[Identifier]]] = []
    for name, source in sources.items():
        for row in source.rows:
            raw = [(kind, standard(kind, row.get(column))) for column, kind in source.identifiers.items()]
            own = [(kind, value) for kind, value in raw if value is not None]
            graph.add_nodes_from(own)
            graph.add_edges_from(pairwise(own))
            found.append((name, source, row, own))

    types = {kind for source in sources.values() for kind in source.identifiers.values()}
    home = {one: group for group in map(frozenset, nx.connected_components(graph)) for one in group}
    rows_of: dict[
        frozenset[Identifier] | None, list[tuple[str, Declared, Mapping[str, Any], list[Identifier]]]
    ]
    rows_of = {None: [], **{group: [] for group in home.values()}}
    for entry in found:
        rows_of[home[entry[3][0]] if entry[3] else None].append(entry)

    nobody = rows_of.pop(None)
    metrics = {metric for source in sources.values() for metric in source.metrics}
    customers = {}
    for group, rows in rows_of.items():
        assert group is not None
        customer = Customer(customer_id(group, types), group, _shown(rows, types))
        customer.total_records = len(rows)
        customer.records = {name: sum(row[0] == name for row in rows) for name in sources}
        customer.sums = {metric: _sum(rows, metric) for metric in metrics}
        times = [time for _, source, row, _ in rows if (time := _time(source, row))]
        customer.first_seen, customer.last_seen = min(times, default=None), max(times, default=None)
        if any(source.event_time for source in sources.values()):
            customer.is_active = bool(times) and max(times) >= as_of - active_within
        for attribute in {attribute for source in sources.values() for attribute in source.attributes}:
            customer.attributes[attribute] = _most_recent(rows, attribute)
        assert customer.customer_id not in customers, "two customers of one id"
        customers[customer.customer_id] = customer
    return Truth(
        customers,
        {name: sum(row[0] == name for row in nobody) for name in sources},
        {metric: _sum(nobody, metric) for metric in metrics},
    )


def standard(kind: str, value: Any) -> str | None:
    """The form in which a value is compared; None where it identifies nobody."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, (int, float, Decimal)):
        value = str(int(value)) if value == int(value) else str(value)
    text = unicodedata.normalize("NFC", value.strip(_BLANKS))
    whole, dot, fraction = text.partition(".")
    if dot and fraction and set(fraction) == {"0"} and whole.lstrip("+-").isdecimal():
        text = whole
    if kind == "email":
        return _email(text.lower())
    if kind == "phone":
        return _phone(text)
    if text.lower() in {junk.lower() for junk in PLACEHOLDERS} or not any(map(str.isalnum, text)):
        return None
    return None if len(text) > 1 and (set(text) == {"0"} or set(text) in ({"x"}, {"X"})) else text


def customer_id(group: frozenset[Identifier], types: set[str]) -> str:
    """The strongest type; of several values the shortest, then the smallest."""
    order = {
        "customer_id": (0, ""),
        "user_id": (1, ""),
        "email": (3, ""),
        "phone": (4, ""),
        "anonymous_id": (5, ""),
    }
    _, _, kind, value = min(
        (order.get(kind, (2, kind)), (len(value), value), kind, value) for kind, value in group
    )
    if kind in ("email", "phone"):
        return f"{kind}:{hashlib.sha256(f'{kind}:{value}'.encode()).hexdigest()[:32]}"
    could_be_another = ":" in value and value.split(":")[0] in types
    return value if kind == "customer_id" and not could_be_another else f"{kind}:{value}"


def _email(text: str) -> str | None:
    if text in PLACEHOLDER_EMAILS or text.count("@") != 1 or any(map(str.isspace, text)):
        return None
    mailbox, domain = text.split("@")
    labels = domain.split(".")
    return text if mailbox and len(labels) > 1 and labels[-1] and labels[0] else None


def _phone(text: str) -> str | None:
    """Digits with a plus where written internationally; the numbers in the tests have no other trap."""
    digits = "".join(character for character in text if character in "0123456789")
    if any(map(str.isalpha, text)) or not 7 <= len(digits) <= 17:
        return None
    if digits in PLACEHOLDER_PHONES or len(set(digits)) == 1:
        return None
    abroad = text.startswith(("+", "(+")) or digits.startswith("00")
    return "+" + digits.lstrip("0") if abroad else digits


def _time(source: Declared, row: Mapping[str, Any]) -> datetime | None:
    time: datetime | None = row.get(source.event_time) if source.event_time else None
    if time is None:
        return None
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def _sum(rows: Sequence[tuple[str, Declared, Mapping[str, Any], Any]], metric: str) -> Fraction | float:
    values = [row.get(metric) for _, source, row, _ in rows if metric in source.metrics]
    present = [value for value in values if value is not None]
    if any(isinstance(value, float) for value in present):
        return math.fsum(value for value in present if math.isfinite(value))
    return sum(map(Fraction, present), Fraction(0))


def _most_recent(rows: Sequence[tuple[str, Declared, Mapping[str, Any], Any]], attribute: str) -> Any:
    """The value of the latest record that has one, the greatest of those of one time."""
    candidates = []
    for _, source, row, _ in rows:
        value = row.get(attribute) if attribute in source.attributes else None
        value = value.strip(_BLANKS) if isinstance(value, str) else value
        if value is not None and value != "":
            time = _time(source, row)
            candidates.append((time is not None, time or _EPOCH, value))
    return max(candidates)[-1] if candidates else None


def _shown(rows: Sequence[tuple[str, Declared, Mapping[str, Any], list[Identifier]]], types: set[str]) -> Any:
    """Of several values of a type the one seen last, then most often, then the smallest."""
    seen: dict[Identifier, list[datetime | None]] = {}
    for _, source, row, own in rows:
        for one in set(own):
            seen.setdefault(one, []).append(_time(source, row))
    shown: dict[str, str | None] = {}
    for kind in types:
        ranked = []
        for (other, value), times in seen.items():
            known = [time for time in times if time]
            last = max(known) - _EPOCH if known else timedelta.min
            if other == kind:
                ranked.append((-last if known else timedelta.max, -len(times), value))
        shown[kind] = min(ranked)[-1] if ranked else None
    return shown
