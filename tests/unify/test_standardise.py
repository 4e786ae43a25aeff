"""Identifier values: what is equal, what is nobody, and what happens to telephone numbers."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import phonenumbers
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_customer360.unify import digests, standardise
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.identifier_types import identifier_type
from airflow_provider_customer360.unify.phones import NATIONAL, PLAIN_E164, PhoneColumn, parse_phones
from airflow_provider_customer360.unify.quoting import literal
from airflow_provider_customer360.unify.stated_rules import rules_of


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """One engine for all values of this file."""
    with Engine() as running:
        yield running


def standard(
    engine: Engine, kind: str, values: list[object], duckdb_type: str = "VARCHAR", **stated: object
) -> list[str | None]:
    """The standard forms of values of one type with stated settings, phones parsed as in a run."""
    return [form for form, _ in compared(engine, kind, values, duckdb_type, **stated)]


def compared(
    engine: Engine, kind: str, values: list[object], duckdb_type: str = "VARCHAR", **stated: object
) -> list[tuple[str | None, str | None]]:
    """The standard form of each value, and its text where it identifies nobody."""
    one = identifier_type(kind, stated)
    rule = rules_of(engine, [one])[kind]
    engine.run(f"CREATE OR REPLACE TABLE raw (n INTEGER, c {duckdb_type})")
    engine.register("given", pa.table({"n": range(len(values)), "c": pa.array(values)}))
    engine.run(f"INSERT INTO raw SELECT n, c::{duckdb_type} FROM given")
    query = standardise.standardise("SELECT * FROM raw", [standardise.RawColumn(rule, "c", duckdb_type)])
    engine.run(f"CREATE OR REPLACE TABLE standard AS {query}")
    if one.standardise == "phone":
        parse_phones(engine, [PhoneColumn("standard", "id_0", "blocked_0", kind, one.region, rule.late)])
    return engine.rows("SELECT id_0, blocked_0 FROM standard ORDER BY n")


IDS = {
    "cust_001": "cust_001",
    " 123 ": "123",
    "123": "123",
    "123.0": "123",
    "123.000": "123",
    "123.50": "123.50",
    "1.2.0": "1.2.0",
    "v1.0": "v1.0",
    "-5.0": "-5",
    "007": "007",
    "007.0": "007",
    "\t12\r\n": "12",
    "\u00a012\u200b": "12",
    "\ufeff12": "12",
    "a b": "a b",
    "ABC": "ABC",
    "abc": "abc",
    "Jos\u00e9": "Jos\u00e9",
    "Jose\u0301": "Jos\u00e9",
    "0": "0",
    "x": "x",
    "X1": "X1",
    "777": "777",
    "1111": "1111",
    "none-such": "none-such",
    "Nonette": "Nonette",
    "nullius": "nullius",
    "123456789012345678901234567890123456789012345": "123456789012345678901234567890123456789012345",
    "'; drop table x; --": "'; drop table x; --",
    "": None,
    "   ": None,
    "\u00a0": None,
    **dict.fromkeys(("n/a", "N/A", " n/a ", "na", "n.a.", "#N/A", "null", "NULL", "(null)", "None", "nil")),
    **dict.fromkeys(("nan", "NaN", "<NA>", "NaT", "unknown", "Unknown", "UNDEFINED", "anonymous", "guest")),
    **dict.fromkeys(("not available", "Not Provided", "not set", "(not set)", "tbd", "TBD", "-1", "-1.0")),
    **dict.fromkeys(("-", "---", ".", "...", "?", "*", "__", "/", "00", "0000", "xxx", "XXXX", "000.0")),
}


@pytest.mark.parametrize("kind", ["customer_id", "user_id", "loyalty_no", "anonymous_id"])
def test_ids(engine: Engine, kind: str) -> None:
    """Ids are compared as trimmed text, whole numbers as whole; what fills an empty field is no id."""
    assert dict(zip(IDS, standard(engine, kind, list(IDS)), strict=True)) == IDS


@pytest.mark.parametrize(
    ("duckdb_type", "values", "expected"),
    [
        ("BIGINT", [123, -1, 0, None, 2**63 - 1], ["123", None, "0", None, str(2**63 - 1)]),
        ("DOUBLE", [123.0, -1.0, 0.0, -0.0, None, 2.0**53], ["123", None, "0", "0", None, str(2**53)]),
        ("DOUBLE", [float("nan"), float("inf"), float("-inf"), 1.5], [None, None, None, "1.5"]),
        ("DECIMAL(38,0)", [str(2**100), "12", "-1"], [str(2**100), "12", None]),
        ("DECIMAL(9,2)", ["12.00", "12.50"], ["12", "12.50"]),
    ],
)
def test_numeric_ids(
    engine: Engine, duckdb_type: str, values: list[object], expected: list[str | None]
) -> None:
    """A number is the id that its text would be, whatever type the column has."""
    assert standard(engine, "customer_id", values, duckdb_type) == expected


EMAILS = {
    "ann@example.com": "ann@example.com",
    " Ann@Example.COM\n": "ann@example.com",
    "ann+tag@example.com": "ann+tag@example.com",
    "a.n.n@example.com": "a.n.n@example.com",
    "info@shop.example": "info@shop.example",
    "none@example.com": "none@example.com",
    "norbert@example.com": "norbert@example.com",
    "testa@example.com": "testa@example.com",
    "ann@mail.example.co.uk": "ann@mail.example.co.uk",
    "\u00c9ve@example.com": "\u00e9ve@example.com",
    "unknown@gmail.com": "unknown@gmail.com",
    **dict.fromkeys(("none@none.com", "None@None.COM", "unknown@unknown.org", "na@na.de", "null@null.null")),
    **dict.fromkeys(("noreply@example.com", "no-reply@shop.example", "donotreply@x.io", "test@test.com")),
    **dict.fromkeys(
        ("n/a", "", "-", "ann", "ann@", "@example.com", "ann@example", "ann@example.", "ann@@b.com")
    ),
    **dict.fromkeys(
        ("a@b@c.de", "ann smith@example.com", "ann@exam ple.com", "ann@example.com, bob@example.com")
    ),
}


def test_emails(engine: Engine) -> None:
    """E-mails are trimmed and lower-cased; what is no address, or one of nobody, identifies nobody."""
    assert dict(zip(EMAILS, standard(engine, "email", list(EMAILS)), strict=True)) == EMAILS


PHONES = {
    "+14155550101": "+14155550101",
    "+1 415 555 0101": "+14155550101",
    "(+1) 415-555-0101": "+14155550101",
    "+1 (415) 555.0101": "+14155550101",
    "001 415 555 0101": "+14155550101",
    "+1 415 555 0101 ext. 12": "+14155550101",
    "+1 415 555 0101 x12": "+14155550101",
    "+1\u00a0415\u2013555\u20130101": "+14155550101",
    "+44 20 7946 0018": "+442079460018",
    "+44 (0)20 7946 0018": "+442079460018",
    "+44 020 7946 0018": "+442079460018",
    "0044 20 7946 0018": "+442079460018",
    "+971 50 123 4567": "+971501234567",
    "+971 050 123 4567": "+971501234567",
    "+39 06 6982 0000": "+390669820000",
    "020 7946 0018": "02079460018",
    "(415) 555-0101": "4155550101",
    "415.555.0101": "4155550101",
    "5550101": "5550101",
    **dict.fromkeys(("", "n/a", "unknown", "-", "000-0000", "0000000000", "999-9999", "+11111111111")),
    **dict.fromkeys(
        ("1234567890", "123-456-7890", "1234567", "12345", "555010", "ann@example.com", "CALL ME")
    ),
    **dict.fromkeys(("1" + "234567890" * 2, "+1 415 CALL NOW", "2026-01-31T10:00:00")),
}


def test_phones(engine: Engine) -> None:
    """International spellings of a number are one number, national ones their digits, junk is nobody."""
    assert dict(zip(PHONES, standard(engine, "phone", list(PHONES)), strict=True)) == PHONES


def test_phones_stored_as_numbers(engine: Engine) -> None:
    """A spreadsheet's number is the national or bare number that its digits spell."""
    assert standard(engine, "phone", [4155550101, 5550101, 0], "BIGINT") == ["4155550101", "5550101", None]
    assert standard(engine, "phone", [4155550101.0, float("nan")], "DOUBLE") == ["4155550101", None]


def plausible_phones(seed: int, of_each: int) -> list[str]:
    """Numbers with every country code there is: real-looking ones, also with a digit too many in front."""
    dice = random.Random(seed)
    numbers = []
    for code, regions in sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items()):
        for region in regions:
            example = phonenumbers.example_number(region)
            if example is not None:
                own = phonenumbers.national_significant_number(example)
                numbers += [f"+{code}{own}", f"+{code}0{own}", f"+{code}8{own}", f"+{code}1{own}"]
        for _ in range(of_each):
            numbers.append(f"+{code}" + "".join(dice.choices("0123456789", k=dice.randint(6, 13))))
    return sorted(number for number in set(numbers) if len(number) <= 16)


def parsed(number: str) -> str:
    """What the library makes of a number."""
    try:
        found = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return number
    return phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164)


def test_the_shortcut_for_plain_numbers_changes_nothing() -> None:
    """What is taken for E.164 without parsing is what parsing would have given, in every country."""
    shortcut = re.compile(PLAIN_E164)
    taken = [number for number in plausible_phones(seed=20260131, of_each=300) if shortcut.search(number)]
    assert len(taken) > 300, "the shortcut takes hardly any number: is it of use?"
    assert {number: parsed(number) for number in taken if parsed(number) != number} == {}


def test_phones_agree_with_the_library(engine: Engine) -> None:
    """Every internationally written number comes out as the phonenumbers library writes it."""
    numbers = [number for number in plausible_phones(seed=7, of_each=10) if len(set(number[1:])) > 1]
    spelled = [f"{number[:3]} ({number[3:5]}) {number[5:8]}-{number[8:]}" for number in numbers]
    expected = [parsed("+" + number[1:].lstrip("0")) for number in numbers]
    assert standard(engine, "phone", list(numbers)) == expected
    assert standard(engine, "phone", list(spelled)) == expected


UNICODE_EMAILS = {
    "M\u00dcLLER@B\u00dcCHER.example": "m\u00fcller@b\u00fccher.example",
    "Mu\u0308ller@bu\u0308cher.EXAMPLE": "m\u00fcller@b\u00fccher.example",
    "\u202aAnn@example.com\u202c": "ann@example.com",
    "\u200fann@example.com": "ann@example.com",
    "\u2003ann@example.com\u3000": "ann@example.com",
    "\u05d0\u05e0\u05d4@example.com": "\u05d0\u05e0\u05d4@example.com",
    "\u7528\u6237@\u4f8b\u5b50.\u5e7f\u544a": "\u7528\u6237@\u4f8b\u5b50.\u5e7f\u544a",
    "\U0001f98a@example.com": "\U0001f98a@example.com",
    "ann@xn--bcher-kva.example": "ann@xn--bcher-kva.example",
    "STRASSE@x.de": "strasse@x.de",
    "stra\u00dfe@x.de": "stra\u00dfe@x.de",
    "a" * 900 + "@Example.com": "a" * 900 + "@example.com",
    "a" * 1_000 + "@example.com": None,  # longer than any database can index
}


def test_emails_of_all_scripts(engine: Engine) -> None:
    """Case, composition and invisible marks do not count; punycode and \u00df are not looked through."""
    assert (
        dict(zip(UNICODE_EMAILS, standard(engine, "email", list(UNICODE_EMAILS)), strict=True))
        == UNICODE_EMAILS
    )


PROVIDERS = {
    "A.n.n+Shop@GMail.com": "ann@gmail.com",
    "ann@googlemail.com": "ann@gmail.com",
    "ann+a+b@outlook.com": "ann@outlook.com",
    "a.nn+x@hotmail.com": "a.nn@hotmail.com",
    "ann+x@live.com": "ann@live.com",
    "ann+x@fastmail.com": "ann@fastmail.com",
    "ann+x@icloud.com": "ann@icloud.com",
    "ann+x@protonmail.com": "ann@protonmail.com",
    "ann+x@proton.me": "ann@proton.me",
    "ann-shop@yahoo.com": "ann@yahoo.com",
    "ann-marie@gmail.com": "ann-marie@gmail.com",
    "ann+x@yahoo.com": "ann+x@yahoo.com",
    "a.n.n+x@example.com": "a.n.n+x@example.com",
    "ann+x@gmail.com.example": "ann+x@gmail.com.example",
    "+x@gmail.com": "+x@gmail.com",
    "...@gmail.com": "...@gmail.com",
    "-x@yahoo.com": "-x@yahoo.com",
    "none@none.com": None,
    "no.reply+x@gmail.com": None,
    "ann": None,
}


def test_rules_of_mail_providers(engine: Engine) -> None:
    """Spellings that reach one mailbox are one address where it is asked for, and only there."""
    rules = {"standardise": "email_with_provider_rules"}
    assert dict(zip(PROVIDERS, standard(engine, "email", list(PROVIDERS), **rules), strict=True)) == PROVIDERS
    assert standard(engine, "email", ["A.n.n+x@gmail.com", "ann@googlemail.com"]) == [
        "a.n.n+x@gmail.com",
        "ann@googlemail.com",
    ]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.text(st.sampled_from("aB.+-@ \u00fc\u0130\U0001f98a019\uff11(x"), max_size=12),
        min_size=1,
        max_size=20,
    )
)
@pytest.mark.parametrize("kind", ["id", "lower", "digits", "email", "email_with_provider_rules", "phone"])
def test_a_standard_form_is_its_own_standard_form(engine: Engine, kind: str, texts: list[str]) -> None:
    """Whatever the text, standardising twice gives what standardising once gives, and never blank text."""
    domains = ("", "@gmail.com", "@Yahoo.com", "@x.de")
    values = [f"\u200f{text}{domain}" for text in texts for domain in domains]
    once = standard(engine, "x_id", list(values), standardise=kind)
    assert "" not in once
    known = [form for form in once if form is not None]
    assert standard(engine, "x_id", list(known), standardise=kind) == known


ODD_PHONES = {
    "\u202a+1 415 555 0101\u202c": "+14155550101",
    "\uff0b\uff11\u3000\uff14\uff11\uff15\uff0d\uff15\uff15\uff15\uff0d0101": "+14155550101",
    "\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0661": "012345671",
    "\U0001f4de +1 415 555 0101": None,
    "4" * 3_000: None,
}


def test_odd_phones(engine: Engine) -> None:
    """Digits are digits in any script; marks of the writing direction do not count."""
    assert dict(zip(ODD_PHONES, standard(engine, "phone", list(ODD_PHONES)), strict=True)) == ODD_PHONES


REGIONS = {
    ("US", "(415) 555-0101"): "+14155550101",
    ("US", "1-415-555-0101"): "+14155550101",
    ("US", "415 555 0101 x12"): "+14155550101",
    ("US", "011 44 20 7946 0018"): "+442079460018",
    ("US", "0044 20 7946 0018"): "+442079460018",
    ("US", "+44 20 7946 0018"): "+442079460018",
    ("US", "555-0101"): "5550101",
    ("US", "415 555 01011 9"): "415555010119",
    ("GB", "020 7946 0018"): "+442079460018",
    ("DE", "(030) 123456"): "+4930123456",
    ("IT", "06 6982 0000"): "+390669820000",
    ("AU", "0011 44 20 7946 0018"): "+442079460018",
    ("SH", "22158"): "+29022158",
    ("US", "22158"): None,
    ("US", "n/a"): None,
    ("US", "000-000-0000"): None,
}


@pytest.mark.parametrize(("region", "value"), REGIONS)
def test_phones_of_a_region(engine: Engine, region: str, value: str) -> None:
    """A number without country code is one of its region; what is no possible number keeps its digits."""
    assert standard(engine, "phone", [value], region=region) == [REGIONS[region, value]]


def library(digits: str, region: str) -> str | None:
    """The E.164 form by the library alone, None where the number is not possible."""
    try:
        found = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return None
    possible = phonenumbers.is_possible_number_with_reason(found) == phonenumbers.ValidationResult.IS_POSSIBLE
    return phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164) if possible else None


@pytest.mark.parametrize("region", sorted(NATIONAL))
def test_the_shortcut_for_national_numbers_changes_nothing(region: str) -> None:
    """What SQL takes for a number of a region is what the library would have made of it."""
    pattern, code = NATIONAL[region]
    dice = random.Random(20260301)
    lead = [*(str(n) for n in range(100)), *(f"0{n}" for n in range(100)), *(f"1{n}" for n in range(100))]
    numbers = [
        dice.choice(lead) + "".join(dice.choices("0123456789", k=dice.randint(6, 11))) for _ in range(12_000)
    ]
    taken = [(number, match[1]) for number in numbers if (match := re.fullmatch(pattern, number))]
    assert len(taken) > 300
    assert [n for n, own in taken if library(n, region) != f"{code}{own}"] == []
    assert all(re.search(PLAIN_E164, f"{code}{own}") for _, own in taken), "would be parsed nevertheless"


def test_plain_numbers_are_possible() -> None:
    """What is taken for E.164 without parsing is never counted as compared by its digits."""
    taken = [one for one in plausible_phones(seed=3, of_each=200) if re.search(PLAIN_E164, one)]
    assert len(taken) > 200
    assert [one for one in taken if library(one, "ZZ") is None] == []


def test_digest_is_the_sha256_of_type_and_value(engine: Engine) -> None:
    """A personal value's key is the first 32 hex digits of the SHA-256 of ``type:value``."""
    (key,) = engine.row(f"SELECT {digests.key_of('email', literal('ann@example.com'), salted=False)}")
    assert key == "35f3b3170d36d0a179d1bf8e9cf8cfc3"  # printf email:ann@example.com | sha256sum
