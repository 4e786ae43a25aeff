"""What statements and loading need to know about a database; the databases themselves are in `dialects`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from airflow_provider_customer360.publish.columns import (
    ColumnType,
    ExistingColumn,
    Kind,
    base_of,
    decimal_fits,
    is_wider,
    widened,
)
from airflow_provider_customer360.publish.names import NameRules

#: Column types whose values are binary fractions: an integer is converted before it is compared.
FLOATING = frozenset({"double precision", "double", "real", "float"})

# How rows of the target take values from staged ones. `staged` is the staged rows, `differing` are those
# that differ, `is_changed` tells the changed from the new ones, and `matches` says that a staged row has
# the key of the target's; with `join`, the target is read first where it cannot be searched.
UPDATE_FROM = "UPDATE {target} SET {assignments} FROM {differing} WHERE {is_changed} AND {matches}"
UPDATE_JOIN = "UPDATE {target} {join} ({differing}) ON {matches} SET {assignments} WHERE {is_changed}"
UPDATE_EACH = (
    "UPDATE {target} SET {assignments} "
    "WHERE EXISTS (SELECT 1 FROM {differing} WHERE {is_changed} AND {matches})"
)
ASSIGN_EACH = "{column} = (SELECT {value} FROM {staged} WHERE {matches})"


@dataclass(frozen=True)
class Attempts:
    """Statements around an alteration that is part of a transaction.

    Attributes:
        begin: what an attempt begins with.
        undo: undoes the attempt and nothing else.
        end: after an attempt that came through; ``{seconds}`` is how long a connection may wait.
        waited: code of the error that says that it has waited for its moment.
    """

    begin: tuple[str, ...]
    undo: str
    end: str
    waited: str


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How a database differs from others.

    Attributes:
        name: for messages.
        types: kind of column to the type of a new column; ``{p}`` and ``{s}`` are a decimal's digits.
        key_text: type of a new text column that is part of a key, where it is another one; ``{n}`` are
            its characters.
        key_characters: the most that all texts of a key have together.
        casts: kind of column to the type in a CAST, where that is not the column's.
        holds: kind of column to the names of existing types that hold each of its values exactly (and
            bigint in a double, which is what a sum beyond 2^53 is stored as wherever people chose it).
        max_digits: of a decimal; those of more digits are of the type `more_digits`, a text.
        sized: the number in ``varchar(10)`` and ``numeric(10, 2)`` is a limit, not a remark.
        long_text_refused: a column of limited texts may be used, since a longer one is an error.
        decimals: existing types that hold integers and decimals if their digits suffice.
        settings: statements with which a connection begins; ``{seconds}`` is how long it may wait.
        describe: the query for an existing table, parameters schema (or null) and name; a row for each
            column: kind of relation, name, type, required, has default, generated, the unique indexes
            that it is part of.
        default_schema: the query for the schema of a table whose name states none.
        temporary: statement that makes a table which goes with the connection; ``{index}`` is its key.
        drop_temporary: statement that removes such a table where it does not go with the connection; of
            one that a run which was killed has left, the next one makes use.
        index_each: statement that indexes a column of the key of a table that was just made, where one
            index of all of them could become too long.
        after_load: statement that prepares a loaded temporary table for joins by its key.
        after_compare: statement that prepares the table of differences for what follows.
        primary_key: what a new table has for its key; empty for nothing.
        composite_key: the same for a key of several columns, where that is something else.
        table_options: what follows the columns of a new table.
        turns_by_rows: publishers take turns as `turns` has it, for the database has nothing better.
        begin: statement after which no other publisher touches the target, parameters as of `describe`.
        lock: statement after which nobody else writes to the existing target; readers go on.
        creates: a new table appears with the commit ("inside" the transaction); it is filled under a
            "hidden" name and renamed when that is committed; or it is made empty "before" the transaction.
        appear: statement that gives hidden tables their names, all at once; ``{pairs}`` are the names.
        alters_apart: altering a table commits, or makes its readers wait until the commit: it is done
            before the transaction, by itself.
        attempts: how an alteration is tried for a moment, over and over; None where nobody waits behind it.
        add: statement that adds a column.
        widen: statements that give an existing column another type.
        collation: of the texts of new tables, in which each differs from every other one.
        exact_text: a text ``{old}`` of any other collation in that one; no index of its column is used then.
        scans: without an index by which it finds a row, it reads a table for each staged row anew.
        drop: statement that drops a column.
        drops: columns are dropped at the end of the transaction ("inside"), "after" its commit because that
            would commit, or "never" because nobody knows.
        update: how changed rows are written, one of the UPDATE_ templates.
        assign: an assignment in it.
        assign_null: one of NULL.
        differs: condition that two values differ, of which either may be null.
        differs_text: the same for texts, where it is another one.
        counts_rows: its drivers tell how many rows a statement has touched, or that they do not know: -1.
        nested_with: a WITH inside of a subquery may read what the one around it defines.
        names: which names there can be, and which of them are the same column.
    """

    name: str
    types: Mapping[Kind, str]
    key_text: str = ""
    key_characters: int = 0
    casts: Mapping[Kind, str] = field(default_factory=dict)
    holds: Mapping[Kind, frozenset[str]]
    max_digits: int = 38
    more_digits: str = ""
    sized: bool = True
    long_text_refused: bool = False
    decimals: frozenset[str]
    settings: tuple[str, ...] = ()
    describe: str
    default_schema: str = "SELECT current_schema()"
    temporary: str = "CREATE TEMPORARY TABLE {name} ({columns})"
    drop_temporary: str = ""
    index_each: str = ""
    after_load: str = ""
    after_compare: str = ""
    primary_key: str = "PRIMARY KEY ({index})"
    composite_key: str | None = None
    table_options: str = ""
    turns_by_rows: bool = False
    begin: str = ""
    lock: str = ""
    creates: Literal["inside", "hidden", "before"] = "inside"
    appear: str = ""
    alters_apart: bool = False
    attempts: Attempts | None = None
    add: str = "ALTER TABLE {target} ADD COLUMN {column} {type}"
    widen: tuple[str, ...]
    collation: str = ""
    exact_text: str = ""
    scans: bool = False
    drop: str = "ALTER TABLE {target} DROP COLUMN {column}"
    drops: Literal["inside", "after", "never"] = "inside"
    update: str = UPDATE_FROM
    assign: str = "{column} = {value}"
    assign_null: str = "{column} = NULL"
    differs: str = "{new} IS DISTINCT FROM {old}"
    differs_text: str = ""
    counts_rows: bool = False
    nested_with: bool = True
    names: NameRules = field(default_factory=NameRules)

    def native(self, column: ColumnType, key_columns: int = 0) -> str:
        """The type of a new column; ``key_columns`` is the size of the key that it is part of."""
        if key_columns and self.key_text and column.kind is Kind.TEXT:
            return self.key_text.format(n=self.key_characters // key_columns)
        if column.kind is Kind.DECIMAL and column.precision > self.max_digits:
            return self.more_digits
        return self.types[column.kind].format(p=column.precision, s=column.scale)

    def added(self, column: ColumnType, native: str) -> str:
        """The type of a column of a table that exists: its texts are not of the table's own collation."""
        is_text = column.kind is Kind.TEXT and self.collation
        return f"{native} COLLATE {self.collation}" if is_text else native

    def cast(self, column: ColumnType) -> str:
        """The type in a CAST."""
        if column.kind not in self.casts:
            return self.native(column)
        return self.casts[column.kind].format(p=column.precision, s=column.scale)

    def fits(self, column: ColumnType, existing: ExistingColumn) -> bool:
        """Whether the existing column holds every value of the column exactly."""
        base, size = base_of(existing.native)
        if base in self.decimals and size and self.sized:
            return decimal_fits(column, *size[:2])
        limited = self.sized and not (self.long_text_refused and column.kind is Kind.TEXT)
        return base in self.holds[column.kind] and not (size and limited)

    def widened(self, column: ColumnType, existing: ExistingColumn) -> ColumnType | None:
        """What the existing column has to become to hold the column's values, where it may."""
        old = self._own(existing)
        return widened(old, column) if old else None

    def converted(self, column: ColumnType, existing: ExistingColumn) -> str | None:
        """The existing type where an earlier run has widened it beyond what the column needs now."""
        base = base_of(existing.native)[0]
        if column.kind is Kind.INTEGER and base in FLOATING & self.holds[Kind.INTEGER]:
            return self.cast(ColumnType(Kind.FLOAT))
        old = self._own(existing)
        # Whether a decimal suffices is a matter of its digits.
        wider = old and old.kind not in (column.kind, Kind.DECIMAL) and is_wider(old.kind, column.kind)
        return self.cast(old) if old and wider else None

    def _own(self, existing: ExistingColumn) -> ColumnType | None:
        """The column type that an existing column was created for, if it is of a type that we create."""
        base, size = base_of(existing.native)
        own = (kind for kind in self.types if base_of(self.native(ColumnType(kind)))[0] == base)
        kind = next(own, None)
        if kind is Kind.DECIMAL:
            return ColumnType(kind, *size[:2]) if len(size) > 1 else None
        return ColumnType(kind) if kind and (not size or not self.sized_type(kind)) else None

    def sized_type(self, kind: Kind) -> bool:
        """Whether the number in an existing type of this kind makes it another one than ours."""
        return "(" not in self.types[kind]
