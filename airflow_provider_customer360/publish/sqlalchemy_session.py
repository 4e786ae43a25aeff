"""Any database that SQLAlchemy reaches: rows inserted in batches, in nothing but what databases share.

What is promised elsewhere and not here:

- Staging tables are ordinary tables, called ``customer360_…``, in the connection's own schema; they are
  dropped at the end, and by the next run if this one is killed. Publishers take turns by rows of the table
  ``customer360_locks``, from before anything is loaded.
- A new table is there, empty, before its rows are; a new column is there before its values.
- Nothing but the database's isolation keeps others than this package from writing to the target meanwhile.
- Columns are not dropped (``on_schema_change="replace"``), and types are widened where the database
  understands the standard's ``SET DATA TYPE``.
- What the database would not give back exactly is kept as text; see `kept`.
- Texts are compared as the database's collation has it. Where that ignores case, a change of nothing but case
  is not seen, and two keys that differ by nothing else are refused as one; so are keys that differ by blanks
  at their ends where those are ignored.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_customer360.database.tables import Table
from airflow_provider_customer360.publish.batches import cut
from airflow_provider_customer360.publish.columns import Kind, base_of, type_of
from airflow_provider_customer360.publish.dialect import Dialect
from airflow_provider_customer360.publish.dialects import GENERIC
from airflow_provider_customer360.publish.kept import Keeping, keeping
from airflow_provider_customer360.unify.errors import PublishError
from airflow_provider_customer360.unify.quoting import literal

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import Connection, Engine
    from sqlalchemy.types import TypeEngine

#: Rows of one call of the driver's executemany.
_ROWS = 1_000


class SqlalchemySession:
    """A connection of an engine."""

    def __init__(self, connection: Connection) -> None:
        # Without parameters a statement is what it says: a name may have a per cent sign.
        self._connection = connection.execution_options(no_parameters=True)
        _check_quotes(connection)
        self._keeping = keeping(connection)
        self.dialect = _dialect(connection, self._keeping)

    def execute(self, statement: str) -> int:
        with _drivers_own_errors():
            return int(self._connection.exec_driver_sql(statement).rowcount)

    def fetch(self, statement: str, parameters: Sequence[str | None] = ()) -> list[tuple[Any, ...]]:
        with _drivers_own_errors():
            return list(map(tuple, self._connection.exec_driver_sql(statement)))

    def describe(self, table: Table) -> list[tuple[Any, ...]]:
        import sqlalchemy as sa

        inspector = sa.inspect(self._connection)
        name = sa.quoted_name(table.name, quote=True)
        schema = sa.quoted_name(table.schema, quote=True) if table.schema else None
        with _drivers_own_errors():
            try:
                columns = inspector.get_columns(name, schema)
            except sa.exc.NoSuchTableError:
                return []
            if not columns:  # what some dialects say of a table that is not there
                return []
            is_view = table.name in map(self._exact, inspector.get_view_names(schema))
            primary = inspector.get_pk_constraint(name, schema)["constrained_columns"] if not is_view else []
            unique = [primary] + ([] if is_view else _unique(inspector, name, schema))
        return [
            (
                "view" if is_view else "table",
                self._exact(column["name"]),
                self._native(column["type"]),
                not column["nullable"],
                column.get("default") is not None or bool(column.get("identity")),
                bool(column.get("computed")),
                " ".join(str(number) for number, names in enumerate(unique) if column["name"] in names),
            )
            for column in columns
        ]

    def load(self, table: str, batches: Iterator[pa.RecordBatch]) -> None:
        import sqlalchemy as sa

        self.commit()  # some databases have a new table only then
        sent: list[int] = []
        for batch in batches:
            kept = [self._keeping.of(type_of(field)) for field in batch.schema]
            staging = sa.table(
                sa.quoted_name(table.strip('"'), quote=True),
                *(sa.column(f"c{number}", one.type) for number, one in enumerate(kept)),
            )
            sent = sent or [0] * len(kept)
            for part in cut(batch, _ROWS):
                columns = [one.values(column) for one, column in zip(kept, part.columns, strict=True)]
                names = staging.c.keys()
                rows = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
                with _drivers_own_errors():
                    self._connection.execute(sa.insert(staging), rows)
                sent = [total + _sum(column) for total, column in zip(sent, columns, strict=True)]
        self.commit()
        if sent:
            self._check(staging, sent)

    def begin(self, targets: Sequence[Table]) -> None:
        # What others have committed becomes visible, and what was staged stays if the rest is undone.
        self.commit()

    def release(self) -> None:
        self.rollback()

    def commit(self, rename: str = "") -> None:
        with _drivers_own_errors():
            self._connection.commit()

    def rollback(self) -> None:
        with _drivers_own_errors():
            self._connection.rollback()

    def close(self) -> None:
        self._connection.close()

    def _check(self, staging: Any, sent: Sequence[int]) -> None:
        """Read what was loaded: nobody else knows whether this database keeps it.

        Raises:
            PublishError: it does not.
        """
        import sqlalchemy as sa

        found = [0] * len(sent)
        with _drivers_own_errors():
            for rows in self._connection.execute(sa.select(staging)).partitions(_ROWS):
                columns = zip(*rows, strict=True)
                found = [total + _sum(column) for total, column in zip(found, columns, strict=True)]
        self.rollback()
        changed = [number for number, pair in enumerate(zip(found, sent, strict=True)) if len(set(pair)) > 1]
        if changed:
            raise PublishError(
                f"{self.dialect.name} has other values than it was given (columns "
                f"{', '.join(str(number + 1) for number in changed)} of the rows); the table is as it was. "
                "Cast these columns to text, or give target_conn_id another connection."
            )

    def _exact(self, name: str) -> str:
        """A name as the database has it: SQLAlchemy tells what is upper-case there in lower case."""
        dialect = self._connection.dialect
        return str(dialect.denormalize_name(name) if dialect.requires_name_normalize else name)

    def _native(self, type_: TypeEngine[Any]) -> str:
        try:
            # What is left out says how texts are encoded, sorted and cut up, not what they are.
            return re.sub(
                r" (CHARACTER SET|COLLATE|SEGMENT SIZE) \S+", "", _compiled(self._connection, type_)
            )
        except Exception:  # a type that is known by name only
            return type(type_).__name__


def silent(engine: Engine) -> Engine:
    """The engine, which logs neither parameters nor rows at any level, also one that a hook made to echo."""
    # As settings of create_engine, not every hook would hand them on.
    engine.hide_parameters = True
    engine.logging_name = "customer360"
    engine.logger = logging.getLogger(f"sqlalchemy.engine.Engine.{engine.logging_name}")
    engine.logger.setLevel(logging.WARNING)
    return engine


def connected(engine: Engine) -> Connection:
    """A connection; errors are the driver's own."""
    with _drivers_own_errors():
        return engine.connect()


def _dialect(connection: Connection, keeping: Keeping) -> Dialect:
    """What the database has in common with others, and its own types."""
    import sqlalchemy as sa

    types = {kind: _compiled(connection, kept.type) for kind, kept in keeping.kinds.items()}
    base = {kind: base_of(native)[0] for kind, native in types.items()}
    sized = _compiled(connection, sa.Numeric(37, 11))
    types[Kind.DECIMAL] = sized.replace("37", "{p}").replace("11", "{s}")
    natively = {kind for kind, kept in keeping.kinds.items() if not kept.is_text}
    holds = {
        kind: (GENERIC.holds[kind] | {base[kind]} if kind in natively else frozenset()) for kind in types
    }
    key = _compiled(connection, keeping.key)
    schema = sa.inspect(connection).default_schema_name
    query: sa.Select[Any] = sa.select(sa.literal_column(literal(schema or "")))
    return replace(
        GENERIC,
        name=connection.dialect.name.partition(".")[0].capitalize(),
        types=types,
        key_text=key,
        max_digits=keeping.digits,
        more_digits=_compiled(connection, keeping.longer.type),
        holds=holds | {Kind.DECIMAL: frozenset(), Kind.INTEGER: holds[Kind.INTEGER] | {base[Kind.FLOAT]}},
        decimals=GENERIC.decimals | {base[Kind.DECIMAL]},
        default_schema=str(query.compile(dialect=connection.dialect)) if schema else "",
        differs_text=_telling_blanks(connection, types[Kind.TEXT]),
        temporary="CREATE TABLE {name} ({columns})",
        drop_temporary="DROP TABLE {name}",
        names=replace(GENERIC.names, bytes=min(connection.dialect.max_identifier_length, 63)),
    )


def _telling_blanks(connection: Connection, text: str) -> str:
    """A condition that tells texts apart of which one has more blanks at its end; empty if there is none.

    The standard lets a database take them for equal. What follows the blanks makes them count.
    """
    import sqlalchemy as sa

    for end in ("", " || '.'", " + '.'"):
        condition = GENERIC.differs.format(new=f"{{new}}{end}", old=f"{{old}}{end}")
        told = condition.format(new=f"CAST('a' AS {text})", old=f"CAST('a ' AS {text})")
        try:
            if connection.scalar(sa.select(sa.literal_column(f"CASE WHEN {told} THEN 1 ELSE 0 END"))):
                return condition
        except sa.exc.DBAPIError:
            continue
        finally:
            connection.rollback()
    return ""


def _compiled(connection: Connection, type_: TypeEngine[Any]) -> str:
    return str(type_.compile(dialect=connection.dialect))


def _check_quotes(connection: Connection) -> None:
    """Refuse databases to which a name in double quotes is something else.

    Raises:
        PublishError: it is.
    """
    import sqlalchemy as sa

    name = "Customer 360"
    with _drivers_own_errors():
        result: sa.CursorResult[Any] = connection.execute(sa.select(sa.literal_column(f'1 AS "{name}"')))
        found = result.cursor.description[0][0]
        result.close()
    connection.rollback()
    if found != name:
        raise PublishError(
            f"{connection.dialect.name} does not take names in double quotes; nothing was written. Let the "
            "connection switch them on, or give target_conn_id another connection."
        )


def _unique(inspector: Any, name: str, schema: str | None) -> list[list[str]]:
    indexes = [index["column_names"] for index in inspector.get_indexes(name, schema) if index["unique"]]
    try:
        constraints = inspector.get_unique_constraints(name, schema)
    except NotImplementedError:
        constraints = []
    # An index of an expression has a column without a name.
    return [names for names in (*indexes, *(one["column_names"] for one in constraints)) if None not in names]


def _sum(values: Any) -> int:
    """A number that tells columns apart whatever the order of their rows; empty text may be null."""
    return sum(hash(None if value == "" else value) for value in values)


@contextmanager
def _drivers_own_errors() -> Iterator[None]:
    """SQLAlchemy's own quote the statement and its parameters, and have no codes."""
    import sqlalchemy as sa

    try:
        yield
    except sa.exc.StatementError as error:
        if error.orig is None:
            raise
        raise error.orig from None
