"""Identifier values made comparable: SQL expressions from a raw column to its standard form or NULL.

NULL means that the value identifies nobody: it is empty, a placeholder or not of its type. The
expressions are applied to distinct combinations of raw values, never row by row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.quoting import literal

if TYPE_CHECKING:
    import pyarrow as pa

# What people and systems write where there is no value. Matched against the whole lower-cased value,
# so that a customer called None or an address that begins with "no" is left alone.
PLACEHOLDERS = (
    "",
    "n/a",
    "na",
    "n.a.",
    "#n/a",
    "null",
    "(null)",
    "none",
    "nil",
    "nan",
    "<na>",
    "nat",
    "unknown",
    "undefined",
    "anonymous",
    "guest",
    "not available",
    "not provided",
    "not set",
    "(not set)",
    "no email",
    "noemail",
    "no phone",
    "-1",
    "tbd",
)
# Mailboxes of no single person, as whole local parts: info@, sales@ and the like may be a customer's.
_NOBODYS_MAILBOXES = ("noreply", "no-reply", "no_reply", "donotreply", "do-not-reply", "noemail", "test")
_PLACEHOLDER_PHONES = ("0123456789", "1234567890", "123456789", "12345678", "1234567")

# White space and Unicode's invisible neighbours of a pasted value.
_SPACES = r"[\s\x{a0}\x{200b}\x{feff}]+"
_EMAIL = r"^[^@\s]+@[^@\s]+\.[^@\s.]+$"
_PHONE_CHARACTERS = r"^[+(]{0,2}[0-9][-+0-9 ().\/\x{a0}\x{2010}-\x{2015}]*( ?(x|ext\.?|#) ?[0-9]{1,6})?$"
_EXTENSION = r" ?(x|ext\.?|#) ?[0-9]{1,6}$"
# E.164 as it is, in numbering plans without prefixes that could hide in the digits (North America, the
# Netherlands, France, Spain, Britain, Germany, Australia, Japan, India): the parser would not change these.
_PLAIN_E164 = (
    r"^\+(1[2-9][0-9]{9}|31[1-9][0-9]{8}|33[1-9][0-9]{8}|34[6-9][0-9]{8}|44[1-9][0-9]{9}|49[1-9][0-9]{8,10}"
    r"|61[23478][0-9]{8}|81[1-9][0-9]{8,9}|91[6-9][0-9]{9})$"
)


def _listed(values: Iterable[str]) -> str:
    return ", ".join(literal(value) for value in values)


def _braced(pattern: str) -> str:
    """A pattern whose braces survive `str.format`."""
    return pattern.replace("{", "{{").replace("}", "}}")


# What a type's rule is made of: named intermediate values, each from those before it, and the outcome.
# `{t}` is the value as text. NULL means that it identifies nobody.
_Rule = tuple[dict[str, str], str]
_RULES: dict[str, _Rule] = {
    # Runs of one character fill a mandatory field ("---", "xxx", "000-0000"); a run of other digits
    # (customer 777) or a single character is somebody's number.
    "id": (
        {},
        f"CASE WHEN lower({{t}}) IN ({_listed(PLACEHOLDERS)}) OR regexp_full_match({{t}}, "
        "'[0[:punct:][:space:]]{{2,}}|x{{2,}}|X{{2,}}|[^\\p{{L}}\\p{{N}}]+') THEN NULL ELSE {t} END",
    ),
    # none@none.com is nobody, none@example.com may be Mr None.
    "email": (
        {
            "value": "lower({t})",
            "mailbox": "split_part({value}, '@', 1)",
            "domain": "split_part(split_part({value}, '@', 2), '.', 1)",
        },
        f"CASE WHEN {{mailbox}} IN ({_listed(_NOBODYS_MAILBOXES)}) "
        f"OR ({{mailbox}} = {{domain}} AND {{mailbox}} IN ({_listed(PLACEHOLDERS)})) "
        f"OR NOT regexp_matches({{value}}, '{_EMAIL}') THEN NULL ELSE {{value}} END",
    ),
    # "+44 (0)20 ..." means "+44 20 ..." from abroad.
    "phone": (
        {
            "bare": f"replace(regexp_replace(lower({{t}}), '{_braced(_EXTENSION)}', ''), '(0)', '')",
            "digits": "regexp_replace({bare}, '[^0-9]', '', 'g')",
        },
        f"CASE WHEN NOT regexp_matches(lower({{t}}), '{_braced(_PHONE_CHARACTERS)}') "
        f"OR length({{digits}}) NOT BETWEEN 7 AND 17 OR {{digits}} IN ({_listed(_PLACEHOLDER_PHONES)}) "
        "OR replace({digits}, {digits}[1], '') = '' THEN NULL "
        "WHEN starts_with({bare}, '+') OR starts_with({bare}, '(+') OR starts_with({digits}, '00') "
        "THEN '+' || ltrim({digits}, '0') ELSE {digits} END",
    ),
}


def text(column: str, duckdb_type: str) -> str:
    """A raw value as trimmed text; ``123``, ``123.0`` and ``" 123 "`` come out equal; NaN is NULL."""
    if duckdb_type == "DOUBLE":
        # Whole numbers that pandas made floating because a neighbour was missing.
        return (
            f"CASE WHEN NOT isfinite({column}) THEN NULL "
            f"WHEN {column} = trunc({column}) AND abs({column}) < 9.2e18 THEN {column}::BIGINT::VARCHAR "
            f"ELSE {column}::VARCHAR END"
        )
    if duckdb_type == "BIGINT":
        return f"{column}::VARCHAR"
    trimmed = f"nfc_normalize(regexp_replace({column}::VARCHAR, '^{_SPACES}|{_SPACES}$', '', 'g'))"
    return f"regexp_replace({trimmed}, '^([-+]?[0-9]+)\\.0+$', '\\1')"


def standardised(identifier_type: str, column: str, duckdb_type: str) -> str:
    """The standard form of a raw identifier value, or NULL where it identifies nobody.

    E-mails are lower-cased; ids keep their case and their leading zeros. Phones come out as digits
    with a leading ``+`` where they were written internationally; `parse_phones` makes those E.164.
    """
    intermediates, outcome = _rule(identifier_type)
    values = {"t": text(column, duckdb_type)}
    for name, expression in intermediates.items():
        values[name] = expression.format(**values)
    return outcome.format(**values)


def standardise(base: str, columns: Sequence[tuple[str, str, str]]) -> str:
    """A query for all columns of another one and, for each (type, column, DuckDB type), ``id_<j>``.

    Says the same as `standardised`, in nested queries: DuckDB computes an intermediate value once
    there, and anew for each mention in one expression.
    """
    query, hidden = f"({base})", []
    values: list[dict[str, str]] = [{} for _ in columns]
    rules = [_rule(identifier_type) for identifier_type, _, _ in columns]
    depth = max((len(intermediates) for intermediates, _ in rules), default=0)
    for level in range(depth + 1):
        items = []
        for j, ((_, column, duckdb_type), (intermediates, _)) in enumerate(zip(columns, rules, strict=True)):
            if level > len(intermediates):
                continue
            name, expression = "t", text(column, duckdb_type)
            if level:
                name, template = list(intermediates.items())[level - 1]
                expression = template.format(**values[j])
            values[j][name] = f"std_{name}_{j}"
            items.append(f"{expression} AS {values[j][name]}")
            hidden.append(values[j][name])
        query = f"(SELECT {', '.join(['*', *items])} FROM {query})"
    outcomes = [f"{outcome.format(**values[j])} AS id_{j}" for j, (_, outcome) in enumerate(rules)]
    everything = f"* EXCLUDE ({', '.join(hidden)})" if hidden else "*"
    return f"SELECT {', '.join([everything, *outcomes])} FROM {query}"


def _rule(identifier_type: str) -> _Rule:
    return _RULES.get(identifier_type, _RULES["id"])


def digest(identifier_type: str, value: str) -> str:
    """A key made from a personal value without being one: 128 bits of its SHA-256, as hex."""
    return f"left(sha256({literal(identifier_type + ':')} || {value}), 32)"


def parse_phones(engine: Engine, tables: Iterable[tuple[str, str]]) -> None:
    """Bring internationally written phones in ``(table, column)`` pairs to E.164, in place.

    Only distinct values that need it are parsed (by the ``phonenumbers`` library, the Python port of
    Google's libphonenumber); what does not parse keeps its digits.
    """
    tables = list(tables)
    if not tables:
        return
    wanted = " UNION ".join(
        f"SELECT {column} AS raw FROM {table} WHERE {column} LIKE '+%' "
        f"AND NOT regexp_matches({column}, '{_PLAIN_E164}')"
        for table, column in tables
    )
    reader = engine.reader(wanted, batch_rows=100_000)
    engine.run("CREATE OR REPLACE TABLE phones (raw VARCHAR, e164 VARCHAR)")
    for batch in reader:
        if batch.num_rows:
            engine.register("parsed_phones", _parsed(batch))
            engine.run("INSERT INTO phones SELECT raw, e164 FROM parsed_phones WHERE raw <> e164")
    for table, column in tables:
        engine.run(f"UPDATE {table} SET {column} = phones.e164 FROM phones WHERE {column} = phones.raw")
    engine.drop(["phones"])


def _parsed(batch: pa.RecordBatch) -> pa.Table:
    import phonenumbers
    import pyarrow as pa

    raw = batch.column(0).to_pylist()
    parsed = []
    for value in raw:
        try:
            number = phonenumbers.parse(value)
        except phonenumbers.NumberParseException:
            parsed.append(value)
            continue
        parsed.append(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
    return pa.table({"raw": pa.array(raw, pa.string()), "e164": pa.array(parsed, pa.string())})
