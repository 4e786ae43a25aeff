"""Traces: by which other identifier, on which records, each identifier came to its customer.

Of all links of a customer the strongest that hold it together are kept, a spanning tree of greatest strength
(Kruskal, 1956, by SciPy), and told from the customer's strongest identifier outwards. So each identifier has
one link, and a customer's weakest link is where it would fall apart first if links had to be stronger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.parts import Part
from airflow_provider_customer360.unify.records import SOURCES_IN_A_NUMBER, source_bit
from airflow_provider_customer360.unify.schema import Plan

if TYPE_CHECKING:
    import numpy as np

#: What a link takes while SciPy looks for trees, and how many are looked at at a time at least.
_BYTES_OF_A_LINK, _LEAST_LINKS = 300, 1_000_000
#: What an identifier takes in a join, roughly.
_BYTES_OF_AN_IDENTIFIER = 60
_DOING = "tracing links"


def trace(engine: Engine, plan: Plan) -> None:
    """Make ``traces``, one row per identifier that is not its customer's first.

    ``customer``, ``node``, ``parent``, ``records`` (that carry both) and ``sources`` (the union of their
    `source_bit`; NULL where a rule made the link).
    """
    _find_customer_links(engine, plan)
    engine.run(
        "CREATE OR REPLACE TABLE traces AS "
        "SELECT customer, a AS node, b AS parent, records, sources FROM customer_links LIMIT 0"
    )
    (count,) = engine.row("SELECT count(*) FROM customer_links")
    at_once = engine.beside(_BYTES_OF_A_LINK, at_least=_LEAST_LINKS)
    # Arrow has no bit strings: a text becomes one again when it is inserted.
    sources = "sources" if len(plan.sources) < SOURCES_IN_A_NUMBER else "sources::VARCHAR AS sources"
    for part in Part.all(1 + count // at_once):
        _trace_part(engine, sources, part.holds("customer"))
    engine.drop(["customer_links", "roots"])


def _find_customer_links(engine: Engine, plan: Plan) -> None:
    """Make ``customer_links``: the links, also those that rules made, with the customer of their ``a``."""
    bits = " ".join(f"WHEN {index} THEN {source_bit(plan, index)}" for index in range(len(plan.sources)))
    found = (
        f"SELECT a, b, t, ta, CASE s {bits} END AS sources, records "
        "FROM (SELECT * REPLACE (least(a, b) AS a, greatest(a, b) AS b) FROM links) "
        "ANTI JOIN demanded_links USING (a, b) UNION ALL SELECT a, b, -1, -1, NULL, 0 FROM demanded_links"
    )
    (count,) = engine.row("SELECT count(*) FROM identities")

    def of(part: Part) -> str:
        owners = f"SELECT node, customer FROM identities WHERE customer IS NOT NULL AND {part.holds('node')}"
        return (
            f"SELECT customer, a, b, t, ta, sources, records FROM ({found}) JOIN ({owners}) ON node = a "
            f"WHERE {part.holds('a')}"
        )

    engine.make("customer_links", of, engine.parts(count, _BYTES_OF_AN_IDENTIFIER), doing=_DOING)


def _trace_part(engine: Engine, sources: str, those: str) -> None:
    """Add the trees of one part of the customers to ``traces``."""
    # Rules first, then stronger types, then more records; the keys settle ties. Each pair is there once: of
    # repeated entries SciPy would take the sum.
    engine.progress.begin(_DOING)
    links = engine.reader(
        f"SELECT customer, a, b, {sources}, records FROM (SELECT customer, a, b, max(t) AS t, min(ta) AS ta, "
        "bit_or(sources) AS sources, sum(records)::BIGINT AS records "
        f"FROM customer_links WHERE {those} GROUP BY customer, a, b) AS links "
        f"SEMI JOIN (SELECT node AS b, customer FROM identities WHERE {those}) USING (b, customer) "
        "ORDER BY t, records DESC, ta, a, b",
        _LEAST_LINKS,
    ).read_all()
    roots = engine.numpy(f"SELECT node FROM roots WHERE {those}", doing=_DOING)["node"]
    node, parent, place = _tree(links["a"].to_numpy(), links["b"].to_numpy(), roots)
    traced = links.select(["customer", "records", "sources"]).take(place)
    engine.register("part_of_traces", traced.append_column("node", [node]).append_column("parent", [parent]))
    engine.run("INSERT INTO traces BY NAME FROM part_of_traces", doing=_DOING)
    engine.connection.unregister("part_of_traces")


def _tree(a: np.ndarray, b: np.ndarray, roots: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The trees of the earliest links: each child, its parent, and the place of their link."""
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

    # Numbers without gaps; one more node above all roots makes one tree of all customers.
    nodes, dense = np.unique(np.concatenate([a, b, roots]), return_inverse=True)
    a, b, roots = np.split(dense, [len(a), 2 * len(a)])
    size = len(nodes)
    above = np.full(len(roots), size)
    # Before 1.15, SciPy's graphs take 32-bit indices only.
    ends = np.concatenate([a, above]).astype(np.int32), np.concatenate([b, roots]).astype(np.int32)
    ranks = np.arange(1, len(a) + len(roots) + 1, dtype=np.float64)
    graph = coo_array((ranks, ends), shape=(size + 1, size + 1)).tocsr()
    tree = minimum_spanning_tree(graph)
    _, parents = breadth_first_order(tree, size, directed=False)
    child = np.flatnonzero((parents[:size] >= 0) & (parents[:size] != size))
    parent = parents[child]
    if not len(child):  # of no elements at all, SciPy would give a sparse array
        return nodes[child], nodes[parent], child
    both_ways = (tree + tree.T).tocsr()
    # Flat in every version of SciPy.
    ranks = np.asarray(both_ways[child, parent]).ravel().astype(np.int64)
    return nodes[child], nodes[parent], ranks - 1
