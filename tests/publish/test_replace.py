"""A table becomes equal to the profiles, and only what differs is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from airflow_provider_customer360.publish import Published, publish, table_exists
from airflow_provider_customer360.unify.errors import ConfigError, PublishError
from tests.publish.databases import Database, load, people, profiles


def test_a_table_is_created_with_the_profiles(db: Database) -> None:
    """The first run makes the table and inserts every profile."""
    assert not table_exists(db.hook, "customers")
    published = db.publish(people(("a", "a@x.org", 1), ("b", None, 2)))
    assert published == Published(2, 2, 0, 0, 0, created=True)
    assert db.rows() == [("a", "a@x.org", 1), ("b", None, 2)]
    assert table_exists(db.hook, "customers")


def test_only_what_differs_is_written(db: Database) -> None:
    """A second run inserts, updates and deletes exactly the rows that changed, and counts them."""
    db.publish(people(("a", "a@x.org", 1), ("b", None, 2), ("c", "c@x.org", None), ("d", "d@x.org", 4)))
    published = db.publish(people(("a", "a@x.org", 1), ("b", "b@x.org", 2), ("c", None, 3), ("e", None, 5)))
    assert published == Published(4, 1, 2, 1, 1, created=False)
    assert db.rows() == [("a", "a@x.org", 1), ("b", "b@x.org", 2), ("c", None, 3), ("e", None, 5)]


def test_a_rerun_changes_nothing(db: Database) -> None:
    """The same profiles again are all unchanged."""
    same = people(*((str(number), f"{number}@x.org", number) for number in range(10)))
    db.publish(same)
    assert db.publish(same) == Published(10, 0, 0, 0, 10, created=False)


def test_no_profiles_empty_the_table(db: Database) -> None:
    """Zero rows are a result like any other; whoever calls decides whether they may be one."""
    db.publish(people(("a", None, 1)))
    assert db.publish(people()) == Published(0, 0, 0, 1, 0, created=False)
    assert db.rows() == []


def test_no_profiles_create_an_empty_table(db: Database) -> None:
    """Zero rows still have columns."""
    assert db.publish(people()) == Published(0, 0, 0, 0, 0, created=True)
    assert db.rows("customer_id, email, orders") == []


def test_the_key_may_be_any_column(db: Database) -> None:
    """The key need neither be the first column nor be text."""
    columns = {"name": pa.string(), "number": pa.int64()}
    db.publish(profiles([("a", 1), ("b", 2)], **columns), key="number")
    published = db.publish(profiles([("B", 2), ("c", 2**62)], **columns), key="number")
    assert published == Published(2, 1, 1, 1, 0, created=False)
    assert db.rows("number, name") == [(2, "B"), (2**62, "c")]


def test_profiles_of_only_a_key(db: Database) -> None:
    """Nothing can differ where there is nothing but the key."""
    db.publish(profiles([("a",), ("b",)], customer_id=pa.string()))
    published = db.publish(profiles([("b",), ("c",)], customer_id=pa.string()))
    assert published == Published(2, 1, 0, 1, 1, created=False)


def test_a_table_in_a_schema(db: Database) -> None:
    """``schema.name`` is that table and not another schema's of the same name."""
    if db.name == "firebird":
        pytest.skip("Firebird has no schemas")
    other = db.another_schema()
    schema = other or db.default_schema
    if other:
        db.publish(people(("other", None, 0)))
    db.publish(people(("a", None, 1)), f"{schema}.customers")
    assert table_exists(db.hook, f"{schema}.customers")
    assert db.publish(people(("a", None, 2)), f"{schema}.customers").rows_updated == 1
    assert db.rows(table=f"{schema}.customers") == [("a", None, 2)]
    if other:
        assert db.rows() == [("other", None, 0)]


def test_large_batches_and_many_small_ones(db: Database) -> None:
    """How the profiles are cut into batches makes no difference."""
    many = people(*((f"{number:06}", None, number) for number in range(db.many)))
    whole = load(iter(many.to_batches()), schema=many.schema)
    assert publish(db.hook, [whole])["customers"].rows_written == db.many
    again = db.publish(pa.concat_tables([many.slice(db.many - 10), people(("x", "", None))]))
    assert again == Published(11, 1, 0, db.many - 10, 10, created=False)
    assert db.rows("max(customer_id), count(*)") == [("x", 11)]


def test_repeated_keys_are_refused(db: Database) -> None:
    """Two profiles with one key are never written, whichever would win."""
    db.publish(people(("a", "old", 1)))
    with pytest.raises(PublishError, match="Two rows for table customers have the same key"):
        db.publish(people(("a", "new", 1), ("a", "newer", 2)))
    assert db.rows() == [("a", "old", 1)]


def test_a_profile_without_a_key_is_refused(db: Database) -> None:
    """A null key is a failure and not a row."""
    with pytest.raises(PublishError, match="Publishing to customers failed"):
        db.publish(profiles([(None, 1)], customer_id=pa.string(), orders=pa.int64()))
    assert not table_exists(db.hook, "customers")


@pytest.mark.parametrize("mode", ["update", "Replace", None])
def test_a_mode_that_there_is_not(mode: Any) -> None:
    """The message says what there is."""
    with pytest.raises(ConfigError, match=r"allowed: 'replace' or 'upsert' or 'append'"):
        load(people(), mode=mode)


def test_other_databases_are_named() -> None:
    """The message has the hook, its connection type and the supported ones."""

    class HttpHook:
        conn_type = "http"

    with pytest.raises(ConfigError, match=r"HttpHook.*'http'.*DuckDB, Postgres, MySQL.*SQLite or ADBC"):
        publish(HttpHook(), [load(people())])  # type: ignore[arg-type]


def test_the_key_must_be_a_column(db: Database) -> None:
    """A key that the profiles lack is a mistake of the caller's."""
    with pytest.raises(ConfigError, match="key 'nobody' must be one or more of them"):
        db.publish(people(), key="nobody")


def test_other_arrow_types_are_refused(db: Database) -> None:
    """A column of a type that no database column is meant for is named with its type."""
    with pytest.raises(PublishError, match=r"'tags' has the Arrow type list.*allowed: string, int64"):
        db.publish(profiles([], customer_id=pa.string(), tags=pa.list_(pa.string())))


ROWS = st.dictionaries(
    st.text("abAB é\"'\\\n", max_size=2),
    st.tuples(
        st.sampled_from([None, "", "a", "A", " a", "NULL", "\\N", 'a"b', "a\r\nb", "\\."]),
        st.sampled_from([None, 0, -1, 2**63 - 1]),
        st.sampled_from([None, 0.0, 0.1, 1e300, 5e-324]),
    ),
    max_size=6,
)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(runs=st.lists(ROWS, min_size=2, max_size=3))
def test_any_run_after_any_other(db: Database, runs: Sequence[dict[str, tuple[object, ...]]]) -> None:
    """Whatever was there, the table equals the last profiles and the counts are those of a comparison."""
    assume(db.tells_blanks or all(key == key.rstrip(" ") for run in runs for key in run))
    columns = {"customer_id": pa.string(), "text": pa.string(), "number": pa.int64(), "share": pa.float64()}
    db.publish(profiles([], **columns))  # the database is that of the example before
    before = {row[0]: row[1:] for row in db.rows()}
    assert before == {}
    for after in runs:
        published = db.publish(profiles([(key, *row) for key, row in after.items()], **columns))
        expected = Counter(
            "inserted" if key not in before else "unchanged" if before[key] == row else "updated"
            for key, row in after.items()
        )
        assert published.rows_inserted == expected["inserted"]
        assert published.rows_updated == expected["updated"]
        assert published.rows_unchanged == expected["unchanged"]
        assert published.rows_deleted == len(before.keys() - after.keys())
        assert {row[0]: row[1:] for row in db.rows()} == after
        before = after
