"""Profiles of 25 columns on several days, as Parquet: the same customers, some of them changed.

They look like what the operator publishes: a text key in no order, identifiers, attributes with nulls, empty
texts, quotation marks and line breaks, counts, sums with two and six decimals, floating-point numbers, flags
and instants. Everything follows from a customer's number.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

#: Part of the folder's name: another number when the same size gives other data.
VERSION = 1
KEY = "customer_id"
BATCH_ROWS = 50_000

#: A number below a limit that follows from a customer and the name of what it is for.
_MACRO = "CREATE MACRO one(i, what, n) AS (hash(i, what) % n)::BIGINT"
_PROFILES = r"""
    SELECT 'c360_' || lpad(lower(to_hex(hash(i))), 16, '0') AS customer_id,
           'first.last' || i || '@example.com' AS email,
           '+1' || (2000000000 + i) AS phone,
           lower(to_hex(hash(i, 'device'))) AS anonymous_id,
           'Name' || one(i, 'first', 500) AS first_name,
           'Surname' || one(i, 'last', 5000) AS last_name,
           CASE WHEN one(i, 'no city', 20) > 0 THEN 'Çity ' || one(i, 'city', 200) END AS city,
           CASE WHEN one(i, 'no page', 10) > 0 THEN '/shop/' || one(i, 'page', 200) END AS page,
           ['web', 'store', 'phone', NULL, ''][one(i, 'channel', 5) + 1] AS channel,
           CASE WHEN one(i, 'note', 50) = 0 THEN E'said "hi",\nleft; 100 %' END AS note,
           one(i, 'records', 40) + changed AS total_records,
           one(i, 'sources', 5) AS data_sources,
           one(i, 'crm', 3) AS crm_records,
           one(i, 'orders', 9) AS orders_records,
           one(i, 'web', 30) AS web_records,
           (one(i, 'amount', 10_000_000)::DECIMAL(18, 2) / 100 + changed)::DECIMAL(18, 2) AS amount,
           (one(i, 'refunds', 1_000_000_000)::DECIMAL(38, 0) / 1_000_000)::DECIMAL(38, 6) AS refunds,
           one(i, 'seconds', 1_000_000) / 1000 AS duration_seconds,
           sqrt(one(i, 'score', 1_000_000)) AS score,
           CASE WHEN one(i, 'no points', 10) > 0 THEN one(i, 'points', 10_000) / 7 END AS points,
           one(i, 'active', 3) = 0 AS is_active,
           one(i, 'vip', 10) = 0 AS is_vip,
           to_timestamp(1_704_067_200 + one(i, 'from', 31_622_400_000) / 1000) AS first_seen,
           to_timestamp(1_735_689_600 + one(i, 'to', 31_622_400) + 86_400 * changed) AS last_seen,
           CASE WHEN one(i, 'made', 20) > 0 THEN to_timestamp(1_600_000_000 + i) END AS created_at
    FROM (SELECT i, (one(i, 'changed', 1_000_000) < {changed} * 1_000_000)::BIGINT AS changed
          FROM range({begin}, {end}) customers(i))
    ORDER BY i
"""


@dataclass(frozen=True)
class Days:
    """Where the files of one size lie.

    Attributes:
        folder: of the files.
        rows: of yesterday.
        changed: the share of yesterday's customers that are other today; a tenth of it came, one went.
        sample: rows of yesterday that are enough for what is slow; a twentieth for what is slower.
    """

    folder: Path
    rows: int
    changed: float
    sample: int

    def file(self, day: str) -> Path:
        """The profiles of one of `spans`."""
        return self.folder / f"{day}.parquet"

    @property
    def spans(self) -> dict[str, tuple[int, int, float]]:
        """For each day the first customer, the one after the last, and the share that changed."""
        came = round(self.rows * self.changed / 10)
        return {
            "few": (0, self.sample // 20, 0),
            "sample": (0, self.sample, 0),
            "yesterday": (0, self.rows, 0),
            "today": (came, self.rows + came, self.changed),
            "everything": (0, self.rows, 1),
        }


def read(file: Path, first: int | None = None) -> pa.RecordBatchReader:
    """The profiles of a file or the first of them, batch by batch, as the operator gets them."""
    parquet = pq.ParquetFile(file)
    batches = islice(parquet.iter_batches(first), 1) if first else parquet.iter_batches(BATCH_ROWS)
    return pa.RecordBatchReader.from_batches(parquet.schema_arrow.remove_metadata(), batches)


def days(rows: int, changed: float, sample: int, cache: Path | None = None) -> Days:
    """The profiles, made where they do not exist yet."""
    cache = cache or Path(tempfile.gettempdir()) / "customer360-benchmarks"
    name = f"profiles-v{VERSION}-rows{rows}-changed{changed}-sample{sample}"
    made = Days(cache / name, rows, changed, sample)
    if not made.folder.exists():
        # Under a name of its own until it is complete: another run may be at it, or be interrupted.
        cache.mkdir(parents=True, exist_ok=True)
        draft = Days(Path(tempfile.mkdtemp(prefix=name, dir=cache)), rows, changed, sample)
        with duckdb.connect() as connection:
            connection.execute(_MACRO)
            for day, (begin, end, share) in draft.spans.items():
                query = _PROFILES.format(begin=begin, end=end, changed=share)
                connection.execute(f"COPY ({query}) TO '{draft.file(day)}' (ROW_GROUP_SIZE {BATCH_ROWS})")
        draft.folder.rename(made.folder)
    return made


def main() -> None:
    """Make the data in a process that ends; `run` says which."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--changed", type=float, required=True)
    parser.add_argument("--sample", type=int, required=True)
    parser.add_argument("--data", type=Path)
    given = parser.parse_args()
    print(days(given.rows, given.changed, given.sample, given.data).folder)


if __name__ == "__main__":
    main()
