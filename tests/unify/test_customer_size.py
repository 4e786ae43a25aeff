"""Customers of suspiciously many records: who is one, and what a run does about it."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from airflow_provider_customer360.unify import Config, ConfigError, DataError
from tests.unify.outcomes import conserved, rows, run

CUSTOMER = "planted-"


def visits(*of_one: int, alone: int = 0, unknown: int = 0) -> dict[str, pd.DataFrame]:
    """One source: customers of so many records each, others of one record, and records of nobody."""
    many = [value for place, count in enumerate(of_one) for value in [f"{CUSTOMER}{place}"] * count]
    ones = [f"alone-{number}" for number in range(alone)]
    return {"visits": pd.DataFrame({"customer_id": [*many, *ones, *[None] * unknown]})}


def warning(sources: dict[str, pd.DataFrame], **settings: Any) -> str:
    """What the run says of the size of customers; empty if nothing."""
    with run(sources, Config(**settings)) as result:
        assert conserved(result)
        said = [text for text in result.summary["warnings"] if "probably strangers" in text]
    assert len(said) <= 1
    return "".join(said)


@pytest.mark.parametrize(
    ("records", "alone", "suspicious"),
    [(1_000, 0, False), (1_001, 0, True), (1_500, 148_500, False), (1_501, 148_499, True)],
)
def test_the_rule_unless_stated_otherwise(records: int, alone: int, suspicious: bool) -> None:
    """A customer is suspicious who has more than 1,000 records and also more than 1 % of all."""
    assert bool(warning(visits(records, alone=alone))) is suspicious


@pytest.mark.parametrize(("most", "suspicious"), [(4, True), (5, False), (6, False), (1, True)])
def test_a_stated_number_is_the_most_that_is_not_suspicious(most: int, suspicious: bool) -> None:
    """Of five records, five may be the cap; the share of all records does not matter then."""
    assert bool(warning(visits(5, alone=2), max_customer_records=most)) is suspicious


def test_a_stated_number_may_allow_more_than_the_rule() -> None:
    """Who knows of a customer with 1,001 records says so and is not warned."""
    assert warning(visits(1_001), max_customer_records=1_001) == ""


def test_the_warning_counts_customers_and_shows_none() -> None:
    """How many there are, how large the largest is and what to do, with no value of theirs."""
    said = warning(visits(1_003, 1_004, 5, alone=3), max_customer_records=1_002)
    assert said.startswith("2 customers have more than 1,002 records, the largest 1,004")
    assert "identifier_types" in said
    assert "planted" not in said


def test_records_of_all_sources_count() -> None:
    """Three records in each of two sources are six of one customer."""
    sources = visits(3) | {"orders": visits(3)["visits"]}
    assert warning(sources, max_customer_records=6) == ""
    assert warning(sources, max_customer_records=5) != ""


def test_records_of_nobody_are_no_customer() -> None:
    """However many records have no identifier, they are nobody's size."""
    assert warning(visits(2, unknown=9), max_customer_records=2) == ""


def test_a_warning_changes_no_profile() -> None:
    """By default the profiles are published as if nothing had been said."""
    with run(visits(5, alone=2), Config(max_customer_records=1)) as warned, run(visits(5, alone=2)) as plain:
        assert rows(warned.profiles) == rows(plain.profiles)
        assert len(warned.summary["warnings"]) == len(plain.summary["warnings"]) + 1


def test_fail_refuses_the_result_and_shows_no_value() -> None:
    """The error has the figures of the warning, names both settings, and nothing of the customer."""
    config = Config(max_customer_records=4, on_oversized_customer="fail")
    with pytest.raises(DataError) as raised, run(visits(5, alone=2), config):
        pass
    said = str(raised.value)
    assert "more than 4 records, the largest 5" in said
    assert "max_customer_records" in said
    assert "on_oversized_customer is 'fail'" in said
    assert "planted" not in repr(raised.value)
    assert raised.value.__cause__ is None


def test_fail_applies_to_the_rule_as_well() -> None:
    """Without a stated number it is a customer of more than 1,000 records who stops a run."""
    assert warning(visits(1_000), on_oversized_customer="fail") == ""
    config = Config(on_oversized_customer="fail")
    with pytest.raises(DataError, match=r"more than 1,000 records"), run(visits(1_001), config):
        pass


def test_fail_lets_pass_who_is_exactly_at_the_cap() -> None:
    """The run fails for more records than allowed, not for as many."""
    assert warning(visits(5), max_customer_records=5, on_oversized_customer="fail") == ""


def test_a_blocked_value_mends_an_oversized_customer() -> None:
    """What the error advises helps: with the value blocked the same run passes."""
    blocked = {"customer_id": {"block": [f"{CUSTOMER}0"]}}
    settings = {"max_customer_records": 4, "on_oversized_customer": "fail"}
    assert warning(visits(5, alone=2), **settings, identifier_types=blocked) == ""


@pytest.mark.parametrize("most", [0, -1, True, False, 2.5, 5.0, float("nan"), "10", [10]], ids=repr)
def test_a_cap_is_a_whole_number_from_one(most: Any) -> None:
    """Anything else is a ConfigError, as soon as it is stated, that says what is allowed."""
    with pytest.raises(ConfigError, match=r"max_customer_records is .*; give a whole number from 1, or None"):
        Config(max_customer_records=most)


@pytest.mark.parametrize("action", ["ignore", "", "Fail", None, True, ["fail"]], ids=repr)
def test_a_run_warns_or_fails(action: Any) -> None:
    """Any other wish is a ConfigError, as soon as it is stated, that lists the two."""
    with pytest.raises(ConfigError, match=r"on_oversized_customer is .*; allowed: warn, fail\."):
        Config(on_oversized_customer=action)
