"""The checks that a person overrides for one run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_customer360.audit.checks import NAMES
from airflow_provider_customer360.unify.errors import ConfigError
from airflow_provider_customer360.unify.survivorship_rules import unknown

#: The DAG param. It need not be declared: what a run is triggered with is among its params all the same.
PARAM = "customer360_skip_checks"


@dataclass(frozen=True)
class Override:
    """Checks that may be breached in this run.

    Attributes:
        everything: all checks.
        names: or these: ``not_null`` for all of that name, ``not_null.email`` for one.
    """

    everything: bool = False
    names: frozenset[str] = frozenset()

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Override:
        """Read the run's params. They are the DAG's: names may be meant for another task.

        Raises:
            ConfigError: neither true nor false nor a list of checks.
        """
        stated = params.get(PARAM)
        if stated is None or isinstance(stated, bool):
            return cls(everything=bool(stated))
        if not isinstance(stated, (list, tuple)):
            raise ConfigError(
                f"The DAG param {PARAM} is {stated!r}; give true for all checks, or a list of checks such as "
                f"{list(NAMES[:2])}."
            )
        for name in stated:
            if str(name).partition(".")[0] not in NAMES:
                raise ConfigError(unknown(f"The DAG param {PARAM} has the check", str(name), NAMES))
        return cls(names=frozenset(stated))

    def __bool__(self) -> bool:
        return self.everything or bool(self.names)

    def __str__(self) -> str:
        return "all checks" if self.everything else ", ".join(map(repr, sorted(self.names)))

    def covers(self, check: str) -> bool:
        """Whether a check, by its full name, may be breached."""
        return self.everything or not self.names.isdisjoint((check, check.partition(".")[0]))

    def unused(self, checks: Iterable[str]) -> list[str]:
        """The names that are none of these checks."""
        known = {name for check in checks for name in (check, check.partition(".")[0])}
        return sorted(self.names - known)
