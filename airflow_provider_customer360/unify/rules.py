"""What is done with the values of one identifier type, as SQL templates made from its settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from airflow_provider_customer360.unify import blocks, mail_providers, phones
from airflow_provider_customer360.unify.expressions import over_value
from airflow_provider_customer360.unify.identifier_types import STANDARDISERS, IdentifierType, setting
from airflow_provider_customer360.unify.quoting import literal

_EMAIL = r"^[^@\s]+@[^@\s]+\.[^@\s.]+$"
# Values that are their own standard form and somebody's, whatever the lists say: a look or two at them is
# enough. They are what most identifiers look like; everything else takes the long way, which gives the same.
# Short numbers, and longer ones that do not repeat a digit; the lists know 123456789 and 1234567890.
_NUMBER = "[1-9][0-9]{0,6}|1+[03-9][0-9]*|12[0-24-9][0-9]*" + "".join(
    f"|{digit}+[^{digit}\\D][0-9]*" for digit in range(2, 10)
)
#: Letters and digits mixed, of which the lists know two; these begin with 97 and L.
_CODE = (
    "(?:[{letters}][{any_letter}_-]*[0-9]|(?:[0-8][0-9_-]*|9(?:[0-689_-][0-9_-]*)?)[{any_letter}])"
    "[0-9{any_letter}_-]*"
)
_PLAIN_LOWER = f"{_NUMBER}|{_CODE.format(letters='a-km-z', any_letter='a-z')}"
_PLAIN_ID = f"{_NUMBER}|{_CODE.format(letters='A-KM-Za-km-z', any_letter='A-Za-z')}"
#: A mailbox that ends with a digit or is made of two words; those of the lists are neither.
_PLAIN_EMAIL = r"(?:[a-z][a-z0-9._+-]*[0-9]|[a-z]{3,}[._][a-z]{3,})@(?:[a-z0-9-]+\.)+[a-z]{2,}"
_TIDIED_LOWER = "lower(trim({t}))"
#: The reason of a block by our own lists.
PLACEHOLDER = "placeholder"
_BLANK = ("blank", "{t} = ''")
#: In bytes: longer than any identifier, and than what databases can index.
LONGEST = 1_000
_TOO_LONG = (f"longer than {LONGEST:,} bytes", f"strlen({{t}}) > {LONGEST}")
_NO_EMAIL = f"NOT regexp_matches({{value}}, '{_EMAIL}')"


@dataclass(frozen=True)
class Rule:
    """How a type's values are compared and which of them identify nobody.

    All SQL are templates for `str.format`; ``{t}`` is the value as trimmed text.

    Attributes:
        steps: intermediate values, each from those before it; DuckDB computes each once.
        standard: the standard form, from the steps; NULL where there is none.
        blocks: reason and condition of what identifies nobody, from the steps.
        hints: reason and condition of values that a block matches too; these reasons come first.
        late: reason and condition over ``{standard}``, for forms that are final only after the query.
        plain: a regular expression; raw texts that match it are their own standard form, and somebody's.
        tidied: what is done to a raw text ``{t}`` that does not match at once; if this does, so is this.
    """

    steps: Mapping[str, str]
    standard: str
    blocks: tuple[tuple[str, str], ...] = ()
    hints: tuple[tuple[str, str], ...] = ()
    late: tuple[tuple[str, str], ...] = ()
    plain: str | None = None
    tidied: str = "trim({t})"

    def outcome(self, names: Mapping[str, str]) -> str:
        """The standard form, or NULL where the value identifies nobody."""
        conditions = " OR ".join(condition for _, condition in self.blocks)
        return f"CASE WHEN {conditions} THEN NULL ELSE {self.standard} END".format(**names)

    def reason(self, names: Mapping[str, str], otherwise: str) -> str:
        """Why a value identifies nobody; ``otherwise`` where no condition of this rule says so."""
        names = {"standard": self.standard.format(**names), **names}
        cases = [
            f"WHEN {condition.format(**names)} THEN {literal(reason)}"
            for reason, condition in (_BLANK, *self.hints, *self.blocks, *self.late)
        ]
        return f"CASE {' '.join(cases)} ELSE {literal(otherwise)} END"

    def blocking(self, conditions: Sequence[tuple[str, str]], *, late: bool) -> Rule:
        """The rule with further reasons and conditions over ``{standard}``."""
        if not conditions:
            return self
        if late:
            return replace(self, late=tuple(conditions))
        steps = {**self.steps, "standard": self.standard}
        blocked = (*self.blocks, *conditions)
        return replace(self, steps=steps, standard="{standard}", blocks=blocked, plain=None)


def rule(one: IdentifierType) -> Rule:
    """The rule of a type, without what the user blocks; see `stated_rules`.

    Raises:
        ConfigError: its ``standardise`` or ``valid`` is no expression over ``value``.
    """
    make = _RULES.get(one.standardise)
    made = make(one) if make else _stated(one)
    return replace(made, blocks=(*made.blocks, _TOO_LONG))


def stated_expressions(one: IdentifierType) -> dict[str, str]:
    """The user's expressions by setting: ``standardise`` over ``{t}``, ``valid`` over ``{standard}``."""
    stated = {}
    if one.standardise not in STANDARDISERS:
        stated["standardise"] = over_value(
            setting(one.name, "standardise"), one.standardise, "t", STANDARDISERS
        )
    if one.valid is not None:
        stated["valid"] = over_value(setting(one.name, "valid"), one.valid, "standard")
    return stated


def _id(one: IdentifierType) -> Rule:
    return Rule({}, "{t}", _placeholder(one, blocks.nobodys_text("{t}")) or (_BLANK,), plain=_PLAIN_ID)


def _lower(one: IdentifierType) -> Rule:
    nobodys = _placeholder(one, blocks.nobodys_text("{t}")) or (_BLANK,)
    return Rule({"value": "lower({t})"}, "{value}", nobodys, plain=_PLAIN_LOWER, tidied=_TIDIED_LOWER)


def _digits(one: IdentifierType) -> Rule:
    digits = f"regexp_replace({phones.ascii_digits('{t}')}, '[^0-9]', '', 'g')"
    nobodys = f"({blocks.nobodys_text('{t}')} OR {blocks.nobodys_text('{digits}')})"
    return Rule({"digits": digits}, "{digits}", (*_placeholder(one, nobodys), ("no digits", "{digits} = ''")))


def _email(one: IdentifierType) -> Rule:
    return replace(_address(one, {}, "{mailbox}", "{value}"), plain=_PLAIN_EMAIL, tidied=_TIDIED_LOWER)


def _email_with_provider_rules(one: IdentifierType) -> Rule:
    return _address(one, mail_providers.STEPS, mail_providers.MAILBOX, mail_providers.ADDRESS)


def _address(one: IdentifierType, further: Mapping[str, str], mailbox: str, standard: str) -> Rule:
    steps = {
        "value": "lower({t})",
        "mailbox": "split_part({value}, '@', 1)",
        "domain": "split_part(split_part({value}, '@', 2), '.', 1)",
        **further,
    }
    nobodys = _placeholder(one, blocks.nobodys_email("{value}", mailbox, "{domain}"))
    hints = _placeholder(one, blocks.nobodys_text("{t}"))
    return Rule(steps, standard, (*nobodys, ("not an e-mail address", _NO_EMAIL)), hints)


def _phone(one: IdentifierType) -> Rule:
    nobodys = blocks.nobodys_phone("{digits}") if one.default_blocks else "replace({digits}, '0', '') = ''"
    no_phone = phones.no_phone("{plain}", "{digits}", one.region)
    return Rule(
        phones.STEPS,
        phones.standard("{bare}", "{digits}", one.region),
        (("not a phone number", no_phone), (PLACEHOLDER, nobodys)),
        _placeholder(one, blocks.nobodys_text("{t}")),
    )


def _stated(one: IdentifierType) -> Rule:
    expression = stated_expressions(one)["standardise"]
    # What is blank or a placeholder never reaches the expression: it need not know what to do with it.
    known = _placeholder(one, f"NOT {blocks.nobodys_text('{t}')}")
    guard = " AND ".join(["{t} <> ''", *(condition for _, condition in known)])
    standard = f"CASE WHEN {guard} THEN nullif(({expression})::VARCHAR, '') END"
    nobodys = _placeholder(one, f"({blocks.nobodys_text('{t}')} OR {blocks.nobodys_text('{form}')})")
    return Rule({"form": standard}, "{form}", (*nobodys, ("without a standard form", "{form} IS NULL")))


_RULES = {
    "id": _id,
    "lower": _lower,
    "digits": _digits,
    "email": _email,
    "email_with_provider_rules": _email_with_provider_rules,
    "phone": _phone,
}


def _placeholder(one: IdentifierType, condition: str) -> tuple[tuple[str, str], ...]:
    return ((PLACEHOLDER, condition),) if one.default_blocks else ()
