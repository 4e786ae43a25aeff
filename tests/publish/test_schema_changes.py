"""What may happen to the columns of a table that exists."""

from __future__ import annotations

import pyarrow as pa
import pytest

from airflow_provider_customer360.publish import Published, publish
from airflow_provider_customer360.unify.errors import ConfigError, PublishError
from tests.publish.databases import Database, load, people, profiles

BEFORE = people(("a", "a@x.org", 1), ("b", "b@x.org", 2))
CHANGES = {
    "a new column": (
        profiles([("a", "a@x.org", 1, 5)], customer_id=pa.string(), email=pa.string(), orders=pa.int64(),
                 visits=pa.int64()),
        "new: 'visits'",
    ),
    "a column that is gone": (
        profiles([("a", 1)], customer_id=pa.string(), orders=pa.int64()),
        "gone: 'email'",
    ),
    "a wider type": (
        profiles([("a", "a@x.org", "many")], customer_id=pa.string(), email=pa.string(), orders=pa.string()),
        "of another type: 'orders' to text",
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_may_be_refused(db: Database, change: str) -> None:
    """With "fail", the message says what would change, and the table stays as it is."""
    db.publish(BEFORE)
    rows, told = CHANGES[change]
    with pytest.raises(PublishError, match=rf"would change \({told}\), and on_schema_change is 'fail'"):
        publish(db.hook, [load(rows, on_schema_change="fail")])
    assert db.rows() == [("a", "a@x.org", 1), ("b", "b@x.org", 2)]


def test_no_change_is_not_refused(db: Database) -> None:
    """With "fail", rows of the same columns are published, into a new table too."""
    publish(db.hook, [load(BEFORE, on_schema_change="fail")])
    rows = people(("a", "new@x.org", 1))
    assert publish(db.hook, [load(rows, on_schema_change="fail")])["customers"].rows_updated == 1


def test_columns_may_be_replaced(db: Database) -> None:
    """With "replace", the table has the rows' columns and nothing else, whatever their types were."""
    if db.is_generic:
        pytest.skip("a database that nobody knows is not asked to drop columns")
    db.publish(BEFORE)
    rows = profiles(
        [("a", True, 1.5), ("c", None, 2.5)], customer_id=pa.string(), orders=pa.bool_(), spent=pa.float64()
    )
    published = publish(db.hook, [load(rows, on_schema_change="replace")])["customers"]
    assert published == Published(2, 1, 1, 1, 0, created=False)
    assert db.rows("customer_id, orders, spent") == [("a", True, 1.5), ("c", None, 2.5)]
    assert db.columns() == {"customer_id", "orders", "spent"}
    assert db.tables() == {"customers"}
    again = publish(db.hook, [load(rows, on_schema_change="replace")])["customers"]
    assert again == Published(2, 0, 0, 0, 2, created=False)


def test_replacing_columns_is_all_or_nothing(db: Database) -> None:
    """If it is cancelled at the end, the old columns are there with their values."""

    def cancel() -> None:
        raise KeyboardInterrupt

    db.publish(BEFORE)
    rows = profiles([("a", True)], customer_id=pa.string(), orders=pa.bool_())
    with pytest.raises(PublishError if db.is_generic else KeyboardInterrupt):
        publish(db.hook, [load(rows, on_schema_change="replace")], before_commit=cancel)
    assert db.rows() == [("a", "a@x.org", 1), ("b", "b@x.org", 2)]


def test_a_column_that_must_have_a_value_is_replaced(db: Database) -> None:
    """A column that refuses every new row is dropped before they come, where that can be undone."""
    if db.is_generic:
        pytest.skip("a database that nobody knows is not asked to drop columns")
    text = db.words.short_text
    db.execute(
        f"CREATE TABLE customers (customer_id {text} NOT NULL, n bigint, tier bigint NOT NULL, old date)",
        "INSERT INTO customers VALUES ('a', 1, 1, NULL), ('b', 1, 2, NULL)",
    )
    rows = profiles([("a", 2), ("c", 3)], customer_id=pa.string(), n=pa.int64())
    replacing = [load(rows, on_schema_change="replace")]
    if db.is_mysql:
        with pytest.raises(PublishError, match="'tier' of table customers refuses NULL"):
            publish(db.hook, replacing)
        assert db.rows() == [("a", 1, 1, None), ("b", 1, 2, None)]
        return
    assert publish(db.hook, replacing)["customers"] == Published(2, 1, 1, 1, 0, created=False)
    assert db.rows() == [("a", 2), ("c", 3)]


def test_columns_of_rows_that_stay_are_not_replaced() -> None:
    """Where rows stay, dropping a column would lose their values."""
    with pytest.raises(ConfigError, match="would drop columns"):
        load(BEFORE, mode="upsert", on_schema_change="replace")


def test_a_dry_run_tells_and_changes_nothing(db: Database) -> None:
    """The counts are those of the real run; neither rows nor columns nor tables change."""
    rows = CHANGES["a new column"][0]
    told = publish(db.hook, [load(rows)], dry_run=True)["customers"]
    assert told == Published(1, 1, 0, 0, 0, created=True)
    assert db.tables(turns=True) == set()
    db.publish(BEFORE)
    for change, (rows, _) in CHANGES.items():
        told = publish(db.hook, [load(rows)], dry_run=True)["customers"]
        assert told == Published(1, 0, 1, 1, 0, created=False), change
    assert db.rows() == [("a", "a@x.org", 1), ("b", "b@x.org", 2)]
    for change, (rows, _) in CHANGES.items():
        if change == "a wider type" and not db.widens:
            continue
        db.execute("DROP TABLE customers")
        db.publish(BEFORE)
        told = publish(db.hook, [load(rows)], dry_run=True)["customers"]
        assert publish(db.hook, [load(rows)])["customers"] == told
