"""What a column's name alone says about it; whether the values agree is checked elsewhere.

The word lists are the rules: a column is judged by its whole words, so ``paid`` and ``width`` are no ids
and ``email_verified`` is no e-mail address. Whatever no rule names is left to its values.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from airflow_provider_customer360.unify.schema import Role


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


# The words that name a customer. With a key word, the first two rows are one type across sources.
CUSTOMERS = _set("customer cust shopper buyer consumer")
USERS = _set("user")
#: All others make an identifier type of its own, named as the column (``contact_id``).
PERSONS = CUSTOMERS | _set("""
    user client contact lead member person subscriber visitor profile requester requestor patient
    guest recipient payer donor student passenger traveler traveller player viewer respondent
    attendee registrant applicant participant patron policyholder cardholder individual who loyalty
    membership passport anonymous pseudo distinct cookie device advertising
""")
#: Identifiers in one word.
OWN_KEYS = _set("vid ssn leid euid idfa idfv gaid aaid")
BARE_PERSONS = {"customer": "customer_id", "user": "user_id", "uid": "user_id"}

# Other people and things. An organisation's word counts unless a person's word follows it.
OTHERS = _set("""
    owner assignee assigned agent rep representative manager staff employee admin administrator
    seller vendor supplier merchant sales support salesperson submitter creator author editor
    approver operator cashier clerk driver courier referrer referral referred referring inviter
    parent guardian reports assistant spouse emergency beneficiary by
""")
ORGANISATIONS = _set("""
    account company organization organisation org store shop brand branch group team department
    workspace tenant partner site
""")

# Keys: they count only at the end of a name (``order_number`` is a key, ``number_of_orders`` a count).
FULL_KEYS = _set("id pk key uuid guid gid oid uid identifier ids")
NUMBER_KEYS = _set("no nr num number")
PERSON_KEYS = _set("code ref reference")  # a key of a person, but `country_code` is an attribute
KEYS = FULL_KEYS | NUMBER_KEYS | PERSON_KEYS
#: With nothing but these before it, an id is bare: it depends on the table whose key it is.
BARE_FILLERS = _set("record object row external internal legacy unique primary global")
#: Numbered, but not keys: ``house_number``, ``week_no``.
PLAIN_NUMBERED = _set("""
    phone telephone mobile house street building floor room apartment fax page line row version year
    month week day
""")
THING_WORDS = _set("sku upc ean gtin isbn asin barcode")
THING_ENDINGS = (("payment", "intent"), ("balance", "transaction"))
SECRETS = _set("password passwd pwd secret token")

#: `has_opted_out_of_fax` is yes or no.
FLAGS = _set("is has had was can")

# Addresses: what may follow the word, and what in front of it makes the column a statement about it.
PHONES = _set("phone telephone tel mobile cell cellphone msisdn whatsapp")
QUALIFIERS = _set("""
    home work personal business primary secondary main other alt alternate alternative private
    office default current normalized normalised formatted clean raw lower value
""")
AFTER_EMAIL = QUALIFIERS | _set("email address addr id")
AFTER_PHONE = QUALIFIERS | PHONES | NUMBER_KEYS | _set("e164")
STATEMENTS = FLAGS | _set("""
    no not do dont verified unverified valid confirmed opted opt allow allows allowed accept accepts
    send receive receives subscribed unsubscribed marked shared last first next num number count
    total of via bounced opened sent clicked wants device os push browser fax
""")
HASHES = _set("hash hashed md5 sha1 sha256 sha512")

# Event times, the best first: `<word> at`, `<word> date`, `date <word>`, ...; "" is the form by itself.
TIME_FORMS = _set("at on date datetime time timestamp ts dt modstamp")
TIMES = (
    ("occurred", "event", "occurrence", "happened", "visit", "activity", ""),
    ("last seen", "last activity", "last active", "last login", "last visit", "last request"),
    (
        *("order", "ordered", "purchase", "purchased", "transaction", "booking", "booked", "placed", "paid"),
        *("payment", "original", "processed", "submitted", "received", "sent"),
    ),
    ("created", "create", "creation", "signup", "signed up", "registered", "registration", "joined", "optin"),
    ("updated", "update", "last updated", "modified", "last modified", "last changed", "changed", "system"),
)
#: These need no form word: Stripe's `created`.
FORMLESS_TIMES = (*TIMES[1][:4], "created", "signup", "updated", "modified", "last modified", "last changed")
TIME_PREFIXES = _set("record row order ticket event")
TIME_RANKS = {subject: (tier, place) for tier, row in enumerate(TIMES) for place, subject in enumerate(row)}

# Numbers that no sum makes sense of: a word anywhere, at the start, at the end of the name.
NOT_SUMMED = _set("""
    avg average mean median percent pct percentage percentile ratio per unit compare latitude
    longitude lat lng lon zip zipcode postcode postal age since probability likelihood propensity
    offset coordinate coordinates gmtoff dstoff timezone birth birthdate birthday dob nps csat
""")
NOT_SUMMED_FIRST = _set("next previous min max minimum maximum")
CALENDAR = _set("year month week day hour minute quarter weekday")
NOT_SUMMED_LAST = _set("""
    rate score rating rank ranking position index version level tier stage grade priority date
    datetime timestamp ts dt at start end status type category class gender sex last4 digits fax
    extension ext sequence seq zone tenure anchor
""")
#: `spend_last_month` is an amount, `exp_month` a calendar part.
PERIODS = _set("last this past prior current")

# Spelling.
#: Said by the export, not about the column: `properties.email`, HubSpot's `hs_createdate`.
CONTAINERS = _set("properties traits attributes fields data payload context hs")
KEPT_DIGITS = HASHES | _set("last4 e164 ga4 ipv4 ipv6")
JOINED = {("e", "mail"): "email", ("date", "time"): "datetime", ("time", "stamp"): "timestamp"}
_GLUE = (
    (" ".join(PERSONS), "id no num number key code uuid guid email phone"),
    ("order product session event transaction invoice ticket account company item owner", "id no number key"),
    ("email mail", "address"),
    ("first last middle full", "name"),
    ("phone telephone mobile", "number no"),
    ("mobile home work cell business", "phone"),
    ("create created modified update updated close closed order event", "date time"),
    ("zip postal", "code"),
    *(("job", "title"), ("lifecycle", "stage"), ("hubspot", "score")),
)
#: ``customerid``: the first words times the second ones, and a few by hand.
GLUED = {a + b: (a, b) for left, right in _GLUE for a in left.split() for b in right.split()} | {
    "lastmodifieddate": ("last", "modified", "date"),
    "dateofbirth": ("date", "of", "birth"),
    "associatedcompanyid": ("associated", "company", "id"),
}
#: Email__c, Email__pc, Contact__r.Email
_SALESFORCE_SUFFIX = re.compile(r"__(?:p?c|r)(?=\W|$)", re.IGNORECASE)
_TRAILING_DIGITS = re.compile(r"(.*\D)(\d+)")


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


def words(name: str) -> tuple[str, ...]:
    """The lower-case words of a column name: ``customerEmail``, ``E-Mail``, ``custno``, ``phone2``."""
    text = unicodedata.normalize("NFKC", _SALESFORCE_SUFFIX.sub(" ", name))
    found: list[str] = []
    for hump in _humps("".join(c if _is_word_character(c) else " " for c in text)).split():
        word = unicodedata.normalize("NFKC", hump.lower())
        numbered = None if word in KEPT_DIGITS else _TRAILING_DIGITS.fullmatch(word)
        head, *digits = numbered.groups() if numbered else (word,)
        for part in (*GLUED.get(head, (head,)), *digits):
            joined = JOINED.get((found[-1], part)) if found else None
            found[-1:] = [joined] if joined else [*found[-1:], part]
    return tuple(found)


def _humps(text: str) -> str:
    """A space before each hump: ``userId``, ``HTTPUser``; the plural of an acronym (``IDs``) is one word."""
    spaced = ""
    for place, char in enumerate(text):
        if _is_upper(char) and place and text[place - 1] != " ":
            after = text[place + 1 : place + 3]
            plural = after[:1] == "s" and (after[1:] in ("", " ") or _is_upper(after[1:]))
            begins_word = after[:1].isalpha() and not _is_upper(after[0]) and not plural
            if begins_word or not _is_upper(text[place - 1]):
                spaced += " "
        spaced += char
    return spaced


def _is_word_character(char: str) -> bool:
    # Python's own notion keeps letters, digits and vowel signs of all scripts; "_" and the like separate.
    return f"_{char}".isidentifier() and not unicodedata.category(char).startswith("P")


def _is_upper(char: str) -> bool:
    return char != char.lower()


def canonical(name: str) -> str:
    """The name of the output column: snake case, a letter first, never empty."""
    joined = "_".join(words(name)) or "column"
    return joined if joined[0].isidentifier() else f"n_{joined}"


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
