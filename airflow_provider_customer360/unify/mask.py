"""Values of customers as they may be shown: enough to recognise one's own test row, not a person."""

from __future__ import annotations

_HIDDEN = "***"


def mask(value: object) -> str:
    """Mask a value: ``a***@example.com``, ``cu***01``, ``A***``; nothing stays nothing."""
    if value is None:
        return ""
    text = str(value)
    mailbox, at, domain = text.partition("@")
    if at and mailbox:
        return f"{mailbox[0]}{_HIDDEN}@{domain}"
    if len(text) >= 8:
        return f"{text[:2]}{_HIDDEN}{text[-2:]}"
    return f"{text[:1]}{_HIDDEN}"


def masked(value: str) -> str:
    """The same in SQL, of a text as SQL; NULL stays NULL."""
    return (
        f"CASE WHEN ({value})[1] <> '@' AND contains({value}, '@') "
        f"THEN ({value})[1] || '{_HIDDEN}' || ({value})[instr({value}, '@'):] "
        f"WHEN length({value}) >= 8 THEN left({value}, 2) || '{_HIDDEN}' || right({value}, 2) "
        f"ELSE left({value}, 1) || '{_HIDDEN}' END"
    )
