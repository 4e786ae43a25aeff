"""Where a name is not enough: values, neighbouring columns and other sources decide, and warnings say so."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from airflow_provider_customer360.unify import ConfigError, Source, unify


def profiles(sources: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Profile by customer_id."""
    with unify(sources) as result:
        return {row["customer_id"]: row for row in result.profiles.to_arrow().to_pylist()}


def column(sources: dict[str, Any], source: str, name: str) -> dict[str, Any]:
    """What the summary says of one column."""
    with unify(sources) as result:
        return next(c for c in result.summary["columns"] if (c["source"], c["name"]) == (source, name))


def warnings(sources: dict[str, Any]) -> str:
    """All warnings of a run."""
    with unify(sources) as result:
        return "\n".join(result.summary["warnings"])


def test_the_guest_number_joins_nobody() -> None:
    """Orders of customer 0 with different e-mails are of different people, as in a shop with guests."""
    orders = pd.DataFrame(
        {
            "customer_id": [0, 0, 0, 7],
            "email": ["a@x.com", "b@x.com", "c@x.com", "d@x.com"],
            "amount": [1, 2, 3, 4],
        }
    )
    found = profiles({"orders": orders})
    assert len(found) == 4
    assert "0" not in found
    assert "guests" in column({"orders": orders}, "orders", "customer_id")["reason"]


@pytest.mark.parametrize("name", ["customer_id", "id"])
def test_the_guest_number_joins_nobody_in_a_large_source(name: str) -> None:
    """Zeros are the guests' however they are written and wherever they stand."""
    people = 30_000
    crm = pa.table(
        {
            name: pa.array(["0", *(str(i) for i in range(1, people)), " 0.0 ", "0"]),
            "email": pa.array([f"p{i}@mail.example" for i in range(people + 2)]),
        }
    )
    found = profiles({"crm": crm})
    assert len(found) == people + 2
    assert "0" not in found
    assert "guests" in column({"crm": crm}, "crm", name)["reason"]


def test_a_customer_may_be_number_0() -> None:
    """Where 0 comes with one e-mail, it is somebody's number."""
    crm = pd.DataFrame({"customer_id": [0, 0, 1], "email": ["a@x.com", "a@x.com", "b@x.com"]})
    assert set(profiles({"crm": crm})) == {"0", "1"}


def test_guests_without_contact_are_told_by_their_number_of_records() -> None:
    """Without anything to compare, a 0 on far more records than any other id is the guests'."""
    orders = pd.DataFrame({"customer_id": [0] * 100 + list(range(1, 41)), "amount": 1})
    assert "0" not in profiles({"orders": orders})


@pytest.mark.parametrize("orphans", [0, 5, 50])
def test_long_keys_prove_a_numbering_by_partial_overlap(orphans: int) -> None:
    """A CRM's UUIDs are the orders' customer ids though some orders are of customers that were deleted."""
    keys = [f"3f2a-{i:04x}-9b1c" for i in range(50)]
    crm = pd.DataFrame({"id": keys, "email": [f"p{i}@x.com" for i in range(50)]})
    orders = pd.DataFrame({"customer_id": keys + [f"77aa-{i:04x}-dead" for i in range(orphans)], "amount": 1})
    assert len(profiles({"crm": crm, "orders": orders})) == 50 + orphans
    assert column({"crm": crm, "orders": orders}, "crm", "id")["output"] == "customer_id"


def test_a_table_with_order_columns_is_one_of_orders() -> None:
    """The bare id beside an order_date is the order's, whatever the source is called."""
    crm = pd.DataFrame({"customer_id": [1, 2, 3], "points": [1, 2, 3]})
    shop = pd.DataFrame({"id": [1, 2, 3], "order_date": ["2026-01-01"] * 3, "amount": [5, 6, 7]})
    assert column({"crm": crm, "shop": shop}, "shop", "id")["role"] == "ignored"
    assert {row["amount"] for row in profiles({"crm": crm, "shop": shop}).values()} == {0}


@pytest.mark.parametrize(
    "moment",
    [
        "2026-01-03 10:00:00 -0500",
        "2026-01-03T15:00:00Z",
        "Sat, 03 Jan 2026 15:00:00 +0000",
        "03.01.2026 15:00",
        20260103,
        1767452400,
        1767452400000,
    ],
)
def test_times_as_exports_write_them(moment: Any) -> None:
    """Shopify, mail servers, German spreadsheets, warehouses and epochs: all are the third of January."""
    orders = pd.DataFrame({"customer_id": ["a"], "created_at": [moment]})
    last_seen = profiles({"orders": orders})["a"]["last_seen"]
    assert last_seen.strftime("%Y-%m-%d %H") in ("2026-01-03 15", "2026-01-03 00")


def test_placeholders_do_not_speak_against_times() -> None:
    """A column of times stays the event time though every fourth value is n/a."""
    orders = pd.DataFrame(
        {"customer_id": list("abcd"), "created_at": ["2026-01-03", "n/a", "2026-01-04", "2026-01-05"]}
    )
    assert column({"orders": orders}, "orders", "created_at")["role"] == "event_time"


def test_numbers_named_like_times_are_never_summed() -> None:
    """A day number that cannot be read is no amount."""
    orders = pd.DataFrame({"customer_id": list("ab"), "updated_at": [46000, 46001]})
    told = column({"orders": orders}, "orders", "updated_at")
    assert told["role"] != "metric"
    assert "no times" in told["reason"]


def test_a_stated_event_time_without_any_time_is_an_error() -> None:
    """Nobody becomes inactive because the wrong column was stated."""
    orders = pd.DataFrame({"customer_id": list("ab"), "note": ["x", "y"]})
    with pytest.raises(ConfigError, match=r"'note'.*no times"):
        unify({"orders": Source(data=orders, event_time="note")})


def test_flags_are_not_summed() -> None:
    """A yes or no that a database stores as 1 and 0 is an attribute."""
    crm = pd.DataFrame({"customer_id": ["a", "a"], "is_vip": [1, 1]})
    assert profiles({"crm": crm})["a"]["is_vip"] == 1


def test_a_refuted_name_is_explained() -> None:
    """Whoever wonders why a phone column is no identifier reads it in the reason."""
    crm = pd.DataFrame({"customer_id": ["a", "b"], "phone": ["ask Ana", "by fax"]})
    assert "named like a phone number, but" in column({"crm": crm}, "crm", "phone")["reason"]


def test_ids_with_dots_are_keys() -> None:
    """GA4's user_pseudo_id is a number with a dot in the middle, as text."""
    web = pd.DataFrame({"user_pseudo_id": ["1234567890.1699999999", "1234567890.1699999998"], "hits": [1, 2]})
    assert column({"web": web}, "web", "user_pseudo_id")["output"] == "user_pseudo_id"


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        (
            {"a": pd.DataFrame({"customer_id": ["x"]}), "b": pd.DataFrame({"customer_id": ["y"]})},
            "No customer is in two",
        ),
        (
            {"a": pd.DataFrame({"customer_id": ["x"]}), "b": pd.DataFrame({"customer_id": []}, dtype="str")},
            "Empty: b.",
        ),
        (
            {
                "a": pd.DataFrame(
                    {"customer_id": [f"c{i}" for i in range(30)], "phone": ["+1 415 555 0101"] * 30}
                )
            },
            "Values of phone that several people share link nobody: 1, of up to 15 people, on 30 records.",
        ),
        (
            {
                "a": pd.DataFrame({"customer_id": ["c-1", "c-2"]}),
                "b": pd.DataFrame({"user_id": ["c-1", "c-2"]}),
            },
            "customer_id and user_id have the same values",
        ),
    ],
    ids=["no overlap", "an empty source", "a shared phone", "one numbering under two names"],
)
def test_warnings(sources: dict[str, Any], said: str) -> None:
    """What looks like damage is said, with what to do."""
    assert said in warnings(sources)


def test_an_event_time_without_values_is_no_attribute() -> None:
    """In a night in which its source is empty, its type known or not, the profiles get no column of it."""
    crm = pd.DataFrame({"email": ["a@x.com"], "full_name": ["Ann Lee"]})
    for kind in (pa.timestamp("us", "UTC"), pa.timestamp("us"), pa.string(), pa.int64()):
        schema = pa.schema({"email": pa.string(), "opened_at": kind})
        sources = {"crm": crm, "support": schema.empty_table()}
        found = column(sources, "support", "opened_at")
        assert (found["role"], found["output"]) == ("ignored", None)
        assert "without a value" in found["reason"]
        assert "no source has an event time" in warnings(sources).lower()


@pytest.mark.parametrize("people", [3, 40_000], ids=["rows that repeat", "rows that do not"])
def test_of_many_rows_a_sample_decides_whatever_their_order(people: int) -> None:
    """Shares of values are told of a sample; it is the same one when rows come in another order."""
    rows = 120_000
    source = pa.table(
        {
            "email": [f"p{i % people}@mail.example" if i % 10 else f"none {i % people}" for i in range(rows)],
            "amount": pa.array(range(rows)),
        }
    )
    shuffled = source.take(pa.array([i * 7919 % rows for i in range(rows)]))
    reasons = [column({"crm": one}, "crm", "email")["reason"] for one in (source, shuffled)]
    assert all(88 <= int(reason.partition("%")[0][-2:]) <= 92 for reason in reasons)
    if people > 3:
        assert reasons[0] == reasons[1]


def test_a_frequent_value_is_not_left_out_of_the_sample() -> None:
    """Half of the values are no times, all of them the same text: the column is none of times."""
    rows = 100_000
    moments = [
        f"2026-01-01 {i % 24:02}:{i % 60:02}:{i % 59:02}.{i:06}" if i % 100 >= 45 else "see note"
        for i in range(rows)
    ]
    source = pa.table({"email": ["ann@mail.example"] * rows, "updated_at": moments})
    found = [
        column({"crm": source.slice(0, size)}, "crm", "updated_at")["role"]
        for size in (19_000, *range(60_000, rows, 10_000))
    ]
    assert set(found) == {"attribute"}


@pytest.mark.parametrize("zero", [0x660, 0xFF10], ids=["Arabic", "full width"])
def test_phones_are_told_in_any_digits(zero: int) -> None:
    """As they are compared in any: the number in Arabic digits is the one in Latin digits."""
    numbers = [f"020555{i:04}" for i in range(50)]
    digits = {ord("0") + digit: zero + digit for digit in range(10)}
    crm = pd.DataFrame({"mobile": [one.translate(digits) for one in numbers]})
    shop = pd.DataFrame({"phone": numbers, "amount": 1})
    assert column({"crm": crm, "shop": shop}, "crm", "mobile")["output"] == "phone"
    assert len(profiles({"crm": crm, "shop": shop})) == 50
    guests = crm.assign(customer_id=0)
    assert "guests" in column({"shop": guests}, "shop", "customer_id")["reason"]


@pytest.mark.parametrize("rows", [100, 25_000])
def test_texts_that_are_too_long_for_identifiers_are_no_values_of_theirs(rows: int) -> None:
    """Documents in a column that is named like a key say nothing for or against it."""
    keys = [f"k{i}" for i in range(rows // 10)]
    documents = [f'{{"number": {i}, ' * 100 for i in range(rows - len(keys))]
    crm = pd.DataFrame({"customer": documents + keys, "amount": 1})
    found = column({"crm": crm}, "crm", "customer")
    assert (found["role"], found["output"]) == ("identifier", "customer_id")
    assert set(profiles({"crm": crm})) == set(keys)


def test_nested_values_are_no_event_time() -> None:
    """Whoever states them is told, as of identifiers."""
    crm = pa.table({"customer_id": [1], "seen": [{"at": "2026-01-01"}]})
    with pytest.raises(ConfigError, match="'seen' is stated as event time but holds nested values"):
        unify({"crm": Source(data=crm, event_time="seen")})
