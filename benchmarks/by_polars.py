"""The job done by hand in polars, lazily and streaming: by a data engineer who knows the data and polars.

Every column's role is known here, the junk values too, and nothing is checked or reported. Each source is
read twice, which costs less than holding its texts: first its identifiers, as the numbers of categories, then
everything, grouped by customer.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl

from benchmarks.by_pandas import JUNK, TYPES, by_scipy
from benchmarks.compared import ALL_ATTRIBUTES, ALL_METRICS
from benchmarks.data import AS_OF, ATTRIBUTES, EVENT_TIMES, IDENTIFIERS, Dataset
from benchmarks.data import METRICS as METRICS_OF


def unified(data: Dataset) -> pl.DataFrame:
    """Read, normalise, resolve, add up."""
    customers = _customers(data)
    parts = [_of_source(name, pl.scan_parquet(path), customers[name]) for name, path in data.sources.items()]
    return _profiles(pl.concat(parts, how="diagonal")).collect(engine="streaming")


def _known(kind: str) -> pl.Expr:
    """An identifier without placeholders."""
    value = pl.col(kind).cast(pl.String)
    return pl.when(~value.is_in(JUNK)).then(value).alias(kind)


def _normalised(kind: str, value: pl.Expr) -> pl.Expr:
    if kind == "email":
        return value.str.strip_chars().str.to_lowercase()
    if kind == "phone":
        return value.str.replace_all("[^0-9]", "").str.strip_chars_start("0")
    return value.str.strip_chars().str.strip_suffix(".0") if kind == "customer_id" else value


def _customers(data: Dataset) -> dict[str, pl.Series]:
    """The customer of each row of each source; null where it has no identifier."""
    numbers = dict(zip(data.sources, pl.collect_all(_numbered(data), engine="streaming"), strict=True))
    begins, size = {}, 0
    for kind in TYPES:
        begins[kind] = size
        size += 1 + max(_largest(one[kind]) for one in numbers.values() if kind in one.columns)
    links, anchors = [], {}
    for name, frame in numbers.items():
        nodes = frame.select(pl.col(kind).cast(pl.Int64) + begins[kind] for kind in frame.columns)
        anchors[name] = nodes.select(anchor=pl.coalesce(pl.all())).to_series()
        for kind in nodes.columns[1:]:
            pairs = pl.LazyFrame({"a": anchors[name], "b": nodes[kind]})
            links.append(pairs.filter(pl.col("a") != pl.col("b")).unique())
    found = pl.concat(links).collect(engine="streaming")
    labels = pl.Series(by_scipy(found["a"].to_numpy(), found["b"].to_numpy(), size).astype(np.int64))
    return {name: labels.gather(anchor).alias("customer") for name, anchor in anchors.items()}


def _largest(numbers: pl.Series) -> int:
    largest = numbers.max()
    return largest if isinstance(largest, int) else 0


def _numbered(data: Dataset) -> list[pl.LazyFrame]:
    """The identifiers of each source as numbers, the same for one value in all sources."""
    categories = {kind: pl.Categorical(pl.Categories(kind, namespace="identifiers")) for kind in TYPES}
    return [
        pl.scan_parquet(path).select(
            _normalised(kind, _known(kind)).cast(categories[kind]).to_physical() for kind in IDENTIFIERS[name]
        )
        for name, path in data.sources.items()
    ]


def _of_source(name: str, rows: pl.LazyFrame, customer: pl.Series) -> pl.LazyFrame:
    """One row per customer of one source; the latest known value of texts, spelled alike only then."""
    at, kinds = EVENT_TIMES[name], IDENTIFIERS[name]
    return (
        rows.with_columns(customer, *(_known(kind) for kind in kinds))
        .filter(pl.col("customer").is_not_null())
        .group_by("customer")
        .agg(
            *(_latest(text, at) for text in (*ATTRIBUTES[name], *kinds)),
            *(pl.col(at).filter(pl.col(kind).is_not_null()).max().alias(f"{kind}_at") for kind in kinds),
            pl.col(METRICS_OF[name]).sum(),
            pl.len().cast(pl.Int64).alias(f"{name}_records"),
            pl.col(at).min().alias("first_seen"),
            pl.col(at).max().alias("last_seen"),
        )
        .with_columns(_normalised(kind, pl.col(kind)) for kind in kinds)
    )


def _latest(text: str, at: str) -> pl.Expr:
    return pl.col(text).max_by(pl.when(pl.col(text).is_not_null()).then(pl.col(at)))


def _profiles(parts: pl.LazyFrame) -> pl.LazyFrame:
    records = [f"{name}_records" for name in IDENTIFIERS]
    return (
        parts.group_by("customer")
        .agg(
            *(_latest(kind, f"{kind}_at") for kind in TYPES),
            # Of one source only, so that there is at most one.
            pl.col(ALL_ATTRIBUTES).max(),
            pl.col(ALL_METRICS).sum(),
            pl.col(records).sum(),
            pl.len().cast(pl.Int64).alias("data_sources"),
            pl.col("first_seen").min(),
            pl.col("last_seen").max(),
        )
        .with_columns(
            pl.sum_horizontal(records).alias("total_records"),
            (pl.col("last_seen") >= AS_OF.replace(tzinfo=None) - timedelta(days=30)).alias("is_active"),
        )
    )
