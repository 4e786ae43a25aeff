"""Why one customer is one: its identifiers and the links that hold them together, the weakest first.

Works on rows of identities as they are published, so that a run need not be repeated to explain its result.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_customer360.unify.digests import PATTERN
from airflow_provider_customer360.unify.errors import DataError
from airflow_provider_customer360.unify.identifier_types import NEVER_PERSONAL, identifier_type
from airflow_provider_customer360.unify.mask import mask
from airflow_provider_customer360.unify.quoting import literal
from airflow_provider_customer360.unify.stable_ids import PROFILE_ID

#: Columns of identities from which a customer is explained.
COLUMNS = (
    "customer_id",
    "identifier_type",
    "identifier_value",
    "status",
    "records",
    "linked_to_type",
    "linked_to_value",
    "linked_in",
    "linked_records",
)
#: What ``linked_in`` says where a rule made the link.
RULE = "must_link"
_Key = tuple[str, str]


@dataclass(frozen=True)
class Link:
    """Two identifiers that were seen together.

    Attributes:
        identifier, other: type and value; without the link, ``identifier`` and what hangs on it is somebody
            else.
        seen_in: the sources whose records show both, or ``must_link``.
        records: how many records show both.
        cut_off: how many identifiers hang on the link.
    """

    identifier: _Key
    other: _Key
    seen_in: str
    records: int
    cut_off: int


@dataclass(frozen=True)
class Explanation:
    """One customer, explained.

    Attributes:
        customer_id: the customer's id now; an absorbed id explains the customer that it became.
        identifiers: type and value to the number of records, the customer's first one first.
        links: the weakest first: of the weakest type, then on the fewest records.
        absorbed: earlier ids that now stand for this customer.
        absent: identifiers that are no longer in the data.
    """

    customer_id: str
    identifiers: Mapping[_Key, int]
    links: tuple[Link, ...]
    absorbed: tuple[str, ...]
    absent: tuple[_Key, ...]

    def as_text(self, *, show_values: bool = False) -> str:
        """The explanation for a person.

        Unless values may be shown, all are masked of which it is not known that they are no personal data:
        what a run states of its types is not published. What was published as a digest is shown as one.
        """
        numbers = {key: number for number, key in enumerate(self.identifiers, 1)}

        def shown(key: _Key) -> str:
            # Of a digest, two digits at each end are enough to tell those of one customer apart.
            hidden = not show_values and (key[0] not in NEVER_PERSONAL or re.fullmatch(PATTERN, key[1]))
            return f"{key[0]} {mask(key[1]) if hidden else key[1]}"

        def numbered(key: _Key) -> str:
            return f"[{numbers[key]}] {shown(key)}"

        lines = [f"Customer {self.customer_id}: {_counted(len(self.identifiers), 'identifier')}"]
        lines += [
            f"  {numbered(key)}, on {_counted(count, 'record')}" for key, count in self.identifiers.items()
        ]
        lines.append("Links, the weakest first:" if self.links else "Nothing had to be linked.")
        for link in self.links:
            where = "by rule" if link.seen_in == RULE else f"on {_counted(link.records, 'record')}"
            where += f" of {link.seen_in}" if link.seen_in != RULE else ""
            lines.append(
                f"  {numbered(link.identifier)} -- {numbered(link.other)}, {where}; without it, "
                f"{_counted(link.cut_off, 'identifier')} would be another customer"
            )
        if self.absorbed:
            lines.append(f"Earlier ids of this customer: {', '.join(self.absorbed)}")
        if self.absent:
            lines.append(f"No longer in the data: {', '.join(map(shown, self.absent))}")
        return "\n".join(lines)


def identities_of(relation: str, customer_id: str) -> str:
    """The query of a customer's identities with `COLUMNS`; an absorbed id gives those of whom it became.

    Args:
        relation: identities, as SQL.
        customer_id: the id as SQL, a text or a placeholder; it stands in the query twice.
    """
    survivor = (
        f"SELECT max(customer_id) FROM {relation} WHERE identifier_type = {literal(PROFILE_ID)} "
        f"AND status = 'absorbed' AND identifier_value = {customer_id}"
    )
    whose = f"coalesce(({survivor}), {customer_id})"
    return f"SELECT {', '.join(COLUMNS)} FROM {relation} WHERE customer_id = {whose}"


def explain(customer_id: str, rows: Iterable[Mapping[str, Any]]) -> Explanation:
    """Explain a customer.

    Args:
        customer_id: its id, or one that it had earlier.
        rows: what `identities_of` gives.

    Raises:
        DataError: there is no such customer.
    """
    mine: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        mine[row["status"]].append(row)
    if not mine["linked"] and not mine["absent"]:
        raise DataError(
            f"No identity has the customer_id {customer_id!r}. Is it an id of this table and its latest run?"
        )
    linked = {_key(row): row for row in mine["linked"]}
    hanging = _hanging(linked)
    links = [
        Link(key, _other(row), row["linked_in"] or RULE, int(row["linked_records"] or 0), hanging[key])
        for key, row in linked.items()
        if row["linked_to_type"] is not None
    ]
    first = {key: row for key, row in linked.items() if row["linked_to_type"] is None}
    others = sorted(set(linked) - set(first), key=lambda key: (identifier_type(key[0]).strength, key[1]))
    return Explanation(
        (mine["linked"] or mine["absent"])[0]["customer_id"],
        {key: int(linked[key]["records"] or 0) for key in (*first, *others)},
        tuple(sorted(links, key=_weakness)),
        tuple(sorted(row["identifier_value"] for row in mine["absorbed"])),
        tuple(sorted(map(_key, mine["absent"]))),
    )


def _key(row: Mapping[str, Any]) -> _Key:
    return row["identifier_type"], row["identifier_value"]


def _other(row: Mapping[str, Any]) -> _Key:
    return row["linked_to_type"], row["linked_to_value"]


def _weakness(link: Link) -> tuple[Any, ...]:
    # As links are ranked: by the weaker end, the records, the stronger end.
    stronger, weaker = sorted(identifier_type(key[0]).priority for key in (link.identifier, link.other))
    return link.seen_in == RULE, -weaker, link.records, -stronger, link.identifier, link.other


def _hanging(linked: Mapping[_Key, Mapping[str, Any]]) -> Mapping[_Key, int]:
    """For each identifier, how many identifiers are linked to the first one through it, itself included."""
    behind: dict[_Key, list[_Key]] = defaultdict(list)
    for key, row in linked.items():
        behind[_other(row)].append(key)
    outwards = [key for key, row in linked.items() if row["linked_to_type"] is None]
    for key in outwards:  # grows while it is walked
        outwards += behind[key]
    hanging = dict.fromkeys(linked, 1)
    for key in reversed(outwards):
        if (other := _other(linked[key])) in hanging:
            hanging[other] += hanging[key]
    return hanging


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
