"""The supported databases: one row of data for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from airflow_provider_customer360.publish.columns import Kind
from airflow_provider_customer360.publish.dialect import (
    ASSIGN_EACH,
    UPDATE_EACH,
    UPDATE_JOIN,
    Attempts,
    Dialect,
)
from airflow_provider_customer360.publish.names import NameRules

#: How long to wait for another publisher, or anybody else who has locked the table or its database's file.
LOCK_SECONDS = 300.0


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
    settings=(
        "SET LOCAL lock_timeout = '{seconds}s'",
        # Who publishes is idle while batches are read or checks are made.
        "SET LOCAL idle_in_transaction_session_timeout = 0",
        # Comparing in memory takes a quarter less time.
        "SELECT set_config('work_mem', greatest(65536, setting::bigint) || 'kB', true) "
        "FROM pg_settings WHERE name = 'work_mem'",
    ),
    # Behind a pooler, a temporary table does not outlast its transaction.
    temporary="CREATE TEMPORARY TABLE {name} ({columns}) ON COMMIT DROP",
    # Two narrow columns; without, changed rows are guessed to be few. Of the staging table it buys nothing.
    after_compare="ANALYZE {name}",
    # LOCK TABLE alone does not order two runs that both create the table.
    begin="""SELECT pg_advisory_xact_lock(hashtextextended(
        concat_ws('.', coalesce(%s::text, current_schema()), %s::text), 360))""",
    lock="LOCK TABLE {target} IN SHARE ROW EXCLUSIVE MODE",
    alters_apart=True,
    attempts=Attempts(
        begin=("SAVEPOINT customer360_attempt", "SET LOCAL lock_timeout = '1s'"),
        undo="ROLLBACK TO SAVEPOINT customer360_attempt",
        end="SET LOCAL lock_timeout = '{seconds}s'",
        waited="55P03",
    ),
    widen=("ALTER TABLE {target} ALTER COLUMN {column} TYPE {type} USING CAST({column} AS {cast})",),
    counts_rows=True,
    names=NameRules(folds="none", bytes=63, allowed="at most 63 bytes"),
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
    primary_key="",
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
    after_load="CREATE INDEX temp.{key_name} ON {name} ({index})",
    settings=(
        "PRAGMA busy_timeout = {seconds}000",
        # A full cache is written before the commit and shuts readers out from then on: 256 MiB, not 2.
        "PRAGMA cache_size = -262144",
    ),
    begin="BEGIN IMMEDIATE",
    widen=(  # SQLite cannot change a type
        "ALTER TABLE {target} RENAME COLUMN {column} TO {old}",
        "ALTER TABLE {target} ADD COLUMN {column} {type}",
        "UPDATE {target} SET {column} = {old}",
        "ALTER TABLE {target} DROP COLUMN {old}",
    ),
    # The staged value comes first: SQLite compares with the collation of the left operand, and that of an
    # existing column may ignore case.
    differs="{new} IS NOT {old}",
    counts_rows=True,
)

#: What is said of every new table; the name of the collation follows.
_INNODB = "ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE "
MYSQL = Dialect(
    name="MySQL",
    types={
        Kind.TEXT: "longtext",
        Kind.INTEGER: "bigint",
        Kind.DECIMAL: "decimal({p},{s})",
        Kind.FLOAT: "double",
        Kind.BOOLEAN: "tinyint(1)",
        Kind.DATE: "date",
        Kind.TIMESTAMP: "datetime(6)",
        # Its TIMESTAMP ends in 2038: instants are the clock in UTC.
        Kind.TIMESTAMPTZ: "datetime(6)",
    },
    key_text="varchar({n})",
    key_characters=768,  # an index takes 3,072 bytes, a character up to four of them
    casts={Kind.TEXT: "char", Kind.INTEGER: "signed", Kind.BOOLEAN: "signed"},
    holds=_holds(
        # What is too long for the shorter ones is refused in strict mode, never cut off.
        TEXT="longtext, mediumtext, text, varchar",
        INTEGER="bigint, double",
        DECIMAL="",
        FLOAT="double",
        BOOLEAN="tinyint, smallint, int, bigint",
        DATE="date",
        TIMESTAMP="",
        TIMESTAMPTZ="",
    ),
    decimals=frozenset({"decimal"}),
    long_text_refused=True,
    settings=(
        # Names in double quotes, and an error instead of a value that is cut off.
        "SET SESSION sql_mode = 'ANSI_QUOTES,STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,"
        "ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
        "SET SESSION innodb_lock_wait_timeout = {seconds}, lock_wait_timeout = {seconds}",
        "SET SESSION time_zone = '+00:00'",
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    ),
    # Without a join: for one, MariaDB opens every table of the server. PRI are the columns of the primary
    # key, UNI is one that is unique by itself; other unique indexes are not needed so badly.
    describe="""
        WITH wanted AS (SELECT coalesce(%s, database()) AS in_schema, %s AS name)
        SELECT CASE (SELECT t.table_type FROM information_schema.tables t
                     WHERE t.table_schema = (SELECT in_schema FROM wanted)
                       AND t.table_name = (SELECT name FROM wanted))
                    WHEN 'BASE TABLE' THEN 'table' WHEN 'SYSTEM VERSIONED' THEN 'table' ELSE 'view' END,
               c.column_name,
               CASE WHEN c.data_type NOT LIKE '%%int' OR c.column_type = 'tinyint(1)' THEN c.column_type
                    WHEN c.column_type LIKE '%%unsigned%%' THEN concat(c.data_type, ' unsigned')
                    ELSE c.data_type END,
               c.is_nullable = 'NO',
               coalesce(c.column_default, 'NULL') <> 'NULL' OR c.extra LIKE '%%auto_increment%%',
               coalesce(c.generation_expression, '') <> '',
               CASE c.column_key WHEN 'PRI' THEN 'primary'
                                 WHEN 'UNI' THEN concat('column', c.ordinal_position) END,
               c.collation_name
        FROM information_schema.columns c
        WHERE c.table_schema = (SELECT in_schema FROM wanted) AND c.table_name = (SELECT name FROM wanted)
        ORDER BY c.ordinal_position""",
    default_schema="SELECT database()",
    # A server may demand a primary key of every table, temporary ones too. With one that counts up, rows
    # that repeat a key are found later, and loading is as quick as without.
    temporary="CREATE TEMPORARY TABLE {name} ({columns}, customer360_row bigint AUTO_INCREMENT PRIMARY KEY, "
    "KEY ({index})) {options}",
    table_options=_INNODB + "utf8mb4_0900_bin",
    collation="utf8mb4_0900_bin",
    exact_text="CONVERT({old} USING utf8mb4) COLLATE utf8mb4_0900_bin",
    begin="""SELECT GET_LOCK(concat('customer360_', left(sha2(lower(
        concat_ws('.', coalesce(%s, database()), %s)), 256), 32)), {seconds})""",
    creates="hidden",
    appear="RENAME TABLE {pairs}",
    alters_apart=True,
    drops="after",
    widen=("ALTER TABLE {target} MODIFY COLUMN {column} {type}",),
    update=UPDATE_JOIN,
    assign="{target}.{column} = {value}",
    assign_null="{target}.{column} = NULL",
    differs="NOT ({new} <=> {old})",
    names=NameRules(
        folds="all",
        characters=64,
        refused=r"[\U00010000-\U0010ffff]|[\t-\r ]+\Z",
        allowed="at most 64 characters, no blank at the end and no characters beyond U+FFFF, such as emojis",
    ),
)

#: Trailing blanks count in both, but the collation in which they do has another name.
MARIADB = replace(
    MYSQL,
    name="MariaDB",
    nested_with=False,
    table_options=_INNODB + "utf8mb4_nopad_bin",
    collation="utf8mb4_nopad_bin",
    exact_text="CONVERT({old} USING utf8mb4) COLLATE utf8mb4_nopad_bin",
    scans=True,
)

#: What databases that nobody looked at have in common; `sqlalchemy_session` and `adbc_session` add to it what
#: can be found out.
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
    decimals=frozenset({"decimal", "numeric"}),
    long_text_refused=True,  # says the standard
    describe="",
    default_schema="",
    composite_key="",
    index_each="CREATE INDEX {name} ON {table} ({column})",
    turns_by_rows=True,
    # Where a CREATE or ALTER commits what was done before it, or its table is there for nobody before the
    # commit, neither may be part of a transaction.
    creates="before",
    alters_apart=True,
    drops="never",
    add="ALTER TABLE {target} ADD {column} {type}",
    widen=("ALTER TABLE {target} ALTER COLUMN {column} SET DATA TYPE {type}",),
    update=UPDATE_EACH,
    assign=ASSIGN_EACH,
    differs="({new} <> {old} OR ({new} IS NULL AND {old} IS NOT NULL) "
    "OR ({new} IS NOT NULL AND {old} IS NULL))",
    names=NameRules(bytes=63),
)
