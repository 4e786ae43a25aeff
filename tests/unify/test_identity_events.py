"""Events: what a run decided about who is who, to be kept for years; and the identities of the run before."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from airflow_provider_customer360.unify import Config, Source, SourceError
from airflow_provider_customer360.unify.events import KINDS, LASTING, Recorded, count_events
from airflow_provider_customer360.unify.mask import mask
from tests.unify.outcomes import AS_OF, HOSTILE, conserved, rows, run

PHONE = "+14155550101"
NAMES = ["ana", "bob", "cleo", "dan", "eva", "finn", "gil", "hana"]


def events(sources: dict[str, Any], config: Config | None = None, **more: Any) -> list[dict[str, Any]]:
    with run(sources, config, **more) as result:
        found = rows(result.events)
        assert len({row["event_id"] for row in found}) == len(found)
        assert count_events(result._engine) == {
            kind: sum(row["kind"] == kind for row in found) for kind in KINDS
        }
    return found


def of_kind(found: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [row for row in found if row["kind"] == kind]


def busy() -> dict[str, Any]:
    """Sources that give every lasting kind: a call centre's phone, placeholders and too many e-mails."""
    emails = [f"{name}@x.example" for name in NAMES]
    desk = pd.DataFrame({"customer_id": [f"c{i}" for i in range(8)], "phone": PHONE})
    crm = pd.DataFrame({"customer_id": "c0", "email": emails})
    web = pd.DataFrame(
        {
            "email": ["noreply@x.example", "ask my wife", "n/a", "ana@x.example"],
            "phone": ["0000000", "12", "call Bob at 5", None],
        }
    )
    return {
        "desk": desk,
        "crm": crm,
        "web": Source(data=web, identifiers=["email", "phone"]),
    }


def test_the_columns_are_those_documented() -> None:
    """Also when nothing happened, with their types, so that a table can be made of them."""
    with run({"crm": pd.DataFrame({"customer_id": ["c1"]})}) as result:
        previous = result.identities.to_arrow()
    with run({"crm": pd.DataFrame({"customer_id": ["c1"]})}, previous=previous) as result:
        found = result.events.to_arrow()
    assert found.num_rows == 0
    assert found.schema.field("occurred_at").type == pa.timestamp("us", "UTC")
    assert found.schema.field("records").type == pa.int64()
    assert found.schema.names == [
        "event_id",
        "run_id",
        "occurred_at",
        "kind",
        "customer_id",
        "other_customer_id",
        "identifier_type",
        "identifier",
        "other_identifier_type",
        "other_identifier",
        "source",
        "records",
        "reason",
    ]


def test_every_kind_happens() -> None:
    """Over two runs; each has the reference time and the name of its run."""
    first = events(busy(), run_id="monday")
    assert {row["kind"] for row in first} == {*LASTING, "value_shared", "created"}
    assert {row["run_id"] for row in first} == {"monday"}
    assert {row["occurred_at"] for row in first} == {AS_OF}


def history() -> tuple[Any, list[dict[str, Any]]]:
    """Two runs: c1 and c2 turn out to be one, c3 loses its e-mail to a newcomer, c4 goes."""
    ids, emails = ["c1", "c2", "c3", "c4"], [f"{name}@x.example" for name in NAMES[:4]]
    before = pd.DataFrame({"customer_id": ids, "email": emails})
    after = pd.DataFrame(
        {"customer_id": ["c1", "c2", "c3", None], "email": [emails[0], emails[0], None, emails[2]]}
    )
    with run({"crm": before}) as first:
        previous = first.identities.to_arrow()
    return previous, events({"crm": after}, previous=previous)


def test_what_happens_to_ids_is_told() -> None:
    """Merged, split and retired, with the identifier that explains it."""
    _, found = history()
    [merged], [split], [retired] = (of_kind(found, kind) for kind in ("merged", "split", "retired"))
    assert (merged["customer_id"], merged["other_customer_id"]) == ("c1", "c2")
    assert (merged["identifier_type"], merged["identifier"]) == ("customer_id", "c2")
    assert (split["other_customer_id"], split["identifier"]) == ("c3", "c***@x.example")
    assert (retired["customer_id"], retired["identifier_type"]) == ("c4", "customer_id")
    assert not of_kind(found, "created")


def test_no_personal_value_of_the_data_is_in_any_event() -> None:
    """Neither e-mails nor phones, nor what somebody wrote in their place."""
    _, later = history()
    text = repr(events(busy()) + later)
    for name in NAMES:
        assert f"'{name}@x.example" not in text
        assert f"{name}@" not in text
    for secret in (PHONE, PHONE[1:], "call Bob", "my wife", "noreply@"):
        assert secret not in text


def test_identifiers_whose_type_has_gone_are_masked_as_well() -> None:
    """Nothing is known of a type that no source has any more: it may be personal."""
    crm = pd.DataFrame({"tax_no": ["DE-7654321"], "email": ["ana@x.example"], "passport_no": ["X7654321"]})
    config = Config(
        identifiers=["tax_no", "email", "passport_no"],
        identifier_types={"tax_no": {"personal": True, "priority": 1}},
    )
    with run({"crm": crm}, config) as first:
        previous = first.identities.to_arrow()
    for gone in (["tax_no"], ["tax_no", "passport_no"], ["email"]):
        kept = previous.filter(pa.compute.is_in(previous["identifier_type"], pa.array(gone)))
        [retired] = of_kind(events({"shop": pd.DataFrame({"customer_id": ["c1"]})}, previous=kept), "retired")
        assert "***" in retired["identifier"]
        assert "765" not in retired["identifier"]


@pytest.mark.parametrize(
    "value",
    [
        "x",
        "1234567",
        "12345678",
        "é",
        "e\u0301e\u0301",
        "👩‍👩‍👧 of 7",
        "山田太郎山田太郎",
        "a@b",
        "@b",
        "b@",
        "it's 'quoted'",
    ],
)
def test_masks_are_those_of_the_rest_of_the_package(value: str) -> None:
    """In whatever script a value is written."""
    crm = pd.DataFrame({"ssn": [value]})
    config = Config(identifiers=["ssn"], identifier_types={"ssn": {"standardise": "value"}})
    with run({"crm": crm}, config) as result:
        [identity], [created] = rows(result.identities), rows(result.events)
    assert created["identifier"] == mask(identity["identifier_value"])


def test_what_lasts_has_the_same_event_id_in_every_run() -> None:
    """Though another run finds it, at another time, with other counts; so a table keeps the first."""
    first = events(busy(), run_id="monday")
    sources = busy()
    sources["desk"] = pd.concat(
        [sources["desk"], sources["desk"], pd.DataFrame({"customer_id": ["c99"], "phone": [PHONE]})]
    )
    second = events(sources, run_id="tuesday")
    for kind in LASTING:
        assert of_kind(first, kind)
        assert {row["event_id"] for row in of_kind(first, kind)} == {
            row["event_id"] for row in of_kind(second, kind)
        }


def test_what_is_recorded_is_not_told_again() -> None:
    """What lasts is told by the run that finds it first, a shared value by the one from which on it is."""
    with run(busy(), run_id="monday") as result:
        first, previous = rows(result.events), result.identities.to_arrow()
    ids = pd.DataFrame({"event_id": [row["event_id"] for row in first if row["kind"] in LASTING]})
    with run(busy(), previous=previous, run_id="tuesday", recorded=Recorded(len(first), ids)) as again:
        assert rows(again.events) == []
        assert not any(again.summary["identity_events"].values())


def test_what_happens_once_has_an_id_of_its_run() -> None:
    """The same customer may be created twice in a year."""
    crm = {"crm": pd.DataFrame({"customer_id": ["c1"]})}
    [monday], [tuesday], [again] = (events(crm, run_id=name) for name in ("monday", "tuesday", "monday"))
    assert monday["event_id"] != tuesday["event_id"]
    assert monday["event_id"] == again["event_id"]


def test_the_order_of_rows_and_sources_changes_no_event() -> None:
    """All columns are equal."""
    sources = busy()
    turned = {
        name: data.iloc[::-1] if isinstance(data, pd.DataFrame) else data
        for name, data in reversed(sources.items())
    }
    assert events(sources) == events(turned)


def test_hostile_names_of_sources_and_types_stay_names() -> None:
    """And run ids."""
    frame = pd.DataFrame({HOSTILE: [f"k{i}" for i in range(8)], "email": "office@x.example"})
    config = Config(identifiers=[HOSTILE, "email"])
    found = events({HOSTILE: frame}, config, run_id="it's; " + HOSTILE)
    assert {row["run_id"] for row in found} == {"it's; " + HOSTILE}
    assert len(of_kind(found, "created")) == 8


# --- The identities of the run before ---------------------------------------------------------------------


def through_sqlite(table: pa.Table) -> pa.Table:
    """A table as SQLite gives it back: instants are texts."""
    frame = table.to_pandas()
    for name in ("first_seen", "last_seen"):
        frame[name] = [None if pd.isna(value) else value.isoformat(sep=" ") for value in frame[name]]
    with closing(sqlite3.connect(":memory:")) as connection:
        frame.to_sql("identities", connection, index=False)
        return pa.Table.from_pandas(pd.read_sql("select * from identities", connection))


@pytest.mark.parametrize(
    "form",
    [
        lambda table: table,
        lambda table: table.to_pandas(),
        lambda table: pl.from_arrow(table),
        lambda table: iter(table.to_batches(max_chunksize=2)),
        lambda table: table.to_pandas().astype({"records": float, "data_sources": float}),
        through_sqlite,
        lambda table: table.select(list(reversed(table.schema.names))),
    ],
    ids=["Arrow", "pandas", "polars", "batches", "floats", "SQLite", "other order"],
)
def test_a_run_over_its_own_identities_changes_nothing(form: Any) -> None:
    """In whatever form a database gave them back: ids, times and counts stay, and nothing happened."""
    crm = pd.DataFrame(
        {
            "customer_id": ["c1", "c2", None],
            "email": ["ana@x.example", None, "cleo@x.example"],
            "created_at": [datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC), None, None],
        }
    )
    gone = {"customer_id": ["c9"], "created_at": [datetime(2025, 7, 8, 9, 10, 11, tzinfo=UTC)]}
    with run({"crm": pd.concat([crm, pd.DataFrame(gone)])}) as first:
        previous = first.identities.to_arrow()
    with run({"crm": crm}, previous=previous) as result:
        once = result.identities.to_arrow()
    assert {row["first_seen"] for row in once.to_pylist()} >= {None, *gone["created_at"]}
    with run({"crm": crm}, previous=form(once)) as result:
        assert rows(result.identities) == once.to_pylist()
        assert [row for row in rows(result.events) if row["kind"] not in LASTING] == []
        assert conserved(result)


@pytest.mark.parametrize("nothing", [None, pd.DataFrame(), []], ids=["none", "an empty frame", "no batches"])
def test_no_previous_identities_are_a_first_run(nothing: Any) -> None:
    """As is a table that was just made."""
    [created] = events({"crm": pd.DataFrame({"customer_id": ["c1"]})}, previous=nothing)
    assert (created["kind"], created["reason"]) == ("created", "new")


def test_a_published_table_without_rows_is_a_first_run() -> None:
    """It has the columns, and nothing in them."""
    with run({"crm": pd.DataFrame({"customer_id": ["c1"]})}) as result:
        empty = result.identities.to_arrow().slice(0, 0)
    [created] = events({"crm": pd.DataFrame({"customer_id": ["c1"]})}, previous=empty)
    assert created["kind"] == "created"


def test_previous_identities_of_another_shape_are_an_error() -> None:
    """That names what is missing and what is there."""
    other = pd.DataFrame({"identifier_type": ["email"], "identifier_value": ["a@x.example"], "who": ["c1"]})
    with pytest.raises(
        SourceError, match="The previous identities have no column 'customer_id', 'status'"
    ) as raised:
        events({"crm": pd.DataFrame({"customer_id": ["c1"]})}, previous=other)
    assert "Columns: identifier_type, identifier_value, who." in str(raised.value)
    assert "a@x.example" not in str(raised.value)
