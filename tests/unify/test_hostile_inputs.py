"""A table of hostile inputs, each with its expected outcome: a result, or the error and what it says."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from airflow_provider_customer360.unify import (
    Config,
    ConfigError,
    DataError,
    NoDataError,
    Source,
    SourceError,
    unify,
)

AS_OF = datetime(2026, 1, 31, tzinfo=UTC)
DROP = '"; drop table x; --'


@dataclass(frozen=True)
class Case:
    """An input and its outcome.

    Attributes:
        sources: source name to data.
        config: settings.
        columns: the columns between ``customer_id`` and the columns that every profile has.
        rows: values of these columns by customer id.
        unidentified: records in no profile.
        error: the class of the error, with ``says``, a part of its message.
    """

    sources: Callable[[], Any]
    config: Mapping[str, Any] | None = None
    rows: Mapping[str, Mapping[str, Any]] | None = None
    unidentified: int = 0
    error: type[Exception] | None = None
    says: str = ""


def one(data: Any) -> dict[str, Any]:
    """A source of its own."""
    return {"s": data}


def row(*values: Any, columns: list[Any]) -> pd.DataFrame:
    """A pandas frame of one row, its column names as hostile as they come."""
    return pd.DataFrame([list(values)], columns=columns)


def ids(**columns: Any) -> pa.Table:
    """Customers a and b."""
    return pa.table({"customer_id": ["a", "b"], **columns})


def amounts(*values: Any, kind: Any = object) -> pd.DataFrame:
    """Amounts of one customer, as pandas holds them."""
    return pd.DataFrame({"customer_id": ["a"] * len(values), "amount": pd.Series(values, dtype=kind)})


def stated(data: Any, **roles: Any) -> dict[str, Any]:
    """One source with stated roles."""
    return {"s": Source(data=data, **roles)}


SEEN = datetime(2026, 1, 1, tzinfo=UTC)
NAIVE = SEEN.replace(tzinfo=None)
YEAR_1, YEAR_9999 = NAIVE.replace(year=1), NAIVE.replace(year=9999)

INPUTS = {
    # Nothing, or nothing to identify anybody by.
    "an empty frame": Case(lambda: one(pd.DataFrame()), error=NoDataError, says="Every source is empty: s."),
    "columns without rows": Case(lambda: one(ids().slice(0, 0)), error=NoDataError, says="is empty: s."),
    "rows without columns": Case(lambda: one(pd.DataFrame(index=range(3))), error=NoDataError, says="empty"),
    "an iterable of nothing": Case(lambda: one(iter([])), error=NoDataError, says="empty"),
    "no sources": Case(dict, error=ConfigError, says="mapping of source name to data"),
    "sources in a list": Case(lambda: [ids()], error=ConfigError, says="mapping of source name to data"),
    "a blank source name": Case(lambda: {" ": ids()}, error=ConfigError, says="not blank"),
    "no identifier column": Case(
        lambda: one(pd.DataFrame({"amount": [1], "city": ["Oslo"]})), error=DataError, says="s: amount, city"
    ),
    "identifiers that are all null": Case(
        lambda: one(pd.DataFrame({"customer_id": [None, None], "amount": [1, 2]})),
        error=DataError,
        says="None of 2 records",
    ),
    "identifiers that are all placeholders": Case(
        lambda: one(
            pd.DataFrame({"customer_id": ["n/a", "-", ""], "email": ["none@none.com", "", "unknown"]})
        ),
        error=DataError,
        says="None of 3 records",
    ),
    "an empty source beside a full one": Case(
        lambda: {"s": ids(), "empty": pd.DataFrame(), "none": ids().slice(0, 0)},
        rows={"a": {"none_records": 0, "empty_records": 0, "data_sources": 1}, "b": {}},
    ),
    "a source without identifiers beside another": Case(
        lambda: {"s": ids(), "rates": pd.DataFrame({"amount": [5, 6]})},
        rows={"a": {"amount": 0, "total_records": 1}, "b": {"amount": 0}},
        unidentified=2,
    ),
    "placeholders beside real values": Case(
        lambda: one(pd.DataFrame({"customer_id": ["a", "n/a", "NULL", None], "amount": [1, 2, 4, 8]})),
        rows={"a": {"amount": 1, "total_records": 1}},
        unidentified=3,
    ),
    "one row": Case(lambda: one(row("a", 1, columns=["customer_id", "amount"])), rows={"a": {"amount": 1}}),
    # Not frames.
    "a Series": Case(lambda: one(pd.Series([1])), error=SourceError, says="pandas.Series, not a frame"),
    "a dict of lists": Case(lambda: one({"customer_id": [1]}), error=SourceError, says="dict, not a frame"),
    "a list of dicts": Case(
        lambda: one([{"customer_id": 1}]), error=SourceError, says="Item 0 of the data is"
    ),
    "nothing": Case(lambda: one(None), error=SourceError, says="NoneType, not a frame"),
    "a path of nothing": Case(lambda: one("no-such-file.csv"), error=SourceError, says="No file matches"),
    # Names.
    "duplicate names": Case(
        lambda: one(row("a", 1, 2, columns=["customer_id", "amount", "amount"])),
        rows={"a": {"amount": 1, "amount_2": 2}},
    ),
    "two columns of one identifier": Case(
        lambda: one(pd.DataFrame([["a", "b"], ["b", None]], columns=["customer_id", "customer_id"])),
        rows={"a": {"total_records": 2}},
    ),
    "names that differ by case": Case(
        lambda: one(row("a", None, 1, 2, columns=["customer_id", "CUSTOMER_ID", "amount", "AMOUNT"])),
        rows={"a": {"amount": 1, "amount_2": 2}},
    ),
    "quotes and semicolons": Case(
        lambda: one(row("a", 1, 2, 3, columns=["customer_id", DROP, "it's;", 'a"b'])),
        rows={"a": {"drop_table_x": 1, "it_s": 2, "a_b": 3}},
    ),
    "an identifier full of quotes": Case(
        lambda: stated(row("a", columns=[DROP]), identifiers={"customer_id": DROP}), rows={"a": {}}
    ),
    "unicode names": Case(
        lambda: one(row("a", 1, 2, 3, columns=["customer_id", "größe", "金額", "🙂"])),
        rows={"a": {"größe": 1, "金額": 2, "column": 3}},
    ),
    "a NUL in a name": Case(
        lambda: one(row("a", 1, columns=["customer_id", "a\x00b"])), rows={"a": {"a_b": 1}}
    ),
    "long names that begin alike": Case(
        lambda: one(row("a", 1, 2, columns=["customer_id", "x" * 80 + "a", "x" * 80 + "b"])),
        rows={"a": {"x" * 80 + "a": 1, "x" * 80 + "b": 2}},
    ),
    "reserved words": Case(
        lambda: one(row("a", 1, 2, 3, columns=["customer_id", "select", "group", "end_of"])),
        rows={"a": {"select": 1, "group": 2, "end_of": 3}},
    ),
    "empty and numeric names": Case(
        lambda: one(row("a", 1, 2, 3, columns=["customer_id", "", " ", 7])),
        rows={"a": {"column": 1, "column_2": 2, "n_7": 3}},
    ),
    "500 columns": Case(
        lambda: one(row("a", *range(500), columns=["customer_id", *(f"m_{i}_x" for i in range(500))])),
        rows={"a": {f"m_{i}_x": i for i in range(500)}},
    ),
    "columns named like the profile's own": Case(
        lambda: one(
            row("a", "no", 7, "x", columns=["customer_id", "is_active", "total_records", "data_sources"])
        ),
        rows={"a": {"s_is_active": "no", "s_total_records": 7, "s_data_sources": "x", "total_records": 1}},
    ),
    "a source named total": Case(
        lambda: {"total": ids(), "other": ids()},
        rows={"a": {"total_records": 2, "total_2_records": 1}, "b": {}},
    ),
    "sources named like columns": Case(
        lambda: {"customer_id": ids(), "is_active": ids(), "total_records": ids()},
        rows={"a": {"customer_id_records": 1, "is_active_records": 1, "total_records": 3}, "b": {}},
    ),
    "sources named alike": Case(
        lambda: {"CRM": ids(), "crm": ids(), DROP: ids()},
        rows={"a": {"crm_records": 1, "crm_2_records": 1, "drop_table_x_records": 1}, "b": {}},
    ),
    "a metric and an attribute of one name": Case(
        lambda: {"x": ids(amount=["gold", "tin"]), "y": ids(amount=[1, 2])},
        rows={"a": {"amount": 1, "x_amount": "gold"}, "b": {"amount": 2, "x_amount": "tin"}},
    ),
    "numbers and text, stated a metric": Case(
        lambda: {"x": ids(amount=[1, 2]), "y": ids(amount=["2", "two"])},
        {"metrics": ["amount"]},
        rows={"a": {"amount": 3.0}, "b": {"amount": 2.0}},
    ),
    # Values.
    "mixed types": Case(
        lambda: one(pd.DataFrame({"customer_id": ["a", 1, 1.0, None], "amount": [1, "2", 3.5, None]})),
        rows={"a": {"amount": 1.0}, "1": {"amount": 5.5, "total_records": 2}},
        unidentified=1,
    ),
    "nested and binary values": Case(
        lambda: one(pd.DataFrame({"customer_id": ["a"], "tags": [["x"]], "d": [{"k": 1}], "b": [b"x"]})),
        rows={"a": {}},
    ),
    "a nested identifier": Case(
        lambda: stated(pd.DataFrame({"customer_id": [["a"]]}), identifiers=["customer_id"]),
        error=ConfigError,
        says="nested values",
    ),
    "a boolean identifier": Case(
        lambda: one(pd.DataFrame({"customer_id": [True]})), error=DataError, says="No column identifies"
    ),
    "integers whose sum exceeds 64 bits": Case(
        lambda: one(pa.table({"customer_id": ["a", "a"], "amount": [2**63 - 1, 2**63 - 1]})),
        rows={"a": {"amount": Decimal(2**64 - 2)}},
    ),
    "integers beyond 64 bits": Case(
        lambda: one(amounts(2**100, -1, None)), rows={"a": {"amount": Decimal(2**100 - 1)}}
    ),
    "integers beyond 38 digits": Case(lambda: one(amounts(2**200, 1)), rows={"a": {"amount": str(2**200)}}),
    "a sum beyond 38 digits": Case(
        lambda: one(amounts(10**38 - 1, 10**38 - 1)), error=DataError, says="38 digits"
    ),
    "a sum beyond the doubles": Case(lambda: one(amounts(1.7e308, 1.7e308)), error=DataError, says="double"),
    "huge ids": Case(
        lambda: {"x": pd.DataFrame({"customer_id": [2**70, 2**200]}), "y": ids(customer_id=[str(2**70)] * 2)},
        rows={str(2**70): {"total_records": 3}, str(2**200): {"total_records": 1}},
    ),
    "infinities and NaN": Case(
        lambda: one(amounts(float("inf"), float("-inf"), float("nan"), 1.5)), rows={"a": {"amount": 1.5}}
    ),
    "naive and zoned times": Case(
        lambda: one(
            pd.DataFrame(
                {
                    "customer_id": ["a", "a"],
                    "created_at": [NAIVE, datetime(2026, 1, 1, 3, tzinfo=timezone(timedelta(hours=2)))],
                }
            )
        ),
        rows={"a": {"first_seen": SEEN, "last_seen": datetime(2026, 1, 1, 1, tzinfo=UTC)}},
    ),
    "naive and zoned times in two batches": Case(
        lambda: one([ids(created_at=[NAIVE, NAIVE]), ids(created_at=[SEEN, SEEN])]),
        rows={"a": {"first_seen": SEEN, "last_seen": SEEN}, "b": {}},
    ),
    "dates as text": Case(
        lambda: one(ids(created_at=["2026-01-01", " 2026-01-01T02:30:00+02:00 "])),
        rows={"a": {"last_seen": SEEN}, "b": {"last_seen": datetime(2026, 1, 1, 0, 30, tzinfo=UTC)}},
    ),
    "dates as text that nobody can read for sure": Case(
        lambda: one(ids(created_at=["12/11/2025", "01.02.2026"])),
        rows={"a": {"created_at": "12/11/2025", "last_seen": None, "is_active": True}, "b": {}},
    ),
    "times that no clock shows": Case(
        lambda: one(ids(created_at=[YEAR_1, YEAR_9999])),
        rows={"a": {"created_at": YEAR_1, "last_seen": None}, "b": {}},
    ),
    "categories and nullable types": Case(
        lambda: one(
            pd.DataFrame(
                {
                    "customer_id": pd.Categorical(["a", "b"]),
                    "amount": pd.array([2**53 + 1, None], "Int64"),
                    "weight": pd.array([1.5, None], "Float64"),
                    "vip": pd.array([True, None], "boolean"),
                    "city": pd.array(["Oslo", None], "string"),
                }
            )
        ),
        rows={
            "a": {"amount": 2**53 + 1, "weight": 1.5, "vip": True, "city": "Oslo"},
            "b": {"amount": 0, "weight": 0.0, "vip": None, "city": None},
        },
    ),
    "an extension type of Arrow": Case(
        lambda: one(
            pa.table({"customer_id": pa.array(["a"]).dictionary_encode(), "amount": pa.array([1], "uint8")})
        ),
        rows={"a": {"amount": 1}},
    ),
    "polars integers beyond 64 bits": Case(
        lambda: one(pl.DataFrame({"customer_id": ["a"], "amount": pl.Series([2**100], dtype=pl.Int128)})),
        rows={"a": {"amount": Decimal(2**100)}},
    ),
    "an integer column with gaps in one source": Case(
        lambda: {"x": pd.DataFrame({"customer_id": [7.0, None]}), "y": pd.DataFrame({"customer_id": ["7"]})},
        rows={"7": {"total_records": 2}},
        unidentified=1,
    ),
    "an empty metric column beside decimals": Case(
        lambda: {
            "x": ids(amount=[2**63 - 1, 1]),
            "y": Source(data=ids(amount=[None, None]), metrics=["amount"]),
        },
        rows={"a": {"amount": 2**63 - 1}, "b": {"amount": 1}},
    ),
    "an empty attribute column beside booleans": Case(
        lambda: {
            "x": Source(data=ids(vip=[False, True]), attributes=["vip"]),
            "y": Source(data=ids(vip=[None, None]), attributes=["vip"]),
        },
        rows={"a": {"vip": False}, "b": {"vip": True}},
    ),
    # Statements that do not fit.
    "an unknown column is stated": Case(
        lambda: stated(ids(amount=[1, 2]), metrics=["amuont"]),
        error=ConfigError,
        says="Did you mean 'amount'?",
    ),
    "an unknown identifier is stated": Case(
        lambda: stated(ids(), identifiers={"customer_id": "custmer_id"}),
        error=ConfigError,
        says="Did you mean 'customer_id'?",
    ),
    "an unknown event time is stated": Case(
        lambda: stated(ids(seen=[SEEN, SEEN]), event_time="sene"),
        error=ConfigError,
        says="Did you mean 'seen'?",
    ),
    "a column that no source has is stated": Case(
        lambda: one(ids()), {"attributes": ["city"]}, error=ConfigError, says="'city' is stated"
    ),
    "metric and attribute": Case(
        lambda: stated(ids(amount=[1, 2]), metrics=["amount"], attributes=["amount"]),
        error=ConfigError,
        says="two roles",
    ),
    "identifier and metric": Case(
        lambda: stated(ids(), identifiers=["customer_id"], metrics=["customer_id"]),
        error=ConfigError,
        says="two roles",
    ),
    "event time and attribute": Case(
        lambda: stated(ids(seen=[SEEN, SEEN]), attributes=["seen"], event_time="seen"),
        error=ConfigError,
        says="two roles",
    ),
    "two identifier types": Case(
        lambda: stated(ids(), identifiers={"customer_id": "customer_id", "user_id": "customer_id"}),
        error=ConfigError,
        says="customer_id",
    ),
    "an identifier type named like a profile column": Case(
        lambda: stated(ids(), identifiers={"total_records": "customer_id"}),
        error=ConfigError,
        says="total_records",
    ),
    "a metric of dates": Case(
        lambda: stated(ids(day=[date(2026, 1, 1)] * 2), metrics=["day"]),
        error=ConfigError,
        says="date values",
    ),
    "a metric of lists": Case(
        lambda: stated(ids(tags=[[1], [2]]), metrics=["tags"]), error=ConfigError, says="nested values"
    ),
    "an event time of booleans": Case(
        lambda: stated(ids(flag=[True, False]), event_time="flag"), error=ConfigError, says="no times"
    ),
}


@pytest.mark.parametrize("name", INPUTS)
def test_input(name: str) -> None:
    """A hostile input has the outcome that the table says, and never an error of another kind."""
    case = INPUTS[name]
    config = Config(**(case.config or {}))
    if case.error:
        with pytest.raises(case.error) as raised:
            unify(case.sources(), config, as_of=AS_OF)
        assert type(raised.value) is case.error
        assert case.says in str(raised.value)
        return
    with unify(case.sources(), config, as_of=AS_OF) as result:
        profiles = result.profiles.to_arrow()
        summary = result.summary
    assert len(set(profiles.column_names)) == len(profiles.column_names)
    found = {profile["customer_id"]: profile for profile in profiles.to_pylist()}
    expected = case.rows or {}
    assert found.keys() == expected.keys()
    for customer, values in expected.items():
        got = {column: found[customer].get(column, "no such column") for column in values}
        assert got == values
        assert {column: type(value) for column, value in got.items()} == {
            column: type(value) for column, value in values.items()
        }
    assert summary["unidentified_records"] == case.unidentified
    json.dumps(summary, allow_nan=False)


EXPRESSIONS: dict[str, Any] = {
    # What is allowed, with the value for customer a, who has 10 of 40.
    "amount / nullif(s_records, 0)": 10.0,
    "amount / 0": None,
    "0.0 / 0": None,
    "AMOUNT + 1": 11,
    '"amount" - 1': 9,
    "sum(amount) OVER ()": Decimal(40),
    "rank() OVER (ORDER BY amount DESC)": 2,
    "count(*) OVER ()": 2,
    "CASE WHEN amount > 20 THEN 'big' ELSE 'small' END": "small",
    "amount > 20": False,
    "upper(customer_id)": "A",
    "NULL": None,
    "TRY_CAST(customer_id AS INTEGER)": None,
    "list_transform([1], x -> x + amount)": "[11]",
    "amount -- a remark": 10,
    "date '2026-01-31'": date(2026, 1, 31),
    # What is not, with a part of what the error says.
    "amuont": ConfigError("Did you mean 'amount'?"),
    "amount +": ConfigError("is not one SQL expression|one SQL expression"),
    "(amount": ConfigError("one SQL expression"),
    "amount, customer_id": ConfigError("one SQL expression"),
    "amount AS x": ConfigError("one SQL expression"),
    "(SELECT max(amount) FROM profiles)": ConfigError("subquer"),
    "(SELECT count(*) FROM profiles)": ConfigError("subquer"),
    "amount IN (SELECT 1)": ConfigError("subquer"),
    "EXISTS (FROM profiles)": ConfigError("subquer"),
    "amount; drop table profiles": ConfigError("one SQL expression"),
    "; drop table x": ConfigError("one SQL expression"),
    "drop table profiles": ConfigError("one SQL expression"),
    "amount) AS x FROM profiles; DROP TABLE profiles; --": ConfigError("one SQL expression"),
    "count(*)": ConfigError(""),
    "sum(amount)": ConfigError(""),
    "*": ConfigError("one SQL expression"),
    "COLUMNS('.*')": ConfigError(""),
    "unnest([1, 2])": ConfigError(""),
    "?": ConfigError("one SQL expression"),
    "$1": ConfigError("one SQL expression"),
    "profiles": ConfigError("no profile column"),
    "no_such_function(amount)": ConfigError("no_such_function"),
    "random()": ConfigError("rerun"),
    "now()": ConfigError("as_of"),
    "current_date": ConfigError("as_of"),
    "customer_id::INTEGER": DataError("nullif"),
    "CAST(customer_id AS INTEGER)": DataError("TRY_CAST"),
}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_derived_expression(expression: str) -> None:
    """A derived column is an expression over one profile; whatever else is refused before it does harm."""
    expected = EXPRESSIONS[expression]
    source = ids(amount=[10, 30])
    if isinstance(expected, Exception):
        with pytest.raises(type(expected)) as raised:
            unify({"s": source}, Config(derived={"d": expression}), as_of=AS_OF)
        assert any(part in str(raised.value) for part in str(expected).split("|"))
        assert "d" in str(raised.value)
        return
    with unify({"s": source}, Config(derived={"d": expression}), as_of=AS_OF) as result:
        profiles = result.profiles.to_arrow().to_pylist()
    assert [profile["customer_id"] for profile in profiles] == ["a", "b"]
    assert profiles[0]["d"] == expected
    assert type(profiles[0]["d"]) is type(expected)


@pytest.mark.parametrize("name", ["amount", "customer_id", "is_active", "s_records", "Amount", "IS ACTIVE"])
def test_derived_name_that_is_taken(name: str) -> None:
    """A derived column never shadows a column that the profile has, in any spelling."""
    with pytest.raises(ConfigError, match="already"):
        unify({"s": ids(amount=[1, 2])}, Config(derived={name: "1"}), as_of=AS_OF)


def test_derived_name_full_of_quotes() -> None:
    """A derived column's name becomes a plain column name; later expressions use that."""
    config = Config(derived={DROP: "amount + 1", "twice": "drop_table_x * 2"})
    with unify({"s": ids(amount=[1, 2])}, config, as_of=AS_OF) as result:
        assert [row["twice"] for row in result.profiles.to_arrow().to_pylist()] == [4, 6]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"active_within": 0}, "active_within"),
        ({"active_within": timedelta(-1)}, "active_within"),
        ({"active_within": "soon"}, "active_within"),
        ({"active_within": True}, "active_within"),
        ({"active_within": float("nan")}, "active_within"),
        ({"active_within": float("inf")}, "active_within"),
        ({"derived": ["amount"]}, "derived"),
        ({"derived": {"d": 1}}, "derived"),
        ({"derived": {"d": ""}}, "d"),
        ({"metrics": {"amount": "median"}}, "sum, mean, min, max"),
        ({"metrics": "amount"}, "list of columns"),
        ({"attributes": "city"}, "list of column names"),
        ({"identifiers": "email"}, "identifiers"),
        ({"identifiers": {"email": 1}}, "identifiers"),
        ({"identifiers": [""]}, "identifiers"),
    ],
)
def test_settings(settings: Mapping[str, Any], says: str) -> None:
    """A setting of the wrong shape is refused when it is given, by name and with what is allowed."""
    with pytest.raises(ConfigError, match=says):
        Config(**settings)


@pytest.mark.parametrize(
    "within", [timedelta(days=999_999_999), timedelta(days=365 * 2500), timedelta.resolution]
)
def test_any_positive_active_within(within: timedelta) -> None:
    """A duration longer than the calendar, or as short as the clock's tick, is one."""
    source = ids(created_at=[AS_OF, AS_OF - timedelta(days=1)])
    with unify({"s": source}, Config(active_within=within), as_of=AS_OF) as result:
        active = [row["is_active"] for row in result.profiles.to_arrow().to_pylist()]
    assert active == [True, within > timedelta(days=1)]
