"""Manual rules: pairs of identifiers that must be, or must not be, one customer.

They win over everything else that links and separates. A pair is four columns, ``identifier_type``,
``identifier_value``, ``other_identifier_type`` and ``other_identifier_value``, and a ``reason`` if wanted;
values are standardised like those of the sources.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from airflow_provider_customer360.unify.config import Config
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.errors import ConfigError
from airflow_provider_customer360.unify.keys import NodeKeys
from airflow_provider_customer360.unify.schema import Plan
from airflow_provider_customer360.unify.stated_identifiers import read_stated, standardised_values

_SIDES = (("identifier_type", "identifier_value"), ("other_identifier_type", "other_identifier_value"))
_REASON = "reason"


@dataclass(frozen=True)
class Pair:
    """One rule: its two identifiers as node keys and as they may be shown, and why it was made."""

    keys: tuple[int, int]
    shown: tuple[str, str]
    reason: str | None

    @property
    def words(self) -> str:
        """The rule as a person may read it in an error."""
        return " and ".join(self.shown)


@dataclass(frozen=True)
class Rules:
    """The rules of a run, as pairs of nodes.

    Attributes:
        demanded: one customer each; of identifiers that are in the data, also where the rules join them
            through others that are not.
        forbidden: never one customer; of identifiers that are in the data.
        reasons: of the forbidden pairs.
        warnings: about rules that change nothing.
    """

    demanded: tuple[tuple[int, int], ...] = ()
    forbidden: tuple[tuple[int, int], ...] = ()
    reasons: tuple[str | None, ...] = ()
    warnings: tuple[str, ...] = ()


def read_rules(
    engine: Engine, plan: Plan, config: Config, keys: NodeKeys, must_link: Any, must_not_link: Any
) -> Rules:
    """Read the rules.

    Makes ``ruled`` (``node``, ``part``: what rules link, by part), ``demanded`` (likewise, of it what is in
    the data) and ``demanded_links`` (``a``, ``b``).

    Raises:
        ConfigError: a column is missing, what stands for a type is none, or rules contradict each other.
        SourceError: they cannot be read.
    """
    linked, links = _pairs(engine, plan, config, keys, "must_link", must_link)
    apart, separations = _pairs(engine, plan, config, keys, "must_not_link", must_not_link)
    parts = _parts(pair.keys for pair in linked)
    for pair in apart:
        one, other = pair.keys
        if one == other or (one in parts and parts[one] == parts.get(other)):
            raise ConfigError(_contradiction(pair, _chain(linked, one, other)))
    present = _present(engine, [key for pair in (*linked, *apart) for key in pair.keys])
    members = sorted((part, key) for key, part in parts.items() if key in present)
    demanded = [(a, b) for (one, a), (two, b) in pairwise(members) if one == two]
    _register(engine, "ruled", node=list(parts), part=list(parts.values()))
    _register(engine, "demanded", node=[key for _, key in members], part=[part for part, _ in members])
    _register(engine, "demanded_links", a=[a for a, _ in demanded], b=[b for _, b in demanded])
    # Of several reasons for one pair the first by text is told, whatever the order of the rules.
    forbidden = {
        (min(pair.keys), max(pair.keys)): pair.reason
        for pair in sorted(apart, key=lambda pair: pair.reason or "", reverse=True)
        if set(pair.keys) <= present
    }
    apart_now = tuple(sorted(forbidden))
    warnings = (
        _unused("must_link", links, linked, present),
        _unused("must_not_link", separations, apart, present),
    )
    return Rules(
        tuple(demanded),
        apart_now,
        tuple(forbidden[keys] for keys in apart_now),
        tuple(warning for warning in warnings if warning),
    )


def _unused(name: str, rules: int, pairs: Sequence[Pair], present: set[int]) -> str | None:
    """What to tell of rules that name what is not in the data."""
    idle = rules - sum(set(pair.keys) <= present for pair in pairs)
    if not idle:
        return None
    return (
        f"{idle:,} of {rules:,} {name} rules name an identifier that is in no source now, or one that "
        "identifies nobody; they change nothing, or only through other rules. Phones match as E.164."
    )


def _register(engine: Engine, name: str, **columns: Sequence[int]) -> None:
    import pyarrow as pa

    engine.register(name, pa.table({key: pa.array(values, pa.uint64()) for key, values in columns.items()}))


def _pairs(
    engine: Engine, plan: Plan, config: Config, keys: NodeKeys, name: str, data: Any
) -> tuple[list[Pair], int]:
    """The rules of one table that name identifiers of this run's types, and the number of all its rules."""
    rules = 0 if data is None else read_stated(engine, name, data, _SIDES, _REASON)
    values = standardised_values(engine, name, _SIDES, plan.types, keys, config.shown) if rules else None
    if values is None:
        return [], rules
    pairs = [
        Pair((one, other), (f"{type_1} {config.shown(value_1)}", f"{type_2} {config.shown(value_2)}"), reason)
        for one, other, type_1, value_1, type_2, value_2, reason in engine.rows(
            f"SELECT x.node, y.node, x.type, x.value, y.type, y.value, {_REASON} "
            f"FROM {name}_stated JOIN ({values}) x USING (number) JOIN ({values}) y USING (number) "
            "WHERE x.side = 0 AND y.side = 1 AND x.node IS NOT NULL AND y.node IS NOT NULL ORDER BY number"
        )
    ]
    return pairs, rules


def _parts(pairs: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Each node's part of the graph of demanded pairs, named by its smallest node."""
    parts: dict[int, int] = {}
    beside: dict[int, list[int]] = {}
    for one, other in pairs:
        beside.setdefault(one, []).append(other)
        beside.setdefault(other, []).append(one)
    for first in sorted(beside):
        waiting = [first] if first not in parts else []
        while waiting:
            node = waiting.pop()
            if node not in parts:
                parts[node] = first
                waiting += beside[node]
    return parts


def _chain(linked: Sequence[Pair], start: int, end: int) -> list[Pair]:
    """The shortest chain of demanded pairs from one node to another."""
    beside: dict[int, list[tuple[int, Pair]]] = {}
    for pair in linked:
        for one, other in (pair.keys, pair.keys[::-1]):
            beside.setdefault(one, []).append((other, pair))
    chains: dict[int, list[Pair]] = {start: []}
    waiting = deque([start])
    while waiting and end not in chains:
        node = waiting.popleft()
        for other, pair in beside.get(node, []):
            if other not in chains:
                chains[other] = [*chains[node], pair]
                waiting.append(other)
    return chains.get(end, [])


def _contradiction(pair: Pair, chain: Sequence[Pair]) -> str:
    forbidden = f"must_not_link separates {pair.words}"
    if not chain:
        return f"{forbidden}, which are one identifier once they are standardised; remove that rule."
    demanded = "; ".join(one.words for one in chain)
    return f"{forbidden}, but must_link joins them ({demanded}); remove one of these rules."


def _present(engine: Engine, keys: Iterable[int]) -> set[int]:
    """Those of the node keys that are in some source."""
    _register(engine, "rule_nodes", node=sorted(set(keys)))
    return {node for (node,) in engine.rows("SELECT node FROM rule_nodes SEMI JOIN nodes USING (node)")}
