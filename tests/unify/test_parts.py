"""Work that is done in parts, so that it fits into memory, gives what it gives at once."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pytest

from airflow_provider_customer360.unify import Config, components, traces, unify

#: Chains of three identifiers, each link on a record of its own, and a phone that exceeds its limit.
ROWS = [
    *({"customer_id": f"c{i}", "email": f"p{i}@mail.example"} for i in range(60)),
    *({"email": f"p{i}@mail.example", "anonymous_id": f"device-{i // 2}"} for i in range(60)),
    *({"customer_id": "c7", "phone": f"+1415555{i:04}"} for i in range(200, 206)),
]


def told() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Profiles, and identities with the links that hold them together."""
    schema = pa.schema([(name, pa.string()) for name in ("customer_id", "email", "anonymous_id", "phone")])
    source = pa.Table.from_pylist([dict.fromkeys(schema.names) | row for row in ROWS], schema=schema)
    with unify({"crm": source}, Config()) as unified:
        return unified.profiles.to_pandas(), unified.identities.to_pandas()


@pytest.mark.parametrize("size", [1, 7])
def test_parts_do_not_show(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Neither in who is one customer nor in the links that are told."""
    whole = told()
    monkeypatch.setattr(components, "_BATCH", size)
    monkeypatch.setattr(traces, "_PART", size)
    for expected, found in zip(whole, told(), strict=True):
        pd.testing.assert_frame_equal(expected, found)
