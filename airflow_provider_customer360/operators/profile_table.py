"""How profiles get into the target table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_customer360.unify.config import as_timedelta
from airflow_provider_customer360.unify.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

    from airflow_provider_customer360.publish import Load
    from airflow_provider_customer360.unify.result import Unified

WRITE_MODES = ("replace", "upsert", "append")
SCHEMA_CHANGES = ("add", "fail", "replace")
#: The column that says of which run a row is, in a table to which every run appends.
SNAPSHOT_AT = "snapshot_at"
CUSTOMER_ID = "customer_id"


@dataclass(frozen=True)
class ProfileTable:
    """What a user wants of the target table.

    Attributes:
        write_mode: one of `WRITE_MODES`.
        on_schema_change: one of `SCHEMA_CHANGES`.
        retention: how long snapshots are kept; None: without end.

    Raises:
        ConfigError: a value is none of these, or they contradict each other.
    """

    write_mode: str = "replace"
    on_schema_change: str = "add"
    retention: timedelta | None = None

    @classmethod
    def of(cls, write_mode: str, on_schema_change: str, snapshot_retention: Any) -> ProfileTable:
        """The values as a user gives them."""
        kept = None if snapshot_retention is None else as_timedelta("snapshot_retention", snapshot_retention)
        return cls(write_mode, on_schema_change, kept)

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("write_mode", self.write_mode, WRITE_MODES),
            ("on_schema_change", self.on_schema_change, SCHEMA_CHANGES),
        ):
            if value not in allowed:
                raise ConfigError(f"{name} is {value!r}; allowed: {', '.join(map(repr, allowed))}.")
        if self.on_schema_change == "replace" and self.write_mode != "replace":
            raise ConfigError(
                f"on_schema_change='replace' drops columns, and with write_mode={self.write_mode!r} rows "
                "stay that have values in them; allowed: 'add' and 'fail'."
            )
        if self.retention is not None and self.write_mode != "append":
            raise ConfigError(
                "snapshot_retention is for write_mode='append', where each run adds a snapshot; here "
                f"write_mode is {self.write_mode!r}. Leave one of them out."
            )

    def load(self, table: str, unified: Unified, as_of: datetime, **more: Any) -> Load:
        """The profiles on their way to a table; ``more`` goes to the `Load`."""
        from airflow_provider_customer360.publish import Load, Removal

        profiles, key = unified.profiles, (CUSTOMER_ID,)
        # Of rows that stay, those of people who are forgotten go, and those of customers who are known as
        # another one now, except from history.
        gone = {"replace": [], "append": [unified.forgotten], "upsert": [unified.forgotten, unified.absorbed]}
        more["removals"] = tuple(Removal.of(key, ids) for ids in gone[self.write_mode])
        if self.write_mode == "append":
            return self._snapshot(table, unified, as_of, **more)
        mode: Any = self.write_mode
        change: Any = self.on_schema_change
        return Load(table, profiles.batches(), profiles.schema, key, mode, on_schema_change=change, **more)

    def _snapshot(self, table: str, unified: Unified, as_of: datetime, **more: Any) -> Load:
        from airflow_provider_customer360.publish import Load, Snapshot

        profiles = unified.profiles
        if SNAPSHOT_AT in profiles.schema.names:
            raise ConfigError(
                f"The profiles have a column {SNAPSHOT_AT!r}, which with write_mode='append' says of which "
                "run a row is; leave it out of attributes, or rename it in its source."
            )
        return Load(
            table,
            _with_time(profiles.batches(), as_of),
            _time_first(profiles.schema),
            (SNAPSHOT_AT, CUSTOMER_ID),
            snapshot=Snapshot(SNAPSHOT_AT, as_of, self._oldest(as_of)),
            on_schema_change=self.on_schema_change,  # type: ignore[arg-type]
            **more,
        )

    def _oldest(self, as_of: datetime) -> datetime | None:
        try:
            return as_of - self.retention if self.retention else None
        except OverflowError:  # before the year 1
            return None


def _time_first(schema: pa.Schema) -> pa.Schema:
    import pyarrow as pa

    return schema.insert(0, pa.field(SNAPSHOT_AT, pa.timestamp("us", "UTC")))


def _with_time(batches: Iterator[pa.RecordBatch], at: datetime) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    for batch in batches:
        schema = _time_first(batch.schema)
        times = pa.repeat(pa.scalar(at, schema.field(0).type), batch.num_rows)
        yield pa.RecordBatch.from_arrays([times, *batch.columns], schema=schema)
