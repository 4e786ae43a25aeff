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


@dataclass
class _Group:
    """What a group has, and the nodes that must not join it, each with the position of the rule."""

    counts: Counter[Counted]
    enemies: dict[int, int]


def forbidden(rule: int) -> int:
    """What stands for a rule, by its position, where otherwise a type is named: a negative number."""
    return -1 - rule


def join(
    links: Iterable[tuple[int, int]],
    counted: Mapping[int, Sequence[Counted]],
    limits: Mapping[Counted, int],
    demanded: Iterable[tuple[int, int]] = (),
    apart: Mapping[tuple[int, int], int] | None = None,
) -> tuple[dict[int, int], list[tuple[int, int, int]]]:
    """Group nodes by links.

    Args:
        links: pairs of nodes, the strongest first.
        counted: every node, with all to which it adds one.
        limits: the most that a group may have of what is counted.
        demanded: pairs that are one group whatever the limits say.
        apart: pairs that must not be in one group, with the position of the rule; no demanded pairs join
            them.

    Returns:
        Each node's group, named by one of its nodes; and the dropped links, each with the type whose
        limit it would exceed, or with what `forbidden` gives.
    """
    parent = {node: node for node in counted}
    groups = {node: _Group(Counter(kinds), {}) for node, kinds in counted.items()}
    for (one, other), rule in (apart or {}).items():
        groups[one].enemies[other] = groups[other].enemies[one] = rule

    def find(node: int) -> int:
        while parent[node] != node:
            parent[node] = node = parent[parent[node]]
        return node

    def unite(one: int, other: int) -> None:
        parent[other] = one
        absorbed = groups.pop(other)
        groups[one].counts.update(absorbed.counts)
        groups[one].enemies.update(absorbed.enemies)

    for a, b in demanded:
        if find(a) != find(b):
            unite(find(a), find(b))
    dropped = []
    for a, b in links:
        one, other = find(a), find(b)
        if one == other:
            continue
        rules = [rule for enemy, rule in groups[one].enemies.items() if find(enemy) == other]
        if rules:
            dropped.append((a, b, forbidden(min(rules))))
        elif (t := _exceeded(groups[one].counts, groups[other].counts, limits)) is not None:
            dropped.append((a, b, t))
        else:
            unite(*((one, other) if len(groups[one].counts) >= len(groups[other].counts) else (other, one)))
    return {node: find(node) for node in parent}, dropped


def _exceeded(one: Counter[Counted], other: Counter[Counted], limits: Mapping[Counted, int]) -> int | None:
    """The type whose limit the two groups together exceed; not what one of them has alone, by a rule."""
    fewer, more = (one, other) if len(one) <= len(other) else (other, one)
    both = [kind for kind in fewer if kind in limits and kind in more]
    over = [kind for kind in both if fewer[kind] + more[kind] > limits[kind]]
    return min(t for t, _ in over) if over else None
