"""A table that is already there keeps what people did to it, or is refused before anything is touched."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from airflow_provider_customer360.publish import Published, publish
from airflow_provider_customer360.publish.columns import Kind
from airflow_provider_customer360.publish.dialects import DUCKDB, MARIADB, MYSQL, POSTGRES, SQLITE
from airflow_provider_customer360.unify.errors import ConfigError, PublishError
from tests.publish.conftest import prepared
from tests.publish.databases import Database, load, people, profiles

TEXT_KEY = {"customer_id": pa.string()}


def test_a_new_column_is_added(db: Database) -> None:
    """A column that the table lacks comes at its end; rows that have a value there are updated."""
    db.publish(people(("a", "a@x.org", 1), ("b", None, 2)))
    wider = profiles(
        [("a", 5, "a@x.org", 1), ("b", None, None, 2)],
        customer_id=pa.string(), visits=pa.int64(), email=pa.string(), orders=pa.int64(),
    )  # fmt: skip
    assert db.publish(wider) == Published(2, 0, 1, 0, 1, created=False)
    assert db.rows() == [("a", "a@x.org", 1, 5), ("b", None, 2, None)]


def test_a_column_that_is_gone_becomes_null(db: Database) -> None:
    """It stays, because somebody's query may name it, but no stale value does."""
    db.publish(people(("a", "a@x.org", 1), ("b", None, 2)))
    fewer = profiles([("a", 1), ("b", 2), ("c", 3)], **TEXT_KEY, orders=pa.int64())
    assert db.publish(fewer) == Published(3, 1, 1, 0, 1, created=False)
    assert db.rows() == [("a", None, 1), ("b", None, 2), ("c", None, 3)]
    assert db.publish(fewer).rows_unchanged == 3


def test_a_default_does_not_fill_a_column_that_is_gone(db: Database) -> None:
    """An inserted row is equal to its profile, and a profile has no value there."""
    text = "varchar(50)" if db.name == "firebird" else "text"
    db.execute(f"CREATE TABLE customers (customer_id {text}, segment varchar(9) DEFAULT 'gold')")
    db.publish(profiles([("a",)], **TEXT_KEY))
    assert db.rows() == [("a", None)]


def test_columns_that_the_database_fills_are_left_to_it(db: Database) -> None:
    """A column that refuses NULL but has a default is the database's own business."""
    db.execute("CREATE TABLE customers (customer_id text NOT NULL, version integer DEFAULT 1 NOT NULL)")
    assert db.publish(profiles([("a",)], **TEXT_KEY)).rows_inserted == 1
    assert db.publish(profiles([("a",)], **TEXT_KEY)).rows_unchanged == 1
    assert db.rows() == [("a", 1)]


def test_generated_columns_are_left_to_the_database(db: Database) -> None:
    """Nobody can write them, not even NULL."""
    stored = " STORED" if db.is_postgres else ""
    db.execute(
        "CREATE TABLE customers (customer_id text NOT NULL, orders bigint, "
        f'"tw ice" bigint GENERATED ALWAYS AS (orders * 2){stored})'
    )
    rows = profiles([("a", 1), ("b", 2)], **TEXT_KEY, orders=pa.int64())
    assert db.publish(rows).rows_inserted == 2
    assert db.publish(rows).rows_unchanged == 2
    assert db.rows() == [("a", 1, 2), ("b", 2, 4)]


def test_generated_columns_are_not_written(db: Database) -> None:
    """A column of the rows that the database computes is refused by its name, before anything is loaded."""
    stored = " STORED" if db.is_postgres else ""
    computed = f"bigint GENERATED ALWAYS AS (orders * 2){stored}"
    db.execute(f"CREATE TABLE customers (customer_id text NOT NULL, orders bigint, total {computed})")
    rows = profiles([("a", 1, 2)], **TEXT_KEY, orders=pa.int64(), total=pa.int64())
    with pytest.raises(PublishError, match="computes 'total' of table customers"):
        db.publish(rows)


@pytest.mark.parametrize("default", ["DEFAULT 'x' NOT NULL", ""], ids=["not null", "null"])
def test_what_is_withheld_does_not_stay(db: Database, default: str) -> None:
    """A column that is not to be published becomes NULL, or the table is refused."""
    text = db.words.short_text
    db.execute(
        f"CREATE TABLE customers (customer_id {text} NOT NULL, email varchar(50) {default}, orders bigint)",
        "INSERT INTO customers VALUES ('a', 'a@x.org', 1)",
    )
    withholding = load(profiles([("a", 1)], **TEXT_KEY, orders=pa.int64()), withheld=("email", "phone"))
    if default:
        with pytest.raises(PublishError, match=r"would keep the values of 'email', .* drop the column"):
            publish(db.hook, [withholding])
        assert db.rows() == [("a", "a@x.org", 1)]
    else:
        publish(db.hook, [withholding])
        assert db.rows() == [("a", None, 1)]


def test_a_column_that_must_have_a_value_is_named(db: Database) -> None:
    """A column that refuses NULL and that no profile has is found before anything is loaded."""
    db.execute("CREATE TABLE customers (customer_id text NOT NULL, tier text NOT NULL)")
    with pytest.raises(PublishError, match="'tier' of table customers refuses NULL"):
        db.publish(profiles([("a",)], **TEXT_KEY))


def test_a_type_that_cannot_hold_the_values_is_refused(db: Database) -> None:
    """The message names column, both types and the remedy; nothing was read or written."""
    first = profiles([("a", True)], **TEXT_KEY, orders=pa.bool_())
    db.publish(first)
    changed = profiles([("a", 2)], **TEXT_KEY, orders=pa.int64())

    def unread() -> Any:
        raise AssertionError("profiles were read")
        yield

    boolean = re.escape(db.type("boolean"))
    with pytest.raises(
        PublishError, match=rf"'orders' is (?i:{boolean}).*need (?i:bigint|integer).*ALTER TABLE"
    ):
        publish(db.hook, [load(unread(), schema=changed.schema)])
    assert db.rows() == [("a", True)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((pa.int64(), 20), (pa.float64(), 10.5)),
        ((pa.int64(), 20), (pa.decimal128(38, 2), Decimal("10.50"))),
        ((pa.decimal128(38, 1), Decimal("1.5")), (pa.decimal128(38, 2), Decimal("1.25"))),
        ((pa.decimal128(38, 2), Decimal("1.25")), (pa.float64(), 1.125)),
        ((pa.date32(), date(2026, 1, 1)), (pa.timestamp("us"), datetime.fromisoformat("2026-01-01 10:00"))),
        ((pa.bool_(), True), (pa.string(), "maybe")),
        ((pa.int64(), 7), (pa.string(), "seven")),
    ],
    ids=str,
)
def test_a_wider_type_is_widened(db: Database, before: tuple[Any, Any], after: tuple[Any, Any]) -> None:
    """What tomorrow's data need the column becomes; today's values come through, and then nothing changes."""
    kind, value = before
    db.publish(profiles([("a", value), ("b", value)], **TEXT_KEY, value=kind))
    wide, wider_value = after
    rows = profiles([("a", wider_value), ("c", None)], **TEXT_KEY, value=wide)
    if not (db.widens or (pa.types.is_decimal(kind) and pa.types.is_decimal(wide))):
        with pytest.raises(PublishError, match="ALTER TABLE"):
            db.publish(rows)
        assert len(db.rows()) == 2
        return
    published = db.publish(rows)
    assert (published.rows_inserted, published.rows_updated, published.rows_deleted) == (1, 1, 1)
    assert db.publish(rows).rows_unchanged == 2
    ((stored,), (nothing,)) = db.query("SELECT value FROM customers ORDER BY customer_id")
    assert nothing is None
    assert stored == wider_value or str(stored).replace("T", " ").startswith(str(wider_value))
    narrow = profiles([("a", value)], **TEXT_KEY, value=kind)
    assert db.publish(narrow).rows_updated == 1  # and back again, into the column as it is
    assert db.publish(narrow).rows_unchanged == 1


@pytest.mark.parametrize(
    ("kind", "value", "native"),
    [
        (pa.int64(), 2**53 + 1, "double precision"),
        (pa.int64(), 2**62, "numeric"),
        (pa.decimal128(9, 2), Decimal("1.25"), "numeric"),
        (pa.date32(), 19_000, "timestamp"),
    ],
)
def test_a_wider_type_is_kept(db: Database, kind: pa.DataType, value: Any, native: str) -> None:
    """A column that somebody made wider stays so, and a rerun finds it unchanged."""
    if db.name == "sqlite" and native in {"numeric", "timestamp"} and kind != pa.int64():
        pytest.skip("SQLite's NUMERIC is not exact, and a date is not a timestamp where both are text")
    if db.is_generic and native == "numeric":
        pytest.skip("how many digits a NUMERIC without a size has, the standard leaves to the database")
    if db.is_generic and kind == pa.date32():
        pytest.skip("whether a database compares dates with times, nobody knows")
    db.execute(f"CREATE TABLE customers (customer_id text NOT NULL, value {db.type(native)})")
    rows = profiles([("a", value), ("b", None)], **TEXT_KEY, value=kind)
    assert db.publish(rows).rows_inserted == 2
    assert db.publish(rows).rows_unchanged == 2


@pytest.mark.parametrize(
    ("native", "kind", "fits"),
    [
        ("numeric(20,0)", pa.int64(), True),
        ("numeric(18,0)", pa.int64(), False),
        ("numeric(38,20)", pa.int64(), False),
        ("numeric(12,2)", pa.decimal128(10, 2), True),
        ("varchar(20)", pa.string(), False),
        ("integer", pa.int64(), False),
        ("real", pa.float64(), False),
        ("timestamp(3)", pa.timestamp("us"), False),
        ("timestamp with time zone", pa.timestamp("us"), True),
        ("timestamp with time zone", pa.date32(), True),
        ("text", pa.int64(), True),
        ("bigint", pa.bool_(), False),
        ("double precision", pa.decimal128(10, 2), True),
    ],
)
def test_which_types_fit(pg: Database, native: str, kind: pa.DataType, fits: bool) -> None:
    """Exactly the types that hold every value are accepted; sizes count."""
    db = pg
    db.execute(f"CREATE TABLE customers (customer_id text NOT NULL, value {native})")
    rows = profiles([("a", None)], **TEXT_KEY, value=kind)
    if fits:
        assert db.publish(rows).rows_inserted == 1
    else:
        with pytest.raises(PublishError, match="'value' is"):
            db.publish(rows)


@pytest.mark.parametrize(
    "dialect", [DUCKDB, MARIADB, MYSQL, POSTGRES, SQLITE], ids=lambda dialect: dialect.name
)
def test_every_kind_has_a_type(dialect: Any) -> None:
    """No kind of column was forgotten in a database's tables."""
    assert set(dialect.types) == set(dialect.holds) == set(Kind)


def test_a_view_is_refused(db: Database) -> None:
    """What is no table is not written to, and the view stays."""
    db.execute("CREATE VIEW customers AS SELECT 'a' AS customer_id")
    with pytest.raises(PublishError, match="customers is not a table"):
        db.publish(people(("a", None, 1)))
    assert db.rows() == [("a",)]


def test_a_table_without_the_key_is_refused(db: Database) -> None:
    """Another table of that name is not overwritten."""
    db.execute("CREATE TABLE customers (id text)", "INSERT INTO customers VALUES ('x')")
    with pytest.raises(PublishError, match="no column 'customer_id'"):
        db.publish(people(("a", None, 1)))
    assert db.rows() == [("x",)]


def test_a_missing_schema_is_named_as_the_cause(db: Database) -> None:
    """The package does not create schemas."""
    with pytest.raises(PublishError, match=r"nowhere\.customers.* failed with"):
        db.publish(people(("a", None, 1)), "nowhere.customers")


def test_names_that_are_too_long_for_a_table(pg: Database) -> None:
    """Postgres would cut the name off without a word."""
    with pytest.raises(ConfigError, match="Postgres allows at most 63 bytes"):
        pg.publish(people(), "x" * 64)


def test_rows_that_nobody_could_have_published(db: Database) -> None:
    """Rows without a key, or with the same one, in a table without a primary key do not survive."""
    db.execute(
        "CREATE TABLE customers (customer_id text, email text, orders bigint)",
        "INSERT INTO customers VALUES (NULL, 'n', 0), ('a', 'a', 1), ('a', 'a', 1)",
        "INSERT INTO customers VALUES ('b', 'b', 2), ('c', 'c', 3)",
    )
    assert db.publish(people(("a", "a", 1), ("b", "b", 2))) == Published(2, 1, 0, 4, 1, created=False)
    assert db.rows() == [("a", "a", 1), ("b", "b", 2)]


def test_existing_columns_in_another_case(db: Database) -> None:
    """Where a database ignores case, ``Email`` is the column ``email``; in Postgres they are two."""
    db.execute('CREATE TABLE customers (customer_id text, "Email" text, orders bigint)')
    db.publish(people(("a", "a@x.org", 1)))
    assert db.publish(people(("a", "A@x.org", 1))).rows_updated == 1
    assert db.rows("*")[0][1:] == (("A@x.org", 1) if db.ignores_case else (None, 1, "A@x.org"))


def test_collations_that_ignore_case_hide_no_difference(sqlite: Database) -> None:
    """A value that changed only by case is an update, whatever the column's collation."""
    sqlite.execute("CREATE TABLE customers (customer_id TEXT PRIMARY KEY, email TEXT COLLATE NOCASE)")
    columns = TEXT_KEY | {"email": pa.string()}
    sqlite.publish(profiles([("a", "a@x.org")], **columns))
    assert sqlite.publish(profiles([("a", "A@x.org")], **columns)).rows_updated == 1


def test_a_new_table_has_a_primary_key(db: Database) -> None:
    """The database itself guarantees the key, except DuckDB, where that costs too much."""
    db.publish(people(("a", None, 1)))
    if not db.has_primary_keys:
        db.execute("INSERT INTO customers VALUES ('a', NULL, 1)")
    else:
        with pytest.raises(Exception, match=db.words.not_unique):
            db.execute("INSERT INTO customers VALUES ('a', NULL, 1)")


def test_what_hangs_on_the_table_survives(pg: Database) -> None:
    """Grants, indexes, comments, dependent views and foreign keys are those of before."""
    pg.publish(people(("a", "a@x.org", 1), ("b", None, 2)))
    pg.execute(
        "DROP ROLE IF EXISTS analyst",
        "CREATE ROLE analyst",
        "GRANT SELECT ON customers TO analyst",
        "CREATE INDEX by_email ON customers (email)",
        "COMMENT ON TABLE customers IS 'ours'",
        "CREATE VIEW ordering AS SELECT customer_id FROM customers WHERE orders > 1",
        "CREATE TABLE notes (customer_id text REFERENCES customers)",
        "INSERT INTO notes VALUES ('a')",
    )
    identity = "SELECT 'customers'::regclass::oid, obj_description('customers'::regclass)"
    before = pg.query(identity)
    wider = profiles(
        [("a", "new", 3, 1), ("c", None, 4, 1)],
        **TEXT_KEY, email=pa.string(), orders=pa.int64(), visits=pa.int64(),
    )  # fmt: skip
    pg.publish(wider)
    assert pg.query(identity) == before
    assert pg.query("SELECT has_table_privilege('analyst', 'customers', 'select')") == [(True,)]
    assert pg.query("SELECT count(*) FROM pg_indexes WHERE indexname = 'by_email'") == [(1,)]
    assert pg.rows(table="ordering") == [("a",), ("c",)]
    assert pg.rows(table="notes") == [("a",)]


IGNORING = {
    "sqlite": (
        "CREATE TRIGGER ignoring BEFORE {event} ON customers WHEN {row}.orders > 5 "
        "BEGIN SELECT RAISE(IGNORE); END",
    ),
    "postgres": (
        "CREATE FUNCTION ignore_it() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN IF {row}.orders > 5 THEN RETURN NULL; END IF; RETURN {row}; END $$",
        "CREATE TRIGGER ignoring BEFORE {event} ON customers FOR EACH ROW EXECUTE FUNCTION ignore_it()",
    ),
}


@pytest.mark.parametrize(("event", "row"), [("INSERT", "new"), ("UPDATE", "new"), ("DELETE", "old")])
@pytest.mark.parametrize("name", ["sqlite", "psycopg2", "psycopg3"])
def test_rows_that_a_trigger_keeps_out(
    name: str,
    event: str,
    row: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The table would not be what the run says: nothing is written, and the error says what to look for."""
    db = prepared(name, request, tmp_path, monkeypatch)
    db.publish(people(("a", "x", 1), ("b", "y", 9)))
    for statement in IGNORING["sqlite" if name == "sqlite" else "postgres"]:
        db.execute(statement.format(event=event, row=row))
    with pytest.raises(PublishError, match=f"^{event} on customers touched 0 rows and not the 1 that"):
        db.publish(people(("a", "x", 8), ("c", "z", 7)))
    assert db.rows() == [("a", "x", 1), ("b", "y", 9)]


def test_partitioned_tables(pg: Database) -> None:
    """A table that is cut into partitions is a table."""
    pg.execute(
        "CREATE TABLE customers (customer_id text, email text, orders int8) PARTITION BY HASH (customer_id)",
        *(
            f"CREATE TABLE part{n} PARTITION OF customers FOR VALUES WITH (MODULUS 2, REMAINDER {n})"
            for n in (0, 1)
        ),
    )
    pg.publish(people(*((str(number), None, number) for number in range(20))))
    published = pg.publish(people(*((str(number), None, number % 15) for number in range(1, 21))))
    assert published == Published(20, 1, 5, 1, 14, created=False)
