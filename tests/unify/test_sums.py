"""Sums to the last digit: exact where the type is, rounded once where it is not, the same in every order."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from airflow_provider_customer360.unify import Config, Source, sums, unify
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.errors import ConfigError, DataError


def amounts(values: Sequence[Any], customers: Sequence[str] | None = None, kind: Any = None) -> pa.Table:
    """A source of amounts, all of one customer unless said otherwise."""
    return pa.table({"customer_id": list(customers or "a" * len(values)), "amount": pa.array(values, kind)})


def aggregated(*tables: pa.Table, aggregate: str = "sum") -> dict[str, Any]:
    """The amount of each customer over these sources."""
    sources = {f"source {number}": Source(data=table) for number, table in enumerate(tables)}
    with unify(sources, Config(metrics={"amount": aggregate})) as result:
        profiles = result.profiles.to_arrow().to_pylist()
    return {profile["customer_id"]: profile["amount"] for profile in profiles}


def same(got: Any, expected: Any) -> bool:
    """Equal and of one type; -0.0 is 0.0."""
    return type(got) is type(expected) and got == expected


D = Decimal
MAX = 2**63 - 1
SUMS: dict[str, tuple[list[Any], Any, Any]] = {
    "integers": ([1, 2, None, -4], pa.int64(), -1),
    "no value": ([None, None], pa.int64(), 0),
    "the largest integer": ([MAX, 0], pa.int64(), MAX),
    "one more": ([MAX, 1], pa.int64(), D(MAX + 1)),
    "the smallest integer twice": ([-MAX - 1, -MAX - 1], pa.int64(), D(-(2**64))),
    "overflow on the way only": ([MAX, MAX, -MAX, -MAX, 5], pa.int64(), 5),
    "unsigned": ([2**64 - 1, 2**64 - 1], pa.uint64(), D(2**65 - 2)),
    "decimals": ([D("0.10"), D("0.20"), None], pa.decimal128(9, 2), D("0.30")),
    "many digits": (
        [D("0." + "0" * 29 + "1"), D("12345")],
        pa.decimal128(38, 30),
        D("12345." + "0" * 29 + "1"),
    ),
    "tenths": ([0.1, 0.2, 0.3], pa.float64(), 0.6),
    "ten tenths": ([0.1] * 10, pa.float64(), 1.0),
    "cancelling": ([1e16, 1.0, -1e16], pa.float64(), 1.0),
    "cancelling, far apart": ([1e300, 1.0, -1e300], pa.float64(), 1.0),
    "cancelling, as far apart as can be": ([1e307, 5e-324, -1e307], pa.float64(), 5e-324),
    "subnormal": ([5e-324, 5e-324, None], pa.float64(), 1e-323),
    "halves that round to even": ([2.0**53, 1.0, 2.0**-60], pa.float64(), 2.0**53 + 2),
    "halves that stay": ([2.0**53, 1.0], pa.float64(), 2.0**53),
    "negative halves": ([-(2.0**53), -1.0, -(2.0**-60)], pa.float64(), -(2.0**53) - 2),
    "no number": ([math.nan, math.inf, -math.inf, None], pa.float64(), 0.0),
    "numbers beside what is none": ([math.nan, 2.5, math.inf], pa.float64(), 2.5),
    "single precision": ([0.5, 0.25], pa.float32(), 0.75),
    "booleans": ([True, True, False, None], pa.bool_(), 2),
    "text": (["1.5", " 2 ", "x", "", None], pa.string(), 3.5),
}


@pytest.mark.parametrize("name", SUMS)
def test_sum(name: str) -> None:
    """A sum has every digit that its type can hold, in one source and spread over several."""
    values, kind, expected = SUMS[name]
    together = aggregated(amounts(values, kind=kind))["a"]
    apart = aggregated(*(amounts([value], kind=kind) for value in values))["a"]
    assert same(together, expected)
    assert same(apart, expected)


@pytest.mark.parametrize(
    ("aggregate", "kind", "values", "expected"),
    [
        ("mean", pa.int64(), [1, 2, None, 6], 3.0),
        ("mean", pa.int64(), [MAX, MAX], float(MAX)),
        ("mean", pa.decimal128(9, 2), [D("0.10"), D("0.20")], 0.15),
        ("mean", pa.float64(), [1e300, -1e300, 3.0], 1.0),
        ("mean", pa.float64(), [math.nan, 4.0], 4.0),
        ("mean", pa.float64(), [math.nan, None], None),
        ("min", pa.int64(), [3, -MAX, None], -MAX),
        ("max", pa.int64(), [3, MAX, None], MAX),
        ("max", pa.int64(), [None, None], None),
        ("min", pa.float64(), [math.nan, 2.5, -math.inf], 2.5),
        ("max", pa.float64(), [1e308, 1e-308], 1e308),
        ("max", pa.decimal128(38, 2), [D("0.10"), D("0.20")], D("0.20")),
    ],
)
def test_other_aggregates(aggregate: str, kind: Any, values: list[Any], expected: Any) -> None:
    """Mean, least and greatest ignore what is no number; without a number they are null, not 0."""
    assert same(aggregated(amounts(values, kind=kind), aggregate=aggregate)["a"], expected)
    apart = (amounts([value], kind=kind) for value in values)
    assert same(aggregated(*apart, aggregate=aggregate)["a"], expected)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (amounts([1]), amounts([D("0.50")]), D("1.50")),
        (amounts([1]), amounts([0.5]), 1.5),
        (amounts([D("0.5")]), amounts([D("0.25")]), D("0.75")),
        (amounts([D("0.50")]), amounts([0.25]), 0.75),
        (amounts([True]), amounts([2]), 3),
        (amounts(["1.5"]), amounts([2]), 3.5),
        (amounts([MAX]), amounts([None], kind=pa.null()), MAX),
        (amounts([D("0.10")]), amounts([None], kind=pa.null()), D("0.10")),
    ],
)
def test_sources_of_several_types(one: pa.Table, other: pa.Table, expected: Any) -> None:
    """The widest type of the sources' numbers wins; a column without any value has no say."""
    assert same(aggregated(one, other)["a"], expected)
    assert same(aggregated(other, one)["a"], expected)


def test_a_customer_without_the_metric_has_zero_of_it() -> None:
    """A sum over no record is 0 in the metric's type, whatever other customers have."""
    other = pa.table({"customer_id": ["b"], "city": ["Oslo"]})
    for table, zero in ((amounts([5]), 0), (amounts([D("5.00")]), D("0.00")), (amounts([0.5]), 0.0)):
        with unify({"one": table, "other": other}) as result:
            by_id = {row["customer_id"]: row["amount"] for row in result.profiles.to_arrow().to_pylist()}
        assert same(by_id["b"], zero)


@pytest.mark.parametrize(("size", "count"), [(6, 40_000), (20, 40_000), (900, 6_000)])
def test_floats_are_rounded_once(size: int, count: int) -> None:
    """Thousands of random sums of similar or wildly different sizes equal math.fsum to the last bit."""
    dice = random.Random(20260131)
    values = [
        math.ldexp(dice.choice((-1, 1)) * dice.uniform(0.5, 1), dice.randint(-size, size))
        for _ in range(count)
    ]
    customers = [f"c{dice.randrange(count // 4)}" for _ in values]
    expected: dict[str, list[float]] = {}
    for customer, value in zip(customers, values, strict=True):
        expected.setdefault(customer, []).append(value)
    got = aggregated(amounts(values, customers))
    assert {customer: value.hex() for customer, value in got.items()} == {
        customer: math.fsum(own).hex() for customer, own in expected.items()
    }


def test_other_customers_change_nothing() -> None:
    """A customer's sum stays the same bit for bit, whatever the sizes of other customers' values are."""
    dice = random.Random(1)
    values = [round(dice.uniform(0.01, 1e5), 2) for _ in range(6000)]
    customers = [f"c{number % 1500}" for number in range(len(values))]
    alone = aggregated(amounts(values, customers))
    for other in (1e-4, 1e-12, 1e15, 1e19, 1e300, 5e-324):
        with_other = aggregated(amounts([*values, other], [*customers, "other"]))
        assert with_other.pop("other") == other
        assert with_other == alone


def test_every_order_gives_the_same_bits() -> None:
    """All orders of the same values, in rows and in sources, give one sum."""
    values = [0.1, 1e16, -0.3, 1e-9]
    expected = math.fsum(values).hex()
    orders = list(itertools.permutations(values))
    customers = [f"order_{number}" for number, order in enumerate(orders) for _ in order]
    got = aggregated(amounts([value for order in orders for value in order], customers))
    assert {value.hex() for value in got.values()} == {expected}
    for order in (orders[0], orders[9], orders[-1]):
        assert aggregated(*(amounts([value]) for value in order))["a"].hex() == expected


def test_nearest_double() -> None:
    """A 128-bit integer becomes the nearest double, halves to even, as Python's int does."""
    dice = random.Random(3)
    numbers = [0, 1, 2**53 + 1, 2**53 + 3, 2**64 - 1, 2**64 + 2**11, 2**64 + 2**11 + 1, 2**126 - 1]
    numbers += [dice.getrandbits(dice.randint(1, 126)) for _ in range(2000)]
    numbers += [(dice.getrandbits(53) << 60) + (1 << 59) + dice.choice([-1, 0, 1]) for _ in range(500)]
    numbers += [-number for number in numbers]
    with Engine() as engine:
        sums.prepare(engine.connection)
        listed = ", ".join(f"({place}, '{number}'::HUGEINT)" for place, number in enumerate(numbers))
        rows = engine.rows(f"SELECT nearest_double(h) FROM (VALUES {listed}) AS t(n, h) ORDER BY n")
    assert [value for (value,) in rows] == [float(number) for number in numbers]


@pytest.mark.parametrize(
    ("values", "kind", "error", "says"),
    [
        ([D(10) ** 37 * 9, D(10) ** 37 * 9], pa.decimal128(38, 0), DataError, "38 digits"),
        ([D("9" * 8 + "." + "9" * 30)] * 20, pa.decimal128(38, 30), DataError, "38 digits"),
        ([1.7e308, 1.7e308], pa.float64(), DataError, "double"),
        ([1], pa.date32(), ConfigError, "date values"),
    ],
)
def test_sums_that_no_type_holds(values: list[Any], kind: Any, error: type[Exception], says: str) -> None:
    """A sum that may exceed its type is an error that names the metric and the limit, before any is wrong."""
    with pytest.raises(error, match=says) as raised:
        aggregated(amounts(values, kind=kind))
    assert "amount" in str(raised.value)
    assert "999" not in str(raised.value)


def test_numbers_that_count_as_nothing_are_reported() -> None:
    """How many values are no numbers is a warning with their number, without the values."""
    tables = {"crm": amounts([math.nan, math.inf, 1.0]), "shop": amounts(["x", "1", None])}
    with unify(tables, Config(metrics=["amount"])) as result:
        (warning,) = (one for one in result.summary["warnings"] if "amount" in one)
    assert "2 values" in warning  # NaN is "no value" in every kind of frame
    assert "crm.amount" in warning
    assert "'x'" not in warning


@pytest.mark.parametrize("order", list(itertools.permutations((1e16, -1e16, 0.3))))
def test_the_mean_over_customers_is_that_of_the_exact_sum(order: tuple[float, ...]) -> None:
    """So it is the same in whatever order customers are added up."""
    orders = pa.table({"customer_id": [f"c{n}" for n in range(len(order))], "amount": order})
    with unify({"orders": orders}) as result:
        assert result.summary["metrics"]["amount"]["mean"] == 0.1
