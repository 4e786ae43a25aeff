"""Assignments: which source row belongs to which customer, or why to none."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from airflow_provider_customer360.unify import Config, ConfigError, Source
from tests.unify.outcomes import HOSTILE, rows, run

ASSIGNED = Config(assignments=True)
#: More than DuckDB reads or writes in one piece (122,880), so that pieces may come in any order.
MANY = 300_000


def assigned(data: Any, key: str | None = None) -> dict[str, str | None]:
    """Source key to customer, of one source."""
    with run({"crm": Source(data=data, key=key)}, ASSIGNED) as result:
        assert result.assignments is not None
        found = rows(result.assignments)
    assert len({row["source_key"] for row in found}) == len(found)
    return {row["source_key"]: row["customer_id"] for row in found}


def _files(table: pa.Table, folder: Path) -> str:
    for n, start in enumerate(range(0, MANY, 70_000)):
        pq.write_table(table.slice(start, 70_000), folder / f"{n}.parquet", row_group_size=9_000)
    return str(folder / "*.parquet")


def _csv(table: pa.Table, folder: Path) -> str:
    table.to_pandas().to_csv(folder / "crm.csv", index=False)
    return str(folder / "crm.csv")


def _json(table: pa.Table, folder: Path) -> str:
    table.to_pandas().to_json(folder / "crm.jsonl", orient="records", lines=True)
    return str(folder / "crm.jsonl")


@pytest.mark.parametrize(
    "form",
    [
        lambda table, folder: table.to_pandas(),
        lambda table, folder: pl.from_arrow(table),
        lambda table, folder: table,
        lambda table, folder: iter([table]),
        lambda table, folder: (table.slice(start, 130_000) for start in range(0, MANY, 130_000)),
        _files,
        _csv,
        _json,
    ],
    ids=["pandas", "polars", "Arrow", "one batch", "batches", "Parquet", "CSV", "JSON lines"],
)
def test_row_numbers_follow_the_order_of_the_source(form: Any, tmp_path: Path) -> None:
    """From 0, over several files, row groups and batches, also where these are large."""
    in_order(form(pa.table({"customer_id": ids(MANY), "amount": np.ones(MANY)}), tmp_path), MANY)


def test_one_huge_batch_keeps_its_order() -> None:
    """DuckDB would write it by several threads at once."""
    in_order(iter([pa.table({"customer_id": ids(2_000_000)})]), 2_000_000)


def ids(count: int) -> pa.Array:
    return pa.array([f"c{n}" for n in range(count)])


def in_order(source: Any, count: int) -> None:
    """Assert that row n belongs to customer cn."""
    with run({"crm": source}, ASSIGNED) as result:
        assert result.assignments is not None
        found = result.assignments.to_arrow()
    assert found.num_rows == pc.count_distinct(found["customer_id"]).as_py() == count
    expected = pc.binary_join_element_wise(pa.scalar("c"), found["source_key"], "")
    assert pc.all(pc.equal(expected, found["customer_id"])).as_py()


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (["a", " b ", "7.0"], ["a", "b", "7"]),
        ([10, 2, 3], ["10", "2", "3"]),
        ([123.0, 1.5, 2.0], ["123", "1.5", "2"]),
        ([Decimal("1.00"), Decimal("2.50"), Decimal("3.00")], ["1", "2.50", "3"]),
        ([True, False, None], None),
        (["'; drop table assignments; --", "ß", "山"], ["'; drop table assignments; --", "ß", "山"]),
    ],
    ids=["text", "whole numbers", "floating", "decimals", "missing", "odd text"],
)
def test_rows_may_have_keys_of_their_own(keys: list[Any], expected: list[str] | None) -> None:
    """Written as ids are: 123.0 is 123."""
    frame = pd.DataFrame({"customer_id": ["c1", "c2", "c3"], "row_key": keys})
    if expected is None:
        with pytest.raises(ConfigError):
            assigned(frame, "row_key")
    else:
        assert assigned(frame, "row_key") == dict(zip(expected, ["c1", "c2", "c3"], strict=True))


@pytest.mark.parametrize(
    ("keys", "missing", "repeated"),
    [
        (["a", None, None], 2, 0),
        (["a", "a", "b"], 0, 1),
        (["7", "7.0", " 7"], 0, 2),
        ([1.0, float("nan"), 1.0], 1, 1),
    ],
)
def test_keys_must_be_unique_and_there(keys: list[Any], missing: int, repeated: int) -> None:
    """The error names the column and the counts, and no key."""
    frame = pd.DataFrame({"customer_id": ["c1", "c2", "c3"], "row_key": keys})
    expected = f"but {missing} of its values are missing and {repeated} are repeated"
    with pytest.raises(ConfigError, match=expected) as raised:
        assigned(frame, "row_key")
    assert "'row_key' is stated as the key of source 'crm'" in str(raised.value)


def test_an_unknown_key_column_is_an_error() -> None:
    """That lists the columns."""
    with pytest.raises(ConfigError, match="has no column 'id_no', which is stated as its key") as raised:
        assigned(pd.DataFrame({"customer_id": ["c1"]}), "id_no")
    assert "Columns: customer_id" in str(raised.value)


def test_a_key_column_may_be_spelled_otherwise_or_identify_customers() -> None:
    """As columns may everywhere; the column keeps its role."""
    frame = pd.DataFrame({"Customer ID": ["c1", "c2"], HOSTILE: ["k1", "k2"]})
    assert assigned(frame, "customer_id") == {"c1": "c1", "c2": "c2"}
    assert assigned(frame, HOSTILE) == {"k1": "c1", "k2": "c2"}


def test_whoever_has_no_customer_has_a_reason() -> None:
    """And nobody else."""
    crm = pd.DataFrame(
        {
            "customer_id": ["c1", None, None, None, None, *(f"x{i}" for i in range(5))],
            "email": ["ana@x.example", None, "n/a", "office@x.example", None, *["office@x.example"] * 5],
            "member_id": ["m1", None, None, None, "m1", *[None] * 5],
        }
    )
    config = Config(assignments=True, identifier_types={"member_id": {"links": False}})
    with run({"crm": crm}, config) as result:
        assert result.assignments is not None
        found = {row["source_key"]: (row["customer_id"], row["reason"]) for row in rows(result.assignments)}
    assert [found[str(n)] for n in range(6)] == [
        ("c1", None),
        (None, "no identifier"),
        (None, "blocked value"),
        (None, "shared value"),
        (None, "identifier type that links nobody"),
        ("x0", None),
    ]


def test_sums_by_assignment_are_those_of_the_profiles() -> None:
    """Whatever was shared, limited, blocked or spelled otherwise."""
    crm = pd.DataFrame(
        {
            "customer_id": [f"c{i % 40}" for i in range(400)],
            "email": [f"E{i % 90}@x.example " if i % 7 else None for i in range(400)],
            "phone": ["+14155550101" if i % 5 == 0 else f"+1 415 555 {i % 60:04d}" for i in range(400)],
            "full_name": [f"{'ABCDEFG'[i % 7]}na {'STUVW'[i % 5]}ilva" for i in range(400)],
            "amount": range(400),
        }
    )
    calls = pd.DataFrame({"phone": ["+14155550101", "(415) 555-0007", None] * 20, "amount": range(60)})
    sources = {"crm": crm, "calls": calls}
    with run(sources, ASSIGNED) as result:
        assert result.assignments is not None
        sums: dict[str | None, int] = defaultdict(int)
        counts: dict[str | None, int] = defaultdict(int)
        for row in rows(result.assignments):
            sums[row["customer_id"]] += int(sources[row["source"]]["amount"].iloc[int(row["source_key"])])
            counts[row["customer_id"]] += 1
        assert counts.pop(None) == result.summary["unidentified_records"]
        assert sums.pop(None) == result.summary["metrics"]["amount"]["unidentified"]
        profiles = rows(result.profiles)
    assert len(profiles) > 1
    assert sums == {row["customer_id"]: row["amount"] for row in profiles}
    assert counts == {row["customer_id"]: row["total_records"] for row in profiles}


def test_one_row_and_empty_sources() -> None:
    """A source without rows has no assignments, one without identifiers has reasons."""
    sources = {
        "crm": pd.DataFrame({"customer_id": ["c1"]}),
        "empty": pd.DataFrame({"email": pd.Series([], dtype=str)}),
        "log": pd.DataFrame({"message": ["hello"]}),
    }
    with run(sources, ASSIGNED) as result:
        assert result.assignments is not None
        found = [(row["source"], row["source_key"], row["customer_id"]) for row in rows(result.assignments)]
    assert found == [("crm", "0", "c1"), ("log", "0", None)]


def test_two_columns_of_one_type_in_one_row() -> None:
    """A row belongs to the customer of whichever column is there."""
    crm = pd.DataFrame(
        {
            "customer_id": ["c1", "c2", None],
            "email": ["a@x.example", None, None],
            "email_2": [None, "b@x.example", "b@x.example"],
        }
    )
    assert assigned(crm) == {"0": "c1", "1": "c2", "2": "c2"}


def test_nobody_who_does_not_ask_gets_them() -> None:
    """They are as many rows as all sources have."""
    with run({"crm": pd.DataFrame({"customer_id": ["c1"]})}) as result:
        assert result.assignments is None
