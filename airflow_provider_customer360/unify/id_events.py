"""What happened to customers' ids since the run before, and the identifier that explains it.

Table ``id_events``, one row per event: ``kind``, ``customer_id``, ``other_customer_id``,
``identifier_type``, ``identifier_value``, ``reason``. Kinds:

- ``created``: ``customer_id`` is there and was not; the reason is ``new`` or ``returned``;
- ``merged``: ``other_customer_id`` was absorbed and lives on as ``customer_id``;
- ``split``: identifiers of ``other_customer_id`` belong to ``customer_id`` now;
- ``retired``: ``customer_id`` was there, and nothing identifies it any more.

An id that is new and holds identifiers of previous customers comes from a split and is not also created.
Where an identifier changed hands, one ``merged`` or ``split`` tells from whom to whom. A reason names nobody.
"""

from __future__ import annotations

from airflow_provider_customer360.unify.engine import Engine

_DOING = "comparing customer ids with the run before"


def _best(rank: str) -> str:
    """The strongest identifier of a group; of several the one with the shortest, then the first value."""
    return (
        f"min({{'rank': {rank}, 'length': length(identifier_value), 'value': identifier_value, "
        "'type': identifier_type}) AS best"
    )


def find_events(engine: Engine) -> None:
    """Make ``id_events`` from ``past``, ``shares``, ``fates`` and ``customers`` (see ``stable_ids``).

    And from ``strongest`` (see ``resolve``), which is gone then.
    """
    _find_moves(engine)
    parts = (_moved(), _new(), _retired())
    engine.run(
        "CREATE OR REPLACE TABLE id_events AS SELECT kind, customer_id, other_customer_id, "
        "best.type AS identifier_type, best.value AS identifier_value, reason "
        f"FROM ({' UNION ALL '.join(parts)})",
        doing=_DOING,
    )
    engine.drop(["moves", "strongest"])


def _find_moves(engine: Engine) -> None:
    """Table ``moves``: previous customers (``past_id``) in components (``customer``) that bear another id,
    or their own again.
    """
    engine.run(
        "CREATE OR REPLACE TABLE moves AS SELECT past_id, shares.customer, customers.customer_id, "
        "CASE WHEN customers.customer_id = past_id THEN 'created' "
        "WHEN fates.customer = shares.customer THEN 'merged' ELSE 'split' END AS kind "
        "FROM shares JOIN fates USING (past_id) "
        "JOIN customers ON customers.customer = shares.customer "
        "WHERE customers.customer_id <> past_id OR NOT fates.was_linked",
        doing=_DOING,
    )


def _moved() -> str:
    reason = (
        "CASE WHEN kind = 'created' THEN 'returned' "
        "WHEN kind = 'merged' THEN 'identifiers of both belong to one customer now' "
        "WHEN customer_id IN (SELECT past_id FROM fates) "
        "THEN 'identifiers of one customer belong to another one now' "
        "ELSE 'identifiers of one customer are no longer linked' END"
    )
    return (
        "SELECT kind, customer_id, CASE WHEN kind <> 'created' THEN past_id END AS other_customer_id, "
        f"best, {reason} AS reason FROM moves JOIN ("
        f"SELECT past.customer_id AS past_id, identities.customer, {_best('t')} "
        "FROM (SELECT * FROM past SEMI JOIN moves ON moves.past_id = past.customer_id "
        "WHERE status IN ('linked', 'absent')) AS past "
        "JOIN identities USING (identifier_type, identifier_value) GROUP BY ALL) "
        "USING (past_id, customer)"
    )


def _new() -> str:
    back = "CASE WHEN customer_id IN (SELECT past_id FROM fates) THEN 'returned' ELSE 'new' END"
    return (
        "SELECT 'created', customer_id, NULL, "
        "{'rank': best.t, 'length': best.length, 'value': best.v, 'type': identifier_type}, "
        f"{back} FROM customers JOIN strongest USING (customer) ANTI JOIN shares USING (customer)"
    )


def _retired() -> str:
    return (
        # A type that is gone has no rank.
        f"SELECT 'retired', past_id, NULL, {_best('0::SMALLINT')}, "
        "'none of its identifiers identifies a customer any more' "
        "FROM fates JOIN past ON past.customer_id = past_id "
        "WHERE fates.customer IS NULL AND status = 'linked' GROUP BY past_id"
    )
