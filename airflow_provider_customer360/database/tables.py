"""Names of tables as users write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_customer360.unify.errors import ConfigError
from airflow_provider_customer360.unify.quoting import quoted

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook

_PART = r'(?:"(?:[^"]|"")+"|[^".]+)'
_TABLE = re.compile(rf"({_PART})(?:\.({_PART}))?", re.DOTALL)


#: Connection types whose databases quote names otherwise than the standard does.
_QUOTES = {"mysql": "`"}


@dataclass(frozen=True)
class Table:
    """A table's name and, where it was stated, its schema."""

    schema: str | None
    name: str

    @property
    def quoted(self) -> str:
        """The name as SQL."""
        return ".".join(quoted(part) for part in (self.schema, self.name) if part is not None)

    def quoted_for(self, hook: DbApiHook) -> str:
        """The name as SQL for a session of the hook that nobody has told to take double quotes."""
        quote = _QUOTES.get(str(getattr(hook, "conn_type", None)), '"')
        parts = [part for part in (self.schema, self.name) if part is not None]
        return ".".join(quote + part.replace(quote, quote * 2) + quote for part in parts)

    def __str__(self) -> str:
        return self.name if self.schema is None else f"{self.schema}.{self.name}"


def parse_table(text: str, setting: str = "target_table") -> Table:
    """Read ``name`` or ``schema.name``; a part in double quotes may hold dots and doubled quotes.

    Args:
        text: what a user wrote.
        setting: where, for errors.

    Raises:
        ConfigError: the text is neither.
    """
    match = _TABLE.fullmatch(text) if isinstance(text, str) else None
    parts = [_unquoted(part) for part in match.groups() if part is not None] if match else []
    if not all(parts) or not parts:
        raise ConfigError(
            f"{setting} is {text!r}; give 'name' or 'schema.name', and put a part that has a dot in "
            "double quotes, such as '\"my.table\"'."
        )
    for part in parts:
        quoted(part)  # refuses what no database accepts
    return Table(parts[0] if len(parts) == 2 else None, parts[-1])


def side_table(target: str, suffix: str) -> str:
    """The table that belongs to a target, in the target's schema: ``shop.customers_identities``.

    Args:
        target: as `parse_table` reads it.
        suffix: put behind the target's name.

    Returns:
        The name as `parse_table` reads it, in double quotes only where it needs them.

    Raises:
        ConfigError: the target names no table.
    """
    table = parse_table(target)
    parts = (table.schema, table.name + suffix)
    return ".".join(_written(part) for part in parts if part is not None)


def _written(part: str) -> str:
    plain = part == part.strip() and not set(part) & {".", '"'}
    return part if plain else quoted(part)


def _unquoted(part: str) -> str:
    return part[1:-1].replace('""', '"') if part.startswith('"') else part.strip()
