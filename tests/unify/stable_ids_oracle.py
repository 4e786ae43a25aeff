"""Which customer keeps which id, worked out a second time: dicts and sets, no SQL, no code of the package.

Each rule stands where a reader can check it against the docstring of `stable_ids`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any, NamedTuple

Identifier = tuple[str, str]
#: Kind, customer_id, other_customer_id, identifier type and value; the reason is for people.
Event = tuple[str, str, str | None, str, str]


class Seen(NamedTuple):
    """A row of `identities`."""

    identifier_type: str
    identifier_value: str
    first_seen: datetime | None
    last_seen: datetime | None
    records: int
    data_sources: int
    t: int
    customer: int | None


class Published(NamedTuple):
    """A row of `previous_identities` and of `identities_next`."""

    identifier_type: str
    identifier_value: str
    customer_id: str | None
    status: str
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    records: int | None = None
    data_sources: int | None = None


@dataclass(frozen=True)
class Expected:
    """What the stage must make of a day: the id of each component, what is published, what happened."""

    ids: dict[int, str]
    published: set[Published]
    events: set[Event]


def _age(first_seen: Iterable[datetime | None]) -> str:
    """The smallest time as sortable text; an unknown one comes after all numbers."""
    return min(moment.isoformat() if moment else "unknown" for moment in first_seen)


def expected(seen: Iterable[Seen], contents: Mapping[int, str], previous: Iterable[Published]) -> Expected:
    """Apply the rules to one day."""
    today = {(row.identifier_type, row.identifier_value): row for row in seen}
    past = list(previous)
    owned: dict[str, dict[Identifier, Published]] = defaultdict(dict)
    for row in past:
        if row.customer_id and row.status in ("linked", "absent"):
            owned[row.customer_id][row.identifier_type, row.identifier_value] = row
    pointers = {row.identifier_value: row.customer_id or "" for row in past if row.status == "absorbed"}

    # Where the identifiers of each previous customer are now.
    found: dict[str, dict[int, set[Identifier]]] = {}
    for customer_id, identifiers in owned.items():
        places: dict[int, set[Identifier]] = defaultdict(set)
        for identifier in identifiers:
            component = today[identifier].customer if identifier in today else None
            if component is not None:
                places[component].add(identifier)
        found[customer_id] = places

    claimants: dict[int, list[str]] = defaultdict(list)
    for customer_id, places in found.items():
        if places:
            ranked = sorted(
                places,
                key=lambda component: (
                    -len(places[component]),
                    _age(owned[customer_id][held].first_seen for held in places[component]),
                    len(contents[component]),
                    contents[component],
                ),
            )
            claimants[ranked[0]].append(customer_id)

    ids: dict[int, str] = {}
    survivor_of: dict[str, str] = {}
    for component, rivals in claimants.items():
        rivals.sort(
            key=lambda rival: (
                -len(found[rival][component]),
                _age(row.first_seen for row in owned[rival].values()),
                len(rival),
                rival,
            )
        )
        ids[component] = rivals[0]
        survivor_of |= dict.fromkeys(rivals[1:], rivals[0])

    used = {*owned, *pointers, *pointers.values()}
    waiting = {row.identifier_value for row in past if row[0] == "profile_id" and row.status == "absent"}
    newcomers = sorted(set(contents) - set(ids), key=lambda new: (len(contents[new]), contents[new]))
    for new in newcomers:
        if contents[new] not in used - waiting:
            ids[new] = contents[new]
    used |= set(ids.values())
    for new in newcomers:
        if new not in ids:
            ids[new] = next(free for n in count(2) if (free := f"{contents[new]}~{n}") not in used)
            used.add(ids[new])

    return Expected(
        ids,
        _published(today, ids, owned, found, survivor_of, pointers),
        _events(today, ids, owned, found, survivor_of),
    )


def _published(
    today: Mapping[Identifier, Seen],
    ids: Mapping[int, str],
    owned: Mapping[str, Mapping[Identifier, Published]],
    found: Mapping[str, Any],
    survivor_of: Mapping[str, str],
    pointers: Mapping[str, str],
) -> set[Published]:
    rows = set()
    for (kind, value), row in today.items():
        statistics = (row.first_seen, row.last_seen, row.records, row.data_sources)
        if row.customer is None:
            rows.add(Published(kind, value, None, "shared", *statistics))
        else:
            rows.add(Published(kind, value, ids[row.customer], "linked", *statistics))
    for customer_id, identifiers in owned.items():
        back = customer_id in ids.values()
        gone = [
            row
            for identifier, row in identifiers.items()
            if identifier not in today and not (back and identifier[0] == "profile_id")
        ]
        heir = survivor_of.get(customer_id, customer_id)
        rows |= {row._replace(customer_id=heir, status="absent") for row in gone}
        if not gone and not found[customer_id] and not back:
            rows.add(Published("profile_id", customer_id, customer_id, "absent"))
    for absorbed, heir in (dict(pointers) | dict(survivor_of)).items():
        rows.add(Published("profile_id", absorbed, survivor_of.get(heir, heir), "absorbed"))
    return rows


def _events(
    today: Mapping[Identifier, Seen],
    ids: Mapping[int, str],
    owned: Mapping[str, Mapping[Identifier, Published]],
    found: Mapping[str, Mapping[int, set[Identifier]]],
    survivor_of: Mapping[str, str],
) -> set[Event]:
    def strongest(identifiers: Iterable[Identifier]) -> Identifier:
        return min(identifiers, key=lambda held: (today[held].t, len(held[1]), held[1]))

    events: set[Event] = set()
    known: set[int] = set()
    for customer_id, places in found.items():
        known |= set(places)
        linked = [held for held, row in owned[customer_id].items() if row.status == "linked"]
        for component, identifiers in places.items():
            now, best = ids[component], strongest(identifiers)
            if now == customer_id:
                if not linked:
                    events.add(("created", now, None, *best))
            elif survivor_of.get(customer_id) == now:
                events.add(("merged", now, customer_id, *best))
            else:
                events.add(("split", now, customer_id, *best))
        if linked and not places:
            events.add(
                ("retired", customer_id, None, *min(linked, key=lambda held: (len(held[1]), held[1], held)))
            )
    for component in set(ids) - known:
        best = strongest(held for held, row in today.items() if row.customer == component)
        events.add(("created", ids[component], None, *best))
    return events
