"""How the supported databases differ: one row of data for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_customer360.publish.columns import (
    ColumnType,
    ExistingColumn,
    Kind,
    base_of,
    decimal_fits,
    is_wider,
    widened,
)
from airflow_provider_customer360.unify.errors import ConfigError

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook

#: How long to wait for another process that has the file of a DuckDB or SQLite database.
BUSY_SECONDS = 60.0
#: Column types whose values are binary fractions: an integer is converted before it is compared.
FLOATING = frozenset({"double precision", "double", "real", "float"})


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """What statements and loading need to know about a database.

    Attributes:
        name: for messages.
        types: kind of column to the type of a new column; ``{p}`` and ``{s}`` are a decimal's digits.
        holds: kind of column to the names of existing types that hold each of its values exactly (and
            bigint in a double, which is what a sum beyond 2^53 is stored as wherever people chose it).
        sized: the number in ``varchar(10)`` and ``numeric(10, 2)`` is a limit, not a remark.
        decimals: existing types that hold integers and decimals if their digits suffice.
        describe: the query for an existing table, parameters schema (or null) and name; a row for each
            column: kind of relation, name, type, required, has default, generated, the unique indexes
            that it is part of.
        default_schema: the query for the schema of a table whose name states none.
        temporary: what follows the columns of a temporary table.
        primary_key: a new table has one.
        after_load: statement that prepares the loaded staging table for joins by its key.
        begin: statement after which no other publisher touches the target, parameters as of `describe`.
        widen: statements that give an existing column another type.
        lock: statement after which nobody else writes to the existing target; readers go on.
        differs: operator that compares two values, of which either may be null.
        max_name_bytes: longest name of a column or table.
        folds_case: ``"Email"`` and ``"email"`` are the same column.
    """

    name: str
    types: Mapping[Kind, str]
    holds: Mapping[Kind, frozenset[str]]
    sized: bool = True
    decimals: frozenset[str]
    describe: str
    default_schema: str = "SELECT current_schema()"
    temporary: str = ""
    primary_key: bool = True
    after_load: str = ""
    begin: str
    widen: tuple[str, ...]
    lock: str = ""
    differs: str = "IS DISTINCT FROM"
    max_name_bytes: int | None = None
    folds_case: bool = True

    def native(self, column: ColumnType) -> str:
        """The type of a new column."""
        return self.types[column.kind].format(p=column.precision, s=column.scale)

    def fits(self, column: ColumnType, existing: ExistingColumn) -> bool:
        """Whether the existing column holds every value of the column exactly."""
        base, size = base_of(existing.native)
        if base in self.decimals and size and self.sized:
            return decimal_fits(column, *size[:2])
        return base in self.holds[column.kind] and not (size and self.sized)

    def widened(self, column: ColumnType, existing: ExistingColumn) -> str | None:
        """The type that the existing column has to become to hold the column's values, where it may."""
        old = self._own(existing)
        wide = widened(old, column) if old else None
        return self.native(wide) if wide else None

    def converted(self, column: ColumnType, existing: ExistingColumn) -> str | None:
        """The existing type where an earlier run has widened it beyond what the column needs now."""
        if column.kind is Kind.INTEGER and base_of(existing.native)[0] in FLOATING:
            return "double precision"
        old = self._own(existing)
        # Whether a decimal suffices is a matter of its digits.
        wider = old and old.kind not in (column.kind, Kind.DECIMAL) and is_wider(old.kind, column.kind)
        return self.native(old) if old and wider else None

    def _own(self, existing: ExistingColumn) -> ColumnType | None:
        """The column type that an existing column was created for, if it is of a type that we create."""
        base, size = base_of(existing.native)
        own = (kind for kind in self.types if base_of(self.native(ColumnType(kind)))[0] == base)
        kind = next(own, None)
        if kind is Kind.DECIMAL:
            return ColumnType(kind, *size[:2]) if len(size) > 1 else None
        return ColumnType(kind) if kind and not size else None


def _holds(**names: str) -> Mapping[Kind, frozenset[str]]:
    return {Kind[kind]: frozenset(types.split(", ")) for kind, types in names.items()}


POSTGRES = Dialect(
    name="Postgres",
    types={
        Kind.TEXT: "text",
        Kind.INTEGER: "bigint",
        Kind.DECIMAL: "numeric({p},{s})",
        Kind.FLOAT: "double precision",
        Kind.BOOLEAN: "boolean",
        Kind.DATE: "date",
        Kind.TIMESTAMP: "timestamp without time zone",
        Kind.TIMESTAMPTZ: "timestamp with time zone",
    },
    holds=_holds(
        TEXT="text, character varying",
        INTEGER="bigint, numeric, double precision",
        DECIMAL="numeric",
        FLOAT="double precision",
        BOOLEAN="boolean",
        DATE="date, timestamp without time zone",
        TIMESTAMP="timestamp without time zone",
        TIMESTAMPTZ="timestamp with time zone",
    ),
    decimals=frozenset({"numeric"}),
    describe="""
        SELECT CASE WHEN c.relkind IN ('r', 'p') THEN 'table' ELSE 'view' END AS kind, a.attname AS name,
               format_type(a.atttypid, a.atttypmod) AS native, a.attnotnull AS required,
               a.atthasdef OR a.attidentity <> '' AS has_default, a.attgenerated <> '' AS generated,
               (SELECT string_agg(i.indexrelid::text, ' ') FROM pg_index i
                WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
                  AND i.indexprs IS NULL
                  AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])) AS unique_in
        FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.oid = to_regclass(concat_ws('.', quote_ident(%s::text), quote_ident(%s::text)))
        ORDER BY a.attnum""",
    temporary=" ON COMMIT DROP",
    after_load="ANALYZE {staging}",
    # LOCK TABLE alone does not order two runs that both create the table.
    begin="""SELECT pg_advisory_xact_lock(hashtextextended(
        concat_ws('.', coalesce(%s::text, current_schema()), %s::text), 360))""",
    lock="LOCK TABLE {target} IN SHARE ROW EXCLUSIVE MODE",
    widen=("ALTER TABLE {target} ALTER COLUMN {column} TYPE {type} USING CAST({column} AS {type})",),
    max_name_bytes=63,
    folds_case=False,
)

DUCKDB = Dialect(
    name="DuckDB",
    types={
        Kind.TEXT: "VARCHAR",
        Kind.INTEGER: "BIGINT",
        Kind.DECIMAL: "DECIMAL({p},{s})",
        Kind.FLOAT: "DOUBLE",
        Kind.BOOLEAN: "BOOLEAN",
        Kind.DATE: "DATE",
        Kind.TIMESTAMP: "TIMESTAMP",
        Kind.TIMESTAMPTZ: "TIMESTAMP WITH TIME ZONE",
    },
    holds=_holds(
        TEXT="varchar",
        INTEGER="bigint, hugeint, double",
        DECIMAL="",
        FLOAT="double",
        BOOLEAN="boolean",
        DATE="date, timestamp",
        TIMESTAMP="timestamp",
        TIMESTAMPTZ="timestamp with time zone",
    ),
    decimals=frozenset({"decimal"}),
    # Only the table's own text tells a generated column from one that has a default.
    describe="""
        SELECT CASE WHEN v.view_name IS NULL THEN 'table' ELSE 'view' END, c.column_name, c.data_type,
               NOT c.is_nullable, c.column_default IS NOT NULL,
               coalesce(contains(t.sql, concat(c.column_name, ' ', c.data_type, ' GENERATED ALWAYS AS'))
                     OR contains(t.sql, concat('"', replace(c.column_name, '"', '""'), '" ', c.data_type,
                                               ' GENERATED ALWAYS AS')), false),
               (SELECT string_agg(k.constraint_index, ' ') FROM duckdb_constraints() k
                WHERE k.database_oid = c.database_oid AND k.table_oid = c.table_oid
                  AND k.constraint_type IN ('PRIMARY KEY', 'UNIQUE')
                  AND list_contains(k.constraint_column_names, c.column_name))
        FROM duckdb_columns() c
        LEFT JOIN duckdb_tables() t USING (database_oid, schema_oid, table_oid)
        LEFT JOIN duckdb_views() v
               ON v.database_oid = c.database_oid AND v.schema_oid = c.schema_oid AND v.view_oid = c.table_oid
        WHERE c.database_name = current_database() AND c.schema_name = coalesce(?, current_schema())
          AND lower(c.table_name) = lower(?)
        ORDER BY c.column_index""",
    # No primary key: its index made loading 5 M rows six times slower (20 s, not 3.3 s) and the file
    # three times as big. Nothing else writes here, and the staging table's keys are checked every time.
    primary_key=False,
    begin="BEGIN TRANSACTION",
    widen=("ALTER TABLE {target} ALTER COLUMN {column} SET DATA TYPE {type}",),
)

SQLITE = Dialect(
    name="SQLite",
    types={
        Kind.TEXT: "TEXT",
        Kind.INTEGER: "INTEGER",
        # The word BLOB keeps SQLite from converting: a NUMERIC or DECIMAL column turns 30 digits into a
        # floating-point number. The loader binds a number where that is exact, so that SQL can still
        # compare and add, and text where only text is.
        Kind.DECIMAL: "DECIMAL_BLOB({p},{s})",
        Kind.FLOAT: "DOUBLE",
        Kind.BOOLEAN: "BOOLEAN",
        Kind.DATE: "DATE",
        Kind.TIMESTAMP: "TIMESTAMP",
        Kind.TIMESTAMPTZ: "TIMESTAMPTZ",
    },
    holds=_holds(
        TEXT="text, varchar, char, character, character varying, nvarchar, clob, blob, any, ",
        INTEGER="integer, int, bigint, numeric, decimal, decimal_blob, double, double precision, real, "
        "float, blob, any, ",
        DECIMAL="decimal_blob, blob, any, ",
        FLOAT="double, double precision, real, float, blob, any, ",
        BOOLEAN="boolean, bool, integer, int, bigint, numeric, blob, any, ",
        DATE="date, text, blob, any, ",
        TIMESTAMP="timestamp, datetime, text, blob, any, ",
        TIMESTAMPTZ="timestamptz, text, blob, any, ",
    ),
    sized=False,
    decimals=frozenset(),
    describe="""
        SELECT CASE l.type WHEN 'table' THEN 'table' ELSE 'view' END, x.name, x.type, x."notnull",
               x.dflt_value IS NOT NULL, x.hidden IN (2, 3),
               CASE WHEN x.pk > 0 THEN 'primary' END
        FROM pragma_table_list l JOIN pragma_table_xinfo(l.name, l.schema) x
        WHERE lower(l.schema) = lower(coalesce(?, 'main')) AND lower(l.name) = lower(?)
        ORDER BY x.cid""",
    default_schema="SELECT 'main'",
    after_load="CREATE INDEX temp.{index} ON {staging} ({key})",
    begin="BEGIN IMMEDIATE",
    widen=(  # SQLite cannot change a type
        "ALTER TABLE {target} RENAME COLUMN {column} TO {old}",
        "ALTER TABLE {target} ADD COLUMN {column} {type}",
        "UPDATE {target} SET {column} = {old}",
        "ALTER TABLE {target} DROP COLUMN {old}",
    ),
    differs="IS NOT",
)

#: What databases that nobody looked at have in common; their tables are described by their drivers.
GENERIC = Dialect(
    name="the database",
    types={
        Kind.TEXT: "VARCHAR",
        Kind.INTEGER: "BIGINT",
        Kind.DECIMAL: "DECIMAL({p},{s})",
        Kind.FLOAT: "DOUBLE PRECISION",
        Kind.BOOLEAN: "BOOLEAN",
        Kind.DATE: "DATE",
        Kind.TIMESTAMP: "TIMESTAMP",
        Kind.TIMESTAMPTZ: "TIMESTAMP WITH TIME ZONE",
    },
    holds=_holds(
        TEXT="varchar",
        INTEGER="bigint, double precision",
        DECIMAL="",
        FLOAT="double precision",
        BOOLEAN="boolean",
        DATE="date",
        TIMESTAMP="timestamp",
        TIMESTAMPTZ="timestamp with time zone",
    ),
    decimals=frozenset({"decimal"}),
    describe="",
    default_schema="",
    begin="",
    widen=("ALTER TABLE {target} ALTER COLUMN {column} SET DATA TYPE {type}",),
    max_name_bytes=63,
)

#: Connection types, with the names of the databases in messages.
_SUPPORTED = {"adbc": "any ADBC driver", "duckdb": "DuckDB", "postgres": "Postgres", "sqlite": "SQLite"}


def check_supported(hook: DbApiHook) -> str:
    """The connection type of a hook.

    Raises:
        ConfigError: the package cannot publish there.
    """
    conn_type = str(getattr(hook, "conn_type", None))
    if conn_type not in _SUPPORTED:
        supported = ", ".join(f"{name} ({conn_type!r})" for conn_type, name in _SUPPORTED.items())
        raise ConfigError(
            f"Cannot publish through {type(hook).__name__} (connection type {conn_type!r}); supported: "
            f"{supported}. Set target_conn_id to a connection of one of these types."
        )
    return conn_type
