"""Values that identify nobody, whoever's data it is: what people and systems write where there is no value.

Each list names what is nobody's beyond doubt; what merely looks odd (``none@example.com`` may be Mr None's,
customer 1111 exists) is left to ``block``, and to ``shared_after`` where many people share it. Compared
without case, always with the whole value.

What the field blocks or refuses, as far as it is documented: Mixpanel refuses anonymous, anon, nil, null,
none, n/a, undefined, unknown, true, false, [], {}, <nil>, -1, 0, the zero UUID and lmy47d (an Android build
number) [docs.mixpanel.com/troubleshooting/errors/server-side-events-without-a-user, and its importer];
Segment suggests zeroes and dashes, and "anonymous" [How to Block Identifier Values in Unify]; RudderStack's
examples exclude blank, unknown and NaN [Profiles, ID types], Treasure Data's blank, N/A and null
[invalid_texts]; Amplitude refuses ids of fewer than five characters, which would be most customer numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from airflow_provider_customer360.unify.expressions import braced
from airflow_provider_customer360.unify.quoting import literal

PLACEHOLDERS = (
    # No value, in the words of people. A surname such as Blank, Empty or Test is not among them.
    *("n/a", "na", "n.a.", "n.a", "n\\a", "none", "none given", "nil", "unknown", "not available"),
    *("not applicable", "not known", "not provided", "not set", "not specified", "no value", "no data"),
    *("no email", "noemail", "no e-mail", "no mail", "no phone", "no id", "tbd", "tba", "tbc"),
    *("unbekannt", "keine angabe", "k.a.", "k. a.", "inconnu", "inconnue", "desconocido", "desconocida"),
    *("sconosciuto", "desconhecido", "onbekend", "n.v.t.", "неизвестно", "不明", "未知"),
    # ... of programs, spreadsheets and database dumps
    *("null", "(null)", "<null>", "[null]", "\\n", "(none)", "<none>", "<nil>", "nan", "<na>", "nat"),
    *("undefined", "(not set)", "(empty)", "(blank)", "<empty>", "<blank>", "{}", "[]", "true", "false"),
    *("#n/a", "#value!", "#ref!", "#null!", "#name?", "#div/0!", "#error!", "#num!"),
    # ... of nobody in particular, or not any more
    *("anonymous", "anon", "guest", "not_authenticated", "deleted", "[deleted]", "redacted", "[redacted]"),
    *("removed", "[removed]", "anonymized", "anonymised", "masked"),
    # Names of the thing instead of the thing, and numbers that stand for "none".
    *("distinct_id", "user_id", "customer_id", "anonymous_id", "device_id", "-1"),
    # Counted up on the keyboard; from nine digits on, nobody's number is this one.
    *("123456789", "1234567890", "0123456789"),
    # Android 2.2 gave this id to every device of some makers; an SDK sent its build number for an id.
    *("9774d56d682e549c", "lmy47d"),
)
# Runs of one character fill a mandatory field ("---", "xxx", "000-0000"), and masks and blank device ids are
# such runs; a run of fewer than eight other digits (customer 777) or a single character is somebody's number.
_RUNS = r"[0[:punct:][:space:]]{2,}|x{2,}|X{2,}|[^\p{L}\p{N}]+|[fF-]{8,}|" + "|".join(
    f"[{digit}-]{{8,}}" for digit in "123456789"
)
# Templates that were sent unrendered: {{email}}, ${email}, %%email%%, *|EMAIL|*, <%= id %>, [object Object].
# A GUID in braces has digits or dashes.
_TEMPLATES = (
    r"\{\{.*\}\}|\$\{.*\}|%%.*%%|\*\|.*\|\*|<%.*%>|\[\[.*\]\]|%[A-Za-z_]{2,}%|\{[A-Za-z_]+\}|\[object \w+\]"
)

# Mailboxes of no single person, as whole local parts: info@, sales@ and the like may be a customer's.
_NOBODYS_MAILBOXES = (
    *("noreply", "no-reply", "no_reply", "no.reply", "donotreply", "do-not-reply", "do_not_reply"),
    *(
        "do.not.reply",
        "noemail",
        "no-email",
        "no_email",
        "no.email",
        "nomail",
        "no-mail",
        "mailer-daemon",
        "test",
    ),
)
# Mailboxes of nobody where the domain has the same name: none@none.com, asdf@asdf.de; not smith@smith.com.
_NOBODYS_TWICE = (
    *(value for value in PLACEHOLDERS if value.isalpha()),
    *("no", "abc", "abcd", "asd", "asdf", "asdfg", "asdfgh", "asdfasdf", "qwe", "qwer", "qwert", "qwerty"),
    *("fake", "email", "mail", "domain", "example", "sample", "dummy", "nobody", "nowhere", "invalid", "123"),
)
_NOBODYS_ADDRESSES = (
    *("no@email.com", "none@email.com", "no@mail.com", "your@email.com", "youremail@email.com"),
    *("user@domain.com", "name@domain.com", "email@domain.com", "your@domain.com", "name@email.com"),
    *("nobody@nowhere.com", "no@where.com", "a@b.com", "a@b.c", "a@b.co", "abc@xyz.com", "123@abc.com"),
)
# The numbers of nobody in any numbering plan that has their length: area codes begin with neither 0 nor 1 in
# North America, and none is 555.
_NOBODYS_PHONES = (
    *("0123456789", "1234567890", "123456789", "12345678", "1234567", "11234567890"),
    *("10000000000", "15555555555", "19999999999"),
)


def nobodys_text(text: str) -> str:
    """The condition that a text, given as an SQL expression, is blank or a placeholder."""
    return _matches(text, f"(?i:|{_any_of(PLACEHOLDERS)})|{_RUNS}|{_TEMPLATES}")


def nobodys_email(address: str, mailbox: str, domain: str) -> str:
    """The condition that an address is nobody's; ``domain`` is the domain's first label."""
    nobodys = _matches(mailbox, _any_of(_NOBODYS_MAILBOXES))
    return (
        f"({nobodys} OR {_matches(address, _any_of(_NOBODYS_ADDRESSES))} OR ({mailbox} = {domain} "
        f"AND ({_matches(mailbox, _any_of(_NOBODYS_TWICE))} OR replace({mailbox}, {mailbox}[1], '') = '')))"
    )


def nobodys_phone(digits: str) -> str:
    """The condition that the digits of a phone are nobody's."""
    return (
        f"({_matches(digits, _any_of(_NOBODYS_PHONES) + '|.*0{9}')} "
        f"OR replace({digits}, {digits}[1], '') = '')"
    )


def pattern(expression: str) -> str:
    """A regular expression as an SQL literal in a template for `str.format`."""
    return braced(literal(expression))


def _matches(text: str, expression: str) -> str:
    # One automaton: a list of a hundred texts in IN (...) takes twice as long.
    return f"regexp_full_match({text}, {pattern(expression)})"


def _any_of(texts: Iterable[str]) -> str:
    return "|".join(re.escape(text) for text in texts)
