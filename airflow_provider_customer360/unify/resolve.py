"""Stages 3 and 4: records to links, links to identities and customers.

Records that share any identifier are one customer, through any chain: the customers are the connected
components of the graph whose nodes are identifiers and whose links join identifiers seen on one
record. A node's key is a 64-bit hash of its type and value, computed where it is needed, so that no
text is joined. Two values with one hash would merge strangers; identities are grouped by the values
themselves, so that is seen, and everything is done again with another salt.

Tables: ``identities`` (``node``, ``identifier_type``, ``identifier_value``, ``first_seen``,
``last_seen``, ``records``, ``data_sources``, ``customer``), one row per identifier; ``customers``
(``customer``, ``customer_id``), one row per customer.
"""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_customer360.unify import records
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.errors import DataError
from airflow_provider_customer360.unify.quoting import literal
from airflow_provider_customer360.unify.schema import Plan, Role, SourcePlan
from airflow_provider_customer360.unify.standardise import digest

_ATTEMPTS = 5


@dataclass(frozen=True)
class NodeKeys:
    """How an identifier becomes a node key; ``bits`` below 64 exist to test the repair of collisions."""

    salt: int = 0
    bits: int = 64

    def key(self, identifier_type: str, value: str) -> str:
        """The SQL expression of a value's key, NULL for NULL."""
        # The salt goes into the text: DuckDB hashes arguments one by one and then combines the hashes, so
        # that values with one hash would keep one beside any further argument.
        salted = f"{value} || {literal(f' {self.salt}')}" if self.salt else value
        hashed = f"hash({salted}, {literal(identifier_type)})"
        if self.bits < 64:
            hashed = f"({hashed} & {(1 << self.bits) - 1}::UBIGINT)"
        return f"CASE WHEN {value} IS NOT NULL THEN {hashed} END"

    def of(self, source: SourcePlan) -> list[str]:
        """The keys of a source's identifier columns, in their order."""
        columns = source.having(Role.IDENTIFIER)
        return [self.key(column.output or "", f"id_{j}") for j, column in enumerate(columns)]

    def first(self, source: SourcePlan) -> str:
        """The key by which a record finds its customer: any of its identifiers will do."""
        keys = self.of(source)
        return f"coalesce({', '.join(keys)}, NULL)" if keys else "NULL::UBIGINT"


def resolve(engine: Engine, plan: Plan, keys: NodeKeys | None = None) -> NodeKeys:
    """Make ``identities`` and ``customers`` from the records; returns the node keys that were used.

    Raises:
        DataError: no record has a usable identifier, or hashes collided under five salts in a row.
    """
    keys = keys or NodeKeys()
    for salt in range(_ATTEMPTS):
        keys = NodeKeys(salt, keys.bits)
        if _find_identities(engine, plan, keys):
            _label_components(engine, _links(plan, keys))
            _find_customers(engine, plan)
            return keys
    raise DataError(
        f"Identifier hashes collided under {_ATTEMPTS} salts in a row. Please report this with the number "
        "of identifiers; the target table is as it was."
    )


def _find_identities(engine: Engine, plan: Plan, keys: NodeKeys) -> bool:
    """Group identifiers by type and value; False when two of them share a key."""
    held = []
    for index, source in enumerate(plan.sources):
        columns = source.having(Role.IDENTIFIER)
        for j, column in enumerate(columns):
            # A value that stands in two columns of one record (billing and contact e-mail) counts once.
            again = [i for i in range(j) if columns[i].output == column.output]
            held.append(
                f"SELECT {plan.identifier_types.index(column.output or '')}::SMALLINT AS t, id_{j} AS v, "
                f"first_seen, last_seen, records, {records.source_bit(plan, index)} AS sources "
                f"FROM {records.table(index)} WHERE id_{j} IS NOT NULL"
                + "".join(f" AND id_{j} IS DISTINCT FROM id_{i}" for i in again)
            )
    node_of = [f"WHEN {t} THEN {keys.key(name, 'v')}" for t, name in enumerate(plan.identifier_types)]
    engine.run(
        f"CREATE OR REPLACE TABLE nodes AS SELECT CASE t {' '.join(node_of)} END AS node, t, v, "
        "min(first_seen) AS first_seen, max(last_seen) AS last_seen, sum(records)::BIGINT AS records, "
        f"bit_count(bit_or(sources))::BIGINT AS data_sources FROM ({' UNION ALL '.join(held)}) GROUP BY t, v",
        doing="collecting identifiers",
    )
    found, different = engine.row("SELECT count(*), count(DISTINCT node) FROM nodes")
    if not found:
        rows = sum(source.rows for source in plan.sources)
        raise DataError(
            f"None of {rows:,} records has a usable identifier: every value of "
            f"{', '.join(plan.identifier_types)} is missing or a placeholder such as 'n/a'."
        )
    return bool(found == different)


def _links(plan: Plan, keys: NodeKeys) -> str | None:
    """Distinct pairs of identifiers seen on one record, as a query; None where no record has two."""
    pairs = []
    for index, source in enumerate(plan.sources):
        first, *others = keys.of(source) or [""]
        for j, other in enumerate(others):
            anchor = f"coalesce({', '.join([first, *others[:j]])}, NULL)"
            pairs.append(f"SELECT {anchor} AS a, {other} AS b FROM {records.table(index)}")
    if not pairs:
        return None
    return f"SELECT DISTINCT a, b FROM ({' UNION ALL '.join(pairs)}) WHERE a <> b"


def _label_components(engine: Engine, links: str | None) -> None:
    """Number the connected components: relation ``labels`` (``node_number``, ``customer``).

    By SciPy's connected_components over dense integers (Pearce's variant of Tarjan's algorithm, 2005):
    no text and no SQL recursion, some 12 bytes a link.
    """
    import numpy as np
    import pyarrow as pa
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    (size,) = engine.row("SELECT count(*) FROM nodes")
    labels = np.arange(size, dtype=np.int32 if size < 2**31 else np.int64)
    if links and size:
        # A table that nothing was deleted from has the row ids 0 to n - 1.
        pairs = engine.numpy(
            f"SELECT x.rowid AS a, y.rowid AS b FROM ({links}) JOIN nodes x ON x.node = a "
            "JOIN nodes y ON y.node = b",
            doing="linking identifiers",
        )
        ones = np.ones(len(pairs["a"]), dtype=np.int8)
        graph = coo_array((ones, (pairs["a"], pairs["b"])), shape=(size, size))
        _, labels = connected_components(graph, directed=False)
    engine.register("labels", pa.table({"node_number": np.arange(size), "customer": labels}))


def _find_customers(engine: Engine, plan: Plan) -> None:
    type_names = "([" + ", ".join(literal(name) for name in plan.identifier_types) + "]::VARCHAR[])"
    engine.run(
        f"CREATE OR REPLACE TABLE identities AS SELECT node, {type_names}[t + 1] AS identifier_type, "
        "v AS identifier_value, first_seen, last_seen, records, data_sources, t, "
        "labels.customer::BIGINT AS customer "
        "FROM nodes JOIN labels ON labels.node_number = nodes.rowid",
        doing="numbering customers",
    )
    engine.drop(["nodes"])
    # The strongest type; of several values the shortest, then the first: of numbers, the lowest.
    engine.run(
        "CREATE OR REPLACE TABLE customers AS "
        f"SELECT customer, {_customer_id(plan)} AS customer_id FROM (SELECT customer, "
        "min({'t': t, 'length': length(v), 'v': v}) AS best FROM "
        "(SELECT customer, t, identifier_value AS v FROM identities) GROUP BY customer)",
        doing="naming customers",
    )


def _customer_id(plan: Plan) -> str:
    """``cust_001`` as it is, ``user_id:42``, ``email:<digest>``: unique by construction.

    A ``customer_id`` value that itself begins with ``<type>:`` is written as ``customer_id:<value>``,
    or it could equal the id that another customer got from that type.
    """
    cases = []
    prefixes = ", ".join(literal(name) for name in plan.identifier_types)
    for number, one in enumerate(plan.types):
        name, value = one.name, "best.v"
        if one.personal:
            value = digest(name, value)
        named = f"{literal(name + ':')} || {value}"
        if name == "customer_id":
            taken = f"contains({value}, ':') AND split_part({value}, ':', 1) IN ({prefixes})"
            named = f"CASE WHEN {taken} THEN {named} ELSE {value} END"
        cases.append(f"WHEN {number} THEN {named}")
    return f"CASE best.t {' '.join(cases)} END" if cases else "NULL::VARCHAR"
