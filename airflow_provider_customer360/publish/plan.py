"""What has to happen to a table so that it can hold the rows, or why it cannot."""

from __future__ import annotations

from collections.abc import Collection, Sequence
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
    """A column of the rows on its way to the table.

    Attributes:
        name: in the target.
        staged: in the staging table, where names are positions: no user's name meets another there.
        type: what it holds.
        native: its type in the staging table and in a new target.
        is_key: it is a column of the key.
        cast: the target's type where values are converted before they are compared.
    """

    name: str
    staged: str
    type: ColumnType
    native: str
    is_key: bool
    cast: str | None = None


@dataclass(frozen=True)
class Relation:
    """A table or view as the database describes it."""

    kind: str
    columns: tuple[ExistingColumn, ...]

    def is_unique(self, names: Collection[str]) -> bool:
        """Whether the database guarantees that no two rows have the same values in these columns."""
        indexes: dict[str, set[str]] = {}
        for column in self.columns:
            for index in (column.unique_in or "").split():
                indexes.setdefault(index, set()).add(column.name)
        return any(index.issubset(names) for index in indexes.values())


@dataclass(frozen=True)
class Plan:
    """How the target comes to hold what is in the staging table.

    Attributes:
        columns: those of the rows; the key's come first.
        create: the target does not exist.
        added: columns that the target lacks.
        widened: columns whose type has to become another, with that type.
        nulled: columns that the rows no longer have.
        key_is_unique: the database guarantees it.
    """

    target: Table
    columns: tuple[Column, ...]
    create: bool
    added: tuple[Column, ...] = ()
    widened: tuple[tuple[str, str], ...] = ()
    nulled: tuple[str, ...] = ()
    key_is_unique: bool = True

    @property
    def key(self) -> tuple[Column, ...]:
        """The columns by which rows are told apart."""
        return tuple(column for column in self.columns if column.is_key)

    @property
    def values(self) -> tuple[Column, ...]:
        """All other columns."""
        return tuple(column for column in self.columns if not column.is_key)


def columns_of(schema: pa.Schema, key: Sequence[str], dialect: Dialect) -> tuple[Column, ...]:
    """The columns of rows, the key's first whatever their position; ``staged`` tells the position.

    Raises:
        ConfigError: no such key, or two columns of one name.
        PublishError: an Arrow type that no column is meant for.
    """
    is_key = bool(key) and set(key) <= set(schema.names) and len(set(key)) == len(key)
    if not is_key or len(set(schema.names)) != len(schema.names):
        raise ConfigError(
            f"The rows have the columns {', '.join(schema.names)}; the key {_listed(key)} must be one or "
            "more of them, and no name may come twice."
        )
    names = column_names(schema.names, max_bytes=dialect.max_name_bytes, folds_case=dialect.folds_case)
    columns = {
        field.name: Column(name, f"c{position}", kind, dialect.native(kind), field.name in key)
        for position, (field, name, kind) in enumerate(zip(schema, names, map(type_of, schema), strict=True))
    }
    return (*(columns.pop(name) for name in key), *columns.values())


def make_plan(dialect: Dialect, target: Table, columns: Sequence[Column], relation: Relation | None) -> Plan:
    """Compare the rows' columns, the key's first, with the existing table.

    Raises:
        PublishError: the table cannot hold the rows.
    """
    if relation is None:
        return Plan(target, tuple(columns), create=True)
    if relation.kind != "table":
        raise PublishError(f"{target} is not a table but a view or the like; give target_table another name.")
    existing = {fold(column.name, dialect.folds_case): column for column in relation.columns}
    found = [existing.pop(fold(column.name, dialect.folds_case), None) for column in columns]
    pairs = list(zip(columns, found, strict=True))
    added = tuple(column for column, old in pairs if old is None)
    lacking = [column.name for column in added if column.is_key]
    if lacking:
        raise PublishError(
            f"Table {target} has no column {_listed(lacking)}, which is part of its key; add it, drop the "
            "table, or give target_table another name."
        )
    matched = tuple(_matched(dialect, column, old) for column, old in pairs)
    return Plan(
        target,
        matched,
        create=False,
        added=added,
        widened=_widened(dialect, target, [(column, old) for column, old in pairs if old is not None]),
        nulled=tuple(column.name for column in existing.values() if _becomes_null(target, column)),
        key_is_unique=relation.is_unique({column.name for column in matched if column.is_key}),
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))


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
        f"{old.name!r} is {old.native or 'without a type'}, the new rows need {column.native}"
        for (column, old), (_, wide) in zip(tight, wider, strict=True)
        if wide is None
    ]
    if conflicts:
        raise PublishError(
            f"Columns of table {target} cannot hold the new rows exactly: {'; '.join(conflicts)}. Change "
            "their types with ALTER TABLE, drop or rename them (they are then added anew), or give "
            "target_table another name. The table is as it was."
        )
    return tuple((name, wide) for name, wide in wider if wide)


def _becomes_null(target: Table, column: ExistingColumn) -> bool:
    if column.required and not column.has_default and not column.generated:
        raise PublishError(
            f"Column {column.name!r} of table {target} refuses NULL and is not among the new rows' columns; "
            "drop the column or its NOT NULL, or give it a default. The table is as it was."
        )
    return not column.generated and not column.required
