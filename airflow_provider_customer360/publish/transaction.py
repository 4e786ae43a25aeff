"""The one transaction in which all tables change, or none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING

from airflow_provider_customer360.database.tables import Table
from airflow_provider_customer360.publish.dialect import Dialect
from airflow_provider_customer360.publish.failures import TransientPublishError, guarded
from airflow_provider_customer360.publish.fingerprints import Fingerprint, check
from airflow_provider_customer360.publish.loads import Load, Published
from airflow_provider_customer360.publish.names import check_name
from airflow_provider_customer360.publish.publication import Publication
from airflow_provider_customer360.publish.session import Session, open_session
from airflow_provider_customer360.unify.errors import ConfigError

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook


@contextmanager
def opened(hook: DbApiHook, tables: Sequence[Table]) -> Iterator[Session]:
    """Connect; whatever happens then, nothing uncommitted and no connection stays."""
    session = open_session(hook)
    try:
        for table in tables:
            check_name(table, session.dialect.names, session.dialect.name)
        yield session
    except BaseException:
        with suppress(Exception):  # the connection may be what failed
            session.rollback()
        raise
    finally:
        with suppress(Exception):
            session.close()


def publish_all(
    session: Session,
    loads: Sequence[Load],
    *,
    another: Callable[[], AbstractContextManager[Session]],
    expect: Fingerprint | None,
    before_commit: Callable[[], None],
    dry_run: bool,
) -> dict[str, Published]:
    """Bring every load into its table. The caller rolls back if this raises.

    Args:
        session: in which everything happens that is undone or committed together.
        loads: one a table.
        another: opens one more session, for what is committed by itself.
        expect: see `publish`, as for the others.
        before_commit: called before anything is committed.
        dry_run: only tell.

    Raises:
        ConfigError, TransientPublishError, PublishError: see `publish`.
    """
    subject = f"Publishing to {', '.join(str(load.target) for load in loads)}"
    publications = [Publication(session, load) for load in _in_order(session, loads)]
    # 1. Refuse what is impossible before anything is loaded.
    for publication in publications:
        publication.plan()
    with _discarding(session, publications):
        _publish(session, publications, subject, another, expect, before_commit, dry_run)
    return {publication.load.table: publication.published() for publication in publications}


@contextmanager
def _discarding(session: Session, publications: Sequence[Publication]) -> Iterator[None]:
    """Where temporary tables do not go by themselves, remove this run's and those of one that was killed."""
    if not session.dialect.drop_temporary:
        yield
        return
    for publication in publications:
        publication.discard()
    try:
        yield
    finally:
        with suppress(Exception):  # the next run does it
            session.rollback()
            for publication in publications:
                publication.discard()


def _publish(
    session: Session,
    publications: Sequence[Publication],
    subject: str,
    another: Callable[[], AbstractContextManager[Session]],
    expect: Fingerprint | None,
    before_commit: Callable[[], None],
    dry_run: bool,
) -> None:
    # 2. Load; nobody else looks at the staging tables.
    for publication in publications:
        publication.stage()
    with _undone_if_it_fails(session, publications):
        # 3. Wait for other publishers, look again at the targets, which they may have changed, and compare.
        _compare(session, publications, expect, subject, dry_run=dry_run)
        for publication in publications:
            publication.audit()
        if not dry_run and any(publication.apart() for publication in publications):
            # 4. What cannot be part of the transaction is done before; no row changes by it.
            before_commit()
            guarded(session.release, subject)
            for publication in publications:
                publication.altered()
                if publication.apart():
                    with another() as other:
                        _alter(other, publication)
            _compare(session, publications, expect, subject, dry_run=dry_run)
            if any(publication.apart() for publication in publications):
                raise TransientPublishError(
                    f"{subject}: somebody altered a table meanwhile; nothing was written. Run the task again."
                )
            # Others may have published before the targets were locked again.
            for publication in publications:
                publication.audit()
        if not dry_run:
            # 5. Change what differs, unless the caller prevents it at the last moment.
            _merge(publications)
            before_commit()
            renaming = _renaming(session.dialect, publications)
            guarded(lambda: session.commit(renaming), subject, in_doubt=True)
    if not dry_run:
        for publication in publications:
            publication.drop_after()


def _merge(publications: Sequence[Publication]) -> None:
    for publication in publications:
        publication.merge()
    # Who reads a table that has lost a column waits for the commit: as little as possible comes after.
    for publication in publications:
        publication.drop_inside()
    for publication in publications:
        publication.insert_last()


def _compare(
    session: Session,
    publications: Sequence[Publication],
    expect: Fingerprint | None,
    subject: str,
    *,
    dry_run: bool,
) -> None:
    """Begin the transaction; when this returns, all targets are locked and compared."""
    guarded(lambda: session.begin([publication.target for publication in publications]), subject)
    for publication in publications:
        publication.lock()
    if expect:
        made = {publication.target for publication in publications if publication.is_made}
        check(session, expect, made)
    for publication in publications if not dry_run else ():
        publication.prepare()
    for publication in publications:
        publication.compare()


def _alter(session: Session, publication: Publication) -> None:
    """Commit what comes before the transaction, as far as another run has not done it meanwhile.

    Each table by itself: who reads one that is altered does not wait until another one can be.
    """
    subject = f"Publishing to {publication.target}"
    guarded(lambda: session.begin([publication.target]), subject)
    again = Publication(session, publication.load)
    again.lock()
    again.alter(again.apart())
    guarded(session.commit, subject)


@contextmanager
def _undone_if_it_fails(session: Session, publications: Sequence[Publication]) -> Iterator[None]:
    """Leave nothing behind of what was made for a transaction that was not committed."""
    try:
        yield
    except BaseException:
        with suppress(Exception):  # what cannot be undone now, the next run removes
            session.rollback()
            for publication in publications:
                publication.undo()
        raise


def _renaming(dialect: Dialect, publications: Sequence[Publication]) -> str:
    """The statement that gives the tables that were filled under hidden names their own, all at once."""
    renamed = [pair for publication in publications for pair in publication.renamed]
    pairs = ", ".join(f"{old} TO {new}" for old, new in renamed)
    return dialect.appear.format(pairs=pairs) if pairs else ""


def _in_order(session: Session, loads: Sequence[Load]) -> list[Load]:
    """The loads by their tables: two runs that lock the same ones never wait for each other.

    Raises:
        ConfigError: two loads are for the same table.
    """
    dialect = session.dialect
    query = dialect.default_schema
    schema = guarded(lambda: session.fetch(query), "Publishing")[0][0] or "" if query else ""
    ordered: dict[tuple[str, ...], Load] = {}
    for load in loads:
        parts = (load.target.schema or schema, load.target.name)
        identity = tuple(map(dialect.names.fold, parts))
        if identity in ordered:
            raise ConfigError(
                f"{ordered[identity].table} and {load.table} are the same table; publish to each table once."
            )
        ordered[identity] = load
    return [ordered[identity] for identity in sorted(ordered)]
