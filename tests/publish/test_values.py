"""What goes in comes out: values and names that databases treat differently."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Context, Decimal
from typing import Any

import pyarrow as pa
import pytest

from airflow_provider_customer360.publish import publish
from airflow_provider_customer360.unify.errors import ConfigError
from tests.publish.databases import Database, load, profiles

TEXTS = [
    "", None, "'", '"', '""', "a,b", "a\nb", "a\r\nb", "\t", "\\", "\\N", "\\.", "x\n\\.\ny", "NULL", "%s",
    "ünï¢ödé 😀", " padded ", "1e5", "007", "x" * 100_000,
]  # fmt: skip


def one_column(values: list[Any], kind: pa.DataType) -> pa.Table:
    """A value a row, by number."""
    return profiles(list(enumerate(values)), customer_id=pa.int64(), value=kind)


def stored(db: Database, values: list[Any], kind: pa.DataType) -> list[Any]:
    """What the database holds of the values, after making sure that a rerun finds nothing to do."""
    table = one_column(values, kind)
    assert db.publish(table).rows_inserted == len(values)
    assert db.publish(table).rows_unchanged == len(values)
    return [row[1] for row in db.rows("customer_id, value")]


def test_text(db: Database) -> None:
    """Every text comes out as it went in; empty and null stay different."""
    assert stored(db, TEXTS, pa.string()) == TEXTS


def test_text_that_is_the_only_column(db: Database) -> None:
    """A line of CSV that is empty, or the end marker of COPY, is a value like others."""
    texts = [text[: db.words.longest_key] for text in TEXTS if text is not None]
    db.publish(profiles([(text,) for text in texts], customer_id=pa.string()))
    assert {row[0] for row in db.rows()} == set(texts)


def test_nul_characters(db: Database) -> None:
    """Postgres cannot store them, so there they are removed; elsewhere they stay."""
    expected = ["ab", ""] if db.is_postgres else ["a\0b", "\0"]
    assert stored(db, ["a\0b", "\0"], pa.string()) == expected


def test_integers(db: Database) -> None:
    """All of 64 bits."""
    values = [0, None, -1, 2**53 + 1, 2**63 - 1, -(2**63)]
    assert stored(db, values, pa.int64()) == values


@pytest.mark.parametrize(("precision", "scale"), [(38, 2), (38, 0), (30, 10), (38, 38), (4, 1)])
def test_decimals(db: Database, precision: int, scale: int) -> None:
    """Every digit survives, for any number of them."""
    digits = [
        "1",
        "-1",
        "0",
        "10",
        "9" * precision,
        "-" + "1234567890" * 3,
        "1" + "0" * 29,
        "999999999999999",
    ]
    values = [
        Decimal(text).scaleb(-scale, Context(prec=60))
        for text in digits
        if len(text.lstrip("-")) <= precision
    ]
    exact = [
        Decimal(str(value)) for value in stored(db, [*values, None], pa.decimal128(precision, scale))[:-1]
    ]
    assert exact == values


def test_decimals_are_numbers(db: Database) -> None:
    """SQL can compare, order and add them."""
    if db.name == "firebird":
        pytest.skip("Firebird 3 has 18 digits: decimals of more are text")
    kind = pa.decimal128(38, 2)
    db.publish(one_column([Decimal("9.50"), Decimal("10.00"), Decimal("100.25")], kind))
    assert db.query("SELECT count(*) FROM customers WHERE value > 9.75") == [(2,)]
    assert float(db.query("SELECT sum(value) FROM customers")[0][0]) == 119.75


def test_floats(db: Database) -> None:
    """Every bit survives; what is not a number is null, as databases do not agree on it."""
    values = [0.0, 0.1, 1 / 3, 1e308, 5e-324, -2.5, None]
    assert stored(db, [*values, math.nan, math.inf, -math.inf], pa.float64()) == [*values, None, None, None]


def test_booleans(db: Database) -> None:
    """True, false and null; SQLite has 1 and 0."""
    assert stored(db, [True, False, None], pa.bool_()) == [True, False, None]


def test_dates(db: Database) -> None:
    """Days of four-digit years."""
    values = [date(1, 1, 1), date(1900, 2, 28), date(2024, 2, 29), date(9999, 12, 31), None]
    found = stored(db, values, pa.date32())
    assert [str(value) for value in found[:-1]] == [value.isoformat() for value in values[:-1] if value]
    assert found[-1] is None


def test_timestamps(db: Database) -> None:
    """To the microsecond, with and without a time zone; the instant does not depend on anyone's zone."""
    naive = [datetime(2024, 3, 31, 2, 30), datetime(1969, 12, 31, 23, 59, 59, 999999), None]  # noqa: DTZ001
    found = stored(db, naive, pa.timestamp("us"))
    assert [value and datetime.fromisoformat(str(value)) for value in found] == naive


def test_timestamps_with_time_zone(db: Database) -> None:
    """An instant is the same instant in every session's time zone."""
    aware = [datetime(2024, 3, 31, 1, 30, tzinfo=UTC), datetime(1999, 12, 31, 23, 59, 59, 1, tzinfo=UTC)]
    stored(db, aware, pa.timestamp("us", tz="UTC"))
    assert db.instants("value") == aware


def test_sqlite_timestamps_sort_as_text(sqlite: Database) -> None:
    """Texts are of one form, whatever the fraction of the second, and SQLite's own functions read them."""
    aware = [
        datetime(2024, 1, 1, 0, 0, second, micro, tzinfo=UTC) for second, micro in ((1, 0), (1, 5), (2, 0))
    ]
    assert stored(sqlite, aware, pa.timestamp("us", tz="UTC"))[:2] == [
        "2024-01-01 00:00:01.000000+00:00",
        "2024-01-01 00:00:01.000005+00:00",
    ]
    assert sqlite.query("SELECT datetime(value) FROM customers WHERE customer_id = 2") == [
        ("2024-01-01 00:00:02",)
    ]


def test_other_encodings_of_the_same_type(db: Database) -> None:
    """A batch in a form that casts to the schema (dictionary, large text, 32 bits) is as good."""
    schema = pa.schema({"customer_id": pa.string(), "orders": pa.int64()})
    batch = pa.record_batch(
        {"customer_id": pa.array(["a"], pa.large_string()), "orders": pa.array([1], pa.int32())}
    )
    publish(db.hook, [load([batch], schema=schema)])
    assert db.rows() == [("a", 1)]


HOSTILE = [
    '"; DROP TABLE customers; --', "select", "Größe", "order", "名前", "a b", "a.b", "'", '"', "%s", "100%",
    "{x}", ":x", "$1", "?", "c0", "t", "s", "row", "\n", " ", "--", "/*", "\\", "x" * 63,
]  # fmt: skip


def test_hostile_column_names(db: Database) -> None:
    """Whatever a column is called, it is a column and nothing else."""
    names = db.possible(HOSTILE)
    columns = {"customer_id": pa.string()} | {name: pa.int64() for name in names}
    db.publish(profiles([("a", *range(len(names)))], **columns))
    published = db.publish(profiles([("a", *range(1, len(names) + 1))], **columns))
    assert published.rows_updated == 1
    assert db.rows() == [("a", *range(1, len(names) + 1))]


def test_hostile_table_names(db: Database) -> None:
    """Whatever a table is called, it is a table and nothing else."""
    for number, name in enumerate(db.possible(HOSTILE)[::2]):
        table = '"' + name.replace('"', '""') + '"'
        if db.refuses_name(name):
            with pytest.raises(ConfigError, match="target_table has the name"):
                db.publish(profiles([], customer_id=pa.string()), table)
            continue
        db.publish(profiles([("a", number)], customer_id=pa.string(), n=pa.int64()), table)
        again = db.publish(profiles([("a", number)], customer_id=pa.string(), n=pa.int64()), table)
        assert again.rows_unchanged == 1
        assert db.rows(table=table) == [("a", number)]


def test_names_that_a_database_cannot_tell_apart(db: Database) -> None:
    """Names that differ by case, or after the 63rd byte, are columns of their own, and stay it."""
    names = ["Total", "total", "TOTAL", "x" * 70 + "1", "x" * 70 + "2", "é" * 40, "É", "é"]
    columns = {"customer_id": pa.string()} | {name: pa.int64() for name in names}
    db.publish(profiles([("a", *range(8))], **columns))
    backwards = dict(reversed(columns.items()))
    published = db.publish(profiles([(*reversed(range(8)), "a")], **backwards))
    assert published.rows_unchanged == 1
    assert sorted(db.rows()[0][1:]) == list(range(8))


def test_many_columns(db: Database) -> None:
    """A wide table is only a wide table."""
    columns = {"customer_id": pa.string()} | {f"c{number}": pa.int64() for number in range(500)}
    wide = profiles([("a", *range(500)), ("b", *[None] * 500)], **columns)
    db.publish(wide)
    assert db.publish(wide).rows_unchanged == 2
