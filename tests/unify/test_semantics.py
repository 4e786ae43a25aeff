"""The semantics one by one, on examples small enough to check by hand."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from airflow_provider_customer360.unify import Config, DataError, Source, Unified, unify
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.sample import sample_sources

AS_OF = datetime(2026, 1, 31, tzinfo=UTC)
TICK = timedelta(microseconds=1)
MONTH = timedelta(days=30)


def profiles(sources: Mapping[str, Any], config: Config | None = None, as_of: datetime | None = AS_OF) -> Any:
    """The profiles by customer id."""
    with unify(sources, config, as_of=as_of) as result:
        return by_id(result)


def by_id(result: Unified) -> dict[str, dict[str, Any]]:
    """The profiles of a result by customer id."""
    rows = result.profiles.to_arrow().to_pylist()
    found = {row["customer_id"]: row for row in rows}
    assert len(found) == len(rows)
    return found


def groups(sources: Mapping[str, Any], config: Config | None = None) -> set[frozenset[str]]:
    """Which identifier values are one customer."""
    with unify(sources, config, as_of=AS_OF) as result:
        rows = result.identities.to_arrow().to_pylist()
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row["customer_id"], set()).add(f"{row['identifier_type']}={row['identifier_value']}")
    return set(map(frozenset, found.values()))


def table(**columns: list[Any]) -> pa.Table:
    """An Arrow table."""
    return pa.table(columns)


def digest(kind: str, value: str) -> str:
    """The id of a customer known by personal data only."""
    return f"{kind}:{hashlib.sha256(f'{kind}:{value}'.encode()).hexdigest()[:32]}"


# --- The sample ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("customer", "expected"),
    [
        ("cust_001", (Decimal("1250.00"), 45, 2, 3, 5, True)),
        ("cust_002", (Decimal("890.50"), 32, 0, 3, 3, True)),
        ("cust_003", (Decimal("0.00"), 7, 0, 1, 1, False)),
        (digest("email", "dan.weber@example.com"), (Decimal("64.90"), 0, 0, 1, 1, True)),
    ],
)
def test_sample(customer: str, expected: tuple[Any, ...]) -> None:
    """The bundled sample gives exactly the documented profiles."""
    columns = (
        "total_spend",
        "total_interactions",
        "support_tickets",
        "data_sources",
        "total_records",
        "is_active",
    )
    found = profiles(sample_sources(AS_OF))
    assert len(found) == 4
    assert tuple(found[customer][column] for column in columns) == expected


@pytest.mark.parametrize(
    "as_of", [datetime(2024, 2, 29, 23, 59, tzinfo=UTC), datetime(2031, 7, 1, tzinfo=UTC)]
)
def test_sample_at_any_time(as_of: datetime) -> None:
    """The sample's profiles are the same whenever it is run."""
    found = profiles(sample_sources(as_of), as_of=as_of)
    assert [row["is_active"] for _, row in sorted(found.items())] == [True, True, False, True]
    assert found["cust_001"]["last_seen"] == as_of - timedelta(days=2)


# --- Who is one customer ---------------------------------------------------------------------------------


def test_resolution_is_transitive() -> None:
    """Records without a common identifier are one customer when a chain of others joins them."""
    crm = table(customer_id=["1", "2"], email=["ann@x.io", "bob@x.io"])
    shop = table(email=["ann@x.io", None], phone=["+14155550101", "+14155550102"])
    desk = table(phone=["+1 (415) 555-0101"], user_id=["u7"])
    assert groups({"crm": crm, "shop": shop, "desk": desk}) == {
        frozenset({"customer_id=1", "email=ann@x.io", "phone=+14155550101", "user_id=u7"}),
        frozenset({"customer_id=2", "email=bob@x.io"}),
        frozenset({"phone=+14155550102"}),
    }


def test_spellings_of_one_identifier() -> None:
    """123, 123.0 and " 123 " are one id, in whatever types the sources hold them."""
    sources = {
        "ints": table(customer_id=[123]),
        "floats": pd.DataFrame({"customer_id": [123.0, None]}),
        "text": table(customer_id=[" 123 "]),
        "mixed": pd.DataFrame({"customer_id": [123, "123.0", "x"]}),
        "decimals": table(customer_id=[Decimal("123.00")]),
    }
    found = profiles(sources)
    assert found["123"]["total_records"] == 6
    assert found.keys() == {"123", "x"}


def test_leading_zeros_tell_customers_apart() -> None:
    """007 is not 7: text is compared as text."""
    assert profiles({"s": table(customer_id=["007", "7"])}).keys() == {"007", "7"}


def test_types_are_namespaces() -> None:
    """The same number under two types is two customers, until a record joins them."""
    shop, desk = table(customer_id=["1001"]), table(requester_id=["1001"])
    assert groups({"shop": shop, "desk": desk}) == {
        frozenset({"customer_id=1001"}),
        frozenset({"requester_id=1001"}),
    }
    link = table(customer_id=["1001"], requester_id=["1001"])
    assert len(groups({"shop": shop, "desk": desk, "link": link})) == 1


def test_placeholders_join_nobody() -> None:
    """People who share only what was filled in for want of a value stay apart."""
    junk = ["n/a", "unknown", "none@none.com", "000-0000", "", None]
    crm = table(customer_id=list("abcdef"), email=junk, phone=junk[::-1])
    assert groups({"crm": crm}) == {frozenset({f"customer_id={one}"}) for one in "abcdef"}


def test_records_without_identifier_stay_single() -> None:
    """Unidentified records are counted by source, merge with nothing and are in no profile."""
    crm = table(customer_id=["a", None, "n/a"], amount=[1, 10, 100])
    log = table(user_id=[None, "u"], amount=[1000, 2])
    with unify({"crm": crm, "log": log}, as_of=AS_OF) as result:
        assert {name: row["amount"] for name, row in by_id(result).items()} == {"a": 1, "user_id:u": 2}
        summary = result.summary
    assert (summary["total_records"], summary["unidentified_records"]) == (5, 3)
    assert (summary["metrics"]["amount"]["total"], summary["metrics"]["amount"]["unidentified"]) == (3, 1110)
    assert summary["sources"]["crm"]["identified"] == 1
    assert any("'crm': 2 of 3 records" in warning for warning in summary["warnings"])


# --- customer_id -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("identifiers", "expected"),
    [
        ({"customer_id": "c9", "user_id": "u1", "email": "a@x.io"}, "c9"),
        ({"user_id": "u1", "email": "a@x.io", "loyalty_no": "l1"}, "user_id:u1"),
        ({"requester_id": "r1", "email": "a@x.io", "loyalty_no": "l1"}, "loyalty_no:l1"),
        ({"email": "a@x.io", "phone": "+14155550101", "anonymous_id": "z"}, digest("email", "a@x.io")),
        ({"phone": "+1 415 555 0101", "anonymous_id": "z"}, digest("phone", "+14155550101")),
        ({"anonymous_id": "z"}, "anonymous_id:z"),
        ({"customer_id": "shop:7"}, "shop:7"),
        ({"customer_id": "user_id:7", "user_id": "7"}, "customer_id:user_id:7"),
    ],
)
def test_strongest_identifier_names_the_customer(identifiers: Mapping[str, str], expected: str) -> None:
    """The customer's id comes from the strongest type, personal data only as a digest."""
    assert profiles({"s": table(**{name: [value] for name, value in identifiers.items()})}).keys() == {
        expected
    }


def test_shortest_then_smallest_value_names_the_customer() -> None:
    """Of several customer numbers of one customer the lowest becomes the id, in any order of rows."""
    for numbers in (["10", "9", "8"], ["8", "9", "10"]):
        assert profiles({"s": table(customer_id=numbers, email=["a@x.io"] * 3)}).keys() == {"8"}


def test_an_id_that_looks_like_another_customers_is_its_own() -> None:
    """A customer number in the form of a made-up id does not take the place of that id's owner."""
    crm = table(customer_id=["user_id:7", None], user_id=[None, "7"])
    assert profiles({"crm": crm}).keys() == {"customer_id:user_id:7", "user_id:7"}


# --- What profiles hold ----------------------------------------------------------------------------------


def test_counts_and_times() -> None:
    """Records and the sources with one are counted; first and last seen are the range of times in UTC."""
    crm = table(customer_id=["a", "a", "b"], created_at=[AS_OF, AS_OF - MONTH, AS_OF])
    tokyo = datetime(2026, 1, 31, 12, tzinfo=timezone(timedelta(hours=9)))
    shop = table(customer_id=["a", "a"], ordered_at=[tokyo, None])
    row = profiles({"crm": crm, "shop": shop})["a"]
    assert (row["total_records"], row["crm_records"], row["shop_records"], row["data_sources"]) == (
        4,
        2,
        2,
        2,
    )
    assert row["first_seen"] == AS_OF - MONTH
    assert row["last_seen"] == datetime(2026, 1, 31, 3, tzinfo=UTC)
    with unify({"crm": crm}, as_of=AS_OF) as result:
        assert str(result.profiles.schema.field("last_seen").type) == "timestamp[us, tz=UTC]"


def test_metrics_are_added_up_across_sources() -> None:
    """Columns of one name are one metric; who has no record of it has 0."""
    crm = table(customer_id=["a", "b"], amount=[1, None])
    shop = table(customer_id=["a", "a"], Amount=[2, 4], points=[1, 1])
    found = profiles({"crm": crm, "shop": shop})
    assert [(found[name]["amount"], found[name]["points"]) for name in "ab"] == [(7, 2), (0, 0)]


def test_the_most_recent_attribute_survives() -> None:
    """Of an attribute's values the latest counts, blanks never, and of two at one time the greatest."""
    crm = table(
        customer_id=["a"] * 4 + ["b"] * 2 + ["c"] * 2,
        created_at=[AS_OF, AS_OF - MONTH, None, AS_OF + TICK, AS_OF, AS_OF, None, AS_OF - MONTH],
        city=["Oslo", "Rome", "Zug", " ", "Bonn", "Cork", "Zug", "Rome"],
    )
    found = profiles({"crm": crm})
    assert {name: row["city"] for name, row in found.items()} == {"a": "Oslo", "b": "Cork", "c": "Rome"}


def test_the_profile_shows_the_identifier_seen_last() -> None:
    """Of several e-mails the one seen last is shown, then the one seen most, then the smallest."""
    crm = table(
        customer_id=["a", "a", "a", "b", "b", "b"],
        email=["old@x.io", "new@x.io", "old@x.io", "most@x.io", "a@x.io", "most@x.io"],
        created_at=[AS_OF - MONTH, AS_OF, AS_OF - MONTH, None, None, None],
    )
    found = profiles({"crm": crm})
    assert (found["a"]["email"], found["b"]["email"]) == ("new@x.io", "most@x.io")


def test_identities_list_every_identifier() -> None:
    """One row per identifier, with its records, sources and times, and by which other one it is linked."""
    crm = table(customer_id=["a", "a"], email=["A@x.io", "a@x.io "], created_at=[AS_OF, AS_OF - MONTH])
    shop = table(email=["a@x.io"])
    with unify({"crm": crm, "shop": shop}, as_of=AS_OF) as result:
        rows = result.identities.to_arrow().to_pylist()
    assert rows == [
        {"identifier_type": "customer_id", "identifier_value": "a", "customer_id": "a",
         "status": "linked", "first_seen": AS_OF - MONTH, "last_seen": AS_OF, "records": 2,
         "data_sources": 1, "linked_to_type": None, "linked_to_value": None, "linked_in": None,
         "linked_records": None},
        {"identifier_type": "email", "identifier_value": "a@x.io", "customer_id": "a",
         "status": "linked", "first_seen": AS_OF - MONTH, "last_seen": AS_OF, "records": 3,
         "data_sources": 2, "linked_to_type": "customer_id", "linked_to_value": "a", "linked_in": "crm",
         "linked_records": 2},
    ]  # fmt: skip


# --- is_active -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "active"),
    [
        (AS_OF, True),
        (AS_OF - MONTH, True),
        (AS_OF - MONTH - TICK, False),
        (AS_OF + timedelta(days=400), True),
        (None, False),
    ],
)
def test_is_active(seen: datetime | None, active: bool) -> None:
    """Active is who was seen within the time before the reference time, its limit included."""
    crm = table(customer_id=["a", "b"], created_at=[seen, AS_OF])
    assert profiles({"crm": crm})["a"]["is_active"] is active


def test_everybody_is_active_without_event_times() -> None:
    """Where no source has an event time nobody can be called inactive, and the summary says so."""
    with unify({"crm": table(customer_id=["a"])}, as_of=AS_OF) as result:
        assert by_id(result)["a"]["is_active"] is True
        assert any("No source has an event time" in warning for warning in result.summary["warnings"])


def test_who_has_no_event_time_is_not_active_where_others_have() -> None:
    """A source without event times says nothing of activity where another source has some."""
    sources = {"crm": table(customer_id=["a", "b"]), "log": table(customer_id=["b"], created_at=[AS_OF])}
    found = profiles(sources)
    assert (found["a"]["is_active"], found["a"]["last_seen"]) == (False, None)
    assert found["b"]["is_active"] is True


def test_the_reference_time_is_never_the_clock() -> None:
    """Without a reference time the latest event time is it: a rerun gives what the first run gave."""
    old = datetime(1999, 1, 1, tzinfo=UTC)
    crm = table(customer_id=["a", "b"], created_at=[old, old - MONTH - TICK])
    with unify({"crm": crm}) as result:
        assert [row["is_active"] for row in by_id(result).values()] == [True, False]
        assert result.summary["as_of"] == old.isoformat()


@pytest.mark.parametrize(
    "as_of", [AS_OF.replace(tzinfo=None), AS_OF.astimezone(timezone(timedelta(hours=-10)))]
)
def test_reference_time_in_any_zone(as_of: datetime) -> None:
    """A naive reference time is UTC, another zone's is the same moment."""
    crm = table(customer_id=["a", "b"], created_at=[AS_OF - MONTH, AS_OF - MONTH - TICK])
    found = profiles({"crm": crm}, as_of=as_of)
    assert [found["a"]["is_active"], found["b"]["is_active"]] == [True, False]


@pytest.mark.parametrize("factor", [1, 10**3, 10**6, 10**9])
@pytest.mark.parametrize("kind", [int, float])
def test_epochs(factor: int, kind: type) -> None:
    """Numbers as times are seconds, milli-, micro- or nanoseconds since 1970, told apart by their size."""
    moment = datetime(2026, 1, 30, 12, 34, 56, tzinfo=UTC)
    crm = table(customer_id=["a"], created_at=[kind(int(moment.timestamp()) * factor)])
    assert profiles({"crm": crm})["a"]["last_seen"] == moment


# --- Stated roles and derived columns --------------------------------------------------------------------


def test_what_is_stated_overrides_what_is_detected() -> None:
    """Stated identifiers are exactly these: an e-mail column that is left out joins nobody."""
    data = table(member_no=["1", "2"], email=["a@x.io", "a@x.io"], zip=[1, 2])
    sources = {"s": Source(data=data, identifiers={"customer_id": "member_no"}, metrics=["zip"])}
    found = profiles(sources)
    assert {name: row["zip"] for name, row in found.items()} == {"1": 1, "2": 2}


def test_stated_identifier_columns_by_their_own_name() -> None:
    """Columns that are only listed get the type that their name says, or their own name as the type."""
    data = table(custNo=["1"], card=["k"], mail=["a@x.io"])
    with unify({"s": Source(data=data, identifiers=["custNo", "card", "mail"])}, as_of=AS_OF) as result:
        assert set(result.summary["identifiers"]) == {"customer_id", "card", "email"}


def test_a_general_statement_holds_where_it_fits() -> None:
    """What Config states holds for every source that has the column; the others keep what they have."""
    sources = {"x": table(customer_id=["a"], score=[3]), "y": table(customer_id=["a"], city=["Oslo"])}
    row = profiles(sources, Config(metrics={"score": "max"}, attributes=["city"]))["a"]
    assert (row["score"], row["city"]) == (3, "Oslo")


def test_derived_columns() -> None:
    """Derived columns may use earlier ones; what divides by zero is null."""
    data = table(customer_id=["a", "b"], amount=[10.0, 4.0], orders=[4, 0])
    config = Config(derived={"average": "amount / orders", "is_big": "average > 2"})
    found = profiles({"s": data}, config)
    assert [(row["average"], row["is_big"]) for row in found.values()] == [(2.5, True), (None, None)]


# --- A bare id -------------------------------------------------------------------------------------------

NAMED = {"email": ["a@x.io", "b@x.io", "c@x.io"], "amount": [1, 2, 3]}
BARE: dict[str, tuple[dict[str, pa.Table], str, str | None]] = {
    "in a table of things": ({"orders": table(id=["1", "2", "3"], **NAMED)}, "orders", None),
    "in a table of things without other identifiers": (
        {"orders": table(id=["1", "2"]), "crm": table(customer_id=["1"])},
        "orders",
        None,
    ),
    "beside a customer_id": ({"crm": table(id=["1", "2"], customer_id=["x", "y"])}, "crm", None),
    "as the only identifier": ({"crm": table(id=["1", "2"], amount=[1, 2])}, "crm", "customer_id"),
    "in a table with several rows a customer": (
        {"export": table(id=["1", "2", "3", "4"], email=["a@x.io", "a@x.io", "b@x.io", "b@x.io"])},
        "export",
        None,
    ),
    "of customers whom another source refers to": (
        {"crm": table(id=["k1", "k2", "k3"], **NAMED), "web": table(customer_id=["k1", "k3"])},
        "crm",
        "customer_id",
    ),
    "of customers whom another source's own key refers to": (
        {"people": table(id=["k1", "k2", "k3"], **NAMED), "desk": table(requester_id=["k1", "k3"])},
        "people",
        "requester_id",
    ),
    "of customers whom nobody refers to": (
        {"crm": table(id=["k1", "k2", "k3"], **NAMED), "web": table(customer_id=["z1", "z2"])},
        "crm",
        "crm_id",
    ),
    "small numbers, in a table named for customers": (
        {"crm": table(id=[1, 2, 3], **NAMED), "web": table(customer_id=[1, 3])},
        "crm",
        "customer_id",
    ),
    "small numbers, in a table of another name": (
        {"newsletter": table(id=[1, 2, 3], **NAMED), "web": table(customer_id=[1, 3])},
        "newsletter",
        "newsletter_id",
    ),
    "small numbers, but the e-mails agree": (
        {
            "newsletter": table(id=[1, 2, 3], **NAMED),
            "web": table(customer_id=[1, 3], email=["a@x.io", "c@x.io"]),
        },
        "newsletter",
        "customer_id",
    ),
    "the e-mails disagree": (
        {"crm": table(id=["k1", "k2", "k3"], **NAMED), "web": table(customer_id=["k1"], email=["z@x.io"])},
        "crm",
        "crm_id",
    ),
    "in a source named customer that nobody refers to": (
        {"customer": table(id=["k1", "k2", "k3"], **NAMED), "web": table(customer_id=["z"])},
        "customer",
        "customer_key",
    ),
}


@pytest.mark.parametrize("name", BARE)
def test_bare_id(name: str) -> None:
    """A column called just id is what its table and the other sources make of it, with the reason said."""
    sources, source, expected = BARE[name]
    with unify(dict(sources) | {"anchor": table(user_id=["u"])}, as_of=AS_OF) as result:
        column = next(
            one for one in result.summary["columns"] if one["source"] == source and one["name"] == "id"
        )
    assert (column["role"], column["output"]) == ("identifier" if expected else "ignored", expected)
    assert column["reason"]


def test_bare_ids_of_two_systems_do_not_mix() -> None:
    """Number 1 of one system is not number 1 of another, though both tables call it id."""
    crm = table(id=[1, 2, 3], email=["a@x.io", "b@x.io", "c@x.io"])
    desk = table(id=[1, 2, 3], email=["x@x.io", "y@x.io", "a@x.io"])
    assert len(groups({"crm": crm, "helpdesk": desk})) == 5


# --- The summary -----------------------------------------------------------------------------------------


def test_summary_figures() -> None:
    """The summary's counts, rates and metrics are those of the profiles."""
    with unify(sample_sources(AS_OF), as_of=AS_OF) as result:
        summary = result.summary
    expected = {
        "as_of": "2026-01-31T00:00:00+00:00",
        "total_customers": 4,
        "active_customers": 3,
        "total_records": 10,
        "unidentified_records": 0,
        "data_sources": 3,
        "merge_rate": 0.5,
        "largest_customer": 5,
        "sample_data": False,
        "warnings": [],
    }
    assert {key: summary[key] for key in expected} == expected
    assert summary["sources"]["orders"] == {
        "records": 4,
        "identified": 4,
        "customers": 3,
        "match_rate": 0.6667,
    }
    assert summary["identifiers"]["customer_id"] == {
        "distinct_values": 3, "coverage": 0.75, "blocked": 0, "shared": 0, "dropped_links": 0,
    }  # fmt: skip
    assert summary["metrics"]["total_interactions"] == {
        "aggregate": "sum", "total": 84, "unidentified": 0, "min": 0, "mean": 21.0, "max": 45,
    }  # fmt: skip
    roles = {(column["source"], column["name"]): column["role"] for column in summary["columns"]}
    assert roles["orders", "order_id"] == "ignored"
    assert roles["support", "created_at"] == "event_time"
    assert all(column["reason"] for column in summary["columns"])
    assert set(summary["duration_seconds"]) >= {"read", "detect", "resolve", "aggregate"}


def plain(value: Any) -> bool:
    """Whether a value is made of JSON's own Python types only."""
    if isinstance(value, dict):
        return all(type(key) is str and plain(one) for key, one in value.items())
    if isinstance(value, list):
        return all(map(plain, value))
    return value is None or type(value) in (str, int, float, bool)


@pytest.mark.parametrize(
    "sources",
    [
        sample_sources(AS_OF),
        {"s": pd.DataFrame({"customer_id": ["a", None], "amount": [float("inf"), float("nan")]})},
        {"s": table(customer_id=["a", "a"], amount=[2**63 - 1, 2**63 - 1])},
        {"s": table(customer_id=["a"], amount=[1e306], day=[AS_OF])},
        {"s": table(customer_id=["a"]), "empty": table(customer_id=pa.array([], pa.string()))},
    ],
)
def test_summary_is_plain_json(sources: Mapping[str, Any]) -> None:
    """The summary is finite and plain: it can be an XCom value and an asset event's extra."""
    with unify(sources, as_of=AS_OF) as result:
        assert json.loads(json.dumps(result.summary, allow_nan=False)) == result.summary
        assert plain(result.summary)


# --- Customer data stays out -----------------------------------------------------------------------------

SECRET = {
    "customer_id": ["Smith-4711-Secret", "n/a"],
    "email": ["quentin.secret@example.com", "quentin.secret@example.com"],
    "phone": ["+14155550133", "+1 415 555 0133"],
    "full_name": ["Quentin Secret", "Quentin Secret"],
    "account_note": ["Secret note", None],
}
TELLTALES = ("quentin", "Quentin", "Secret", "secret", "4155550133", "555 0133", "4711")


def assert_silent(text: str) -> None:
    """Nothing of the customer's data is in the text."""
    assert not [telltale for telltale in TELLTALES if telltale in text], text


def test_nothing_of_a_customer_is_in_summary_or_log(caplog: pytest.LogCaptureFixture) -> None:
    """Summary, preview and log hold counts, names of columns and masked values only."""
    caplog.set_level(logging.DEBUG)
    with unify({"crm": table(**SECRET)}, Config(derived={"d": "upper(full_name)"}), as_of=AS_OF) as result:
        summary = result.summary
        assert by_id(result)["Smith-4711-Secret"]["d"] == "QUENTIN SECRET"
    assert_silent(json.dumps(summary))
    assert_silent(caplog.text)
    assert "q***@example.com" in summary["preview"]
    assert "crm.email" in caplog.text


@pytest.mark.parametrize(
    ("roles", "config"),
    [
        ({"event_time": "full_name"}, {}),
        ({"metrics": {"full_name": "sum"}, "identifiers": []}, {}),
        ({"identifiers": {"phone": "full_name"}}, {}),
        ({}, {"derived": {"d": "CAST(full_name AS INTEGER)"}}),
        ({}, {"derived": {"d": "CAST(phone AS TIMESTAMP)"}}),
        ({}, {"derived": {"d": "error(email)"}}),
        ({}, {"derived": {"d": "strptime(full_name, '%Y')"}}),
    ],
)
def test_nothing_of_a_customer_is_in_an_error(
    roles: Mapping[str, Any], config: Mapping[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """What fails because of a value does not quote the value, nor does an error behind the error."""
    caplog.set_level(logging.DEBUG)
    try:
        unify({"crm": Source(data=table(**SECRET), **roles)}, Config(**config), as_of=AS_OF).close()
    except DataError as error:
        assert_silent(str(error))
        chained = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        assert chained is None
    except ValueError as error:
        assert_silent(str(error))
    assert_silent(caplog.text)


@pytest.mark.parametrize(
    "statement", ["SELECT v::INTEGER FROM t", "SELECT error(v) FROM t", "SELECT v::TIMESTAMP FROM t"]
)
def test_the_engines_own_errors_quote_no_value(statement: str) -> None:
    """DuckDB's messages quote values; what passes them on names the error and the stage instead."""
    with Engine() as engine:
        engine.run("CREATE TABLE t AS SELECT 'Quentin Secret' AS v")
        with pytest.raises(DataError, match="While adding up") as raised:
            engine.rows(statement, doing="adding up")
    assert_silent(str(raised.value))
    assert raised.value.__suppress_context__
