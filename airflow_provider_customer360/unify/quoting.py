"""Names and texts in SQL: the only place that makes them safe."""

from __future__ import annotations

from airflow_provider_customer360.unify.errors import ConfigError


def quoted(name: str) -> str:
    """Make any name an SQL identifier.

    Raises:
        ConfigError: the name is empty, has a NUL character or is not valid Unicode.
    """
    if not name or "\0" in name or any("\ud800" <= character <= "\udfff" for character in name):
        raise ConfigError(
            f"{name!r} cannot be the name of a table or column; a name has at least one character, no "
            "NUL and no half of a surrogate pair."
        )
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"
