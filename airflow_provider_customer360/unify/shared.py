"""Shared values: an e-mail, phone or device of many people is no evidence that they are one.

How many people a value stands for is read from the data: the distinct values of another type that one source
shows beside it (devices aside, of which one person has many) and, where a column holds names, the distinct
initials. Names decide where they are known: five customer numbers of one Ana Silva are duplicates, five names
behind one phone are a family, and names on records of one customer number are one person's. Where no name is
known, two values beside it may be one person's.

Table ``shared``, one row per such value: ``node``, ``t``, ``people``, ``customers`` (the values beside it),
``names``, ``records``.
"""

from __future__ import annotations

from airflow_provider_customer360.unify import records
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.identifier_types import DEVICE
from airflow_provider_customer360.unify.keys import by_strength
from airflow_provider_customer360.unify.links import unlink
from airflow_provider_customer360.unify.person_names import kind, knows_names
from airflow_provider_customer360.unify.schema import Plan, Role

#: Initials alone cannot tell more people apart than this from those of one name.
_NAMESAKES = 10
#: Where no name is known, a person may have as many identifiers of one type in one source.
_OWN = 2
#: A value that no stronger identifier and no name speaks for is nobody's own if it is on so many records ...
_MANY_RECORDS = 1_000
#: ... and on this share of all records of its type, where so many values of it are known.
_LARGE_SHARE, _MANY_VALUES = 0.05, 1_000


def set_shared_aside(engine: Engine, plan: Plan) -> None:
    """Make ``shared``, and take its values out of records and links."""
    guarded = {t: one.shared_after for t, one in enumerate(plan.types) if one.shared_after and one.links}
    engine.run(
        f"CREATE OR REPLACE TABLE shared AS {_shared(plan, guarded)}", doing="looking for shared values"
    )
    types = {t for (t,) in engine.rows("SELECT DISTINCT t FROM shared")}
    if types:
        unlink(engine, plan, types)


def _shared(plan: Plan, guarded: dict[int, int]) -> str:
    if not guarded:
        return (
            "SELECT 0::UBIGINT AS node, 0::SMALLINT AS t, 0::BIGINT AS people, 0::BIGINT AS customers, "
            "0::BIGINT AS names, 0::BIGINT AS records WHERE false"
        )
    types = ", ".join(map(str, guarded))
    lasting = ", ".join(str(t) for t, one in enumerate(plan.types) if one.priority < DEVICE) or "-1"
    most = " ".join(f"WHEN {t} THEN {after}" for t, after in guarded.items())
    beside = " UNION ALL ".join(
        f"SELECT {node} AS node, {other}, s, count(*) AS n FROM links "
        f"WHERE ta <> t AND {kind_of} IN ({types}) AND {other} IN ({lasting}) "
        "GROUP BY ALL HAVING n > 1"
        for node, kind_of, other in (("b", "t", "ta"), ("a", "ta", "t"))
    )
    named = _named(plan, guarded)
    suspects = (
        "SELECT node FROM customers_beside UNION SELECT node FROM named GROUP BY node "
        "HAVING min(initials) <> max(initials)"
    )
    return f"""
        WITH customers_beside AS (SELECT node, max(n) AS customers FROM ({beside}) GROUP BY node),
        named AS ({named}),
        suspects AS ({suspects} UNION {_on_too_many_records(guarded)}),
        names AS (SELECT node, max(n) AS names FROM (
            SELECT node, least(count(DISTINCT initials), count(DISTINCT stronger)
                               + count(DISTINCT initials) FILTER (stronger IS NULL)) AS n
            FROM named SEMI JOIN suspects USING (node) GROUP BY node, {kind("initials")}) GROUP BY node),
        counted AS (
            SELECT node, nodes.t AS t, coalesce(customers, 0) AS customers, coalesce(names, 0) AS names,
                   nodes.records AS records
            FROM nodes SEMI JOIN suspects USING (node) LEFT JOIN customers_beside USING (node)
            LEFT JOIN names USING (node))
        SELECT node, t, people, customers, names, records FROM (
            SELECT *, CASE WHEN names = 0 AND customers = 0 THEN records
                           WHEN names = 0 THEN customers - customers // {_OWN}
                           ELSE greatest(names, customers // {_NAMESAKES}) END AS people FROM counted)
        WHERE people > CASE t {most} END"""


def _named(plan: Plan, guarded: dict[int, int]) -> str:
    """Values of the guarded types with the initials, and the strongest other identifier, of their records."""
    pairs = []
    for index, source in enumerate(plan.sources):
        columns, order = source.having(Role.IDENTIFIER), by_strength(plan, source)
        for place, j in enumerate(order):
            if knows_names(source) and plan.identifier_types.index(columns[j].output or "") in guarded:
                stronger = ", ".join(["NULL::UBIGINT", *(f"k_{other}" for other in order[:place])])
                pairs.append(
                    f"SELECT k_{j} AS node, initials, nullif(coalesce({stronger}), k_{j}) AS stronger "
                    f"FROM {records.table(index)} WHERE k_{j} IS NOT NULL AND initials IS NOT NULL"
                )
    nothing = "SELECT NULL::UBIGINT AS node, NULL::VARCHAR AS initials, NULL::UBIGINT AS stronger WHERE false"
    return " UNION ALL ".join(pairs) or nothing


def _on_too_many_records(guarded: dict[int, int]) -> str:
    sums = (
        f"SELECT t, sum(records) AS all_records FROM nodes WHERE t IN ({', '.join(map(str, guarded))}) "
        f"GROUP BY t HAVING count(*) > {_MANY_VALUES}"
    )
    return (
        f"SELECT node FROM nodes JOIN ({sums}) USING (t) WHERE records > {_MANY_RECORDS} "
        f"AND records > {_LARGE_SHARE} * all_records AND node NOT IN (SELECT b FROM links WHERE ta < t)"
    )
