"""What a person should know of a result, in sentences that say what to do; without any value of the data."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from airflow_provider_customer360.unify.config import Config
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.errors import DataError
from airflow_provider_customer360.unify.schema import Plan, Role

_SAMPLED = 100_000
_SAME = 0.9
_SUSPICIOUS = 20
#: A customer with more records than this, and with this share of all, is suspicious unless stated otherwise.
_MANY_RECORDS, _LARGE_SHARE = 1_000, 0.01


def advice(
    engine: Engine, plan: Plan, sources: Mapping[str, Mapping[str, Any]], as_of: datetime | None
) -> list[str]:
    """The warnings of a run, given the summary's counts by source."""
    return [
        *_about_sources(plan, sources),
        *_about_guards(engine, plan),
        *_about_identities(engine, plan),
        *_about_activity(engine, plan, as_of),
    ]


def check_size(engine: Engine, config: Config) -> list[str]:
    """A warning about customers of suspiciously many records.

    Raises:
        DataError: there are such, and ``on_oversized_customer`` is ``fail``.
    """
    most = config.max_customer_records
    if most is None:
        (records,) = engine.row("SELECT coalesce(sum(total_records), 0)::BIGINT FROM profiles")
        most = max(_MANY_RECORDS, int(_LARGE_SHARE * records))
    over, largest = engine.row(
        f"SELECT count(*), max(total_records) FROM profiles WHERE total_records > {most}"
    )
    if not over:
        return []
    have = "1 customer has" if over == 1 else f"{over:,} customers have"
    said = (
        f"{have} more than {most:,} records, the largest {largest:,}: probably strangers "
        "that some value joins. Explain such a customer to see which, and block that value or lower its "
        "type's shared_after or limit in identifier_types"
    )
    if config.on_oversized_customer == "fail":
        raise DataError(
            f"{said}; or raise max_customer_records. The run fails because on_oversized_customer is 'fail'; "
            "the target table is as it was."
        )
    return [f"{said}."]


def _about_guards(engine: Engine, plan: Plan) -> list[str]:
    """What the guards kept apart, so that nobody wonders why two records are not one customer."""
    warnings = []
    for t, values, people, count in engine.rows(
        "SELECT t, count(*), max(people) FILTER (names + customers > 0), sum(records)::BIGINT "
        "FROM shared GROUP BY t ORDER BY t"
    ):
        one = plan.types[t]
        warnings.append(
            f"Values of {one.name} that several people share link nobody: {values:,}"
            + (f", of up to {people:,} people" if people else "")
            + f", on {count:,} records. More than {one.shared_after} people are too many; "
            f'identifier_types={{"{one.name}": {{"shared_after": …}}}} changes that.'
        )
    for exceeded, links in engine.rows(
        "SELECT exceeded, count(*) FROM dropped_links WHERE exceeded >= 0 GROUP BY exceeded ORDER BY exceeded"
    ):
        one = plan.types[exceeded]
        warnings.append(
            f"{links:,} links were dropped, the weakest first: with them a customer would have more than "
            f"{one.limit} values of {one.name}. The identity events tell which; "
            f'identifier_types={{"{one.name}": {{"limit": …}}}} sets the limit.'
        )
    return warnings


def _about_sources(plan: Plan, sources: Mapping[str, Mapping[str, Any]]) -> list[str]:
    warnings = []
    for source in plan.sources:
        counts = sources[source.name]
        lost = counts["records"] - counts["identified"]
        if lost:
            why = "" if source.having(Role.IDENTIFIER) else "; none of its columns identifies a customer"
            warnings.append(
                f"Source {source.name!r}: {lost:,} of {counts['records']:,} records have no identifier "
                f"that links them to a customer and are in no profile{why}."
            )
    empty = [source.name for source in plan.sources if not source.rows]
    if empty:
        warnings.append(
            f"Empty: {', '.join(empty)}. Customers that only such a source knows are not in the profiles."
        )
    if len(plan.sources) - len(empty) > 1 and not any(one["match_rate"] for one in sources.values()):
        warnings.append(
            "No customer is in two sources. If the sources know the same people, state the columns that "
            "identify them; the roles that were found are in the log and in the summary."
        )
    return warnings


def _about_identities(engine: Engine, plan: Plan) -> list[str]:
    warnings = []
    glued = _glued(engine, plan)
    if glued:
        warnings.append(
            f"One customer has {glued[1]:,} values of {glued[0]}, joined by what they share: probably a "
            "value of many people. Explain that customer, and block the value or set its type's limit."
        )
    for one, other in _same_values(engine, plan):
        warnings.append(
            f"{one} and {other} have the same values but are two identifier types, which are never compared. "
            f'If they number the same people, state it: "identifiers": {{"{one}": "<the {other} column>"}}.'
        )
    return warnings


def _about_activity(engine: Engine, plan: Plan, as_of: datetime | None) -> list[str]:
    if not plan.has_event_time:
        return ["No source has an event time, so every customer counts as active."]
    after = _after(engine, as_of)
    if not after or as_of is None:
        return []
    return [
        f"{after:,} customers were last seen after the reference time {as_of.isoformat()}; "
        "they count as active."
    ]


def _after(engine: Engine, as_of: datetime | None) -> int:
    if as_of is None:
        return 0
    (count,) = engine.row(
        f"SELECT count(*) FROM profiles WHERE last_seen > TIMESTAMPTZ '{as_of.isoformat()}'"
    )
    return int(count)


def _same_values(engine: Engine, plan: Plan) -> list[tuple[str, str]]:
    """Pairs of types that share nearly all values, though those are different customers.

    Small numbers are left out: any two numberings share them.
    """
    (size,) = engine.row("SELECT count(*) FROM identities")
    keys = (
        "SELECT t, identifier_value AS v, customer FROM identities "
        f"WHERE hash(identifier_value) % {size // _SAMPLED + 1} = 0 "
        "AND NOT regexp_full_match(identifier_value, '[0-9]{1,9}') AND NOT contains(identifier_value, '@')"
    )
    found = engine.rows(
        f"WITH keys AS ({keys}), sizes AS (SELECT t, count(*) AS n FROM keys GROUP BY t), "
        "pairs AS (SELECT x.t AS a, y.t AS b, count(*) AS shared, "
        "count(*) FILTER (x.customer = y.customer) AS joined "
        "FROM keys x JOIN keys y ON x.v = y.v AND x.t < y.t GROUP BY ALL) "
        "SELECT a, b FROM pairs JOIN sizes x ON x.t = a JOIN sizes y ON y.t = b "
        f"WHERE shared >= {_SAME} * least(x.n, y.n) AND joined < shared / 2 ORDER BY a, b"
    )
    return [(plan.identifier_types[a], plan.identifier_types[b]) for a, b in found]


def _glued(engine: Engine, plan: Plan) -> tuple[str, int] | None:
    """The strong type of which one customer has suspiciously many values, and how many."""
    keys = [
        t for t, name in enumerate(plan.identifier_types) if name not in ("email", "phone", "anonymous_id")
    ]
    found = engine.rows(
        "SELECT t, max(n) FROM (SELECT t, count(*) AS n FROM identities WHERE customer IS NOT NULL "
        f"AND NOT alone AND t IN ({', '.join(map(str, [-1, *keys]))}) GROUP BY customer, t) "
        "GROUP BY t ORDER BY t"
    )
    return next(((plan.identifier_types[t], most) for t, most in found if most > _SUSPICIOUS), None)
