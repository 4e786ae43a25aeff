"""Personal data as it is published: what a user states.

============  ===========================  =========================  ==================
action        profile column               identity events            identities
============  ===========================  =========================  ==================
``hash``      digest                       digest                     digest
``mask``      as `mask` does               as `mask` does             digest
``drop``      there is no such column      NULL                       digest
============  ===========================  =========================  ==================

Identities hold digests of such identifiers in any case, or customers could not keep their ids from run to
run. See `digests` for what a digest is, and `protection` for how it is done.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any

from airflow_provider_customer360.unify.errors import ConfigError
from airflow_provider_customer360.unify.schema import RESERVED_COLUMNS, Plan, Role
from airflow_provider_customer360.unify.spelling import canonical
from airflow_provider_customer360.unify.survivorship_rules import unknown

ACTIONS = ("hash", "mask", "drop")


def checked_pii(pii: Any) -> dict[str, str]:
    """Column or identifier type, as profiles spell it, to one of `ACTIONS`.

    Raises:
        ConfigError: a wrong shape, an unknown action, or a column that the package itself fills.
    """
    if not isinstance(pii, Mapping) or not all(isinstance(name, str) and name.strip() for name in pii):
        raise ConfigError(
            "pii is not a mapping of profile column or identifier type to action; give one such as "
            "{'email': 'hash', 'full_name': 'drop'}."
        )
    for name, action in pii.items():
        if action not in ACTIONS:
            raise ConfigError(f"pii[{name!r}] is {action!r}; allowed: {', '.join(ACTIONS)}.")
    named = {canonical(name): str(action) for name, action in pii.items()}
    if len(named) < len(pii):
        raise ConfigError(f"pii names a column twice in different spellings: {', '.join(map(repr, pii))}.")
    if "customer_id" in named:
        raise ConfigError(
            "pii names customer_id, by which customers are known from run to run. If customer numbers are "
            "personal, give their column another identifier type and hash that: identifiers={'member_no': "
            "'customer_id'}, pii={'member_no': 'hash'}; ids are then made from digests."
        )
    if fixed := [name for name in named if name in RESERVED_COLUMNS]:
        raise ConfigError(
            f"pii names {fixed[0]!r}, which is no value of a source; leave it out. Allowed are attributes "
            "and identifier types."
        )
    return named


def check_names(plan: Plan, pii: Mapping[str, str], derived: Iterable[str], past: Container[str]) -> None:
    """Refuse what `pii` cannot do with the columns that there are: nothing is published for want of a name.

    Args:
        plan: before numberings get types of their own.
        derived: names of derived columns.
        past: the identifier types of the previous identities.

    Raises:
        ConfigError: a name is that of no column, or of one that cannot be hashed, masked or dropped.
    """
    roles = {
        spelled: column
        for _, column in plan.columns()
        for spelled in (canonical(column.name), column.output)
        if spelled and spelled not in plan.identifier_types
    }
    for name in pii:
        if name in plan.identifier_types or name in past:
            continue
        if name in map(canonical, derived):
            raise ConfigError(
                f"pii names {name!r}, which is derived. Derived columns are computed from profiles as they "
                "are published: leave it out, or do not derive it."
            )
        if name not in roles:
            raise ConfigError(
                unknown("pii names a column that no source has:", name, [*plan.identifier_types, *roles])
            )
        column = roles[name]
        if column.role is Role.METRIC:
            raise ConfigError(
                f"pii names {name!r}, which is a metric: a number that is added up. Leave it out of the "
                "source or state it in attributes."
            )
        if column.role is Role.EVENT_TIME:
            raise ConfigError(
                f"pii names {name!r}, which is the time of the record; it is published as first_seen and "
                "last_seen only."
            )
        if column.role is Role.IDENTIFIER:
            raise ConfigError(
                f"pii names {name!r}, whose values identify customers as {column.output!r}; name that type."
            )
