"""What has to happen to a table so that it can hold the rows, or why it cannot."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_provider_customer360.database.tables import Table
from airflow_provider_customer360.publish.columns import ColumnType, ExistingColumn, type_of
from airflow_provider_customer360.publish.dialect import Dialect
from airflow_provider_customer360.publish.loads import SchemaChange
from airflow_provider_customer360.publish.names import column_names
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
        exact: how the target's texts are compared, where not as they are.
        is_new: the target does not have it, or has one of its name that goes.
        remade: the target's column of its name goes, and this one takes its place.
        widened: what the target's column becomes.
    """

    name: str
    staged: str
    type: ColumnType
    native: str
    is_key: bool
    cast: str | None = None
    exact: str = ""
    is_new: bool = False
    remade: bool = False
    widened: ColumnType | None = None


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
        nulled: columns that the rows no longer have.
        dropped: columns that go, with all their values, once everything else is done.
        inserts_last: one of these refuses every new row.
        key_is_unique: the database guarantees it.
    """

    target: Table
    columns: tuple[Column, ...]
    create: bool
    nulled: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    inserts_last: bool = False
    key_is_unique: bool = True

    @property
    def key(self) -> tuple[Column, ...]:
        """The columns by which rows are told apart."""
        return tuple(column for column in self.columns if column.is_key)

    @property
    def can_be_searched(self) -> bool:
        """Whether the database finds a row of the target by its key."""
        return self.key_is_unique and not any(column.exact for column in self.key)

    @property
    def values(self) -> tuple[Column, ...]:
        """All other columns."""
        return tuple(column for column in self.columns if not column.is_key)

    @property
    def added(self) -> tuple[Column, ...]:
        """Columns that an existing target lacks."""
        new = () if self.create else (column for column in self.columns if column.is_new)
        return tuple(column for column in new if not column.remade)

    @property
    def remade(self) -> tuple[Column, ...]:
        """Columns that take the place of others."""
        return tuple(column for column in self.columns if column.remade)


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
    names = column_names(schema.names, dialect.names)
    columns = {}
    for position, (field, name) in enumerate(zip(schema, names, strict=True)):
        kind, is_key = type_of(field), field.name in key
        native = dialect.native(kind, len(key) if is_key else 0)
        columns[field.name] = Column(name, f"c{position}", kind, native, is_key)
    return (*(columns.pop(name) for name in key), *columns.values())


def make_plan(
    dialect: Dialect,
    target: Table,
    columns: Sequence[Column],
    relation: Relation | None,
    on_schema_change: SchemaChange = "add",
    withheld: Collection[str] = (),
) -> Plan:
    """Compare the rows' columns, the key's first, with the existing table; see `Load` for what is withheld.

    Raises:
        PublishError: the table cannot hold the rows, or would have to change and may not, or would keep what
            is withheld.
    """
    if relation is None:
        return Plan(target, tuple(replace(column, is_new=True) for column in columns), create=True)
    if relation.kind != "table":
        raise PublishError(f"{target} is not a table but a view or the like; give target_table another name.")
    existing = {dialect.names.fold(column.name): column for column in relation.columns}
    found = [existing.pop(dialect.names.fold(column.name), None) for column in columns]
    pairs = list(zip(columns, found, strict=True))
    lacking = [column.name for column, old in pairs if old is None and column.is_key]
    if lacking:
        raise PublishError(
            f"Table {target} has no column {_listed(lacking)}, which is part of its key; add it, drop the "
            "table, or give target_table another name."
        )
    if generated := [old.name for _, old in pairs if old and old.generated]:
        raise PublishError(
            f"The database itself computes {_listed(generated)} of table {target}, and the new rows have "
            "columns of that name; drop or rename them. The table is as it was."
        )
    matched = [_matched(dialect, column, old) for column, old in pairs]
    unfit = [(column, old) for (column, old), fit in zip(pairs, matched, strict=True) if old and not fit]
    may_drop = on_schema_change == "replace" and dialect.drops == "inside"
    if not may_drop or any(column.is_key for column, _ in unfit):
        _refuse_conflicts(target, unfit)
    columns = tuple(
        fit or replace(column, is_new=True, remade=True)
        for (column, _), fit in zip(pairs, matched, strict=True)
    )
    is_unique = relation.is_unique({column.name for column in columns if column.is_key})
    plan = Plan(target, columns, create=False, key_is_unique=is_unique)
    gone = list(existing.values())
    if on_schema_change == "replace":
        return _dropping(dialect, plan, gone)
    names = tuple(column.name for column in gone if _becomes_null(target, column))
    _refuse_to_keep(dialect, target, [column for column in gone if column.name not in names], withheld)
    if on_schema_change == "fail":
        _refuse_changes(plan, names)
    return replace(plan, nulled=names)


def _dropping(dialect: Dialect, plan: Plan, gone: Sequence[ExistingColumn]) -> Plan:
    """The plan that drops columns, whose values nobody touches before."""
    names = tuple(column.name for column in gone)
    if dialect.drops == "never" and names:
        raise PublishError(
            f"Table {plan.target} would lose the columns {_listed(names)}, and whether {dialect.name} could "
            "undo that if the rest failed is not known. The table is as it was. Drop them by hand, or let "
            "on_schema_change be 'add'."
        )
    if dialect.drops == "after":
        for column in gone:
            _becomes_null(plan.target, column)
    return replace(plan, dropped=names, inserts_last=any(map(_must_have_a_value, gone)))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))


def _matched(dialect: Dialect, column: Column, existing: ExistingColumn | None) -> Column | None:
    """The column as it meets the one that exists; None where that can neither hold nor become it."""
    if existing is None:
        return replace(column, is_new=True)
    is_other = existing.collation not in (None, dialect.collation)
    column = replace(column, name=existing.name, exact=dialect.exact_text if is_other else "")
    # Values are converted before they are compared: above 2^53 an integer never equals the double that
    # it was stored as.
    if cast := dialect.converted(column.type, existing):
        return replace(column, cast=cast)
    if existing.native.lower() == column.native.lower() or dialect.fits(column.type, existing):
        return column
    wider = dialect.widened(column.type, existing)
    return replace(column, widened=wider) if wider else None


def _refuse_conflicts(target: Table, unfit: Sequence[tuple[Column, ExistingColumn]]) -> None:
    conflicts = [
        f"{old.name!r} is {old.native or 'without a type'}, the new rows need {column.native}"
        for column, old in unfit
    ]
    if conflicts:
        raise PublishError(
            f"Columns of table {target} cannot hold the new rows exactly: {'; '.join(conflicts)}. Change "
            "their types with ALTER TABLE, drop or rename them (they are then added anew), or give "
            "target_table another name. The table is as it was."
        )


def _refuse_changes(plan: Plan, gone: Sequence[str]) -> None:
    widened = [f"{one.name!r} to {one.widened.kind.name.lower()}" for one in plan.columns if one.widened]
    changes = {
        "new": _listed([column.name for column in plan.added]),
        "gone": _listed(gone),
        "of another type": ", ".join(widened),
    }
    told = "; ".join(f"{what}: {names}" for what, names in changes.items() if names)
    if told:
        raise PublishError(
            f"The columns of table {plan.target} would change ({told}), and on_schema_change is 'fail'. The "
            "table is as it was. Alter it, name the columns in identifiers, metrics and attributes, or let "
            "on_schema_change be 'add'."
        )


def _refuse_to_keep(
    dialect: Dialect, target: Table, kept: Sequence[ExistingColumn], withheld: Collection[str]
) -> None:
    known = set(map(dialect.names.fold, column_names(list(withheld), dialect.names)))
    found = [one.name for one in kept if dialect.names.fold(one.name) in known and not one.generated]
    if found:
        raise PublishError(
            f"Table {target} would keep the values of {_listed(found)}, which are not to be published and "
            "cannot become NULL there; drop the column, or let it be NULL. The table is as it was."
        )


def _must_have_a_value(column: ExistingColumn) -> bool:
    return column.required and not column.has_default and not column.generated


def _becomes_null(target: Table, column: ExistingColumn) -> bool:
    if _must_have_a_value(column):
        raise PublishError(
            f"Column {column.name!r} of table {target} refuses NULL and is not among the new rows' columns; "
            "drop the column or its NOT NULL, or give it a default. The table is as it was."
        )
    return not column.generated and not column.required
