"""The tables as they are, held against a version."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from tests.faults.servers import Server
from tests.faults.versions import TABLES, Version

#: A table: the names of its columns, and its rows.
Content = tuple[tuple[str, ...], list[tuple[Any, ...]]]


def contents(server: Server, watcher: Any) -> dict[str, Content]:
    """Those of `TABLES` that there are, seen through a connection that looks on."""
    found: dict[str, Content] = {}
    with closing(watcher.cursor()) as cursor:
        for table in TABLES:
            try:
                cursor.execute(f"SELECT * FROM {table}")
            except Exception as error:
                if not server.is_missing(error):
                    raise
            else:
                found[table] = (tuple(column[0] for column in cursor.description), cursor.fetchall())
    return found


def is_version(found: dict[str, Content], version: Version | None, *, exactly: bool) -> bool:
    """Whether all tables are of this version; unless `exactly`, a column that is still empty is none, nor is
    one that is still to go.
    """
    if version is None:
        return not found
    return found.keys() == set(version.tables) and all(
        _is_equal(found[table], version.columns(table), exactly=exactly, may_have_more=version.is_narrower)
        for table in version.tables
    )


def _is_equal(found: Content, expected: dict[str, list[Any]], *, exactly: bool, may_have_more: bool) -> bool:
    names, rows = found
    if may_have_more and not exactly:
        known = [number for number, name in enumerate(names) if name in expected]
        names = tuple(names[number] for number in known)
        rows = [tuple(row[number] for number in known) for row in rows]
    if not expected.keys() <= set(names) or (exactly and len(names) > len(expected)):
        return False
    nothing = [None] * len(next(iter(expected.values())))
    wanted = zip(*(expected.get(name, nothing) for name in names), strict=True)
    return sorted(map(tuple, rows), key=repr) == sorted(wanted, key=repr)


def described(found: dict[str, Content]) -> str:
    """Tables in a few words."""
    return "; ".join(_in_words(table, *found[table]) for table in found) or "no tables"


def _in_words(table: str, names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    versions = sorted({row[names.index("stamp")] for row in rows})
    return f"{table}: {len(rows)} rows of versions {', '.join(map(str, versions[-5:])) or 'none'}"
