"""Work that is done in parts, so that it fits into memory, gives what it gives at once."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pytest

from airflow_provider_customer360.unify import Config, components, traces, unify
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.parts import Part

#: Chains of three identifiers, each link on a record of its own, and a phone that exceeds its limit.
ROWS = [
    *({"customer_id": f"c{i}", "email": f"p{i}@mail.example"} for i in range(60)),
    *({"email": f"p{i}@mail.example", "anonymous_id": f"device-{i // 2}"} for i in range(60)),
    *({"customer_id": "c7", "phone": f"+1415555{i:04}"} for i in range(200, 206)),
    *({"city": f"of nobody {i}"} for i in range(5)),
]
COLUMNS = ("customer_id", "email", "anonymous_id", "phone", "city")


def told() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Profiles, and identities with the links that hold them together."""
    schema = pa.schema([(name, pa.string()) for name in COLUMNS])
    rows = [dict.fromkeys(schema.names) | {"city": f"city {i % 9}"} | row for i, row in enumerate(ROWS)]
    source = pa.Table.from_pylist(rows, schema=schema)
    source = source.append_column("amount", pa.array(range(len(rows))))
    with unify({"crm": source, "shop": source.slice(30, 60)}, Config()) as unified:
        return unified.profiles.to_pandas(), unified.identities.to_pandas()


@pytest.mark.parametrize("size", [1, 7])
def test_parts_do_not_show(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Neither in who is one customer nor in the links that are told."""
    whole = told()
    monkeypatch.setattr(components, "_LEAST_LINKS", size)
    monkeypatch.setattr(Engine, "beside", lambda *_, **__: size)
    monkeypatch.setattr(traces, "_LEAST_LINKS", size)
    for expected, found in zip(whole, told(), strict=True):
        pd.testing.assert_frame_equal(expected, found)


@pytest.mark.parametrize("parts", [2, 5])
def test_customers_in_parts_do_not_show(monkeypatch: pytest.MonkeyPatch, parts: int) -> None:
    """Profiles are put together from parts of the customers where memory is small: they come out the same."""
    whole = told()
    monkeypatch.setattr(Engine, "parts", lambda *_: Part.all(parts))
    for expected, found in zip(whole, told(), strict=True):
        pd.testing.assert_frame_equal(expected, found)


@pytest.mark.parametrize("sources", [62, 63, 70])
def test_identities_tell_their_links_of_any_number_of_sources(sources: int) -> None:
    """Also where the sources are more than a number has bits."""
    crm = [{"customer_id": "c1", "email": "ann@mail.example"}]
    others = {f"shop {i:02}": pa.Table.from_pylist([{"email": f"p{i}@mail.example"}]) for i in range(sources)}
    others |= {"crm": pa.Table.from_pylist(crm), f"shop {sources - 1:02}": pa.Table.from_pylist(crm)}
    with unify(others, Config()) as unified:
        rows = unified.identities.to_arrow().to_pylist()
    linked = [row for row in rows if row["linked_to_type"]]
    assert [(row["identifier_value"], row["linked_in"], row["linked_records"]) for row in linked] == [
        ("ann@mail.example", f"crm, shop {sources - 1:02}", 2)
    ]
