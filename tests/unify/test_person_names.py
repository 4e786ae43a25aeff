"""Initials are the same for most spellings of one name, and are not taken from what is no person's name."""

from __future__ import annotations

import pytest

from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.person_names import knows_names, with_initials
from airflow_provider_customer360.unify.quoting import literal
from airflow_provider_customer360.unify.schema import ColumnPlan, Role, SourcePlan


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


def source(**row: str | None) -> SourcePlan:
    """A source of one row, given its columns' values by name."""
    values = ", ".join(
        f"{'NULL' if value is None else literal(value)}::VARCHAR AS c{n}"
        for n, value in enumerate(row.values())
    )
    columns = (
        ColumnPlan(name, f"c{n}", "VARCHAR", Role.ATTRIBUTE, "", output=name) for n, name in enumerate(row)
    )
    return SourcePlan("crm", "crm", f"(SELECT {values})", 1, tuple(columns))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"full_name": "Ana Silva"}, "as"),
        ({"full_name": "SILVA, Ana"}, "as"),
        ({"full_name": "A. Silva"}, "as"),
        ({"full_name": "Mrs. Ana de Silva PhD"}, "as"),
        ({"full_name": "\u00c9lodie \u00d6zt\u00fcrk"}, "eo"),
        ({"full_name": "Ana"}, None),
        ({"full_name": "Dr Silva"}, None),
        ({"full_name": "Guest User"}, None),
        ({"full_name": "\u738b \u660e"}, None),
        ({"full_name": ""}, None),
        ({"full_name": None}, None),
        ({"first_name": "Ana", "last_name": "Silva"}, "as"),
        ({"first_name": " zo\u00e9 ", "last_name": "ADAMS"}, "az"),
        ({"first_name": "Ana", "last_name": "Adams"}, "aa"),
        ({"first_name": "Ana", "last_name": None}, None),
        ({"first_name": None, "last_name": "Silva"}, None),
        ({"first_name": "Test", "last_name": "Silva"}, None),
        # First and last say more than a full one, a full one more than either, a last one more than a first.
        ({"full_name": "Bob Miller", "first_name": "Ana", "last_name": "Silva"}, "as"),
        ({"full_name": "Bob Miller", "last_name": "Silva"}, "bm"),
        ({"last_name": "Silva"}, "_s"),
        ({"first_name": "Ana"}, "a_"),
    ],
)
def test_initials(engine: Engine, row: dict[str, str | None], expected: str | None) -> None:
    """Of first and last name in alphabetical order; one that is unknown is not guessed."""
    given = source(**row)
    assert knows_names(given)
    assert engine.row(f"SELECT initials FROM {with_initials(given)}") == (expected,)


def test_a_source_without_names_is_read_as_it_is() -> None:
    """Nothing is added, so that nothing is grouped by it."""
    given = source(product_name="Chair", email="a@b.de")
    assert not knows_names(given)
    assert with_initials(given) == given.relation
