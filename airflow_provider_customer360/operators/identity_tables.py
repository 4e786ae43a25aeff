"""The tables beside the target: identities, identity events and assignments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_customer360.database.tables import parse_table, side_table
from airflow_provider_customer360.unify.errors import ConfigError
from airflow_provider_customer360.unify.quoting import literal

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook

    from airflow_provider_customer360.extract.sql import Query
    from airflow_provider_customer360.publish import Load
    from airflow_provider_customer360.unify.events import Recorded
    from airflow_provider_customer360.unify.result import Unified

#: What a user gives for a table that can be switched off: True for its usual name, False, or a name.
Choice = str | bool
#: Kinds of events that compare with the run before.
ID_KINDS = ("created", "merged", "split", "retired")


@dataclass(frozen=True)
class IdentityTables:
    """Names of the tables; None: not wanted.

    Attributes:
        partial: a run sees a part of the customers only; who is not in it has not gone.
    """

    identities: str | None
    events: str | None
    assignments: str | None
    partial: bool = False

    @classmethod
    def of(
        cls,
        target: str,
        identities: Choice | None,
        events: Choice | None,
        assignments: Choice,
        *,
        partial: bool = False,
    ) -> IdentityTables:
        """The tables beside a target, as the user chose them.

        Raises:
            ConfigError: two of the tables are one, or what a template gave is no choice.
        """
        check_choices(identities, events, assignments)
        identities = True if identities is None else identities
        chosen = cls(
            _named(target, identities, "_identities"),
            _named(target, bool(identities) if events is None else events, "_identity_events"),
            _named(target, assignments, "_assignments"),
            partial,
        )
        names = [target, *filter(None, (chosen.identities, chosen.events, chosen.assignments))]
        if len({str(parse_table(name)).lower() for name in names}) < len(names):
            raise ConfigError(
                f"The target and its tables must have different names, but are {', '.join(names)}; change "
                "identities_table, events_table or assignments_table."
            )
        return chosen

    @property
    def kept_over_runs(self) -> tuple[str, ...]:
        """The tables whose rows a run builds on, identities first."""
        return tuple(table for table in (self.identities, self.events) if table)

    def previous(self, hook: DbApiHook) -> Query:
        """The identities that the run before published; read when they are asked for."""
        from airflow_provider_customer360.extract.sql import Query
        from airflow_provider_customer360.unify.previous import COLUMNS

        table = parse_table(self.identities or "").quoted_for(hook)
        return Query(hook, f"SELECT {', '.join(COLUMNS)} FROM {table}")

    def recorded(self, hook: DbApiHook, count: int | None) -> Recorded:
        """The events that earlier runs published, given their number."""
        from airflow_provider_customer360.extract.sql import Query
        from airflow_provider_customer360.unify.events import LASTING, Recorded

        if not self.events or not count:
            return Recorded()
        table, kinds = parse_table(self.events).quoted_for(hook), ", ".join(map(literal, LASTING))
        return Recorded(count, Query(hook, f"SELECT event_id FROM {table} WHERE kind IN ({kinds})"))

    def told(self, summary: Mapping[str, Any]) -> Mapping[str, Any]:
        """The summary without what this run cannot know."""
        if not self._untold:
            return summary
        counts = summary["identity_events"].items()
        events = {kind: count for kind, count in counts if kind not in self._untold}
        return {**summary, "identity_events": events}

    @property
    def _untold(self) -> tuple[str, ...]:
        """Kinds of events that would be wrong: without identities nobody knows who is new."""
        return ID_KINDS if not self.identities else ("retired",) if self.partial else ()

    def loads(self, unified: Unified) -> list[Load]:
        """What goes into the tables."""
        from airflow_provider_customer360.publish import Load, Removal

        key: tuple[str, ...]
        removals: tuple[Removal, ...]
        loads = []
        if self.identities:
            frame = unified.identities
            key = ("identifier_type", "identifier_value")
            loads.append(Load(self.identities, frame.batches(), frame.schema, key))
        if self.events:
            frame = unified.events
            if self._untold:
                untold = ", ".join(map(literal, self._untold))
                frame = replace(frame, query=f"{frame.query} WHERE kind NOT IN ({untold})")
            # Earlier events of people who are forgotten go, whichever way they tell of them.
            ids, identifiers = unified.forgotten, unified.forgotten_identifiers
            removals = (
                Removal.of(("customer_id",), ids),
                Removal.of(("other_customer_id",), ids),
                Removal.of(("identifier_type", "identifier"), identifiers),
                Removal.of(("other_identifier_type", "other_identifier"), identifiers),
            )
            key = ("event_id",)
            loads.append(Load(self.events, frame.batches(), frame.schema, key, "append", removals=removals))
        if self.assignments and unified.assignments:
            frame = unified.assignments
            mode: Any = "upsert" if self.partial else "replace"
            removals = (Removal.of(("customer_id",), unified.forgotten),) if self.partial else ()
            key = ("source", "source_key")
            loads.append(Load(self.assignments, frame.batches(), frame.schema, key, mode, removals=removals))
        return loads


def check_choices(identities: Choice | None, events: Choice | None, assignments: Choice) -> None:
    """Refuse what cannot be a choice of tables.

    Raises:
        ConfigError: a value is neither true nor false nor a table's name, or events are wanted without
            the identities that they follow from.
    """
    stated = {"identities_table": identities, "events_table": events, "assignments_table": assignments}
    for name, value in stated.items():
        if value is not None and not isinstance(value, (str, bool)):
            raise ConfigError(f"{name} is {value!r}; give True, False or the name of a table.")
        if isinstance(value, str) and value.strip().lower() in ("true", "false", "yes", "no", "none"):
            raise ConfigError(f"{name} is the text {value!r}; give True, False or the name of a table.")
        if isinstance(value, str) and "{{" not in value:
            parse_table(value, name)
    if events and identities is False:
        raise ConfigError(
            "events_table is wanted, but identities_table is off: without the identities of the run before, "
            "every customer would be a new one in every run. Leave identities_table on."
        )


def _named(target: str, choice: Choice, suffix: str) -> str | None:
    if not choice:
        return None
    return choice if isinstance(choice, str) else side_table(target, suffix)
