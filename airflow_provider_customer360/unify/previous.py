"""The identities that the run before published, as this run reads them."""

from __future__ import annotations

from typing import Any

from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.errors import SourceError
from airflow_provider_customer360.unify.reading import read_table

#: The columns of published identities that the next run needs, with their types.
COLUMNS = {
    "identifier_type": "VARCHAR",
    "identifier_value": "VARCHAR",
    "customer_id": "VARCHAR",
    "status": "VARCHAR",
    "first_seen": "TIMESTAMP",
    "last_seen": "TIMESTAMP",
    "records": "BIGINT",
    "data_sources": "BIGINT",
}


def read_previous(engine: Engine, data: Any) -> None:
    """Make ``previous_identities``, without rows on a first run.

    Raises:
        SourceError: they cannot be read, or are not as this package published them.
    """
    definitions = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    engine.run(f"CREATE OR REPLACE TABLE previous_identities ({definitions})")
    if data is None:
        return
    staged = read_table(engine, "the previous identities", "previous_source", data)
    if not staged.rows:
        return
    found = {column.name: column for column in staged.columns}
    missing = [name for name in COLUMNS if name not in found]
    if missing:
        raise SourceError(
            f"The previous identities have no column {', '.join(map(repr, missing))}; they must be as this "
            f"package published them. Columns: {', '.join(found)}."
        )
    items = [f"{_cast(found[name].internal, kind)} AS {name}" for name, kind in COLUMNS.items()]
    engine.run(
        f"INSERT INTO previous_identities SELECT {', '.join(items)} FROM previous_source",
        doing="reading the previous identities",
    )
    _check(engine)


def past_types(engine: Engine) -> frozenset[str]:
    """The identifier types that earlier runs remember."""
    return frozenset(
        name for (name,) in engine.rows("SELECT DISTINCT identifier_type FROM previous_identities")
    )


def _check(engine: Engine) -> None:
    """Refuse identities that this package cannot have published: ids would be lost without a word."""
    unknown, without, repeated = engine.row(
        "SELECT count(*) FILTER (status IS NULL "
        "OR status NOT IN ('linked', 'shared', 'absent', 'absorbed')), "
        "count(*) FILTER (customer_id IS NULL AND status <> 'shared'), "
        "count(*) - count(DISTINCT {'type': identifier_type, 'value': identifier_value}) "
        "FROM previous_identities"
    )
    if unknown or without or repeated:
        raise SourceError(
            f"The previous identities are not as this package published them: {unknown:,} rows have no known "
            f"status, {without:,} lack the customer_id that their status needs, {repeated:,} repeat an "
            "identifier. Restore the table, or name another identities_table to start anew."
        )


def _cast(column: str, kind: str) -> str:
    if kind == "TIMESTAMP":  # instants, which SQLite keeps as text
        return f"(TRY_CAST(({column})::VARCHAR AS TIMESTAMPTZ) AT TIME ZONE 'UTC')"
    return f"({column})::{kind}"
