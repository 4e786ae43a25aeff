"""The SQL of publishing: pure functions from a plan to text. Names come in quoted, values never."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from airflow_provider_customer360.database.tables import Table
from airflow_provider_customer360.publish.columns import ColumnType, Kind
from airflow_provider_customer360.publish.dialect import Dialect
from airflow_provider_customer360.publish.plan import Column, Plan
from airflow_provider_customer360.unify.quoting import quoted

#: Every table that publishing makes for itself begins like this; no target does by accident.
PREFIX = "customer360_"
#: What statements call a staged row, a difference and another row: a target may be called s.
S, D, R = f"{PREFIX}s", f"{PREFIX}d", f"{PREFIX}r"


@dataclass(frozen=True)
class Temporaries:
    """The names of the tables that publishing to one target needs for a while, quoted."""

    staging: str
    differences: str
    snapshot: str
    oldest: str
    removals: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        """All these names."""
        return (self.staging, self.differences, self.snapshot, self.oldest, *self.removals)

    @classmethod
    def of(cls, target: Table, removals: int) -> Temporaries:
        """Names that follow from the target's, so that a later run finds what an earlier one left."""
        names = ["staging", "changes", "snapshot", "oldest", *(f"removal{i}" for i in range(removals))]
        made = [quoted(temporary_name(what, target)) for what in names]
        return cls(made[0], made[1], made[2], made[3], tuple(made[4:]))


def temporary_name(what: str, target: Table) -> str:
    """A name that no target has by accident, for a temporary table would hide it."""
    return f"{PREFIX}{what}_{hashlib.sha256(target.quoted.encode()).hexdigest()[:8]}"


def create_temporary(
    dialect: Dialect, name: str, columns: Sequence[tuple[str, str]], key: Sequence[str]
) -> list[str]:
    """A table for a while: whatever kills the process, it goes with the connection or in the next run."""
    definitions = ", ".join(f"{column} {native}" for column, native in columns)
    create = dialect.temporary.format(
        name=name, columns=definitions, index=", ".join(key), options=dialect.table_options
    )
    return [create.strip(), *_index_each(dialect, name, name.strip('"'), key)]


def _index_each(dialect: Dialect, table: str, prefix: str, columns: Sequence[str]) -> list[str]:
    names = [quoted(f"{prefix}_{number}") for number in range(len(columns) if dialect.index_each else 0)]
    return [
        dialect.index_each.format(name=name, table=table, column=column)
        for name, column in zip(names, columns, strict=False)
    ]


def after_load(dialect: Dialect, name: str, key: Sequence[str]) -> str:
    """Prepare a loaded temporary table for joins; empty where nothing is needed."""
    return dialect.after_load.format(name=name, key_name=quoted(name.strip('"') + "_i"), index=", ".join(key))


def staged_columns(columns: Sequence[Column]) -> list[tuple[str, str]]:
    """The columns of the staging table in the order of the rows."""
    by_position = sorted(columns, key=lambda column: int(column.staged[1:]))
    return [(one.staged, one.native + (" NOT NULL" if one.is_key else "")) for one in by_position]


def staged_key(key: Sequence[Column]) -> list[str]:
    """The key's columns in the staging table and that of differences."""
    return [column.staged for column in key]


def repeated_key(staging: str, key: Sequence[Column]) -> str:
    """A row if two staged rows have the same key."""
    return f"SELECT 1 FROM {staging} GROUP BY {', '.join(staged_key(key))} HAVING count(*) > 1"


def lock(dialect: Dialect, target: Table) -> str:
    """Keep other writers from the target; empty where beginning did that."""
    return dialect.lock.format(target=target.quoted) if dialect.lock else ""


def hidden(what: str, target: Table) -> Table:
    """A table, in the target's schema, that is to become the target ("new"), or its first name ("old")."""
    return Table(target.schema, temporary_name(what, target))


def hidden_tables(dialect: Dialect, target: Table) -> list[Table]:
    """The hidden tables that there may be."""
    return [hidden(what, target) for what in ("new", "old")] if dialect.creates == "hidden" else []


def create_hidden(dialect: Dialect, plan: Plan) -> list[str]:
    """Make the table that is to become the target."""
    made, new = hidden("old", plan.target), hidden("new", plan.target)
    # That a user may not rename is better known now than when everything else is committed.
    return [
        *create_target(dialect, plan, made.quoted),
        dialect.appear.format(pairs=f"{made.quoted} TO {new.quoted}"),
    ]


def create_target(dialect: Dialect, plan: Plan, name: str) -> list[str]:
    """A table for the rows, with indexes where its key is no primary one."""
    definitions = [
        f"{quoted(column.name)} {column.native}{' NOT NULL' if column.is_key else ''}"
        for column in plan.columns
    ]
    names = [quoted(column.name) for column in plan.key]
    key = dialect.primary_key
    if len(names) > 1 and dialect.composite_key is not None:
        key = dialect.composite_key
    if key:
        definitions.append(key.format(index=", ".join(names)))
    create = f"CREATE TABLE {name} ({', '.join(definitions)}) {dialect.table_options}".strip()
    return [create, *_index_each(dialect, name, temporary_name("key", plan.target), [] if key else names)]


def alter(dialect: Dialect, plan: Plan) -> list[str]:
    """Give an existing target the columns and types that it lacks; empty if it has them."""
    target = plan.target.quoted
    statements = [_add(dialect, plan, column) for column in plan.added]
    for column in plan.columns:
        if column.widened:
            native = dialect.native(column.widened, len(plan.key) if column.is_key else 0)
            native = dialect.added(column.widened, native)
            statements += _widen(dialect, target, column.name, column.widened, native)
    return statements


def remake(dialect: Dialect, plan: Plan) -> list[str]:
    """Put new columns into the place of those whose values they could not hold."""
    pairs = [(_drop(dialect, plan, column.name), _add(dialect, plan, column)) for column in plan.remade]
    return [statement for pair in pairs for statement in pair]


def drop(dialect: Dialect, plan: Plan) -> list[str]:
    """Drop the columns that go."""
    return [_drop(dialect, plan, name) for name in plan.dropped]


def _add(dialect: Dialect, plan: Plan, column: Column) -> str:
    native = dialect.added(column.type, column.native)
    return dialect.add.format(target=plan.target.quoted, column=quoted(column.name), type=native)


def _drop(dialect: Dialect, plan: Plan, name: str) -> str:
    return dialect.drop.format(target=plan.target.quoted, column=quoted(name))


def _widen(dialect: Dialect, target: str, name: str, wider: ColumnType, native: str) -> list[str]:
    old = quoted(f"{PREFIX}old_{hashlib.sha256(name.encode()).hexdigest()[:8]}")
    return [
        one.format(target=target, column=quoted(name), type=native, cast=dialect.cast(wider), old=old)
        for one in dialect.widen
    ]


def repeated_in_target(plan: Plan) -> str:
    """The condition that a row's key comes twice: which of them is right cannot be told."""
    names = {f"c{number}": _old(plan, column) for number, column in enumerate(plan.key)}
    key = ", ".join(f"{old} AS {name}" for name, old in names.items())
    repeated = (
        f"SELECT {key} FROM {plan.target.quoted} GROUP BY {', '.join(names.values())} HAVING count(*) > 1"
    )
    same = " AND ".join(f"{R}.{name} = {old}" for name, old in names.items())
    return f"EXISTS (SELECT 1 FROM ({repeated}) {R} WHERE {same})"


def find_differences(dialect: Dialect, tables: Temporaries, plan: Plan, *, changed: bool) -> list[str]:
    """Fill the table of differences: the key of each staged row that is new or, if wanted, changed."""
    key = ", ".join(f"{S}.{column.staged}" for column in plan.key)
    insert = f"INSERT INTO {tables.differences} ({', '.join(staged_key(plan.key))}, is_new)"
    if plan.create:
        return [f"{insert} SELECT {key}, 1 FROM {tables.staging} {S}"]
    if dialect.scans and not plan.can_be_searched:
        differing = " OR ".join(_differing(dialect, plan) if changed else ()) or "1 = 0"
        return [
            f"{insert} SELECT {key}, CASE WHEN {differing} THEN 0 ELSE 2 END FROM {plan.target.quoted} "
            f"STRAIGHT_JOIN {tables.staging} {S} ON {_same_key(plan)}",
            f"{insert} SELECT {key}, 1 FROM {tables.staging} {S} LEFT JOIN {tables.differences} {D} "
            f"ON {_same_staged_key(plan)} WHERE {D}.is_new IS NULL",
            f"DELETE FROM {tables.differences} WHERE is_new = 2",
        ]
    is_new = f"{_old(plan, plan.key[0])} IS NULL"
    wanted = [is_new, *(_differing(dialect, plan) if changed else ())]
    return [
        f"{insert} SELECT {key}, CASE WHEN {is_new} THEN 1 ELSE 0 END "
        f"FROM {tables.staging} {S} LEFT JOIN {plan.target.quoted} ON {_same_key(plan)} "
        f"WHERE {' OR '.join(wanted)}"
    ]


def _differing(dialect: Dialect, plan: Plan) -> list[str]:
    """The conditions that tell a changed row; only what really differs is written."""
    conditions = []
    for column in plan.values:
        old = _old(plan, column)
        differs = (column.type.kind is Kind.TEXT and dialect.differs_text) or dialect.differs
        if column.is_new:
            conditions.append(f"{_value(column)} IS NOT NULL")
        elif column.widened:
            old = f"CAST({old} AS {dialect.cast(column.widened)})"
            conditions.append(differs.format(new=_value(column), old=old))
        else:
            conditions.append(differs.format(new=_value(column), old=old))
    return conditions + [f"{plan.target.quoted}.{quoted(name)} IS NOT NULL" for name in plan.nulled]


def count_differences(tables: Temporaries) -> str:
    """How many staged rows differ, and how many of them are new."""
    return f"SELECT count(*), coalesce(sum(is_new), 0) FROM {tables.differences}"


def gone(tables: Temporaries, plan: Plan, *, mode: str, snapshot: str | None, oldest: bool) -> list[str]:
    """Conditions under each of which a row of the target goes that is not staged.

    Args:
        tables: the staged rows among them.
        plan: for the target.
        mode: of the load.
        snapshot: the column that says of which snapshot a row is.
        oldest: old snapshots go too.
    """
    column = f"{plan.target.quoted}.{quoted(snapshot)}" if snapshot else ""
    conditions = []
    if mode == "replace":
        conditions.append(f"{column} = (SELECT c0 FROM {tables.snapshot})" if column else "1 = 1")
    if column and oldest:
        conditions.append(f"{column} < (SELECT c0 FROM {tables.oldest})")
    return conditions


def removed(plan: Plan, removal: str, columns: Sequence[str], row: str = "") -> str:
    """The condition under which a row of the target is one to be removed, unless it is staged.

    Args:
        plan: for the target.
        removal: the table with the values of such rows.
        columns: of these values.
        row: what the row is called, if not as the target.
    """
    row = row or plan.target.quoted
    old = {column.name: _exact(row, column) for column in plan.columns if not column.is_new}
    same = " AND ".join(
        f"{R}.c{position} = {old.get(name) or f'{row}.{quoted(name)}'}"
        for position, name in enumerate(columns)
    )
    return f"EXISTS (SELECT 1 FROM {removal} {R} WHERE {same})"


def but_staged(tables: Temporaries, plan: Plan, conditions: Sequence[str]) -> str:
    """One of the conditions is met and the row is not staged; each table comes once, as MySQL wants it."""
    return f"({' OR '.join(conditions)}) AND {_not_staged(tables, plan)}" if conditions else ""


def update_changed(dialect: Dialect, tables: Temporaries, plan: Plan) -> str:
    """Write the rows in which something differs; empty if the key is all there is."""
    names = {
        "target": plan.target.quoted,
        "staged": f"{tables.staging} {S}",
        "differing": _differing_rows(tables, plan),
        "join": "JOIN" if plan.can_be_searched else "STRAIGHT_JOIN",
        "is_changed": f"{D}.is_new = 0",
        "matches": _same_key(plan),
    }
    assignments = [
        dialect.assign.format(column=quoted(column.name), value=_value(column), **names)
        for column in plan.values
    ]
    assignments += [dialect.assign_null.format(column=quoted(name), **names) for name in plan.nulled]
    return dialect.update.format(assignments=", ".join(assignments), **names) if assignments else ""


def insert_new(tables: Temporaries, plan: Plan, name: str, *, everything: bool) -> str:
    """Add the new rows, or all staged ones; NULL, not a default, where they have no value."""
    names = ", ".join(quoted(one) for one in [*(column.name for column in plan.columns), *plan.nulled])
    values = ", ".join([*map(_value, plan.columns), *("NULL" for _ in plan.nulled)])
    rows = f"{tables.staging} {S}" if everything else f"{_differing_rows(tables, plan)} WHERE {D}.is_new = 1"
    return f"INSERT INTO {name} ({names}) SELECT {values} FROM {rows}"


def _not_staged(tables: Temporaries, plan: Plan) -> str:
    return f"NOT EXISTS (SELECT 1 FROM {tables.staging} {S} WHERE {_same_key(plan)})"


def _same_key(plan: Plan) -> str:
    """A staged row and a row of the target are of the same key."""
    return " AND ".join(f"{_value(column)} = {_old(plan, column)}" for column in plan.key)


def _differing_rows(tables: Temporaries, plan: Plan) -> str:
    return f"{tables.staging} {S} JOIN {tables.differences} {D} ON {_same_staged_key(plan)}"


def _same_staged_key(plan: Plan) -> str:
    return " AND ".join(f"{S}.{column.staged} = {D}.{column.staged}" for column in plan.key)


def _old(plan: Plan, column: Column) -> str:
    return _exact(plan.target.quoted, column)


def _exact(row: str, column: Column) -> str:
    old = f"{row}.{quoted(column.name)}"
    return column.exact.format(old=old) if column.exact else old


def _value(column: Column) -> str:
    return f"CAST({S}.{column.staged} AS {column.cast})" if column.cast else f"{S}.{column.staged}"
