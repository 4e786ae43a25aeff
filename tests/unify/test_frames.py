"""Frames of every library arrive as Arrow tables of a small closed set of types."""

from __future__ import annotations

import enum
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_customer360.unify.errors import SourceError
from airflow_provider_customer360.unify.frames import UNUSABLE, arrow_tables, objects_column

moment = datetime.fromisoformat


class Tier(enum.Enum):
    GOLD = "gold"


def only(data: Any) -> pa.Table:
    (table,) = arrow_tables(data)
    return table


def types(table: pa.Table) -> dict[str, str]:
    return {field.name: str(field.type) for field in table.schema}


def why_unusable(table: pa.Table) -> dict[str, str]:
    return {f.name: f.metadata[UNUSABLE].decode() for f in table.schema if f.metadata}


CEST = timezone(timedelta(hours=2))
OBJECTS: list[tuple[list[Any], str, list[Any]]] = [
    ([], "null", []),
    ([None, float("nan"), pd.NA, pd.NaT, Decimal("NaN"), Decimal("sNaN")], "null", [None] * 6),
    ([1, None], "int64", [1, None]),
    ([1, float("nan")], "int64", [1, None]),
    ([2**60 + 1, 7.0], "int64", [2**60 + 1, 7]),
    ([1, 2.5], "double", [1.0, 2.5]),
    ([2**63, 1], "decimal128(38, 0)", [Decimal(2**63), Decimal(1)]),
    ([10**40, 1], "large_string", ["1" + "0" * 40, "1"]),
    ([10**400, 1.5], "large_string", ["1" + "0" * 400, "1.5"]),
    ([1 << 20_000], "large_string", [hex(1 << 20_000)]),
    ([Decimal("1.50"), Decimal(100), None], "decimal128(5, 2)", [Decimal("1.50"), Decimal("100.00"), None]),
    ([Decimal("1.5"), 2**63], "decimal128(20, 1)", [Decimal("1.5"), Decimal(2**63)]),
    ([Decimal("1.5"), 0.25], "double", [1.5, 0.25]),
    ([Decimal("Infinity"), Decimal(1)], "double", [float("inf"), 1.0]),
    ([Decimal("1E+5000")], "large_string", ["1E+5000"]),
    ([10, "20", None], "int64", [10, 20, None]),
    ([10, " 20 ", ""], "int64", [10, 20, None]),
    ([10, "1.5"], "decimal128(3, 1)", [Decimal(10), Decimal("1.5")]),
    ([0.5, "2"], "double", [0.5, 2.0]),
    ([10.0, "007"], "large_string", ["10", "007"]),
    ([10, "+49"], "large_string", ["10", "+49"]),
    (["20", "30"], "large_string", ["20", "30"]),
    (
        ["a", 1, 2.0, Decimal("3.00"), 0.5, Decimal("0.50")],
        "large_string",
        ["a", "1", "2", "3", "0.5", "0.50"],
    ),
    ([True, None], "bool", [True, None]),
    ([True, 1, "x"], "large_string", ["true", "1", "x"]),
    ([date(2024, 1, 2)], "date32[day]", [date(2024, 1, 2)]),
    (
        [date(2024, 1, 2), moment("2024-01-03 04:00")],
        "timestamp[us]",
        [moment("2024-01-02"), moment("2024-01-03 04:00")],
    ),
    (
        [moment("2024-01-01 05:00"), datetime(2024, 1, 1, 5, tzinfo=CEST), date(2024, 1, 1)],
        "timestamp[us, tz=UTC]",
        [
            datetime(2024, 1, 1, 5, tzinfo=UTC),
            datetime(2024, 1, 1, 3, tzinfo=UTC),
            datetime(2024, 1, 1, tzinfo=UTC),
        ],
    ),
    (
        [pd.Timestamp("2024-01-01 00:00:00.123456789")],
        "timestamp[us]",
        [moment("2024-01-01 00:00:00.123456")],
    ),
    ([pd.NaT, moment("2024-01-01")], "timestamp[us]", [None, moment("2024-01-01")]),
    (
        [np.datetime64("2024-01-01", "ns"), np.datetime64("NaT")],
        "timestamp[us]",
        [moment("2024-01-01"), None],
    ),
    ([date(2024, 1, 1), "soon"], "large_string", ["2024-01-01", "soon"]),
    ([time(1, 2), None], "large_string", ["01:02:00", None]),
    ([timedelta(minutes=1), np.timedelta64(5, "s")], "double", [60.0, 5.0]),
    ([UUID(int=5), PurePosixPath("/x")], "large_string", [str(UUID(int=5)), "/x"]),
    ([pd.Period("2024-01"), pd.Interval(0, 1)], "large_string", ["2024-01", "(0, 1]"]),
    ([Tier.GOLD], "large_string", ["gold"]),
    (["a\ud800", "\ud83d\ude00"], "large_string", ["a�", "😀"]),
    ([np.int8(1), np.uint64(2**64 - 1)], "decimal128(38, 0)", [Decimal(1), Decimal(2**64 - 1)]),
    ([np.float32(1.5), np.longdouble(2.5)], "double", [1.5, 2.5]),
    ([np.str_("a"), np.bool_(True)], "large_string", ["a", "true"]),
]


@pytest.mark.parametrize(("values", "kind", "expected"), OBJECTS, ids=lambda value: ascii(type(value)))
def test_objects_get_the_narrowest_type_that_holds_them(
    values: list[Any], kind: str, expected: list[Any]
) -> None:
    """Python values keep what makes them exact: digits, zones, leading zeros; missing is null."""
    column, unusable = objects_column(values)
    assert (str(column.type), column.to_pylist(), unusable) == (kind, expected, None)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({}, "nested values"),
        ([1], "nested values"),
        ({1}, "nested values"),
        (np.array([1]), "nested values"),
        (b"x", "binary values"),
        (memoryview(b"x"), "binary values"),
        (object(), "unsupported values"),
        (1j, "unsupported values"),
    ],
)
def test_what_no_column_type_holds_is_marked(value: Any, reason: str) -> None:
    """A column with one nested, binary or foreign object is nulls, and says why."""
    column, unusable = objects_column(["text", value, None])
    assert (str(column.type), len(column), column.null_count, unusable) == ("null", 3, 3, reason)


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.decimals(), st.uuids(), st.dates(), st.times(),
    st.datetimes(), st.datetimes(timezones=st.timezones()), st.timedeltas(), st.fractions(),
    st.text(st.characters(exclude_categories=())), st.binary(), st.lists(st.integers()), st.complex_numbers(),
    st.sampled_from([pd.NA, pd.NaT, np.int8(3), np.float32("nan"), "007", "12", " 1.50", Tier.GOLD]),
    st.just(10**4500),
)  # fmt: skip


def is_missing(value: Any) -> bool:
    return (
        value is None
        or value is pd.NA
        or value is pd.NaT
        or (hasattr(value, "imag") and bool(value != value))
    )


@given(st.lists(scalars, max_size=6) | scalars.flatmap(lambda one: st.lists(st.just(one), max_size=3)))
def test_any_mixture_of_objects_keeps_its_null_positions(values: list[Any]) -> None:
    """Whatever Python objects a column holds, it arrives, and exactly the missing values are null."""
    values = [None if isinstance(v, Decimal) and v.is_nan() else v for v in values]
    column, unusable = objects_column(values)
    if unusable:
        assert column.null_count == len(values)
        return
    column.validate(full=True)
    blank_is_missing = not pa.types.is_large_string(column.type)
    expected = [is_missing(v) or (blank_is_missing and isinstance(v, str) and not v.strip()) for v in values]
    assert column.is_null().to_pylist() == expected


@given(st.lists(st.none() | st.integers(), min_size=1))
def test_integers_round_trip_exactly(values: list[int | None]) -> None:
    """No integer loses a digit, whatever its size and however many gaps the column has."""
    column, _ = objects_column(values)
    assert [None if v is None else int(v) for v in column.to_pylist()] == values


def test_pandas_types_arrive_exactly() -> None:
    """Every pandas dtype becomes its Arrow counterpart; gaps do not turn integers into floats."""
    frame = pd.DataFrame(
        {
            "integer": pd.array([2**60 + 1, None], "Int64"),
            "small": np.array([1, 2], "uint8"),
            "unsigned": np.array([2**64 - 1, 1], "uint64"),
            "float": [1.5, np.nan],
            "masked": pd.array([1.5, None], "Float64"),
            "boolean": pd.array([True, None], "boolean"),
            "text": pd.array(["a", None], "string[python]"),
            "arrow_text": pd.array(["a", None], "string[pyarrow]"),
            "arrow_decimal": pd.Series([Decimal("1.5"), None], dtype=pd.ArrowDtype(pa.decimal128(5, 2))),
            "category": pd.Categorical(["a", np.nan], ordered=True),
            "category_of_ids": pd.Categorical([1, None]),
            "category_of_mixed": pd.Categorical(["a", 1]),
            "cut": pd.cut([1, np.nan], [0, 2]),
            "sparse": pd.arrays.SparseArray([1.0, np.nan]),
            "naive": pd.to_datetime(["2024-01-01", None]),
            "zoned": pd.to_datetime(["2024-01-01", None]).tz_localize("Europe/Berlin"),
            "period": pd.period_range("2024", periods=2, freq="M"),
            "duration": pd.to_timedelta([90, None], "s"),
            "complex": [1j, 2j],
            "nested": pd.Series([[1], None], dtype=object),
        }
    )
    table = only(frame)
    assert types(table) == {
        "integer": "int64",
        "small": "int64",
        "unsigned": "decimal128(20, 0)",
        "float": "double",
        "masked": "double",
        "boolean": "bool",
        "text": "large_string",
        "arrow_text": "large_string",
        "arrow_decimal": "decimal128(5, 2)",
        "category": "large_string",
        "category_of_ids": "int64",
        "category_of_mixed": "large_string",
        "cut": "large_string",
        "sparse": "double",
        "naive": "timestamp[us]",
        "zoned": "timestamp[us, tz=UTC]",
        "period": "large_string",
        "duration": "double",
        "complex": "null",
        "nested": "null",
    }
    assert why_unusable(table) == {"complex": "unsupported values", "nested": "nested values"}
    gaps = set(table.column_names) - {"small", "unsigned", "category_of_mixed", "period", "complex", "nested"}
    assert {name: table[name].is_null().to_pylist() for name in gaps} == {
        name: [False, True] for name in gaps
    }
    assert table["integer"][0].as_py() == 2**60 + 1
    assert table["zoned"][0].as_py() == datetime(2023, 12, 31, 23, tzinfo=UTC)


def test_duplicate_and_odd_labels_keep_their_positions() -> None:
    """Labels become text, tuples are joined, and columns of one name stay two columns."""
    frame = pd.DataFrame([[1, 2, 3, 4, 5, 6]], columns=["a", "a", 3, None, "x\ud800", "b"])
    table = only(frame)
    assert table.column_names == ["a", "a", "3", "None", "x�", "b"]
    assert [column[0].as_py() for column in table.columns] == [1, 2, 3, 4, 5, 6]
    levels = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("amount", "sum"), ("id", "")]))
    assert only(levels).column_names == ["amount_sum", "id"]


def test_a_named_index_is_a_column() -> None:
    """Grouping leaves the key in the index: it is data. An unnamed index is not."""
    frame = pd.DataFrame({"customer_id": ["a", "a"], "shop": [1, 2], "amount": [1, 2]})
    grouped = frame.groupby(["customer_id", "shop"])["amount"].sum().to_frame()
    assert only(grouped).column_names == ["customer_id", "shop", "amount"]
    assert only(frame[frame["amount"] > 1]).column_names == ["customer_id", "shop", "amount"]
    assert only(frame.set_index("shop", drop=False)).column_names == ["customer_id", "shop", "amount"]


def test_frames_without_rows_or_columns() -> None:
    """Nothing is a valid amount of data."""
    assert only(pd.DataFrame()).shape == (0, 0)
    assert only(pl.DataFrame()).shape == (0, 0)
    assert only(pd.DataFrame({"a": []})).column_names == ["a"]
    assert list(arrow_tables([])) == []


def test_the_input_is_not_changed_and_numbers_are_not_copied() -> None:
    """A frame is read where it lies."""
    frame = pd.DataFrame({"n": np.arange(5), "s": ["a", None, "b", "c", "d"]})
    frame.attrs["note"] = object()
    before = frame.copy(deep=True)
    table = only(frame)
    pd.testing.assert_frame_equal(frame, before)
    address = frame["n"].to_numpy().__array_interface__["data"][0]
    assert table["n"].chunk(0).buffers()[1].address == address


def test_polars_types_arrive_exactly() -> None:
    """Polars columns without an Arrow type are read by value; lazy frames are collected."""
    frame = pl.DataFrame(
        {
            "wide": pl.Series([2**100], dtype=pl.Int128),
            "narrow": pl.Series([7], dtype=pl.Int128),
            "category": pl.Series(["a"], dtype=pl.Categorical),
            "decimal": pl.Series([Decimal("1.5")], dtype=pl.Decimal(10, 2)),
            "zoned": pl.Series([moment("2024-01-01")]).dt.replace_time_zone("Europe/Berlin"),
            "time": [time(1, 2)],
            "nan": [float("nan")],
            "none": [None],
            "list": [[1]],
        }
    )
    expected = {
        "wide": "decimal128(38, 0)",
        "narrow": "int64",
        "category": "large_string",
        "decimal": "decimal128(10, 2)",
        "zoned": "timestamp[us, tz=UTC]",
        "time": "large_string",
        "nan": "double",
        "none": "null",
        "list": "null",
    }
    assert types(only(frame)) == expected
    assert only(frame)["nan"].null_count == 1
    assert types(only(frame.lazy())) == expected
    nothing = only(frame.lazy().filter(pl.col("narrow") > 7))
    assert types(nothing) == {**expected, "wide": "null", "narrow": "null"}
    assert why_unusable(only(pl.DataFrame({"o": pl.Series([object()], dtype=pl.Object)}))) == {
        "o": "unsupported values"
    }


def test_arrow_types_arrive_exactly() -> None:
    """Views, dictionaries, extension types and odd units become the closed set."""
    arrays = {
        "uuid": (pa.array([UUID(int=1).bytes], pa.uuid()), "large_string"),
        "bool8": (pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1], pa.int8())), "bool"),
        "view": (pa.array(["a"], pa.string_view()), "large_string"),
        "dictionary": (pa.array(["a"]).dictionary_encode(), "large_string"),
        "run_ends": (pa.RunEndEncodedArray.from_arrays([1], [5]), "int64"),
        "decimal256": (pa.array([Decimal("1.5")], pa.decimal256(60, 2)), "decimal128(38, 2)"),
        "long_decimal": (pa.array([Decimal(10**50)], pa.decimal256(60, 2)), "large_string"),
        "negative_scale": (pa.array([Decimal(100)], pa.decimal128(5, -2)), "decimal128(7, 0)"),
        "date64": (pa.array([86_400_000], pa.date64()), "date32[day]"),
        "offset": (pa.array([1], pa.timestamp("s", "+02:00")), "timestamp[us, tz=UTC]"),
        "nanoseconds": (pa.array([1], pa.timestamp("ns")), "timestamp[us]"),
        "nanos": (pa.array([1_500_000_000], pa.duration("ns")), "double"),
        "binary_view": (pa.array([b"x"], pa.binary_view()), "null"),
        "fixed": (pa.array([b"x"], pa.binary(1)), "null"),
        "struct": (pa.array([{"a": 1}]), "null"),
        "interval": (pa.array([None], pa.month_day_nano_interval()), "null"),
    }
    table = only(pa.table({name: array for name, (array, _) in arrays.items()}))
    assert types(table) == {name: kind for name, (_, kind) in arrays.items()}
    assert table["nanos"][0].as_py() == 1.5
    assert table["bool8"][0].as_py() is True
    assert why_unusable(table) == {
        "binary_view": "binary values",
        "fixed": "binary values",
        "struct": "nested values",
        "interval": "unsupported values",
    }


def test_a_time_beyond_microseconds_never_wraps_around() -> None:
    """Seconds that microseconds cannot count become text, not another time."""
    table = only(pa.table({"t": pa.array([2**60], pa.timestamp("s"))}))
    assert str(table.schema.field("t").type) == "large_string"


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (None, "NoneType"),
        (5, "int"),
        ("secret@example.com", "str"),
        ({"secret": [1]}, "dict"),
        (pd.Series(["secret"]), "pandas.Series"),
        (pl.Series(["secret"]), "polars.Series"),
        (["secret"], "Item 0 of the data is of type str"),
        ([pd.DataFrame(), None], "Item 1 of the data is of type NoneType"),
    ],
)
def test_what_is_no_frame_is_named_by_its_type(data: Any, found: str) -> None:
    """The error says what was found and what is allowed, and quotes no value."""
    with pytest.raises(SourceError, match="pandas, polars or Arrow frame") as error:
        list(arrow_tables(data))
    assert found in str(error.value)
    assert "secret" not in str(error.value)


def test_anything_that_streams_arrow_is_a_frame() -> None:
    """Only the protocol counts, and a stream without batches still has columns."""

    class Foreign:
        def __init__(self, table: pa.Table) -> None:
            self.table = table

        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return self.table.__arrow_c_stream__(requested_schema)

    table = pa.table({"a": [1, 2]})
    assert only(Foreign(table))["a"].to_pylist() == [1, 2]
    assert only(pa.RecordBatchReader.from_batches(table.schema, [])).column_names == ["a"]
    assert only(table.to_batches()[0])["a"].to_pylist() == [1, 2]


def test_an_iterator_is_pulled_one_frame_at_a_time() -> None:
    """A source larger than memory works: no frame is asked for before the one before it is done."""
    pulled = []

    def frames() -> Iterator[pd.DataFrame]:
        for number in range(1000):
            pulled.append(number)
            yield pd.DataFrame({"n": [number]})

    tables = arrow_tables(frames())
    assert pulled == []
    for expected in range(3):
        assert next(tables)["n"].to_pylist() == [expected]
        assert pulled == list(range(expected + 1))


def test_a_record_batch_reader_is_pulled_one_batch_at_a_time() -> None:
    """Also inside an iterable, a stream is never read ahead as a whole."""
    pulled = []

    def batches() -> Iterator[pa.RecordBatch]:
        for number in range(1000):
            pulled.append(number)
            yield pa.record_batch({"n": [number]})

    schema = pa.schema({"n": pa.int64()})
    for wrap in (lambda reader: reader, lambda reader: [reader]):
        pulled.clear()
        tables = arrow_tables(wrap(pa.RecordBatchReader.from_batches(schema, batches())))
        for expected in range(3):
            assert next(tables)["n"].to_pylist() == [expected]
        assert len(pulled) <= 5


def test_neither_pandas_nor_polars_is_imported_for_who_does_not_use_it() -> None:
    """What the module needs of them it takes from the frame that came."""
    code = (
        "import sys, airflow_provider_customer360.unify.frames\n"
        "print({'pandas', 'polars'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
