"""The most values of a type that one customer may have: what is cut off, and that nothing is lost."""

from __future__ import annotations

import time
from typing import Any

import pandas as pd
import pytest

from airflow_provider_customer360.unify import Config
from tests.unify.outcomes import HOSTILE, conserved, customers, joined, rows, run


def limited(**limits: int | None) -> Config:
    """Limits by type, with nothing else that separates."""
    guards_off = {"shared_after": None}
    return Config(identifier_types={name: {"limit": most, **guards_off} for name, most in limits.items()})


def emails(count: int) -> list[str]:
    return [f"e{i}@x.example" for i in range(count)]


def dropped(result: Any) -> list[dict[str, Any]]:
    return [row for row in rows(result.events) if row["kind"] == "link_dropped"]


@pytest.mark.parametrize(("count", "linked"), [(5, 5), (6, 5), (9, 5)])
def test_a_customer_has_at_most_five_emails(count: int, linked: int) -> None:
    """The documented default; the others belong to nobody, and their records to the customer."""
    with run({"crm": pd.DataFrame({"customer_id": "c1", "email": emails(count), "amount": 1})}) as result:
        [customer] = customers(result)
        assert len(customer) == linked + 1
        assert len(dropped(result)) == count - linked
        assert rows(result.profiles)[0]["amount"] == count
        assert result.summary["unidentified_records"] == 0
        assert conserved(result)


@pytest.mark.parametrize(("most", "linked"), [(1, 1), (7, 7), (None, 9)])
def test_limits_can_be_stated(most: int | None, linked: int) -> None:
    """Also that there is none."""
    crm = pd.DataFrame({"customer_id": "c1", "email": emails(9)})
    [customer] = joined({"crm": crm}, limited(email=most))
    assert len(customer) == linked + 1


def test_customer_numbers_are_counted_by_source() -> None:
    """Five numbers in each of two sources are allowed, and six in one are not."""
    one, other = (
        pd.DataFrame({"customer_id": [f"{name}{i}" for i in range(5)], "email": "ana@x.example"})
        for name in ("a", "b")
    )
    config = limited(email=None)
    assert len(joined({"one": one, "other": other}, config)) == 1
    with run({"both": pd.concat([one, other])}, config) as result:
        assert sorted(map(len, customers(result))) == [1] * 5 + [6]
        reasons = {row["reason"] for row in dropped(result)}
    assert reasons == {"one customer would have more than 5 values of customer_id in one source"}


def test_a_limit_per_source_can_be_stated() -> None:
    """Then each source may add as many."""
    one, other = pd.DataFrame({"email": emails(4)}), pd.DataFrame({"email": emails(8)[4:]})
    sources = {name: frame.assign(customer_id="c1") for name, frame in (("one", one), ("other", other))}
    per_source = Config(identifier_types={"email": {"limit": 4, "limit_per": "source"}})
    [customer] = joined(sources, per_source)
    assert len(customer) == 9
    with run(sources, Config(identifier_types={"email": {"limit": 4}})) as result:
        [customer] = customers(result)
    assert len(customer) == 5


def test_the_weakest_links_are_dropped_first() -> None:
    """Of two customers that one e-mail and one device join, the e-mail holds and the device does not."""
    crm = pd.DataFrame(
        {
            "customer_id": ["c1", "c2", "c2", "c3"],
            "email": ["ana@x.example", "ana@x.example", None, None],
            "anonymous_id": [None, None, "cookie-1", "cookie-1"],
        }
    )
    with run({"crm": crm}, limited(customer_id=2)) as result:
        assert customers(result) == {
            frozenset({"customer_id=c1", "customer_id=c2", "email=ana@x.example", "anonymous_id=cookie-1"}),
            frozenset({"customer_id=c3"}),
        }
        [event] = dropped(result)
        assert conserved(result)
    assert (event["identifier"], event["other_identifier"]) == ("cookie-1", "c3")
    assert (event["customer_id"], event["other_customer_id"]) == ("c1", "c3")
    assert event["reason"] == "one customer would have more than 2 values of customer_id in one source"
    assert (event["source"], event["records"]) == ("crm", 1)


def test_of_equal_types_the_link_on_fewer_records_is_weaker() -> None:
    """A customer number seen with the e-mail ten times is kept, one seen once is not."""
    crm = pd.DataFrame({"customer_id": ["c9"] * 10 + ["c1"], "email": "ana@x.example"})
    found = joined({"crm": crm}, limited(customer_id=1))
    assert found == {frozenset({"customer_id=c9", "email=ana@x.example"}), frozenset({"customer_id=c1"})}


def test_a_record_with_more_values_than_the_limit() -> None:
    """Keeps as many, is one customer, and shows them all the same."""
    frame = pd.DataFrame([{f"email_{i}": email for i, email in enumerate(emails(8))} | {"amount": 5}])
    config = Config(identifiers={"email": [f"email_{i}" for i in range(8)]}, assignments=True)
    with run({"crm": frame}, config) as result:
        [customer] = customers(result)
        assert len(customer) == 5
        assert len(dropped(result)) == 3
        assert conserved(result)
        assert rows(result.assignments)[0]["customer_id"] is not None


def test_one_text_in_two_types_is_counted_in_each() -> None:
    """1001 of the club and 1001 of the shop are two values."""
    frame = pd.DataFrame({"member_id": ["1001"], "visitor_id": ["1001"], "email": ["ana@x.example"]})
    assert len(joined({"club": frame}, limited(member_id=1, visitor_id=1))) == 1


def test_a_value_in_two_columns_counts_once() -> None:
    """Billing and contact e-mail are usually the same."""
    frame = pd.DataFrame(
        {"customer_id": ["c1"], "email": ["ana@x.example"], "billing_email": ["ANA@x.example"]}
    )
    [customer] = joined({"crm": frame}, limited(email=1))
    assert customer == {"customer_id=c1", "email=ana@x.example"}


def test_the_order_of_rows_and_sources_changes_nothing() -> None:
    """Neither who is one customer nor which links are dropped."""
    crm = pd.DataFrame({"customer_id": [f"c{i % 7}" for i in range(40)], "email": emails(40)})
    shop = pd.DataFrame({"email": emails(40)[::3], "phone": [f"+1415555{i % 5:04d}" for i in range(14)]})
    outcomes = []
    for seed in range(4):
        sources = {
            "crm": crm.sample(frac=1, random_state=seed),
            "shop": shop.sample(frac=1, random_state=seed),
        }
        with run(dict(sorted(sources.items(), reverse=bool(seed % 2))), limited(email=4)) as result:
            outcomes.append((customers(result), [{**row, "run_id": ""} for row in rows(result.events)]))
            assert conserved(result)
    assert outcomes[0][1]
    assert all(outcome == outcomes[0] for outcome in outcomes)


def test_hostile_names_of_types_are_told_as_they_are() -> None:
    """In the reason of an event."""
    frame = pd.DataFrame({HOSTILE: ["k1", "k2"], "email": "ana@x.example"})
    config = Config(
        identifiers={HOSTILE: HOSTILE, "email": "email"}, identifier_types={HOSTILE: {"limit": 1}}
    )
    with run({HOSTILE: frame}, config) as result:
        assert len(customers(result)) == 2
        [event] = dropped(result)
        assert event["source"] == HOSTILE
        assert conserved(result)


@pytest.mark.parametrize("shape", ["chain", "star", "hub"])
def test_twenty_thousand_links_of_one_component_take_seconds(shape: str) -> None:
    """Whatever their shape, and every record still has its customer."""
    n = 20_000
    if shape == "chain":
        users = [f"u{i}" for i in range(n // 2)]
        frame = pd.DataFrame(
            {"user_id": [*users, *users[:-1]], "email": [*emails(n // 2), *emails(n // 2)[1:]]}
        )
    elif shape == "star":
        frame = pd.DataFrame({"user_id": "u1", "email": emails(n)})
    else:
        frame = pd.DataFrame({"customer_id": [f"c{i}" for i in range(n)], "user_id": "u1"})
    started = time.monotonic()
    config = Config(identifier_types={"user_id": {"shared_after": None}})
    with run({"events": frame}, config) as result:
        assert conserved(result)
        assert dropped(result)
        assert time.monotonic() - started < 30
