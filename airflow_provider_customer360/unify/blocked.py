"""Values that were there but identify nobody, with the reason."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_customer360.unify import records
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.schema import Plan, Role
from airflow_provider_customer360.unify.standardise import with_steps
from airflow_provider_customer360.unify.stated_rules import rules_of


def blocked_values(engine: Engine, plan: Plan) -> str:
    """A query for what was blocked, once the records are made; raw values, so mask what is shown.

    Columns: ``t`` (index of the type in the plan), ``source`` (index), ``value`` (the trimmed text, of a
    phone that is blocked as a number its standard form), ``reason`` and ``records`` (BIGINT). One row per
    type, source and value.
    """
    queries = list(_by_column(engine, plan))
    if not queries:
        return (
            "SELECT NULL::SMALLINT AS t, NULL::SMALLINT AS source, NULL::VARCHAR AS value, "
            "NULL::VARCHAR AS reason, NULL::BIGINT AS records WHERE false"
        )
    return (
        "SELECT t, source, value, min(reason) AS reason, sum(records)::BIGINT AS records "
        f"FROM ({' UNION ALL '.join(queries)}) GROUP BY t, source, value"
    )


def _by_column(engine: Engine, plan: Plan) -> Iterator[str]:
    rules = rules_of(engine, plan.types)
    types = {one.name: (t, one) for t, one in enumerate(plan.types)}
    for index, source in enumerate(plan.sources):
        for j, column in enumerate(source.having(Role.IDENTIFIER)):
            t, one = types[column.output or ""]
            rule = rules[one.name]
            values = (
                f"(SELECT blocked_{j} AS value, sum(records)::BIGINT AS records FROM {records.table(index)} "
                f"WHERE blocked_{j} IS NOT NULL GROUP BY ALL)"
            )
            query, (names,) = with_steps(values, [(rule, "value")])
            reason = rule.reason(names, "guest" if column.guests else "not a phone number")
            yield (
                f"SELECT {t}::SMALLINT AS t, {index}::SMALLINT AS source, value, {reason} AS reason, records "
                f"FROM {query}"
            )
