"""Values that identify nobody: what is blocked by default, what must never be, and how it is reported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import phonenumbers
import pyarrow as pa
import pytest
from phonenumbers import PhoneNumberFormat

from airflow_provider_customer360.unify import Config, Source, blocks, unify
from airflow_provider_customer360.unify.blocked import blocked_values
from airflow_provider_customer360.unify.detect import detect
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.keys import NodeKeys
from airflow_provider_customer360.unify.records import group_records
from airflow_provider_customer360.unify.staging import stage
from tests.unify.test_standardise import compared, standard


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """One engine for all values of this file."""
    with Engine() as running:
        yield running


def blocked(engine: Engine, kind: str, values: list[str], **stated: object) -> list[str]:
    """Those of the values that identify nobody."""
    forms = standard(engine, kind, list(values), **stated)
    return [value for value, form in zip(values, forms, strict=True) if form is None]


# Words that mean "nobody" to a program are names of people: Mr Null, Ms None, Mr Test, Ms Blank ...
# ruff: noqa: SIM905  # lists of this length are read as text
_TRICKY_NAMES = (
    "null none nil nan na no noh noe nobody test tester testa unknown guest blank empty void missing "
    "fake faker true false dummy sample example anon anonymo undef dele deletre redac mask masker "
    "default admin root user mail maile email abc abcede asdfar qwertz xie xu xx xaxa aa aaberg bb "
    "oo ooi zz tbd ask inf infante noreen noah norbert noel nora norman nolan noura noemi nonette "
    "nunez nulty nullius notaro notset nouri replyson norep donoghue dono donotre testud testino "
    "unknownson "
).split()
_SURNAMES = (
    "smith jones müller mueller meyer o'brien o'neill d'angelo de la cruz van der berg von trapp ng "
    "li wu ho o garcía fernández gonçalves çelik øst ångström łukasz żółty nguyễn trần josé "
    "papadopoulos иванов петрова 王 李 김 山田 محمد כהן अमित สมชาย naïve ōta đỗ ísleifur škoda ďurica "
    "müßig straße mac-donald saint-exupéry al-sayed null-smith none-jones test-meyer anna maria mary "
    "john ali omar fatima chen wei lee kim park sato suzuki tanaka silva santos oliveira souza rossi "
    "russo ferrari bianchi esposito romano martin bernard dubois thomas robert andersen hansen "
    "johansen olsen larsen nielsen jensen virtanen korhonen novak svoboda horvat kovač nagy tóth "
    "ivanova popescu dimitrov yilmaz demir kaya hassan ibrahim osei mensah okafor adeyemi abebe moyo "
    "dlamini "
).split()
TRIAL_EMAILS = [
    *(
        "ana@example.com",
        "bob@test.com",
        "user1@example.com",
        "john@doe.com",
        "jane.doe@example.org",
        "a@example.com",
    ),
    *(
        "test1@example.com",
        "test_1@example.com",
        "alice@example.net",
        "customer001@example.com",
        "x1@test.com",
    ),
    *("none@example.com", "null@example.org", "unknown@gmail.com", "nobody@example.com", "smith@smith.com"),
    *(
        "info@info-point.de",
        "hello@shop.example",
        "no@example.com",
        "noreply.fan@example.com",
        "noah.reply@gmail.com",
    ),
    *("anna.none@example.com", "me@me.com", "reply@example.com", "demo@demo.shop", "100@example.com"),
]
TRIAL_IDS = [
    *(
        "1",
        "2",
        "3",
        "0001",
        "10",
        "42",
        "99",
        "100",
        "1000",
        "1111",
        "777",
        "2222",
        "9999",
        "123",
        "1234",
        "12345",
    ),
    *(
        "123456",
        "12345678",
        "NA12",
        "na1",
        "test_1",
        "test1",
        "test",
        "cust_001",
        "CUST-1",
        "u1",
        "user_1",
        "A",
        "a",
    ),
    *(
        "x",
        "x1",
        "XX1",
        "abc",
        "abc123",
        "C-0001",
        "00042",
        "0x1f",
        "none-such",
        "null_1",
        "guest-17",
        "unknown42",
    ),
    *("6d92078a-8246-4ba4-ae5b-76104861e7dc", "{6D92078A-8246-4BA4-AE5B-76104861E7DC}", "9774d56d682e549d"),
    *(
        "1e5",
        "2026-01-31",
        "50%",
        "a%b%c",
        "[x1]",
        "#1",
        "@anna",
        "🦊7",
        "日本",
        "Ж1",
        "11111112",
        "ffff0000-1",
        "deadbeef-cafe",
        "abcdefab",
    ),
]
TRIAL_PHONES = [
    *("+1 415 555 0101", "(415) 555-0101", "415-555-0199", "555-0101", "+44 20 7946 0018", "020 7946 0018"),
    *("+49 30 1234567", "030 12345678", "+33 1 23 45 67 89", "07700 900123", "+1 800 555 0199", "9876543210"),
    *(
        "07777 777778",
        "+61 2 9876 5432",
        "+91 98765 43210",
        "0987654321",
        "+1-202-555-0000",
        "+49 151 00000012",
    ),
]


def test_no_name_is_blocked(engine: Engine) -> None:
    """Whatever people are called, they keep their address and their user name."""
    names = [*_TRICKY_NAMES, *_SURNAMES]
    emails = [
        address
        for name in names
        for address in (
            f"anna.{name}@example.com",
            f"{name}.anna@gmail.com",
            f"a{name}1@mail.example",
            f"the.{name}@familie-{name}.de",
            f"no.{name}1@example.com",
        )
    ]
    assert len(emails) > 800
    assert blocked(engine, "email", emails) == []
    mailboxes = [f"{name}@company.example" for name in names if name != "test"]
    assert blocked(engine, "email", mailboxes) == []
    assert blocked(engine, "user_id", [f"anna {name}" for name in names]) == []
    assert blocked(engine, "user_id", [f"{name}1" for name in names]) == []
    assert blocked(engine, "user_id", [one for one in _SURNAMES if len(one) > 1]) == []


def test_no_trial_data_is_blocked(engine: Engine) -> None:
    """What a newcomer types to try the package are customers."""
    assert blocked(engine, "email", TRIAL_EMAILS) == []
    assert blocked(engine, "customer_id", TRIAL_IDS) == []
    assert blocked(engine, "phone", TRIAL_PHONES) == []


def test_no_example_number_of_any_region_is_blocked(engine: Engine) -> None:
    """The numbers that phonenumbers has for each country are numbers, however they are written."""
    examples = [
        example
        for region in phonenumbers.SUPPORTED_REGIONS
        for kind in (0, 1)  # fixed lines and mobiles
        if (example := phonenumbers.example_number_for_type(region, kind)) is not None
    ]
    assert len(examples) > 450
    for form in (PhoneNumberFormat.E164, PhoneNumberFormat.INTERNATIONAL):
        assert blocked(engine, "phone", [phonenumbers.format_number(one, form) for one in examples]) == []
    national = [phonenumbers.format_number(one, PhoneNumberFormat.NATIONAL) for one in examples]
    digits = ["".join(filter(str.isdecimal, one)) for one in national]
    # Of six digits and fewer, a number without its country is not known to be one; and counting up is what
    # a person does who gives no number, though the examples of France and Poland do so as well.
    known = [
        one
        for one, own in zip(national, digits, strict=True)
        if len(own) >= 7 and own not in ("0123456789", "123456789")
    ]
    assert len(known) > 430
    assert blocked(engine, "phone", known) == []


JUNK_IDS = [
    *(
        "n/a",
        "NULL",
        "None",
        "undefined",
        "[object Object]",
        "%%email%%",
        "{{email}}",
        "{{ contact.id }}",
        "${id}",
    ),
    *(
        "*|EMAIL|*",
        "<%= id %>",
        "{customer_id}",
        "%EMAIL%",
        "deleted",
        "[deleted]",
        "Redacted",
        "***",
        "•••",
    ),
    *("00000000-0000-0000-0000-000000000000", "9774d56d682e549c", "LMY47D", "000000000000000", "1234567890"),
    *(
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "0123456789",
        "99999999",
        "999-99-9999",
        "11111111",
        "<nil>",
        "{}",
        "[]",
    ),
    *(
        "\\N",
        "#REF!",
        "#VALUE!",
        "unbekannt",
        "Inconnu",
        "неизвестно",
        "customer_id",
        "true",
        "-1",
        "----",
        "xxxx",
    ),
]
JUNK_EMAILS = [
    *(
        "none@none.com",
        "NO@NO.com",
        "na@na.com",
        "asdf@asdf.com",
        "qwerty@qwerty.de",
        "a@a.com",
        "x@x.com",
        "zzz@zzz.fr",
    ),
    *(
        "fake@fake.com",
        "abc@abc.com",
        "no@email.com",
        "noemail@gmail.com",
        "user@domain.com",
        "test@example.com",
    ),
    *(
        "noreply@shop.example",
        "No.Reply@x.io",
        "do_not_reply@x.io",
        "mailer-daemon@x.io",
        "a@b.com",
        "111@111.com",
    ),
]
JUNK_PHONES = ["000-000-0000", "+1 555 555 5555", "+10000000000", "1234567890", "1111111111", "+49000000000"]


@pytest.mark.parametrize(
    ("kind", "junk"), [("loyalty_id", JUNK_IDS), ("email", JUNK_EMAILS), ("phone", JUNK_PHONES)]
)
def test_defaults(engine: Engine, kind: str, junk: list[str]) -> None:
    """What people and programs write instead of a value identifies nobody, unless the defaults are off."""
    assert blocked(engine, kind, junk) == junk
    kept = blocked(engine, kind, [*junk, " ", ""], default_blocks=False)
    assert kept == [*(one for one in junk if kind == "phone" and not one.strip("+0- ")), " ", ""]


def test_every_placeholder_is_blocked_in_any_case(engine: Engine) -> None:
    """No character of a placeholder means something else to a regular expression."""
    spelled = [
        *blocks.PLACEHOLDERS,
        *map(str.upper, blocks.PLACEHOLDERS),
        *map(str.title, blocks.PLACEHOLDERS),
    ]
    assert blocked(engine, "customer_id", spelled) == spelled


def test_block_compares_standard_forms(engine: Engine) -> None:
    """A blocked value is blocked in every spelling that is compared as equal, and nothing else is."""
    stated: dict[str, object] = {"block": ["Kiosk@Shop.example ", "it's {x}"]}
    emails = ["kiosk@shop.example", "KIOSK@shop.EXAMPLE", "kiosk2@shop.example"]
    assert blocked(engine, "email", emails, **stated) == emails[:2]
    assert blocked(engine, "user_id", ["IT'S {X}", "it's x"], **stated) == ["IT'S {X}"]
    phones = ["+44 20 7946 0018", "0044 (0)20 7946 0018", "+44 020 7946 0018", "+44 20 7946 0019"]
    assert blocked(engine, "phone", phones, block=["+44 020 7946 0018", "no number"]) == phones[:3]
    phones = ["(415) 555-0101", "+1 415 555 0101", "415 555 0102"]
    assert blocked(engine, "phone", phones, block=["1-415-555-0101"], region="US") == phones[:2]
    ids = ["a-1", "A1", "a-2"]
    assert blocked(engine, "x_id", ids, standardise="replace(value, '-', '')", block=["a1"]) == ids[:2]


def test_block_patterns_match_the_whole_standard_form(engine: Engine) -> None:
    """A pattern is one of RE2, braces and quotes included."""
    ids = ["kiosk1", "kiosk12", "kiosk123", "my kiosk1", "it's"]
    assert blocked(engine, "user_id", ids, block_patterns=["kiosk[0-9]{1,2}", "it's"]) == [
        "kiosk1",
        "kiosk12",
        "it's",
    ]
    emails = ["Bot@internal.example", "bot@internal.example.com"]
    assert blocked(engine, "email", emails, block_patterns=[r".*@internal\.example"]) == emails[:1]
    assert blocked(engine, "phone", ["+1 900 555 0101", "+1 415 555 0101"], block_patterns=[r"\+1900.*"]) == [
        "+1 900 555 0101"
    ]


def test_the_text_of_what_is_blocked_is_kept(engine: Engine) -> None:
    """A column beside the standard form says what was there: nothing for a usable or a missing value."""
    assert compared(engine, "user_id", ["a", " n/a ", None, "  "]) == [
        ("a", None),
        (None, "n/a"),
        (None, None),
        (None, ""),
    ]
    assert compared(engine, "user_id", [1.0, float("nan")], "DOUBLE") == [("1", None), (None, "")]
    assert compared(engine, "phone", ["12", "+1 415 555 0101"], block=["+14155550101"]) == [
        (None, "12"),
        (None, "+14155550101"),
    ]


def run(
    engine: Engine, sources: dict[str, dict[str, list[Any]]], config: Config
) -> dict[tuple[str, str, str], Any]:
    """What is reported as blocked: (type, source, value) to (reason, records)."""
    given = {name: Source(data=pa.table(columns)) for name, columns in sources.items()}
    staged = {
        name: stage(engine.connection, f"source_{i}", one.data) for i, (name, one) in enumerate(given.items())
    }
    plan = detect(engine, staged, given, config)
    group_records(engine, plan, NodeKeys())
    found = {}
    for t, source, value, reason, count in engine.rows(blocked_values(engine, plan)):
        key = (plan.types[t].name, plan.sources[source].name, value)
        assert key not in found
        found[key] = (reason, count)
    return found


CRM = {
    "customer_id": ["0", "0", "0", "7", "8", "n/a", "n/a", "LEGACY-1", "9"],
    "email": ["a@x.de", "b@x.de", "no@no.com", "ann", "kiosk@x.de", "", "bot@int.example", "c@x.de", None],
    "billing_email": [None, None, "kiosk@x.de", "no@no.com", "d@x.de", None, None, None, None],
    "phone": ["+14155550101", "+14155550102", "call me", "0000000", "12", "n/a", "+19005550101", None, None],
}
SETTINGS = {
    "email": {"block": ["KIOSK@x.de"], "block_patterns": [r".*@int\.example"]},
    "customer_id": {"valid": "NOT starts_with(value, 'LEGACY')"},
    "phone": {"block_patterns": [r"\+1900.*"]},
}


def test_reasons_and_counts(engine: Engine) -> None:
    """Each blocked value of each type and source is reported with its reason and its number of records."""
    found = run(engine, {"crm": CRM}, Config(identifier_types=SETTINGS))
    assert found == {
        ("customer_id", "crm", "0"): ("guest", 3),
        ("customer_id", "crm", "n/a"): ("placeholder", 2),
        ("customer_id", "crm", "LEGACY-1"): ("fails valid", 1),
        ("email", "crm", "no@no.com"): ("placeholder", 2),
        ("email", "crm", "ann"): ("not an e-mail address", 1),
        ("email", "crm", "kiosk@x.de"): ("blocked by you", 2),
        ("email", "crm", ""): ("blank", 1),
        ("email", "crm", "bot@int.example"): ("pattern", 1),
        ("phone", "crm", "call me"): ("not a phone number", 1),
        ("phone", "crm", "0000000"): ("placeholder", 1),
        ("phone", "crm", "12"): ("not a phone number", 1),
        ("phone", "crm", "n/a"): ("placeholder", 1),
        ("phone", "crm", "+19005550101"): ("pattern", 1),
    }
    counts = unify({"crm": pa.table(CRM)}, Config(identifier_types=SETTINGS)).summary["identifiers"]
    for name in ("customer_id", "email", "phone"):
        assert counts[name]["blocked"] == sum(n for (kind, _, _), (_, n) in found.items() if kind == name)


def test_nothing_to_report(engine: Engine) -> None:
    """A run without blocked values, or with a source without identifiers, gives an empty report."""
    assert run(engine, {"crm": {"email": ["a@x.de"]}, "x": {"amount": [1.5]}}, Config()) == {}
