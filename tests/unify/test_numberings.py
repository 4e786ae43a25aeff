"""Two sources that both number customers from 1, but not the same customers."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from airflow_provider_customer360.unify import Config
from tests.unify.outcomes import HOSTILE, conserved, joined, rows, run

MANY = 60
FIRST = ["Ana", "Bob", "Cleo", "Dan", "Eva", "Finn", "Gil", "Hana"]
LAST = ["Silva", "Weber", "Xu", "Young", "Zed", "Adams", "Tan"]


def numbered(email: str | None = None, count: int = MANY, **columns: Any) -> pd.DataFrame:
    """Customers 1, 2, 3, … and an e-mail of each, of the form ``x%d@x.example``."""
    emails = {"email": [email % i for i in range(count)]} if email else {}
    return pd.DataFrame({"customer_id": range(1, count + 1), **emails, **columns})


def names(shift: int) -> list[str]:
    """A name for each customer."""
    pairs = itertools.islice(itertools.cycle(itertools.product(FIRST, LAST)), shift, shift + MANY)
    return [" ".join(pair) for pair in pairs]


def collisions(result: Any) -> list[str]:
    return [text for text in result.summary["warnings"] if "number different customers" in text]


def test_numbers_of_strangers_link_nobody() -> None:
    """The warning names both sources, the figures and the setting that overrules it."""
    with run({"crm": numbered("a%d@x.example"), "shop": numbered("b%d@x.example")}) as result:
        assert result.summary["total_customers"] == 2 * MANY
        [warning] = collisions(result)
        assert conserved(result)
    assert warning == (
        "'crm' and 'shop' both have customer_id, but number different customers: of 60 values for which both "
        "know an e-mail, phone or name, only 0% agree. They are not linked by it. If they do number the same "
        'customers, state identifier_types={"customer_id": {"numbering": "shared"}}.'
    )


def test_agreeing_numbers_link() -> None:
    """Where e-mails agree, equal numbers are one customer, without a warning."""
    with run({"crm": numbered("a%d@x.example"), "shop": numbered("a%d@x.example")}) as result:
        assert result.summary["total_customers"] == MANY
        assert not collisions(result)


def test_half_of_the_customers_may_have_moved() -> None:
    """Customers have several e-mails: that only some agree is no collision."""
    shop = numbered("b%d@x.example")
    crm = shop.assign(email=[e if i % 2 else f"other{i}@x.example" for i, e in enumerate(shop["email"])])
    with run({"crm": crm, "shop": shop}) as result:
        assert result.summary["total_customers"] == MANY
        assert not collisions(result)


@pytest.mark.parametrize(("count", "expected"), [(13, 13), (14, 28)])
def test_a_few_customers_are_no_evidence(count: int, expected: int) -> None:
    """Up to thirteen that all disagree may be chance, and are linked as they always were."""
    sources = {"crm": numbered("a%d@x.example", count), "shop": numbered("b%d@x.example", count)}
    with run(sources) as result:
        assert result.summary["total_customers"] == expected


def test_without_anything_to_compare_equal_numbers_link() -> None:
    """Where one source has nothing but numbers, they are believed."""
    with run({"crm": numbered("a%d@x.example"), "shop": numbered(amount=1)}) as result:
        assert result.summary["total_customers"] == MANY
        assert not collisions(result)


@pytest.mark.parametrize(("shift", "expected"), [(0, MANY), (11, 2 * MANY)])
def test_names_are_compared_where_nothing_else_is(shift: int, expected: int) -> None:
    """In whatever order the names are written."""
    turned = [", ".join(reversed(name.split())) for name in names(shift)]
    sources = {"crm": numbered(full_name=names(0)), "shop": numbered(customer_name=turned)}
    with run(sources) as result:
        assert result.summary["total_customers"] == expected
        assert bool(collisions(result)) == (expected > MANY)


def test_phones_are_compared_in_any_spelling() -> None:
    """As they are compared everywhere."""
    crm = numbered(phone=[f"+1415555{i:04d}" for i in range(MANY)])
    shop = numbered(phone=[f"+1 (415) 555-{i:04d}" for i in range(MANY)])
    with run({"crm": crm, "shop": shop}) as result:
        assert result.summary["total_customers"] == MANY


def test_of_three_sources_one_collides() -> None:
    """The two that number alike stay linked; the third has numbers of its own."""
    sources = {
        "crm": numbered("a%d@x.example"),
        "billing": numbered("a%d@x.example"),
        "shop": numbered("b%d@x.example"),
    }
    with run(sources) as result:
        assert result.summary["total_customers"] == 2 * MANY
        assert len(collisions(result)) == 2
        assert all("'shop'" in warning for warning in collisions(result))
        found = rows(result.profiles)
    assert {(row["crm_records"], row["billing_records"], row["shop_records"]) for row in found} == {
        (1, 1, 0),
        (0, 0, 1),
    }
    assert {row["customer_id"].partition(":")[0] for row in found if row["shop_records"]} == {
        "shop_customer_id"
    }


def test_the_order_of_sources_and_rows_changes_nothing() -> None:
    """Which numbering keeps the type follows from the sources' names."""
    sources = {
        "crm": numbered("a%d@x.example"),
        "web": numbered("c%d@x.example"),
        "shop": numbered("b%d@x.example"),
    }
    outcomes = []
    for order in itertools.permutations(sources):
        shuffled = {name: sources[name].sample(frac=1, random_state=len(outcomes)) for name in order}
        with run(shuffled) as result:
            outcomes.append((rows(result.identities), sorted(collisions(result))))
    assert all(outcome == outcomes[0] for outcome in outcomes)


def test_a_shared_numbering_can_be_stated() -> None:
    """Then equal numbers link whatever the e-mails say."""
    sources = {"crm": numbered("a%d@x.example"), "shop": numbered("b%d@x.example")}
    with run(sources, Config(identifier_types={"customer_id": {"numbering": "shared"}})) as result:
        assert result.summary["total_customers"] == MANY
        assert not collisions(result)


def test_numberings_per_source_can_be_stated() -> None:
    """Then each source's numbers are a type of its own, though other identifiers still link."""
    config = Config(identifier_types={"customer_id": {"numbering": "per_source"}})
    with run({"crm": numbered("a%d@x.example"), "shop": numbered("a%d@x.example")}, config) as result:
        assert result.summary["total_customers"] == MANY
        assert set(result.summary["identifiers"]) == {"crm_customer_id", "shop_customer_id", "email"}
        assert not collisions(result)
    assert len(joined({"crm": numbered(), "shop": numbered()}, config)) == 2 * MANY


def test_without_guards_nothing_is_compared() -> None:
    """Equal numbers alone decide then."""
    sources = {"crm": numbered("a%d@x.example"), "shop": numbered("b%d@x.example")}
    with run(sources, Config(guards=False)) as result:
        assert result.summary["total_customers"] == MANY


def test_the_plan_says_why() -> None:
    """The column's reason, in the log and the summary, tells of the numbering."""
    with run({"crm": numbered("a%d@x.example"), "shop": numbered("b%d@x.example")}) as result:
        columns = {(one["source"], one["name"]): one for one in result.summary["columns"]}
    assert columns["shop", "customer_id"]["output"] == "shop_customer_id"
    assert columns["shop", "customer_id"]["reason"].endswith("; the source numbers customers in its own way")
    assert columns["crm", "customer_id"]["output"] == "customer_id"


@pytest.mark.parametrize(
    "extra",
    [
        lambda: {"shop_customer_id": [f"k{i}" for i in range(MANY)]},
        lambda: {"Shop Customer Id": [float(i) for i in range(MANY)], "city": "Lima"},
    ],
    ids=["an identifier", "an odd spelling"],
)
def test_names_of_profile_columns_do_not_clash(extra: Callable[[], dict[str, Any]]) -> None:
    """Also where a source has a column of the very name that the numbers would get."""
    with run({"crm": numbered("a%d@x.example"), "shop": numbered("b%d@x.example", **extra())}) as result:
        names = result.profiles.schema.names
        assert result.summary["total_customers"] == 2 * MANY
        assert conserved(result)
    assert len(names) == len(set(names))
    assert {"shop_customer_id", "shop_customer_id_2"} <= set(names)


def test_a_hostile_name_of_a_source_makes_a_harmless_column() -> None:
    """The source's name is in front of the numbers' profile column."""
    with run({HOSTILE: numbered("a%d@x.example"), "crm": numbered("b%d@x.example")}) as result:
        assert result.summary["total_customers"] == 2 * MANY
        assert "drop_table_x_customer_id" in result.profiles.schema.names
        [warning] = collisions(result)
    assert repr(HOSTILE) in warning


def test_two_columns_of_one_type_in_one_source_share_their_numbering() -> None:
    """Both columns become the source's own."""
    shop = numbered("b%d@x.example").assign(old_no=lambda frame: frame["customer_id"] + 1_000)
    config = Config(identifiers={"customer_id": ["customer_id", "old_no"], "email": "email"})
    crm = numbered("a%d@x.example").assign(old_no=None)
    with run({"crm": crm, "shop": shop}, config) as result:
        assert result.summary["total_customers"] == 2 * MANY
        outputs = {(one["source"], one["name"]): one["output"] for one in result.summary["columns"]}
    assert outputs["shop", "customer_id"] == outputs["shop", "old_no"] == "shop_customer_id"
