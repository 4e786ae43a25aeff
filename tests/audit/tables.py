"""Two tables of a real database, audited: profiles as they are staged, and the table as it is."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any

from airflow_provider_customer360.audit.checks import Checks
from airflow_provider_customer360.audit.override import Override
from airflow_provider_customer360.audit.verdict import Audit
from airflow_provider_customer360.publish.failures import guarded
from airflow_provider_customer360.publish.session import Session, open_session
from tests.publish.databases import Database

Rows = Sequence[Mapping[str, Any]]

_TYPES = {
    "customer_id": "varchar(99)",
    "total_records": "bigint",
    "data_sources": "bigint",
    "is_active": "boolean",
    "amount": "double precision",
}


#: Names in a user's SQL that Firebird would write in upper case.
_NAMES = re.compile(rf'"(?:[^"]|"")*"|\b(?:{"|".join([*_TYPES, "email", "customers", "staged"])})\b')


class Tables:
    """An `Audited` over a session of publishing."""

    def __init__(self, session: Session, columns: Sequence[str], live_columns: Sequence[str] | None) -> None:
        self.without_rows = "the table has no rows"
        self.nested_with = session.dialect.nested_with
        self.columns = tuple(columns)
        self.live_columns = None if live_columns is None else tuple(live_columns)
        self.session = session
        self.is_firebird = session.dialect.name == "Firebird"

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        staged = ", ".join(f'"c{i}" AS {_quoted(name)}' for i, name in enumerate(self.columns))
        live = "profiles WHERE 1 = 0" if self.live_columns is None else '"customers"'
        views = f'profiles AS (SELECT {staged} FROM "staged"), live AS (SELECT * FROM {live})'
        if self.is_firebird:
            query = _NAMES.sub(lambda name: name[0] if name[0][0] == '"' else f'"{name[0]}"', query)
        rows: list[tuple[Any, ...]] = guarded(lambda: self.session.fetch(f"WITH {views} {query}"), "Checking")
        return rows


@contextmanager
def audited(
    db: Database, profiles: Rows, live: Rows | None, columns: Sequence[str] = (), live_columns: Any = None
) -> Iterator[Tables]:
    """The rows in tables; columns are those of the first row, or given where there is no row."""
    columns = columns or list(profiles[0])
    statements = [*_table("staged", [f"c{i}" for i in range(len(columns))], columns, profiles)]
    if live is not None:
        live_columns = live_columns or (list(live[0]) if live else columns)
        statements += _table("customers", live_columns, live_columns, live)
    db.execute(*statements)
    with closing(open_session(db.hook)) as session:
        yield Tables(session, columns, live_columns if live is not None else None)


def audit(checks: Mapping[str, Any], tables: Tables, skip: Any = None) -> Audit:
    """An audit, made.

    Raises:
        CheckFailed, ConfigError: see `Audit`.
    """
    override = Override.of({"customer360_skip_checks": skip})
    made = Audit(Checks.of(checks), override, logging.getLogger("audit"))
    made(tables)
    return made


def people(number: int, *, active: int = 0, matched: int = 0, filled: int = 0, largest: int = 1) -> Rows:
    """Customers, of whom so many are active, known to two sources, or have an e-mail; one is the largest."""
    return [
        {
            "customer_id": f"c{i}",
            "email": f"planted{i}@x.example" if i < filled else None,
            "total_records": 1 if i else largest,
            "data_sources": 2 if i < matched else 1,
            "is_active": i < active,
        }
        for i in range(number)
    ]


def _table(name: str, own: Sequence[str], columns: Sequence[str], rows: Rows) -> list[str]:
    types = [_TYPES.get(column, "varchar(99)") for column in columns]
    defined = ", ".join(f"{_quoted(column)} {kind}" for column, kind in zip(own, types, strict=True))
    values = [", ".join(_literal(row[column]) for column in columns) for row in rows]
    inserts = [f"INSERT INTO {name} VALUES {', '.join(f'({row})' for row in values)}"] if rows else []
    return [f"CREATE TABLE {name} ({defined})", *inserts]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return "NULL" if value is None else str(value).upper() if isinstance(value, bool) else repr(value)
