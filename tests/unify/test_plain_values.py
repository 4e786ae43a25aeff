"""What most identifiers look like takes a look or two; these say what all the others say together."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_customer360.unify import blocks
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.identifier_types import identifier_type
from airflow_provider_customer360.unify.quoting import literal
from airflow_provider_customer360.unify.rules import Rule, rule
from airflow_provider_customer360.unify.standardise import RawColumn, standardise

KINDS = ("id", "lower", "email")
RULES = {kind: rule(replace(identifier_type("user_id"), standardise=kind)) for kind in KINDS}


def outcomes(engine: Engine, made: Rule, values: list[str]) -> list[tuple[str | None, str | None]]:
    """Standard forms and what was blocked, in the order of the values."""
    rows = ", ".join(f"({n}, {literal(value)})" for n, value in enumerate(values))
    query = standardise(f"SELECT * FROM (VALUES {rows}) AS given(n, c0)", [RawColumn(made, "c0", "VARCHAR")])
    return [(row[0], row[1]) for row in engine.rows(f"SELECT id_0, blocked_0 FROM ({query}) ORDER BY n")]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_plain_values_are_their_own_standard_form(engine: Engine, kind: str, data: st.DataObject) -> None:
    """Whatever is plain comes out as it went in, and so it does on the long way."""
    made = RULES[kind]
    assert made.plain
    values = data.draw(st.lists(st.from_regex(made.plain, fullmatch=True), min_size=1, max_size=30))
    slowly = outcomes(engine, replace(made, plain=None), values)
    assert outcomes(engine, made, values) == slowly
    assert slowly == [(value, None) for value in values]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(
        st.text(max_size=12) | st.text("a0@.-_ 1fxLl9\t٣", max_size=14) | st.emails(), min_size=1, max_size=30
    )
)
@example(values=["LMY47D", "9774D56D682E549C", "123.0", "0", "a1 ", "test1@x.org", "a.b@c.de", "123456789"])
def test_both_ways_agree(engine: Engine, kind: str, values: list[str]) -> None:
    """On any text at all."""
    values = [value.replace("\0", "") for value in values]
    made = RULES[kind]
    assert outcomes(engine, made, values) == outcomes(engine, replace(made, plain=None), values)


@pytest.mark.parametrize("kind", KINDS)
def test_no_placeholder_is_plain(engine: Engine, kind: str) -> None:
    """However it is spelled."""
    listed = [*blocks.PLACEHOLDERS, *blocks._NOBODYS_ADDRESSES]
    listed += [f"{name}@{name}.com" for name in blocks._NOBODYS_TWICE]
    listed += [f"{name}@shop.example" for name in blocks._NOBODYS_MAILBOXES]
    pattern = literal(RULES[kind].plain or "")
    for spelled in (str.lower, str.upper, str.title):
        texts = ", ".join(literal(spelled(text)) for text in listed)
        assert (
            engine.rows(
                f"SELECT v FROM (SELECT unnest([{texts}]) AS v) WHERE regexp_full_match(v, {pattern})"
            )
            == []
        )
