"""Why a customer is one: the links that hold it together, the weakest first."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from airflow_provider_customer360.unify import Config, DataError
from airflow_provider_customer360.unify.explain import Explanation, Link, explain
from tests.unify.outcomes import HOSTILE, run

CRM = pd.DataFrame({"customer_id": ["c1", "c1"], "email": ["ana@x.example", "ana@x.example"]})
SHOP = pd.DataFrame({"email": ["ana@x.example"], "phone": ["+14155550101"]})
DESK = pd.DataFrame({"phone": ["+14155550101"], "anonymous_id": ["cookie-1"]})


def explained(
    sources: dict[str, Any], customer_id: str, config: Config | None = None, **more: Any
) -> Explanation:
    with run(sources, config, **more) as result:
        return result.explain(customer_id)


def test_a_chain_is_told_link_by_link() -> None:
    """The weakest types first; each link with its sources, records and what hangs on it."""
    email, phone = ("email", "ana@x.example"), ("phone", "+14155550101")
    found = explained({"crm": CRM, "shop": SHOP, "desk": DESK}, "c1")
    assert dict(found.identifiers) == {
        ("customer_id", "c1"): 2,
        email: 3,
        phone: 2,
        ("anonymous_id", "cookie-1"): 1,
    }
    assert found.links == (
        Link(("anonymous_id", "cookie-1"), phone, "desk", 1, 1),
        Link(phone, email, "shop", 1, 2),
        Link(email, ("customer_id", "c1"), "crm", 2, 3),
    )
    assert (found.absorbed, found.absent) == ((), ())


def test_of_equal_types_the_fewest_records_are_the_weakest() -> None:
    """A link that one record shows is doubted before one that three show."""
    crm = pd.DataFrame({"customer_id": "c1", "email": ["a@x.example"] * 3 + ["b@x.example"]})
    links = explained({"crm": crm}, "c1").links
    assert [(link.identifier[1], link.records) for link in links] == [("b@x.example", 1), ("a@x.example", 3)]


def test_of_several_ways_the_strongest_is_told() -> None:
    """An e-mail that also hangs on the customer number is not told to hang on a device."""
    web = pd.DataFrame({"anonymous_id": ["cookie-1"] * 9, "email": "ana@x.example"})
    links = explained({"crm": CRM, "web": web}, "c1").links
    assert [(link.identifier[0], link.other[0]) for link in links] == [
        ("anonymous_id", "email"),
        ("email", "customer_id"),
    ]


def test_a_link_of_several_sources_names_them_all() -> None:
    """By name, in whatever order the sources were given."""
    [link] = explained({"shop": CRM, "crm": CRM}, "c1").links
    assert (link.seen_in, link.records) == ("crm, shop", 4)


def test_a_link_that_a_rule_made_says_so() -> None:
    """And comes last: nobody doubts it before the others."""
    crm = pd.DataFrame({"customer_id": ["c1", "c2"], "email": ["ana@x.example", "bob@x.example"]})
    rule = pd.DataFrame(
        {
            "identifier_type": ["customer_id"],
            "identifier_value": ["c1"],
            "other_identifier_type": ["customer_id"],
            "other_identifier_value": ["c2"],
        }
    )
    found = explained({"crm": crm}, "c1", must_link=rule)
    assert found.links[-1] == Link(("customer_id", "c2"), ("customer_id", "c1"), "must_link", 0, 2)
    assert "[2] customer_id c2 -- [1] customer_id c1, by rule; without it, 2 identifiers" in found.as_text()


def test_shared_values_and_dropped_links_explain_nothing() -> None:
    """What does not link is not told as a link."""
    crm = pd.DataFrame({"customer_id": [f"c{i}" for i in range(9)], "phone": "+14155550101"})
    found = explained({"crm": crm}, "c3")
    assert dict(found.identifiers) == {("customer_id", "c3"): 1}
    assert found.links == ()
    assert (
        found.as_text()
        == "Customer c3: 1 identifier\n  [1] customer_id c3, on 1 record\nNothing had to be linked."
    )


def two_runs() -> tuple[Any, dict[str, Any]]:
    """A run in which c2 turns out to be c1 and c3 goes, and the identities of the one before."""
    before = pd.DataFrame(
        {"customer_id": ["c1", "c2", "c3"], "email": [f"{name}@x.example" for name in ("ana", "bob", "cleo")]}
    )
    with run({"crm": before}) as first:
        previous = first.identities.to_arrow()
    return {"crm": before.iloc[:2].assign(email="ana@x.example")}, {"previous": previous}


def test_earlier_ids_and_identifiers_are_told() -> None:
    """Ids that were absorbed, and identifiers that are no longer in the data."""
    sources, previous = two_runs()
    found = explained(sources, "c1", **previous)
    assert found.absorbed == ("c2",)
    assert found.absent == (("email", "bob@x.example"),)
    text = found.as_text()
    assert text.endswith("Earlier ids of this customer: c2\nNo longer in the data: email b***@x.example")


def test_an_absorbed_id_explains_the_customer_that_it_became() -> None:
    """Under the id that the customer has now."""
    sources, previous = two_runs()
    assert explained(sources, "c2", **previous) == explained(sources, "c1", **previous)


def test_a_customer_who_is_gone_is_told_by_what_is_remembered() -> None:
    """No identifier is left, and none is made up."""
    sources, previous = two_runs()
    found = explained(sources, "c3", **previous)
    assert (found.customer_id, dict(found.identifiers), found.links) == ("c3", {}, ())
    assert found.absent == (("customer_id", "c3"), ("email", "cleo@x.example"))


@pytest.mark.parametrize("customer_id", ["c9", "", HOSTILE, "c1' or '1' = '1", "C1"])
def test_an_unknown_id_is_an_error(customer_id: str) -> None:
    """That repeats the id and asks for the obvious; ids are compared exactly."""
    with pytest.raises(DataError, match="No identity has the customer_id") as raised:
        explained({"crm": CRM}, customer_id)
    assert repr(customer_id) in str(raised.value)
    with pytest.raises(DataError, match="No identity has the customer_id"):
        explain(customer_id, [])


def test_values_are_masked_unless_asked_for() -> None:
    """E-mails, phones and whatever a run may have stated to be personal; ids of customers are shown."""
    crm = CRM.assign(tax_number="DE123456789", phone="+14155550101")
    config = Config(
        identifiers={
            "customer_id": "customer_id",
            "email": "email",
            "phone": "phone",
            "tax_no": "tax_number",
        },
        identifier_types={"tax_no": {"personal": True}},
    )
    found = explained({"crm": crm}, "c1", config)
    for value in ("ana@x.example", "+14155550101", "DE123456789"):
        assert value not in found.as_text()
        assert value in found.as_text(show_values=True)
    assert "customer_id c1" in found.as_text()


def test_a_customer_known_by_an_email_alone() -> None:
    """The id is a digest, and the identifier masked."""
    with run({"news": pd.DataFrame({"email": ["ana@x.example"]})}) as result:
        [customer_id] = result.profiles.to_arrow()["customer_id"].to_pylist()
        text = result.explain(customer_id).as_text()
    assert text.splitlines()[1:] == ["  [1] email a***@x.example, on 1 record", "Nothing had to be linked."]


def test_hostile_names_and_unicode_are_shown_as_they_are() -> None:
    """Of sources and values."""
    crm = pd.DataFrame({"customer_id": ["山田; --", "山田; --"], "email": ["ana@x.example"] * 2})
    config = Config(identifiers=["customer_id", "email"])
    [link] = explained({HOSTILE: crm}, "山田; --", config).links
    assert (link.other, link.seen_in) == (("customer_id", "山田; --"), HOSTILE)


def test_without_any_link_anywhere_identities_can_be_read() -> None:
    """A single source of nothing but numbers links nothing."""
    assert explained({"crm": pd.DataFrame({"customer_id": ["c1", "c2"]})}, "c2").links == ()
