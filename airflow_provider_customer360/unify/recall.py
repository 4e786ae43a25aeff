"""What earlier runs remember under digests, recognised by the run that knows the values.

Identities of types that are hashed hold digests. Where this run has the value itself, the value takes the
place of its digest, so that ids are kept as if nothing had been hashed; whatever is left stays a digest, and
what an earlier run published as it was becomes one.
"""

from __future__ import annotations

from airflow_provider_customer360.unify.digests import digest, is_digest
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.errors import ConfigError
from airflow_provider_customer360.unify.protection import Protection
from airflow_provider_customer360.unify.quoting import literal

#: Of as many digests one is found again, unless they were made with another salt.
_MANY = 100
_DOING = "recognising hashed identifiers"


def recall_hashed(engine: Engine, protection: Protection) -> None:
    """Bring ``previous_identities`` to the values of ``identities``; needs the salt.

    Raises:
        ConfigError: there are many digests, and not one is of a value of this run: the salt is another one.
    """
    hashed = is_digest("identifier_value")
    types = [
        name
        for (name,) in engine.rows(
            f"SELECT identifier_type FROM previous_identities WHERE {protection.applies('identifier_type')} "
            f"OR {hashed} GROUP BY 1 ORDER BY 1"
        )
    ]
    if not types:
        return
    engine.run(
        "CREATE OR REPLACE TABLE known AS SELECT identifier_type, identifier_value, "
        f"{digest('identifier_type', 'identifier_value')} AS digest FROM identities "
        f"WHERE identifier_type IN ({', '.join(map(literal, types))})",
        doing=_DOING,
    )
    _check_salt(engine, protection)
    is_hashed = f"identifier_type IN ({', '.join(map(literal, types))})"
    # A value that is its own digest, so to speak, came from a source as it is.
    value = (
        "CASE WHEN by_digest.identifier_value IS NOT NULL THEN by_digest.identifier_value "
        f"WHEN {protection.applies('past.identifier_type')} AND as_it_is.identifier_value IS NULL "
        f"AND NOT {is_digest('past.identifier_value')} "
        f"THEN {digest('past.identifier_type', 'past.identifier_value')} ELSE past.identifier_value END"
    )
    # Of what is not in the data, one may be remembered both as it is and as a digest, as when hashing was
    # off for a while. Of what is in the data both stay: their customers are one, and become one.
    engine.run(
        "CREATE OR REPLACE TABLE previous_identities AS "
        f"SELECT * FROM previous_identities WHERE NOT {is_hashed} UNION ALL "
        f"SELECT * EXCLUDE (found) FROM (SELECT past.* REPLACE ({value} AS identifier_value), "
        "coalesce(by_digest.digest, as_it_is.digest) IS NOT NULL AS found FROM previous_identities AS past "
        "LEFT JOIN known AS by_digest ON by_digest.identifier_type = past.identifier_type "
        "AND by_digest.digest = past.identifier_value "
        "LEFT JOIN known AS as_it_is ON as_it_is.identifier_type = past.identifier_type "
        f"AND as_it_is.identifier_value = past.identifier_value WHERE past.{is_hashed}) "
        "QUALIFY found OR row_number() OVER (PARTITION BY identifier_type, identifier_value "
        "ORDER BY status <> 'linked', first_seen NULLS LAST, customer_id) = 1",
        doing=_DOING,
    )
    engine.drop(["known"])


def plain_ids(engine: Engine, protection: Protection) -> tuple[str, ...]:
    """A warning about ids that still tell what is hashed now, being older than that."""
    key = "split_part(customer_id, ':', 1)"
    (telling,) = engine.row(
        f"SELECT count(*) FROM customers WHERE contains(customer_id, ':') AND {protection.applies(key)} "
        "AND NOT regexp_full_match(customer_id, '[^:]+:[0-9a-f]{32}(~[0-9]+)?')"
    )
    if not telling:
        return ()
    return (
        f"{telling:,} customers keep an id that was made from an identifier before pii said to hash it. Ids "
        "stay; to give all customers new ones, name another identities_table.",
    )


def _check_salt(engine: Engine, protection: Protection) -> None:
    hashed, found, now = engine.row(
        f"SELECT count(*), count(known.digest), (SELECT count(*) FROM known) "
        "FROM previous_identities AS past LEFT JOIN known ON known.identifier_type = past.identifier_type "
        "AND known.digest = past.identifier_value WHERE status = 'linked' "
        f"AND {protection.applies('past.identifier_type')} AND {is_digest('past.identifier_value')}"
    )
    if hashed >= _MANY and now and not found:
        raise ConfigError(
            f"Not one of {hashed:,} hashed identifiers of the run before is in the data, so they were "
            "probably hashed with another salt; customers would lose their ids. Give the salt of the runs "
            "before, or name another identities_table to start anew."
        )
