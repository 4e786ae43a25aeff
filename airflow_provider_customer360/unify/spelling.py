"""A column's name as words, and as the name of an output column."""

from __future__ import annotations

import re
import unicodedata

from airflow_provider_customer360.unify.vocabulary import GLUED, JOINED, KEPT_DIGITS

#: Email__c, Email__pc, Contact__r.Email
_SALESFORCE_SUFFIX = re.compile(r"__(?:p?c|r)(?=\W|$)", re.IGNORECASE)
_TRAILING_DIGITS = re.compile(r"(.*\D)(\d+)")


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
