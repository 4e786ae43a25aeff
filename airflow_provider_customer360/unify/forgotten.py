"""People who are to be forgotten, left out of everything that a run gives.

Who is who is settled with them: strangers who share a phone with somebody are still strangers when that
person goes. Then all their records go, and whatever else tells of them. Nothing remembers them but the list
by which they are named.

Tables, for what earlier runs have published: ``forgotten_ids`` (``customer_id``) and
``forgotten_identifiers`` (``identifier_type``, ``identifier_value``).
"""

from __future__ import annotations

from dataclasses import replace

from airflow_provider_customer360.unify import records
from airflow_provider_customer360.unify.config import Config
from airflow_provider_customer360.unify.customers import content_id
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.forget_list import Named, name_customers
from airflow_provider_customer360.unify.keys import first_key
from airflow_provider_customer360.unify.quoting import literal
from airflow_provider_customer360.unify.resolve import group_identifiers
from airflow_provider_customer360.unify.schema import Plan, Role
from airflow_provider_customer360.unify.stable_ids import PROFILE_ID

_DOING = "forgetting people"


def forget_people(engine: Engine, plan: Plan, config: Config, listed: int) -> tuple[Plan, Named]:
    """Leave out whom the list names; the plan then counts their rows by source.

    Everything that stages from here on read is as if their records had not been there, apart from who is who.
    Makes ``forgotten_now`` (``customer_id``, the ids that they have in this run), ``forgotten_ids`` and
    ``forgotten_identifiers``.

    Args:
        listed: the length of the list, which `read_forget_list` has read.
    """
    if not listed:
        for table in ("forgotten_now", "forgotten_ids"):
            engine.run(f"CREATE OR REPLACE TABLE {table} (customer_id VARCHAR)")
        columns = "(identifier_type VARCHAR, identifier_value VARCHAR)"
        engine.run(f"CREATE OR REPLACE TABLE forgotten_identifiers {columns}")
        return plan, Named()
    named = name_customers(engine, plan, config, listed)
    _collect(engine, plan)
    if engine.row("SELECT count(*) FROM forgotten_now")[0]:
        plan = _leave_out(engine, plan)
    return plan, named


def _leave_out(engine: Engine, plan: Plan) -> Plan:
    counts = _delete_records(engine, plan)
    _rebuild_identities(engine, plan)
    _erase_memory(engine)
    _tell_nothing(engine)
    sources = (replace(source, forgotten=count) for source, count in zip(plan.sources, counts, strict=True))
    return replace(plan, sources=tuple(sources))


def _collect(engine: Engine, plan: Plan) -> None:
    """Tables ``forgotten_nodes`` (``node``, ``t``, ``v``), their identifiers in the data, ``forgotten_now``
    (``customer_id``), the ids that they have in this run, ``forgotten_ids`` and ``forgotten_identifiers``.
    """
    engine.run(
        "CREATE OR REPLACE TABLE forgotten_nodes AS SELECT node, t, identifier_value AS v, identifier_type "
        "FROM identities SEMI JOIN forgotten_customers USING (customer)",
        doing=_DOING,
    )
    engine.run(
        "CREATE OR REPLACE TABLE forgotten_now AS SELECT customer_id FROM customers "
        "SEMI JOIN forgotten_customers USING (customer) UNION FROM forgotten_past",
        doing=_DOING,
    )
    past = "(SELECT * FROM previous_identities WHERE status IN ('linked', 'absent'))"
    engine.run(
        "CREATE OR REPLACE TABLE forgotten_identifiers AS "
        "SELECT identifier_type, v AS identifier_value FROM forgotten_nodes UNION "
        "SELECT identifier_type, identifier_value FROM named WHERE customer IS NOT NULL OR NOT present UNION "
        f"SELECT identifier_type, identifier_value FROM {past} AS past "
        "SEMI JOIN forgotten_now USING (customer_id) "
        "ANTI JOIN identities USING (identifier_type, identifier_value)",
        doing=_DOING,
    )
    # What was published under an id that one of them had may be theirs, even if somebody else keeps the id.
    engine.run(
        "CREATE OR REPLACE TABLE forgotten_ids AS WITH "
        f"had AS (FROM forgotten_now UNION SELECT customer_id FROM {past} AS past "
        "SEMI JOIN forgotten_identifiers USING (identifier_type, identifier_value)), "
        "pointers AS (SELECT identifier_value, customer_id FROM previous_identities "
        "WHERE status = 'absorbed' UNION SELECT identifier_value, customer_id FROM remembered_identities "
        "WHERE status = 'absorbed') "
        "FROM had UNION SELECT identifier_value FROM pointers SEMI JOIN had USING (customer_id) "
        f"UNION {_content_ids(plan)}",
        doing=_DOING,
    )


def _content_ids(plan: Plan) -> str:
    """The ids that runs without identities may have given them, as far as they are nobody else's."""
    types = ", ".join(map(literal, plan.identifier_types))
    best = f"{{'t': list_position([{types}], identifier_type) - 1, 'v': identifier_value}}"
    remembered = "(FROM remembered_identities ANTI JOIN forgotten_now USING (customer_id))"
    others = (
        "SELECT customer_id FROM customers ANTI JOIN forgotten_customers USING (customer) "
        f"UNION ALL SELECT customer_id FROM {remembered} UNION ALL SELECT identifier_value "
        f"FROM {remembered} WHERE identifier_type = {literal(PROFILE_ID)}"
    )
    return (
        f"FROM (SELECT {content_id(plan)} AS customer_id FROM (SELECT {best} FROM forgotten_identifiers "
        f"WHERE identifier_type IN ({types})) AS theirs(best)) ANTI JOIN ({others}) USING (customer_id)"
    )


def _delete_records(engine: Engine, plan: Plan) -> list[int]:
    """Delete their records, and their identifiers from records of others; gives the counts by source.

    Table ``touched`` (``t``, ``v``): what else those records say something of.
    """
    engine.run("CREATE OR REPLACE TABLE touched (t SMALLINT, v VARCHAR)")
    counts: list[int] = []
    for index, source in enumerate(plan.sources):
        table, columns = records.table(index), source.having(Role.IDENTIFIER)
        theirs = f"{first_key(plan, source)} IN (SELECT node FROM forgotten_nodes)"
        counts += engine.row(f"SELECT coalesce(sum(records), 0)::BIGINT FROM {table} WHERE {theirs}")
        types = [plan.identifier_types.index(column.output or "") for column in columns]
        for j, t in enumerate(types):
            engine.run(
                f"INSERT INTO touched SELECT DISTINCT {t}, id_{j} FROM {table} "
                f"WHERE {theirs} AND id_{j} IS NOT NULL AND k_{j} IS NULL",
                doing=_DOING,
            )
        engine.run(f"DELETE FROM {table} WHERE {theirs}", doing=_DOING)
        for j, t in enumerate(types):
            engine.run(
                f"UPDATE {table} SET id_{j} = NULL FROM forgotten_nodes WHERE t = {t} AND v = id_{j}",
                doing=_DOING,
            )
    return counts


def _rebuild_identities(engine: Engine, plan: Plan) -> None:
    """Without their identifiers; what their records said of others is not counted any more."""
    columns = "node, identifier_type, identifier_value, {}, t, customer, alone, leads"
    statistics = "first_seen, last_seen, records, bit_count(sources)::BIGINT AS data_sources"
    said = " UNION ALL ".join(
        group_identifiers(plan, t, "SEMI JOIN touched USING (t, v)") for t in range(len(plan.types))
    )
    engine.run(
        "CREATE OR REPLACE TABLE identities AS WITH others AS (SELECT *, identifier_value AS v "
        "FROM identities ANTI JOIN forgotten_nodes USING (node)) "
        f"SELECT {columns.format('first_seen, last_seen, records, data_sources')} FROM others "
        f"ANTI JOIN touched USING (t, v) UNION ALL SELECT {columns.format(statistics)} "
        f"FROM (SELECT node, identifier_type, identifier_value, customer, t, v, alone, leads FROM others) "
        f"JOIN ({said}) USING (t, v)",
        doing=_DOING,
    )
    engine.run(
        "DELETE FROM customers WHERE customer NOT IN (SELECT customer FROM identities "
        "WHERE customer IS NOT NULL)",
        doing=_DOING,
    )
    engine.run("DELETE FROM shared WHERE node NOT IN (SELECT node FROM identities)", doing=_DOING)
    engine.run(
        "DELETE FROM dropped_links WHERE a NOT IN (SELECT node FROM identities) "
        "OR b NOT IN (SELECT node FROM identities)",
        doing=_DOING,
    )


def _erase_memory(engine: Engine) -> None:
    """Forget what earlier runs knew of them."""
    engine.run("DELETE FROM remembered_identities WHERE customer_id IN (FROM forgotten_now)", doing=_DOING)


def _tell_nothing(engine: Engine) -> None:
    """Take them out of the events; who was split off from one of them is simply new."""
    engine.run(
        "CREATE OR REPLACE TABLE id_events AS WITH others AS (SELECT *, "
        "coalesce(other_customer_id IN (FROM forgotten_now), false) AS was_theirs FROM id_events "
        "WHERE customer_id NOT IN (FROM forgotten_now)) "
        "SELECT * EXCLUDE (was_theirs) FROM others WHERE NOT was_theirs UNION ALL "
        "SELECT 'created', customer_id, NULL, identifier_type, identifier_value, 'new' FROM ("
        "SELECT DISTINCT ON (customer_id) * FROM others WHERE was_theirs "
        "ORDER BY customer_id, identifier_type, identifier_value) "
        "WHERE customer_id NOT IN (SELECT customer_id FROM previous_identities "
        "WHERE customer_id IS NOT NULL) "
        "AND customer_id NOT IN (SELECT customer_id FROM others WHERE NOT was_theirs)",
        doing=_DOING,
    )
