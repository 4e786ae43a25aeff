"""The standardised identifiers of a data set's records: what all contenders but the naive one start from.

The package's own rules are used, so that nobody wins or loses by how an e-mail is written or which
placeholders are known; the contenders differ only in what they make of equal identifiers.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.identifier_types import identifier_type
from airflow_provider_customer360.unify.phones import PhoneColumn, parse_phones
from airflow_provider_customer360.unify.rules import rule
from airflow_provider_customer360.unify.standardise import RawColumn, standardise
from benchmarks.accuracy.labelled import Labelled

#: Records; nobody has as many with one value of any identifier, and most junk has more.
TOO_MANY = 50


def standard_identifiers(data: Labelled) -> pa.Table:
    """One row a record in the order of ``data.truth``: ``row``, ``source`` and a text column per type."""
    engine = Engine()
    try:
        parts = []
        for source, table in data.sources.items():
            begin = data.offsets[source]
            engine.register(
                "given", table.append_column("row_number", pa.array(np.arange(len(table)) + begin))
            )
            kinds = {name: kind for name, kind, *_ in engine.rows("DESCRIBE given")}
            known = [kind for kind in data.types if kind in data.identifiers[source]]
            columns = [
                RawColumn(rule(identifier_type(kind)), f"raw_{j}", kinds[data.identifiers[source][kind]])
                for j, kind in enumerate(known)
            ]
            raw = [f'"{data.identifiers[source][kind]}" AS raw_{j}' for j, kind in enumerate(known)]
            engine.run(
                "CREATE TABLE standard AS "
                + standardise(f"SELECT {', '.join(['row_number AS row', *raw])} FROM given", columns)
            )
            if "phone" in known:
                j = known.index("phone")
                parse_phones(engine, [PhoneColumn("standard", f"id_{j}", f"blocked_{j}", "phone", None)])
            items = [
                f'{f"id_{known.index(kind)}" if kind in known else "NULL::VARCHAR"} AS "{kind}"'
                for kind in data.types
            ]
            made = engine.reader(
                f"SELECT row, {', '.join(items)} FROM standard ORDER BY row", 1_000_000
            ).read_all()
            parts.append(made.add_column(1, "source", pa.array([source] * len(made), pa.string())))
            engine.drop(["standard"])
        return pa.concat_tables(parts).combine_chunks()
    finally:
        engine.close()


def tuned_by_hand(data: Labelled, identifiers: pa.Table) -> pa.Table:
    """The same, prepared by somebody who looked at the data.

    Numberings that only look alike are told apart, and values on more than `TOO_MANY` records are left out.
    """
    for kind in data.types:
        value = identifiers.column(kind)
        if kind in data.numbered_apart:
            apart = pc.is_in(identifiers.column("source"), pa.array(data.numbered_apart[kind]))
            own = pc.binary_join_element_wise(identifiers.column("source"), value, ":")
            value = pc.if_else(apart, own, value)
        number = codes(value)
        often = np.bincount(number[number >= 0], minlength=1)[number] > TOO_MANY
        value = pc.if_else(pa.array(often), None, value)
        identifiers = identifiers.set_column(identifiers.column_names.index(kind), kind, value)
    return identifiers


def codes(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Equal values as equal integers from 0; -1 for none."""
    encoded = pc.dictionary_encode(column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column)
    return encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
