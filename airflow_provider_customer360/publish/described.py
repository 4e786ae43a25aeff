"""A table as any ADBC driver describes it: what `Dialect.describe` asks a known database for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from airflow_provider_customer360.database.tables import Table
from airflow_provider_customer360.publish.columns import type_of
from airflow_provider_customer360.publish.dialects import GENERIC
from airflow_provider_customer360.unify.errors import PublishError

if TYPE_CHECKING:
    import pyarrow as pa


def described(connection: Any, table: Table) -> list[tuple[Any, ...]]:
    """A row for each column, as of `Dialect.describe`; no rows: there is no such table."""
    found = _found(connection, table)
    if found is None:
        return []
    kind = "view" if "view" in found["table_type"].lower() else "table"
    told = {column["column_name"]: column for column in found["table_columns"] or []}
    return [
        (
            kind,
            field.name,
            _native(field),
            told.get(field.name, {}).get("xdbc_is_nullable") == "NO",
            told.get(field.name, {}).get("xdbc_column_def") is not None,
            bool(told.get(field.name, {}).get("xdbc_is_generatedcolumn")),
            None,  # some databases list unique keys and do not enforce them
        )
        for field in _schema(connection, table)
    ]


def _found(connection: Any, table: Table) -> dict[str, Any] | None:
    schema = connection.adbc_current_db_schema if table.schema is None else table.schema
    catalogs = connection.adbc_get_objects(
        depth="columns",
        catalog_filter=connection.adbc_current_catalog,
        db_schema_filter=_pattern(schema),
        table_name_filter=_pattern(table.name),
    )
    tables = _tables(catalogs.read_all().to_pylist(), connection.adbc_current_catalog, schema)
    return next((one for one in tables if one["table_name"] == table.name), None)


def _tables(catalogs: list[dict[str, Any]], catalog: str, schema: str) -> Iterator[dict[str, Any]]:
    for one in catalogs:
        for part in one["catalog_db_schemas"] or [] if one["catalog_name"] == catalog else []:
            if part["db_schema_name"] == schema:
                yield from part["db_schema_tables"] or []


def _pattern(name: str) -> str:
    # A pattern of LIKE, and how a driver quotes one is its own business: what is no plain letter is any.
    return re.sub("[^0-9A-Za-z]", "_", name)


def _schema(connection: Any, table: Table) -> pa.Schema:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table.quoted} WHERE 1 = 0")
        return cursor.fetch_arrow_table().schema


def _native(field: pa.Field) -> str:
    """The type in the words of the standard; of a type that we never create, in Arrow's."""
    import pyarrow as pa

    kind = field.type
    if pa.types.is_timestamp(kind) and kind.unit in ("us", "ns"):
        field = pa.field(field.name, pa.timestamp("us", "UTC" if kind.tz else None))
    elif pa.types.is_large_string(kind):
        field = pa.field(field.name, pa.string())
    try:
        return GENERIC.native(type_of(field))
    except PublishError:
        return str(kind)
