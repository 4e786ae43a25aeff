"""Links: pairs of identifiers that were seen on one record.

Table ``links``, one row per pair and source: ``a`` (the record's strongest identifier), ``b`` (another one of
it), ``ta`` and ``t`` (positions of their types in the plan), ``s`` (position of the source), ``records`` (how
many records carry both). A record of n identifiers gives n - 1 links, a star around its strongest one.
"""

from __future__ import annotations

from airflow_provider_customer360.unify import records
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.keys import by_strength
from airflow_provider_customer360.unify.parts import WHOLE, Part
from airflow_provider_customer360.unify.schema import Plan, Role, SourcePlan

#: What a pair takes in a grouping, roughly.
_BYTES_OF_A_PAIR = 70


def find_links(engine: Engine, plan: Plan) -> None:
    """Make ``links`` from all records: source by source, and in parts where memory is small."""
    engine.run(
        "CREATE OR REPLACE TABLE links "
        "(a UBIGINT, b UBIGINT, ta SMALLINT, t SMALLINT, s SMALLINT, records BIGINT)"
    )
    for index, source in enumerate(plan.sources):
        pairs = source.rows * max(0, len(source.having(Role.IDENTIFIER)) - 1)
        for part in engine.parts(pairs, _BYTES_OF_A_PAIR):
            for star in _stars(plan, index, source, part=part):
                engine.run(f"INSERT INTO links {star}", doing="linking identifiers")


def unlink(engine: Engine, plan: Plan, types: set[int]) -> None:
    """Take the identifiers of table ``shared``, which are of these types, out of records and links.

    Their values stay on the records; the records' other identifiers are linked around the next strongest.
    """
    for index, source in enumerate(plan.sources):
        columns = source.having(Role.IDENTIFIER)
        hit = [
            j
            for j in by_strength(plan, source)
            if plan.identifier_types.index(columns[j].output or "") in types
        ]
        for j in hit:
            _set_aside(engine, index, j, f"k_{j} NOT IN (SELECT node FROM demanded)")
        # What a rule gives to one customer stays on records that have nothing else, the strongest of several.
        for j in reversed(hit):
            others = [f"k_{other} IS NOT NULL" for other in range(len(columns)) if other != j]
            _set_aside(engine, index, j, " OR ".join(others) or "false")
        if hit:
            for star in _stars(plan, index, source, f"WHERE {_lost_its_first(plan, source)}"):
                engine.run(f"INSERT INTO links {star}", doing="linking around shared values")
    engine.run(
        "DELETE FROM links WHERE a IN (SELECT node FROM shared) OR b IN (SELECT node FROM shared)",
        doing="setting shared values aside",
    )


def keep_ruled(engine: Engine, plan: Plan) -> None:
    """Where a rule names a customer for a value that links nobody: its records without others are theirs."""
    if not engine.row("SELECT count(*) FROM demanded")[0]:
        return
    for index, source in enumerate(plan.sources):
        columns = source.having(Role.IDENTIFIER)
        for j in by_strength(plan, source):  # of several, the strongest decides
            t = plan.identifier_types.index(columns[j].output or "")
            if not plan.types[t].links:
                engine.run(
                    f"UPDATE {records.table(index)} SET k_{j} = node "
                    "FROM nodes SEMI JOIN demanded USING (node) "
                    f"WHERE t = {t} AND v = id_{j} AND {_alone(j, len(columns))}",
                    doing="following must_link",
                )


def _alone(j: int, columns: int) -> str:
    return " AND ".join(f"k_{other} IS NULL" for other in range(columns) if other != j) or "true"


def _set_aside(engine: Engine, index: int, j: int, condition: str) -> None:
    """Take shared values out of one column of a source's records."""
    engine.run(
        f"UPDATE {records.table(index)} SET k_{j} = NULL "
        f"WHERE k_{j} IN (SELECT node FROM shared) AND ({condition})",
        doing="setting shared values aside",
    )


def _stars(plan: Plan, index: int, source: SourcePlan, where: str = "", part: Part = WHOLE) -> list[str]:
    columns, order = source.having(Role.IDENTIFIER), by_strength(plan, source)
    types = [plan.identifier_types.index(columns[j].output or "") for j in order]
    stars = []
    for place in range(1, len(order)):
        stronger = [f"k_{j}" for j in order[:place]]
        type_of = " ".join(
            f"WHEN {key} IS NOT NULL THEN {t}" for key, t in zip(stronger, types, strict=False)
        )
        # A value that stands in two columns of one record (billing and contact e-mail) counts once.
        again = [key for key, t in zip(stronger, types, strict=False) if t == types[place]]
        other = f"k_{order[place]}"
        if again:
            other = f"CASE WHEN {other} IN ({', '.join(again)}) THEN NULL ELSE {other} END"
        stars.append(
            f"SELECT coalesce({', '.join(stronger)}, NULL) AS a, {other} AS b, "
            f"(CASE {type_of} END)::SMALLINT AS ta, {types[place]}::SMALLINT AS t, records "
            f"FROM {records.table(index)} {where}"
        )
    if not stars:
        return []
    return [
        f"SELECT a, b, min(ta) AS ta, min(t) AS t, {index}::SMALLINT AS s, sum(records)::BIGINT AS records "
        f"FROM ({' UNION ALL '.join(stars)}) WHERE a <> b AND {part.holds('a')} GROUP BY a, b"
    ]


def _lost_its_first(plan: Plan, source: SourcePlan) -> str:
    """Whether a record's strongest identifier, around which its links were, does not link any more."""
    columns = source.having(Role.IDENTIFIER)
    order = [j for j in by_strength(plan, source) if plan.type(columns[j].output or "").links]
    cases = " ".join(f"WHEN id_{j} IS NOT NULL THEN k_{j} IS NULL" for j in order)
    return f"CASE {cases} ELSE false END" if cases else "false"
