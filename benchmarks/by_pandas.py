"""The job done by hand, in vectorised pandas: what a data engineer writes who knows the data.

Every column's role is known here, the junk values too, and nothing is checked or reported.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from benchmarks.data import AS_OF, ATTRIBUTES, EVENT_TIMES, IDENTIFIERS, METRICS, Dataset

#: From the numbers of linked identifiers and how many there are, a label for each number.
Components = Callable[[np.ndarray, np.ndarray, int], np.ndarray]

JUNK = ["n/a", "test@test.com", "", "null", "unknown", "000-0000"]
TYPES = list(dict.fromkeys(kind for kinds in IDENTIFIERS.values() for kind in kinds))


def by_scipy(a: np.ndarray, b: np.ndarray, size: int) -> np.ndarray:
    """Connected components by SciPy."""
    graph = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(size, size))
    labels: np.ndarray = connected_components(graph, directed=False)[1]
    return labels


def by_networkx(a: np.ndarray, b: np.ndarray, size: int) -> np.ndarray:
    """Connected components by networkx."""
    import networkx as nx

    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(range(size))
    graph.add_edges_from(zip(a.tolist(), b.tolist(), strict=True))
    labels = np.empty(size, np.int64)
    for label, nodes in enumerate(nx.connected_components(graph)):
        labels[list(nodes)] = label
    return labels


def unified(data: Dataset, components: Components) -> pd.DataFrame:
    """Read, normalise, resolve, add up."""
    frames = {name: pd.read_parquet(path) for name, path in data.sources.items()}
    for name, frame in frames.items():
        for kind in IDENTIFIERS[name]:
            frame[kind] = _normalised(kind, frame[kind])
    _resolve(frames, components)
    return _profiles(frames)


def _normalised(kind: str, values: pd.Series) -> pd.Series:
    values = values.astype("str")
    values = values.mask(values.isin(JUNK))
    if kind == "email":
        return values.str.strip().str.lower()
    if kind == "phone":
        return values.str.replace(r"[^0-9]", "", regex=True).str.lstrip("0")
    return values.str.strip().str.removesuffix(".0") if kind == "customer_id" else values


def _resolve(frames: dict[str, pd.DataFrame], components: Components) -> None:
    """Give every row its ``customer``, -1 where it has no identifier."""
    codes, size = _numbered(frames)
    anchors, links = {}, []
    for name in frames:
        anchor = np.full(len(frames[name]), -1)
        for kind in IDENTIFIERS[name]:
            code = codes[name, kind]
            both = (anchor >= 0) & (code >= 0)
            links.append((anchor[both], code[both]))
            anchor = np.where(anchor >= 0, anchor, code)
        anchors[name] = anchor
    a, b = (np.concatenate(side) for side in zip(*links, strict=True))
    labels = components(a, b, size)
    for name, frame in frames.items():
        frame["customer"] = np.where(anchors[name] >= 0, labels[anchors[name]], -1)


def _numbered(frames: dict[str, pd.DataFrame]) -> tuple[dict[tuple[str, str], np.ndarray], int]:
    """The identifiers of each source and type as numbers (-1: none), and how many numbers there are."""
    codes: dict[tuple[str, str], np.ndarray] = {}
    size = 0
    for kind in TYPES:
        having = [name for name in frames if kind in IDENTIFIERS[name]]
        together = pd.concat([frames[name][kind] for name in having], ignore_index=True)
        numbers, distinct = pd.factorize(together)
        numbers = np.where(numbers >= 0, numbers + size, -1)
        size += len(distinct)
        ends = np.cumsum([len(frames[name]) for name in having])
        for name, part in zip(having, np.split(numbers, ends[:-1]), strict=True):
            codes[name, kind] = part
    return codes, size


def _profiles(frames: dict[str, pd.DataFrame]) -> pd.DataFrame:
    parts = [_of_source(name, frame[frame.customer >= 0]) for name, frame in frames.items()]
    profiles = pd.concat(parts, axis=1)
    for kind in TYPES:
        known = [profiles[f"{kind}|{name}"] for name in frames if kind in IDENTIFIERS[name]]
        profiles[kind] = reduce(pd.Series.combine_first, known)
    records = profiles[[f"{name}_records" for name in frames]].fillna(0).astype(int)
    profiles[records.columns] = records
    metrics = [metric for metrics in METRICS.values() for metric in metrics]
    profiles[metrics] = profiles[metrics].fillna(0)
    profiles["total_records"] = records.sum(axis=1)
    profiles["data_sources"] = (records > 0).sum(axis=1)
    profiles["first_seen"] = profiles[[f"first|{name}" for name in frames]].min(axis=1)
    profiles["last_seen"] = profiles[[f"last|{name}" for name in frames]].max(axis=1)
    since = pd.Timestamp(AS_OF).tz_localize(None) - pd.Timedelta(days=30)
    profiles["is_active"] = profiles["last_seen"] >= since
    return profiles[[name for name in profiles.columns if "|" not in name]]


def _of_source(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """One row per customer of one source; the latest known value of texts (last() skips nulls)."""
    at = EVENT_TIMES[name]
    grouped = rows.sort_values(at).groupby("customer")
    latest = grouped[[*ATTRIBUTES[name], *IDENTIFIERS[name]]].last()
    latest = latest.rename(columns={kind: f"{kind}|{name}" for kind in IDENTIFIERS[name]})
    times = grouped[at].agg(["min", "max"]).set_axis([f"first|{name}", f"last|{name}"], axis=1)
    sums = grouped[METRICS[name]].sum()
    return pd.concat([latest, times, sums, grouped.size().rename(f"{name}_records")], axis=1)
