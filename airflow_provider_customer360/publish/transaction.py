"""The one transaction in which all tables change, or none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from airflow_provider_customer360.database.tables import Table
from airflow_provider_customer360.publish.failures import guarded
from airflow_provider_customer360.publish.fingerprints import Fingerprint, check
from airflow_provider_customer360.publish.loads import Load, Published
from airflow_provider_customer360.publish.names import check_length, fold
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
            check_length(table, session.dialect)
        yield session
    except BaseException:
        with suppress(Exception):  # the connection may be what failed
            session.rollback()
        raise
    finally:
        with suppress(Exception):
            session.close()


def publish_all(
    session: Session, loads: Sequence[Load], expect: Fingerprint | None, before_commit: Callable[[], None]
) -> dict[str, Published]:
    """Bring every load into its table. The caller rolls back if this raises.

    Raises:
        ConfigError, TransientPublishError, PublishError: see `publish`.
    """
    subject = f"Publishing to {', '.join(str(load.target) for load in loads)}"
    loads = _in_order(session, loads)
    publications = {load.table: Publication(session, load) for load in loads}
    # 1. Refuse what is impossible before anything is loaded.
    for publication in publications.values():
        publication.plan()
    # 2. Load; only this connection sees the staging tables.
    staged = {table: publication.stage() for table, publication in publications.items()}
    # 3. Wait for other publishers, then look at the targets again: they may have changed them.
    guarded(lambda: session.begin([load.target for load in loads]), subject)
    plans = {table: publication.lock() for table, publication in publications.items()}
    if expect:
        check(session, expect)
    # 4. Change what differs.
    published = {
        table: publication.merge(plans[table], staged[table]) for table, publication in publications.items()
    }
    # 5. The last moment at which the caller can prevent it.
    before_commit()
    guarded(session.commit, subject)
    return published


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
        identity = tuple(fold(part, dialect.folds_case) for part in parts)
        if identity in ordered:
            raise ConfigError(
                f"{ordered[identity].table} and {load.table} are the same table; publish to each table once."
            )
        ordered[identity] = load
    return [ordered[identity] for identity in sorted(ordered)]
