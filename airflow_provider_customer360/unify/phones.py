"""Phones: which texts are numbers, and their E.164 form by the ``phonenumbers`` library.

The library is the Python port of Google's libphonenumber, at some 40 microseconds a number. It sees
distinct values only, and only those for which SQL cannot know its answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.errors import ConfigError, DataError
from airflow_provider_customer360.unify.expressions import braced
from airflow_provider_customer360.unify.identifier_types import IdentifierType, setting
from airflow_provider_customer360.unify.quoting import literal

if TYPE_CHECKING:
    import pyarrow as pa
    from phonenumbers import PhoneNumber

_CHARACTERS = r"^[+(]{0,2}[0-9][-+0-9 ().\/\x{a0}\x{2010}-\x{2015}]*( ?(x|ext\.?|#) ?[0-9]{1,6})?$"
_EXTENSION = r" ?(x|ext\.?|#) ?[0-9]{1,6}$"
# The digits of East Asian input methods, of Arabic, Persian and Hindi, then plus, brackets, hyphen and space.
_WIDE = "".join(chr(zero + n) for zero in (0xFF10, 0x660, 0x6F0, 0x966) for n in range(10))
_WIDE += "\uff0b\uff08\uff09\uff0d\u3000"
_ASCII = "0123456789" * 4 + "+()- "
# E.164 as it is, in numbering plans without prefixes that could hide in the digits (North America, the
# Netherlands, France, Spain, Britain, Germany, Australia, Japan, India): the parser would not change these.
PLAIN_E164 = (
    r"^\+(1[2-9][0-9]{9}|31[1-9][0-9]{8}|33[1-9][0-9]{8}|34[6-9][0-9]{8}|44[1-9][0-9]{9}|49[1-9][0-9]{8,10}"
    r"|61[23478][0-9]{8}|81[1-9][0-9]{8,9}|91[6-9][0-9]{9})$"
)
# By region, the national numbers (digits) for which the parser's answer is known: the country code, and the
# number without the prefix for calls within the country.
NATIONAL = {
    "US": ("1?([2-9][0-9]{9})", "+1"),
    "CA": ("1?([2-9][0-9]{9})", "+1"),
    "GB": ("0([1-9][0-9]{9})", "+44"),
    "DE": ("0([1-9][0-9]{8,10})", "+49"),
    "FR": ("0([1-9][0-9]{8})", "+33"),
    "NL": ("0([1-9][0-9]{8})", "+31"),
    "ES": ("([6-9][0-9]{8})", "+34"),
    "AU": ("0([23478][0-9]{8})", "+61"),
}
_SHORTEST, _LONGEST = 7, 17
_SHORTEST_OF_A_REGION = 4


def ascii_digits(text: str) -> str:
    """A text with the digits that other scripts have as ASCII's."""
    # Translating is slow, and hardly a value needs it.
    return (
        f"CASE WHEN strlen({text}) = length({text}) THEN {text} "
        f"ELSE translate({text}, '{_WIDE}', '{_ASCII}') END"
    )


#: Intermediate values of a phone, templates for `str.format`. "+44 (0)20 ..." means "+44 20 ..." from abroad.
STEPS = {
    "plain": f"lower({ascii_digits('{t}')})",
    "bare": f"replace(regexp_replace({{plain}}, '{braced(_EXTENSION)}', ''), '(0)', '')",
    "digits": "regexp_replace({bare}, '[^0-9]', '', 'g')",
}


@dataclass(frozen=True)
class PhoneColumn:
    """A table's column of phones as digits, and the column that takes what turns out to be no phone."""

    table: str
    column: str
    blocked: str
    identifier_type: str
    region: str | None
    late: tuple[tuple[str, str], ...] = ()


def no_phone(plain: str, digits: str, region: str | None) -> str:
    """The condition that a text is no phone."""
    shortest = _SHORTEST_OF_A_REGION if region else _SHORTEST
    return (
        f"(NOT regexp_matches({plain}, '{braced(_CHARACTERS)}') "
        f"OR length({digits}) NOT BETWEEN {shortest} AND {_LONGEST})"
    )


def standard(bare: str, digits: str, region: str | None) -> str:
    """A phone as digits, with a leading ``+`` where it was written internationally."""
    # 00 dials abroad nearly everywhere; a region says what it does there.
    abroad = "" if region else f" OR starts_with({digits}, '00')"
    known = ""
    if region in NATIONAL:
        pattern, code = NATIONAL[region]
        national = f"regexp_replace({digits}, '^{braced(pattern)}$', '{code}\\1')"
        known = f"WHEN regexp_full_match({digits}, '{braced(pattern)}') THEN {national} "
    return (
        f"CASE WHEN starts_with({bare}, '+') OR starts_with({bare}, '(+'){abroad} "
        f"THEN '+' || ltrim({digits}, '0') {known}ELSE {digits} END"
    )


def check_region(one: IdentifierType) -> None:
    """Raise ConfigError where a type's region is none."""
    from phonenumbers import SUPPORTED_REGIONS

    if one.region is not None and one.region not in SUPPORTED_REGIONS:
        hint = " The United Kingdom is 'GB'." if one.region == "UK" else ""
        raise ConfigError(
            f"{setting(one.name, 'region')} is {one.region!r}, which is no country with phones of its own; "
            f"give two capitals of ISO 3166, such as 'US' or 'DE'.{hint}"
        )


def parse_phones(engine: Engine, columns: Iterable[PhoneColumn]) -> None:
    """Bring the phones of columns to E.164, in place; what is no possible number keeps its digits.

    Makes table ``impossible_phones`` (``identifier_type``, ``phone``): what was written internationally
    and yet is compared by its digits.
    """
    columns = list(columns)
    engine.run("CREATE TABLE IF NOT EXISTS impossible_phones (identifier_type VARCHAR, phone VARCHAR)")
    for region in sorted({one.region for one in columns}, key=lambda region: region or ""):
        _parse_region(engine, [one for one in columns if one.region == region], region)


def _parse_region(engine: Engine, columns: Sequence[PhoneColumn], region: str | None) -> None:
    wanted = " UNION ".join(
        f"SELECT {one.column} AS raw FROM {one.table} WHERE NOT regexp_matches({one.column}, '{PLAIN_E164}')"
        + ("" if region else f" AND {one.column} LIKE '+%'")
        for one in columns
    )
    reader = engine.reader(wanted, batch_rows=100_000)
    engine.run("CREATE OR REPLACE TABLE phones (raw VARCHAR, standard VARCHAR, possible BOOLEAN)")
    for batch in reader:
        if batch.num_rows:
            engine.register("parsed_phones", _parsed(batch, region))
            engine.run(
                "INSERT INTO phones SELECT * FROM parsed_phones "
                "WHERE raw IS DISTINCT FROM standard OR NOT possible"
            )
    for one in columns:
        engine.run(
            f"UPDATE {one.table} SET {one.column} = standard, "
            f"{one.blocked} = CASE WHEN standard IS NULL THEN raw ELSE {one.blocked} END "
            f"FROM phones WHERE {one.column} = raw AND raw IS DISTINCT FROM standard"
        )
        _block(engine, one)
        engine.run(
            f"INSERT INTO impossible_phones SELECT DISTINCT {literal(one.identifier_type)}, standard "
            "FROM phones WHERE standard LIKE '+%' AND NOT possible "
            f"AND standard IN (SELECT {one.column} FROM {one.table})"
        )
    engine.drop(["phones"])


def _block(engine: Engine, one: PhoneColumn) -> None:
    for _, condition in one.late:
        try:
            engine.run(
                f"UPDATE {one.table} SET {one.blocked} = {one.column}, {one.column} = NULL "
                f"WHERE {one.column} IS NOT NULL AND {condition.format(standard=one.column)}"
            )
        except DataError:
            raise DataError(
                f"{setting(one.identifier_type, 'valid')} fails for some phone in E.164: cast with TRY_CAST, "
                "or wrap the expression in TRY(...), so that it is NULL there."
            ) from None


def standard_of(value: str, region: str | None) -> tuple[str | None, bool]:
    """The form in which a phone, given as digits, is compared, and whether it is a possible number.

    None where it is too short to be compared by its digits.
    """
    found = None if value.startswith("+") or not region else _number(value, region)
    if found and _is_possible(found):
        return _e164(found), True
    abroad = value if value.startswith("+") else "+" + value.lstrip("0") if value.startswith("00") else None
    found = _number(abroad, None) if abroad else None
    if found and (_is_possible(found) or value.startswith("+")):
        return _e164(found), _is_possible(found)
    return (value if len(value) >= _SHORTEST else None), False


def compared_by_digits(engine: Engine, types: Sequence[IdentifierType]) -> dict[str, int]:
    """By type of phones, the number of distinct values that are compared by their digits.

    Args:
        types: those of the plan, in its order.
    """
    counts = {}
    for t, one in enumerate(types):
        if one.standardise == "phone":
            (counts[one.name],) = engine.row(
                f"SELECT count(*) FROM identities WHERE t = {t} AND (NOT starts_with(identifier_value, '+') "
                "OR (identifier_type, identifier_value) IN (SELECT (identifier_type, phone) "
                "FROM impossible_phones))"
            )
    return counts


def notes(types: Iterable[IdentifierType], counts: Mapping[str, int]) -> list[str]:
    """What a person should know of phones that are compared by their digits."""
    sentences = []
    for one in types:
        if not counts.get(one.name):
            continue
        why = f"are no possible numbers of region {one.region}"
        if not one.region:
            why = f"have no country code. If all are of one country, state {setting(one.name, 'region')}"
        sentences.append(
            f"{counts[one.name]:,} distinct values of {one.name} are compared by their digits: they {why}."
        )
    return sentences


def _parsed(batch: pa.RecordBatch, region: str | None) -> pa.Table:
    import pyarrow as pa

    raw = batch.column(0).to_pylist()
    standards, possible = zip(*(standard_of(value, region) for value in raw), strict=True)
    return pa.table(
        {
            "raw": pa.array(raw, pa.string()),
            "standard": pa.array(standards, pa.string()),
            "possible": pa.array(possible, pa.bool_()),
        }
    )


def _number(value: str, region: str | None) -> PhoneNumber | None:
    from phonenumbers import NumberParseException, parse

    try:
        return parse(value, region)
    except NumberParseException:
        return None


def _is_possible(number: PhoneNumber) -> bool:
    from phonenumbers import ValidationResult, is_possible_number_with_reason

    # Not "possible locally": seven digits are somebody else's in the next town.
    return bool(is_possible_number_with_reason(number) == ValidationResult.IS_POSSIBLE)


def _e164(number: PhoneNumber) -> str:
    from phonenumbers import PhoneNumberFormat, format_number

    return str(format_number(number, PhoneNumberFormat.E164))
