"""The one place that runs SQL: an embedded DuckDB with limited memory and a spill directory of its own.

Stages build statements with pure functions and hand them to `Engine`. Every name that did not come
from this package passes through `quoted`, every text value through `literal`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any

import duckdb

from airflow_provider_customer360.unify.errors import ConfigError, Customer360Error, DataError, MemoryExceeded
from airflow_provider_customer360.unify.parts import Part
from airflow_provider_customer360.unify.progress import Progress
from airflow_provider_customer360.unify.resources import Memory, Resources, resident, shown
from airflow_provider_customer360.unify.spill import SpillDirectory

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)

# Measured on 1 and 10 million rows (benchmarks/README.md): code that is loaded once the engine runs.
_LOADED_LATER = 80_000_000
# The rest is for arrays of links and identifiers, batches, and what DuckDB does not count.
_DUCKDB_SHARE = 0.8
# A part of DuckDB's memory that leaves room for everything else in the rest of the whole.
_BESIDE = 16
# With less, DuckDB cannot even sort.
_LEAST = 64_000_000
# What each of DuckDB's threads needs to get on with.
_A_THREAD = 125_000_000

# DuckDB's messages about names and resources carry no data; all others may quote a row's value.
_SAFE_TO_SHOW = (
    duckdb.BinderException,
    duckdb.ParserException,
    duckdb.CatalogException,
    duckdb.IOException,
)


class Engine:
    """An in-memory DuckDB that spills to a private directory; use as a context manager or `close` it.

    Args:
        resources: what the run may use; the limit is one of the whole process, whatever it holds already.

    Attributes:
        progress: what is being done.

    Raises:
        ConfigError: the memory limit is less than the process needs to begin, or there is no such directory.
    """

    def __init__(self, resources: Resources | None = None) -> None:
        resources = resources or Resources()
        self._memory = resources.memory()
        self._given = _duckdb_memory(self._memory)
        self._spill = SpillDirectory(resources.temp_directory, resources.name("temp_directory"))
        self.connection = duckdb.connect(
            ":memory:",
            config={
                "memory_limit": f"{self._given}B",
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
        # Its percentage goes to the log; the bar itself would land there as well.
        self.connection.execute("SET enable_progress_bar = true")
        self.connection.execute("SET enable_progress_bar_print = false")
        self.progress = Progress(self._percentage)
        (cores,) = self.row("SELECT current_setting('threads')")
        threads = min(cores, max(1, self._given // _A_THREAD))
        self.connection.execute(f"SET threads = {threads}")
        self._room = max(self._given // 2, self._given - threads * _A_THREAD)
        log.info(
            "Memory: at most %s (%s), of which DuckDB has %s and spills to %s",
            shown(self._memory.size),
            self._memory.origin,
            shown(self._given),
            self._spill.path.parent,
        )

    def run(self, sql: str, *, doing: str = "unifying") -> None:
        """Run one statement.

        Raises:
            DataError: DuckDB refused it; the message holds no value of the data.
            MemoryExceeded: it needs more memory than there is.
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

    def register(self, name: str, table: pa.Table | pa.RecordBatchReader) -> None:
        """Make an Arrow table readable under a name, without copying it, or batches, once."""
        self.connection.register(name, table)

    def parts(self, rows: int, bytes_of_a_row: int) -> list[Part]:
        """The parts into which work on so many rows has to be cut for each to fit into memory.

        Into half of what threads leave of it: the result is written at the same time, and tables are read.
        """
        return Part.all(1 + rows * bytes_of_a_row // (self._room // 2))

    def make(self, table: str, query: Callable[[Part], str], parts: Iterable[Part], *, doing: str) -> None:
        """Make a table anew, by the query of one part after the other.

        Raises:
            DataError, MemoryExceeded: see `run`.
        """
        for part in parts:
            begin = f"INSERT INTO {table}" if part.number else f"CREATE OR REPLACE TABLE {table} AS"
            self.run(f"{begin} {query(part)}", doing=doing)

    def beside(self, bytes_of_a_row: int, *, at_least: int) -> int:
        """How many rows Python may hold at a time in the memory that is not DuckDB's."""
        return max(at_least, self._given // _BESIDE // bytes_of_a_row)

    def drop(self, names: Iterable[str]) -> None:
        """Free tables of a stage that no later stage reads."""
        for name in names:
            self.run(f"DROP TABLE IF EXISTS {name}")

    @contextmanager
    def within_memory(self) -> Iterator[None]:
        """Tell what is out of memory, wherever within it is noticed.

        Raises:
            MemoryExceeded: DuckDB or Python is.
        """
        try:
            yield
        except Exception as error:
            # What a stream of Arrow batches reports is an OSError with DuckDB's text.
            known = isinstance(error, (duckdb.OutOfMemoryException, MemoryError))
            if not known and not str(error).startswith("Out of Memory Error"):
                raise
            raise self._exceeded(error) from None

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
        self.progress.begin(doing)
        try:
            return self.connection.execute(sql)
        except duckdb.OutOfMemoryException as error:
            raise self._exceeded(error) from None
        except _SAFE_TO_SHOW as error:
            raise DataError(f"While {doing}: {error}") from None
        except duckdb.Error as error:
            raise DataError(
                f"While {doing}, DuckDB reported {type(error).__name__}. Its message is withheld because "
                "it may quote customer data; a sum beyond 38 digits is the usual cause of an "
                "OutOfRangeException (state the column as an attribute, or cast it to double)."
            ) from None

    def _exceeded(self, error: Exception) -> Customer360Error:
        doing = self.progress.doing or "unifying"
        reason = str(error).partition("\n")[0] or "Python has none left"
        if "failed to offload" in reason:
            return MemoryExceeded(
                f"While {doing}, the disk of {str(self._spill.path.parent)!r} was full, to which the run "
                "spills what does not fit into memory. Free some of it, or state a temp_directory that has "
                "more room."
            )
        # Python's own message, or DuckDB's about sizes: neither has a value of the data.
        return MemoryExceeded(
            f"While {doing}, the run needed more memory than the {shown(self._memory.size)} that it may have "
            f"({self._memory.origin}), of which DuckDB has {shown(self._given)}: {reason}. Raise "
            "memory_limit, or give the worker more memory."
        )

    def _percentage(self) -> float:
        with suppress(duckdb.Error):
            return float(self.connection.query_progress())
        return -1.0


def _duckdb_memory(memory: Memory) -> int:
    """DuckDB's part of the memory of the process, in bytes."""
    held = resident() + _LOADED_LATER
    given = int((memory.size - held) * _DUCKDB_SHARE)
    if given < _LEAST and memory.stated:
        raise ConfigError(
            f"{memory.origin} allows {shown(memory.size)}, but the process holds {shown(held)} before it "
            f"reads anything; give at least {shown(held + int(_LEAST / _DUCKDB_SHARE))}."
        )
    return max(_LEAST, given)
