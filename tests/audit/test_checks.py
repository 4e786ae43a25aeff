"""What may be stated as checks, and what the DAG param may say; no database is needed to know."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from airflow_provider_customer360.audit.checks import Checks, check_stated
from airflow_provider_customer360.audit.override import Override
from airflow_provider_customer360.unify.errors import ConfigError

WRONG: dict[str, tuple[Any, str]] = {
    "a list": (["min_customers"], "checks is a list; give a mapping .*'min_customers': 1000"),
    "text": ("min_customers", "checks is a str; give a mapping"),
    "a misspelt check": (
        {"min_customer": 1},
        r"'min_customer'. Did you mean 'min_customers'\? Allowed: .*no_rows",
    ),
    "no text": ({5: 1}, "checks has the check '5'. Allowed: min_customers"),
    "less than nobody": ({"min_customers": -1}, r"\['min_customers'\] is -1; give a whole number from 0"),
    "half a customer": ({"min_customers": 1.5}, r"is 1.5; give a whole number"),
    "yes": ({"max_customer_records": True}, r"\['max_customer_records'\] is True; give a whole number"),
    "percent": ({"max_customers_fall": 10}, "is 10; give a share from 0 to 1, such as 0.1 for 10 %"),
    "a negative share": ({"max_active_fall": -0.1}, "is -0.1; give a share"),
    "a bit over 1": ({"max_active_fall": 1.0000001}, "give a share"),
    "no number": ({"max_match_rate_change": float("nan")}, "is nan; give a share"),
    "infinity": ({"max_match_rate_change": float("inf")}, "is inf; give a share"),
    "a word": ({"max_match_rate_change": "little"}, "is 'little'; give a share"),
    "divided by nothing": ({"max_match_rate_change": "1/0"}, "is '1/0'; give a share"),
    "a list of shares": ({"max_fill_rate_change": [0.1]}, "shares by column, such as {'email': 0.02}"),
    "a column's share": ({"max_fill_rate_change": {"email": 2}}, r"\['max_fill_rate_change.email'\] is 2"),
    "a blank column": ({"max_fill_rate_change": {" ": 0.2}}, "has the key ' '; give text"),
    "one column": ({"not_null": "email"}, r"\['not_null'\] is 'email'; give a list of profile columns"),
    "columns that are none": ({"not_null": ["email", None]}, "give a list of profile columns"),
    "SQL without a name": ({"no_rows": "SELECT 1"}, "'no_rows'.* name each SELECT that must return no row"),
    "SQL in a list": ({"no_rows": ["SELECT 1"]}, "name each SELECT"),
    "blank SQL": ({"no_rows": {"x": " "}}, "name each SELECT"),
    "SQL that is none": ({"no_rows": {"x": 5}}, "name each SELECT"),
    "a name that is none": ({"no_rows": {5: "SELECT 1"}}, "has the key 5; give text"),
}


@pytest.mark.parametrize("read", [Checks.of, check_stated])
@pytest.mark.parametrize(("stated", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_checks_are_refused(stated: Any, message: str, read: Any) -> None:
    """With what was given and what is allowed; when the DAG is parsed, and when it runs."""
    with pytest.raises(ConfigError, match=message):
        read(stated)


def test_numbers_are_what_was_written() -> None:
    """A tenth is a tenth, not the binary fraction beside it; templates give numbers as text."""
    for tenth in (0.1, "0.1", Decimal("0.1"), " 0.10 "):
        assert Checks.of({"max_customers_fall": tenth}).max_customers_fall == Fraction(1, 10)
    checks = Checks.of({"max_fill_rate_change": {"email": 0.02}, "min_customers": "12", "max_active_fall": 1})
    assert checks.max_fill_rate_change == {"email": Fraction(1, 50)}
    assert (checks.min_customers, checks.max_active_fall) == (12, 1)


def test_nothing_stated_is_nothing_checked() -> None:
    """YAML's empty values are no bounds."""
    assert Checks.of({}) == Checks.of(dict.fromkeys(Checks.__dataclass_fields__)) == Checks()


def test_templates_wait_for_their_values() -> None:
    """A template is no number yet; what stands beside it is checked all the same."""
    templated = {"min_customers": "{{ var.value.fewest }}", "max_fill_rate_change": {"email": "{% x %}"}}
    check_stated({**templated, "no_rows": {"x": "SELECT {{ x }}", "y": "checks/y.sql"}})
    with pytest.raises(ConfigError, match=r"fewest }}'; give a whole number"):
        Checks.of(templated)
    with pytest.raises(ConfigError, match="max_active_fall"):
        check_stated({**templated, "max_active_fall": 7})
    with pytest.raises(ConfigError, match="Did you mean 'min_customers'"):
        check_stated({"min_customer": "{{ x }}"})


@pytest.mark.parametrize("given", [None, False, []])
def test_usually_nothing_is_overridden(given: Any) -> None:
    """Without the param, or with one that says no."""
    for params in ({}, {"customer360_skip_checks": given}):
        override = Override.of(params)
        assert not override
        assert not override.covers("min_customers")


def test_checks_are_overridden_by_name() -> None:
    """All, all of a name, or one; no other that begins alike."""
    assert Override.of({"customer360_skip_checks": True}).covers("no_rows.no negative amounts")
    override = Override.of({"customer360_skip_checks": ["not_null", "no_rows.no a.b"]})
    assert [override.covers(name) for name in ("not_null.email", "no_rows.no a.b")] == [True, True]
    assert [override.covers(name) for name in ("no_rows.no a", "no_rows", "min_customers")] == [False] * 3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("min_customers", "customer360_skip_checks is 'min_customers'; give true for all checks, or a list"),
        (1, "is 1; give true"),
        ({"min_customers": True}, "give true"),
        (["min_custom"], r"has the check 'min_custom'. Did you mean 'min_customers'\?"),
        (["max_customer_fall.x"], "has the check 'max_customer_fall.x'. Did you mean 'max_customers_fall'"),
        ([5], "has the check '5'. Allowed: min_customers"),
    ],
)
def test_a_wrong_override_is_refused(given: Any, message: str) -> None:
    """A misspelt check would otherwise not be overridden, and nobody would know why."""
    with pytest.raises(ConfigError, match=message):
        Override.of({"customer360_skip_checks": given})
