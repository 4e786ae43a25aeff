"""Altering tables that others read: who comes while an alteration waits for them waits behind it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from airflow_provider_customer360.database.failures import code_of
from airflow_provider_customer360.publish import dialects
from airflow_provider_customer360.publish.session import Session

#: Seconds between two attempts, in which those who waited read.
_PAUSE = 1


def alter(session: Session, statements: Sequence[str]) -> None:
    """Run statements that alter tables, as a whole; errors are the driver's own.

    Where readers would wait behind them as long as they wait themselves, they are tried for a moment, over
    and over; what was done before them in the transaction stays.
    """
    deadline = time.monotonic() + dialects.LOCK_SECONDS
    while not _attempted(session, statements, is_last=time.monotonic() > deadline):
        time.sleep(_PAUSE)


def _attempted(session: Session, statements: Sequence[str], *, is_last: bool) -> bool:
    attempts = session.dialect.attempts
    for begin in attempts.begin if attempts and statements else ():
        session.execute(begin)
    try:
        for statement in statements:
            session.execute(statement)
    except Exception as error:
        if attempts is None or is_last or code_of(error) != attempts.waited:
            raise
        session.execute(attempts.undo)
        return False
    if attempts and statements:
        session.execute(attempts.end.format(seconds=round(dialects.LOCK_SECONDS)))
    return True
