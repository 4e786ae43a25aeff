"""The one place that runs SQL: an embedded DuckDB with a spill directory of its own.

Stages build statements with pure functions and hand them to `Engine`. Every name that did not come
from this package passes through `quoted`, every text value through `literal`.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any

import duckdb

from airflow_provider_customer360.unify.errors import DataError
from airflow_provider_customer360.unify.spill import SpillDirectory

if TYPE_CHECKING:
    import pyarrow as pa

# DuckDB's messages about names and resources carry no data; all others may quote a row's value.
_SAFE_TO_SHOW = (
    duckdb.BinderException,
    duckdb.ParserException,
    duckdb.CatalogException,
    duckdb.OutOfMemoryException,
    duckdb.IOException,
)


class Engine:
    """An in-memory DuckDB that spills to a private directory; use as a context manager or `close` it."""

    def __init__(self) -> None:
        self._spill = SpillDirectory()
        self.connection = duckdb.connect(
            ":memory:",
            config={
                "temp_directory": str(self._spill.path),
                # Rows of a source have no order that means anything, and keeping it costs memory.
                "preserve_insertion_order": False,
                # A worker must never download code while it runs.
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        )
        # Globally: a cursor is a session of its own and would start with the machine's time zone.
        self.connection.execute("SET GLOBAL TimeZone = 'UTC'")
        # An oversized query's progress bar would land in the task log.
        self.connection.execute("SET enable_progress_bar = false")

    def run(self, sql: str, *, doing: str = "unifying") -> None:
        """Run one statement.

        Raises:
            DataError: DuckDB refused it; the message holds no value of the data.
        """
        self._execute(sql, doing)

    def rows(self, sql: str, *, doing: str = "unifying") -> list[tuple[Any, ...]]:
        """The rows of a query whose result is small."""
        return self._execute(sql, doing).fetchall()

    def row(self, sql: str, *, doing: str = "unifying") -> tuple[Any, ...]:
        """The only row of a query."""
        (only,) = self.rows(sql, doing=doing)
        return only

    def numpy(self, sql: str, *, doing: str = "unifying") -> dict[str, Any]:
        """The columns of a query as numpy arrays, for numbers only."""
        return self._execute(sql, doing).fetchnumpy()

    def reader(self, sql: str, batch_rows: int) -> pa.RecordBatchReader:
        """The result as Arrow batches, over a cursor of its own so that other queries can go on."""
        reader: pa.RecordBatchReader = self.connection.cursor().sql(sql).to_arrow_reader(batch_rows)
        return reader

    def register(self, name: str, table: pa.Table) -> None:
        """Make an Arrow table readable under a name, without copying it."""
        self.connection.register(name, table)

    def drop(self, names: Iterable[str]) -> None:
        """Free tables of a stage that no later stage reads."""
        for name in names:
            self.run(f"DROP TABLE IF EXISTS {name}")

    def close(self) -> None:
        """Give back memory and the spill directory; harmless when repeated."""
        self.connection.close()
        self._spill.remove()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "connection"):
            self.close()

    def _execute(self, sql: str, doing: str) -> duckdb.DuckDBPyConnection:
        try:
            return self.connection.execute(sql)
        except _SAFE_TO_SHOW as error:
            raise DataError(f"While {doing}: {error}") from None
        except duckdb.Error as error:
            raise DataError(
                f"While {doing}, DuckDB reported {type(error).__name__}. Its message is withheld because "
                "it may quote customer data; a sum beyond 38 digits is the usual cause of an "
                "OutOfRangeException (state the column as an attribute, or cast it to double)."
            ) from None
