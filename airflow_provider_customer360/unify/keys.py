"""Node keys: each identifier is a 64-bit number, so that no later stage joins or compares text."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_customer360.unify.quoting import literal
from airflow_provider_customer360.unify.schema import ColumnPlan, Plan, Role, SourcePlan


@dataclass(frozen=True)
class NodeKeys:
    """How an identifier becomes a node key; ``bits`` below 64 exist to test the repair of collisions."""

    salt: int = 0
    bits: int = 64

    def key(self, identifier_type: str, value: str) -> str:
        """The SQL expression of a value's key, NULL for NULL."""
        # The salt goes into the text: DuckDB hashes arguments one by one and then combines the hashes, so
        # that values with one hash would keep one beside any further argument.
        salted = f"{value} || {literal(f' {self.salt}')}" if self.salt else value
        hashed = f"hash({salted}, {literal(identifier_type)})"
        if self.bits < 64:
            hashed = f"({hashed} & {(1 << self.bits) - 1}::UBIGINT)"
        return f"CASE WHEN {value} IS NOT NULL THEN {hashed} END"

    def column(self, plan: Plan, column: ColumnPlan, value: str) -> str:
        """The key by which a column's value links records; NULL where the type links nobody."""
        linking = plan.type(column.output or "").links
        return self.key(column.output or "", value) if linking else "NULL::UBIGINT"


def by_strength(plan: Plan, source: SourcePlan) -> list[int]:
    """The positions of a source's identifier columns, the strongest type first."""
    columns = source.having(Role.IDENTIFIER)
    return sorted(range(len(columns)), key=lambda j: (plan.type(columns[j].output or "").strength, j))


def first_key(plan: Plan, source: SourcePlan) -> str:
    """The key that decides whose record it is: that of its strongest linking identifier."""
    keys = [f"k_{j}" for j in by_strength(plan, source)]
    return f"coalesce({', '.join(keys)}, NULL)" if keys else "NULL::UBIGINT"
