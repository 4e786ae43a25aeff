"""Stages 3 and 4: records to links, links to identities and customers.

Records that share any identifier are one customer, through any chain: the customers are the connected
components of the graph whose nodes are identifiers and whose links join identifiers seen on one record. In
this order, what is no evidence is left out:

1. links of values that many people share (`shared`);
2. links that would give a customer more values of a type than its limit, the weakest first, and links that a
   rule forbids (`components`).

Whatever is left out stays on its records: only their ``k_<j>`` becomes NULL. Then all ``k_<j>`` of a record
belong to one customer.

A node's key is a 64-bit hash of its type and value, so that no text is joined. Two values with one hash
would merge strangers; identities are grouped by the values themselves, so that is seen, and everything is
done again with another salt.

Tables: ``links``, ``shared`` and ``dropped_links``, and those of `customers`.
"""

from __future__ import annotations

from airflow_provider_customer360.unify import records
from airflow_provider_customer360.unify.components import find_components
from airflow_provider_customer360.unify.customers import find_customers
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.errors import DataError
from airflow_provider_customer360.unify.keys import NodeKeys, first_key
from airflow_provider_customer360.unify.links import find_links, keep_ruled
from airflow_provider_customer360.unify.manual_rules import Rules
from airflow_provider_customer360.unify.schema import Plan, Role
from airflow_provider_customer360.unify.shared import set_shared_aside

_ATTEMPTS = 5
#: What a value takes in a grouping, roughly, of which some are there several times.
_BYTES_OF_A_VALUE = 60


def find_nodes(engine: Engine, plan: Plan, keys: NodeKeys) -> NodeKeys:
    """Make ``nodes``, one row per identifier, type by type, from the records.

    Returns:
        Node keys that do not collide.

    Raises:
        DataError: no record has a usable identifier, or hashes collided under five salts in a row.
    """
    for salt in range(_ATTEMPTS):
        if salt:
            keys = NodeKeys(salt, keys.bits)
            for index in range(len(plan.sources)):
                records.set_keys(engine, plan, keys, index)
        if _group_nodes(engine, plan, keys):
            return keys
    raise DataError(
        f"Identifier hashes collided under {_ATTEMPTS} salts in a row. Please report this with the number "
        "of identifiers; the target table is as it was."
    )


def resolve(engine: Engine, plan: Plan, rules: Rules) -> None:
    """Make ``identities`` and ``customers`` from the records and ``nodes``.

    Raises:
        DataError: no identifier belongs to one customer.
    """
    find_links(engine, plan)
    set_shared_aside(engine, plan)
    keep_ruled(engine, plan)
    labels = find_components(engine, plan, rules)
    _set_dropped_aside(engine, plan)
    find_customers(engine, plan, labels)
    if not engine.row("SELECT count(*) FROM customers")[0]:
        raise DataError(
            "No record belongs to a customer: every identifier is shared by many people or of a type that "
            f"links nobody ({', '.join(plan.identifier_types)}). State another column in identifiers, or "
            "other settings in identifier_types."
        )


def group_identifiers(plan: Plan, t: int, only: str = "") -> str:
    """The query of what the records say of each identifier of one type: ``t``, ``v``, ``first_seen``,
    ``last_seen``, ``records``, ``sources``.

    Args:
        plan: the plan.
        t: the position of the type in it.
        only: what restricts the records' identifiers, such as a join by ``t`` and ``v``.
    """
    held, bits = [], set()
    for index, source in enumerate(plan.sources):
        columns = source.having(Role.IDENTIFIER)
        of_type = [j for j, column in enumerate(columns) if column.output == plan.identifier_types[t]]
        for place, j in enumerate(of_type):
            bits.add(bit := records.source_bit(plan, index))
            # A value that stands in two columns of one record (billing and contact e-mail) counts once.
            again = (f" AND id_{j} IS DISTINCT FROM id_{i}" for i in of_type[:place])
            held.append(
                f"SELECT {t}::SMALLINT AS t, id_{j} AS v, first_seen, last_seen, records, {bit} AS sources "
                f"FROM {records.table(index)} WHERE id_{j} IS NOT NULL{''.join(again)}"
            )
    # Each aggregate costs a fifth of the grouping.
    sources = bits.pop() if len(bits) == 1 else "bit_or(sources)"
    return (
        f"SELECT {t}::SMALLINT AS t, v, min(first_seen) AS first_seen, max(last_seen) AS last_seen, "
        f"sum(records)::BIGINT AS records, {sources} AS sources "
        f"FROM ({' UNION ALL '.join(held)}) {only} GROUP BY v"
    )


def _group_nodes(engine: Engine, plan: Plan, keys: NodeKeys) -> bool:
    """Group identifiers by value, type by type; False when two of them share a key."""
    bits = "BIGINT" if len(plan.sources) < records.SOURCES_IN_A_NUMBER else "BIT"
    engine.run(
        "CREATE OR REPLACE TABLE nodes (node UBIGINT, t SMALLINT, v VARCHAR, first_seen TIMESTAMP, "
        f"last_seen TIMESTAMP, records BIGINT, sources {bits})"
    )
    for t, name in enumerate(plan.identifier_types):
        values = sum(
            source.rows
            for source in plan.sources
            for column in source.having(Role.IDENTIFIER)
            if column.output == name
        )
        for part in engine.parts(values, _BYTES_OF_A_VALUE):
            grouped = group_identifiers(plan, t, f"WHERE {part.holds('hash(v)')}")
            engine.run(
                f"INSERT INTO nodes SELECT {keys.key(name, 'v')} AS node, * FROM ({grouped})",
                doing=f"collecting values of {name}",
            )
    found, different = engine.row("SELECT count(*), count(DISTINCT node) FROM nodes")
    if not found:
        rows = sum(source.rows for source in plan.sources)
        raise DataError(
            f"None of {rows:,} records has a usable identifier: every value of "
            f"{', '.join(plan.identifier_types)} is missing or a placeholder such as 'n/a'."
        )
    return bool(found == different)


def _set_dropped_aside(engine: Engine, plan: Plan) -> None:
    """Take the ends of dropped links out of the records that showed them."""
    if not engine.row("SELECT count(*) FROM dropped_links")[0]:
        return
    for index, source in enumerate(plan.sources):
        for j in range(len(source.having(Role.IDENTIFIER))):
            engine.run(
                f"UPDATE {records.table(index)} SET k_{j} = NULL FROM dropped_links "
                f"WHERE a = {first_key(plan, source)} AND b = k_{j}",
                doing="setting dropped links aside",
            )
