"""The list of people to forget: identifiers of theirs, and which customers these name.

An identifier names the customer to whom it belongs. One that belongs to nobody, being of many people or of a
type that links nobody, names the customer of its records where all of these are of one. An identifier that is
not in the data names whoever had it in the previous identities, with all that has been split off since, and
whomever a must_link rule joins it to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_provider_customer360.unify import records
from airflow_provider_customer360.unify.config import Config
from airflow_provider_customer360.unify.digests import digest
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.errors import ConfigError
from airflow_provider_customer360.unify.keys import NodeKeys, first_key
from airflow_provider_customer360.unify.previous import past_types
from airflow_provider_customer360.unify.quoting import literal
from airflow_provider_customer360.unify.schema import Plan, Role
from airflow_provider_customer360.unify.spelling import canonical
from airflow_provider_customer360.unify.stable_ids import PROFILE_ID
from airflow_provider_customer360.unify.stated_identifiers import read_stated, standardised_values

_SIDE = ("identifier_type", "identifier_value")
_DOING = "looking for people to forget"
#: The list as earlier runs may have remembered it.
_FORMS = (
    "SELECT number, present, identifier_type, identifier_value FROM named "
    "UNION ALL SELECT number, present, identifier_type, digest FROM named WHERE digest IS NOT NULL"
)
#: Of identifiers that name nobody, as many are shown.
_SHOWN = 3


@dataclass(frozen=True)
class Named:
    """What became of the identifiers of the list.

    Attributes:
        listed: how many there are.
        not_found: those that neither the data nor the previous identities know, or nobody could have.
        shared: those of several customers, which therefore name nobody.
        warnings: of what a person should correct in the list.
    """

    listed: int = 0
    not_found: int = 0
    shared: int = 0
    warnings: tuple[str, ...] = ()


def read_forget_list(engine: Engine, plan: Plan, config: Config, keys: NodeKeys, data: Any) -> int:
    """Make ``to_forget``: ``number``, ``identifier_type``, ``identifier_value``, ``node`` and the ``digest``
    under which earlier runs may know it; gives the length of the list.

    Identifiers that nobody could have are left out, but count. Those of types that only the previous
    identities know are standardised by the settings for such a type.

    Raises:
        ConfigError: a column is missing, or what stands for a type is none.
        SourceError: the list cannot be read.
    """
    listed = 0 if data is None else read_stated(engine, "forget", data, [_SIDE])
    values = None
    if listed:
        _refuse_ids(engine)
        gone = past_types(engine) - {*plan.identifier_types, PROFILE_ID}
        types = [*plan.types, *map(config.type_of, sorted(gone))]
        values = standardised_values(engine, "forget", [_SIDE], types, keys, config.shown)
    nothing = "SELECT 0 AS number, '' AS identifier_type, NULL::VARCHAR AS value, 0::UBIGINT AS node"
    engine.run(
        "CREATE OR REPLACE TABLE to_forget AS "
        "SELECT number, identifier_type, value AS identifier_value, node, "
        f"{digest('identifier_type', 'value') if plan.salted else 'NULL::VARCHAR'} AS digest "
        f"FROM ({values or nothing}) WHERE value IS NOT NULL",
        doing=_DOING,
    )
    return listed


def name_customers(engine: Engine, plan: Plan, config: Config, listed: int) -> Named:
    """Make ``forgotten_customers`` (``customer``) and ``forgotten_past`` (``customer_id``).

    The latter are previous customers whom an identifier names that is no longer in the data.
    """
    _find_present(engine, plan)
    past = "SELECT * FROM previous_identities WHERE status IN ('linked', 'absent')"
    engine.run(
        "CREATE OR REPLACE TABLE forgotten_past AS SELECT DISTINCT customer_id "
        f"FROM ({past}) JOIN ({_FORMS}) USING (identifier_type, identifier_value) WHERE NOT present",
        doing=_DOING,
    )
    ruled = "SELECT node FROM ruled WHERE part IN (SELECT part FROM ruled SEMI JOIN named USING (node))"
    engine.run(
        "CREATE OR REPLACE TABLE forgotten_customers AS "
        "SELECT customer FROM named WHERE customer IS NOT NULL "
        f"UNION SELECT customer FROM identities SEMI JOIN ({ruled}) USING (node) WHERE customer IS NOT NULL "
        f"UNION SELECT customer FROM identities SEMI JOIN ({past} AND customer_id IN (FROM forgotten_past)) "
        "USING (identifier_type, identifier_value) WHERE customer IS NOT NULL",
        doing=_DOING,
    )
    known, shared = engine.row(
        "SELECT count(*) FILTER (present OR node IN (SELECT node FROM ruled) OR number IN (SELECT number "
        f"FROM ({_FORMS}) SEMI JOIN ({past}) USING (identifier_type, identifier_value))), "
        "count(*) FILTER (present AND customer IS NULL) FROM named"
    )
    return Named(listed, listed - known, shared, _warnings(engine, config, listed, shared))


def _refuse_ids(engine: Engine) -> None:
    for (written,) in engine.rows(f"SELECT DISTINCT {_SIDE[0]} FROM forget_stated WHERE {_SIDE[0]} <> ''"):
        if canonical(written) == PROFILE_ID:
            raise ConfigError(
                f"forget names a {PROFILE_ID}; the ids of people who are forgotten are not remembered, so "
                "the next run would not know whom it means. List identifiers of theirs that the sources have."
            )


def _find_present(engine: Engine, plan: Plan) -> None:
    """Table ``named``: ``to_forget``, whether each is in the data (``present``) and its ``customer``."""
    engine.run(
        "CREATE OR REPLACE TABLE named AS "
        "SELECT to_forget.*, identities.node IS NOT NULL AS present, customer "
        "FROM to_forget LEFT JOIN identities USING (identifier_type, identifier_value)",
        doing=_DOING,
    )
    carriers = [
        f"SELECT named.node, i.customer FROM {records.table(index)} JOIN named "
        f"ON identifier_type = {literal(column.output or '')} AND identifier_value = id_{j} "
        f"AND present AND named.customer IS NULL "
        f"LEFT JOIN identities AS i ON i.node = {first_key(plan, source)}"
        for index, source in enumerate(plan.sources)
        for j, column in enumerate(source.having(Role.IDENTIFIER))
    ]
    if engine.row("SELECT count(*) FROM named WHERE present AND customer IS NULL")[0]:
        engine.run(
            "UPDATE named SET customer = sole.customer FROM (SELECT node, min(customer) AS customer "
            f"FROM ({' UNION ALL '.join(carriers)}) GROUP BY node "
            "HAVING min(customer) = max(customer) AND count(*) = count(customer)) AS sole "
            "WHERE sole.node = named.node",
            doing=_DOING,
        )


def _warnings(engine: Engine, config: Config, listed: int, shared: int) -> tuple[str, ...]:
    (usable,) = engine.row("SELECT count(*) FROM to_forget")
    warnings = []
    if unusable := listed - usable:
        warnings.append(
            f"{unusable:,} of {listed:,} identifiers to forget can be nobody's: their type is none of the "
            "sources or of the identities, or the value is blank, a placeholder or not of its type."
        )
    if shared:
        some = engine.rows(
            "SELECT DISTINCT identifier_type, identifier_value FROM named WHERE present AND customer IS NULL "
            f"ORDER BY ALL LIMIT {_SHOWN}"
        )
        shown = ", ".join(f"{kind} {config.shown(value)}" for kind, value in some)
        warnings.append(
            f"{shared:,} of {listed:,} identifiers to forget are of several customers, who all stay for what "
            f"they say ({shown}{', …' if shared > len(some) else ''}). Whoever is to be forgotten needs "
            "another identifier in the list."
        )
    return tuple(warnings)
