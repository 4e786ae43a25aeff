"""Taking turns where a database has no locks for it: each target has a row that its publisher holds.

The row is updated by a second connection and never committed. Whatever happens to the publisher, its
database undoes that, and the next one's turn comes.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from airflow_provider_customer360.database.failures import is_transient
from airflow_provider_customer360.database.tables import Table
from airflow_provider_customer360.publish import dialects
from airflow_provider_customer360.publish.columns import ColumnType, Kind
from airflow_provider_customer360.publish.failures import guarded
from airflow_provider_customer360.unify.errors import PublishError
from airflow_provider_customer360.unify.quoting import literal, quoted

if TYPE_CHECKING:
    from airflow_provider_customer360.publish.session import Session

#: The table of these rows, one in each schema that has targets; it stays.
LOCKS = "customer360_locks"
_TARGET, _TURNS = quoted("target"), quoted("turns")


@contextmanager
def turn(
    session: Session,
    targets: Sequence[Table],
    another: Callable[[], AbstractContextManager[Session]],
    *,
    dry_run: bool,
) -> Iterator[Callable[[], None]]:
    """Wait until no other publisher works on any of the targets, then keep them away.

    Args:
        session: of the publisher.
        targets: of which others are kept away.
        another: opens one more session.
        dry_run: change nothing: where nobody has published yet, there is no turn to wait for.

    Yields:
        What raises an error if the turn was lost, with the connection that holds it.

    Raises:
        TransientPublishError: another publisher took too long.
        PublishError: the database cannot do this.
    """
    if not session.dialect.turns_by_rows:
        yield lambda: None
        return
    subject = f"Waiting for other runs that publish to {', '.join(map(str, targets))}"
    rows = sorted({(Table(one.schema, LOCKS), _row(one)) for one in targets}, key=str)
    with another() as holder:
        if dry_run:
            rows = guarded(lambda: [row for row in rows if holder.describe(row[0])], subject)
        guarded(lambda: _take(holder, rows), subject)
        try:
            yield lambda: guarded(lambda: _check(holder, rows), subject)
        finally:
            with suppress(Exception):  # the connection may be what failed
                holder.rollback()


def _row(target: Table) -> str:
    return hashlib.sha256(target.name.lower().encode()).hexdigest()[:32]


def _take(session: Session, rows: Sequence[tuple[Table, str]]) -> None:
    for locks, row in rows:
        _attempt(session, partial(_make_table, session, locks), partial(session.describe, locks))
        _attempt(session, partial(_add, session, locks, row), partial(_rows, session, locks, row))
    deadline = time.monotonic() + dialects.LOCK_SECONDS
    while failure := _failure_of(session, partial(_hold, session, rows)):
        if not is_transient(failure) or time.monotonic() > deadline:
            raise failure
        time.sleep(0.2)


def _attempt(session: Session, make: Callable[[], None], is_there: Callable[[], object]) -> None:
    """Make what is not there; that another run makes it at the same moment is no failure."""
    if not is_there():
        failure = _failure_of(session, make)
        if isinstance(failure, PublishError) or (failure and not is_there()):
            raise failure
    session.rollback()


def _failure_of(session: Session, action: Callable[[], None]) -> Exception | None:
    try:
        action()
    except Exception as failure:
        session.rollback()
        return failure
    return None


def _make_table(session: Session, locks: Table) -> None:
    text = session.dialect.native(ColumnType(Kind.TEXT), key_columns=1)
    number = session.dialect.native(ColumnType(Kind.INTEGER))
    columns = f"{_TARGET} {text} NOT NULL, {_TURNS} {number}, PRIMARY KEY ({_TARGET})"
    session.execute(f"CREATE TABLE {locks.quoted} ({columns})")
    session.commit()


def _add(session: Session, locks: Table, row: str) -> None:
    insert = f"INSERT INTO {locks.quoted} ({_TARGET}, {_TURNS}) VALUES ({literal(row)}, 0)"
    session.execute(insert)
    session.rollback()
    if _rows(session, locks, row):
        session.execute(f"DELETE FROM {locks.quoted} WHERE {_TARGET} = {literal(row)}")
        session.commit()
        raise PublishError(
            f"{session.dialect.name} does not undo what a transaction has written, so that readers would see "
            "tables half-written; nothing was written. Give target_conn_id another connection."
        )
    session.execute(insert)
    session.commit()


def _hold(session: Session, rows: Sequence[tuple[Table, str]]) -> None:
    for locks, row in rows:
        session.execute(f"UPDATE {locks.quoted} SET {_TURNS} = {_TURNS} + 1 WHERE {_TARGET} = {literal(row)}")


def _check(session: Session, rows: Sequence[tuple[Table, str]]) -> None:
    for locks, row in rows:
        if not _rows(session, locks, row):
            raise ConnectionError


def _rows(session: Session, locks: Table, row: str) -> int:
    return int(session.fetch(f"SELECT count(*) FROM {locks.quoted} WHERE {_TARGET} = {literal(row)}")[0][0])
