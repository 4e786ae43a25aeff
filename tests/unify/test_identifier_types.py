"""What is stated for identifier types does something, and what cannot work is refused in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pytest

from airflow_provider_customer360.unify import Config, unify
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.errors import ConfigError, DataError
from airflow_provider_customer360.unify.phones import notes
from tests.unify.test_standardise import standard


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """One engine for all values of this file."""
    with Engine() as running:
        yield running


def unified(settings: Mapping[str, Mapping[str, Any]], **columns: list[Any]) -> Any:
    """A run over one source with settings of identifier types, its columns stated as such."""
    return unify({"crm": pa.table(columns)}, Config(identifiers=list(columns), identifier_types=settings))


def test_an_expression_over_value(engine: Engine) -> None:
    """An expression sees the trimmed text; where it gives nothing, the value identifies nobody."""
    stated = "upper(replace(value, '-', ''))"
    values = [" ab-1", "AB1 ", "Jose\u0301", "n/a", "-", "", None, "{x7}"]
    assert standard(engine, "card_no", list(values), standardise=stated) == [
        *("AB1", "AB1", "JOS\u00c9", None, None, None, None, "{X7}"),
    ]
    digits = "regexp_extract(value, '^AT([0-9]{4})$', 1)"
    assert standard(engine, "card_no", ["AT1234", "DE1234"], standardise=digits) == ["1234", None]
    assert standard(engine, "card_no", ["7", "8"], standardise="value::INTEGER + 1") == ["8", "9"]
    braces = "replace(VALUE, '{', 'stated_value{value}')"
    assert standard(engine, "card_no", ["{7"], standardise=braces) == ["stated_value{value}7"]


def test_an_expression_never_sees_a_placeholder(engine: Engine) -> None:
    """It need not know what to do with n/a; what it makes of a value may be a placeholder, too."""
    assert standard(engine, "card_no", ["n/a", "", "12"], standardise="value::INTEGER") == [None, None, "12"]
    assert standard(
        engine, "card_no", ["CARD-0000", "CARD-1"], standardise="replace(value, 'CARD-', '')"
    ) == [
        None,
        "1",
    ]


@pytest.mark.parametrize(
    ("named", "value", "expected"),
    [
        ("id", "Ab-1", "Ab-1"),
        ("lower", "AB-1", "ab-1"),
        ("digits", "AT 12-34", "1234"),
        ("digits", "none", None),
    ],
)
def test_named_standardisers(engine: Engine, named: str, value: str, expected: str | None) -> None:
    """Any type can be compared as an id, without case or by its digits."""
    assert standard(engine, "card_no", [value], standardise=named) == [expected]


def test_valid(engine: Engine) -> None:
    """A condition over the standard form; where it is not true, the value identifies nobody."""
    stated = {"standardise": "digits", "valid": "length(value) = 4 AND value <> '{}'"}
    assert standard(engine, "card_no", ["12-34", "12-3", "n/a"], **stated) == ["1234", None, None]
    unknown = {"valid": "CASE WHEN value = 'a' THEN true END"}
    assert standard(engine, "card_no", ["a", "b"], **unknown) == ["a", None]
    american = {"region": "US", "valid": "starts_with(value, '+1')"}
    assert standard(engine, "phone", ["415 555 0101", "+44 20 7946 0018"], **american) == [
        "+14155550101",
        None,
    ]


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ("emial", "Did you mean 'email'"),
        ("upper(val)", "uses 'val'"),
        ("upper(x.value)", "uses 'x.value'"),
        ("'same for all'", "does not use value"),
        ("(SELECT value)", "without subqueries"),
        ("value; DROP TABLE x", "without subqueries"),
        ("value, value", "without subqueries"),
        ("max(value)", "aggregates"),
        ("row_number() OVER (ORDER BY value)", "window"),
        ("value || random()", "rerun"),
        ("upper(", "one SQL expression"),
        ("value FROM x", "one SQL expression"),
        ("no_such_function(value)", "no_such_function"),
        ("histogram_exact(value, ['a'])", "standardise"),
        ("unnest([value])", "one SQL expression"),
    ],
)
def test_refused_expressions(stated: str, message: str) -> None:
    """Anything else than one reproducible expression over value is refused with what is allowed."""
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")) as refused:
        unified({"card_no": {"standardise": stated}}, card_no=["1"])
    assert "identifier_types['card_no']['standardise']" in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"valid": "length(value)"}, "gives BIGINT; give a condition"),
        ({"valid": "length(v) = 1"}, "uses 'v'"),
        ({"block_patterns": ["(a"]}, "no regular expression of RE2"),
        ({"block_patterns": ["a(?=b)"]}, "no regular expression of RE2"),
        ({"region": "US"}, "a region is for phones"),
        ({"standardise": "phone", "region": "UK"}, "'GB'"),
        ({"standardise": "phone", "region": "XX"}, "no country"),
    ],
)
def test_refused_settings(settings: dict[str, Any], message: str) -> None:
    """A setting that cannot work is refused, with its name."""
    with pytest.raises(ConfigError, match=message) as refused:
        unified({"card_no": settings}, card_no=["1"])
    assert "identifier_types['card_no']" in str(refused.value)


def test_settings_of_a_type_that_no_source_has_are_checked() -> None:
    """A mistake shows in the first run, not when the column appears."""
    with pytest.raises(ConfigError, match="passport_no"):
        unified({"passport_no": {"standardise": "uper(val)"}}, card_no=["1"])


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"standardise": "value::INTEGER"}, "standardise"),
        ({"valid": "value::INTEGER > 0"}, "valid"),
        ({"standardise": "upper(value)", "valid": "value::INTEGER > 0"}, "valid"),
    ],
)
def test_an_expression_that_fails_for_a_value(settings: dict[str, str], named: str) -> None:
    """The error names the setting and the remedy, and keeps the value to itself."""
    with pytest.raises(DataError, match="TRY_CAST") as failed:
        unified({"card_no": settings}, card_no=["1", "secret-77"])
    assert f"identifier_types['card_no']['{named}']" in str(failed.value)
    assert "secret" not in str(failed.value).lower()


def test_a_condition_on_phones_that_fails_for_a_value() -> None:
    """Phones are in E.164 when the condition sees them, and an error keeps them to itself as well."""
    settings = {"phone": {"valid": "left(value, 2)::INTEGER > 0"}}
    assert unified(settings, phone=["+14155550101"]).summary["total_customers"] == 1
    with pytest.raises(DataError, match=r"identifier_types\['phone'\]\['valid'\]") as failed:
        unified({"phone": {"valid": "value::TINYINT > 0"}}, phone=["+14155550101"])
    assert "0101" not in str(failed.value)


def test_types_are_compared_as_stated_in_a_run() -> None:
    """Two spellings of one stated type make one customer."""
    settings = {"email": {"standardise": "email_with_provider_rules"}, "card_no": {"standardise": "lower"}}
    result = unified(
        settings, email=["a.nn+x@gmail.com", "ann@googlemail.com", "bo@x.de"], card_no=[None, "K1", "k1"]
    )
    assert result.summary["total_customers"] == 1


def test_phones_compared_by_digits_are_counted() -> None:
    """The summary says how many phones are no E.164 numbers, and a sentence what to do."""
    phones = ["(415) 555-0101", "415-555-0101", "+1 415 555 0102", "555-0103", "+1 415 555 010 4567"]
    plain = unified({}, phone=phones).summary["identifiers"]["phone"]
    assert (plain["distinct_values"], plain["compared_by_digits"]) == (4, 3)
    american = unified({"phone": {"region": "US"}}, phone=phones).summary["identifiers"]["phone"]
    assert (american["distinct_values"], american["compared_by_digits"]) == (4, 2)
    types = [
        Config(identifier_types={"phone": {"region": region}}).type_of("phone") for region in (None, "US")
    ]
    said = [notes([one], {"phone": 1200}) for one in types]
    assert "1,200" in said[0][0]
    assert "identifier_types['phone']['region']" in said[0][0]
    assert "region US" in said[1][0]
    assert notes(types, {"phone": 0}) == []
