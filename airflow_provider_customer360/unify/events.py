"""Identity events: what a run decided about who is who, in a form that can be kept for years.

View ``identity_events``: ``event_id``, ``run_id``, ``occurred_at`` (the run's reference time), ``kind``,
``customer_id``, ``other_customer_id``, ``identifier_type``, ``identifier``, ``other_identifier_type``,
``other_identifier``, ``source``, ``records``, ``reason``. Kinds, beside those of `id_events`:

- ``value_blocked``: a value that identifies nobody, by source;
- ``value_shared``: a value of many people, which links nobody from this run on;
- ``link_dropped``: ``identifier`` was seen with ``other_identifier`` but is not linked to it.

Identifiers of personal types, and blocked values that a person may have written, are masked, unless
something else is stated for the type (`pii`). What is blocked or dropped has the same ``event_id`` in every
run, so that it is told once, by the run that finds it first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow_provider_customer360.unify.blocked import blocked_values
from airflow_provider_customer360.unify.constrained import forbidden
from airflow_provider_customer360.unify.digests import digest, is_digest
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.identifier_types import NEVER_PERSONAL
from airflow_provider_customer360.unify.manual_rules import Rules
from airflow_provider_customer360.unify.mask import masked
from airflow_provider_customer360.unify.protection import Protection
from airflow_provider_customer360.unify.quoting import literal
from airflow_provider_customer360.unify.reading import read_table
from airflow_provider_customer360.unify.rules import PLACEHOLDER
from airflow_provider_customer360.unify.schema import Plan

KINDS = ("created", "merged", "split", "retired", "link_dropped", "value_blocked", "value_shared")
#: What is told once, by the run that finds it first.
LASTING = ("link_dropped", "value_blocked")
_COLUMNS = (
    "kind",
    "customer_id",
    "other_customer_id",
    "identifier_type",
    "identifier",
    "other_identifier_type",
    "other_identifier",
    "source",
    "records",
    "reason",
)


_IDENTIFIERS = ("identifier", "other_identifier")


@dataclass(frozen=True)
class Recorded:
    """The events that earlier runs recorded.

    Attributes:
        count: how many; of two runs of one ``run_id`` both may change ids, and this tells them apart.
        lasting: the ``event_id`` of those of `LASTING` kinds, in any form that a source may have, as one
            column. They are not told again.
    """

    count: int = 0
    lasting: Any = None


def view_events(
    engine: Engine,
    plan: Plan,
    rules: Rules,
    protection: Protection,
    run_id: str,
    as_of: datetime | None,
    recorded: Recorded,
) -> None:
    """Make ``identity_events``; nothing is computed before it is read."""
    # Where nothing is recorded, whoever counts events need not make ids of them.
    untold = "ANTI JOIN recorded_events USING (event_id)" if _read_recorded(engine, recorded) else ""
    parts = [_of_ids(protection), _shared(), _dropped(plan, rules), _blocked(engine, plan)]
    lasting = f"kind IN ({', '.join(map(literal, LASTING))})"
    # The counts behind a reason change from day to day, the decision does not.
    told = (
        f"CASE WHEN {lasting} THEN '' ELSE concat_ws(chr(31), {literal(f'{run_id} {recorded.count}')}, "
        "coalesce(customer_id, ''), coalesce(other_customer_id, ''), reason) END"
    )
    # An id must not give away what is hashed beside it.
    ids = {
        name: f"CASE WHEN hashed THEN {name} ELSE {protection.remembered(f'{name}_type', name)} END"
        for name in _IDENTIFIERS
    }
    what = ", ".join(
        f"coalesce({ids.get(name, name)}, '')"
        for name in ("identifier_type", "identifier", "other_identifier_type", "other_identifier", "source")
    )
    moment = f"TIMESTAMPTZ {literal(as_of.isoformat())}" if as_of else "NULL::TIMESTAMPTZ"
    shown = {name: _shown(plan, protection, name) for name in _IDENTIFIERS}
    columns = [f"{shown[name]} AS {name}" if name in shown else name for name in _COLUMNS]
    engine.run(
        "CREATE OR REPLACE VIEW identity_events AS SELECT * FROM ("
        f"SELECT md5(concat_ws(chr(31), kind, {told}, {what})) AS event_id, {literal(run_id)} AS run_id, "
        f"{moment} AS occurred_at, {', '.join(columns)} FROM ({' UNION ALL '.join(parts)})) {untold}"
    )


def _read_recorded(engine: Engine, recorded: Recorded) -> bool:
    """Make ``recorded_events``, the ids of those that are not told again; False where there are none."""
    if recorded.lasting is None:
        return False
    staged = read_table(engine, "the recorded events", "recorded_source", recorded.lasting)
    if staged.rows:
        (column,) = staged.columns
        engine.run(
            f"CREATE OR REPLACE TABLE recorded_events AS SELECT {column.internal}::VARCHAR AS event_id "
            "FROM recorded_source"
        )
    return bool(staged.rows)


def forgotten_in_events(plan: Plan, protection: Protection) -> str:
    """The query of identifiers of forgotten people that events of any run may hold in full.

    ``identifier_type``, ``identifier``. Of what is masked nobody knows whose it is.
    """
    kind, value = "identifier_type", "identifier_value"
    is_hashed = protection.applies(kind, "hash")
    forms = {
        value: f"({in_full(plan, kind, value)}) OR ({is_hashed} AND {is_digest(value)})",
        **({digest(kind, value): is_hashed} if "hash" in protection.types.values() else {}),
    }
    return " UNION ".join(
        f"SELECT {kind}, {form} AS identifier FROM forgotten_identifiers WHERE {condition}"
        for form, condition in forms.items()
    )


def count_events(engine: Engine) -> dict[str, int]:
    """The number of events of each kind in this run."""
    counts = dict(
        engine.rows("SELECT kind, count(*) FROM identity_events GROUP BY kind", doing="counting events")
    )
    return {kind: counts.get(kind, 0) for kind in KINDS}


def _of_ids(protection: Protection) -> str:
    # Of a retired customer only the run before knows the identifiers, and may have hashed them.
    is_hashed = protection.applies("identifier_type", "hash")
    hashed = f"kind = 'retired' AND {is_hashed} AND {is_digest('identifier_value')}"
    return (
        "SELECT kind, customer_id, other_customer_id, identifier_type, identifier_value AS identifier, "
        "NULL::VARCHAR AS other_identifier_type, NULL::VARCHAR AS other_identifier, NULL::VARCHAR AS source, "
        f"NULL::BIGINT AS records, reason, false AS hidden, {hashed} AS hashed FROM id_events"
    )


def _shared() -> str:
    before = "(SELECT identifier_type, identifier_value FROM previous_identities WHERE status = 'shared')"
    why = (
        "CASE WHEN names > 1 THEN 'on records of ' || names || ' differently named people' "
        "WHEN customers > 0 THEN 'beside ' || customers || ' other identifiers of one source' "
        "ELSE 'on ' || shared.records || ' records' END"
    )
    return (
        "SELECT 'value_shared', NULL, NULL, identifier_type, identifier_value, NULL, NULL, NULL, "
        f"shared.records, {why}, false, false FROM shared JOIN identities USING (node)"
        f" ANTI JOIN {before} USING (identifier_type, identifier_value)"
    )


def _dropped(plan: Plan, rules: Rules) -> str:
    reasons = [
        f"WHEN {t} THEN {literal(f'one customer would have more than {one.limit} values of {one.name}')}"
        + (" || ' in one source'" if one.limit_per == "source" else "")
        for t, one in enumerate(plan.types)
    ]
    reasons += [
        f"WHEN {forbidden(place)} THEN {literal(f'must_not_link: {reason}' if reason else 'must_not_link')}"
        for place, reason in enumerate(rules.reasons)
    ]
    sources = ", ".join(literal(source.name) for source in plan.sources)
    return (
        "SELECT 'link_dropped', d.customer_id, c.customer_id, y.identifier_type, y.identifier_value, "
        f"x.identifier_type, x.identifier_value, [{sources}][s + 1], sum(links.records)::BIGINT, "
        f"CASE exceeded {' '.join(reasons)} END, false, false "
        "FROM dropped_links JOIN links USING (a, b) JOIN identities x ON x.node = a "
        "JOIN identities y ON y.node = b LEFT JOIN customers c ON c.customer = x.customer "
        "LEFT JOIN customers d ON d.customer = y.customer GROUP BY ALL"
    )


def _blocked(engine: Engine, plan: Plan) -> str:
    names = ", ".join(map(literal, plan.identifier_types))
    sources = ", ".join(literal(source.name) for source in plan.sources)
    return (
        f"SELECT 'value_blocked', NULL, NULL, [{names}][t + 1], value, NULL, NULL, [{sources}][source + 1], "
        f"records, reason, reason <> {literal(PLACEHOLDER)}, false FROM ({blocked_values(engine, plan)})"
    )


def in_full(plan: Plan, kind: str, value: str) -> str:
    """Whether events show an identifier as it is where nothing else is stated, by its type and value as SQL.

    What is not known of a type, since no source has it any more, is not shown.
    """
    known = {one.name for one in plan.types}
    open_types = {one.name for one in plan.types if not one.personal} | (NEVER_PERSONAL - known)
    # What looks like an e-mail or a phone is one, whatever the type is called.
    contacts = ", ".join(literal(one.name) for one in plan.types if one.standardise != "id") or "NULL"
    return (
        f"NOT coalesce(((contains({value}, '@') OR starts_with({value}, '+')) "
        f"AND coalesce({kind} NOT IN ({contacts}), true)) "
        f"OR {kind} NOT IN ({', '.join(map(literal, sorted(open_types)))}), false)"
    )


def _shown(plan: Plan, protection: Protection, name: str) -> str:
    """An identifier as it is told."""
    kind = f"{name}_type"
    as_ever = (
        f"CASE WHEN {name} = '' OR (NOT hidden AND {in_full(plan, kind, name)}) THEN {name} "
        f"ELSE {masked(name)} END"
    )
    return f"CASE WHEN hashed THEN {name} ELSE {protection.told(kind, name, as_ever)} END"
