"""Customers keep their ids: each rule in an example of its own, and random histories against an oracle."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.errors import ConfigError, DataError
from airflow_provider_customer360.unify.stable_ids import identities_next, keep_ids
from tests.unify.stable_ids_oracle import Event, Identifier, Published, Seen, expected

TYPES = {"c": "customer_id", "u": "user_id", "e": "email", "p": "phone"}
_MOMENT = pa.timestamp("us")
_STATISTICS = [("first_seen", _MOMENT), ("last_seen", _MOMENT), ("records", pa.int64())]
_STATISTICS += [("data_sources", pa.int64())]
_IDENTIFIER = [("identifier_type", pa.string()), ("identifier_value", pa.string())]
_IDENTITIES = pa.schema([*_IDENTIFIER, *_STATISTICS, ("t", pa.int16()), ("customer", pa.int64())])
_PUBLISHED = pa.schema(
    [*_IDENTIFIER, ("customer_id", pa.string()), ("status", pa.string()), *_STATISTICS],
)
_CUSTOMERS = pa.schema([("customer", pa.int64()), ("customer_id", pa.string())])


@dataclass
class Outcome:
    """What a run made: ids by component, what it published, what it reported, and the reasons it gave."""

    ids: dict[int, str]
    published: set[Published]
    events: list[Event]
    reasons: list[str]

    def owner(self, name: str) -> str | None:
        """Whose the identifier is, written as `e:ann`."""
        return self.row(name).customer_id

    def status(self, name: str) -> str:
        return self.row(name).status

    def row(self, name: str) -> Published:
        (only,) = (row for row in self.published if row[:2] == identifier(name))
        return only

    def has(self, name: str) -> bool:
        return any(row[:2] == identifier(name) for row in self.published)

    def pointers(self) -> dict[str, str | None]:
        """Absorbed ids and whom they point to."""
        return {row.identifier_value: row.customer_id for row in self.published if row.status == "absorbed"}

    def told(self) -> set[tuple[str, str, str | None]]:
        """The events without the identifiers that explain them."""
        return {event[:3] for event in self.events}


def identifier(name: str) -> Identifier:
    kind, value = name.split(":", 1)
    return TYPES.get(kind, kind), value


def content_id(rows: Sequence[Seen]) -> str:
    """The id that follows from the strongest identifier, named as `resolve` names customers."""
    best = min(rows, key=lambda row: (row.t, len(row.identifier_value), row.identifier_value))
    kind, value = best[:2]
    return value if kind == "customer_id" else f"{kind}:{value}"


def run(
    engine: Engine, seen: Sequence[Seen], contents: Mapping[int, str], previous: Sequence[Published]
) -> Outcome:
    """One run over rows as they come."""

    def make(name: str, rows: Sequence[tuple[object, ...]], schema: pa.Schema, more: str = "") -> None:
        columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in schema]
        engine.register("given", pa.table(columns, schema=schema))
        engine.run(f"CREATE OR REPLACE TABLE {name} AS SELECT *{more} FROM given")

    make("identities", seen, _IDENTITIES, ", hash(identifier_value, identifier_type) AS node")
    make("customers", list(contents.items()), _CUSTOMERS)
    engine.run(
        "CREATE OR REPLACE TABLE strongest AS SELECT *, best.type AS identifier_type FROM (SELECT customer, "
        "min({'t': t, 'length': length(identifier_value), 'v': identifier_value, 'type': identifier_type}) "
        "AS best FROM identities WHERE customer IS NOT NULL GROUP BY customer)"
    )
    make("previous_identities", previous, _PUBLISHED)
    keep_ids(engine)
    ids = dict(engine.rows("SELECT customer, customer_id FROM customers"))
    rows = engine.rows(f"SELECT * EXCLUDE (node, customer) FROM ({identities_next()})")
    published = [Published(*row) for row in rows]
    assert len({row[:2] for row in published}) == len(published)
    told = engine.rows(
        "SELECT kind, customer_id, other_customer_id, identifier_type, identifier_value, reason "
        "FROM id_events ORDER BY ALL"
    )
    return Outcome(ids, set(published), [event[:5] for event in told], [event[5] for event in told])


def contents_of(seen: Sequence[Seen]) -> dict[int, str]:
    """The content id of each component."""
    held: dict[int, list[Seen]] = {}
    for row in seen:
        if row.customer is not None:
            held.setdefault(row.customer, []).append(row)
    return {customer: content_id(rows) for customer, rows in held.items()}


@dataclass
class Shop:
    """A shop whose customers are unified every day."""

    engine: Engine
    previous: list[Published] = field(default_factory=list)
    first_seen: dict[str, datetime | None] = field(default_factory=dict)

    def day(self, *people: str, shared: str = "") -> Outcome:
        """A run over people, each given as identifiers: `day("c:7 e:ann", "e:bob", shared="p:1")`."""
        seen = [self._row(name, number) for number, names in enumerate(people) for name in names.split()]
        seen += [self._row(name, None) for name in shared.split()]
        outcome = run(self.engine, seen, contents_of(seen), self.previous)
        self.previous = sorted(outcome.published, key=str)
        return outcome

    def _row(self, name: str, component: int | None) -> Seen:
        kind, value = identifier(name)
        seen = self.first_seen.get(name, datetime.fromisoformat("2026-01-01"))
        rank = list(TYPES.values()).index(kind) if kind in TYPES.values() else 9
        return Seen(kind, value, seen, seen, 1, 1, rank, component)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as engine:
        engine.run("SET threads = 1")
        yield engine


@pytest.fixture
def shop(engine: Engine) -> Shop:
    return Shop(engine)


def early(day: int) -> datetime:
    return datetime.fromisoformat(f"2025-01-{day:02}")


def test_first_run_gives_content_ids(shop: Shop) -> None:
    """Without previous identities every customer gets its content id and is created."""
    first = shop.day("c:7 e:ann", "e:bob", shared="p:1")
    assert first.ids == {0: "7", 1: "email:bob"}
    assert first.events == [
        ("created", "7", None, "customer_id", "7"),
        ("created", "email:bob", None, "email", "bob"),
    ]
    assert first.reasons == ["new", "new"]


def test_full_rebuild_agrees_with_content_ids(shop: Shop) -> None:
    """A run that is told to ignore the previous identities gives content ids again."""
    shop.day("e:ann")
    kept = shop.day("c:7 e:ann")
    shop.previous = []
    assert (kept.ids, shop.day("c:7 e:ann").ids) == ({0: "email:ann"}, {0: "7"})


def test_stronger_identifier_leaves_the_id(shop: Shop) -> None:
    """A customer who gets a stronger identifier keeps the id that is known."""
    shop.day("e:ann")
    after = shop.day("c:7 e:ann p:1")
    assert after.ids == {0: "email:ann"}
    assert {after.owner(name) for name in ("c:7", "e:ann", "p:1")} == {"email:ann"}
    assert after.events == []


def test_most_identifiers_win_a_split(shop: Shop) -> None:
    """Of the parts of a customer the one with most of its identifiers keeps the id."""
    shop.day("c:7 e:ann p:1")
    after = shop.day("c:7", "e:ann p:1")
    # The part that holds the very value 7 may not be called 7: that is somebody else's id.
    assert after.ids == {0: "7~2", 1: "7"}
    assert after.events == [("split", "7~2", "7", "customer_id", "7")]


def test_oldest_identifier_settles_a_tie(shop: Shop) -> None:
    """Of two equal parts the one with the oldest identifier keeps the id, whatever is known today."""
    shop.first_seen = {"e:ann": early(2), "p:1": early(1), "c:7": None, "u:7": None}
    shop.day("c:7 u:7 e:ann p:1")
    shop.first_seen = {"e:ann": early(1), "c:7": early(1)}
    assert shop.day("c:7 e:ann", "u:7 p:1").ids == {0: "7~2", 1: "7"}


def test_unknown_age_is_young(shop: Shop) -> None:
    """An identifier without a time counts as younger than any other."""
    shop.first_seen = {"c:7": None}
    shop.day("c:7 e:ann")
    assert shop.day("c:7", "e:ann").ids == {0: "7~2", 1: "7"}


def test_smallest_content_id_settles_a_tie_of_age(shop: Shop) -> None:
    """Of two equal parts as old as each other the one with the shorter, then the first content id wins."""
    shop.day("e:a e:b")
    assert shop.day("e:b", "e:a").ids == {0: "email:b", 1: "email:a"}
    shop.previous = []
    shop.day("c:10 c:9", "c:12 c:13")
    after = shop.day("c:10", "c:9", "c:13", "c:12")
    assert after.ids == {0: "10", 1: "9", 2: "13", 3: "12"}
    assert after.told() == {("split", "10", "9"), ("split", "13", "12")}


def test_shared_identifiers_do_not_claim(shop: Shop) -> None:
    """An identifier that is shared now counts for no component."""
    shop.day("c:7 e:ann p:1 p:2")
    after = shop.day("c:7", shared="e:ann p:1 p:2")
    assert after.ids == {0: "7"}
    assert (after.owner("e:ann"), after.status("e:ann")) == (None, "shared")


def test_absent_identifiers_claim_when_they_come_back(shop: Shop) -> None:
    """Identifiers that were absent count like those that were linked."""
    shop.day("c:7 e:ann p:1")
    shop.day("c:7")
    after = shop.day("c:7", "e:ann p:1")
    assert after.ids == {0: "7~2", 1: "7"}


def test_survivor_has_most_identifiers(shop: Shop) -> None:
    """Of customers that turn out to be one the one with most identifiers survives."""
    shop.day("c:1", "c:2 e:ann")
    after = shop.day("c:1 c:2 e:ann")
    assert after.ids == {0: "2"}
    assert after.pointers() == {"1": "2"}
    assert after.events == [("merged", "2", "1", "customer_id", "1")]


def test_oldest_customer_survives_a_tie(shop: Shop) -> None:
    """With equally many the older customer survives, by an absent identifier too."""
    shop.first_seen = {"p:2": early(1), "c:1": early(2)}
    shop.day("c:1", "c:2 p:2")
    shop.day("c:1", "c:2")
    assert shop.day("c:1 c:2").pointers() == {"1": "2"}


def test_customer_of_unknown_age_is_absorbed(shop: Shop) -> None:
    """With equally many a customer without any time is the younger one."""
    shop.first_seen = {"c:1": None}
    shop.day("c:1", "c:2")
    assert shop.day("c:1 c:2").pointers() == {"1": "2"}


def test_shorter_then_first_id_survives(shop: Shop) -> None:
    """With equally many and of one age the shorter id survives, then the first as text."""
    shop.day("c:10", "c:9", "c:21", "c:20")
    assert shop.day("c:10 c:9", "c:21 c:20").pointers() == {"10": "9", "21": "20"}


def test_pointers_lead_to_the_last_survivor(shop: Shop) -> None:
    """Who pointed to an absorbed customer points to its survivor, and so do its absent identifiers."""
    shop.day("c:1 e:a", "c:2 e:b p:2", "c:3 e:c p:3 u:3")
    shop.day("c:1 c:2 e:b p:2", "c:3 e:c p:3 u:3")
    after = shop.day("c:1 c:2 e:b c:3 e:c p:3 u:3")
    assert after.pointers() == {"1": "3", "2": "3"}
    assert (after.owner("e:a"), after.status("e:a")) == ("3", "absent")
    assert after.owner("p:2") == "3"


def test_absorbed_id_is_never_given_again(shop: Shop) -> None:
    """When those that were merged part again, the absorbed id stays a pointer."""
    shop.day("c:1", "c:2 e:b")
    shop.day("c:1 c:2 e:b")
    after = shop.day("c:1", "c:2 e:b")
    assert after.ids == {0: "1~2", 1: "2"}
    assert after.pointers() == {"1": "2"}
    assert shop.day("c:1", "c:2 e:b").ids == after.ids


def test_retired_customer_gets_its_id_back(shop: Shop) -> None:
    """A customer of whom nothing is left is retired once, and returns under its id by any identifier."""
    shop.day("c:1 e:a", "c:2")
    gone = shop.day("c:2")
    assert gone.events == [("retired", "1", None, "customer_id", "1")]
    assert (gone.owner("e:a"), gone.status("e:a")) == ("1", "absent")
    assert shop.day("c:2").events == []
    back = shop.day("c:2", "e:a p:9")
    assert back.ids == {0: "2", 1: "1"}
    assert (back.events, back.reasons) == ([("created", "1", None, "email", "a")], ["returned"])
    assert back.owner("c:1") == "1"


def test_retired_customer_may_be_absorbed(shop: Shop) -> None:
    """An identifier of a retired customer that comes back with a bigger one's brings the id to that."""
    shop.day("c:1", "c:2 e:b")
    shop.day("c:2 e:b")
    after = shop.day("c:1 c:2 e:b")
    assert after.told() == {("merged", "2", "1")}
    assert after.pointers() == {"1": "2"}


def test_retired_id_is_not_given_to_another(shop: Shop) -> None:
    """A content id that a retired customer bears is not free."""
    shop.previous = [Published("email", "a", "7", "absent"), Published("email", "b", "8", "linked")]
    assert shop.day("c:7", "e:b").ids == {0: "7~2", 1: "8"}


def test_id_whose_identifiers_are_all_shared_is_remembered(shop: Shop) -> None:
    """A customer whose identifiers identify nobody any more retires; its id is for that identifier alone."""
    shop.day("c:1", "c:2")
    gone = shop.day("c:2", shared="c:1")
    assert gone.told() == {("retired", "1", None)}
    assert gone.row("profile_id:1") == Published("profile_id", "1", "1", "absent")
    assert shop.day("c:2", shared="c:1").events == []
    back = shop.day("c:1", "c:2")
    assert back.ids == {0: "1", 1: "2"}
    assert back.told() == {("created", "1", None)}
    assert "profile_id:1" not in {f"{row.identifier_type}:{row.identifier_value}" for row in back.published}


def test_shared_identifiers_are_forgotten(shop: Shop) -> None:
    """An identifier that was shared leaves no trace when it goes, and claims nothing when it is linked."""
    shop.day("c:1 e:a", shared="p:1")
    assert not shop.day("c:1 e:a").has("p:1")
    shop.day("c:1 e:a", shared="p:1")
    after = shop.day("c:1 e:a", "p:1")
    assert after.told() == {("created", "phone:1", None)}


def test_absent_identifiers_keep_their_statistics(shop: Shop) -> None:
    """What was known of an identifier is published for as long as it is absent."""
    shop.first_seen = {"e:a": early(3)}
    shop.day("c:1 e:a")
    shop.first_seen = {}
    shop.day("c:1")
    assert shop.day("c:1").row("e:a") == Published("email", "a", "1", "absent", early(3), early(3), 1, 1)


def test_first_free_suffix(shop: Shop) -> None:
    """A taken content id gets the first number that nobody has, numbers that are natural ids included."""
    shop.day("c:a e:1 e:2", "c:a~3 e:3")
    # Natural: a~2 is new today and free, so that it is no suffix for a.
    after = shop.day("e:1 e:2", "c:a", "c:a~2", "c:a~3 e:3")
    assert after.ids == {0: "a", 1: "a~4", 2: "a~2", 3: "a~3"}


def test_natural_id_that_looks_like_a_suffix_gives_way(shop: Shop) -> None:
    """A natural id that was given as a suffix before gets a suffix of its own."""
    shop.day("c:a e:1 e:2")
    shop.day("c:a", "e:1 e:2")
    after = shop.day("c:a", "e:1 e:2", "c:a~2")
    assert after.ids == {0: "a~2", 1: "a", 2: "a~2~2"}


@pytest.mark.parametrize("odd", ["a~1", "a~02", "a~0", f"a~{10**30}", "a~x", "a~", "~2", "a~2\n", "\n~2"])
def test_odd_suffixes(shop: Shop, odd: str) -> None:
    """Ids that only look like a numbered one do not disturb the numbers."""
    owners = {"0": odd, "1": "a", "2": "a"}
    shop.previous = [Published("email", value, owner, "linked") for value, owner in owners.items()]
    assert shop.day("e:0", "e:1 e:2", "c:a").ids == {0: odd, 1: "a", 2: "a~2"}


def test_part_goes_to_another_customer(shop: Shop) -> None:
    """An identifier that moves from one customer to another is a split towards that one."""
    shop.day("c:1 e:a p:1", "c:2 e:b p:2")
    after = shop.day("c:1 e:a", "c:2 e:b p:2 p:1")
    assert after.ids == {0: "1", 1: "2"}
    assert after.events == [("split", "2", "1", "phone", "1")]
    assert after.owner("p:1") == "2"


def test_absorbed_customer_leaves_a_part(shop: Shop) -> None:
    """A customer that is absorbed and split at once is told of twice."""
    shop.day("c:1 e:a p:1", "c:2 e:b p:2")
    after = shop.day("c:1 e:a c:2 e:b p:2", "p:1")
    assert after.told() == {("merged", "2", "1"), ("split", "phone:1", "1")}


def test_same_values_of_two_types_are_two_identifiers(shop: Shop) -> None:
    """The value of one type claims nothing for the same value of another."""
    shop.day("u:7", "p:7")
    after = shop.day("p:7", "e:7")
    assert after.told() == {("retired", "user_id:7", None), ("created", "email:7", None)}


def test_profile_id_is_reserved(shop: Shop) -> None:
    """An identifier type that would be confused with remembered ids is refused."""
    with pytest.raises(ConfigError, match="profile_id"):
        shop.day("profile_id:7")


def test_same_content_id_twice(engine: Engine) -> None:
    """Content ids that are not unique are an error, and no message quotes them."""
    seen = [Seen("email", value, None, None, 1, 1, 0, number) for number, value in enumerate("ab")]
    with pytest.raises(DataError, match="2 customers have only 1") as caught:
        run(engine, seen, {0: "secret", 1: "secret"}, [])
    assert "secret" not in str(caught.value)


# --- random histories ------------------------------------------------------------------------------------

# Few values, so that content ids collide with suffixes and with each other's past.
_POOL = ["c:a", "c:a~2", "c:a~3", "c:b", "u:a", "e:x", "e:y", "e:zz", "p:1", "p:2"]
_ABSENT, _SHARED = -2, -1
_STATES = (_ABSENT, _SHARED, 0, 0, 1, 1, 2, 3)
_MOMENTS = (None, early(1), early(1), early(2))
_STRENGTHS = ("cuep", "peuc")


@dataclass
class Day:
    """Where each identifier of a pool is (its component, if any), when it was first seen, and which types are
    the strong ones.
    """

    pool: list[str]
    states: list[int]
    moments: list[datetime | None]
    strength: str

    def seen(self) -> list[Seen]:
        rows = []
        for number, (name, state) in enumerate(zip(self.pool, self.states, strict=True)):
            if state != _ABSENT:
                moment, rank = self.moments[number], self.strength.index(name[0])
                component = None if state == _SHARED else state
                rows.append(Seen(*identifier(name), moment, moment, number, 1, rank, component))
        return rows


@st.composite
def histories(draw: st.DrawFn) -> list[Day]:
    """Days on which identifiers appear, vanish, link, unlink, become shared and return."""
    size = len(_POOL)
    states = draw(st.lists(st.sampled_from(_STATES), min_size=size, max_size=size))
    days = []
    for _ in range(draw(st.integers(2, 4))):
        moments = draw(st.lists(st.sampled_from(_MOMENTS), min_size=size, max_size=size))
        days.append(Day(_POOL, states, moments, draw(st.sampled_from(_STRENGTHS))))
        changes = draw(st.dictionaries(st.integers(0, size - 1), st.sampled_from(_STATES), max_size=size))
        states = [changes.get(index, state) for index, state in enumerate(states)]
    return days


def crowd(chance: random.Random, shops: int, days: int) -> list[Day]:
    """The same in many shops at once, whose identifiers and components differ: cheap, but hard to read."""
    pool = [f"{name[:2]}{shop:04}.{name[2:]}" for shop in range(shops) for name in _POOL]
    changing = [chance.random() for _ in range(shops)]

    def moved(number: int) -> int:
        state = chance.choice(_STATES)
        return state if state < 0 else state + 4 * (number // len(_POOL))

    states = [moved(number) for number in range(len(pool))]
    history = []
    for _ in range(days):
        history.append(Day(pool, states, chance.choices(_MOMENTS, k=len(pool)), chance.choice(_STRENGTHS)))
        states = [
            moved(number) if chance.random() < changing[number // len(_POOL)] else state
            for number, state in enumerate(states)
        ]
    return history


def check_events(before: set[Published], outcome: Outcome) -> None:
    """What changed between two tables of identities has been told, whatever the rules may be."""
    told = outcome.told()
    assert len(told) == len(outcome.events)
    owner_before = {row[:2]: row.customer_id for row in before if row.status == "linked"}
    owner_now = {row[:2]: row.customer_id for row in outcome.published if row.status == "linked"}
    for held, old in owner_before.items():
        new = owner_now.get(held, old)
        assert new == old or {("merged", new, old), ("split", new, old)} & told
    ids_before, ids_now = set(owner_before.values()), set(owner_now.values())
    gained = {customer_id for kind, customer_id, _ in told if kind in ("created", "split")}
    lost = {other for kind, _, other in told if kind == "merged"}
    retired = {customer_id for kind, customer_id, _ in told if kind == "retired"}
    assert ids_now - ids_before <= gained
    assert ids_before - ids_now <= lost | retired
    assert {customer_id for kind, customer_id, _ in told if kind == "created"} == {
        customer_id for customer_id in ids_now - ids_before if ("created", customer_id, None) in told
    }
    assert retired <= ids_before - ids_now
    assert not lost & ids_now


def check_ids(ever: set[str], before: set[Published], outcome: Outcome) -> None:
    """No id is given to a second customer, and pointers lead to an id that nobody absorbed."""
    owners = {row.customer_id for row in before if row.status in ("linked", "absent")}
    assert not (set(outcome.ids.values()) - owners) & ever
    pointers = outcome.pointers()
    assert not set(pointers) & {*pointers.values(), *outcome.ids.values()}
    assert {row.identifier_value for row in before if row.status == "absorbed"} <= set(pointers)


def live(engine: Engine, days: Sequence[Day], chance: random.Random) -> None:
    """Run day after day over shuffled rows, and each day once more over its own result."""
    previous: list[Published] = []
    ever: set[str] = set()
    for day in days:
        seen = day.seen()
        contents = contents_of(seen)
        truth = expected(seen, contents, previous)
        before = set(previous)
        chance.shuffle(seen)
        chance.shuffle(previous)
        outcome = run(engine, seen, dict(chance.sample(list(contents.items()), len(contents))), previous)
        assert outcome.ids == truth.ids
        assert outcome.published == truth.published
        assert set(outcome.events) == truth.events
        check_events(before, outcome)
        check_ids(ever, before, outcome)
        ever |= set(outcome.ids.values())
        previous = sorted(outcome.published, key=str)
        again = run(engine, seen, contents, previous)
        assert (again.ids, again.published, again.events) == (outcome.ids, outcome.published, [])


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories(), st.randoms(use_true_random=False))
def test_histories_follow_the_oracle(engine: Engine, days: list[Day], chance: random.Random) -> None:
    """Day after day ids, published rows and events are the oracle's, in any order of rows; a second run over
    the result changes nothing."""
    live(engine, days, chance)


@pytest.mark.parametrize("seed", range(3))
def test_many_histories_follow_the_oracle(engine: Engine, seed: int) -> None:
    """The same of a hundred shops at once."""
    chance = random.Random(seed)
    live(engine, crowd(chance, shops=100, days=5), chance)
