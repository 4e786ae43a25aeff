"""The contenders beside this package. Each gives one label a record; unidentified records are alone."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from benchmarks.accuracy.labelled import Labelled
from benchmarks.accuracy.metrics import numbered
from benchmarks.accuracy.standard import codes


def naive(data: Labelled) -> np.ndarray:
    """Concatenate and group each record by its first id-like column, as it is written."""
    keys = []
    for source, table in data.sources.items():
        columns = [
            pc.binary_join_element_wise(f"{kind}:", table.column(column).cast(pa.string()), "")
            for kind, column in data.identifiers[source].items()
        ]
        keys.append(pc.coalesce(*columns).combine_chunks())
    return alone_where_unknown(codes(pa.chunked_array(keys)))


def transitive(identifiers: pa.Table, kinds: Sequence[str]) -> np.ndarray:
    """Connected components of records that share any identifier: the textbook, by SciPy."""
    return _components([codes(identifiers.column(kind)) for kind in kinds])


def ceiling(identifiers: pa.Table, kinds: Sequence[str], truth: np.ndarray) -> np.ndarray:
    """The best that equal identifiers allow: records are linked only where they are one person's.

    What is missing to a recall of 1 is in no identifier, and no method that compares identifiers finds it.
    """
    person = numbered(truth)
    values = []
    for kind in kinds:
        value = codes(identifiers.column(kind))
        combined = numbered(value * (int(person.max()) + 1) + person)
        values.append(np.where(value >= 0, combined, -1))
    return _components(values)


def splink(identifiers: pa.Table, kinds: Sequence[str]) -> np.ndarray:
    """Splink's deterministic linkage: pairs that agree on any identifier, clustered.

    One blocking rule an identifier, each strict enough to generate only true links, as its documentation asks
    for; in DuckDB, the sources concatenated (``dedupe_only``), for a person may be in one source twice.
    """
    from splink import DuckDBAPI, Linker, SettingsCreator, block_on

    logging.getLogger("splink").setLevel(logging.WARNING)
    settings = SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="row",
        blocking_rules_to_generate_predictions=[block_on(kind) for kind in kinds],
    )
    records = DuckDBAPI().register(identifiers.select(["row", *kinds]))
    linker = Linker(records, settings)
    pairs = linker.inference.deterministic_link()
    clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(pairs)
    found = clusters.as_duckdbpyrelation().select("row, cluster_id").fetchnumpy()
    labels = np.empty(len(identifiers), dtype=np.int64)
    labels[found["row"]] = numbered(np.asarray(found["cluster_id"]))
    return labels


def alone_where_unknown(labels: np.ndarray) -> np.ndarray:
    """The labels, with one of its own for each record that has none (negative)."""
    return np.where(labels < 0, int(labels.max(initial=0)) + 1 + np.arange(len(labels)), labels)


def _components(values: Sequence[np.ndarray]) -> np.ndarray:
    """Records that share a value in any of the columns, through any chain, as one label."""
    records, nodes, begin = [], [], len(values[0])
    for value in values:
        has = np.flatnonzero(value >= 0)
        records.append(has)
        nodes.append(value[has] + begin)
        begin += int(value.max(initial=-1)) + 1
    row, column = np.concatenate(records), np.concatenate(nodes)
    graph = coo_array((np.ones(len(row), np.int8), (row, column)), shape=(begin, begin))
    return connected_components(graph, directed=False)[1][: len(values[0])].astype(np.int64)
