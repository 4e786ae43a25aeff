"""Rows are told apart by all columns of their key, and by nothing less."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_customer360.publish import Load, Published, publish, statements
from airflow_provider_customer360.publish.plan import Plan
from airflow_provider_customer360.publish.statements import repeated_in_target
from airflow_provider_customer360.unify.errors import ConfigError, PublishError
from tests.publish.databases import IDENTITY_KEY, Database, identities, load, people, profiles

BEFORE = [("email", "x", "a"), ("email", "y", "b"), ("phone", "x", "c"), ("phone", "z", "d")]
EMPTY_TABLE = (
    "CREATE TABLE identities (identifier_type {text}, identifier_value {text}, customer_id {text}{more})"
)


def test_rows_that_share_a_part_of_the_key(db: Database) -> None:
    """They are different rows: deleted, updated, inserted and left alone each by itself."""
    publish(db.hook, [identities(*BEFORE)])
    after = [("email", "x", "A"), ("email", "z", "d"), ("phone", "x", "c"), ("phone", "y", None)]
    assert publish(db.hook, [identities(*after)])["identities"] == Published(4, 2, 1, 2, 1, created=False)
    assert db.everything() == {"identities": after}


PARTS = st.sampled_from(["", "a", "A", "b", " a"])
ROWS = st.dictionaries(st.tuples(PARTS, PARTS), st.sampled_from([None, "a", "b"]), max_size=8)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=ROWS, after=ROWS)
def test_any_rows_after_any_others(
    db: Database, before: dict[tuple[str, str], str | None], after: dict[tuple[str, str], str | None]
) -> None:
    """The table equals the last rows, and the counts are those of a comparison."""
    publish(db.hook, [identities(*((*key, value) for key, value in before.items()))])
    published = publish(db.hook, [identities(*((*key, value) for key, value in after.items()))])["identities"]
    both = before.keys() & after.keys()
    unchanged = sum(before[key] == after[key] for key in both)
    counts = (len(after), len(after) - len(both), len(both) - unchanged, len(before) - len(both), unchanged)
    assert published == Published(*counts, created=published.created)
    assert {row[:2]: row[2] for row in db.rows(table="identities")} == after


def test_a_key_whose_columns_are_not_the_first(db: Database) -> None:
    """Positions of columns in the rows and in the table mean nothing; types of the parts may differ."""
    columns = {"value": pa.string(), "number": pa.int64(), "b": pa.string(), "day": pa.date32()}
    first = profiles([("1", 1, "x", 0), ("2", 2, "x", 0)], **columns)
    publish(db.hook, [load(first, "t", "day", "number")])
    second = profiles([("1", 1, "x", 0), ("2", 2, "y", 0), ("3", 1, "x", 1)], **columns)
    assert publish(db.hook, [load(second, "t", "day", "number")])["t"] == Published(3, 1, 1, 0, 1, False)
    turned = second.select(["b", "day", "value", "number"])
    assert publish(db.hook, [load(turned, "t", "number", "day")])["t"].rows_unchanged == 3


@pytest.mark.parametrize("without", [0, 1])
def test_every_part_of_a_key_must_be_there(db: Database, without: int) -> None:
    """A row that lacks a part of its key is refused, and so is a table that lacks the column."""
    parts = ["email", "x"]
    with pytest.raises(PublishError, match="Publishing to identities failed"):
        publish(db.hook, [identities((*(None if n == without else parts[n] for n in (0, 1)), "a"))])  # type: ignore[arg-type]
    assert db.tables() == set()
    db.execute(f"CREATE TABLE identities ({IDENTITY_KEY[1 - without]} text, customer_id text)")
    with pytest.raises(PublishError, match=f"no column '{IDENTITY_KEY[without]}', which is part of its key"):
        publish(db.hook, [identities(*BEFORE)])


def test_repeated_composite_keys_are_refused(db: Database) -> None:
    """All parts equal is a repetition, and nothing of any table is written."""
    publish(db.hook, [identities(*BEFORE)])
    with pytest.raises(PublishError, match=r"same key \('identifier_type', 'identifier_value'\)"):
        publish(db.hook, [load(people(("a", None, 1))), identities(*BEFORE, ("email", "x", "other"))])
    assert db.everything() == {"identities": BEFORE}


@pytest.mark.parametrize("key", [(), ("nobody",), ("event_id", "nobody"), ("event_id", "event_id")])
def test_a_key_is_made_of_columns(db: Database, key: tuple[str, ...]) -> None:
    """At least one, all of them there, none of them twice."""
    schema = pa.schema({"event_id": pa.string()})
    with pytest.raises(ConfigError, match=r"columns event_id; the key .*must be one or more of them"):
        publish(db.hook, [Load("events", [], schema, key)])


def test_a_new_table_has_a_composite_primary_key(db: Database) -> None:
    """The database itself guarantees it, except DuckDB, where that costs too much, and unknown ones."""
    publish(db.hook, [identities(*BEFORE)])
    again = "INSERT INTO identities VALUES ('email', 'x', 'again')"
    db.execute(again.replace("'x'", "'new'"))  # one part is equal
    if not db.has_primary_keys or db.is_generic:
        db.execute(again)
    else:
        with pytest.raises(Exception, match=db.words.not_unique):
            db.execute(again)


@pytest.mark.parametrize(
    "constraint",
    ["", ", UNIQUE (identifier_type, customer_id)", ", UNIQUE (customer_id)"],
    ids=["none", "overlapping", "other"],
)
def test_rows_that_share_a_key_in_an_existing_table(db: Database, constraint: str) -> None:
    """Where no index keeps keys apart, all rows of a repeated key go, and those that lack a part of it."""
    db.execute(
        EMPTY_TABLE.format(text=db.words.short_text, more=constraint),
        "INSERT INTO identities VALUES ('email', 'x', 'a'), ('email', 'x', 'b'), ('email', 'y', 'c'), "
        "('phone', 'x', 'd'), (NULL, 'x', 'e'), (NULL, 'x', 'f'), ('phone', NULL, 'g')",
    )
    rows = [("email", "x", "n"), ("email", "y", "c"), ("phone", "x", "d")]
    assert publish(db.hook, [identities(*rows)])["identities"] == Published(3, 1, 0, 5, 2, created=False)
    assert db.everything() == {"identities": rows}


@pytest.mark.parametrize(
    ("index", "unique"),
    [
        ("(identifier_type, identifier_value)", True),
        ("(identifier_value, identifier_type)", True),
        ("(identifier_value)", True),
        ("(identifier_type, identifier_value) INCLUDE (customer_id)", True),
        ("(identifier_type, identifier_value, customer_id)", False),
        ("(identifier_type, lower(identifier_value))", False),
        ("(identifier_type, identifier_value) WHERE customer_id = 'a'", False),
    ],
)
def test_which_indexes_keep_keys_apart(
    pg: Database, index: str, unique: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only where no unique index lies within the key is the table searched for repeated keys."""
    pg.execute(EMPTY_TABLE.format(text="text", more=""), f"CREATE UNIQUE INDEX ON identities {index}")
    searches: list[Plan] = []

    def searched(plan: Plan) -> str:
        searches.append(plan)
        return repeated_in_target(plan)

    monkeypatch.setattr(statements, "repeated_in_target", searched)
    publish(pg.hook, [identities()])
    assert bool(searches) == (not unique)


@pytest.mark.parametrize("constraint", ["PRIMARY KEY", "UNIQUE"])
def test_a_constraint_on_the_key_keeps_keys_apart(db: Database, constraint: str) -> None:
    """A table that somebody made with the key as a constraint is published to like any other."""
    unique = f", {constraint} (identifier_value, identifier_type)"
    db.execute(EMPTY_TABLE.format(text=db.words.short_text, more=unique))
    assert publish(db.hook, [identities(*BEFORE)])["identities"].rows_inserted == 4
    after = [("email", "x", "A"), *BEFORE[2:]]
    assert publish(db.hook, [identities(*after)])["identities"] == Published(3, 0, 1, 1, 2, created=False)
