"""What has to happen to a table so that it can hold the profiles, or why it cannot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_provider_customer360.database.tables import Table
from airflow_provider_customer360.publish.columns import ColumnType, ExistingColumn, type_of
from airflow_provider_customer360.publish.dialects import Dialect
from airflow_provider_customer360.publish.names import column_names, fold
from airflow_provider_customer360.unify.errors import ConfigError, PublishError

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Column:
    """A column of the profiles on its way to the table.

    Attributes:
        name: in the target.
        staged: in the staging table, where names are positions: no user's name meets another there.
        type: what it holds.
        native: its type in the staging table and in a new target.
        cast: the target's type where values are converted before they are compared.
    """

    name: str
    staged: str
    type: ColumnType
    native: str
    cast: str | None = None


@dataclass(frozen=True)
class Relation:
    """A table or view as the database describes it."""

    kind: str
    columns: tuple[ExistingColumn, ...]


@dataclass(frozen=True)
class Plan:
    """How the target becomes equal to the staging table.

    Attributes:
        key, values: the columns of the profiles.
        create: the target does not exist.
        added: columns that the target lacks.
        widened: columns whose type has to become another, with that type.
        nulled: columns that the profiles no longer have.
        key_is_unique: the database guarantees it.
    """

    target: Table
    key: Column
    values: tuple[Column, ...]
    create: bool
    added: tuple[Column, ...] = ()
    widened: tuple[tuple[str, str], ...] = ()
    nulled: tuple[str, ...] = ()
    key_is_unique: bool = True

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns; the key is the first one."""
        return (self.key, *self.values)


def columns_of(schema: pa.Schema, key: str, dialect: Dialect) -> tuple[Column, ...]:
    """The columns of profiles, the key first whatever its position; ``staged`` tells the position.

    Raises:
        ConfigError: no such key, or two columns of one name.
        PublishError: an Arrow type that no column is meant for.
    """
    if key not in schema.names or len(set(schema.names)) != len(schema.names):
        raise ConfigError(
            f"The profiles have the columns {', '.join(schema.names)}; the key {key!r} must be one of "
            "them, and no name may come twice."
        )
    names = column_names(schema.names, max_bytes=dialect.max_name_bytes, folds_case=dialect.folds_case)
    columns = [
        Column(name, f"c{position}", column_type, dialect.native(column_type))
        for position, (name, column_type) in enumerate(zip(names, map(type_of, schema), strict=True))
    ]
    columns.insert(0, columns.pop(schema.names.index(key)))
    return tuple(columns)


def make_plan(dialect: Dialect, target: Table, columns: Sequence[Column], relation: Relation | None) -> Plan:
    """Compare the profiles' columns, the key first, with the existing table.

    Raises:
        PublishError: the table cannot become equal to the profiles.
    """
    if relation is None:
        return Plan(target, columns[0], tuple(columns[1:]), create=True)
    if relation.kind != "table":
        raise PublishError(f"{target} is not a table but a view or the like; give target_table another name.")
    existing = {fold(column.name, dialect.folds_case): column for column in relation.columns}
    found = [existing.pop(fold(column.name, dialect.folds_case), None) for column in columns]
    key = found[0]
    if key is None:
        raise PublishError(
            f"Table {target} has no column {columns[0].name!r}, the key of the profiles; add it, drop the "
            "table, or give target_table another name."
        )
    matched = tuple(_matched(dialect, column, old) for column, old in zip(columns, found, strict=True))
    pairs = [(column, old) for column, old in zip(columns, found, strict=True) if old is not None]
    return Plan(
        target,
        matched[0],
        matched[1:],
        create=False,
        added=tuple(column for column, old in zip(columns, found, strict=True) if old is None),
        widened=_widened(dialect, target, pairs),
        nulled=tuple(column.name for column in existing.values() if _becomes_null(target, column)),
        key_is_unique=key.unique,
    )


def _matched(dialect: Dialect, column: Column, existing: ExistingColumn | None) -> Column:
    if existing is None:
        return column
    # Values are converted before they are compared: above 2^53 an integer never equals the double that
    # it was stored as.
    return replace(column, name=existing.name, cast=dialect.converted(column.type, existing))


def _widened(
    dialect: Dialect, target: Table, pairs: Sequence[tuple[Column, ExistingColumn]]
) -> tuple[tuple[str, str], ...]:
    """The existing columns that need a wider type, with that type."""
    tight = [
        (column, old)
        for column, old in pairs
        if not dialect.fits(column.type, old) and not dialect.converted(column.type, old)
    ]
    wider = [(old.name, dialect.widened(column.type, old)) for column, old in tight]
    conflicts = [
        f"{old.name!r} is {old.native or 'without a type'}, the profiles need {column.native}"
        for (column, old), (_, wide) in zip(tight, wider, strict=True)
        if wide is None
    ]
    if conflicts:
        raise PublishError(
            f"Columns of table {target} cannot hold the profiles exactly: {'; '.join(conflicts)}. Change "
            "their types with ALTER TABLE, drop or rename them (they are then added anew), or give "
            "target_table another name. The table is as it was."
        )
    return tuple((name, wide) for name, wide in wider if wide)


def _becomes_null(target: Table, column: ExistingColumn) -> bool:
    if column.required and not column.has_default and not column.generated:
        raise PublishError(
            f"Column {column.name!r} of table {target} refuses NULL and is not among the profiles' columns; "
            "drop the column or its NOT NULL, or give it a default. The table is as it was."
        )
    return not column.generated and not column.required
