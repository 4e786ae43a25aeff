"""What `unify` returns: frames that are read when asked for, and the summary."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.events import forgotten_in_events
from airflow_provider_customer360.unify.explain import COLUMNS, RULE, Explanation, explain, identities_of
from airflow_provider_customer360.unify.parts import Part
from airflow_provider_customer360.unify.progress import Stage
from airflow_provider_customer360.unify.protection import Protection
from airflow_provider_customer360.unify.quoting import literal
from airflow_provider_customer360.unify.records import source_bit
from airflow_provider_customer360.unify.schema import Plan
from airflow_provider_customer360.unify.stable_ids import PROFILE_ID, identities_next
from airflow_provider_customer360.unify.traces import trace

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

BATCH_ROWS = 100_000


@dataclass(frozen=True)
class Frame:
    """A result inside the engine; nothing is copied until it is asked for."""

    engine: Engine
    query: str
    order: str

    @property
    def schema(self) -> pa.Schema:
        """Column names and Arrow types."""
        return _in_utc(self.engine.reader(f"{self.query} LIMIT 0", 1).schema)

    def batches(self, rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """The frame in batches of about this many rows, in no particular order."""
        schema = self.schema
        self.engine.progress.begin("reading the result")
        with self.engine.within_memory():
            for batch in self.engine.reader(self.query, rows):
                self.engine.progress.add(batch.num_rows)
                yield batch.cast(schema)

    def to_arrow(self) -> pa.Table:
        """The whole frame as an Arrow table, in a reproducible order."""
        with self.engine.within_memory():
            table = self.engine.reader(f"{self.query} ORDER BY {self.order}", BATCH_ROWS).read_all()
        return table.cast(_in_utc(table.schema))

    def to_pandas(self) -> pd.DataFrame:
        """The whole frame as pandas, in a reproducible order; integers with gaps stay integers."""
        import pandas as pd
        import pyarrow as pa

        table = self.to_arrow()
        gaps = {field.name for field in table.schema if table.column(field.name).null_count}
        nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
        frame: pd.DataFrame = table.to_pandas()
        for field in table.schema:
            if field.name in gaps and field.type in nullable:
                column = table.column(field.name).to_pandas(types_mapper=nullable.get)
                frame[field.name] = column.array
        return frame

    def __len__(self) -> int:
        return int(self.engine.row(f"SELECT count(*) FROM ({self.query})")[0])


def _in_utc(schema: pa.Schema) -> pa.Schema:
    """The schema with DuckDB's "Etc/UTC" under the name that everything else knows."""
    import pyarrow as pa

    zoned = [i for i, field in enumerate(schema) if pa.types.is_timestamp(field.type) and field.type.tz]
    for i in zoned:
        schema = schema.set(i, schema.field(i).with_type(pa.timestamp("us", "UTC")))
    return schema


#: What an identifier takes in all joins that it takes to tell it, roughly.
_BYTES_TO_TELL_AN_IDENTIFIER = 300


class Unified:
    """The result of a run; `close` it, or use it as a context manager, to free the engine early.

    Attributes:
        profiles: one row per customer.
        events: what the run decided about who is who, one row per event, see `events`.
        absorbed: the ids of customers who are known as another one now, column ``customer_id``.
        assignments: one row per source row: ``source``, ``source_key``, ``customer_id`` and, where that is
            null, the ``reason``. None unless asked for.
        forgotten: ``customer_id``: the ids under which earlier runs may have published something of people
            who are forgotten now: theirs today, earlier ones and absorbed ones. Somebody who was taken for
            one of them may live on under such an id: its earlier rows go as well, this run's are right.
        forgotten_identifiers: ``identifier_type``, ``identifier``: what identifies these people and may stand
            in full in events that tell of it under another id.
        summary: what the run did, as plain JSON.
    """

    def __init__(
        self, engine: Engine, plan: Plan, protection: Protection, summary: dict[str, Any], *, assigned: bool
    ) -> None:
        self._engine = engine
        self._plan = plan
        self._protection = protection
        self.profiles = Frame(engine, "SELECT * FROM profiles", "customer_id")
        self.events = Frame(engine, "SELECT * FROM identity_events", "kind, event_id")
        self.absorbed = Frame(
            engine,
            "SELECT identifier_value AS customer_id FROM remembered_identities WHERE status = 'absorbed' "
            f"AND identifier_type = {literal(PROFILE_ID)}",
            "customer_id",
        )
        self.assignments = (
            Frame(engine, "SELECT * FROM assignments", "source, source_key") if assigned else None
        )
        self.forgotten = Frame(engine, "SELECT * FROM forgotten_ids", "customer_id")
        self.forgotten_identifiers = Frame(
            engine, forgotten_in_events(plan, protection), "identifier_type, identifier"
        )
        self.summary = summary

    @cached_property
    def identities(self) -> Frame:
        """One row per identifier, of this run and of earlier ones.

        ``identifier_type``, ``identifier_value`` (a digest where `pii` names the type); ``customer_id``, null
        for a shared value; ``status``, see `stable_ids`; ``first_seen``, ``last_seen``, ``records``,
        ``data_sources``; and of a linked one that is not its customer's first, by what it came to it:
        ``linked_to_type``, ``linked_to_value``, ``linked_in`` (the sources by name, or ``must_link``) and
        ``linked_records``.
        """
        with self._engine.within_memory():
            trace(self._engine, self._plan)
            (count,) = self._engine.row("SELECT count(*) FROM identities")
            parts = self._engine.parts(count, _BYTES_TO_TELL_AN_IDENTIFIER)
            self._engine.make("identities_told", self._told, parts, doing="telling identities")
            self._engine.drop(["traces"])
        return Frame(
            self._engine, "SELECT * FROM identities_told", "identifier_type, identifier_value, status"
        )

    def _told(self, part: Part) -> str:
        """The published identities of one part of the customers."""
        remembered = self._protection.remembered
        seen_in = ", ".join(
            f"CASE WHEN (traces.sources & {bit}) = {bit} THEN {literal(source.name)} END"
            for source, bit in sorted(
                ((source, source_bit(self._plan, s)) for s, source in enumerate(self._plan.sources)),
                key=lambda pair: pair[0].name,
            )
        )
        traced, parents = (
            f"(FROM {table} WHERE {part.holds('customer')})" for table in ("traces", "identities")
        )
        return (
            # What is not in the data was hashed when it was read.
            "SELECT n.identifier_type, CASE WHEN n.node IS NULL THEN n.identifier_value "
            f"ELSE {remembered('n.identifier_type', 'n.identifier_value')} END AS identifier_value, "
            "customer_id, status, "
            "n.first_seen AT TIME ZONE 'UTC' AS first_seen, n.last_seen AT TIME ZONE 'UTC' AS last_seen, "
            "n.records, n.data_sources, parent.identifier_type AS linked_to_type, "
            f"{remembered('parent.identifier_type', 'parent.identifier_value')} AS linked_to_value, "
            f"CASE WHEN parent.node IS NOT NULL AND traces.sources IS NULL THEN {literal(RULE)} "
            f"ELSE nullif(concat_ws(', ', {seen_in}), '') END AS linked_in, "
            "traces.records AS linked_records "
            f"FROM ({identities_next(part)}) AS n "
            f"LEFT JOIN {traced} AS traces ON traces.node = n.node "
            f"LEFT JOIN {parents} AS parent ON parent.node = traces.parent"
        )

    def explain(self, customer_id: str) -> Explanation:
        """Why this customer is one: its identifiers, and the links between them, the weakest first.

        Raises:
            DataError: there is no such customer.
        """
        query = identities_of(f"({self.identities.query})", literal(str(customer_id)))
        rows = self._engine.rows(query, doing="explaining a customer")
        return explain(customer_id, [dict(zip(COLUMNS, row, strict=True)) for row in rows])

    @contextmanager
    def stage(self, title: str) -> Iterator[Stage]:
        """A further stage of the run, such as publishing what it gave: measured, and told while it is long.

        Raises:
            MemoryExceeded: reading the frames needs more memory than the run may take.
        """
        with self._engine.within_memory(), self._engine.progress.stage(title) as stage:
            yield stage

    def close(self) -> None:
        """Free the engine; the frames cannot be read afterwards."""
        self._engine.close()

    def __enter__(self) -> Unified:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
