"""The job done with Splink in its exact mode, in DuckDB: a published entity-resolution package.

It links records and does no more, so that standardising before and grouping after are SQL by hand, of
somebody who knows every column and junk value.
"""

from __future__ import annotations

import logging

import duckdb

from benchmarks.by_pandas import TYPES
from benchmarks.compared import profiles_sql
from benchmarks.data import IDENTIFIERS, Dataset
from benchmarks.resolved import plain


def unified(connection: duckdb.DuckDBPyConnection, data: Dataset) -> None:
    """Make the table ``profiles``: standardise, link what is distinct, group."""
    for name, kinds in IDENTIFIERS.items():
        replaced = ", ".join(f"{plain(kind, kind)} AS {kind}" for kind in kinds)
        connection.execute(f"CREATE TABLE {name} AS SELECT * REPLACE ({replaced}) FROM '{data.source(name)}'")
    _link(connection)
    with_customer = {name: f"({_with_customer(name)})" for name in IDENTIFIERS}
    connection.execute(f"CREATE TABLE profiles AS {profiles_sql(with_customer)}")


def _link(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the table ``linked``: every combination of identifiers that a record has, and its customer.

    One blocking rule an identifier, each strict enough to generate only true links, as Splink's documentation
    asks for; equal records are put together first, as it advises: every pair is a row.
    """
    from splink import DuckDBAPI, Linker, SettingsCreator, block_on

    combinations = " UNION BY NAME ".join(
        f"SELECT {', '.join(kinds)} FROM {name}" for name, kinds in IDENTIFIERS.items()
    )
    connection.execute(
        f"CREATE TABLE combinations AS SELECT row_number() OVER () AS row, {', '.join(TYPES)} "
        f"FROM ({combinations}) WHERE coalesce({', '.join(TYPES)}) IS NOT NULL"
    )
    logging.getLogger("splink").setLevel(logging.WARNING)
    settings = SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="row",
        blocking_rules_to_generate_predictions=[block_on(kind) for kind in TYPES],
    )
    linker = Linker(DuckDBAPI(connection).register("combinations"), settings)
    pairs = linker.inference.deterministic_link()
    clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(pairs)
    connection.execute(
        f"CREATE TABLE linked AS SELECT combinations.*, cluster_id AS customer "
        f"FROM combinations JOIN {clusters.physical_name} clusters USING (row)"
    )


def _with_customer(name: str) -> str:
    """A source with its customers: those of the combinations that have no other identifiers than its own."""
    same = " AND ".join(
        f"linked.{kind} IS NOT DISTINCT FROM {name}.{kind}"
        if kind in IDENTIFIERS[name]
        else f"{kind} IS NULL"
        for kind in TYPES
    )
    return f"SELECT {name}.*, linked.customer FROM {name} LEFT JOIN linked ON {same}"
