"""Links to customers: connected components, and those that violate a limit or a rule once more, without.

Table ``dropped_links`` (``a``, ``b``, ``exceeded``: see `constrained`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_customer360.unify.constrained import Counted, join
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.manual_rules import Rules
from airflow_provider_customer360.unify.records import sources_of
from airflow_provider_customer360.unify.schema import Plan

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

#: What a link takes in Python's memory while components are found, and how many are there at a time at least.
_BYTES_OF_A_LINK, _LEAST_LINKS = 50, 2_000_000


def types_of_nodes(engine: Engine) -> np.ndarray:
    """The position of each node's type in the plan, by the node's row id."""
    import numpy as np

    # Nodes are made type by type, and a table that nothing was deleted from has the row ids 0 to n - 1.
    kinds, counts = zip(*engine.rows("SELECT t, count(*) FROM nodes GROUP BY t ORDER BY t"), strict=True)
    types: np.ndarray = np.repeat(np.array(kinds, dtype=np.int16), counts)
    return types


def find_components(engine: Engine, plan: Plan, rules: Rules) -> np.ndarray:
    """The component of each node, by the node's row id, from links and rules; makes ``dropped_links``.

    Components are found by SciPy's connected_components over dense integers (Pearce's variant of Tarjan's
    algorithm, 2005): no text and no SQL recursion, some 30 bytes an identifier.
    """
    import numpy as np

    demanded, forbidden = _numbered(engine, rules.demanded), _numbered(engine, rules.forbidden)
    (size,) = engine.row("SELECT count(*) FROM nodes")
    labels = _components(engine, size, demanded)
    suspects = _suspects(plan, labels, types_of_nodes(engine), forbidden)
    dropped: list[tuple[int, int, int]] = []
    if len(suspects):
        links, counted = _links_of(engine, labels, suspects), _counted(engine, plan)
        together = [(a, b) for a, b in demanded.tolist() if a in counted]
        apart = {
            (a, b): rule for rule, (a, b) in enumerate(forbidden.tolist()) if a in counted and b in counted
        }
        groups, dropped = join(links, counted, _limits(plan), together, apart)
        further = np.fromiter(groups.values(), dtype=labels.dtype)
        labels[list(groups)] = labels.max() + 1 + further
    _keep_dropped(engine, dropped)
    return labels


def _numbered(engine: Engine, pairs: Any) -> np.ndarray:
    """Pairs of node keys as pairs of node numbers."""
    import numpy as np
    import pyarrow as pa

    if not pairs:
        return np.empty((0, 2), dtype=np.int64)
    a, b = (pa.array([pair[side] for pair in pairs], pa.uint64()) for side in (0, 1))
    engine.register("node_pairs", pa.table({"place": np.arange(len(pairs)), "a": a, "b": b}))
    found = engine.numpy(
        "SELECT x.rowid AS a, y.rowid AS b FROM node_pairs JOIN nodes x ON x.node = a "
        "JOIN nodes y ON y.node = b ORDER BY place"
    )
    return np.stack([found["a"], found["b"]], axis=1)


def _components(engine: Engine, size: int, demanded: np.ndarray) -> np.ndarray:
    """The components by node number, as 32-bit integers, which SciPy has anyway."""
    import numpy as np

    labels: np.ndarray = np.arange(size, dtype=np.int32)
    engine.run(
        "CREATE OR REPLACE TABLE half_numbered AS SELECT nodes.rowid::INTEGER AS a, b "
        "FROM links JOIN nodes ON node = a",
        doing="linking identifiers",
    )
    for a, b in _batches(
        engine,
        "SELECT a, nodes.rowid::INTEGER AS b FROM half_numbered JOIN nodes ON node = b",
        "linking identifiers",
    ):
        labels = _joined(labels, a, b)
    engine.drop(["half_numbered"])
    return _joined(labels, demanded[:, 0], demanded[:, 1])


def _batches(engine: Engine, query: str, doing: str) -> Iterator[list[np.ndarray]]:
    """The columns of a query, numbers only, many rows at a time; DuckDB's own batches are small.

    The more at a time, the faster: with each batch SciPy looks at all identifiers again.
    """
    engine.progress.begin(doing)
    enough = engine.beside(_BYTES_OF_A_LINK, at_least=_LEAST_LINKS)
    held: list[pa.RecordBatch] = []
    with engine.within_memory():
        for batch in engine.reader(query, _LEAST_LINKS):
            held.append(batch)
            engine.progress.add(batch.num_rows)
            if sum(one.num_rows for one in held) >= enough:
                yield _columns(held)
                held = []
    if held:
        yield _columns(held)


def _columns(batches: list[pa.RecordBatch]) -> list[np.ndarray]:
    import pyarrow as pa

    return [column.to_numpy() for column in pa.Table.from_batches(batches).columns]


def _joined(labels: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The components once more links are known: those of the components so far."""
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(a):
        return labels
    ends = (labels[a], labels[b])
    # Weights of the kind that SciPy would make of them.
    graph = coo_array((np.ones(len(a)), ends), shape=(len(labels), len(labels))).tocsr()
    merged: np.ndarray = connected_components(graph, directed=False)[1]
    labels = merged[labels]
    return labels


def _suspects(plan: Plan, labels: np.ndarray, types: np.ndarray, forbidden: np.ndarray) -> np.ndarray:
    """The components that may exceed a limit or break a rule; limits by source are looked at later."""
    import numpy as np

    over = np.zeros(labels.max() + 1, dtype=bool)
    for t, one in enumerate(plan.types):
        if one.limit is not None:
            over |= np.bincount(labels[types == t], minlength=len(over)) > one.limit
    broken = labels[forbidden[:, 0]] == labels[forbidden[:, 1]]
    over[labels[forbidden[broken, 0]]] = True
    return np.flatnonzero(over)


def _links_of(engine: Engine, labels: np.ndarray, suspects: np.ndarray) -> list[tuple[int, int]]:
    """The links of some components, the strongest first: by the type of the weaker end, then by records.

    Table ``suspects``: the nodes of these components.
    """
    import numpy as np
    import pyarrow as pa

    engine.register("suspect_numbers", pa.table({"number": np.flatnonzero(np.isin(labels, suspects))}))
    engine.run(
        "CREATE OR REPLACE TABLE suspects AS SELECT number, node, t, v, sources "
        "FROM suspect_numbers JOIN nodes ON nodes.rowid = number"
    )
    return [
        (a, b)
        for a, b in engine.rows(
            "SELECT x.number, y.number FROM links JOIN suspects x ON x.node = a "
            "JOIN suspects y ON y.node = b GROUP BY x.number, y.number, x.v, y.v "
            "ORDER BY min(links.t), sum(records) DESC, count(DISTINCT s) DESC, min(ta), "
            "length(x.v), x.v, length(y.v), y.v",
            doing="ranking links",
        )
    ]


def _counted(engine: Engine, plan: Plan) -> Mapping[int, list[Counted]]:
    def kinds(t: int, sources: int | str) -> list[Counted]:
        return [(t, None)] if plan.types[t].limit_per == "customer" else [(t, s) for s in sources_of(sources)]

    return {
        number: kinds(t, sources)
        for number, t, sources in engine.rows("SELECT number, t, sources FROM suspects")
    }


def _limits(plan: Plan) -> Mapping[Counted, int]:
    return {
        (t, s): one.limit
        for t, one in enumerate(plan.types)
        if one.limit is not None
        for s in ([None] if one.limit_per == "customer" else range(len(plan.sources)))
    }


def _keep_dropped(engine: Engine, dropped: list[tuple[int, int, int]]) -> None:
    import pyarrow as pa

    a, b, exceeded = ([link[place] for link in dropped] for place in range(3))
    types = {"a": pa.int64(), "b": pa.int64(), "exceeded": pa.int16()}
    columns = {
        name: pa.array(values, types[name]) for name, values in zip(types, (a, b, exceeded), strict=True)
    }
    engine.register("dropped_pairs", pa.table(columns))
    engine.run(
        "CREATE OR REPLACE TABLE dropped_links AS SELECT x.node AS a, y.node AS b, exceeded "
        "FROM dropped_pairs AS pairs JOIN nodes x ON x.rowid = pairs.a JOIN nodes y ON y.rowid = pairs.b"
    )
