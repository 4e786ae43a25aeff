"""What a column's name alone says about it; whether the values agree is checked elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_customer360.unify.schema import Role
from airflow_provider_customer360.unify.spelling import canonical, words
from airflow_provider_customer360.unify.vocabulary import (
    AFTER_EMAIL,
    AFTER_PHONE,
    BARE_FILLERS,
    BARE_PERSONS,
    CALENDAR,
    CONTAINERS,
    CUSTOMERS,
    FLAGS,
    FORMLESS_TIMES,
    FULL_KEYS,
    HASHES,
    KEYS,
    NOT_SUMMED,
    NOT_SUMMED_FIRST,
    NOT_SUMMED_LAST,
    NUMBER_KEYS,
    ORGANISATIONS,
    OTHERS,
    OWN_KEYS,
    PERIODS,
    PERSON_KEYS,
    PERSONS,
    PHONES,
    PLAIN_NUMBERED,
    SECRETS,
    STATEMENTS,
    THING_ENDINGS,
    THING_WORDS,
    TIME_FORMS,
    TIME_PREFIXES,
    TIME_RANKS,
    TIMES,
    USERS,
)


@dataclass(frozen=True, kw_only=True)
class NameVerdict:
    """What the name says.

    Attributes:
        role: identifier, event time or ignored; None where the values decide (metric or attribute).
        identifier_type: the namespace of an identifier's values.
        reason: one short sentence for the log.
        bare_id: an ``id`` that may or may not be the customer's; the table decides.
        additive: False where numbers in this column must never be summed.
        time_rank: of an event time candidate; the lower, the better.
    """

    role: Role | None = None
    identifier_type: str | None = None
    reason: str = "the name says nothing, the values decide"
    bare_id: bool = False
    additive: bool = True
    time_rank: int | None = None


def classify(name: str) -> NameVerdict:
    """What the column's name alone says."""
    found = words(name)
    while len(found) > 1 and found[0] in CONTAINERS:
        found = found[1:]
    while len(found) > 1 and found[-1].isdecimal():  # phone_2 is a phone
        found = found[:-1]
    if not found:
        return NameVerdict()
    return _address(found) or _time(found) or _key(found) or _number(found)


def _address(found: tuple[str, ...]) -> NameVerdict | None:
    """An e-mail address or phone number, or the hash of one."""
    plain = tuple(word for word in found if word not in HASHES)
    if _is_email(plain):
        kind, what = "email", "an e-mail address"
    elif _is_about(plain, PHONES, AFTER_PHONE):
        kind, what = "phone", "a phone number"
    else:
        return None
    for place, word in enumerate(plain):
        if word in OTHERS:
            return _ignored(f"belongs to somebody else ({word})")
        if word in ORGANISATIONS and PERSONS.isdisjoint(plain[place:]):
            return _ignored(f"belongs to an organisation ({word})")
    if plain != found:
        return _identifier("_".join(found), f"named like a hash of {what}")
    return _identifier(kind, f"named like {what}")


def _is_email(found: tuple[str, ...]) -> bool:
    if found.count("mail") == 1:  # `direct_mail` and `mail_count` are none
        return set(found) <= PERSONS | AFTER_EMAIL | {"mail"}
    return _is_about(found, frozenset({"email"}), AFTER_EMAIL)


def _is_about(found: tuple[str, ...], marks: frozenset[str], after: frozenset[str]) -> bool:
    place = next((place for place, word in enumerate(found) if word in marks), None)
    return place is not None and STATEMENTS.isdisjoint(found[:place]) and after.issuperset(found[place + 1 :])


def _key(found: tuple[str, ...]) -> NameVerdict | None:
    """The key of a customer, of somebody else or of a thing; or a bare id."""
    if len(found) == 1 and found[0] in BARE_PERSONS:
        return _identifier(BARE_PERSONS[found[0]], f"named like a {BARE_PERSONS[found[0]].replace('_', ' ')}")
    if len(found) == 1 and found[0] in OWN_KEYS:
        return _identifier(found[0], "named like a person's key of its own kind")
    if found[-1] in THING_WORDS or found[-2:] in THING_ENDINGS:
        return _thing("product" if found[-1] in THING_WORDS else " ".join(found[-2:]))
    if found[-1] in SECRETS or (found[-1] in HASHES and not SECRETS.isdisjoint(found)):
        return _ignored("named like a password or token")
    stem = found
    while stem and stem[-1] in KEYS:
        stem = stem[:-1]
    tail = frozenset(found[len(stem) :])
    if not tail:
        return None
    if "ids" not in tail and BARE_FILLERS.issuperset(stem) and not FULL_KEYS.isdisjoint(tail):
        return NameVerdict(bare_id=True, additive=False, reason="a bare id: depends on the table")
    if not stem:
        return None
    for word in stem:
        if word in OTHERS:
            return _ignored(f"belongs to somebody else ({word})")
    if "ids" in tail:
        return _ignored("a list of keys")
    if stem[-1] in PERSONS:  # the last word counts: customer_group_id is the key of a group
        standard = "customer" if stem[-1] in CUSTOMERS else "user" if stem[-1] in USERS else None
        if standard and len(stem) == 1:
            return _identifier(f"{standard}_id", f"named like a {standard} id")
        return _identifier("_".join(found), "named like a person's key of its own kind")
    if tail <= PERSON_KEYS or (tail <= NUMBER_KEYS and stem[-1] in PLAIN_NUMBERED):
        return None
    return _thing(next((word for word in reversed(stem) if not word.isdecimal()), stem[-1]))


def _time(found: tuple[str, ...]) -> NameVerdict | None:
    """A candidate for the time at which a record happened."""
    while len(found) > 1 and found[-1] in ("utc", "gmt"):
        found = found[:-1]
    form, subject = "", found
    if found[-1] in TIME_FORMS:
        form, subject = found[-1], found[:-1]
    elif found[0] in ("date", "time", "datetime", "timestamp"):
        form, subject = found[0], found[2:] if found[1:2] == ("of",) else found[1:]
    about_person = len(subject) > 1 and subject[0] in PERSONS | {"account"}
    if len(subject) > 1 and (about_person or subject[0] in TIME_PREFIXES):
        subject = subject[1:]
    spoken = " ".join(subject)
    if spoken not in TIME_RANKS or (not spoken and form in ("at", "on", "modstamp", "dt")):
        return None
    if not form and spoken not in FORMLESS_TIMES:
        return None
    tier, place = TIME_RANKS[spoken]
    # `customer_created_at` in a table of orders is about the customer: the last resort.
    rank = (len(TIMES) if about_person else tier) * 100 + place * 2 + (form == "date")
    reason = "named like the time of the record"
    return NameVerdict(role=Role.EVENT_TIME, time_rank=rank, additive=False, reason=reason)


def _number(found: tuple[str, ...]) -> NameVerdict:
    """Whether numbers of this name may be summed."""
    if found[0] in FLAGS:
        return NameVerdict()
    period = found[-1] in CALENDAR and len(found) > 1 and (found[-2] in PERIODS or found[-2].isdecimal())
    word = next((word for word in found if word in NOT_SUMMED), None)
    if word is None and found[0] in NOT_SUMMED_FIRST:
        word = found[0]
    if word is None and found[-1] in NOT_SUMMED_LAST | KEYS | CALENDAR and not period:
        word = found[-1]
    return NameVerdict() if word is None else NameVerdict(additive=False, reason=f"never summed ({word})")


def _identifier(kind: str, reason: str) -> NameVerdict:
    # Not additive: where the values turn out to be no identifiers, they are still no amounts.
    return NameVerdict(role=Role.IDENTIFIER, identifier_type=canonical(kind), additive=False, reason=reason)


def _ignored(reason: str) -> NameVerdict:
    return NameVerdict(role=Role.IGNORED, additive=False, reason=reason)


def _thing(thing: str) -> NameVerdict:
    article = "an" if thing[0] in "aeiou" else "a"
    return _ignored(f"key of {article} {thing}, not of a customer")
