"""Personal data is hashed, masked or dropped on its way out of a run; see `pii` for what is done with what.

Within a run values are what the sources have, so that who is who does not depend on how it is published.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field

from airflow_provider_customer360.unify.config import Config
from airflow_provider_customer360.unify.digests import digest
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.mask import masked
from airflow_provider_customer360.unify.quoting import literal, quoted
from airflow_provider_customer360.unify.schema import ColumnPlan, Plan, Role
from airflow_provider_customer360.unify.spelling import canonical


@dataclass(frozen=True)
class Protection:
    """What is done with which values.

    Attributes:
        types: identifier type to action.
        columns: profile column to action, those of identifier types too.
    """

    types: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, plan: Plan, config: Config, past: Container[str]) -> Protection:
        """What the configuration asks for, given the final plan and the types that earlier runs remember."""
        types = {name: action for name, action in config.pii.items() if name in past}
        types |= {one.name: one.pii for one in plan.types if one.pii}
        columns = {
            column.output or "": action
            for _, column in plan.columns()
            if column.role in (Role.IDENTIFIER, Role.ATTRIBUTE)
            and (action := action_of(plan, config, column))
        }
        return cls(types, columns)

    @property
    def dropped(self) -> tuple[str, ...]:
        """The columns that profiles do not have."""
        return tuple(name for name, action in self.columns.items() if action == "drop")

    def applies(self, kind: str, *actions: str) -> str:
        """Whether one of some actions, or any, is stated for an identifier's type, as SQL."""
        names = [name for name, action in self.types.items() if not actions or action in actions]
        return f"{kind} IN ({', '.join(map(literal, names))})" if names else "false"

    def remembered(self, kind: str, value: str) -> str:
        """An identifier as identities have it, given its type and value as SQL."""
        if not self.types:
            return value
        return f"CASE WHEN {self.applies(kind)} THEN {digest(kind, value)} ELSE {value} END"

    def told(self, kind: str, value: str, otherwise: str) -> str:
        """An identifier as events have it; ``otherwise`` where nothing is stated for its type."""
        forms = {"hash": digest(kind, value), "mask": masked(value), "drop": "NULL"}
        stated = [action for action in forms if action in self.types.values()]
        cases = [f"WHEN {self.applies(kind, action)} THEN {forms[action]}" for action in stated]
        return f"CASE {' '.join(cases)} ELSE {otherwise} END" if cases else otherwise


def action_of(plan: Plan, config: Config, column: ColumnPlan) -> str | None:
    """What is stated for the values of a source's column, under its own name or the one in profiles."""
    if column.role is Role.IDENTIFIER:
        return plan.type(column.output or "").pii
    return config.pii.get(column.output or "") or config.pii.get(canonical(column.name))


def protect_profiles(engine: Engine, protection: Protection) -> None:
    """Hash, mask and drop columns of ``profiles``."""
    if not protection.columns:
        return
    forms = {
        "hash": lambda name: digest(literal(name), f"{quoted(name)}::VARCHAR"),
        "mask": lambda name: masked(f"{quoted(name)}::VARCHAR"),
    }
    replaced = [
        f"{forms[action](name)} AS {quoted(name)}"
        for name, action in protection.columns.items()
        if action in forms
    ]
    everything = "*"
    if protection.dropped:
        everything += f" EXCLUDE ({', '.join(map(quoted, protection.dropped))})"
    if replaced:
        everything += f" REPLACE ({', '.join(replaced)})"
    engine.run(
        f"CREATE OR REPLACE TABLE profiles AS SELECT {everything} FROM profiles",
        doing="protecting personal data",
    )
