"""Names in the target: shortened where the database limits them."""

from __future__ import annotations

import hashlib
import string
from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow_provider_customer360.database.tables import Table
from airflow_provider_customer360.unify.errors import ConfigError

if TYPE_CHECKING:
    from airflow_provider_customer360.publish.dialect import Dialect

_LOWER_ASCII = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def check_length(table: Table, dialect: Dialect) -> None:
    """Refuse what the database would cut off: a table has the name that somebody looks for.

    Raises:
        ConfigError: the schema's or the table's name is too long.
    """
    limit = dialect.max_name_bytes
    for part in (table.schema, table.name):
        if part and limit and len(part.encode()) > limit:
            raise ConfigError(
                f"target_table has the name {part!r} of {len(part.encode())} bytes; {dialect.name} allows "
                f"{limit}. Give target_table a shorter one."
            )


def fold(name: str, folds_case: bool) -> str:
    """What a database compares: databases that ignore case do so for ASCII letters only."""
    return name.translate(_LOWER_ASCII) if folds_case else name


def column_names(names: Sequence[str], *, max_bytes: int | None, folds_case: bool) -> list[str]:
    """The name of each column in the table: its own, shortened where it is too long or clashes.

    The result depends on the set of names, not on their order, so that a column keeps its name from run
    to run. Of names that differ only by case, the lower-case one stays as it is.
    """
    taken: dict[str, str] = {}
    fitting = sorted(
        (name for name in names if max_bytes is None or len(name.encode()) <= max_bytes), reverse=True
    )
    for name in fitting:
        taken.setdefault(fold(name, folds_case), name)
    result = {name: name for name in taken.values()}
    for name in sorted(set(names) - result.keys()):
        attempt = 0
        while fold(short := _shortened(name, attempt, max_bytes), folds_case) in taken:
            attempt += 1
        taken[fold(short, folds_case)] = name
        result[name] = short
    return [result[name] for name in names]


def _shortened(name: str, attempt: int, max_bytes: int | None) -> str:
    digest = hashlib.sha256((name + "\0" * attempt).encode()).hexdigest()[:8]
    prefix = name.encode()[: max_bytes - 9 if max_bytes else None].decode(errors="ignore")
    return f"{prefix}_{digest}"
