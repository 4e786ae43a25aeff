"""Pairs that a person states: must_link and must_not_link, and what they win over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from airflow_provider_customer360.unify import Config, ConfigError, SourceError
from tests.unify.outcomes import HOSTILE, conserved, customers, joined, rows, run

COLUMNS = ["identifier_type", "identifier_value", "other_identifier_type", "other_identifier_value", "reason"]
CRM = pd.DataFrame(
    {
        "customer_id": ["c1", "c2", "c3"],
        "email": ["ana@x.example", "bob@x.example", "cleo@x.example"],
        "phone": ["+14155550101", "+14155550102", "+14155550103"],
        "amount": [1, 2, 4],
    }
)
ANA = frozenset({"customer_id=c1", "email=ana@x.example", "phone=+14155550101"})
BOB = frozenset({"customer_id=c2", "email=bob@x.example", "phone=+14155550102"})
CLEO = frozenset({"customer_id=c3", "email=cleo@x.example", "phone=+14155550103"})


def rules(*pairs: tuple[Any, ...]) -> pd.DataFrame:
    """A table of rules, with reasons where the pairs have them."""
    return pd.DataFrame(pairs, columns=COLUMNS[: len(pairs[0])])


EMAILS_OF_ANA_AND_BOB = ("email", "ana@x.example", "email", "bob@x.example")


# --- must_link -------------------------------------------------------------------------------------------


def test_must_link_joins_strangers() -> None:
    """With all that is theirs; the identities tell that a rule did it."""
    with run({"crm": CRM}, must_link=rules(EMAILS_OF_ANA_AND_BOB)) as result:
        assert customers(result) == {ANA | BOB, CLEO}
        assert {row["linked_in"] for row in rows(result.identities)} == {None, "crm", "must_link"}
        assert conserved(result)


def test_must_link_joins_through_identifiers_that_no_source_has() -> None:
    """Two rules that meet in an e-mail of last year still make one customer of two."""
    meeting = rules(
        ("email", "ana@x.example", "email", "old@x.example"),
        ("email", "old@x.example", "phone", "+14155550102"),
    )
    assert joined({"crm": CRM}, must_link=meeting) == {ANA | BOB, CLEO}


@pytest.mark.parametrize(
    "pair",
    [
        (" EMail", " ANA@x.Example ", "Phone", "+1 (415) 555-0102"),
        ("customer_id", "c1", "e-mail", "mailto:bob@x.example"),
        ("phone", "001 415 555 0101", "customer_id", " c2 "),
        ("email", "bob@x.example", "email", "ana@x.example"),
    ],
)
def test_rules_may_be_spelled_as_sources_are(pair: tuple[str, ...]) -> None:
    """Types and values are standardised like columns and values of the data."""
    standard = Config(
        identifier_types={
            "phone": {"region": "US"},
            "email": {"standardise": "replace(lower(value), 'mailto:', '')"},
        }
    )
    assert joined({"crm": CRM}, standard, must_link=rules(pair)) == {ANA | BOB, CLEO}


def test_must_link_wins_over_limits() -> None:
    """Seven e-mails that are stated to be one customer's are, though five are allowed."""
    emails = [f"e{i}@x.example" for i in range(7)]
    pairs = rules(*(("email", emails[0], "email", other) for other in emails[1:]))
    assert len(joined({"crm": pd.DataFrame({"email": emails})}, must_link=pairs)) == 1


def test_must_link_wins_over_sharing() -> None:
    """A call centre's phone that is stated to be one customer's takes the records that have nothing else."""
    desk = pd.DataFrame(
        {"customer_id": [*(f"c{i}" for i in range(9)), None], "phone": "+14155550101", "amount": 1}
    )
    with run({"desk": desk}, must_link=rules(("phone", "+14155550101", "customer_id", "c4"))) as result:
        assert len(customers(result)) == 9
        assert frozenset({"customer_id=c4", "phone=+14155550101"}) in customers(result)
        assert {row["customer_id"]: row["amount"] for row in rows(result.profiles)}["c4"] == 2
        assert conserved(result)


def test_must_link_wins_over_a_type_that_links_nobody() -> None:
    """Likewise where the type is stated to link nobody."""
    desk = pd.DataFrame({"customer_id": ["c1", "c2", None], "phone": "+14155550101", "amount": [1, 2, 4]})
    config = Config(identifier_types={"phone": {"links": False}}, assignments=True)
    with run(
        {"desk": desk}, config, must_link=rules(("customer_id", "c2", "phone", "+14155550101"))
    ) as result:
        assert customers(result) == {
            frozenset({"customer_id=c1"}),
            frozenset({"customer_id=c2", "phone=+14155550101"}),
        }
        assert {row["customer_id"]: row["amount"] for row in rows(result.profiles)} == {"c1": 1, "c2": 6}
        assert [row["customer_id"] for row in rows(result.assignments)] == ["c1", "c2", "c2"]
        assert conserved(result)


def test_a_rule_of_one_identifier_says_nothing() -> None:
    """Once standardised, both sides are one."""
    same = rules(("phone", "+14155550101", "phone", "+1 415 555 0101"))
    assert joined({"crm": CRM}, must_link=same) == {ANA, BOB, CLEO}


# --- must_not_link ---------------------------------------------------------------------------------------


def test_must_not_link_separates_what_records_join() -> None:
    """The weakest link between the two is dropped, and the event tells the rule's reason."""
    shop = pd.DataFrame({"email": ["ana@x.example"], "phone": ["+14155550102"]})
    apart = rules(("customer_id", "c1", "customer_id", "c2", "told us so"))
    assert joined({"crm": CRM, "shop": shop}) == {ANA | BOB, CLEO}
    with run({"crm": CRM, "shop": shop}, must_not_link=apart) as result:
        assert customers(result) == {ANA, BOB, CLEO}
        assert conserved(result)
        [event] = [row for row in rows(result.events) if row["kind"] == "link_dropped"]
    assert event["reason"] == "must_not_link: told us so"
    assert (event["identifier"], event["other_identifier"], event["source"]) == (
        "+1***02",
        "a***@x.example",
        "shop",
    )


def test_must_not_link_separates_identifiers_of_one_record() -> None:
    """The record belongs to the customer of its strongest identifier; nothing is lost."""
    with run(
        {"crm": CRM}, must_not_link=rules(("email", "ana@x.example", "phone", "+14155550101"))
    ) as result:
        assert customers(result) == {ANA - {"phone=+14155550101"}, BOB, CLEO}
        assert conserved(result)


def test_a_rule_without_a_reason_is_one() -> None:
    """The column may be missing, or a reason."""
    for apart in (
        rules(("customer_id", "c1", "email", "ana@x.example")),
        rules(("customer_id", "c1", "email", "ana@x.example", None)),
    ):
        with run({"crm": CRM}, must_not_link=apart) as result:
            [event] = [row for row in rows(result.events) if row["kind"] == "link_dropped"]
            assert event["reason"] == "must_not_link"


def test_the_order_of_rules_changes_nothing() -> None:
    """Also where one pair is stated twice, either way round, for different reasons."""
    apart = rules(
        ("customer_id", "c1", "email", "ana@x.example", "b"),
        ("email", "ana@x.example", "customer_id", "c1", "a"),
        ("email", "ana@x.example", "phone", "+14155550101", None),
        ("customer_id", "c2", "phone", "+14155550102", "c"),
    )
    outcomes = []
    for seed in range(5):
        with run({"crm": CRM}, must_not_link=apart.sample(frac=1, random_state=seed)) as result:
            outcomes.append((rows(result.identities), rows(result.events)))
    assert all(outcome == outcomes[0] for outcome in outcomes)
    reasons = {row["reason"] for row in outcomes[0][1] if row["kind"] == "link_dropped"}
    assert reasons == {"must_not_link: a", "must_not_link: c"}


def test_must_link_wins_over_what_the_data_says_against_must_not_link() -> None:
    """c1 and c2 are separated, their e-mails joined: the e-mail's record cannot be in both."""
    with run(
        {"crm": CRM},
        must_link=rules(EMAILS_OF_ANA_AND_BOB),
        must_not_link=rules(("customer_id", "c1", "customer_id", "c2")),
    ) as result:
        found = customers(result)
        assert not any({"customer_id=c1", "customer_id=c2"} <= customer for customer in found)
        assert any({"email=ana@x.example", "email=bob@x.example"} <= customer for customer in found)
        assert conserved(result)


# --- Contradictions --------------------------------------------------------------------------------------


def test_a_contradiction_names_both_rules() -> None:
    """With values that no one can read."""
    with pytest.raises(ConfigError) as raised:
        joined(
            {"crm": CRM},
            must_link=rules(EMAILS_OF_ANA_AND_BOB),
            must_not_link=rules(("email", "BOB@x.example", "email", "ana@x.example")),
        )
    assert str(raised.value) == (
        "must_not_link separates email b***@x.example and email a***@x.example, but must_link joins them "
        "(email a***@x.example and email b***@x.example); remove one of these rules."
    )


@pytest.mark.parametrize("middle", [("phone", "+14155550103"), ("email", "nobody.knows@x.example")])
def test_a_contradiction_through_a_chain_names_the_chain(middle: tuple[str, str]) -> None:
    """Also where the chain passes an identifier that no source has."""
    with pytest.raises(ConfigError, match="but must_link joins them") as raised:
        joined(
            {"crm": CRM},
            must_link=rules(("email", "ana@x.example", *middle), (*middle, "email", "bob@x.example")),
            must_not_link=rules(EMAILS_OF_ANA_AND_BOB),
        )
    message = str(raised.value)
    assert message.count(middle[0]) >= 2
    for value in ("ana@x.example", "bob@x.example", middle[1]):
        assert f" {value}" not in message


def test_an_identifier_cannot_be_separated_from_itself() -> None:
    """Once it is standardised, which the error says."""
    with pytest.raises(ConfigError, match="are one identifier once they are standardised; remove that rule"):
        joined({"crm": CRM}, must_not_link=rules(("phone", "+1 415 555 0101", "phone", "+14155550101")))


# --- Forms -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        lambda frame, folder: frame,
        lambda frame, folder: pl.from_pandas(frame),
        lambda frame, folder: pa.Table.from_pandas(frame),
        lambda frame, folder: iter([frame, frame]),
        lambda frame, folder: (frame.to_csv(folder / "rules.csv", index=False), folder / "rules.csv")[1],
        lambda frame, folder: (frame.to_parquet(folder / "rules.parquet"), str(folder / "*.parquet"))[1],
        lambda frame, folder: frame.rename(columns=str.title),
        lambda frame, folder: frame.assign(stated_by="me", stated_on=pd.Timestamp("2026-01-01")),
    ],
    ids=["pandas", "polars", "Arrow", "batches", "CSV", "Parquet", "other spellings", "more columns"],
)
def test_rules_come_in_any_form_that_a_source_has(form: Any, tmp_path: Path) -> None:
    """Frames, batches of them and files."""
    assert joined({"crm": CRM}, must_link=form(rules(EMAILS_OF_ANA_AND_BOB), tmp_path)) == {ANA | BOB, CLEO}


@pytest.mark.parametrize(
    "empty",
    [
        pd.DataFrame(columns=COLUMNS),
        pl.DataFrame(schema=COLUMNS),
        pa.table({name: pa.array([], pa.string()) for name in COLUMNS}),
        pd.DataFrame(),
        [],
        None,
    ],
    ids=["pandas", "polars", "Arrow", "without columns", "no batches", "none"],
)
def test_no_rules_are_no_rules(empty: Any) -> None:
    """A table of rules may be empty for years."""
    assert joined({"crm": CRM}, must_link=empty, must_not_link=empty) == {ANA, BOB, CLEO}


def test_numbers_are_ids() -> None:
    """Numbers that pandas made floating name the same customers."""
    crm = pd.DataFrame({"customer_id": [1, 2], "email": ["ana@x.example", "bob@x.example"]})
    numbers = rules(("customer_id", 1.0, "customer_id", 2), ("customer_id", None, "customer_id", 1))
    assert len(joined({"crm": crm}, must_link=numbers)) == 1


def test_values_that_identify_nobody_link_nobody() -> None:
    """Missing ones and placeholders, which many records would share."""
    crm = pd.DataFrame({"customer_id": ["c1", "c2"], "email": ["n/a", "n/a"]})
    nobody = rules(
        ("email", "n/a", "customer_id", "c1"),
        ("email", "N/A", "customer_id", "c2"),
        ("email", None, "customer_id", "c1"),
    )
    assert len(joined({"crm": crm}, must_link=nobody)) == 2


@pytest.mark.parametrize("kind", ["shoe_size", HOSTILE])
def test_rules_that_change_nothing_are_said(kind: str) -> None:
    """A type that no source has tonight, and an identifier that is nowhere, are no reason to fail."""
    idle = rules((kind, "7", "email", "ana@x.example"), ("customer_id", "c404", "email", "ana@x.example"))
    with run({"crm": CRM}, must_not_link=idle) as result:
        [said] = [warning for warning in result.summary["warnings"] if "must_not_link" in warning]
    assert said.startswith("2 of 2 must_not_link rules name an identifier that is in no source now")


@pytest.mark.parametrize("kind", ["ana@x.example", "+14155550101", "c1", "", None])
def test_what_is_no_type_is_an_error_without_the_value(kind: str | None) -> None:
    """Swapped columns are a mistake to be told, and the value may be somebody's."""
    swapped = rules((kind, "email", "email", "ana@x.example"))
    with pytest.raises(ConfigError, match=r"are columns swapped\? Types of this run: customer_id") as raised:
        joined({"crm": CRM}, must_not_link=swapped)
    assert not kind or kind not in str(raised.value)


def test_missing_columns_are_an_error() -> None:
    """That names them, and those that there are."""
    with pytest.raises(
        ConfigError, match="must_link has no column 'other_identifier_value'; it needs"
    ) as raised:
        joined({"crm": CRM}, must_link=rules(EMAILS_OF_ANA_AND_BOB).iloc[:, :3])
    assert "Columns: identifier_type, identifier_value, other_identifier_type." in str(raised.value)


@pytest.mark.parametrize("data", [[{"identifier_type": "email"}], 7, "/no/such/rules.csv"])
def test_what_is_no_table_is_an_error(data: Any) -> None:
    """That says which of the arguments it is."""
    with pytest.raises(SourceError, match=r"^must_not_link: "):
        joined({"crm": CRM}, must_not_link=data)


def test_hostile_rules_are_values() -> None:
    """A reason, a value or a type's spelling reaches no SQL."""
    crm = CRM.assign(**{HOSTILE: ["' or 1=1; --", "x", "y"]})
    config = Config(identifiers={HOSTILE: HOSTILE, "customer_id": "customer_id"})
    hostile = rules((HOSTILE, "' or 1=1; --", "customer_id", "c3", "it's; drop table links; --"))
    with run({"crm": crm}, config, must_link=hostile) as result:
        assert len(customers(result)) == 2
    apart = rules((HOSTILE, "' or 1=1; --", "customer_id", "c1", "it's; drop table links; --"))
    with run({"crm": crm}, config, must_not_link=apart) as result:
        [event] = [row for row in rows(result.events) if row["kind"] == "link_dropped"]
        assert event["reason"] == "must_not_link: it's; drop table links; --"
