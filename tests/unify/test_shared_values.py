"""Values that many people share: what gives them away, and what becomes of their records."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from airflow_provider_customer360.unify import Config, DataError
from airflow_provider_customer360.unify.identifier_types import IdentifierType
from tests.unify.outcomes import HOSTILE, conserved, customers, joined, rows, run, shared

PHONE = "+14155550101"
PEOPLE = ["Ana Silva", "Bob Weber", "Cleo Xu", "Dan Young", "Eva Zed", "Finn Adams"]


def desk(count: int, **columns: Any) -> pd.DataFrame:
    """Customers who all called from one phone."""
    return pd.DataFrame({"customer_id": [f"c{i}" for i in range(count)], "phone": PHONE, **columns})


def test_the_phone_of_a_call_centre_joins_nobody() -> None:
    """Thirty customers with one phone stay thirty, and each profile still shows it."""
    with run({"desk": desk(30)}) as result:
        assert len(customers(result)) == 30
        assert shared(result) == {PHONE}
        assert {row["phone"] for row in rows(result.profiles)} == {PHONE}
        assert conserved(result)
        [event] = [row for row in rows(result.events) if row["kind"] == "value_shared"]
    assert (event["identifier"], event["records"]) == ("+1***01", 30)
    assert event["reason"] == "beside 30 other identifiers of one source"


@pytest.mark.parametrize(("count", "expected"), [(2, 1), (3, 3)])
def test_one_person_may_have_two_numbers(count: int, expected: int) -> None:
    """Without names, two customer numbers behind one phone are taken for one person, three for several."""
    assert len(joined({"desk": desk(count)})) == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({"shared_after": 2}, 1), ({"shared_after": None}, 1), ({"shared_after": 1}, 4), ({}, 4)],
)
def test_how_many_are_too_many_can_be_stated(settings: dict[str, Any], expected: int) -> None:
    """By type; None is never."""
    assert len(joined({"desk": desk(4)}, Config(identifier_types={"phone": settings}))) == expected


def test_without_guards_equal_values_alone_decide() -> None:
    """Then any number of customers with one phone are one."""
    with run({"desk": desk(30)}, Config(guards=False)) as result:
        assert len(customers(result)) == 1
        assert conserved(result)


def test_customers_of_several_sources_are_not_added_up() -> None:
    """Two numbers of one person in each of three systems are no three people: systems are counted alone."""
    sources = {
        name: pd.DataFrame({f"{name}_id": [f"{name}{i}" for i in range(2)], "phone": PHONE})
        for name in ("lead", "member", "visitor")
    }
    assert len(joined(sources)) == 1


def test_duplicates_of_one_person_are_still_one() -> None:
    """Five numbers of one name are a CRM's duplicates, however the name is written."""
    written = ["Ana Silva", "Silva, Ana", "ANA SILVA", "Dr. Ana Silva", "A. Sílva"]
    assert len(joined({"crm": desk(5, full_name=written)})) == 1


@pytest.mark.parametrize(
    "columns",
    [
        {"full_name": PEOPLE},
        {"name": PEOPLE},
        {
            "first_name": [name.split()[0] for name in PEOPLE],
            "last_name": [name.split()[1] for name in PEOPLE],
        },
        {"Customer Name": [", ".join(reversed(name.split())) for name in PEOPLE]},
        {"full_name": [f"Mrs. {name}" for name in PEOPLE]},
        {"full_name": ["Иван Петров", "Анна Зотова", "Олег Жуков", "Дина Лис", "Яна Фомина", "Юрий Цой"]},
    ],
    ids=["full", "plain", "two columns", "last name first", "titles", "Cyrillic"],
)
def test_different_names_behind_one_phone_are_many_people(columns: dict[str, list[str]]) -> None:
    """In whatever columns the names are; the event says that they decided."""
    with run({"desk": desk(6, **columns)}) as result:
        assert len(customers(result)) == 6
        [event] = [row for row in rows(result.events) if row["kind"] == "value_shared"]
    assert event["reason"] == "on records of 6 differently named people"


@pytest.mark.parametrize(
    "names",
    [
        ["Ana", "Bob", "Cleo", "Dan", "Eva"],
        ["Dr. Silva", "Mr. Weber", "Ms. Xu", "Mrs. Young", "Frau Zed"],
        ["山田 太郎", "李 明", "김 철수", "陳 大文", "محمد علي"],
        ["", "   ", "-", "? ?", "1 2"],
        [None] * 5,
    ],
    ids=["one word", "title and one word", "scripts without case", "nothing", "missing"],
)
def test_names_that_cannot_be_compared_say_nothing(names: list[str | None]) -> None:
    """Then the number of customers decides as if there were no names."""
    assert len(joined({"desk": desk(5, full_name=names)})) == 5
    assert len(joined({"desk": desk(2, full_name=names[:2])})) == 1


def test_a_title_and_one_word_are_no_name() -> None:
    """It may be anybody's of the family: one customer whom four such names call by one phone stays one."""
    names = ["Dr. Silva", "Mr. Weber", "Ms. Xu", "Mrs. Young"]
    assert joined({"crm": desk(4, full_name=names).assign(customer_id="c1")}) == {
        frozenset({"customer_id=c1", f"phone={PHONE}"})
    }


def test_many_namesakes_are_not_told_apart_by_initials_alone() -> None:
    """Forty customers of one name and one phone are more than one person's duplicates can be."""
    assert len(joined({"desk": desk(40, full_name="Ana Silva")})) == 40


def test_records_with_nothing_else_are_counted_and_not_lost() -> None:
    """Calls of a shared phone without a name of their caller belong to nobody; their amounts are told."""
    calls = pd.DataFrame({"phone": [PHONE, PHONE, "+14155550177"], "amount": [5, 7, 11]})
    with run({"desk": desk(30), "calls": calls}, Config(assignments=True)) as result:
        assert result.summary["unidentified_records"] == 2
        assert result.summary["metrics"]["amount"]["unidentified"] == 12
        assert conserved(result)
        reasons = [row["reason"] for row in rows(result.assignments) if row["source"] == "calls"]
    assert reasons == ["shared value", "shared value", None]


def test_a_record_is_linked_by_what_else_it_has() -> None:
    """Its strongest identifier is a shared mailbox; then the next ones join it."""
    office = pd.DataFrame({"customer_id": [f"c{i}" for i in range(9)], "email": "office@acme.example"})
    shop = pd.DataFrame(
        {"email": "office@acme.example", "phone": PHONE, "anonymous_id": ["cookie-1", "cookie-2"]}
    )
    with run({"crm": office, "shop": shop}) as result:
        found = customers(result)
        assert conserved(result)
    assert frozenset({f"phone={PHONE}", "anonymous_id=cookie-1", "anonymous_id=cookie-2"}) in found
    assert len(found) == 10


def test_a_value_on_very_many_records_without_other_evidence_is_nobodys() -> None:
    """A till's own e-mail on a third of all receipts is no customer, though no name or number says so."""
    receipts = [f"ana{i}@x.example" for i in range(1_100)] * 3 + ["till@shop.example"] * 1_600
    with run({"receipts": pd.DataFrame({"email": receipts, "amount": 1})}) as result:
        assert shared(result) == {"till@shop.example"}
        assert result.summary["unidentified_records"] == 1_600
        assert result.summary["metrics"]["amount"]["unidentified"] == 1_600
        assert conserved(result)
        [event] = [row for row in rows(result.events) if row["kind"] == "value_shared"]
    assert event["reason"] == "on 1600 records"


def test_a_frequent_buyer_is_a_customer() -> None:
    """Very many records are no sign of many people where a customer number stands beside the value."""
    emails = [f"ana{i}@x.example" for i in range(1_100)] + ["buyer@shop.example"] * 1_600
    orders = pd.DataFrame({"customer_id": [f"c{hash(one) % 10**12}" for one in emails], "email": emails})
    with run({"orders": orders}) as result:
        assert not shared(result)


def test_identifiers_that_are_never_shared() -> None:
    """A customer number with many e-mails is one customer: only its limit applies."""
    emails = [f"e{i}@x.example" for i in range(5)]
    assert len(joined({"crm": pd.DataFrame({"customer_id": "c1", "email": emails})})) == 1


def test_if_everything_is_shared_the_run_fails() -> None:
    """An empty result must not replace a table."""
    with pytest.raises(DataError, match="No record belongs to a customer: every identifier is shared"):
        joined({"desk": pd.DataFrame({"phone": PHONE, "full_name": PEOPLE})})


def test_if_no_type_links_the_run_fails() -> None:
    """Likewise where the only type of a run is stated to link nobody."""
    config = Config(identifier_types={"phone": {"links": False}})
    with pytest.raises(DataError, match="of a type that links nobody"):
        joined({"desk": desk(2).drop(columns="customer_id")}, config)


def test_a_type_that_links_nobody_is_shown_and_not_linked() -> None:
    """The values stay on the profiles; records without another identifier belong to nobody."""
    calls = pd.DataFrame({"customer_id": ["c1", "c2", None], "phone": PHONE})
    config = Config(identifier_types={"phone": {"links": False}}, assignments=True)
    with run({"calls": calls}, config) as result:
        assert customers(result) == {frozenset({"customer_id=c1"}), frozenset({"customer_id=c2"})}
        assert {row["phone"] for row in rows(result.profiles)} == {PHONE}
        assert conserved(result)
        assert rows(result.assignments)[2]["reason"] == "identifier type that links nobody"


def test_one_text_in_two_types_is_two_identifiers() -> None:
    """A member number that looks like a customer number is shared, or not, on its own."""
    sources = {
        "crm": pd.DataFrame({"customer_id": ["1001", "2002"]}),
        "club": pd.DataFrame({"member_id": ["1001", "2002"], "email": ["a@x.example", "b@x.example"]}),
    }
    assert len(joined(sources)) == 4


def test_hostile_names_are_names() -> None:
    """Of sources, columns and types; and values are values, which events mask if they are personal."""
    emails = ["o'neil@x.example", "ana@x.example", "bob@x.example"]
    frame = pd.DataFrame({HOSTILE: "a' or 1=1; --", "email": [*emails, None]})
    config = Config(
        identifiers={HOSTILE: HOSTILE, "email": "email"},
        identifier_types={HOSTILE: {"shared_after": 1, "priority": 99, "personal": True}},
    )
    with run({HOSTILE: frame, "x'y": frame}, config) as result:
        assert conserved(result)
        assert customers(result) == {frozenset({f"email={email}"}) for email in emails}
        assert shared(result) == {"a' or 1=1; --"}
        assert result.summary["unidentified_records"] == 2
        assert not [row for row in rows(result.events) if "or 1=1" in str(row)]


def test_the_order_of_rows_and_sources_changes_nothing() -> None:
    """What is shared follows from the values alone."""
    sources = {
        "desk": desk(6, full_name=PEOPLE),
        "calls": pd.DataFrame({"phone": [PHONE], "user_id": ["u1"]}),
    }
    backwards = {name: frame.iloc[::-1] for name, frame in reversed(sources.items())}
    with run(sources) as one, run(backwards) as other:
        assert customers(one) == customers(other)
        assert [row["event_id"] for row in rows(one.events)] == [
            row["event_id"] for row in rows(other.events)
        ]


def test_the_documented_defaults() -> None:
    """E-mails, phones and devices can be shared; keys of one system cannot."""
    types = Config()
    after = {name: types.type_of(name).shared_after for name in ("email", "phone", "anonymous_id", "crm_id")}
    assert after == {"email": 2, "phone": 1, "anonymous_id": 2, "crm_id": None}
    assert IdentifierType(name="x").shared_after is None
