"""What `unify` returns: frames that are read when asked for, and the summary."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_customer360.unify.engine import Engine

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
        for batch in self.engine.reader(self.query, rows):
            yield batch.cast(schema)

    def to_arrow(self) -> pa.Table:
        """The whole frame as an Arrow table, in a reproducible order."""
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


@dataclass(frozen=True)
class Unified:
    """The result of a run; `close` it, or use it as a context manager, to free the engine early.

    Attributes:
        profiles: one row per customer.
        identities: one row per identifier: ``identifier_type``, ``identifier_value``, ``customer_id``,
            ``first_seen``, ``last_seen``, ``records``, ``data_sources``.
        summary: what the run did, as plain JSON.
        assignments: one row per source row: ``source``, ``source_key``, ``customer_id`` and, where that is
            null, the ``reason``. None unless asked for.
    """

    profiles: Frame
    identities: Frame
    summary: dict[str, Any]
    assignments: Frame | None = None

    def close(self) -> None:
        """Free the engine; the frames cannot be read afterwards."""
        self.profiles.engine.close()

    def __enter__(self) -> Unified:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
