"""Stage 5, where ids are to be stable: customers keep the ids that the run before gave them.

An id that only follows from a customer's identifiers changes when a stronger one turns up. Here the
identities that were published last say who is who:

1. A previous customer claims the component that holds most of its present identifiers, those that were
   ``linked`` to it and those that were ``absent``; on a tie the one with its oldest identifier (smallest
   previous ``first_seen``, none comes last), then the one with the smallest content id (the id that the
   content alone would give: the shorter, then the first as text).
2. Where several claim one component, the one with most identifiers in it survives; on a tie the oldest,
   by all its previous identifiers, then the one with the shorter, then the first id. The others are
   absorbed: their ids point to the survivor for ever and are never given again. Whatever pointed to an
   absorbed id points to the survivor too, so that no pointer leads to another.
3. A component without a survivor gets its content id or, where anybody ever had that, the first free one
   of ``<content id>~2``, ``~3``, ... What is the content id of another new customer is not free.
4. A customer of whom no identifier is left is retired. Its ``absent`` identifiers remember its id, and
   when one comes back, so does the id. One whose identifiers are all shared now has none to come back
   by; a row of its own (``profile_id``, its id, ``absent``) keeps the id from being given again, except to
   a component that has it for content id: the same strongest identifier, shared no more.
5. The same inputs give the same result, in any order of rows; a run over its own result changes nothing
   and reports nothing. Without previous identities every customer gets its content id.

Reads ``identities`` and ``customers`` (see ``resolve``; here every ``customers.customer`` has an
identity, and an identity whose ``customer`` is NULL is shared) and ``previous_identities``:
``identifier_type``, ``identifier_value``, ``customer_id``, ``status``, ``first_seen``, ``last_seen``,
``records``, ``data_sources``. Statuses:

- ``linked``: identifies ``customer_id``;
- ``shared``: belongs to many people or to none, ``customer_id`` is NULL; forgotten when it goes;
- ``absent``: not in the data; ``customer_id`` is the one it had last, the rest is as it was;
- ``absorbed``: ``identifier_type`` is ``profile_id``, ``identifier_value`` an id that was absorbed,
  ``customer_id`` the one that stands for it now.

Makes ``customers.customer_id`` stable, ``remembered_identities`` and ``id_events``; `identities_next` tells
the previous identities of the next run.
"""

from __future__ import annotations

from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.errors import ConfigError, DataError
from airflow_provider_customer360.unify.id_events import find_events
from airflow_provider_customer360.unify.parts import WHOLE, Part
from airflow_provider_customer360.unify.quoting import literal

#: The identifier type under which the ids of customers themselves are remembered.
PROFILE_ID = "profile_id"

_DOING = "keeping customer ids"


def identities_next(part: Part = WHOLE) -> str:
    """The query of the previous identities of the next run, or of those of one part of the customers.

    Also ``node`` and ``customer``, NULL for what the data no longer says.
    """
    told, named = (
        f"(FROM {table} WHERE {part.holds('coalesce(customer, 0)')}) AS {table}"
        for table in ("identities", "customers")
    )
    query = (
        "SELECT identifier_type, identifier_value, customer_id, "
        "CASE WHEN customer IS NULL THEN 'shared' ELSE 'linked' END AS status, "
        f"first_seen, last_seen, records, data_sources, node, customer FROM {told} "
        f"LEFT JOIN {named} USING (customer)"
    )
    return query if part.number else f"{query} UNION ALL SELECT *, NULL, NULL FROM remembered_identities"


def keep_ids(engine: Engine) -> None:
    """Give customers the ids that they had in ``previous_identities``.

    Raises:
        ConfigError: an identifier type is called ``profile_id``.
        DataError: two customers would have one id.
    """
    (reserved,) = engine.row(f"SELECT count(*) FROM identities WHERE identifier_type = {literal(PROFILE_ID)}")
    if reserved:
        raise ConfigError(
            f"An identifier type is called {PROFILE_ID!r}, under which customers' own ids are remembered. "
            "State the column under another type, as in identifiers={'user_profile_id': 'profile_id'}."
        )
    engine.run(
        "CREATE OR REPLACE VIEW past AS SELECT * FROM previous_identities WHERE customer_id IS NOT NULL",
        doing=_DOING,
    )
    _find_claims(engine)
    _settle_claims(engine)
    _name_newcomers(engine)
    _name_customers(engine)
    _remember(engine)
    find_events(engine)
    engine.run("DROP VIEW past")
    engine.drop(["shares", "fates", "newcomers"])


def _find_claims(engine: Engine) -> None:
    """Table ``shares``: one row per previous customer and component that holds some of its identifiers.

    ``past_id``, ``customer`` (NULL: identifiers that are in no component now), ``identifiers`` (their
    number), ``absent`` (how many of them are not in the data), ``oldest`` (their smallest previous
    ``first_seen``), ``was_linked`` (one of them was in the data of the run before).
    """
    # Joined by the texts themselves: measured no slower than by a hash, and it cannot merge strangers.
    engine.run(
        "CREATE OR REPLACE TABLE shares AS SELECT past.customer_id AS past_id, identities.customer, "
        "count(*) AS identifiers, count(*) FILTER (identities.identifier_value IS NULL) AS absent, "
        "min(past.first_seen) AS oldest, bool_or(past.status = 'linked') AS was_linked "
        "FROM past LEFT JOIN identities USING (identifier_type, identifier_value) "
        "WHERE past.status IN ('linked', 'absent') GROUP BY ALL",
        doing=_DOING,
    )


def _settle_claims(engine: Engine) -> None:
    """Table ``fates``: one row per previous customer.

    ``past_id``, ``was_linked``, ``absent`` (number of its identifiers that are not in the data),
    ``customer`` (the component that it claims; NULL: retired), ``lives_as`` (the id that stands for it).
    """
    engine.run(
        "CREATE OR REPLACE TABLE fates AS WITH "
        "claims AS (SELECT past_id, customer, identifiers FROM shares JOIN customers USING (customer) "
        "QUALIFY row_number() OVER (PARTITION BY past_id ORDER BY identifiers DESC, oldest NULLS LAST, "
        "length(customer_id), customer_id) = 1), "
        "everyone AS (SELECT past_id, bool_or(was_linked) AS was_linked, sum(absent) AS absent, "
        "min(oldest) AS oldest FROM shares GROUP BY past_id), "
        "settled AS (SELECT past_id, customer, first_value(past_id) OVER (PARTITION BY customer "
        "ORDER BY identifiers DESC, oldest NULLS LAST, length(past_id), past_id) AS survivor "
        "FROM claims JOIN everyone USING (past_id)) "
        "SELECT past_id, was_linked, absent, customer, coalesce(survivor, past_id) AS lives_as "
        "FROM everyone LEFT JOIN settled USING (past_id)",
        doing=_DOING,
    )


def _name_newcomers(engine: Engine) -> None:
    """Table ``newcomers``: the components that keep no id (``customer``), and the ``new_id`` of each."""
    engine.run(
        "CREATE OR REPLACE TABLE newcomers AS WITH "
        "used AS (SELECT past_id AS id FROM fates "
        "UNION SELECT unnest([identifier_value, customer_id]) FROM past WHERE status = 'absorbed'), "
        # An id whose identifiers were all shared is for whoever has the same strongest identifier alone.
        f"waiting AS (SELECT identifier_value AS id FROM past WHERE identifier_type = {literal(PROFILE_ID)} "
        "AND status = 'absent'), "
        "unclaimed AS (SELECT customer, customer_id AS id, customer_id IN (SELECT id FROM used) "
        "AND customer_id NOT IN (SELECT id FROM waiting) AS taken FROM customers "
        "ANTI JOIN (SELECT customer FROM fates WHERE lives_as = past_id) USING (customer)), "
        "barred AS (SELECT id FROM used UNION ALL SELECT id FROM unclaimed WHERE NOT taken), "
        # Fifteen digits are a number for sure. No two ids have candidates in common: an id and its
        # number follow from the last ~.
        "numbers AS (SELECT id, regexp_extract(id, '~([1-9][0-9]{0,14})$', 1) AS digits FROM barred "
        "WHERE contains(id, '~')), "
        "suffixes AS (SELECT left(id, length(id) - length(digits) - 1) AS id, digits::BIGINT AS number "
        "FROM numbers WHERE digits <> ''), "
        # The first free number is 2 or follows one that is taken.
        "candidates AS (SELECT id, 2 AS number FROM unclaimed WHERE taken "
        "UNION ALL SELECT id, number + 1 FROM suffixes), "
        "free AS (SELECT id, min(number) AS number FROM candidates ANTI JOIN suffixes USING (id, number) "
        "GROUP BY id) "
        "SELECT customer, CASE WHEN taken THEN id || '~' || number ELSE id END AS new_id "
        "FROM unclaimed LEFT JOIN free USING (id)",
        doing=_DOING,
    )


def _name_customers(engine: Engine) -> None:
    engine.run(
        "CREATE OR REPLACE TABLE customers AS SELECT customer, past_id AS customer_id FROM fates "
        "WHERE customer IS NOT NULL AND lives_as = past_id UNION ALL FROM newcomers",
        doing=_DOING,
    )
    customers, ids = engine.row("SELECT count(*), count(DISTINCT customer_id) FROM customers")
    if customers != ids:
        raise DataError(
            f"{customers:,} customers have only {ids:,} different ids. The previous identities must be as "
            "this package published them, and the ids of the data unique; the target table is as it was."
        )


def _remember(engine: Engine) -> None:
    """Table ``remembered_identities``: what the data no longer says."""
    profile_id = literal(PROFILE_ID)
    engine.run(
        "CREATE OR REPLACE TABLE remembered_identities AS "
        "SELECT identifier_type, identifier_value, lives_as AS customer_id, 'absent' AS status, first_seen, "
        "last_seen, records, data_sources FROM (SELECT past.*, lives_as FROM past "
        "JOIN fates ON past_id = customer_id WHERE absent > 0 AND status IN ('linked', 'absent') "
        f"AND (identifier_type <> {profile_id} OR customer_id NOT IN (SELECT customer_id FROM customers))) "
        "ANTI JOIN identities USING (identifier_type, identifier_value) "
        f"UNION ALL SELECT {profile_id}, past_id, past_id, 'absent', NULL, NULL, NULL, NULL "
        "FROM fates WHERE customer IS NULL AND absent = 0 "
        f"UNION ALL SELECT {profile_id}, past_id, lives_as, 'absorbed', NULL, NULL, NULL, NULL "
        "FROM fates WHERE lives_as <> past_id "
        "UNION ALL SELECT identifier_type, identifier_value, coalesce(lives_as, customer_id), status, "
        "first_seen, last_seen, records, data_sources FROM past LEFT JOIN fates ON past_id = customer_id "
        "WHERE status = 'absorbed'",
        doing=_DOING,
    )
