"""Components to customers: what belongs to one customer, and the id that follows from its identifiers.

Tables: ``identities`` (``node``, ``identifier_type``, ``identifier_value``, ``first_seen``, ``last_seen``,
``records``, ``data_sources``, ``t``, ``customer``: NULL where the value belongs to no one customer,
``alone``: it is the customer's only one of its type, ``leads``: it is of the strongest type; what is neither
may have become so by what was forgotten since), one row per identifier; ``customers`` (``customer``,
``customer_id``), one row per customer; ``strongest`` (``customer``, ``best``: its identifier ``v`` of type
number ``t``, ``identifier_type``), and of it ``roots`` (``customer``, ``node``).

Most customers have one identifier of each type, so that most work is done once that is known, and knowing it
takes arrays a small part of the time that groupings of all identifiers take.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from airflow_provider_customer360.unify import records
from airflow_provider_customer360.unify.components import types_of_nodes
from airflow_provider_customer360.unify.digests import key_of
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.quoting import literal
from airflow_provider_customer360.unify.schema import Plan, Role

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

#: The label of what belongs to nobody.
_NOBODY = -1
#: Labels that are handed over at a time.
_BATCH_ROWS = 1_000_000


def find_customers(engine: Engine, plan: Plan, labels: np.ndarray) -> None:
    """Make the tables of customers.

    Args:
        engine: with ``nodes``, ``shared`` and ``dropped_links``.
        plan: the plan.
        labels: the component of each node, by its row id; changed where a node belongs to nobody.
    """
    apart = engine.numpy(f"SELECT rowid AS number FROM nodes SEMI JOIN ({_apart(plan)}) USING (node)")
    labels[apart["number"]] = _NOBODY
    _label(engine, labels, types_of_nodes(engine))
    type_names = "([" + ", ".join(literal(name) for name in plan.identifier_types) + "]::VARCHAR[])"
    engine.run(
        "CREATE OR REPLACE TABLE identities AS "
        f"SELECT nodes.node AS node, {type_names}[t + 1] AS identifier_type, v AS identifier_value, "
        "first_seen, last_seen, records, bit_count(sources)::BIGINT AS data_sources, t, "
        "customer::BIGINT AS customer, alone, leads "
        "FROM nodes JOIN labels ON labels.node_number = nodes.rowid",
        doing="numbering customers",
    )
    engine.drop(["nodes", "labels"])
    # The strongest type; of several values the shortest, then the first: of numbers, the lowest.
    best = "{'t': t, 'length': length(identifier_value), 'v': identifier_value, 'node': node}"
    engine.run(
        f"CREATE OR REPLACE TABLE strongest AS SELECT *, {type_names}[best.t + 1] AS identifier_type FROM ("
        f"SELECT customer, {best} AS best FROM identities WHERE leads AND alone UNION ALL "
        f"SELECT customer, min({best}) AS best FROM identities WHERE leads AND NOT alone GROUP BY customer)",
        doing="naming customers",
    )
    engine.run("CREATE OR REPLACE TABLE roots AS SELECT customer, best.node AS node FROM strongest")
    engine.run(
        "CREATE OR REPLACE TABLE customers AS "
        f"SELECT customer, {content_id(plan)} AS customer_id FROM strongest",
        doing="naming customers",
    )


def _label(engine: Engine, labels: np.ndarray, types: np.ndarray) -> None:
    """Make ``labels``: ``node_number``, ``customer``, ``alone``, ``leads``."""
    import numpy as np
    import pyarrow as pa

    alone = np.zeros(len(labels), dtype=bool)
    strongest = np.zeros(max(int(labels.max()), 0) + 1, dtype=types.dtype)
    for t in range(int(types.max()), -1, -1):  # the strongest type is the last to be written
        of_type = (types == t) & (labels != _NOBODY)
        customers = labels[of_type]
        strongest[customers] = t
        alone[of_type] = np.bincount(customers, minlength=len(strongest))[customers] == 1

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, len(labels), _BATCH_ROWS):
            rows = slice(start, start + _BATCH_ROWS)
            nobody = labels[rows] == _NOBODY
            columns = [
                np.arange(start, start + len(nobody), dtype=np.int64),
                pa.array(labels[rows], mask=nobody),
                alone[rows],
                ~nobody & (strongest[labels[rows]] == types[rows]),
            ]
            yield pa.RecordBatch.from_arrays(list(map(pa.array, columns)), schema=schema)

    kinds = {"node_number": pa.int64(), "customer": pa.int32(), "alone": pa.bool_(), "leads": pa.bool_()}
    schema = pa.schema(kinds)
    # A table may be spilled, and does not keep the arrays.
    engine.register("found", pa.RecordBatchReader.from_batches(schema, batches()))
    engine.run("CREATE OR REPLACE TABLE labels AS FROM found", doing="numbering customers")
    engine.connection.unregister("found")


def _apart(plan: Plan) -> str:
    """The nodes that belong to no one customer: shared, of a type that links nobody, or cut off everywhere.

    What a rule links belongs to the customer that the rule names, if the rule names one at all.
    """
    silent = [str(t) for t, one in enumerate(plan.types) if not one.links]
    linking = " UNION ALL ".join(
        f"SELECT k_{j} FROM {records.table(index)} WHERE k_{j} IN (SELECT b FROM dropped_links)"
        for index, source in enumerate(plan.sources)
        for j in range(len(source.having(Role.IDENTIFIER)))
    )
    without = (
        f"SELECT node FROM shared UNION SELECT node FROM nodes WHERE t IN ({', '.join(['-1', *silent])}) "
        f"UNION SELECT b FROM dropped_links WHERE b NOT IN ({linking})"
    )
    ruled = (
        "SELECT node FROM demanded WHERE part IN (SELECT part FROM demanded ANTI JOIN silent USING (node))"
    )
    return f"WITH silent AS ({without}) SELECT node FROM silent EXCEPT {ruled}"


def content_id(plan: Plan) -> str:
    """The id of a customer by its strongest identifier, ``best.t`` and ``best.v``, unique by construction.

    ``cust_001`` as it is, ``user_id:42``, ``email:<digest>``.

    A ``customer_id`` value that itself begins with ``<type>:`` is written as ``customer_id:<value>``,
    or it could equal the id that another customer got from that type.
    """
    cases = []
    prefixes = ", ".join(literal(name) for name in plan.identifier_types)
    for number, one in enumerate(plan.types):
        name, value = one.name, "best.v"
        if one.personal or one.pii:
            value = key_of(name, value, salted=plan.salted)
        named = f"{literal(name + ':')} || {value}"
        if name == "customer_id":
            taken = f"contains({value}, ':') AND split_part({value}, ':', 1) IN ({prefixes})"
            named = f"CASE WHEN {taken} THEN {named} ELSE {value} END"
        cases.append(f"WHEN {number} THEN {named}")
    return f"CASE best.t {' '.join(cases)} END" if cases else "NULL::VARCHAR"
