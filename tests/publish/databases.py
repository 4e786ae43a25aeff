"""A database under test: what publishing is called with, and a way to look that shares no code with it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import adbc_driver_duckdb as duckdb_driver
import pyarrow as pa
import pytest
from airflow.providers.apache.arrow.hooks.adbc import AdbcHook
from airflow.providers.common.sql.hooks.sql import DbApiHook
from airflow.providers.duckdb.hooks.duckdb import DuckDBHook
from airflow.providers.postgres.hooks import postgres as postgres_hooks
from airflow.providers.sqlite.hooks.sqlite import SqliteHook
from sqlalchemy import event

from airflow_provider_customer360.publish import Load, Published, publish
from airflow_provider_customer360.publish.turns import LOCKS
from tests.firebird_hook import FirebirdHook
from tests.mariadb_server import CLIENTS

ADBC = ("adbc-duckdb", "adbc-sqlite", "adbc-postgres")
NAMES = ("duckdb", "sqlite", "psycopg2", "psycopg3", *CLIENTS, *ADBC, "generic-postgres", "firebird")


@dataclass(frozen=True, kw_only=True)
class Words:
    """How a database says what tests say in SQL, and what it says itself.

    Attributes:
        default_schema: where tables are whose name states no schema; None: a query tells.
        short_text: type of a text column that an index takes.
        types: other types that have another name than in the standard.
        indexed_text: a text column without a limit, in an index.
        drop_index: statement that drops one.
        not_unique: what its own error says of a value that is there already.
        names_constraints: it tells which constraint refused a row without quoting the row.
        closed: what a driver says of a connection that is closed.
        longest_key: characters of a text that is a key.
        refused_names: pattern of names that no table can have.
        has_zones: it has a type for instants; where not, they are the clock in UTC.
        debris: pattern of tables that a killed run may leave to the next one.
    """

    default_schema: str | None
    short_text: str = "text"
    types: dict[str, str] = field(default_factory=dict)
    indexed_text: str = "{column}"
    drop_index: str = "DROP INDEX {index}"
    not_unique: str = "(?i)unique"
    names_constraints: bool = False
    closed: str = "(?i)closed|must call AdbcConnectionInit"
    longest_key: int = 100_000
    refused_names: str = "(?!)"
    has_zones: bool = True
    debris: str = "(?!)"


_POSTGRES = Words(default_schema="public", names_constraints=True)
_MYSQL = Words(
    default_schema=None,
    short_text="varchar(100)",
    types={"boolean": "tinyint(1)", "numeric": "decimal(50,5)", "timestamp": "datetime(6)"},
    indexed_text="{column}(100)",
    drop_index="DROP INDEX {index} ON {table}",
    not_unique="Duplicate entry",
    names_constraints=True,
    closed="2006|not available",
    longest_key=768,
    refused_names=r"\s\Z",
    has_zones=False,
    debris="customer360_(new|old)_",
)
_FIREBIRD = Words(
    default_schema="",
    short_text="varchar(50)",
    indexed_text="COMPUTED BY (CAST({column} AS varchar(99)))",
    longest_key=500,
    debris="customer360_",
)
WORDS = {
    "duckdb": Words(default_schema="main", types={"numeric": "numeric(38, 5)"}),
    "sqlite": Words(default_schema="main"),
    "firebird": _FIREBIRD,
    "postgres": _POSTGRES,
    "psycopg2": _POSTGRES,
    "psycopg3": _POSTGRES,
    **dict.fromkeys(CLIENTS, _MYSQL),
}


@dataclass(frozen=True)
class Database:
    """One database as one test has it: empty at first.

    Attributes:
        name: one of `NAMES`, without what publishing goes through.
        environment: what a child process needs to reach the same one, through `from_environment`.
        through: "adbc", "generic" for what the package does with databases that it does not know, or empty
            for the database's own hook; looking goes through that in any case.
    """

    name: str
    environment: dict[str, str]
    through: str = ""

    @property
    def is_adbc(self) -> bool:
        return self.through == "adbc"

    @property
    def words(self) -> Words:
        words = WORDS[self.name]
        return replace(words, longest_key=500, debris="customer360_") if self.is_generic else words

    @property
    def is_postgres(self) -> bool:
        return self.name.startswith(("psycopg", "postgres"))

    @property
    def has_one_connection(self) -> bool:
        """Whether a process cannot have two at once: DuckDB's ADBC driver opens the file for each anew."""
        return self.is_adbc and self.name == "duckdb"

    @property
    def is_mysql(self) -> bool:
        return self.name in CLIENTS

    @property
    def is_generic(self) -> bool:
        """Whether the package knows nothing of the database."""
        return self.through == "generic" or self.name == "firebird"

    @property
    def loads_alone(self) -> bool:
        """Whether a run waits for others before it loads anything."""
        return self.has_one_connection or self.is_generic

    @property
    def ignores_case(self) -> bool:
        """Whether names that differ by case are one."""
        return self.is_generic or not self.is_postgres

    @property
    def widens(self) -> bool:
        """Whether a type can become any wider one."""
        return self.name != "firebird"

    @property
    def has_primary_keys(self) -> bool:
        """Whether new tables have them."""
        return self.name != "duckdb"

    @property
    def tells_blanks(self) -> bool:
        """Whether keys that differ by blanks at the end are two."""
        return self.name != "firebird"

    @property
    def many(self) -> int:
        """A number of rows that takes seconds."""
        return 3_000 if self.name == "firebird" else 120_000

    @property
    def hook(self) -> DbApiHook:
        """A new hook, as each task has its own."""
        if self.through == "generic":
            return UnknownPostgresHook("target")
        return AdbcHook("target") if self.is_adbc else self._own_hook("target")

    @property
    def look(self) -> DbApiHook:
        """A hook of the database's own kind."""
        return self._own_hook("look")

    def _own_hook(self, conn_id: str) -> DbApiHook:
        if self.is_postgres:
            return postgres_hooks.PostgresHook(conn_id)
        if self.name == "duckdb":
            return DuckDBHook(duckdb_conn_id=conn_id)
        if self.is_mysql:
            from airflow.providers.mysql.hooks.mysql import MySqlHook

            return MySqlHook(conn_id)
        if self.name == "firebird":
            return FirebirdHook(conn_id)
        return SqliteHook(conn_id)  # type: ignore[no-untyped-call]

    def publish(
        self, rows: pa.Table, table: str = "customers", key: str = "customer_id", **arguments: Any
    ) -> Published:
        """Publish a table that is in memory, in batches of a few rows."""
        audit = arguments.pop("audit", None)
        return publish(self.hook, [load(rows, table, key, audit=audit)], **arguments)[table]

    def execute(self, *statements: str) -> None:
        """Run and commit statements."""
        with closing(self.look.get_conn()) as connection, closing(connection.cursor()) as cursor:
            self._use_standard_quotes(cursor)
            for statement in statements:
                for spelled in self._spelled(statement):
                    cursor.execute(spelled)
                    connection.commit()

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a query, on a connection of its own."""
        with closing(self.look.get_conn()) as connection, closing(connection.cursor()) as cursor:
            if self.name == "duckdb":  # its own rows need pytz for timestamps with a time zone
                columns = pa.table(cursor.sql(statement)).columns
                return list(zip(*(column.to_pylist() for column in columns), strict=True))
            self._use_standard_quotes(cursor)
            cursor.execute(self._spelled(statement)[0])
            return [tuple(map(_value, row)) for row in cursor.fetchall()]

    def _spelled(self, statement: str) -> list[str]:
        """The statement as this database spells it, which may need several."""
        return in_firebirds_words(statement) if self.name == "firebird" else [statement]

    def _use_standard_quotes(self, cursor: Any) -> None:
        if self.is_mysql:
            cursor.execute("SET SESSION sql_mode = concat(@@sql_mode, ',ANSI_QUOTES')")

    def type(self, name: str) -> str:
        """What a type of the standard is called here."""
        return self.words.types.get(name, name)

    def create_unique_index(self, index: str, table: str, text_column: str) -> None:
        """An index that refuses the same text twice."""
        column = self.words.indexed_text.format(column=text_column)
        column = column if self.name == "firebird" else f"({column})"
        self.execute(f"CREATE UNIQUE INDEX {index} ON {table} {column}")

    def drop_index(self, index: str, table: str) -> None:
        self.execute(self.words.drop_index.format(index=index, table=table))

    @property
    def default_schema(self) -> str:
        """Where tables are whose name states no schema; empty where there are no schemas."""
        named = self.words.default_schema
        return str(self.query("SELECT database()")[0][0]) if named is None else named

    def another_schema(self) -> str | None:
        """The name of an empty schema that is not the default one; None where there is no other."""
        if self.name in ("firebird", "sqlite"):
            return None
        schema = f"{self.default_schema}_crm" if self.is_mysql else "crm"
        self.execute(f"CREATE SCHEMA {schema}")
        return schema

    def refuses_name(self, name: str) -> bool:
        """Whether no table can be called so."""
        return bool(re.search(self.words.refused_names, name))

    def instants(self, column: str) -> list[datetime]:
        """The instants of a column, in the order of the first one."""
        found = (
            datetime.fromisoformat(str(row[0]))
            for row in self.query(f"SELECT {column} FROM customers ORDER BY customer_id")
        )
        return [value if self.words.has_zones else value.replace(tzinfo=UTC) for value in found]

    def rows(self, columns: str = "*", table: str = "customers") -> list[tuple[Any, ...]]:
        """The rows of the table, by its first column."""
        return self.query(f"SELECT {columns} FROM {table} ORDER BY 1")

    def columns(self, table: str = "customers") -> set[str]:
        """The names of a table's columns."""
        with closing(self.look.get_conn()) as connection, closing(connection.cursor()) as cursor:
            self._use_standard_quotes(cursor)
            cursor.execute(self._spelled(f'SELECT * FROM "{table}" WHERE 1 = 0')[0])
            names = {str(column[0]) for column in cursor.description}
            cursor.fetchall()  # or mysql-connector-python finds it unread
            return names

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """All rows of all tables."""
        return {table: sorted(self.rows(table=f'"{table}"'), key=repr) for table in sorted(self.tables())}

    def tables(self, *, turns: bool = False) -> set[str]:
        """Every table of the database, whoever made it, with or without that of publishers' turns."""
        queries = {
            "duckdb": "SELECT table_name FROM duckdb_tables()",
            "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table'",
            "firebird": "SELECT TRIM(RDB$RELATION_NAME) FROM RDB$RELATIONS WHERE RDB$SYSTEM_FLAG = 0 "
            "AND RDB$VIEW_BLR IS NULL",
            **dict.fromkeys(
                CLIENTS, "SELECT table_name FROM information_schema.tables WHERE table_schema = database()"
            ),
        }
        everywhere = (
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace NOT IN "
            "('pg_catalog'::regnamespace, 'information_schema'::regnamespace)"
        )
        return {row[0] for row in self.query(queries.get(self.name, everywhere))} - (
            set() if turns else {LOCKS}
        )

    def watch(self, hook: DbApiHook, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
        """The driver's connections that a hook opens from now on."""
        opened: list[Any] = []
        get_conn, get_engine = hook.get_conn, hook.get_sqlalchemy_engine

        def remembered() -> Any:
            opened.append(get_conn())
            return opened[-1]

        def listened_to(*arguments: Any) -> Any:
            engine = get_engine(*arguments)
            event.listen(engine, "connect", lambda connection, _: opened.append(connection))
            return engine

        monkeypatch.setattr(hook, "get_conn", remembered)
        monkeypatch.setattr(hook, "get_sqlalchemy_engine", listened_to)
        return opened

    def possible(self, names: Sequence[str]) -> list[str]:
        """Those of the names that a table or column may have: Firebird's end with no blank."""
        is_short = self.name == "firebird"
        return [name for name in names if not is_short or (len(name) < 32 and name == name.rstrip(" "))]

    def is_closed(self, connection: Any) -> bool:
        """Whether a driver's connection cannot be used any more."""
        if self.name == "firebird":
            return bool(connection.is_closed())
        try:
            connection.cursor().execute("SELECT 1")
        except Exception as error:
            return bool(re.search(self.words.closed, str(error)))
        return False

    def lasting_tables(self) -> set[str]:
        """All tables but what the next run removes."""
        return {name for name in self.tables() if not re.match(self.words.debris, name)}


class UnknownPostgresHook(postgres_hooks.PostgresHook):
    """Postgres, as if the package did not know it."""

    conn_type = "unknown"


def _value(value: Any) -> Any:
    """A value of a row; Firebird's driver gives long texts as files."""
    return value.read() if hasattr(value, "read") else value


#: Words of the tests' statements that are not names.
_FIREBIRDS = {
    "text": "VARCHAR(100)",
    **{
        word: word
        for word in (
            "varchar",
            "bigint",
            "integer",
            "numeric",
            "timestamp",
            "double",
            "precision",
            "boolean",
        )
    },
}


def in_firebirds_words(statement: str) -> list[str]:
    """A statement in which names are quoted, one row is inserted at a time, and there is always a FROM."""

    def spelled(match: re.Match[str]) -> str:
        word = match[0]
        return word if word[0] in "'\"" else _FIREBIRDS.get(word, f'"{word}"')

    statement = re.sub(r"""'[^']*'|"(?:[^"]|"")*"|\b[a-z_][a-z0-9_]*\b(?!\()""", spelled, statement)
    if "SELECT" in statement and " FROM " not in statement:
        statement += " FROM RDB$DATABASE"
    insert, values, rows = statement.partition(" VALUES ")
    return [f"{insert}{values}({row.strip('()')})" for row in rows.split("), (")] if values else [statement]


def _parts(name: str) -> tuple[str, str]:
    """One of `NAMES` as what publishing goes through and the database's name."""
    through, _, kind = name.partition("-")
    return (through, kind) if through in ("adbc", "generic") else ("", name)


def connect(name: str, folder: Path, server_uri: str) -> Database:
    """A database of that name; hooks publish through the connection ``target``."""
    through, kind = _parts(name)
    address = str(folder / f"target.{kind}") if kind in ("duckdb", "sqlite") else server_uri
    # The driver manager finds DuckDB, whose Python module is its driver, by a manifest.
    manifest = ("manifest_version = 1", "[Driver]", f'shared = "{duckdb_driver.driver_path()}"')
    (folder / "adbc_driver_duckdb.toml").write_text("\n".join([*manifest, 'entrypoint = "duckdb_adbc_init"']))
    environment = {
        "AIRFLOW_CONN_TARGET": described(kind, address, is_adbc=through == "adbc"),
        "AIRFLOW_CONN_LOOK": described(kind, address),
        "TEST_DATABASE": name,
        "ADBC_DRIVER_PATH": str(folder),
    }
    return Database(kind, environment, through)


def described(kind: str, address: str, *, is_adbc: bool = False) -> str:
    """An Airflow connection to a file or the URI of a server."""
    if is_adbc:
        driver = f"adbc_driver_{kind}" if kind in ("duckdb", "sqlite") else "adbc_driver_postgresql"
        uri = address.replace("postgres:", "postgresql:")
        return json.dumps({"conn_type": "adbc", "extra": {"driver": driver, "db_kwargs": {"uri": uri}}})
    return json.dumps({"conn_type": kind, "host": address}) if kind in ("duckdb", "sqlite") else address


def from_environment() -> Database:
    """In a child process: the database of the parent's test."""
    through, kind = _parts(os.environ["TEST_DATABASE"])
    postgres_hooks.USE_PSYCOPG3 = kind == "psycopg3"
    return Database(kind, {}, through)


def profiles(rows: Sequence[Sequence[Any]], **columns: Any) -> pa.Table:
    """An Arrow table; columns are given as name and type."""
    values: Iterator[Any] = iter(zip(*rows, strict=True) if rows else [()] * len(columns))
    return pa.table(
        {
            name: pa.array(list(column), type=kind)
            for (name, kind), column in zip(columns.items(), values, strict=True)
        }
    )


def people(*rows: tuple[str, str | None, int | None]) -> pa.Table:
    """The profiles of most tests: ``customer_id``, ``email`` and ``orders``."""
    return profiles(rows, customer_id=pa.string(), email=pa.string(), orders=pa.int64())


def load(
    rows: pa.Table | Iterable[pa.RecordBatch], table: str = "customers", *key: str, **arguments: Any
) -> Load:
    """Rows for a table, in batches of a few rows; their key is ``customer_id`` if none is named."""
    schema = arguments.pop("schema", None) or rows.schema
    batches = rows.to_batches(3) if isinstance(rows, pa.Table) else rows
    return Load(table, batches, schema, key or ("customer_id",), **arguments)


IDENTITY_KEY = ("identifier_type", "identifier_value")


def identities(*rows: tuple[str | None, str | None, str | None]) -> Load:
    """Rows of a table whose key has two columns."""
    columns = dict.fromkeys((*IDENTITY_KEY, "customer_id"), pa.string())
    return load(profiles(rows, **columns), "identities", *IDENTITY_KEY)


def events(*rows: tuple[str | None, str]) -> Load:
    """Rows of a log, to which one only appends."""
    return load(profiles(rows, event_id=pa.string(), what=pa.string()), "events", "event_id", mode="append")
