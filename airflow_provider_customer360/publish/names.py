"""Names in the target: changed where the database limits them."""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from airflow_provider_customer360.database.tables import Table
from airflow_provider_customer360.unify.errors import ConfigError

_LOWER_ASCII = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


@dataclass(frozen=True, kw_only=True)
class NameRules:
    """What a database takes as the name of a column or table.

    Attributes:
        folds: the letters of which it ignores the case, when it compares names of columns.
        bytes: the most that a name has, in UTF-8.
        characters: the most that a name has.
        refused: pattern of what a name may not have; empty for nothing.
        allowed: all of that in words, for errors.
    """

    folds: Literal["ascii", "all", "none"] = "ascii"
    bytes: int | None = None
    characters: int | None = None
    refused: str = ""
    allowed: str = ""

    def fold(self, name: str) -> str:
        """What the database compares."""
        if self.folds == "all":
            # Each letter by itself: MySQL knows no special cases such as the final sigma.
            return "".join(letter.lower()[0] for letter in name)
        return name.translate(_LOWER_ASCII) if self.folds == "ascii" else name

    def allow(self, name: str) -> bool:
        """Whether a name may stay as it is."""
        return self._clean(name) == name == self._cut(name, 0)

    def another(self, name: str, attempt: int) -> str:
        """A name that the database takes, the same for the same name in every run."""
        digest = hashlib.sha256((name + "\0" * attempt).encode()).hexdigest()[:8]
        return f"{self._cut(self._clean(name), 9)}_{digest}"

    def _clean(self, name: str) -> str:
        return re.sub(self.refused, "", name) if self.refused else name

    def _cut(self, name: str, room: int) -> str:
        """The beginning of a name that leaves room for some ASCII characters."""
        cut = name[: self.characters - room] if self.characters else name
        return cut.encode()[: self.bytes - room].decode(errors="ignore") if self.bytes else cut


def check_name(table: Table, rules: NameRules, database: str) -> None:
    """Refuse what the database would change or refuse: a table has the name that somebody looks for.

    Raises:
        ConfigError: the schema or the table cannot have this name.
    """
    for part in (table.schema, table.name):
        if part and not rules.allow(part):
            size = f" of {len(part.encode())} bytes" if rules.bytes else ""
            allowed = rules.allowed or str(rules.bytes)
            raise ConfigError(
                f"target_table has the name {part!r}{size}; {database} allows {allowed}. Give target_table "
                "another one."
            )


def column_names(names: Sequence[str], rules: NameRules) -> list[str]:
    """The name of each column in the table: its own, or another where that is not allowed or clashes.

    The result depends on the set of names, not on their order, so that a column keeps its name from run
    to run. Of names that differ only by case, the lower-case one stays as it is.
    """
    taken: dict[str, str] = {}
    for name in sorted(filter(rules.allow, names), reverse=True):
        taken.setdefault(rules.fold(name), name)
    result = {name: name for name in taken.values()}
    for name in sorted(set(names) - result.keys()):
        attempt = 0
        while rules.fold(other := rules.another(name, attempt)) in taken:
            attempt += 1
        taken[rules.fold(other)] = name
        result[name] = other
    return [result[name] for name in names]
