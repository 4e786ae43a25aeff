"""The first look at a large source: one pass that finds out whatever takes all of its rows.

Reading the text of a source takes longer than looking at it, so that the sample, the zeros among ids and how
often identifiers repeat share a pass.
"""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.guests import CONTACTS, is_zero
from airflow_provider_customer360.unify.names import classify
from airflow_provider_customer360.unify.schema import FirstLook
from airflow_provider_customer360.unify.staged import Staged, StagedColumn

#: Sources up to this many rows are looked at whole; of larger ones, a sample of about this size that is
#: the same in every run.
SAMPLE_ROWS = 20_000


def take_first_look(engine: Engine, staged: Staged, columns: Sequence[StagedColumn]) -> FirstLook:
    """Look at all rows of a source of more than `SAMPLE_ROWS`, and draw a sample of some of its columns."""
    types = {one: classify(one.name).identifier_type for one in columns}
    identifiers = tuple(one.internal for one in columns if types[one])
    numbers = [one for one in columns if types[one] not in (None, *CONTACTS)]
    names, every = ", ".join(one.internal for one in columns), staged.rows // SAMPLE_ROWS
    items = [f"{_drawn(columns, every)} AS rows", different(identifiers)]
    items += [f"count(*) FILTER ({is_zero(one.internal, one.type)})" for one in numbers]
    found, sample = f"{staged.relation}_look", f"{staged.relation}_sample"
    engine.run(
        f"CREATE OR REPLACE TEMP TABLE {found} AS SELECT {', '.join(items)} "
        f"FROM (SELECT {names}, hash({names}) AS drawn FROM {staged.relation})",
        doing="sampling values",
    )
    combinations, *counts = engine.row(f"SELECT * EXCLUDE (rows) FROM {found}")
    engine.run(
        f"CREATE OR REPLACE TEMP TABLE {sample} AS "
        f"SELECT one.* FROM (SELECT unnest(rows) AS one FROM {found})"
    )
    engine.drop([found])
    taken, unequal = engine.row(f"SELECT count(*), count(DISTINCT drawn) FROM {sample}")
    if unequal < taken / 2 or not 0.95 < taken * every / staged.rows < 1.05:
        drawn = f"(SELECT {names} FROM {staged.relation}) TABLESAMPLE bernoulli({100 / every:.4f}%)"
        engine.run(
            f"CREATE OR REPLACE TEMP TABLE {sample} AS SELECT * FROM {drawn} REPEATABLE (42)",
            doing="sampling values",
        )
    zeros = {one.internal: count for one, count in zip(numbers, counts, strict=True)}
    return FirstLook(sample, identifiers, combinations, zeros)


def _drawn(columns: Sequence[StagedColumn], every: int) -> str:
    """A list of the rows that are drawn, which follow from their values and not from their order.

    Of rows that are equal it has all or none; where that would be too many, those of the least hashes.
    """
    fields = ", ".join(f"'{one.internal}': {one.internal}" for one in columns)
    return f"min({{'drawn': drawn, {fields}}}, {2 * SAMPLE_ROWS}) FILTER (drawn % {every} = 0)"


def different(columns: Sequence[str]) -> str:
    """About how many different combinations of values there are."""
    # A hash of hashes: approx_count_distinct of a struct takes ten times as long.
    return f"approx_count_distinct(hash({', '.join(columns)}))" if columns else "1"
