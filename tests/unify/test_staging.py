"""Data of every form becomes a DuckDB relation with positional columns and exact types."""

from __future__ import annotations

import gc
import gzip
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_customer360.unify import staging
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.errors import SourceError
from airflow_provider_customer360.unify.staged import Staged, StagedColumn
from airflow_provider_customer360.unify.staging import stage

moment = datetime.fromisoformat


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with Engine() as engine:
        # Far from UTC: an expression that depends on the session's zone shows.
        engine.connection.execute("SET TimeZone = 'Asia/Kathmandu'")
        yield engine.connection


def values(connection: duckdb.DuckDBPyConnection, staged: Staged, order: str = "c0") -> dict[str, list[Any]]:
    """The staged columns by name, after checking that the relation is what is said of it."""
    described = connection.execute(f"DESCRIBE {staged.relation}").fetchall()
    if staged.columns:
        assert [(row[0], row[1]) for row in described] == [(c.internal, c.type) for c in staged.columns]
        assert [c.internal for c in staged.columns] == [f"c{i}" for i in range(len(staged.columns))]
    table = connection.sql(f"SELECT * FROM {staged.relation} ORDER BY {order}").to_arrow_table()
    assert table.num_rows == staged.rows
    if not staged.columns:
        return {}
    return {c.name: table.column(i).to_pylist() for i, c in enumerate(staged.columns)}


def types(staged: Staged) -> dict[str, str]:
    return {c.name: c.unusable or ("empty" if c.empty else c.type) for c in staged.columns}


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def test_a_frame_is_a_view_over_its_own_memory(connection: duckdb.DuckDBPyConnection) -> None:
    """One frame is not copied, its types are exact, and it outlives the caller's reference."""
    frame = pd.DataFrame(
        {
            "id": pd.array([1, None], "Int64"),
            "amount": [Decimal("1.50"), None],
            "at": pd.to_datetime(["2024-01-01", None]).tz_localize("Europe/Berlin"),
            "nothing": [None, None],
            "tags": [["a"], []],
            'odd " name': ["x", "y"],
        }
    )
    staged = stage(connection, "source_0", frame)
    del frame
    gc.collect()
    assert staged.columns == (
        StagedColumn("id", "c0", "BIGINT"),
        StagedColumn("amount", "c1", "DECIMAL(3,2)"),
        StagedColumn("at", "c2", "TIMESTAMP WITH TIME ZONE"),
        StagedColumn("nothing", "c3", "VARCHAR", empty=True),
        StagedColumn("tags", "c4", "VARCHAR", unusable="nested values"),
        StagedColumn('odd " name', "c5", "VARCHAR"),
    )
    found = values(connection, staged)
    assert found["id"] == [1, None]
    assert found["at"][0] == datetime(2023, 12, 31, 23, tzinfo=UTC)
    assert found["nothing"] == found["tags"] == [None, None]
    kinds = connection.execute("SELECT table_type FROM information_schema.tables").fetchall()
    assert kinds == [("VIEW",), ("VIEW",)]  # the registered Arrow table and the renaming


@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame({"a": [1]}),
        pl.LazyFrame({"a": [1]}),
        pa.table({"a": [1]}),
        pa.table({"a": [1]}).to_reader(),
    ],
    ids=lambda frame: type(frame).__name__,
)
def test_every_library_gives_the_same_relation(connection: duckdb.DuckDBPyConnection, frame: Any) -> None:
    """Where a frame comes from does not show in the relation."""
    staged = stage(connection, "source_0", frame)
    assert staged == Staged("source_0", (StagedColumn("a", "c0", "BIGINT"),), 1)
    assert values(connection, staged) == {"a": [1]}


def test_columns_of_one_name_stay_apart(connection: duckdb.DuckDBPyConnection) -> None:
    """Position decides, in one frame and over batches; names that differ by case are two."""
    frame = pd.DataFrame([[1, "x", 2]], columns=["a", "a", "A"])
    for data in (frame, [frame, frame[["A"]], frame]):
        staged = stage(connection, f"source_{type(data).__name__}", data)
        assert [(c.name, c.type) for c in staged.columns] == [
            ("a", "BIGINT"),
            ("a", "VARCHAR"),
            ("A", "BIGINT"),
        ]
    rows = connection.execute("SELECT * FROM source_list ORDER BY c0").fetchall()
    assert rows == [(1, "x", 2), (1, "x", 2), (None, None, 2)]


@pytest.mark.parametrize("data", [pd.DataFrame(), [], iter([]), [pd.DataFrame(), pd.DataFrame()]])
def test_no_columns_are_allowed(connection: duckdb.DuckDBPyConnection, data: Any) -> None:
    """A source without anything is a relation without rows."""
    staged = stage(connection, "source_0", data)
    assert staged == Staged("source_0", (), 0)
    assert values(connection, staged, order="1") == {}


def test_batches_without_rows_keep_their_columns(connection: duckdb.DuckDBPyConnection) -> None:
    """An empty batch says which columns there are, and of which type."""
    staged = stage(connection, "source_0", [pa.table({"a": pa.array([], pa.int64()), "b": pa.nulls(0)})])
    assert (types(staged), staged.rows) == ({"a": "BIGINT", "b": "empty"}, 0)


WIDENING = [
    ([None], [1], "BIGINT", [None, 1]),
    ([1], [None], "BIGINT", [None, 1]),
    ([2**60 + 1], [7.0], "BIGINT", [7, 2**60 + 1]),
    ([7.0], [2**60 + 1], "BIGINT", [7, 2**60 + 1]),
    ([1], [0.5], "DOUBLE", [0.5, 1.0]),
    ([0.5], [1], "DOUBLE", [0.5, 1.0]),
    ([1], [2**63], "DECIMAL(38,0)", [Decimal(1), Decimal(2**63)]),
    ([1], [Decimal("1.25")], "DECIMAL(21,2)", [Decimal(1), Decimal("1.25")]),
    ([Decimal("12.5")], [Decimal("1.25")], "DECIMAL(4,2)", [Decimal("1.25"), Decimal("12.50")]),
    ([Decimal("1.25")], [0.5], "DOUBLE", [0.5, 1.25]),
    ([Decimal("1.25")], [2**63], "DOUBLE", [1.25, 2.0**63]),
    ([date(2024, 1, 1)], [moment("2024-01-02 05:00")], "TIMESTAMP", None),
    ([date(2024, 1, 1)], [datetime(2024, 1, 2, tzinfo=UTC)], "TIMESTAMP WITH TIME ZONE", None),
    ([moment("2024-01-01")], [datetime(2024, 1, 2, tzinfo=UTC)], "TIMESTAMP WITH TIME ZONE", None),
    ([datetime(2024, 1, 2, tzinfo=UTC)], [moment("2024-01-01")], "TIMESTAMP WITH TIME ZONE", None),
    ([1.0, 0.5], ["x"], "VARCHAR", ["0.5", "1", "x"]),
    (["x"], [1.0, 1e300], "VARCHAR", ["1", "1e+300", "x"]),
    ([Decimal("5.00"), Decimal("5.25")], ["x"], "VARCHAR", ["5", "5.25", "x"]),
    ([Decimal("0.25")], ["x"], "VARCHAR", ["0.25", "x"]),
    ([True], ["x"], "VARCHAR", ["true", "x"]),
    ([True], [2], "VARCHAR", ["2", "true"]),
    ([datetime(2024, 1, 1, tzinfo=UTC)], ["x"], "VARCHAR", ["2024-01-01 00:00:00+00", "x"]),
    ([date(2024, 1, 1)], [1], "VARCHAR", ["1", "2024-01-01"]),
]


@pytest.mark.parametrize(("first", "second", "kind", "expected"), WIDENING)
def test_a_column_widens_as_batches_need_it(
    connection: duckdb.DuckDBPyConnection, first: list[Any], second: list[Any], kind: str, expected: Any
) -> None:
    """Exact types stay exact as long as one holds all values; ids keep all their digits."""
    batches = [pd.DataFrame({"v": pd.Series(v, dtype=object)}) for v in (first, second)]
    staged = stage(connection, "source_0", batches)
    assert types(staged) == {"v": kind}
    found = values(connection, staged)["v"]
    if expected is None:  # moments without a zone are UTC
        zone = UTC if "ZONE" in kind else None
        expected = sorted(
            datetime(v.year, v.month, v.day, getattr(v, "hour", 0), tzinfo=zone) for v in first + second
        )
    assert sorted(found, key=lambda v: (v is not None, v)) == expected


numbers = st.one_of(
    st.none(), st.integers(-(2**62), 2**62), st.floats(allow_nan=False, allow_infinity=False, width=32)
)


@settings(max_examples=40)  # each opens a database
@given(st.lists(st.lists(numbers, min_size=1, max_size=3), min_size=1, max_size=5))
def test_how_a_column_is_cut_into_batches_loses_nothing(batches: list[list[Any]]) -> None:
    """Integers stay exact unless a fraction is among them; no value vanishes."""
    with duckdb.connect() as connection:
        frames = [pd.DataFrame({"v": pd.Series(batch, dtype=object)}) for batch in batches]
        staged = stage(connection, "source_0", frames)
        given_values = [v for batch in batches for v in batch]
        found = [row[0] for row in connection.execute("SELECT c0 FROM source_0").fetchall()]
        present = sorted(v for v in given_values if v is not None)
        assert len(found) == len(given_values) == staged.rows
        arrived = sorted(v for v in found if v is not None)
        if staged.columns[0].type == "BIGINT":
            assert arrived == present
        else:
            assert arrived == sorted(map(float, present))


cells = st.none() | st.integers(-3, 3) | st.sampled_from([0.5, 2.0, "x", "1", True, Decimal("1.25"), (1,)])
frames_of_cells = st.lists(st.dictionaries(st.sampled_from("ab"), cells, min_size=1), min_size=1, max_size=8)


@settings(max_examples=60)
@given(frames_of_cells)
def test_batches_that_are_taken_together_give_what_each_alone_gives(rows: list[dict[str, Any]]) -> None:
    """Whatever columns and types they have."""
    outcomes = []
    for row_group, held_bytes in ((staging._ROW_GROUP, 0), (3, 10**9), (staging._ROW_GROUP, 10**9)):
        with duckdb.connect() as connection, pytest.MonkeyPatch.context() as patch:
            patch.setattr(staging, "_ROW_GROUP", row_group)
            batches = [
                pd.DataFrame({name: pd.Series([value], dtype=object) for name, value in row.items()})
                for row in rows
            ]
            staged = stage(connection, "source_0", batches, held_bytes=held_bytes)
            outcomes.append((staged, sorted(connection.execute("FROM source_0").fetchall(), key=repr)))
    assert outcomes[1:] == outcomes[:1] * 2


@pytest.mark.parametrize(
    ("held_bytes", "taken"),
    [(10**9, [140_000, 60_000]), (0, [20_000] * 10), (600_000, [80_000, 80_000, 40_000])],
    ids=["enough rows", "nothing may be held", "enough bytes"],
)
def test_small_batches_are_taken_together(
    connection: duckdb.DuckDBPyConnection,
    monkeypatch: pytest.MonkeyPatch,
    held_bytes: int,
    taken: list[int],
) -> None:
    """Until there are enough for the engine to be fast, and no more is held than may be."""
    found, append = [], staging._GrowingTable.append

    def recorded(target: Any, table: pa.Table) -> None:
        found.append(table.num_rows)
        append(target, table)

    monkeypatch.setattr(staging._GrowingTable, "append", recorded)
    frames = (pa.table({"n": np.arange(20_000)}) for _ in range(10))
    staged = stage(connection, "source_0", frames, held_bytes=held_bytes)
    assert found == taken
    assert staged.rows == sum(taken)


@pytest.mark.parametrize("rows", [0, 1])
def test_a_batch_weighs_more_than_its_values(rows: int) -> None:
    """Of tiny ones, even of those without rows, no more are held than fit: each is a kilobyte and more."""
    tables = (pa.table({"n": np.arange(rows)}) for _ in range(1000))
    gathered = list(staging._gathered(tables, held_bytes=200_000))
    assert max(table.column("n").num_chunks for table in gathered) < 200
    assert sum(table.num_rows for table in gathered) == 1000 * rows


def test_many_tiny_batches_are_gathered_in_no_time() -> None:
    """What is held is not looked at anew for each further batch, which would take a minute."""
    tables = [pa.table({"n": [number]}) for number in range(4000)]
    started = time.perf_counter()
    (gathered,) = staging._gathered(tables, held_bytes=10**9)
    assert time.perf_counter() - started < 10
    assert gathered.num_rows == 4000


def test_columns_may_come_and_go(connection: duckdb.DuckDBPyConnection) -> None:
    """A column that a batch lacks is null there; one that appears later is added."""
    batches = [pd.DataFrame({"a": [1]}), pd.DataFrame({"b": ["x"], "a": [2]}), pd.DataFrame({"c": [True]})]
    staged = stage(connection, "source_0", batches)
    assert values(connection, staged) == {"a": [1, 2, None], "b": [None, "x", None], "c": [None, None, True]}


def test_rows_without_any_value_are_rows(connection: duckdb.DuckDBPyConnection) -> None:
    """No record is lost, not even one of a batch that knows nothing."""
    staged = stage(connection, "source_0", [pd.DataFrame({"a": [None, None]}), pd.DataFrame({"b": [[1]]})])
    assert (staged.rows, types(staged)) == (3, {"a": "empty", "b": "nested values"})
    assert values(connection, staged) == {"a": [None] * 3, "b": [None] * 3}


def test_one_batch_of_nested_values_makes_the_column_unusable(connection: duckdb.DuckDBPyConnection) -> None:
    """Half a column would mislead, whichever half came first."""
    for first, second in ((["x"], [[1]]), ([[1]], ["x"])):
        staged = stage(connection, "source_0", [pd.DataFrame({"a": first}), pd.DataFrame({"a": second})])
        assert types(staged) == {"a": "nested values"}
        assert staged.rows == 2


def test_a_stream_is_consumed_batch_by_batch(connection: duckdb.DuckDBPyConnection) -> None:
    """At most two batches are alive at once, however many there are."""
    alive: set[int] = set()
    most = 0

    class Batch:
        def __init__(self, number: int) -> None:
            self.number = number
            alive.add(number)

        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return pa.table({"n": [self.number]}).__arrow_c_stream__(requested_schema)

        def __del__(self) -> None:
            alive.discard(self.number)

    def batches() -> Iterator[Batch]:
        nonlocal most
        for number in range(200):
            yield Batch(number)
            most = max(most, len(alive))

    staged = stage(connection, "source_0", batches())
    assert values(connection, staged)["n"] == list(range(200))
    assert most <= 2


def test_parquet_is_read_where_it_lies(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """A glob of Parquet files is a view: no copy, types closed, columns matched by name."""
    table = pa.table(
        {
            "small": pa.array([1], pa.uint8()),
            "id": pa.array([1], pa.uint64()),
            "huge": pa.array([2**64 - 1], pa.uint64()),
            "float": pa.array([float("nan")], pa.float32()),
            "at": pa.array([1_704_067_200_000_000_000], pa.timestamp("ns")),
            "zoned": pa.array([1_704_067_200_000_000], pa.timestamp("us", "Europe/Berlin")),
            "time": pa.array([3_600_000_000], pa.time64("us")),
            "price": pa.array([Decimal("1.50")]),
            "nested": [{"a": 1}],
            "raw": [b"x"],
            "null": pa.nulls(1),
        }
    )
    pq.write_table(table, tmp_path / "1.parquet")
    pq.write_table(pa.table({"new": [1], "small": pa.array([2], pa.uint8())}), tmp_path / "2.parquet")
    staged = stage(connection, "source_0", str(tmp_path / "*.parquet"))
    assert types(staged) | {"null": "any"} == {
        "small": "BIGINT",
        "id": "BIGINT",
        "huge": "DECIMAL(20,0)",
        "float": "DOUBLE",
        "at": "TIMESTAMP",
        "zoned": "TIMESTAMP WITH TIME ZONE",
        "time": "VARCHAR",
        "price": "DECIMAL(3,2)",
        "nested": "nested values",
        "raw": "binary values",
        "null": "any",
        "new": "BIGINT",
    }
    found = values(connection, staged)
    assert found["float"] == [None, None]
    assert found["new"] == [None, 1]
    assert found["zoned"][0] == datetime(2024, 1, 1, tzinfo=UTC)
    tables = connection.execute("SELECT count(*) FROM duckdb_tables()").fetchall()
    assert tables == [(0,)]


CSV = """id,zip,phone,plus,amount,big,very_big,day,at,flag,time,nothing,ratio
1,00123,+4930123,5,1.5,12345678901234567890,1,2024-01-01,2024-01-01T00:00:00Z,true,10:00,,nan
2,12345,+4930124,+5,2,2,1234567890123456789012345678901234567890,2024-01-02,2024-01-01T00:00:00+02:00,false,11:00,,0.5
"""
CSV_TYPES = {
    "id": "BIGINT",
    "zip": "VARCHAR",
    "phone": "VARCHAR",
    "plus": "VARCHAR",
    "amount": "DOUBLE",
    "very_big": "VARCHAR",
    "day": "DATE",
    "at": "TIMESTAMP WITH TIME ZONE",
    "flag": "BOOLEAN",
    "time": "VARCHAR",
    "nothing": "empty",
    "ratio": "DOUBLE",
}


@pytest.mark.parametrize("name", ["a.csv", "a.CSV", "a.csv.gz", "it's [1]*.csv", "a.tsv"])
def test_csv_types_are_sniffed_and_codes_stay_text(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, name: str
) -> None:
    """Leading zeros, plus signs and more digits than a number keeps make a column text."""
    text = CSV.replace(",", "\t") if name.endswith(".tsv") else CSV
    staged = stage(connection, "source_0", written(tmp_path / name, text))
    found = types(staged)
    assert found.pop("big") in ("DECIMAL(38,0)", "VARCHAR")  # exact either way; it depends on DuckDB
    assert found == CSV_TYPES
    arrived = values(connection, staged)
    assert arrived["zip"] == ["00123", "12345"]
    assert list(map(str, arrived["big"])) == ["12345678901234567890", "2"]
    assert arrived["very_big"][1] == "1234567890123456789012345678901234567890"
    assert arrived["ratio"] == [None, 0.5]
    assert [at.astimezone(UTC).day for at in arrived["at"]] == [1, 31]


def test_a_code_in_the_last_of_many_lines_is_seen(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """Types come from the whole file, not from its beginning."""
    lines = [*(str(100_000 + i) for i in range(30_000)), "000123"]
    staged = stage(connection, "source_0", written(tmp_path / "a.csv", "\n".join(["zip", *lines])))
    assert types(staged) == {"zip": "VARCHAR"}
    assert values(connection, staged)["zip"] == sorted(lines)


def test_digits_that_a_double_would_lose_keep_a_column_text(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """One fraction among long ids makes DuckDB read floating point; the ids matter more."""
    staged = stage(connection, "source_0", written(tmp_path / "a.csv", "id\n12345678901234567\n1.5\n"))
    assert values(connection, staged) == {"id": ["1.5", "12345678901234567"]}


def test_csv_files_of_one_glob_may_disagree(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Columns are matched by name and take the type that fits all files; empty files do not count."""
    written(tmp_path / "1.csv", "d,x\n2024-01-01,1\n")
    written(tmp_path / "2.csv", "x,d,new\ny,soon,2\n")
    written(tmp_path / "3.csv", "")
    staged = stage(connection, "source_0", tmp_path / "*.csv")
    assert types(staged) == {"d": "VARCHAR", "x": "VARCHAR", "new": "BIGINT"}
    assert values(connection, staged) == {"d": ["2024-01-01", "soon"], "x": ["1", "y"], "new": [None, 2]}


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.ndjson", "a.jsonl.gz"])
def test_json_values_keep_their_types(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, name: str
) -> None:
    """Texts of digits stay text, mixed values become text without quotes, nested ones are unusable."""
    text = (
        '{"id": "007", "n": 1, "mixed": 1, "o": {"a": 1}, "l": [1], "both": {"a": 1}, "none": null, '
        '"at": "2024-01-01T00:00:00Z"}\n'
        '{"id": "8", "n": 2, "mixed": "x", "both": 1, "day": "2024-01-01"}\n'
    )
    if name == "a.json":
        text = "[" + text.strip().replace("\n", ",") + "]"
    staged = stage(connection, "source_0", written(tmp_path / name, text))
    kinds = types(staged)
    assert kinds.pop("at") in ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE")  # UTC either way
    assert kinds == {
        "id": "VARCHAR",
        "n": "BIGINT",
        "mixed": "VARCHAR",
        "o": "nested values",
        "l": "nested values",
        "both": "nested values",
        "none": "empty",
        "day": "DATE",
    }
    found = values(connection, staged)
    assert (found["id"], found["mixed"]) == (["007", "8"], ["1", "x"])
    assert found["at"][0].replace(tzinfo=found["at"][0].tzinfo or UTC) == datetime(2024, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_an_empty_file_has_no_columns(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, name: str
) -> None:
    """DuckDB makes up a column for nothing; here nothing stays nothing."""
    assert stage(connection, "source_0", written(tmp_path / name, "")) == Staged("source_0", (), 0)


def test_a_header_alone_names_the_columns(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """No rows, but columns: what is missing can be said by name."""
    staged = stage(connection, "source_0", written(tmp_path / "a.csv", "id,email\n"))
    assert (types(staged), staged.rows) == ({"id": "empty", "email": "empty"}, 0)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xlsx", b"x", r"end in '.xlsx'; allowed is one of .parquet"),
        ("a", b"x", r"end in ''; allowed is one of .parquet"),
        ("a.parquet", b"PAR1 jane@secret.com", "complete"),
        ("a.jsonl", b'{"a": 1\n{"jane@secret.com', "complete"),
        ("a.csv", "a,b\njané@secret.com,1\n".encode("latin-1"), "UTF-8"),
        ("a.csv", b"a,b\n1,2\n1,jane@secret.com,3,4\nx\n", "differ in their number of fields|complete"),
        ("a.csv", b"a,b\n" + b"1,2\n" * 5000 + b"1,jane@secret.com,3\n", "complete"),
    ],
)
def test_an_unreadable_file_is_named_without_its_content(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    """The error says which file and what to check; DuckDB's text, which quotes lines, stays inside."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=message) as error:
        stage(connection, "source_0", tmp_path / name)
    assert name in str(error.value)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nothing/*.csv", "No file matches"),
        (".", "It is a directory; give a glob"),
        ("s3://bucket/x.parquet", "remote address"),
        ("https://example.com/x.csv", "remote address"),
    ],
)
def test_a_path_that_leads_nowhere_says_so(
    connection: duckdb.DuckDBPyConnection, path: str, message: str
) -> None:
    """No match, a directory and a remote address are told apart; nothing is downloaded."""
    with pytest.raises(SourceError, match=message):
        stage(connection, "source_0", path)


def test_files_of_different_kinds_are_refused(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """One source is one format."""
    written(tmp_path / "1.csv", "a\n1\n")
    written(tmp_path / "2.jsonl", '{"a": 1}')
    with pytest.raises(SourceError, match=r"end in '.csv', '.jsonl'"):
        stage(connection, "source_0", tmp_path / "*")


def test_no_extension_is_installed(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Everything is read with what comes inside DuckDB."""
    stage(connection, "a", written(tmp_path / "a.csv", CSV))
    stage(connection, "b", written(tmp_path / "a.jsonl", '{"a": 1}'))
    modes = connection.execute("SELECT DISTINCT install_mode FROM duckdb_extensions() WHERE installed")
    assert modes.fetchall() == [("STATICALLY_LINKED",)]
