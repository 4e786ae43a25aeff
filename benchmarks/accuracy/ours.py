"""This package as a contender: which profile each record of a data set came to.

The one module that knows the package's interface.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_customer360.unify import Config, Source, unify
from benchmarks.accuracy.labelled import Labelled
from benchmarks.accuracy.peers import alone_where_unknown
from benchmarks.accuracy.standard import codes

#: Per identifier type, settings that differ: ``{"email": {"shared_after": 3, "limit": 5}}``.
Stated = Mapping[str, Mapping[str, Any]]
#: Types whose values mean the same in every source, so that nobody's numbering is asked about.
ADDRESSES = ("email", "phone")


def assigned(data: Labelled, *, guards: bool = True, stated: Stated | None = None) -> np.ndarray:
    """The profile of each record as a label, with the guards on or off but for what is stated.

    Nothing is said about the columns, except where any user would have to.
    """
    sources = {
        name: Source(data=table, identifiers=dict(data.identifiers[name])) if data.stated else table
        for name, table in data.sources.items()
    }
    with unify(sources, Config(assignments=True, guards=guards, identifier_types=stated or {})) as result:
        assignments = result.assignments.to_arrow()
    return labels_of(data, assignments)


def labels_of(data: Labelled, assignments: pa.Table) -> np.ndarray:
    """Assignments as one label a record, in the order of ``data.truth``.

    Raises:
        ValueError: a record was assigned twice or not at all.
    """
    begins = pa.array([data.offsets[name] for name in data.sources])
    source = pc.index_in(assignments.column("source"), pa.array(list(data.sources)))
    row = pc.add(begins.take(source.combine_chunks()), assignments.column("source_key").cast(pa.int64()))
    rows = row.to_numpy()
    if len(rows) != len(data) or np.any(np.bincount(rows, minlength=len(data)) != 1):
        raise ValueError(f"{len(rows):,} assignments for {len(data):,} records; each must have exactly one.")
    labels = np.empty(len(data), dtype=np.int64)
    labels[rows] = codes(assignments.column("customer_id"))
    return alone_where_unknown(labels)
