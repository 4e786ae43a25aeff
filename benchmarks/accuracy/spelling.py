"""How values end up in a table: spelled in several ways, mistyped, missing, or replaced by something else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

#: What fills a mandatory field and is known as such to most systems.
PLACEHOLDERS = {
    "email": ("n/a", "", "test@test.com", "none@none.com", "noreply@shop.example"),
    "phone": ("n/a", "", "000-0000", "unknown"),
    "id": ("n/a", "", "null"),
}
#: What the clerks of this shop type instead: no list has these.
CLERK_EMAILS = ("asdf@asdf.com", "nomail@shop.example", "a@a.com", "customer@shop.example", "x@gmail.com")
CLERK_PHONES = ("555-123-4567", "201 555 0100", "123-123-1234", "999-999-9998")
_DOMAIN_SLIPS = {"gmail.com": "gmial.com", "hotmail.com": "hotmial.com", "yahoo.com": "yaho.com"}


def mistyped(
    values: np.ndarray, share: float, rng: np.random.Generator, slip: Callable[..., str]
) -> np.ndarray:
    """A share of the texts, each with one slip."""
    values = values.copy()
    for row in np.flatnonzero(rng.random(len(values)) < share).tolist():
        if values[row]:
            values[row] = slip(values[row], rng)
    return values


def slip_of_the_pen(text: str, rng: np.random.Generator) -> str:
    """One letter left out, doubled, exchanged with the next one, or another one."""
    at, kind = int(rng.integers(0, len(text))), int(rng.integers(0, 4))
    before, letter, after = text[:at], text[at], text[at + 1 :]
    if kind == 0 and len(text) > 2:
        return before + after
    if kind == 1:
        return before + letter * 2 + after
    if kind == 2 and after:
        return before + after[0] + letter + after[1:]
    return before + "abcdefghijklmnopqrstuvwxyz"[int(rng.integers(0, 26))] + after


def email_slip(address: str, rng: np.random.Generator) -> str:
    """A slip in the domain or in front of it; what comes out may be another person's address."""
    mailbox, _, domain = address.partition("@")
    if domain in _DOMAIN_SLIPS and rng.random() < 0.4:
        return f"{mailbox}@{_DOMAIN_SLIPS[domain]}"
    return f"{slip_of_the_pen(mailbox, rng)}@{domain}"


def phone_slip(digits: str, rng: np.random.Generator) -> str:
    """One of the last seven digits is another one."""
    at = int(rng.integers(3, len(digits)))
    return digits[:at] + str((int(digits[at]) + int(rng.integers(1, 10))) % 10) + digits[at + 1 :]


def spelled_email(address: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """In capitals, capitalised, with spaces; mostly as it is."""
    form = rng.choice(4, len(address), p=[0.86, 0.03, 0.08, 0.03])
    return _varied(address, form, [None, str.upper, str.capitalize, lambda text: f" {text} "])


def spelled_phone(digits: np.ndarray, national: float, rng: np.random.Generator) -> np.ndarray:
    """Ten North American digits with ``+1`` in five spellings, or as they are said at home."""
    form = rng.choice(5, len(digits), p=[0.4, 0.2, 0.2, 0.1, 0.1])
    form = np.where(rng.random(len(digits)) < national, 5, form)
    spellings: list[Callable[[str], str] | None] = [
        lambda d: f"+1{d}",
        lambda d: f"+1 {d[:3]} {d[3:6]} {d[6:]}",
        lambda d: f"+1 ({d[:3]}) {d[3:6]}-{d[6:]}",
        lambda d: f"001-{d[:3]}-{d[3:6]}-{d[6:]}",
        lambda d: f" +1{d}",
        lambda d: f"({d[:3]}) {d[3:6]}-{d[6:]}",
    ]
    return _varied(digits, form, spellings)


def spelled_id(number: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A number as text, as a spreadsheet makes it, or with a space."""
    form = rng.choice(3, len(number), p=[0.92, 0.05, 0.03])
    return _varied(
        number.astype(str).astype(object), form, [None, lambda text: f"{text}.0", lambda t: f"{t} "]
    )


def spelled_name(name: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """In small letters, in capitals; mostly as it is."""
    form = rng.choice(3, len(name), p=[0.92, 0.05, 0.03])
    return _varied(name, form, [None, str.lower, str.upper])


def replaced(
    values: np.ndarray, share: float, instead: tuple[str, ...], rng: np.random.Generator
) -> np.ndarray:
    """A share of the values replaced, by the first of the others more often than by the last."""
    chance = 1 / np.arange(1, len(instead) + 1)
    others = rng.choice(np.array(instead, dtype=object), len(values), p=chance / chance.sum())
    return np.where(rng.random(len(values)) < share, others, values)


def known(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """The values, None elsewhere."""
    return np.where(where, values, None)


def _varied(values: np.ndarray, form: np.ndarray, spellings: list[Callable[[str], str] | None]) -> np.ndarray:
    values = values.copy()
    for number, spelling in enumerate(spellings):
        if spelling:
            rows = np.flatnonzero(form == number)
            values[rows] = [spelling(text) for text in values[rows].tolist()]
    return values
