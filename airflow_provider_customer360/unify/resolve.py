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

Tables: ``identities`` (``node``, ``identifier_type``, ``identifier_value``, ``first_seen``, ``last_seen``,
``records``, ``data_sources``, ``t``, ``customer``: NULL where the value belongs to no one customer), one
row per identifier; ``customers`` (``customer``, ``customer_id``), one row per customer; ``strongest``
(``customer``, ``best``: its identifier ``v`` of type number ``t``, ``identifier_type``), and of it ``roots``
(``customer``, ``node``); ``links``, ``shared`` and ``dropped_links`` for the audit.
"""

from __future__ import annotations

from airflow_provider_customer360.unify import records
from airflow_provider_customer360.unify.components import label_components
from airflow_provider_customer360.unify.digests import key_of
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.errors import DataError
from airflow_provider_customer360.unify.keys import NodeKeys, first_key
from airflow_provider_customer360.unify.links import find_links, keep_ruled
from airflow_provider_customer360.unify.manual_rules import Rules
from airflow_provider_customer360.unify.quoting import literal
from airflow_provider_customer360.unify.schema import Plan, Role
from airflow_provider_customer360.unify.shared import set_shared_aside

_ATTEMPTS = 5
#: What a value takes in a grouping, roughly, of which some are there several times.
_BYTES_OF_A_VALUE = 60


def find_nodes(engine: Engine, plan: Plan, keys: NodeKeys) -> NodeKeys:
    """Make ``nodes``, one row per identifier, from the records; returns node keys that do not collide.

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
    label_components(engine, plan, rules)
    _set_dropped_aside(engine, plan)
    _find_customers(engine, plan)
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


def _find_customers(engine: Engine, plan: Plan) -> None:
    type_names = "([" + ", ".join(literal(name) for name in plan.identifier_types) + "]::VARCHAR[])"
    engine.run(
        "CREATE OR REPLACE TABLE identities AS "
        f"SELECT nodes.node AS node, {type_names}[t + 1] AS identifier_type, v AS identifier_value, "
        "first_seen, last_seen, records, bit_count(sources)::BIGINT AS data_sources, t, "
        "CASE WHEN apart.node IS NULL THEN labels.customer::BIGINT END AS customer "
        "FROM nodes JOIN labels ON labels.node_number = nodes.rowid "
        f"LEFT JOIN ({_apart(plan)}) AS apart ON apart.node = nodes.node",
        doing="numbering customers",
    )
    engine.drop(["nodes"])
    # The strongest type; of several values the shortest, then the first: of numbers, the lowest.
    engine.run(
        f"CREATE OR REPLACE TABLE strongest AS SELECT *, {type_names}[best.t + 1] AS identifier_type FROM "
        "(SELECT customer, min({'t': t, 'length': length(v), 'v': v, 'node': node}) AS best FROM "
        "(SELECT customer, t, identifier_value AS v, node FROM identities WHERE customer IS NOT NULL) "
        "GROUP BY customer)",
        doing="naming customers",
    )
    engine.run("CREATE OR REPLACE TABLE roots AS SELECT customer, best.node AS node FROM strongest")
    engine.run(
        "CREATE OR REPLACE TABLE customers AS "
        f"SELECT customer, {content_id(plan)} AS customer_id FROM strongest",
        doing="naming customers",
    )


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
