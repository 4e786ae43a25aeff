"""Random sources in which values are shared, limits are exceeded and rules contradict the data.

Values are few and limits low, so that guards act in nearly every case. See `test_properties` for resolution
without guards.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

import networkx as nx
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from airflow_provider_customer360.unify import Config, Source, Unified, unify
from airflow_provider_customer360.unify.explain import Link
from tests.unify.guard_oracle import (
    Dropped,
    GuardedCase,
    Judge,
    Kind,
    Oracle,
    Pair,
    Row,
    SharedValue,
    parts_of,
)
from tests.unify.oracle import Declared, Identifier
from tests.unify.stable_ids_oracle import Published, Seen, expected

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
_PRIORITIES = {
    "customer_id": 0,
    "user_id": 10,
    "device_id": 20,
    "email": 30,
    "phone": 40,
    "anonymous_id": 50,
}
_VALUES = {
    "customer_id": ["c1", "c2", "c3", "c4", "c5"],
    "user_id": ["u1", "u2", "u3", "u4"],
    "device_id": ["d1", "d2", "d3"],
    "email": ["ann@shop.io", "bob@shop.io", "cem@shop.io", "dia@shop.io"],
    "phone": ["+14155550101", "+14155550102", "+14155550103"],
    "anonymous_id": ["w1", "w2", "w3"],
}
#: Columns that a source may have, and the type of each.
_COLUMNS = {**{kind: kind for kind in _PRIORITIES}, "billing_email": "email", "second_user": "user_id"}
_NAMES = ["Ana Silva", "Bob Jones", "Cem Kaya"]
_METRICS = ("amount", "points")
_SCHEMA = {"rid": pa.string(), "full_name": pa.string(), "at": pa.timestamp("us", "UTC")} | dict.fromkeys(
    _METRICS, pa.int64()
)
ID_EVENTS = ("created", "merged", "split", "retired")
GUARD_EVENTS = ("link_dropped", "value_shared")

# No shrinking: at this price of a run it takes minutes, and a failure prints its case whole.
few = settings(
    max_examples=4,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
some = settings(few, max_examples=6)
many = settings(few, max_examples=16)


@st.composite
def kinds(draw: st.DrawFn) -> dict[str, Kind]:
    """The types with low limits; ids are seldom shared, and only weak types may link nobody."""
    found = {}
    for name, priority in _PRIORITIES.items():
        weak = priority >= 20
        found[name] = Kind(
            priority=priority,
            shared_after=draw(st.sampled_from([None, 1, 2, 2] if weak else [None, None, None, 2])),
            limit=draw(st.sampled_from([None, 1, 2, 2, 3])),
            limit_per=draw(st.sampled_from(["customer", "customer", "source"])),
            links=not (weak and name != "email" and draw(st.integers(0, 7)) == 0),
            numbering=draw(st.sampled_from(["auto", "auto", "per_source"])) if name == "user_id" else "auto",
        )
    return found


@st.composite
def declared_sources(draw: st.DrawFn, rows: int = 10) -> dict[str, Declared]:
    """Two or three sources; the first row of the first has a customer number."""
    declared = {}
    for name in ("crm", "shop", "desk")[: draw(st.integers(2, 3))]:
        chosen = draw(st.lists(st.sampled_from(sorted(_COLUMNS)), min_size=3, max_size=5, unique=True))
        if name == "crm" and "customer_id" not in chosen:
            chosen[0] = "customer_id"
        columns: dict[str, st.SearchStrategy[Any]] = {
            column: st.sampled_from([*_VALUES[_COLUMNS[column]], None]) for column in chosen
        }
        if draw(st.booleans()):
            columns["full_name"] = st.sampled_from([*_NAMES, None])
        columns |= dict.fromkeys(_METRICS, st.none() | st.integers(-9, 9))
        columns["at"] = st.none() | st.integers(0, 40).map(lambda days: AS_OF - timedelta(days=days))
        found = draw(st.lists(st.fixed_dictionaries(columns), min_size=4, max_size=rows))
        if name == "crm":
            found[0]["customer_id"] = "c1"
        for place, row in enumerate(found):
            row["rid"] = f"{name}-{place}"
        declared[name] = Declared(
            found, {column: _COLUMNS[column] for column in chosen}, _METRICS, event_time="at"
        )
    return declared


@st.composite
def rules(draw: st.DrawFn, case: GuardedCase) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    """What must, and must not, be linked, without contradictions; two numbers are in no source."""
    rows = Oracle(case).rows
    beside = sorted({pair for row in rows for pair in combinations(row.linking, 2)})
    known = sorted({one for row in rows for one in row.linking + row.shown})
    known += [("customer_id", "c8"), ("customer_id", "c9")]
    of_one_type = [pair for pair in combinations(known, 2) if pair[0][0] == pair[1][0]]
    pairs = st.sampled_from(list(combinations(known, 2)))
    linked = tuple(draw(st.lists(pairs | st.sampled_from(of_one_type), max_size=3)))
    parts = parts_of(linked)
    apart = tuple(
        (one, other)
        for one, other in draw(st.lists(pairs | st.sampled_from(beside or of_one_type), max_size=4))
        if one not in parts or parts[one] != parts.get(other)
    )
    return linked, apart


@st.composite
def cases(draw: st.DrawFn, rows: int = 10) -> GuardedCase:
    """Sources, what guards them, and rules."""
    case = GuardedCase(draw(declared_sources(rows)), draw(kinds()))
    linked, apart = draw(rules(case)) if draw(st.booleans()) else ((), ())
    return replace(case, must_link=linked, must_not_link=apart)


def as_arrow(source: Declared, rows: Sequence[Mapping[str, Any]] | None = None) -> pa.Table:
    """The rows of a source, or some of them."""
    names = dict.fromkeys([*source.identifiers, *(name for row in source.rows for name in row), "rid"])
    return pa.table(
        {
            name: pa.array(
                [row.get(name) for row in (source.rows if rows is None else rows)],
                _SCHEMA.get(name, pa.string()),
            )
            for name in names
        }
    )


def as_rules(pairs: Iterable[Pair]) -> pa.Table | None:
    """A table of rules; None where there are none."""
    rows = [(*one, *other) for one, other in pairs]
    names = ("identifier_type", "identifier_value", "other_identifier_type", "other_identifier_value")
    return pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))) if rows else None


def as_source(source: Declared, data: Any) -> Source:
    """A source with its roles stated."""
    identifiers: dict[str, list[str]] = defaultdict(list)
    for column, kind in source.identifiers.items():
        identifiers[kind].append(column)
    return Source(
        data=data,
        identifiers=dict(identifiers),
        metrics=list(source.metrics),
        attributes=[],
        event_time=source.event_time,
        key="rid",
    )


@contextmanager
def run(case: GuardedCase, previous: Any = None, sources: Any = None) -> Iterator[Unified]:
    """Unify a case."""
    given_sources = sources or {
        name: as_source(source, as_arrow(source)) for name, source in case.declared.items()
    }
    types = {name: kind.settings for name, kind in case.kinds.items()}
    with unify(
        given_sources,
        Config(identifier_types=types, assignments=True),
        as_of=AS_OF,
        must_link=as_rules(case.must_link),
        must_not_link=as_rules(case.must_not_link),
        previous=previous,
    ) as result:
        yield result


def rows_of(frame: Any) -> list[dict[str, Any]]:
    """A frame of a result as dicts."""
    found: list[dict[str, Any]] = frame.to_arrow().to_pylist()
    return found


def homes_of(result: Unified) -> dict[Identifier, str | None]:
    """The customer of every identifier in the data; None where it belongs to no one customer."""
    rows = [row for row in rows_of(result.identities) if row["status"] in ("linked", "shared")]
    found = {(row["identifier_type"], row["identifier_value"]): row["customer_id"] for row in rows}
    assert len(found) == len(rows)
    assert all((row["customer_id"] is None) == (row["status"] == "shared") for row in rows)
    return found


def dropped_of(result: Unified) -> list[Dropped]:
    """The links that guards dropped, as events tell them."""
    return [
        Dropped(
            (row["other_identifier_type"], row["other_identifier"]),
            (row["identifier_type"], row["identifier"]),
            row["source"],
            row["records"],
            row["reason"],
        )
        for row in rows_of(result.events)
        if row["kind"] == "link_dropped"
    ]


def shared_of(result: Unified) -> set[SharedValue]:
    """The values of many people, as events tell them."""
    return {
        SharedValue(
            (row["identifier_type"], row["identifier"]),
            next(int(word) for word in row["reason"].split() if word.isdecimal()),
        )
        for row in rows_of(result.events)
        if row["kind"] == "value_shared"
    }


def outcome(result: Unified) -> dict[str, Any]:
    """Everything that a run says."""
    assert result.assignments is not None
    events = rows_of(result.events)
    assert len({row["event_id"] for row in events}) == len(events)
    return {
        "profiles": rows_of(result.profiles),
        "identities": rows_of(result.identities),
        "events": events,
        "assignments": rows_of(result.assignments),
    }


@many
@given(cases())
def test_guards_do_what_they_promise(case: GuardedCase) -> None:
    """Shared values, customers, dropped links and ids are some that the rules allow, see the oracle."""
    oracle = Oracle(case)
    with run(case) as result:
        assert shared_of(result) == oracle.shared
        judge = Judge(oracle, homes_of(result), dropped_of(result))
        judge.check()
        for one, customer_id in judge.homes.items():
            assert customer_id in (None, oracle.customer_id(judge.groups[one]))


def simple_case(
    rows: Sequence[Mapping[str, str]],
    must_link: tuple[Pair, ...] = (),
    **settings_of: Mapping[str, Any],
) -> GuardedCase:
    """One source, whose columns are named as their types; no guards but those that are stated."""
    unguarded = Kind(
        priority=0, shared_after=None, limit=None, limit_per="customer", links=True, numbering="auto"
    )
    found = {
        name: replace(unguarded, priority=priority, **settings_of.get(name, {}))
        for name, priority in _PRIORITIES.items()
    }
    columns = {name: _COLUMNS[name] for row in rows for name in row}
    filled = [{**dict.fromkeys(columns), **row, "rid": str(place)} for place, row in enumerate(rows)]
    return GuardedCase({"crm": Declared(filled, columns)}, found, must_link)


def check(case: GuardedCase) -> dict[str, str | None]:
    """Hold a case against the oracle; the customer of each row."""
    oracle = Oracle(case)
    with run(case) as result:
        assert shared_of(result) == oracle.shared
        judge = Judge(oracle, homes_of(result), dropped_of(result))
        judge.check()
        check_explanations(oracle, result)
        assert result.assignments is not None
        owners = {row["source_key"]: row["customer_id"] for row in rows_of(result.assignments)}
        assert owners == {row.key: oracle.owner(row, judge.homes) for row in oracle.rows}
        return owners


def test_a_customer_above_a_limit_by_rule_gains_what_does_not_add_to_it() -> None:
    """Two e-mails that a rule joins exceed the limit of one; customers without e-mail join them all the
    same, however many other identifiers they have.
    """
    rows = [
        {"customer_id": "c1", "user_id": "u1"},
        {"customer_id": "c1", "email": "ann@shop.io"},
        {"user_id": "u2", "email": "bob@shop.io"},
        {"user_id": "u2", "email": "cem@shop.io"},
    ]
    rule = (("email", "ann@shop.io"), ("email", "bob@shop.io"))
    owners = check(simple_case(rows, (rule,), email={"limit": 1}))
    assert owners == dict.fromkeys("0123", "c1")


def test_a_value_in_two_columns_of_a_record_counts_once() -> None:
    """A link is not stronger because one record shows an e-mail twice: of two customers of it, the one with
    more records keeps it.
    """
    rows = [
        {"customer_id": "c1", "email": "ann@shop.io", "billing_email": "ann@shop.io"},
        *[{"customer_id": "c2", "email": "ann@shop.io"}] * 2,
    ]
    owners = check(simple_case([*rows, {"email": "ann@shop.io"}], customer_id={"limit": 1}))
    assert owners["3"] == "c2"


@pytest.mark.parametrize("columns", [("email", "phone"), ("phone", "email")])
def test_of_shared_values_that_rules_give_to_customers_the_strongest_decides(
    columns: tuple[str, str],
) -> None:
    """A record of nothing but shared values is whose a rule says its strongest one is; the order of columns
    does not matter.
    """
    shared = {"email": "ann@shop.io", "phone": "+14155550101"}
    held = {name: shared[name] for name in columns}
    rows = [held, *({**held, "customer_id": one} for one in ("c1", "c2", "c3"))]
    rules = tuple(
        ((name, shared[name]), ("customer_id", one)) for name, one in (("email", "c1"), ("phone", "c2"))
    )
    owners = check(simple_case(rows, rules, email={"shared_after": 1}, phone={"shared_after": 1}))
    assert owners == {"0": "c1", "1": "c1", "2": "c2", "3": "c3"}


def test_a_rule_that_says_what_records_show_is_explained_once() -> None:
    """Where a rule and a record link the same two identifiers, the explanation names the rule."""
    rows = [
        {"customer_id": "c1", "email": "ann@shop.io", "phone": "+14155550101"},
        {"customer_id": "c1", "email": "ann@shop.io"},
        {"customer_id": "c2", "phone": "+14155550101"},
    ]
    first, email, phone = ("customer_id", "c1"), ("email", "ann@shop.io"), ("phone", "+14155550101")
    owners = check(simple_case(rows, ((first, email), (first, phone))))
    assert set(owners.values()) == {"c1"}


def test_customers_of_one_identifier_each_are_explained() -> None:
    """Where no record has two identifiers there is nothing to trace, and identities say so."""
    owners = check(simple_case([{"customer_id": "c1"}, {"customer_id": "c2"}]))
    assert owners == {"0": "c1", "1": "c2"}


@few
@given(cases(), st.randoms(use_true_random=False))
def test_any_order_gives_the_same(case: GuardedCase, random: Any) -> None:
    """Neither the order of rows, sources and rules nor the batches of a source change anything."""
    sources = {}
    for name in random.sample(sorted(case.declared), len(case.declared)):
        source = case.declared[name]
        rows = random.sample(list(source.rows), len(source.rows))
        cut = random.randint(0, len(rows))
        parts = [as_arrow(source, part) for part in (rows[:cut], rows[cut:])]
        sources[name] = as_source(source, iter(parts) if name == "crm" else pa.concat_tables(parts))

    def turned(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
        return tuple((other, one) for one, other in random.sample(pairs, len(pairs)))

    reordered = replace(
        case,
        must_link=turned(case.must_link),
        must_not_link=turned(case.must_not_link),
    )
    with run(case) as result, run(reordered, sources=sources) as shuffled:
        one, other = outcome(result), outcome(shuffled)
    for frame, rows in one.items():
        assert other[frame] == rows, frame


@few
@given(cases())
def test_a_run_over_its_own_result_changes_nothing(case: GuardedCase) -> None:
    """A rerun with the identities that it made keeps all and has no news; so does building all anew."""
    with run(case) as first:
        published, once = first.identities.to_arrow(), outcome(first)
    with run(case, published) as again:
        rerun = outcome(again)
    with run(case) as anew:
        assert outcome(anew) == once
    # What is blocked or dropped is told with the same event id, what is shared already not at all.
    standing = [row for row in once["events"] if row["kind"] not in {*ID_EVENTS, "value_shared"}]
    assert rerun == {**once, "events": standing}


@some
@given(cases(), st.data())
def test_a_record_more_splits_nobody_unless_a_guard_says_so(case: GuardedCase, data: st.DataObject) -> None:
    """Who was one customer still is, or events of the run tell what came between the two."""
    fuller = data.draw(st.sampled_from(sorted(case.declared)))
    source = case.declared[fuller]
    before = replace(case, declared={**case.declared, fuller: replace(source, rows=source.rows[:-1])})
    with run(before) as first:
        old, published = homes_of(first), first.identities.to_arrow()
        known = {row["event_id"] for row in rows_of(first.events)}
    with run(case, published) as second:
        new, events = homes_of(second), rows_of(second.events)
        told = {value.identifier for value in shared_of(second)}, dropped_of(second)
    assert old.keys() <= new.keys()
    parted = [
        (one, other)
        for one, other in combinations(sorted(old), 2)
        if old[one] == old[other] is not None and (new[one] != new[other] or new[one] is None)
    ]
    if parted:
        assert any(row["event_id"] not in known and row["kind"] in GUARD_EVENTS for row in events)
    rest = evidence_without(Oracle(before), new, *told)
    moves = moves_of(events)
    for one, other in parted:
        assert not nx.has_path(rest, one, other), "no event tells what came between them"
        for now in {new[one], new[other]} - {old[one], None}:
            assert (now, old[one]) in moves


def evidence_without(
    oracle: Oracle, homes: Mapping[Identifier, str | None], shared: set[Identifier], dropped: list[Dropped]
) -> nx.Graph[Identifier]:
    """What rows and rules say without shared values and dropped links."""
    cut = {(one.strong, one.weak) for one in dropped}
    graph: nx.Graph[Identifier] = nx.Graph()
    graph.add_nodes_from(oracle.seen_in)
    for row in oracle.rows:
        linking = [one for one in row.linking if one not in shared]
        nx.add_path(graph, [one for one in linking if (linking[0], one) not in cut])
    for part in set(oracle.parts.values()):
        if any(homes[one] for one in part):
            nx.add_path(graph, part)
    return graph


def moves_of(events: Iterable[Mapping[str, Any]]) -> set[tuple[str, str]]:
    """To whom from whom identifiers went, as events tell it."""
    return {
        (row["customer_id"], row["other_customer_id"]) for row in events if row["kind"] in ("merged", "split")
    }


@few
@given(cases(rows=12), st.data())
def test_ids_of_days_are_what_the_rules_say(case: GuardedCase, data: st.DataObject) -> None:
    """Day by day, with rows that come and go, ids and news follow from the rules of stable ids, and events
    explain every identifier that changed hands.
    """
    published: Any = None
    past: set[Published] = set()
    for _ in range(3):
        declared = {}
        for name, source in case.declared.items():
            there = data.draw(st.lists(st.sampled_from([True, True, False]), min_size=13, max_size=13))
            there[0] = True
            rows = [row for row, here in zip(source.rows, there, strict=False) if here]
            declared[name] = replace(source, rows=rows)
        day = replace(case, declared=declared)
        with run(day, published) as result:
            check_day(Oracle(day), result, past)
            published = result.identities.to_arrow()
            past = published_by(result)


def published_by(result: Unified) -> set[Published]:
    """The identities as the next run reads them."""
    return {Published(*(row[name] for name in Published._fields)) for row in rows_of(result.identities)}


def check_day(oracle: Oracle, result: Unified, past: set[Published]) -> None:
    """Hold one day against the oracle of stable ids."""
    engine = result._engine
    seen = [Seen(*row) for row in engine.rows(f"SELECT {', '.join(Seen._fields)} FROM identities")]
    seen = [one._replace(first_seen=in_utc(one.first_seen), last_seen=in_utc(one.last_seen)) for one in seen]
    members = defaultdict(list)
    for one in seen:
        if one.customer is not None:
            members[one.customer].append(one[:2])
    contents = {customer: oracle.customer_id(group) for customer, group in members.items()}
    day = expected(seen, contents, past)
    events = rows_of(result.events)
    assert dict(engine.rows("SELECT customer, customer_id FROM customers")) == day.ids
    assert published_by(result) == day.published
    names = ("kind", "customer_id", "other_customer_id", "identifier_type", "identifier")
    assert {tuple(row[name] for name in names) for row in events if row["kind"] in ID_EVENTS} == day.events

    moves, new = moves_of(events), homes_of(result)
    told = {value.identifier for value in shared_of(result)} | {one.weak for one in dropped_of(result)}
    told |= {one for one in new if not oracle.kinds[one[0]].links}
    for row in past:
        one = row.identifier_type, row.identifier_value
        if row.status == "linked" and one in new and new[one] != row.customer_id:
            if new[one]:
                assert (new[one], row.customer_id) in moves
            else:
                assert one in told


def in_utc(moment: datetime | None) -> datetime | None:
    """A moment of the engine as it is published."""
    return moment.replace(tzinfo=UTC) if moment else None


@some
@given(cases())
def test_no_guard_loses_a_record_or_an_amount(case: GuardedCase) -> None:
    """Each row is assigned once, as the oracle says, and profiles are the sums of the rows assigned."""
    oracle = Oracle(case)
    with run(case) as result:
        homes, profiles = homes_of(result), rows_of(result.profiles)
        assigned, summary = rows_of(result.assignments), result.summary
    rows = {row["rid"]: (name, row) for name, source in case.declared.items() for row in source.rows}
    assert Counter((one["source"], one["source_key"]) for one in assigned) == Counter(
        (name, rid) for rid, (name, _) in rows.items()
    )
    owners = {one["source_key"]: one["customer_id"] for one in assigned}
    assert owners == {row.key: oracle.owner(row, homes) for row in oracle.rows}
    reasons = {one["source_key"]: one["reason"] for one in assigned}
    assert reasons == {row.key: reason_of(row, owners[row.key]) for row in oracle.rows}

    of: dict[str | None, list[tuple[str, Mapping[str, Any]]]] = defaultdict(list)
    for rid, customer_id in owners.items():
        of[customer_id].append(rows[rid])
    nobody = of.pop(None, [])
    assert {row["customer_id"] for row in profiles} == of.keys() == set(filter(None, homes.values()))
    assert len(profiles) == len(of)
    for profile in profiles:
        own = of[profile["customer_id"]]
        times = [row["at"] for _, row in own if row["at"]]
        expected_profile = {
            "total_records": len(own),
            "data_sources": len({name for name, _ in own}),
            "first_seen": min(times, default=None),
            "last_seen": max(times, default=None),
            **{f"{source}_records": sum(name == source for name, _ in own) for source in case.declared},
            **{metric: total(own, metric) for metric in _METRICS},
        }
        assert {name: profile[name] for name in expected_profile} == expected_profile
    assert summary["unidentified_records"] == len(nobody)
    for metric in _METRICS:
        figures = summary["metrics"][metric]
        assert figures["unidentified"] == total(nobody, metric)
        assert figures["total"] + figures["unidentified"] == total(rows.values(), metric)


def total(rows: Iterable[tuple[str, Mapping[str, Any]]], metric: str) -> int:
    """The sum of a metric over rows."""
    return sum(row[metric] or 0 for _, row in rows)


def reason_of(row: Row, customer_id: str | None) -> str | None:
    """Why a row belongs to no customer."""
    if customer_id is not None:
        return None
    if row.linking:
        return "shared value"
    return "identifier type that links nobody" if row.shown else "no identifier"


@few
@given(cases())
def test_what_links_a_record_is_of_one_customer(case: GuardedCase) -> None:
    """After resolution all identifiers by which a record is linked belong to one customer, and every
    customer has such a record.
    """
    with run(case) as result:
        engine = result._engine
        homes = dict(engine.rows("SELECT node, customer FROM identities"))
        customers = {customer for (customer,) in engine.rows("SELECT customer FROM customers")}
        linked = [
            {homes[key] for key in row if key is not None}
            for index in range(len(case.declared))
            for row in engine.rows(f"SELECT COLUMNS('^k_[0-9]+$') FROM records_{index}")
        ]
    assert all(len(found) <= 1 for found in linked)
    assert set().union(*linked) - {None} == customers


@some
@given(cases())
def test_every_customer_is_explained_by_a_tree_of_its_strongest_links(case: GuardedCase) -> None:
    """The links of an explanation are a spanning tree of greatest strength over the customer's identifiers,
    the weakest first, each with the rows that show it and with what would hang on it.
    """
    with run(case) as result:
        check_explanations(Oracle(case), result)


def check_explanations(oracle: Oracle, result: Unified) -> None:
    """Hold what is said of every customer against the oracle."""
    own: dict[str, set[Identifier]] = defaultdict(set)
    for one, customer_id in homes_of(result).items():
        if customer_id is not None:
            own[customer_id].add(one)
    for customer_id, identifiers in own.items():
        explanation = result.explain(customer_id)
        assert explanation.identifiers.keys() == identifiers
        check_tree(oracle, identifiers, explanation.links)


def check_tree(oracle: Oracle, own: set[Identifier], links: Sequence[Link]) -> None:
    """The links are a tree of greatest strength, in the right order, and say what is so."""
    tree: nx.Graph[Identifier] = nx.Graph()
    tree.add_nodes_from(own)
    tree.add_edges_from((link.identifier, link.other) for link in links)
    assert set(tree) == own
    assert nx.is_tree(tree)
    strengths, order = [], []
    for link in links:
        by_rule = link.seen_in == "must_link"
        if by_rule:
            assert oracle.parts[link.identifier] == oracle.parts[link.other]
        else:
            assert (link.seen_in, link.records) == shown(oracle, link.identifier, link.other)
        strength = oracle.strength(link.identifier, link.other)
        strengths.append(oracle.RULED if by_rule else strength)
        order.append((by_rule, -strength[0][0], link.records))
        without = nx.restricted_view(tree, [], [(link.identifier, link.other)])
        assert link.cut_off == len(nx.node_connected_component(without, link.identifier))
    assert sorted(strengths) == oracle.strongest_tree(own)
    assert order == sorted(order)
    assert len(links) == len(own) - 1


def shown(oracle: Oracle, one: Identifier, other: Identifier) -> tuple[str, int]:
    """The sources that link two identifiers, and on how many rows."""
    found = oracle.links.get((one, other), Counter()) + oracle.links.get((other, one), Counter())
    return ", ".join(name for name in sorted(found) if found[name]), found.total()
