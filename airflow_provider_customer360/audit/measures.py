"""What is counted of profiles: one query for those that are staged and one for the live table."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

from airflow_provider_customer360.unify.errors import ConfigError, PublishError, TransientError
from airflow_provider_customer360.unify.quoting import quoted
from airflow_provider_customer360.unify.spelling import canonical


class Audited(Protocol):
    """Profiles about to be published and the table as it is; other publishers wait meanwhile.

    Attributes:
        columns: of the profiles, as they are called in the table.
        live_columns: of the table, as far as publishing writes them: without generated ones. None: there is
            no table.
        without_rows: what ``live`` lacks where there is a table and it has no rows, in words.
        nested_with: what a WITH inside of a subquery defines may read ``profiles`` and ``live``; not so in
            MariaDB.
    """

    @property
    def columns(self) -> tuple[str, ...]: ...

    @property
    def live_columns(self) -> tuple[str, ...] | None: ...

    @property
    def without_rows(self) -> str: ...

    @property
    def nested_with(self) -> bool: ...

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Run a SELECT over ``profiles`` and ``live``: what follows on ``WITH profiles AS (…), live AS (…)``.

        Without a table, ``live`` has the columns of the profiles and no row. A percent sign or colon in the
        query is one.

        Raises:
            PublishError: the database refuses; the message has no values.
        """


@dataclass(frozen=True)
class Measures:
    """What was counted, as far as it was asked for and the columns are there.

    Attributes:
        customers: rows.
        counts: by the names of `COLUMNS`.
        filled: column, as it was asked for, to the number of its values that are not null.
    """

    customers: int
    counts: Mapping[str, int]
    filled: Mapping[str, int]

    def share(self, number: int | None) -> Fraction | None:
        """A number of customers as a part of all; of nobody, 0."""
        return None if number is None else Fraction(number, self.customers or 1)


#: Customers who are active, customers whom several sources know, records of the largest customer: counted by
#: which column.
COLUMNS = {"active": "is_active", "matched": "data_sources", "largest": "total_records"}
_AGGREGATES = {
    # Not sum(): it is null without rows, and a decimal in MySQL.
    "active": "count(CASE WHEN {} THEN 1 END)",
    "matched": "count(CASE WHEN {} > 1 THEN 1 END)",
    "largest": "max({})",
}


def measure(
    audited: Audited, relation: str, columns: Sequence[str], counts: Collection[str], filled: Collection[str]
) -> Measures:
    """Count ``profiles`` or ``live``, in one pass.

    Raises:
        ConfigError: the database cannot count that.
    """
    counted = {name: find(COLUMNS[name], columns) for name in counts}
    sought = {name: find(name, columns) for name in filled}
    aggregates = [_AGGREGATES[name].format(quoted(column)) for name, column in counted.items() if column]
    aggregates += [f"count({quoted(column)})" for column in sought.values() if column]
    query = f"SELECT {', '.join(['count(*)', *aggregates])} FROM {relation}"
    advice = "Are these columns of the types that profiles have?"
    [(customers, *rest)] = asked(audited, query, f"The checks cannot count {relation}", advice)
    numbers = iter(int(number or 0) for number in rest)
    return Measures(
        int(customers),
        {name: next(numbers) for name, column in counted.items() if column},
        {name: next(numbers) for name, column in sought.items() if column},
    )


def find(name: str, columns: Collection[str]) -> str | None:
    """The column that somebody means: of that very name, or else of that name in another spelling."""
    if name in columns:
        return name
    alike = [column for column in columns if canonical(column) == canonical(name)]
    return alike[0] if len(alike) == 1 else None


def asked(audited: Audited, query: str, subject: str, advice: str) -> list[tuple[Any, ...]]:
    """Run a query.

    Raises:
        ConfigError: the database refuses; told with subject and advice.
        TransientError: it fails in a way that passes by itself.
    """
    try:
        return audited.rows(query)
    except TransientError:
        raise
    except PublishError as error:
        raise ConfigError(f"{subject}: {error} {advice}") from error
