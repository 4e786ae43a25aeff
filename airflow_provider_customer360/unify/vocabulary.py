"""The words that column names are judged by: data, so that a rule is read and changed in one place.

A column is judged by its whole words, so ``paid`` and ``width`` are no ids and ``email_verified`` is no
e-mail address. Whatever no list names is left to its values.
"""

from __future__ import annotations


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
        *("payment", "original", "processed", "submitted", "received", "sent", "opened"),
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
