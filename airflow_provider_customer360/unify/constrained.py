"""Joining by links as far as constraints allow: pure Python, for the few customers that violate something.

Links are taken from the strongest to the weakest, and one that would make a group violate a limit or a rule
is dropped: Kruskal's algorithm (1956) with the cannot-link constraints of Wagstaff and others (2001).
Groups only grow, so what has been refused once stays refused, and the outcome depends on the order of the
links alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

#: What a limit counts: a type, and a source where it counts by source.
Counted = tuple[int, int | None]
#: Instead of the type whose limit a link would exceed: a rule forbids it.
FORBIDDEN = -1


@dataclass
class _Group:
    counts: Counter[Counted]
    enemies: set[int]


def join(
    links: Iterable[tuple[int, int]],
    counted: Mapping[int, Sequence[Counted]],
    limits: Mapping[Counted, int],
    demanded: Iterable[tuple[int, int]] = (),
    forbidden: Iterable[tuple[int, int]] = (),
) -> tuple[dict[int, int], list[tuple[int, int, int]]]:
    """Group nodes by links.

    Args:
        links: pairs of nodes, the strongest first.
        counted: every node, with all to which it adds one.
        limits: the most that a group may have of what is counted.
        demanded: pairs that are one group whatever the limits say.
        forbidden: pairs that must not be in one group; no demanded pairs join them.

    Returns:
        Each node's group, named by one of its nodes; and the dropped links, each with the type whose
        limit it would exceed, or `FORBIDDEN`.
    """
    parent = {node: node for node in counted}
    groups = {node: _Group(Counter(kinds), set()) for node, kinds in counted.items()}
    for one, other in forbidden:
        groups[one].enemies.add(other)
        groups[other].enemies.add(one)

    def find(node: int) -> int:
        while parent[node] != node:
            parent[node] = node = parent[parent[node]]
        return node

    def unite(one: int, other: int) -> None:
        parent[other] = one
        absorbed = groups.pop(other)
        groups[one].counts.update(absorbed.counts)
        groups[one].enemies |= absorbed.enemies

    for a, b in demanded:
        if find(a) != find(b):
            unite(find(a), find(b))
    dropped = []
    for a, b in links:
        one, other = find(a), find(b)
        if one == other:
            continue
        if other in map(find, groups[one].enemies):
            dropped.append((a, b, FORBIDDEN))
        elif (t := _exceeded(groups[one].counts, groups[other].counts, limits)) is not None:
            dropped.append((a, b, t))
        else:
            unite(*((one, other) if len(groups[one].counts) >= len(groups[other].counts) else (other, one)))
    return {node: find(node) for node in parent}, dropped


def _exceeded(one: Counter[Counted], other: Counter[Counted], limits: Mapping[Counted, int]) -> int | None:
    """The type whose limit the two groups together exceed."""
    fewer, more = (one, other) if len(one) <= len(other) else (other, one)
    over = [kind for kind, n in fewer.items() if kind in limits and n + more[kind] > limits[kind]]
    return min(t for t, _ in over) if over else None
