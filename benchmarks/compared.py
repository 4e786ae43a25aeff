"""The profiles that every contender makes of the benchmark's data: as SQL, and how they are compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from benchmarks.data import AS_OF, ATTRIBUTES, EVENT_TIMES, IDENTIFIERS, METRICS

if TYPE_CHECKING:
    import duckdb

#: Columns of the profiles that hold text or numbers of one source.
ALL_ATTRIBUTES = [name for names in ATTRIBUTES.values() for name in names]
ALL_METRICS = [name for names in METRICS.values() for name in names]
#: What `told` reads. Identifiers are not among it: everybody spells the latest one in their own way.
COMPARED = [
    *ALL_ATTRIBUTES,
    *ALL_METRICS,
    *(f"{name}_records" for name in IDENTIFIERS),
    *("total_records", "data_sources", "first_seen", "last_seen", "is_active"),
]


def profiles_sql(relations: Mapping[str, str]) -> str:
    """One row per customer, of sources that know the ``customer`` of each row; that of nobody is one as well.

    Each source is grouped by itself, and what comes of it is put together: half as long as all at once.
    """
    kinds = list(dict.fromkeys(kind for kinds in IDENTIFIERS.values() for kind in kinds))
    items = [
        "customer",
        *(f"arg_max({kind}, {kind}_at) AS {kind}" for kind in kinds),
        *(f"any_value({name}) AS {name}" for name in ALL_ATTRIBUTES),
        *(f"coalesce(sum({name}), 0) AS {name}" for name in ALL_METRICS),
        *(f"coalesce(sum({name}_records), 0)::BIGINT AS {name}_records" for name in IDENTIFIERS),
        "sum(records)::BIGINT AS total_records",
        "count(*) AS data_sources",
        "min(first_seen) AS first_seen",
        "max(last_seen) AS last_seen",
        f"max(last_seen) >= TIMESTAMP '{AS_OF:%Y-%m-%d}' - INTERVAL 30 DAY AS is_active",
    ]
    parts = " UNION ALL BY NAME ".join(_of_source(name, relation) for name, relation in relations.items())
    return f"SELECT {', '.join(items)} FROM ({parts}) GROUP BY customer"


def _of_source(name: str, relation: str) -> str:
    at = EVENT_TIMES[name]
    items = ["customer", "count(*) AS records", f"count(*) AS {name}_records"]
    items += [f"min({at}) AS first_seen", f"max({at}) AS last_seen"]
    items += [f"sum({metric}) AS {metric}" for metric in METRICS[name]]
    items += [f"arg_max({attribute}, {at}) AS {attribute}" for attribute in ATTRIBUTES[name]]
    for kind in IDENTIFIERS[name]:
        items.append(f"arg_max({kind}, {at})::VARCHAR AS {kind}")
        items.append(f"max({at}) FILTER ({kind} IS NOT NULL) AS {kind}_at")
    return f"SELECT {', '.join(items)} FROM {relation} GROUP BY customer"


def told(connection: duckdb.DuckDBPyConnection, relation: str) -> dict[str, Any]:
    """What is compared of profiles: their number, their totals, and a fingerprint of all their rows.

    The fingerprint is a sum of the rows' hashes, so that neither their order nor the customers' names matter.
    Sums are compared in thousandths, the smallest unit of the data: adding up in another order moves bits.
    """
    connection.execute("SET TimeZone = 'UTC'")
    values = [*(f"round({name} * 1000)::BIGINT" if name in ALL_METRICS else name for name in COMPARED)]
    values = [f"epoch_us({one})" if one.endswith("_seen") else one for one in values]
    totals = ", ".join(f"sum({name})::DOUBLE AS {name}" for name in ALL_METRICS)
    # Casts: an integer hashes differently from an equal one of another width.
    hashed = ", ".join(f"({one})::VARCHAR" for one in values)
    customers, fingerprint, *sums = connection.execute(
        f"SELECT count(*), sum(hash({hashed})::HUGEINT)::VARCHAR, {totals} FROM {relation}"
    ).fetchall()[0]
    return {
        "customers": customers,
        "fingerprint": fingerprint,
        "totals": dict(zip(ALL_METRICS, sums, strict=True)),
    }
