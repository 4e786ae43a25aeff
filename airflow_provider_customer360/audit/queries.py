"""The user's own SQL, wrapped so that nothing of it comes out but the number of its rows."""

from __future__ import annotations

import re

from airflow_provider_customer360.audit.measures import Audited, asked
from airflow_provider_customer360.unify.errors import ConfigError

#: What may follow the semicolon: blanks, semicolons and comments.
_REST = re.compile(r"(?:[\s;]|--[^\n]*|/\*(?:[^*]|\*(?!/))*\*/)*+")


def count_rows(audited: Audited, title: str, query: str) -> int:
    """The number of rows that a user's query returns.

    Raises:
        ConfigError: it is not one SELECT, or the database refuses it.
    """
    subject = f"checks['no_rows'][{title!r}] cannot be run"
    advice = (
        "Give one SELECT over profiles and live, in the SQL of the target database, each column with its own "
        "name, in double quotes where the database would turn it into upper case."
    )
    [(number,)] = asked(audited, _counted(audited, _select(title, query)), subject, advice)
    return int(number)


def _select(title: str, query: str) -> str:
    # Without a semicolon there is no second statement, whatever else is in the text. That needs no parser,
    # which would have to know the quotes and comments of each database.
    select, _, rest = query.partition(";")
    if not select.strip() or not _REST.fullmatch(rest):
        found = "has a semicolon that is not its end" if select.strip() else "is empty"
        raise ConfigError(
            f"checks['no_rows'][{title!r}] {found}; give one SELECT, without semicolons in its comments, and "
            "write one inside of text as chr(59) or char(59)."
        )
    return select


def _counted(audited: Audited, select: str) -> str:
    # It may end with a comment: a new line ends one kind, and /**/ the other, which some databases let end
    # with the text. Without AS, which Oracle refuses before the name.
    select = f"(\n{select}\n/**/)"
    if audited.nested_with:
        return f"SELECT count(*) FROM {select} violations"
    # Not so where the database knows WITH … AS (DELETE …), which it refuses in a subquery only.
    return f", violations AS {select} SELECT count(*) FROM violations"
