"""Random sources with messy identifiers, held against the oracle and against themselves.

A run of the unifier costs a good part of a second whatever its size, so there are few examples, each with
several sources in which everything that may go wrong stands together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from airflow_provider_customer360.unify import Config, DataError, Source, Unified, records, unify
from airflow_provider_customer360.unify.detect import detect
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.keys import NodeKeys
from airflow_provider_customer360.unify.manual_rules import read_rules
from airflow_provider_customer360.unify.parts import Part
from airflow_provider_customer360.unify.records import group_records
from airflow_provider_customer360.unify.resolve import find_nodes, resolve
from airflow_provider_customer360.unify.schema import Plan
from airflow_provider_customer360.unify.staging import stage
from tests.unify.oracle import (
    PLACEHOLDER_EMAILS,
    PLACEHOLDER_PHONES,
    PLACEHOLDERS,
    Customer,
    Declared,
    Truth,
    truth,
)

AS_OF = datetime(2026, 3, 1, 12, tzinfo=UTC)
WITHIN = timedelta(days=30)
#: Equal values alone decide, as in the oracle.
UNGUARDED = Config(guards=False)
LIMIT = AS_OF - WITHIN

# Per identifier type values that are few, so that records meet, in spellings that must be one value.
_IDS = (
    "1",
    "12",
    "12 ",
    "12.0",
    "\t12.00\n",
    "007",
    "a",
    "A",
    "cust_1",
    "email:x",
    "user_id:12",
    "123456789012345678",
)
_ACCENTS = ("Jos\u00e9", "Jose\u0301", "\ufeffJos\u00e9\u00a0")
_EMAILS = ("ann@example.com", " Ann@Example.COM", "bob@example.com", "bob@example.com\n", "info@shop.example")
_NO_EMAILS = ("ann(at)example.com", "ann@", "@example.com", "ann@example", "a b@example.com", "a@b@c.de")
_PHONES = (
    "+14155550101",
    "+1 (415) 555-0101",
    "001 415 555 0101",
    "415-555-0102",
    "4155550102",
    "+49 30 1234567",
)
_NO_PHONES = ("12345", "ext", "+1 415 CALL NOW")
_POOLS: dict[str, tuple[str, ...]] = {
    "email": (*_EMAILS, *_NO_EMAILS, *PLACEHOLDER_EMAILS, *PLACEHOLDERS),
    "phone": (*_PHONES, *_NO_PHONES, *PLACEHOLDER_PHONES, *PLACEHOLDERS),
}
_TYPES = ("customer_id", "user_id", "email", "phone", "anonymous_id", "loyalty_no", "contact_id")
_NUMBERS = (1, 7, 12, 0, 10**15, -1)
_TIMES = (
    *(LIMIT - timedelta(microseconds=1), LIMIT, AS_OF, AS_OF + timedelta(days=1)),
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2026, 2, 20, 1, 2, 3, 456789, tzinfo=UTC),
)
_METRICS = {"points": pa.int64(), "amount": pa.decimal128(20, 2), "weight": pa.float64()}
_ATTRIBUTES = {"city": pa.string(), "rank_no": pa.int64(), "vip": pa.bool_()}


@dataclass(frozen=True)
class Case:
    """Sources with declared roles, and the Arrow type of every column (None: mixed Python objects)."""

    declared: dict[str, Declared]
    types: dict[str, dict[str, pa.DataType | None]]


def _finite_or_not(spread: int) -> st.SearchStrategy[float]:
    wide = st.builds(math.ldexp, st.floats(-1, 1), st.integers(-spread, spread))
    return st.one_of(wide, st.sampled_from([0.1, 0.2, 0.3, 1e16, -1e16, math.nan, math.inf, -0.0]))


def _metric_values(spread: int) -> dict[str, st.SearchStrategy[Any]]:
    cents = st.decimals(-(10**9), 10**9, places=2)
    return {
        "points": st.integers(-(2**63), 2**63 - 1) | st.integers(-9, 9),
        "amount": cents,
        "weight": _finite_or_not(spread),
    }


_ATTRIBUTE_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "city": st.sampled_from(["Oslo", " Oslo ", "Rome", "zürich", "", "  "]),
    "rank_no": st.integers(-3, 3),
    "vip": st.booleans(),
}


def _spelled(kind: str, style: str) -> st.SearchStrategy[Any]:
    """Values of an identifier column: text, integers, floats (NaN where missing) or all of these mixed."""
    numbers = st.sampled_from(_NUMBERS)
    texts = st.sampled_from(_POOLS.get(kind, (*_IDS, *_ACCENTS, *PLACEHOLDERS)))
    likely = st.sampled_from(_POOLS.get(kind, _IDS)[:5])
    styles = {
        "text": likely | texts,
        "integer": numbers,
        "float": numbers.map(float) | st.just(math.nan),
    }
    styles["object"] = st.one_of(*styles.values())
    return styles[style] | st.none()


@st.composite
def cases(draw: st.DrawFn, spread: int = 30, styles: tuple[str, ...] = ("text", "integer", "float")) -> Case:
    """One to four sources; floats of a case differ in size by some 2 to the power of twice ``spread``."""
    declared, types = {}, {}
    for name in ("crm", "shop", "desk", "web")[: draw(st.integers(1, 4))]:
        least = 1 if name == "crm" else 0
        chosen = draw(st.lists(st.sampled_from(_TYPES), min_size=least, max_size=4))
        identifiers = {f"k{place}": kind for place, kind in enumerate(chosen)}
        metrics = draw(st.lists(st.sampled_from(sorted(_METRICS)), unique=True))
        attributes = draw(st.lists(st.sampled_from(sorted(_ATTRIBUTES)), unique=True))
        time = draw(st.sampled_from([None, "moment", "moment"]))
        columns: dict[str, st.SearchStrategy[Any]] = {}
        kinds: dict[str, pa.DataType | None] = {}
        for column, kind in identifiers.items():
            # Only ids come as numbers too: what is a number in a column of e-mails is no e-mail.
            style = draw(st.sampled_from(styles)) if kind not in _POOLS else "text"
            columns[column] = _spelled(kind, style)
            kinds[column] = {"text": pa.string(), "integer": pa.int64(), "float": pa.float64()}.get(style)
        columns |= {one: st.none() | _metric_values(spread)[one] for one in metrics}
        columns |= {one: st.none() | _ATTRIBUTE_VALUES[one] for one in attributes}
        kinds |= {one: (_METRICS | _ATTRIBUTES)[one] for one in (*metrics, *attributes)}
        if time:
            zoned = draw(st.booleans())
            columns[time] = st.none() | st.sampled_from(
                [moment if zoned else moment.replace(tzinfo=None) for moment in _TIMES]
            )
            kinds[time] = pa.timestamp("us", "UTC" if zoned else None)
        # Rows without any column are no records: no kind of frame but pandas even counts them.
        rows = draw(st.lists(st.fixed_dictionaries(columns), max_size=14 if columns else 0))
        if name == "crm":  # at least one record can be identified: anything else is an error
            sure = {"email": "ann@example.com", "phone": "+14155550101"}.get(chosen[0], "12")
            as_number = {pa.int64(): int, pa.float64(): float}.get(kinds["k0"], str)
            rows = [{**dict.fromkeys(columns), "k0": as_number(sure)}, *rows]
        declared[name] = Declared(rows, identifiers, metrics, attributes, time)
        types[name] = kinds
    return Case(declared, types)


def as_arrow(rows: Any, types: Mapping[str, pa.DataType | None]) -> pa.Table:
    """An Arrow table; mixed objects as the text of each."""
    arrays = []
    for column, kind in types.items():
        values = [row[column] for row in rows]
        if kind is None:
            values = [None if value is None or value != value else str(value) for value in values]
        arrays.append(pa.array(values, kind or pa.string()))
    return pa.Table.from_arrays(arrays, names=list(types))


def as_pandas(rows: Any, types: Mapping[str, pa.DataType | None]) -> pd.DataFrame:
    """A pandas frame as people have them: ids with gaps are floats, decimals and mixed values objects."""
    table, frame = as_arrow(rows, types), pd.DataFrame(index=range(len(rows)))
    for column, kind in types.items():
        if kind is None:
            frame[column] = pd.Series([row[column] for row in rows], dtype=object)
        elif column in _METRICS or column in _ATTRIBUTES:  # beyond 2**53 only this keeps integers
            frame[column] = table[column].to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
        else:
            frame[column] = table[column].to_pandas()
    return frame


def as_batches(rows: Any, types: Mapping[str, pa.DataType | None]) -> Iterator[Any]:
    """The rows in three frames of different libraries, the first of them empty."""
    half = len(rows) // 2
    yield as_pandas(rows[:0], types)
    yield as_arrow(rows[:half], types)
    yield as_pandas(rows[half:], types)


FRAMES: dict[str, Callable[[Any, Any], Any]] = {
    "pandas": as_pandas,
    "polars": lambda rows, types: pl.from_arrow(as_arrow(rows, types)),
    "arrow": as_arrow,
    "batches": as_batches,
}


def run(case: Case, build: Callable[[Any, Any], Any] = as_arrow) -> Unified:
    """Unify a case, its roles stated."""
    sources = {}
    for name, source in case.declared.items():
        identifiers: dict[str, list[str]] = {}
        for column, kind in source.identifiers.items():
            identifiers.setdefault(kind, []).append(column)
        sources[name] = Source(
            data=build(source.rows, case.types[name]),
            identifiers=identifiers,
            metrics=list(source.metrics),
            attributes=list(source.attributes),
            event_time=source.event_time,
        )
    return unify(sources, Config(active_within=WITHIN, guards=False), as_of=AS_OF)


def profiles(result: Unified) -> dict[str, dict[str, Any]]:
    """The profiles by customer id, which is unique."""
    rows = result.profiles.to_arrow().to_pylist()
    found = {row["customer_id"]: row for row in rows}
    assert len(found) == len(rows)
    return found


def clusters(result: Unified) -> dict[tuple[str, str], str]:
    """Which identifier belongs to which customer."""
    rows = result.identities.to_arrow().to_pylist()
    found = {(row["identifier_type"], row["identifier_value"]): row["customer_id"] for row in rows}
    assert len(found) == len(rows)
    return found


def outcome(result: Unified) -> Any:
    """Everything that must not change, floats to the last bit; the columns' order is not part of it."""
    exact = {
        name: {key: value.hex() if isinstance(value, float) else value for key, value in sorted(row.items())}
        for name, row in profiles(result).items()
    }
    return exact, clusters(result), result.summary["unidentified_records"]


def close(got: Any, expected: Fraction | float) -> bool:
    """Exact for integers and decimals; within one unit in the last place for floats."""
    if isinstance(expected, float):
        return abs(float(got) - expected) <= math.ulp(expected)
    return Fraction(got) == expected


def assert_is_truth(result: Unified, expected: Truth) -> None:
    """Every identifier, profile and count is what the oracle says."""
    assert clusters(result) == {
        one: customer.customer_id for customer in expected.customers.values() for one in customer.identifiers
    }
    got = profiles(result)
    assert got.keys() == expected.customers.keys()
    for name, customer in expected.customers.items():
        assert_is_customer(got[name], customer)
    for metric, value in expected.unidentified_sums.items():
        assert close(result.summary["metrics"][metric]["unidentified"], float(value) if value else 0.0)
    sources = result.summary["sources"]
    lost = {name: source["records"] - source["identified"] for name, source in sources.items()}
    assert lost == expected.unidentified


def assert_is_customer(row: Mapping[str, Any], customer: Customer) -> None:
    """One profile, column by column; a column that the oracle does not know is an error too."""
    expected = {
        "customer_id": customer.customer_id,
        "total_records": customer.total_records,
        "data_sources": customer.data_sources,
        "first_seen": customer.first_seen,
        "last_seen": customer.last_seen,
        "is_active": customer.is_active,
        **customer.attributes,
        **{f"{source}_records": count for source, count in customer.records.items()},
        **{kind: value for kind, value in customer.shown.items() if kind != "customer_id"},
    }
    assert {key: value for key, value in row.items() if key not in customer.sums} == expected
    for metric, value in customer.sums.items():
        assert close(row[metric], value), (metric, row[metric], value)


# No shrinking: at this price of a run it takes minutes, and a failure prints its case whole.
few = settings(
    max_examples=8,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
more = settings(few, max_examples=40)


@more
@given(cases(styles=("text", "integer", "float", "object")))
def test_agrees_with_the_oracle(case: Case) -> None:
    """Clusters, ids, sums, counts, times and survivors are those that the oracle finds."""
    with run(case, as_pandas) as result:
        assert_is_truth(result, truth(case.declared, AS_OF, WITHIN))


@few
@given(cases(spread=900))
def test_floats_of_any_size_are_summed_exactly(case: Case) -> None:
    """Floats too far apart for one fixed-point scale still add up to what math.fsum gives."""
    with run(case) as result:
        assert_is_truth(result, truth(case.declared, AS_OF, WITHIN))


@few
@given(cases(spread=300), st.randoms(use_true_random=False))
def test_any_order_gives_the_same(case: Case, random: Any) -> None:
    """Neither the order of rows nor of sources nor of a source's columns changes a single bit."""
    declared = {}
    for name in random.sample(sorted(case.declared), len(case.declared)):
        source = case.declared[name]
        identifiers = dict(random.sample(sorted(source.identifiers.items()), len(source.identifiers)))
        rows = random.sample(list(source.rows), len(source.rows))
        declared[name] = replace(source, rows=rows, identifiers=identifiers)
    types = {name: dict(reversed(case.types[name].items())) for name in declared}
    with run(case) as result, run(Case(declared, types)) as shuffled:
        assert outcome(shuffled) == outcome(result)


@few
@given(cases(spread=60))
def test_grouping_first_changes_nothing(case: Case) -> None:
    """Whether rows of the same identifiers are grouped before anything else is a matter of speed."""
    outcomes = []
    for worth in (0, math.inf):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(records, "_WORTH_GROUPING", worth)
            with run(case) as result:
                outcomes.append(outcome(result))
    assert outcomes[0] == outcomes[1]


@few
@given(cases(spread=60))
def test_parts_change_nothing(case: Case) -> None:
    """Whether customers and identifiers are worked on all at once or in parts is a matter of memory."""
    outcomes = []
    for parts in (1, 3):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Engine, "parts", lambda *_, parts=parts: Part.all(parts))
            with run(case) as result:
                identities = sorted(result.identities.to_arrow().to_pylist(), key=repr)
                outcomes.append((outcome(result), identities))
    assert outcomes[0] == outcomes[1]


@few
@given(cases(spread=60, styles=("text", "integer", "float", "object")))
def test_every_kind_of_frame_gives_the_same(case: Case) -> None:
    """pandas, polars, Arrow and batches of several libraries are the same source."""
    outcomes = {}
    for kind, build in FRAMES.items():
        with run(case, build) as result:
            outcomes[kind] = outcome(result)
    assert all(one == outcomes["arrow"] for one in outcomes.values()), outcomes


@few
@given(cases(spread=300))
def test_nothing_is_lost_or_counted_twice(case: Case) -> None:
    """Profiles and unidentified records together hold every record and every amount."""
    with run(case) as result:
        got, summary = profiles(result).values(), result.summary
    rows = [(source, row) for source in case.declared.values() for row in source.rows]
    assert summary["total_records"] == len(rows)
    assert sum(row["total_records"] for row in got) + summary["unidentified_records"] == len(rows)
    for metric in summary["metrics"]:
        amounts = [row.get(metric) for source, row in rows if metric in source.metrics]
        finite = [amount for amount in amounts if amount is not None and math.isfinite(amount)]
        figures = summary["metrics"][metric]
        # The summary is JSON, in which decimals are floats; the profiles are exact.
        stated = Fraction(figures["total"]) + Fraction(figures["unidentified"])
        assert math.isclose(stated, sum(map(Fraction, finite)), rel_tol=1e-12, abs_tol=_noise(finite))
        exact = Fraction(0) + sum(Fraction(row[metric]) for row in got)
        assert math.isclose(exact, Fraction(figures["total"]), rel_tol=1e-12, abs_tol=_noise(finite))


def _noise(amounts: list[Any]) -> float:
    """What rounding each profile's float once may add up to."""
    return sum(math.ulp(float(sum(map(abs, map(Fraction, amounts))))) for _ in range(len(amounts) + 2))


@few
@given(cases())
def test_twice_is_the_same_and_doubled_is_double(case: Case) -> None:
    """A second run repeats the first; rows that all come twice change counts and sums only, by two."""
    doubled = {
        name: replace(source, rows=[*source.rows, *source.rows]) for name, source in case.declared.items()
    }
    with run(case) as first, run(case) as second, run(Case(doubled, case.types)) as twice:
        assert outcome(first) == outcome(second)
        assert clusters(twice) == clusters(first)
        once, double = profiles(first), profiles(twice)
    counted = {"total_records", *(f"{name}_records" for name in case.declared), *_METRICS}
    for name, row in once.items():
        expected = {key: 2 * value if key in counted else value for key, value in row.items()}
        assert double[name] == expected


def resolved(engine: Engine, plan: Plan, keys: NodeKeys) -> NodeKeys:
    """Resolve staged sources without rules; returns the keys that did not collide."""
    group_records(engine, plan, keys)
    keys = find_nodes(engine, plan, keys)
    resolve(engine, plan, read_rules(engine, plan, Config(), keys, None, None))
    return keys


@few
@given(cases(), st.integers(9, 11))
def test_a_collision_of_hashes_is_repaired(case: Case, bits: int) -> None:
    """With keys of a few bits strangers' hashes collide; another salt parts them, and nobody is merged."""
    with Engine() as engine:
        sources = {
            name: Source(
                data=as_arrow(one.rows, case.types[name]),
                identifiers={kind: [c for c, k in one.identifiers.items() if k == kind] for kind in _TYPES},
            )
            for name, one in case.declared.items()
        }
        staged = {
            name: stage(engine.connection, f"source_{index}", source.data)
            for index, (name, source) in enumerate(sources.items())
        }
        plan = detect(engine, staged, sources, UNGUARDED)
        resolved(engine, plan, NodeKeys(bits=bits))
        rows = engine.rows(
            "SELECT identifier_type, identifier_value, customer_id "
            "FROM identities JOIN customers USING (customer)"
        )
    expected = truth(case.declared, AS_OF, WITHIN).customers.values()
    assert {(kind, value): customer for kind, value, customer in rows} == {
        one: customer.customer_id for customer in expected for one in customer.identifiers
    }


def test_a_collision_is_seen_and_another_salt_taken() -> None:
    """Where the first salt's keys collide and another one's do not, the result is right."""
    people, salts = 20, []
    with Engine() as engine:
        for group in range(12):  # at 8 bits about every other group of 20 collides
            emails = [f"person{number}@{group}.example.com" for number in range(people)]
            staged = {"s": stage(engine.connection, "source_0", pa.table({"email": emails}))}
            plan = detect(engine, staged, {"s": Source(data=None)}, UNGUARDED)
            try:
                salts.append(resolved(engine, plan, NodeKeys(bits=8)).salt)
            except DataError:
                continue
            counts = engine.row("SELECT count(DISTINCT customer), count(DISTINCT node) FROM identities")
            assert counts == (people, people)
    assert min(salts) < max(salts), "no first salt collided: use fewer bits"


def test_keys_of_one_bit_are_an_error() -> None:
    """Where no salt can part the identifiers, strangers are not merged: the run fails."""
    with Engine() as engine:
        staged = {"s": stage(engine.connection, "source_0", pa.table({"customer_id": list("abcdef")}))}
        plan = detect(engine, staged, {"s": Source(data=None)}, UNGUARDED)
        with pytest.raises(DataError, match="collided under 5 salts"):
            resolved(engine, plan, NodeKeys(bits=1))


def test_a_long_chain_is_one_customer() -> None:
    """Records that each share one identifier with the next are one customer, at any length of the chain."""
    links = pa.table(
        {"customer_id": [f"c{i}" for i in range(3000)], "user_id": [f"c{i + 1}" for i in range(3000)]}
    )
    back = pa.table(
        {"user_id": [f"c{i}" for i in range(3000)], "customer_id": [f"c{i}" for i in range(3000)]}
    )
    with unify({"links": links, "back": back}, UNGUARDED) as result:
        (row,) = result.profiles.to_arrow().to_pylist()
    assert row["total_records"] == 6000
    assert row["customer_id"] == "c0"


def test_zones_of_event_times_do_not_matter() -> None:
    """The same moment in another zone, and a naive time as UTC, give the same first and last seen."""
    moment = datetime(2026, 2, 20, 12, tzinfo=UTC)
    spellings = [moment, moment.astimezone(timezone(timedelta(hours=-8))), moment.replace(tzinfo=None)]
    for spelled in spellings:
        with unify({"s": pa.table({"customer_id": ["a"], "created_at": [spelled]})}) as result:
            assert profiles(result)["a"]["last_seen"] == moment


def test_decimals_of_sources_keep_every_digit() -> None:
    """Decimals of different scales add up exactly, and stay decimals."""
    one = pa.table({"customer_id": ["a", "a"], "amount": [Decimal("0.10"), Decimal("0.20")]})
    other = pa.table({"customer_id": ["a"], "amount": [Decimal("0.000001")]})
    with unify({"one": one, "other": other}) as result:
        assert profiles(result)["a"]["amount"] == Decimal("0.300001")
