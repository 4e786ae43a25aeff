"""Traces: by which other identifier, on which records, each identifier came to its customer.

Of all links of a customer the strongest that hold it together are kept, a spanning tree of greatest strength
(Kruskal, 1956, by SciPy), and told from the customer's strongest identifier outwards. So each identifier has
one link, and a customer's weakest link is where it would fall apart first if links had to be stronger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_customer360.unify.engine import Engine

if TYPE_CHECKING:
    import numpy as np

#: Links of a part of the customers that is looked at at a time: SciPy's tree takes some 200 bytes a link.
_PART = 1_000_000


def trace(engine: Engine) -> None:
    """Make ``traces``, one row per identifier that is not its customer's first.

    ``node``, ``parent``, ``records`` (that carry both) and ``sources`` (positions of theirs in the plan; none
    where a rule made the link).
    """
    # Rules first, then stronger types, then more records; the keys settle ties. Each pair is there once: of
    # repeated entries SciPy would take the sum.
    engine.run(
        "CREATE OR REPLACE TABLE ranked_links AS SELECT a, b, sources, records, "
        "row_number() OVER (ORDER BY t, records DESC, ta, a, b) AS rank FROM ("
        "SELECT a, b, max(t) AS t, min(ta) AS ta, list(s ORDER BY s) AS sources, "
        "sum(records)::BIGINT AS records "
        "FROM (SELECT least(a, b) AS a, greatest(a, b) AS b, t, ta, s, records FROM links) "
        "ANTI JOIN demanded_links USING (a, b) GROUP BY a, b "
        "UNION ALL SELECT a, b, -1, -1, [], 0 FROM demanded_links)",
        doing="ranking links",
    )
    (count,) = engine.row("SELECT count(*) FROM ranked_links")
    parts = count // _PART + 1
    # A table that nothing was deleted from has the row ids 0 to n - 1. One join in a statement: each keeps
    # all identifiers in memory, or spills them if it is alone.
    engine.run(
        "CREATE OR REPLACE TABLE half_numbered AS SELECT customer, identities.rowid AS a, b, rank "
        "FROM ranked_links JOIN identities ON node = a",
        doing="tracing links",
    )
    engine.run(
        f"CREATE OR REPLACE TABLE numbered_links AS SELECT half.customer % {parts} AS part, a, y.rowid AS b, "
        "rank FROM half_numbered AS half JOIN identities y ON y.node = b WHERE half.customer = y.customer",
        doing="tracing links",
    )
    engine.drop(["half_numbered"])
    engine.run(
        f"CREATE OR REPLACE TABLE roots AS SELECT customer % {parts} AS part, "
        "arg_min(rowid, {'t': t, 'length': length(identifier_value), 'v': identifier_value}) AS root "
        "FROM identities WHERE customer IS NOT NULL GROUP BY customer",
        doing="tracing links",
    )
    engine.run("CREATE OR REPLACE TABLE tree (child BIGINT, parent BIGINT, rank BIGINT)")
    for part in range(parts):
        _trace_part(engine, part)
    engine.run(
        "CREATE OR REPLACE TABLE half_traced AS SELECT node, tree.parent AS parent, rank "
        "FROM tree JOIN identities ON identities.rowid = child",
        doing="tracing links",
    )
    engine.run(
        "CREATE OR REPLACE TABLE whole_traced AS SELECT half.node AS node, y.node AS parent, rank "
        "FROM half_traced AS half JOIN identities y ON y.rowid = half.parent",
        doing="tracing links",
    )
    engine.run(
        "CREATE OR REPLACE TABLE traces AS SELECT node, parent, records, sources "
        "FROM whole_traced JOIN ranked_links USING (rank)",
        doing="tracing links",
    )
    engine.drop(["ranked_links", "numbered_links", "roots", "tree", "half_traced", "whole_traced"])


def _trace_part(engine: Engine, part: int) -> None:
    """Add the trees of one part of the customers to ``tree``."""
    import pyarrow as pa

    links = engine.numpy(f"SELECT a, b, rank FROM numbered_links WHERE part = {part}", doing="tracing links")
    (root,) = engine.numpy(f"SELECT root FROM roots WHERE part = {part}", doing="tracing links").values()
    child, parent, rank = _tree(links["a"], links["b"], links["rank"], root)
    engine.register("part_of_tree", pa.table({"child": child, "parent": parent, "rank": rank}))
    engine.run("INSERT INTO tree FROM part_of_tree", doing="tracing links")
    engine.connection.unregister("part_of_tree")


def _tree(
    a: np.ndarray, b: np.ndarray, rank: np.ndarray, roots: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The links of the trees of lowest ranks, as child, parent and rank."""
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

    # Numbers without gaps; one more node above all roots makes one tree of all customers.
    numbers, dense = np.unique(np.concatenate([a, b, roots]), return_inverse=True)
    a, b, roots = np.split(dense, [len(a), 2 * len(a)])
    size = len(numbers)
    above = np.full(len(roots), size)
    # Before 1.15, SciPy's graphs take 32-bit indices only.
    ends = np.concatenate([a, above]).astype(np.int32), np.concatenate([b, roots]).astype(np.int32)
    ranks = np.concatenate([rank, np.arange(len(roots)) + len(rank) + 1]).astype(np.float64)
    graph = coo_array((ranks, ends), shape=(size + 1, size + 1)).tocsr()
    tree = minimum_spanning_tree(graph)
    _, parents = breadth_first_order(tree, size, directed=False)
    child = np.flatnonzero((parents[:size] >= 0) & (parents[:size] != size))
    parent = parents[child]
    if not len(child):  # of no elements at all, SciPy would give a sparse array
        return child, parent, child
    both_ways = (tree + tree.T).tocsr()
    # Flat in every version of SciPy.
    ranks = np.asarray(both_ways[child, parent]).ravel().astype(np.int64)
    return numbers[child], numbers[parent], ranks
