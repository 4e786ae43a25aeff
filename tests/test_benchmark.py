"""The benchmark: contenders agree, a wrong one is found out, tables and picture tell what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import duckdb
import pytest

from benchmarks import by_operator, by_postgres, growth, limited, run
from benchmarks.alone import OUT_OF_MEMORY, NotFinishedError, alone
from benchmarks.chart import chart
from benchmarks.compared import COMPARED, profiles_sql, told
from benchmarks.contenders import CONTENDERS
from benchmarks.data import IDENTIFIERS, Dataset, dataset
from benchmarks.report import markdown
from tests.conftest import Postgres

ROWS = 5_000


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A small customer base of the benchmark."""
    return dataset(ROWS, tmp_path_factory.mktemp("benchmark"))


def _line(contender: str, rows: int, seconds: float, **others: Any) -> dict[str, Any]:
    figures = {"seconds": seconds, "cpu_seconds": seconds, "peak_mb": rows / 1000, "check": "agrees"}
    return {"contender": contender, "rows": rows, "ratio": seconds, "cpu_ratio": seconds} | figures | others


def _cells(table: str) -> list[list[str]]:
    rows = (line.strip("|").split("|") for line in table.splitlines() if line.startswith("|"))
    return [[cell.strip() for cell in row] for row in rows]


@pytest.mark.parametrize("contender", ["floor", "unify", "polars", "pandas", "networkx", "splink"])
def test_contenders_agree_on_every_profile(contender: str, data: Dataset) -> None:
    """Whatever the tool, all columns that are compared are those of the independent resolution."""
    if contender == "splink":
        pytest.importorskip("splink", reason="Splink is in the extra bench")
    assert run.check(contender, CONTENDERS[contender](data)()(), data.facts) == "agrees"


def test_the_naive_algorithm_loses_records(data: Dataset) -> None:
    """Grouping by the first id-like column is no peer: it finds other customers and loses whole sources."""
    result = CONTENDERS["naive"](data)()()
    assert result["customers"] != data.facts["customers"]
    assert run.check("naive", result, data.facts).endswith("as little as 0% of a metric")


def test_from_postgres_to_postgres(
    data: Dataset, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator's table agrees, and so do the parts that its time is compared with."""
    monkeypatch.setenv(by_operator.VARIABLE, postgres.airflow_uri)
    by_postgres.prepare(data)
    try:
        for contender in ("streaming_out", "postgres", "postgres_profiles", "copying_profiles"):
            result = CONTENDERS[contender](data)()()
            run.check(contender, result, data.facts)
        assert CONTENDERS["copying_identities"](data)()() == {}
        assert CONTENDERS["streaming_out"](data)()() == {"rows": ROWS}
    finally:
        by_operator.drop(*data.sources, by_operator.TARGET, by_operator.IDENTITIES)


@pytest.mark.parametrize(
    ("memory", "verdict"), [("700MB", "agrees"), ("90MB", "not finished: out of memory")]
)
def test_the_kernel_holds_a_run_to_its_limit(data: Dataset, memory: str, verdict: str) -> None:
    """Within a cgroup a run ends with the right profiles, or is ended where it needs more than there is."""
    try:
        line = limited.measured(ROWS, memory, "", data.folder.parent, seconds=120)
    except SystemExit as reason:
        if "No cgroup" not in str(reason):
            raise
        pytest.skip(str(reason))
    assert _cells(line)[0][-1] == verdict


@pytest.mark.parametrize(
    ("what", "wrong"),
    [
        ("customers is 1", {"customers": 1}),
        ("fingerprint is 1", {"fingerprint": "1"}),
        ("rows is 4999", {"rows": ROWS - 1}),
        ("amount with the records that are nobody's is 1.0", {"accounted": {"amount": 1.0}}),
    ],
)
def test_a_wrong_result_ends_the_benchmark(what: str, wrong: Mapping[str, Any], data: Dataset) -> None:
    """Customers, profiles, rows and totals are each compared, and a difference is no line of the table."""
    with pytest.raises(SystemExit, match=what):
        run.check("pandas", {"customers": data.facts["customers"]} | wrong, data.facts)


@pytest.fixture
def floors(data: Dataset) -> Iterator[duckdb.DuckDBPyConnection]:
    """The floor's profiles as a table."""
    sources = {name: f"'{data.resolved(name)}'" for name in IDENTIFIERS}
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE profiles AS {profiles_sql(sources)}")
        connection.execute("DELETE FROM profiles WHERE customer IS NULL")
        yield connection


@pytest.mark.parametrize("column", COMPARED)
def test_the_fingerprint_sees_every_column(
    column: str, data: Dataset, floors: duckdb.DuckDBPyConnection
) -> None:
    """One other value of one customer is another fingerprint."""
    others = {"VARCHAR": "'?'", "TIMESTAMP": "now()", "BOOLEAN": f"NOT {column}"}
    ((kind,),) = floors.execute(f"SELECT typeof({column}) FROM profiles LIMIT 1").fetchall()
    floors.execute(f"UPDATE profiles SET {column} = {others.get(kind, f'{column} + 1')} WHERE customer = 0")
    assert told(floors, "profiles")["fingerprint"] != data.facts["fingerprint"]


def test_the_fingerprint_is_blind_to_order_and_rounding(
    data: Dataset, floors: duckdb.DuckDBPyConnection
) -> None:
    """Neither the order of the rows nor the last bits of a sum are a difference."""
    floors.execute("UPDATE profiles SET amount = amount + 1e-9")
    shuffled = told(floors, "(SELECT * FROM profiles ORDER BY random())")
    assert shuffled["fingerprint"] == data.facts["fingerprint"]


def test_a_process_that_does_not_finish_is_a_result() -> None:
    """Too long and killed are told apart; a failure is neither, it ends the benchmark."""
    once = ["-n1", "-r1"]
    assert alone("timeit", [*once, """print('\\n{"a": 1}\\n', end='')"""], {}) == {"a": 1}
    with pytest.raises(NotFinishedError, match="after 0 s"):
        alone("timeit", [*once, "import time; time.sleep(60)"], {}, limit=0.3)
    for end in ("import os; os.kill(os.getpid(), 9)", f"import os; os._exit({OUT_OF_MEMORY})"):
        with pytest.raises(NotFinishedError, match="out of memory"):
            alone("timeit", [*once, end], {})
    with pytest.raises(SystemExit, match="failed with status"):
        alone("timeit", [*once, "1 / 0"], {})


def test_who_does_not_finish_is_not_tried_with_more(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A contender that is stopped at one size has no figures there, and is left out of larger ones."""
    tried = []

    def fake(module: str, arguments: list[str], environment: object, limit: float) -> dict[str, Any]:
        tried.append((arguments[0], Path(arguments[1]).name.partition("rows")[2]))
        if arguments[0] == "splink":
            raise NotFinishedError("not finished after 5 s")
        facts = dataset(int(tried[-1][1]), tmp_path).facts
        figures = {"seconds": 1.0, "cpu_seconds": 2.0, "peak_mb": 3.0}
        return {"customers": facts["customers"], "fingerprint": facts["fingerprint"]} | figures

    monkeypatch.setattr(run, "alone", fake)
    comparison = run.Comparison(["floor", "splink"], 2, 5, {})
    lines = [line for rows in (1_000, 2_000) for line in comparison.lines(rows, tmp_path)]
    assert tried == [
        ("floor", "1000"),
        ("splink", "1000"),
        *[("floor", size) for size in ("1000", "2000", "2000")],
    ]
    assert [line["check"] for line in lines] == [
        "agrees", "not finished after 5 s", "agrees", "not tried: with 1,000 rows not finished after 5 s",
    ]  # fmt: skip
    assert len({len(row) for row in _cells(markdown(lines, "about"))[:6]}) == 1


def test_tables_tell_ratios_sums_and_growth() -> None:
    """An operator is compared with the sum of its parts, and linear growth has the exponent 1."""
    parts = {"unify": 4, "streaming_out": 1, "copying_profiles": 1, "copying_identities": 2}
    lines = [
        *(_line(part, 1_000, seconds) for part, seconds in parts.items()),
        _line("postgres_profiles", 1_000, 9),
        _line("postgres", 1_000, 10),
        _line("unify", 10_000, 40),
    ]
    rows = {row[0]: row for row in _cells(markdown(lines, "about"))}
    assert rows["**operator**, the same without identities"][3:5] == ["6.00", "1.50"]
    assert rows["**operator**, Postgres to Postgres"][3:5] == ["8.00", "1.25"]
    assert rows["streaming the sources out by ADBC"][3:5] == ["", ""]
    assert rows["**unify**"][1:] == ["1,000", "10,000", "1.00", "1.00", "1.00"]
    assert "growth" not in markdown(lines[:-1], "about")


def test_the_picture_has_a_label_for_every_contender() -> None:
    """Names stand in every panel, apart from each other, and say up to how many rows somebody came."""
    names = ("floor", "unify", "pandas", "polars")
    lines = [_line(name, rows, rows / 1e6) for name in names for rows in (1_000_000, 10_000_000)]
    picture = ElementTree.fromstring(chart([*lines, _line("splink", 1_000_000, 1.0)]))  # noqa: S314 - our own
    labels = [
        text for text in picture.iter("{http://www.w3.org/2000/svg}text") if "label" in text.get("class", "")
    ]
    assert len(labels) == 3 * (len(names) + 1)
    texts = [str(label.text) for label in labels if "Splink" in str(label.text)]
    assert [text.endswith(" at 1 M") for text in texts] == [True] * 3
    panels = [labels[i : i + len(names) + 1] for i in range(0, len(labels), len(names) + 1)]
    for panel in panels:
        heights = sorted(float(label.get("y", "")) for label in panel)
        assert all(below - above >= 13.9 for above, below in pairwise(heights))
        assert heights[0] > 0
        assert heights[-1] < float(picture.get("height", ""))


def test_growth_is_measured_on_the_wanted_number_of_columns(tmp_path: Path) -> None:
    """The source has as many keys and metrics as asked for, and its people are found again."""
    growth.write(tmp_path / "source.parquet", 2_000, types=3, metrics=2)
    result = growth.measured(tmp_path / "source.parquet", types=3, metrics=2)
    assert result["customers"] == growth.people_of(2_000)
    lines = [
        {"what": "metrics", "number": number, "rows": 2_000, "seconds": number / 10, "cpu_seconds": number}
        for number in (2, 8, 32)
    ]
    assert [row[4] for row in _cells(growth.markdown(lines, "about"))[2:]] == ["", "0.100", "0.100"]
