"""Which of a customer's values survives: each rule, each tie, groups, provenance, and what is refused.

At the end, random sources are held against a second implementation in plain Python.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import permutations
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from airflow_provider_customer360.unify import Config, ConfigError, Source, unify

Row = dict[str, Any]


def day(number: int) -> datetime:
    """A day of January 2026."""
    return datetime(2026, 1, number, tzinfo=UTC)


def records(*rows: Row) -> pa.Table:
    """A source with records of customer c; a missing key is a missing value."""
    columns = list(dict.fromkeys(["customer_id", *(key for row in rows for key in row)]))
    return pa.Table.from_pylist([dict.fromkeys(columns) | {"customer_id": "c"} | row for row in rows])


def cities(*found: tuple[str | None, datetime | None]) -> pa.Table:
    """A source with one city and time a record."""
    times = pa.array([time for _, time in found], pa.timestamp("us", "UTC"))
    return pa.table(
        {
            "customer_id": ["c"] * len(found),
            "city": pa.array([city for city, _ in found], pa.string()),
            "created_at": times,
        }
    )


def profile(
    sources: Mapping[str, Any] | pa.Table,
    survivorship: Any = None,
    *,
    provenance: bool = False,
    **config: Any,
) -> Row:
    """The profile of the only customer."""
    named = sources if isinstance(sources, Mapping) else {"crm": sources}
    settings = Config(survivorship=survivorship or {}, provenance=provenance, **config)
    with unify(named, settings, as_of=day(31)) as result:
        (row,) = result.profiles.to_arrow().to_pylist()
    return dict(row)


def survivors(sources: Mapping[str, Any], survivorship: Any, column: str) -> set[Any]:
    """What one column holds over all customers."""
    with unify(sources, Config(survivorship=survivorship), as_of=day(31)) as result:
        return set(result.profiles.to_arrow()[column].to_pylist())


def refusal(sources: Mapping[str, Any] | pa.Table, survivorship: Any, **config: Any) -> str:
    """The message with which a rule is refused."""
    with pytest.raises(ConfigError) as caught:
        profile(sources, survivorship, **config)
    return str(caught.value)


# --- Each rule -------------------------------------------------------------------------------------------

TIMELINE = cities(
    *[("Rome", day(3)), ("Oslo", day(5)), ("Rome", day(1)), ("Bergen", day(4)), (None, day(9)), (" ", day(9))]
)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("most_recent", "Oslo"),
        ("first_seen", "Rome"),
        ("most_frequent", "Rome"),
        ("longest", "Bergen"),
        ("max", "Rome"),
        ("min", "Bergen"),
    ],
)
def test_the_stated_rule_decides(rule: str, expected: str) -> None:
    """Of several values the one survives that the rule names; missing and blank ones take no part."""
    assert profile(TIMELINE, {"city": rule})["city"] == expected


def test_without_a_rule_the_most_recent_value_survives() -> None:
    """Rules for other columns change nothing for a column without one."""
    crm = records(
        {"city": "Rome", "full_name": "Ada", "created_at": day(2)},
        {"city": "Oslo", "full_name": "Adaline", "created_at": day(1)},
    )
    row = profile(crm, {"full_name": "longest"})
    assert (row["city"], row["full_name"]) == ("Rome", "Adaline")


def test_a_column_is_meant_in_any_spelling() -> None:
    """A rule names the profile column, or a column that is spelled differently but feeds it."""
    crm = records(
        {"MailingCity": "Rome", "created_at": day(2)}, {"MailingCity": "Oslo", "created_at": day(1)}
    )
    for spelling in ("mailing_city", "MailingCity", "Mailing City"):
        assert profile(crm, {spelling: "first_seen"})["mailing_city"] == "Oslo"
    group = {"address": {"columns": ["MailingCity"], "rule": "first_seen"}}
    assert profile(crm, group)["mailing_city"] == "Oslo"


def test_a_rule_reaches_over_sources() -> None:
    """Values of all sources compete by the same rule; counts add up over sources."""
    sources = {
        "crm": cities(("Rome", day(1)), ("Rome", day(2)), ("Oslo", day(9))),
        "shop": cities(("Oslo", day(3)), ("Reykjavik", day(5))),
        "desk": cities(("Oslo", day(4))),
    }
    expected = {"first_seen": "Rome", "most_frequent": "Oslo", "longest": "Reykjavik", "min": "Oslo"}
    for rule, city in expected.items():
        assert profile(sources, {"city": rule})["city"] == city, rule


def test_source_priority_takes_the_listed_source_first() -> None:
    """The first listed source that has a value wins, within it the most recent; unlisted ones come last."""
    sources = {
        "crm": cities((None, day(9)), (None, None)),
        "shop": cities(("Rome", day(1)), ("Oslo", day(2))),
        "desk": cities(("Bergen", day(8))),
        "web": cities(("Lima", day(7))),
    }
    rule = {"rule": "source_priority", "sources": ["crm", "shop"]}
    assert profile(sources, {"city": rule})["city"] == "Oslo"
    assert profile(sources, {"city": rule | {"sources": ["crm"]}})["city"] == "Bergen"
    assert profile(sources, {"city": rule | {"sources": ["web", "shop"]}})["city"] == "Lima"


def test_max_and_min_compare_numbers_and_times_by_size() -> None:
    """9 is less than 10, also where one source has whole numbers, one decimals and one floats."""
    sources: dict[str, pa.Table] = {
        "crm": records({"age": 9, "birthday": date(2001, 2, 3)}, {"age": 8}),
        "shop": records({"age": Decimal("10.5"), "birthday": date(1999, 12, 31)}),
    }
    largest = profile(sources, {"age": "max", "birthday": "max"})
    least = profile(sources, {"age": "min", "birthday": "min"})
    assert (largest["age"], largest["birthday"]) == (Decimal("10.5"), date(2001, 2, 3))
    assert (least["age"], least["birthday"]) == (8, date(1999, 12, 31))
    floats = {**sources, "desk": records({"age": 100.25}, {"age": float("nan")})}
    assert profile(floats, {"age": "max"})["age"] == 100.25


def test_any_and_all_read_what_people_write_for_yes_and_no() -> None:
    """Any is true where one value is, all where every one is; the column is BOOLEAN whatever was written."""
    spellings = [
        *[(True, False), (1, 0), (1.0, 0.0), (Decimal("1"), Decimal("0"))],
        *[("true", "False"), ("YES", "no"), (" y ", "N"), ("T", "f"), ("1", "0")],
    ]
    agreed: Row = {f"flag_{place}": yes for place, (yes, _) in enumerate(spellings)}
    # Each source writes yes and no in another way.
    denied: Row = {f"flag_{place}": no for place, (_, no) in enumerate(spellings[1:] + spellings[:1])}
    sources = {"crm": records(agreed, {}), "shop": records(denied)}
    for known, rule, expected in [(sources, "any", True), (sources, "all", False)]:
        row = profile(known, dict.fromkeys(agreed, rule))
        assert [row[name] for name in agreed] == [expected] * len(agreed)
    row = profile(sources["crm"], dict.fromkeys(agreed, "all"))
    assert [row[name] for name in agreed] == [True] * len(agreed)


def test_nothing_known_is_neither_true_nor_false() -> None:
    """A customer without any value has NULL under every rule, not false and not an empty text."""
    sources = {
        "crm": pa.table(
            {
                "customer_id": ["c", "other"],
                **{"city": [" ", "Rome"], "vip": [None, True], "street": [None, "x"], "zip": ["", "y"]},
            }
        )
    }
    rules: Any = {"vip": "all", "address": {"columns": ["street", "zip"]}}
    for rule in ("first_seen", "most_frequent", "longest", "max", "min"):
        config = Config(survivorship=rules | {"city": rule}, provenance=True)
        with unify(sources, config, as_of=day(31)) as result:
            row = next(row for row in result.profiles.to_arrow().to_pylist() if row["customer_id"] == "c")
        names = ("city", "city_source", "vip", "vip_source", "street", "zip", "address_source")
        assert [row[name] for name in names] == [None] * 7


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(" \t\n\r\xa0a~!\x7f\xd6\u738b", max_size=6), min_size=1, max_size=20))
def test_white_space_around_a_text_is_no_part_of_it(texts: list[str]) -> None:
    """And white space alone is no value, whatever stands at the ends of the others."""
    found = pa.table({"customer_id": [f"c{n}" for n in range(len(texts))], "city": texts})
    with unify({"crm": found}, Config(attributes=["city"]), as_of=day(31)) as result:
        profiles = result.profiles.to_arrow().to_pylist()
    expected = {f"c{n}": text.strip(" \t\n\r\xa0") or None for n, text in enumerate(texts)}
    assert {row["customer_id"]: row["city"] for row in profiles} == expected


# --- Ties ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "found", "expected"),
    [
        ("most_recent", [("Oslo", day(1)), ("Rome", day(1)), ("Bergen", day(1))], "Rome"),
        ("most_recent", [("Oslo", datetime(1970, 1, 1, tzinfo=UTC)), ("Rome", None)], "Oslo"),
        ("most_recent", [("Oslo", None), ("Rome", None)], "Rome"),
        ("first_seen", [("Oslo", day(1)), ("Rome", day(1)), ("Bergen", day(1))], "Rome"),
        ("first_seen", [("Oslo", day(1)), ("Rome", None)], "Oslo"),
        ("first_seen", [("Oslo", None), ("Rome", None)], "Rome"),
        ("most_frequent", [("Oslo", day(2)), ("Rome", day(1)), ("Oslo", None), ("Rome", None)], "Oslo"),
        ("most_frequent", [("Oslo", day(1)), ("Rome", day(1))], "Rome"),
        ("longest", [("Oslo", day(2)), ("Rome", day(1)), ("Ur", day(3))], "Oslo"),
        ("longest", [("Oslo", day(1)), ("Rome", day(1))], "Rome"),
        ({"rule": "source_priority", "sources": ["crm"]}, [("Oslo", day(1)), ("Rome", day(1))], "Rome"),
        ({"rule": "source_priority", "sources": ["crm"]}, [("Oslo", day(1)), ("Rome", None)], "Oslo"),
    ],
)
def test_a_tie_has_one_winner(rule: Any, found: list[Any], expected: str) -> None:
    """Even values are decided by recency, where the rule says so, and then by the value: in any order."""
    # Every order is a customer of its own.
    orders = list(enumerate(permutations(found)))
    rows = [{"customer_id": f"c{n}", "city": c, "created_at": t} for n, order in orders for c, t in order]
    crm = Source(data=records(*rows), event_time="created_at")
    assert survivors({"crm": crm}, {"city": rule}, "city") == {expected}
    if isinstance(rule, str):
        parts = [rows[place :: len(found)] for place in range(len(found))]
        spread = {
            f"s{place}": Source(data=records(*part), event_time="created_at")
            for place, part in enumerate(parts)
        }
        assert survivors(spread, {"city": rule}, "city") == {expected}


# --- Groups ----------------------------------------------------------------------------------------------

ADDRESS = {"address": {"columns": ["street", "zip", "city"], "rule": "most_recent"}}


def address(row: Row) -> tuple[Any, ...]:
    """The address of a profile."""
    return row["street"], row["zip"], row["city"]


def test_a_group_is_taken_from_one_record() -> None:
    """A street never stands beside another record's city, even where the winner does not know its street."""
    crm = records(
        {"street": "High St 1", "zip": "0150", "city": "Oslo", "created_at": day(1)},
        {"street": None, "zip": "00100", "city": "Rome", "created_at": day(2)},
        {"street": " ", "zip": None, "city": "", "created_at": day(3)},
    )
    assert address(profile(crm, ADDRESS)) == (None, "00100", "Rome")
    alone = profile(crm)
    assert address(alone) == ("High St 1", "00100", "Rome")


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"rule": "first_seen"}, ("A", "1", None)),
        ({"rule": "most_frequent"}, ("B", None, "Rome")),
        ({"rule": "longest"}, ("Long Street 7", None, None)),
        ({"rule": "source_priority", "sources": ["shop"]}, (None, None, "Lima")),
        ({}, (None, None, "Lima")),
    ],
)
def test_a_group_survives_by_its_rule(rule: Any, expected: tuple[Any, ...]) -> None:
    """Groups know the rules that whole records can be judged by; a source may know some members only."""
    crm = records(
        {"street": "A", "zip": "1", "created_at": day(1)},
        {"street": "B", "city": "Rome", "created_at": day(2)},
        {"street": "B", "city": "Rome", "created_at": day(2)},
        {"street": "Long Street 7", "created_at": day(3)},
    )
    sources = {"crm": crm, "shop": records({"city": "Lima", "created_at": day(5)})}
    assert (
        address(profile(sources, {"address": {**ADDRESS["address"], "rule": "most_recent", **rule}}))
        == expected
    )


def test_of_even_records_the_fuller_one_gives_the_group() -> None:
    """Records of one time are decided by the number of members they know, then by the values."""
    rows = [
        {"street": "A", "zip": "1", "city": "Oslo"},
        {"street": "Z", "zip": "9", "city": None},
        {"street": "A", "zip": "1", "city": "Bergen"},
    ]
    for order in (rows, rows[::-1]):
        assert address(profile(records(*order), ADDRESS)) == ("A", "1", "Oslo")
        sources = {f"s{place}": records(row) for place, row in enumerate(order)}
        assert address(profile(sources, ADDRESS)) == ("A", "1", "Oslo")


# --- Provenance ------------------------------------------------------------------------------------------


def test_provenance_names_the_source_of_each_value() -> None:
    """As the user calls it, beside each attribute and once for a group; without asking there is none."""
    sources = {
        "the crm's": records(
            {"city": "Rome", "street": "A", "zip": "1", "created_at": day(1)},
            {"city": "Rome", "created_at": day(1)},
        ),
        "shop": records(
            {"city": "Oslo", "street": "B", "zip": None, "full_name": "Ada", "created_at": day(2)}
        ),
    }
    rules = {"address": {"columns": ["street", "zip"], "rule": "first_seen"}, "city": "most_frequent"}
    row = profile(sources, rules, provenance=True)
    assert {name: row[name] for name in row if name.endswith("_source")} == {
        "city_source": "the crm's",
        "address_source": "the crm's",
        "full_name_source": "shop",
    }
    assert not [name for name in profile(sources, rules) if name.endswith("_source")]


@pytest.mark.parametrize("rule", ["most_recent", "first_seen", "most_frequent", "longest", "max", "min"])
def test_of_sources_with_the_same_survivor_the_first_by_name_is_named(rule: str) -> None:
    """Whatever order the sources are stated in, also where the rule looks for the least value."""
    same = {"city": "Oslo", "vip": True, "subscribed": True, "created_at": day(1)}
    sources = {name: records(same) for name in ("b", "a", "c")}
    row = profile(sources, {"city": rule, "vip": "any", "subscribed": "all"}, provenance=True)
    assert (row["city_source"], row["vip_source"], row["subscribed_source"]) == ("a", "a", "a")


def test_the_most_frequent_value_is_of_the_source_that_has_it_most() -> None:
    """The source with most rows of the value, not the last one or the first by name."""
    rome = ("Rome", day(1))
    sources = {"a": cities(("Rome", day(9))), "b": cities(rome, rome), "c": cities(("Oslo", day(1)))}
    assert profile(sources, {"city": "most_frequent"}, provenance=True)["city_source"] == "b"


def test_a_taken_name_of_provenance_gets_a_number() -> None:
    """A source's own column keeps its name."""
    crm = records({"city": "Rome", "city_source": "form"})
    row = profile(crm, provenance=True)
    assert (row["city"], row["city_source"], row["city_source_2"]) == ("Rome", "form", "crm")


def test_hostile_names_are_only_names() -> None:
    """Quotes and statements in names of sources and columns change nothing."""
    evil = """'); drop table x; --"']"""
    sources = {evil: records({'"; drop table x; --': "Rome"}), "b": records({"x": "Oslo"})}
    row = profile(
        sources,
        {
            '"; drop table x; --': {"rule": "source_priority", "sources": [evil]},
            evil: {"columns": ["x"], "rule": "most_frequent"},
        },
        provenance=True,
    )
    assert row["drop_table_x_source"] == evil
    assert (row["drop_table_x"], row["x"]) == ("Rome", "Oslo")


# --- The plan --------------------------------------------------------------------------------------------


def test_a_rule_makes_an_attribute_of_a_number() -> None:
    """A column that would be summed, or not used, survives instead once a rule is stated for it."""
    crm = records({"points": 3, "order_id": "o1"}, {"points": 5, "order_id": "o2"})
    assert profile(crm)["points"] == 8
    row = profile(crm, {"points": "max", "order_id": "min"})
    assert (row["points"], row["order_id"]) == (5, "o1")


def test_the_plan_says_the_rule_of_each_column() -> None:
    """In words as the reason, by name as the aggregate; also for what nothing was stated for."""
    sources = {
        "crm": records({"city": "Rome", "points": 3, "street": "A", "zip": "1"}),
        "b": records({"city": "X"}),
    }
    rules = {
        "city": {"rule": "source_priority", "sources": ["crm", "b"]},
        "points": "max",
        "address": {"columns": ["street"], "rule": "longest"},
    }
    with unify(sources, Config(survivorship=rules)) as result:
        said = {(one["source"], one["name"]): one for one in result.summary["columns"]}
    assert json.dumps(result.summary)
    assert said["crm", "city"]["reason"] == "stated; value of the first source of crm, b"
    assert said["crm", "points"]["reason"] == "stated; greatest value"
    assert said["crm", "points"]["role"] == "attribute"
    assert said["crm", "zip"]["aggregate"] == "most_recent"
    assert said["crm", "zip"]["reason"].endswith("most recent value")
    assert said["crm", "street"]["aggregate"] == "longest"


def test_rules_join_stated_attributes() -> None:
    """Where attributes are stated, a rule adds its column to them."""
    crm = records({"city": "Rome", "street": "A", "zip": "1"})
    row = profile(crm, {"zip": "longest"}, attributes=["city"])
    assert (row["city"], row["zip"], "street" in row) == ("Rome", "1", False)


def test_counting_values_changes_no_other_column() -> None:
    """Metrics, counts, times and other attributes are the same beside the most frequent value."""
    crm = records(
        *({"city": city, "amount": 1.5, "tier": tier, "created_at": day(place)}
          for place, (city, tier) in enumerate(zip("ABBCA", "vwxyz", strict=True), start=1))
    )  # fmt: skip
    sources = {"crm": crm, "shop": records({"city": "C", "amount": 2.0}, {"city": None, "amount": 4.0})}
    plain = profile(sources)
    counted = profile(sources, {"city": "most_frequent"})
    assert counted == plain | {"city": "A"}


# --- What is refused -------------------------------------------------------------------------------------

SHAPES: dict[str, tuple[Any, str]] = {
    "a list": (["city"], "survivorship is a list; give a mapping"),
    "no name": ({" ": "max"}, "survivorship has a rule for ' '"),
    "a number": ({"city": 5}, r"survivorship\['city'\] is a int; give one of most_recent"),
    "unknown rule": ({"city": "most_recnt"}, "rule 'most_recnt'. Did you mean 'most_recent'"),
    "unknown key": ({"city": {"rules": "max"}}, "key 'rules'. Did you mean 'rule'"),
    "a rule that is a list": ({"city": ["max"]}, "is a list"),
    "an unhashable rule": ({"city": {"rule": ["max"]}}, "has a rule .*Allowed: most_recent"),
    "max of a group": (
        {"a": {"columns": ["x", "y"], "rule": "max"}},
        "group of columns, has a rule 'max'.*Allowed: most_recent, first_seen, most_frequent, longest",
    ),
    "no columns": ({"a": {"columns": []}}, r"\['columns'\] is \[\]; give a list of names"),
    "columns as text": ({"a": {"columns": "x"}}, "give a list of names"),
    "a column twice": ({"a": {"columns": ["x", "X"]}}, "two rules for 'x'"),
    "no sources": ({"a": "source_priority"}, "'source_priority' without sources; list them"),
    "sources as text": ({"a": {"rule": "source_priority", "sources": "crm"}}, "give a list of names"),
    "a source twice": ({"a": {"rule": "source_priority", "sources": ["b", "b"]}}, "names one twice"),
    "idle sources": ({"a": {"rule": "max", "sources": ["b"]}}, "only 'source_priority' takes them"),
    "two rules": ({"City": "max", "a": {"columns": ["city"]}}, "two rules for 'city'"),
}


@pytest.mark.parametrize(("stated", "message"), SHAPES.values(), ids=SHAPES.keys())
def test_a_wrong_shape_is_refused_before_any_data_is_read(stated: Any, message: str) -> None:
    """By the operator when the DAG is parsed, and by the unifier's Config."""
    from airflow_provider_customer360 import Customer360Operator

    with pytest.raises(ConfigError, match=message):
        Config(survivorship=stated)
    with pytest.raises(ValueError, match=message):
        Customer360Operator(task_id="unify", asset_name="customers", survivorship=stated)


def test_provenance_is_yes_or_no() -> None:
    """A text such as "false", which Python takes for true, is refused."""
    with pytest.raises(ConfigError, match="provenance is 'false'; give True or False"):
        Config(provenance="false")  # type: ignore[arg-type]


def test_the_operator_takes_plain_data() -> None:
    """What YAML can hold reaches the unifier as it is."""
    yaml = pytest.importorskip("yaml")
    from airflow_provider_customer360 import Customer360Operator

    stated = yaml.safe_load("""
        city: most_frequent
        newsletter: any
        name: {rule: source_priority, sources: [crm, orders]}
        address:
          columns: [street, zip]
          rule: longest
    """)
    task = Customer360Operator(task_id="unify", asset_name="customers", survivorship=stated, provenance=True)
    config = task._config()
    assert (config.survivorship, config.provenance) == (stated, True)


def test_a_metric_with_a_rule_is_a_contradiction() -> None:
    """Stated for all sources it fails when the DAG is parsed; for one source, when it is read."""
    with pytest.raises(ConfigError, match="'Points' is stated under metrics and has a rule in survivorship"):
        Config(metrics={"Points": "sum"}, survivorship={"points": "max"})
    source = Source(data=records({"points": 1}), metrics=["points"])
    assert "'points' of source 'crm' has a rule in survivorship but is stated as metric" in refusal(
        {"crm": source}, {"points": "max"}
    )


def test_a_rule_never_takes_an_identifier_or_the_time_away() -> None:
    """Silently losing what joins or orders the records would be worse than an error that says what to do."""
    crm = records({"email": "a@example.com", "created_at": day(1), "city": "Rome"})
    assert "identifies the customer" in refusal(crm, {"email": "most_frequent"})
    assert "is the time of the record" in refusal(crm, {"created_at": "min"})
    row = profile(crm, {"email": "most_frequent"}, identifiers=["customer_id"])
    assert row["email"] == "a@example.com"


def test_a_rule_without_a_column_says_what_there_is() -> None:
    """A misspelt column, alone or in a group, and one that is only known under another name."""
    crm = records({"city": "Rome", "street": "A", "is_active": "yes"})
    assert "no source feeds as an attribute: 'citty'. Did you mean 'city'?" in refusal(crm, {"citty": "max"})
    assert "'zip'" in refusal(crm, {"a": {"columns": ["street", "zip"]}})
    assert "Did you mean 'crm_is_active'?" in refusal(crm, {"is_active": "any"})
    assert profile(crm, {"crm_is_active": "any"})["crm_is_active"] is True


def test_an_unknown_source_says_what_there_is() -> None:
    """With the closest name."""
    rule = {"rule": "source_priority", "sources": ["crn"]}
    assert "a source 'crn'. Did you mean 'crm'? Allowed: crm" in refusal(
        records({"city": "x"}), {"city": rule}
    )


@pytest.mark.parametrize("value", ["secret", 2, 0.5, date(2026, 1, 1)])
def test_any_of_what_is_no_yes_or_no_is_refused(value: Any) -> None:
    """The message counts such values and says what is allowed, but shows none of them."""
    crm = records({"flag": value}, {"flag": None})
    message = refusal(crm, {"flag": "any"})
    assert "column 'flag' of source 'crm'" in message
    assert "allowed: true and false, numbers 1 and 0" in message
    assert str(value) not in message.replace("numbers 1 and 0", "")


def test_max_of_numbers_and_text_is_refused() -> None:
    """They do not compare: as text, 9 would be more than 10."""
    sources = {"crm": records({"age": 9}), "shop": records({"age": "10"})}
    assert "do not compare (bigint in crm; varchar in shop)" in refusal(sources, {"age": "max"})


def test_a_rule_for_nested_values_is_refused() -> None:
    """What cannot be used at all is said to be so."""
    crm = pa.table({"customer_id": ["c"], "tags": [["a", "b"]]})
    assert "'tags' of source 'crm' has a rule in survivorship but holds nested" in refusal(
        crm, {"tags": "max"}
    )


# --- Random sources against plain Python -----------------------------------------------------------------

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TYPES = {
    "customer_id": pa.string(),
    "moment": pa.timestamp("us", "UTC"),
    "city": pa.string(),
    "level": pa.int64(),
    "birthday": pa.date32(),
    "street": pa.string(),
    "zip": pa.string(),
}
_FLAGS = {"boolean": pa.bool_(), "number": pa.int64(), "text": pa.string()}
_FLAG_VALUES: dict[str, list[Any]] = {
    "boolean": [True, False],
    "number": [1, 0],
    "text": ["Yes", "n", " t", "0"],
}
_IS_TRUE = (True, 1, "Yes", " t")
_NAMES = ("shop", "crm", "o'desk")


@st.composite
def worlds(draw: st.DrawFn) -> tuple[dict[str, list[Row]], dict[str, dict[str, pa.DataType]], dict[str, Any]]:
    """Sources with few values and times, so that they tie; their columns; a rule for every attribute."""
    sources, columns = {}, {}
    for place, name in enumerate(_NAMES[: draw(st.integers(1, 3))]):
        flag = draw(st.sampled_from(sorted(_FLAGS)))
        values: dict[str, st.SearchStrategy[Any]] = {
            "customer_id": st.sampled_from(["a", "b", "a", None]),
            "moment": st.sampled_from([None, day(1), day(2), _EPOCH]),
            "city": st.sampled_from([None, "Oslo", "Rome", " Rome ", "Ur", "", "zürich"]),
            "level": st.sampled_from([None, -7, 3, 10]),
            "birthday": st.sampled_from([None, date(1960, 1, 2), date(2001, 1, 2)]),
            "street": st.sampled_from([None, "A", "B", "Long", " "]),
            "zip": st.sampled_from([None, "1", "2"]),
            "vip": st.none() | st.sampled_from(_FLAG_VALUES[flag]),
        }
        some = st.lists(st.sampled_from(list(values)[1:]), unique=True)
        held = ["customer_id", *draw(some)] if place else list(values)
        types = _TYPES | {"vip": _FLAGS[flag]}
        columns[name] = {column: types[column] for column in held}
        rows = draw(st.lists(st.fixed_dictionaries({column: values[column] for column in held}), max_size=9))
        if not place:
            rows = [{**dict.fromkeys(held), "customer_id": "a"}, *rows]
        sources[name] = rows
    priority = {
        "rule": "source_priority",
        "sources": draw(st.permutations(list(sources)))[: draw(st.integers(1, 3))],
    }
    whole: list[Any] = ["most_recent", "first_seen", "most_frequent", "longest", priority]
    rules: dict[str, Any] = {
        column: draw(st.sampled_from([*whole, "max", "min"])) for column in ("city", "level", "birthday")
    }
    rules["vip"] = draw(st.sampled_from(["any", "all"]))
    together = draw(st.sampled_from(whole))
    rules["address"] = {"columns": ["street", "zip"]} | (
        together if isinstance(together, dict) else {"rule": together}
    )
    return sources, columns, rules


def expected_profiles(sources: Mapping[str, Sequence[Row]], rules: Mapping[str, Any]) -> dict[str, Row]:
    """Every attribute and its source, by customer."""
    found = {}
    for customer in {row["customer_id"] for rows in sources.values() for row in rows} - {None}:
        profile: Row = {}
        for name, stated in rules.items():
            rule = stated if isinstance(stated, str) else stated["rule"]
            columns = stated.get("columns", [name]) if isinstance(stated, dict) else [name]
            listed = stated.get("sources", []) if isinstance(stated, dict) else []
            candidates = [
                (source, row.get("moment"), _known(row, columns))
                for source, rows in sources.items()
                for row in rows
                if row["customer_id"] == customer and any(one is not None for one in _known(row, columns))
            ]
            values, source = _survivor(rule, listed, candidates)
            profile |= dict(zip(columns, values or [None] * len(columns), strict=True))
            profile[f"{name}_source"] = source
        found[customer] = profile
    return found


def _known(row: Row, columns: Sequence[str]) -> tuple[Any, ...]:
    values = [row.get(column) for column in columns]
    if columns == ["vip"]:
        return tuple(None if one is None else one in _IS_TRUE for one in values)
    return tuple((one.strip() or None) if isinstance(one, str) else one for one in values)


def _survivor(rule: str, listed: Sequence[str], candidates: Sequence[Any]) -> tuple[Any, Any]:
    if not candidates:
        return None, None
    counts = Counter(values for _, _, values in candidates)

    def worth(candidate: Any) -> tuple[Any, ...]:
        source, time, values = candidate
        recency = (time is not None, time or _EPOCH)
        filled = sum(one is not None for one in values)
        last = (filled, tuple((one is None, one) for one in values))
        if rule == "most_frequent":
            recency = max((t is not None, t or _EPOCH) for _, t, other in candidates if other == values)
        ranks: dict[str, tuple[Any, ...]] = {
            "most_recent": recency,
            "first_seen": (time is not None, _EPOCH - (time or _EPOCH)),
            "most_frequent": (counts[values], *recency),
            "longest": (sum(len(str(one)) for one in values if one is not None), *recency),
            "source_priority": (-listed.index(source) if source in listed else -len(listed), *recency),
        }
        return (*ranks.get(rule, ()), *last)

    pick = min if rule in ("min", "all") else max
    best = pick(map(worth, candidates))
    winners = [candidate for candidate in candidates if worth(candidate) == best]
    holders = Counter(source for source, _, _ in winners)
    most = max(holders.values()) if rule == "most_frequent" else 0
    return winners[0][2], min(source for source, count in holders.items() if count >= most)


def unified(
    sources: Mapping[str, Sequence[Row]], columns: Mapping[str, Any], rules: Any, batches: int = 1
) -> dict[str, Row]:
    """The package's answer to the same; each source in a number of batches."""

    def frames(name: str) -> Iterator[pa.Table]:
        rows = sources[name]
        for batch in range(batches):
            yield pa.Table.from_pylist(
                list(rows[batch::batches]), schema=pa.schema(list(columns[name].items()))
            )

    given_sources = {
        name: Source(
            data=frames(name),
            identifiers=["customer_id"],
            event_time="moment" if "moment" in columns[name] else None,
        )
        for name in sources
    }
    with unify(given_sources, Config(survivorship=rules, provenance=True), as_of=day(31)) as result:
        rows = result.profiles.to_arrow().to_pylist()
    kept = {"customer_id", *(name for name in rows[0] if name.endswith("_source")), *_TYPES, "vip"}
    return {
        row["customer_id"]: {name: row[name] for name in row if name in kept - {"customer_id"}}
        for row in rows
    }


@settings(
    max_examples=40,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(worlds(), st.randoms(use_true_random=False))
def test_agrees_with_plain_python_in_any_order(world: Any, random: Any) -> None:
    """Every rule finds what the oracle finds, whatever the order of rows, sources and batches."""
    sources, columns, rules = world
    expected = expected_profiles(sources, rules)
    assert unified(sources, columns, rules) == expected
    shuffled = {
        name: random.sample(sources[name], len(sources[name]))
        for name in random.sample([*sources], len(sources))
    }
    assert unified(shuffled, columns, rules, batches=3) == expected
