"""What the guards of identity resolution promise, worked out a second time: plain Python and networkx.

Where a rule decides alone (what is shared, what identifies nobody, which rows are whose, how strong a link
is) the result is worked out and compared. Of links of equal strength the package takes the one with the
smaller hash; there the oracle asks instead whether the outcome is one that the rules allow, see `Judge`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import networkx as nx

from tests.unify.oracle import Declared, Identifier

Pair = tuple[Identifier, Identifier]
#: What a limit counts: a type, and a source where it counts by source.
Counted = tuple[str, str | None]


#: Priority from which on a value is of a device, of which a person has many.
DEVICES = 50


@dataclass(frozen=True, kw_only=True)
class Kind:
    """An identifier type: its priority, and settings as a run takes them."""

    priority: int
    shared_after: int | None
    limit: int | None
    limit_per: str
    links: bool
    numbering: str

    @property
    def settings(self) -> dict[str, Any]:
        """What a run is told; nothing is personal, so that ids and events show values."""
        return {name: value for name, value in asdict(self).items() if name != "priority"} | {
            "personal": False
        }


class Row(NamedTuple):
    """A source row: what it links, the strongest first, what it only shows, and whose initials it has."""

    source: str
    key: str
    linking: tuple[Identifier, ...]
    shown: tuple[Identifier, ...]
    initials: str | None


class Dropped(NamedTuple):
    """A link that a guard dropped, as an event tells it: ``weak`` was seen with ``strong``."""

    strong: Identifier
    weak: Identifier
    source: str
    records: int
    reason: str


class SharedValue(NamedTuple):
    """A value of many people, with the number that the event gives for a reason."""

    identifier: Identifier
    people: int


@dataclass(frozen=True)
class GuardedCase:
    """Sources whose values are in standard form, in columns with declared roles, and what guards them.

    Rows have a unique ``rid``. A column ``full_name`` holds two words.
    """

    declared: Mapping[str, Declared]
    kinds: Mapping[str, Kind]
    must_link: tuple[Pair, ...] = ()
    must_not_link: tuple[Pair, ...] = ()


class Oracle:
    """What follows from a case without regard to the order of equally strong links."""

    #: The strength of a link that a rule makes.
    RULED = ((-1, ""), 0)

    def __init__(self, case: GuardedCase) -> None:
        self.case = case = settled(case)
        self.kinds = case.kinds
        self.rows = [
            self._row(name, source, row) for name, source in case.declared.items() for row in source.rows
        ]
        self.seen_in: dict[Identifier, set[str]] = defaultdict(set)
        for row in self.rows:
            for one in (*row.linking, *row.shown):
                self.seen_in[one].add(row.source)

    def _row(self, name: str, source: Declared, row: Mapping[str, Any]) -> Row:
        held = [(kind, row[column]) for column, kind in source.identifiers.items() if row[column] is not None]
        own = sorted(dict.fromkeys(held), key=lambda one: self._strength(one))
        first, *_, last = (row.get("full_name") or "? ?").split()
        initials = "".join(sorted(first[0] + last[0])) if first != "?" else None
        links = [self.kinds[kind].links for kind, _ in own]
        return Row(
            name,
            row["rid"],
            tuple(one for one, linking in zip(own, links, strict=True) if linking),
            tuple(one for one, linking in zip(own, links, strict=True) if not linking),
            initials,
        )

    def _strength(self, one: Identifier) -> tuple[int, str]:
        return self.kinds[one[0]].priority, one[0]

    @cached_property
    def shared(self) -> set[SharedValue]:
        """More people than ``shared_after`` stand behind a value: by names where they are known."""
        beside: dict[tuple[Identifier, str, str], set[Identifier]] = defaultdict(set)
        named: dict[Identifier, set[tuple[str, Identifier | None]]] = defaultdict(set)
        for row in self.rows:
            for other in row.linking[1:]:
                for one, another in ((row.linking[0], other), (other, row.linking[0])):
                    if one[0] != another[0] and self.kinds[another[0]].priority < DEVICES:
                        beside[one, row.source, another[0]].add(another)
            for one in row.linking:
                if row.initials:
                    named[one].add((row.initials, row.linking[0] if row.linking[0] != one else None))
        found = set()
        for one in self.seen_in:
            most = self.kinds[one[0]].shared_after
            customers = max((len(held) for (other, _, _), held in beside.items() if other == one), default=0)
            # Names on records of one stronger identifier are one person's.
            all_names = {name for name, _ in named[one]}
            owners = {owner for _, owner in named[one] if owner}
            alone = {name for name, owner in named[one] if owner is None}
            names = min(len(all_names), len(owners) + len(alone))
            people = max(names, customers // 10) if names else (customers + 1) // 2
            if most is not None and self.kinds[one[0]].links and people > most:
                found.add(SharedValue(one, names if names > 1 else customers))
        return found

    @cached_property
    def evidence(self) -> dict[tuple[str, str], tuple[Identifier, ...]]:
        """By source and key of each row the identifiers by which it is linked, the strongest first."""
        shared = {value.identifier for value in self.shared}
        return {
            (row.source, row.key): tuple(one for one in row.linking if one not in shared) for row in self.rows
        }

    @cached_property
    def links(self) -> dict[Pair, Counter[str]]:
        """A star around each row's strongest identifier: the rows of each source that show a link."""
        links: dict[Pair, Counter[str]] = defaultdict(Counter)
        for (source, _), (first, *others) in (
            (row, held) for row, held in self.evidence.items() if len(held) > 1
        ):
            for other in others:
                links[first, other][source] += 1
        return links

    def weakness(self, link: Pair) -> tuple[tuple[int, str], int]:
        """The type of the weaker end, then the fewer records."""
        return self._strength(link[1]), -self.links[link].total()

    def strength(self, one: Identifier, other: Identifier) -> tuple[tuple[int, str], int]:
        """As `weakness`, of a link in either direction."""
        records = sum(self.links[link].total() for link in ((one, other), (other, one)) if link in self.links)
        return max(self._strength(one), self._strength(other)), -records

    def strongest_tree(self, own: Iterable[Identifier]) -> list[tuple[tuple[int, str], int]]:
        """The strengths of the links in a customer's tree of greatest strength; they are the same in each."""
        links = {(a, b): self.strength(a, b) for a, b in self.links if a in own and b in own}
        for part in set(self.parts.values()):
            links |= {pair: self.RULED for pair in pairwise(part) if part <= set(own)}
        ranks = {strength: rank for rank, strength in enumerate(sorted(set(links.values())))}
        graph: nx.Graph[Identifier] = nx.Graph()
        for (a, b), strength in sorted(links.items(), key=lambda link: link[1], reverse=True):
            graph.add_edge(a, b, weight=ranks[strength], strength=strength)
        return sorted(told["strength"] for _, _, told in nx.minimum_spanning_edges(graph))

    @cached_property
    def parts(self) -> dict[Identifier, frozenset[Identifier]]:
        """What rules link, also through identifiers that no source has; without those."""
        graph: nx.Graph[Identifier] = nx.Graph(self.case.must_link)
        found = {}
        for component in nx.connected_components(graph):
            present = frozenset(one for one in component if one in self.seen_in)
            found |= dict.fromkeys(present, present)
        return found

    def silent(self, dropped: Iterable[Dropped]) -> set[Identifier]:
        """The identifiers that belong to no one customer: by themselves, and no rule gives them to one."""
        cut = {(one.strong, one.weak) for one in dropped}
        shared = {value.identifier for value in self.shared}
        speaking = set()
        for held in self.evidence.values():
            speaking |= {one for one in held if one == held[0] or (held[0], one) not in cut}
        alone = set(self.seen_in) - speaking
        assert shared <= alone
        return {one for one in alone if self.parts.get(one, frozenset((one,))) <= alone}

    def counts(self, group: Iterable[Identifier]) -> Counter[Counted]:
        """How much a group has of what limits count."""
        found: Counter[Counted] = Counter()
        for kind, value in group:
            if self.kinds[kind].limit is not None and self.kinds[kind].limit_per == "customer":
                found[kind, None] += 1
            elif self.kinds[kind].limit is not None:
                found.update((kind, source) for source in self.seen_in[kind, value])
        return found

    def customer_id(self, group: Iterable[Identifier]) -> str:
        """The id that the content gives: of the strongest type the shortest, then the first value."""
        kind, value = min(group, key=lambda one: (self._strength(one), len(one[1]), one[1]))
        return value if kind == "customer_id" else f"{kind}:{value}"

    def owner(self, row: Row, homes: Mapping[Identifier, str | None]) -> str | None:
        """The customer of a row, given the customers of identifiers."""
        if held := self.evidence[row.source, row.key]:
            return homes[held[0]]
        # It shows nothing but shared values; a rule may have said whose one of them is.
        return next((homes[one] for one in row.linking if one in self.parts), None)


@dataclass(frozen=True)
class Judge:
    """Whether an outcome is one that the rules allow.

    Links are taken from the strongest to the weakest, and one that would violate something is dropped. With
    links of equal strength in any order, an outcome can come about in this way if and only if

    - groups are what kept links and rules hold together,
    - no group violates anything, and
    - every dropped link would violate something given the kept links that are at least as strong.
    """

    oracle: Oracle
    homes: Mapping[Identifier, str | None]
    dropped: Sequence[Dropped]

    @cached_property
    def groups(self) -> dict[Identifier, frozenset[Identifier]]:
        """The identifiers of each one's customer; what identifies nobody is with what rules link to it."""
        members: dict[str, set[Identifier]] = defaultdict(set)
        for one, customer_id in self.homes.items():
            if customer_id is not None:
                members[customer_id].add(one)
        return {
            one: frozenset(members[customer_id])
            if customer_id is not None
            else self.oracle.parts.get(one, frozenset((one,)))
            for one, customer_id in self.homes.items()
        }

    @cached_property
    def kept(self) -> list[Pair]:
        """Links within one customer."""
        return [(a, b) for a, b in self.oracle.links if self.groups[a] == self.groups[b]]

    def check(self) -> None:
        """Fail where a rule is broken."""
        assert self.homes.keys() == self.oracle.seen_in.keys()
        nobody = {one for one, customer_id in self.homes.items() if customer_id is None}
        assert nobody == self.oracle.silent(self.dropped)
        self._check_rules()
        self._check_limits()
        self._check_groups_hold_together()
        self._check_dropped_are_between_customers()
        for one in self.dropped:
            self._check_needed(one)

    def _check_rules(self) -> None:
        for one, part in self.oracle.parts.items():
            assert part <= self.groups[one], "must_link is not obeyed"
        for one, other in self.oracle.case.must_not_link:
            if one in self.groups and other in self.groups:
                assert self.groups[one] != self.groups[other], "must_not_link is not obeyed"

    def _check_limits(self) -> None:
        """Only must_link alone brings a customer above a limit."""
        for group in set(self.groups.values()):
            parts = [self.oracle.counts(self.oracle.parts[one]) for one in group if one in self.oracle.parts]
            for counted, number in self.oracle.counts(group).items():
                by_rule = max((part[counted] for part in parts), default=0)
                limit = self.oracle.kinds[counted[0]].limit
                assert number <= max(limit, by_rule), f"{number} of {counted}, limit {limit}"

    def _check_groups_hold_together(self) -> None:
        found = self._components(self.kept)
        assert found == self.groups, "customers are not what kept links and rules hold together"

    def _check_dropped_are_between_customers(self) -> None:
        """Every link between two customers is told as dropped, once by source; no other is."""
        between = {
            (a, b, source, records)
            for (a, b), sources in self.oracle.links.items()
            if self.groups[a] != self.groups[b]
            for source, records in sources.items()
        }
        told = [(one.strong, one.weak, one.source, one.records) for one in self.dropped]
        assert len(told) == len(set(told))
        assert set(told) == between

    def _check_needed(self, one: Dropped) -> None:
        """With the links alone that are at least as strong, joining would violate what the reason names."""
        link = (one.strong, one.weak)
        weakness = self.oracle.weakness
        then = self._components([kept for kept in self.kept if weakness(kept) <= weakness(link)])
        left, right = then[one.strong], then[one.weak]
        if one.reason.startswith("must_not_link"):
            forbidden = {frozenset(pair) for pair in self.oracle.case.must_not_link}
            assert any({x, y} in forbidden for x in left for y in right), "no rule forbids this link"
        else:
            named = one.reason.rpartition(" values of ")[2]
            limits, kind = self.oracle.kinds, named.removesuffix(" in one source")
            assert f" more than {limits[kind].limit} " in one.reason
            mine, yours = self.oracle.counts(left), self.oracle.counts(right)
            assert any(
                counted[0] == kind and yours[counted] and number + yours[counted] > limits[kind].limit
                for counted, number in mine.items()
            ), f"together they do not exceed the limit of {kind}"

    def _components(self, links: Iterable[Pair]) -> dict[Identifier, frozenset[Identifier]]:
        graph: nx.Graph[Identifier] = nx.Graph()
        graph.add_nodes_from(self.homes)
        graph.add_edges_from(links)
        for part in set(self.oracle.parts.values()):
            nx.add_path(graph, part)
        return {one: group for group in map(frozenset, nx.connected_components(graph)) for one in group}


def settled(case: GuardedCase) -> GuardedCase:
    """The case with a type for each source of those that number customers in their own way."""
    declared, kinds = dict(case.declared), dict(case.kinds)
    for name, kind in case.kinds.items():
        using = [one for one, source in declared.items() if name in source.identifiers.values()]
        if kind.numbering == "per_source" and len(using) > 1:
            for one in using:
                own = f"{one}_{name}"
                columns = declared[one].identifiers.items()
                identifiers = {column: own if held == name else held for column, held in columns}
                declared[one] = replace(declared[one], identifiers=identifiers)
                kinds[own] = replace(kind, priority=max(kind.priority, 20))
    return replace(case, declared=declared, kinds=kinds)


def parts_of(must_link: Iterable[Pair]) -> dict[Identifier, int]:
    """The identifiers that rules link, each with the number of its part."""
    graph: nx.Graph[Identifier] = nx.Graph(list(must_link))
    return {one: number for number, part in enumerate(nx.connected_components(graph)) for one in part}
