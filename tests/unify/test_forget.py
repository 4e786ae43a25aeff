"""People who are to be forgotten: whom a list names, and that nothing of them is left."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import networkx as nx
import pandas as pd
import pyarrow as pa
import pytest

from airflow_provider_customer360.unify import Config, ConfigError, SourceError, Unified
from tests.unify.outcomes import HOSTILE, conserved, customers, rows, run
from tests.unify.test_guards_in_random_worlds import value, world

CRM = pd.DataFrame(
    {
        "customer_id": ["c1", "c2", "c3"],
        "email": ["ana@x.example", "bob@x.example", "cleo@x.example"],
        "phone": ["+14155550101", "+14155550102", "+14155550103"],
        "amount": [1, 2, 4],
    }
)
SHOP = pd.DataFrame({"email": ["ana@x.example", "bob@x.example", None], "amount": [8, 16, 32]})
#: Everything that says who Ana is.
ANA = ("c1", "ana@x.example", "+14155550101")


def people(*identifiers: tuple[Any, Any]) -> pd.DataFrame:
    """A list of people to forget."""
    return pd.DataFrame(identifiers, columns=["identifier_type", "identifier_value"])


def everything(result: Unified) -> str:
    """All that a run publishes and tells, as text."""
    frames = [result.profiles, result.identities, result.events, *filter(None, [result.assignments])]
    return "\n".join([*(repr(rows(frame)) for frame in frames), repr(result.summary)])


def ids(result: Unified) -> set[str]:
    return {row["customer_id"] for row in rows(result.profiles)}


def gone(result: Unified) -> set[str]:
    return {row["customer_id"] for row in rows(result.forgotten)}


# --- Whom a list names -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "named",
    [
        ("email", "ana@x.example"),
        ("E-Mail", " ANA@X.example "),
        ("Phone", "+1 (415) 555-0101"),
        ("customer_id", " c1"),
    ],
)
def test_a_customer_is_named_by_any_identifier_in_any_spelling(named: tuple[str, str]) -> None:
    """All records go with it, those of other sources too, and every number is without them."""
    with run({"crm": CRM, "shop": SHOP}, Config(assignments=True), forget=people(named)) as result:
        assert ids(result) == {"c2", "c3"}
        assert not [held for held in ANA if held in everything(result)]
        assert conserved(result)
        summary = result.summary
        assert summary["forgotten"] == {
            "customers": 1, "records": 2, "listed": 1, "not_found": 0, "shared": 0
        }  # fmt: skip
        assert summary["total_records"] == 4
        assert (summary["metrics"]["amount"]["total"], summary["metrics"]["amount"]["unidentified"]) == (
            22,
            32,
        )
        assert {name: one["records"] for name, one in summary["sources"].items()} == {"crm": 2, "shop": 2}
        assert summary["identifiers"]["email"]["distinct_values"] == 2
        assert [(row["source"], row["source_key"]) for row in rows(result.assignments)] == [
            ("crm", "1"), ("crm", "2"), ("shop", "1"), ("shop", "2")
        ]  # fmt: skip


def test_nobody_is_left_if_all_are_forgotten() -> None:
    """Which is no failure: the table is to be empty."""
    everyone = people(*(("customer_id", f"c{i}") for i in (1, 2, 3)))
    with run({"crm": CRM}, forget=everyone) as result:
        assert not rows(result.profiles)
        assert not rows(result.identities)
        assert not rows(result.events)
        assert result.summary["total_customers"] == result.summary["total_records"] == 0
        assert gone(result) >= {"c1", "c2", "c3"}


def test_who_is_who_does_not_depend_on_who_is_forgotten() -> None:
    """Three people share a phone: that it is a stranger's stays known when one of them goes."""
    desk = pd.DataFrame({"customer_id": ["c1", "c2", "c3"], "phone": "+14155550101", "amount": 1})
    with run({"desk": desk}, forget=people(("customer_id", "c1"))) as result:
        assert ids(result) == {"c2", "c3"}
        [shared] = [row for row in rows(result.identities) if row["status"] == "shared"]
        assert (shared["identifier_value"], shared["records"]) == ("+14155550101", 2)
    with run({"desk": desk}, forget=people(*(("customer_id", f"c{i}") for i in (1, 2, 3)))) as result:
        assert not rows(result.identities)


def test_what_several_people_have_names_nobody() -> None:
    """All stay, and a warning asks for another identifier, showing as much as a mask does."""
    desk = pd.DataFrame({"customer_id": ["c1", "c2", "c3", None], "phone": "+14155550101"})
    with run({"desk": desk}, forget=people(("phone", "+14155550101"))) as result:
        assert ids(result) == {"c1", "c2", "c3"}
        assert result.summary["forgotten"]["shared"] == 1
        [said] = [text for text in result.summary["warnings"] if "to forget" in text]
        assert said.startswith("1 of 1 identifiers to forget are of several customers, who all stay")
        assert "+1***01" in said
        assert "0101" not in said
        assert not gone(result)


@pytest.mark.parametrize(
    ("also", "left"), [([], {"c3"}), (["c2"], {"c1", "c2", "c3"}), ([None], {"c1", "c3"})]
)
def test_what_links_nobody_names_the_only_one_who_has_it(also: list[str | None], left: set[str]) -> None:
    """A phone of a type that only shows: where all its records are one customer's, it names that one."""
    config = Config(identifier_types={"phone": {"links": False}})
    carriers = pd.DataFrame({"customer_id": ["c1", "c1", *also], "phone": "+14155550101"})
    desk = pd.concat([carriers, pd.DataFrame({"customer_id": ["c3"]})])
    with run({"desk": desk}, config, forget=people(("phone", "+14155550101"))) as result:
        assert ids(result) == left


def test_an_identifier_on_a_strangers_record_goes_without_the_stranger() -> None:
    """Cleo's record has Ana's phone, a rule keeps them apart: Cleo stays, without that phone."""
    visits = pd.DataFrame({"customer_id": ["c3"], "phone": ["+14155550101"]})
    crm = CRM.assign(phone=["+14155550101", None, None])
    apart = pd.DataFrame(
        [("customer_id", "c1", "customer_id", "c3")],
        columns=["identifier_type", "identifier_value", "other_identifier_type", "other_identifier_value"],
    )
    both = {"crm": crm, "visits": visits}
    with run(both, must_not_link=apart) as result:
        assert {row["customer_id"]: row["phone"] for row in rows(result.profiles)}["c3"] == "+14155550101"
    with run(both, must_not_link=apart, forget=people(("customer_id", "c1"))) as result:
        assert {row["customer_id"]: row["phone"] for row in rows(result.profiles)} == {"c2": None, "c3": None}
        assert "0101" not in everything(result)
        assert conserved(result)


def test_a_rule_says_who_is_meant() -> None:
    """An e-mail that no source has, but a rule joins to Ana's, is Ana's."""
    same = pd.DataFrame(
        [("email", "old@x.example", "customer_id", "c1")],
        columns=["identifier_type", "identifier_value", "other_identifier_type", "other_identifier_value"],
    )
    with run({"crm": CRM}, must_link=same, forget=people(("email", "old@x.example"))) as result:
        assert ids(result) == {"c2", "c3"}
        assert result.summary["forgotten"]["not_found"] == 0


# --- What earlier runs knew ------------------------------------------------------------------------------


def test_people_stay_forgotten() -> None:
    """The first run erases what earlier runs knew; later ones go by the list alone."""
    with run({"crm": CRM}) as result:
        known = result.identities.to_arrow()
    for _ in range(3):
        with run({"crm": CRM}, previous=known, forget=people(("email", "ana@x.example"))) as result:
            assert ids(result) == {"c2", "c3"}
            assert "c1" in gone(result)
            assert not [held for held in ANA if held in everything(result)]
            assert not rows(result.events)
            known = result.identities.to_arrow()


def test_an_identifier_that_only_earlier_runs_know_names_who_had_it() -> None:
    """Ana's e-mail has gone from the source, her number has not; nor has what her e-mail held together."""
    wide = pd.DataFrame(
        {"customer_id": ["c1", "c1", "c2"], "email": ["ana@x.example", "a2@x.example", "b@x.example"]}
    )
    with run({"crm": wide}) as result:
        known = result.identities.to_arrow()
    now = pd.DataFrame({"customer_id": ["c1", None, "c2"], "email": [None, "a2@x.example", "b@x.example"]})
    with run({"crm": now}, previous=known, forget=people(("email", "ana@x.example"))) as result:
        assert ids(result) == {"c2"}
        assert result.summary["forgotten"] == {
            "customers": 2, "records": 2, "listed": 1, "not_found": 0, "shared": 0
        }  # fmt: skip
        assert not [held for held in ("c1", "ana@", "a2@") if held in everything(result)]
        assert "c1" in gone(result)


def test_a_type_that_no_source_has_any_more_names_people_too() -> None:
    """The source of phones is gone; who had the phone is known from the run before."""
    with run({"crm": CRM}) as result:
        known = result.identities.to_arrow()
    without = CRM.drop(columns="phone")
    with run({"crm": without}, previous=known, forget=people(("Phone", "001 415 555 0101"))) as result:
        assert ids(result) == {"c2", "c3"}


def test_who_is_only_remembered_is_forgotten_too() -> None:
    """Ana is in no source any more; the identities remembered her, and her absorbed id."""
    split = pd.DataFrame({"customer_id": ["c1", "c2"], "email": ["ana@x.example", "bob@x.example"]})
    first = pd.DataFrame({"email": ["ana@x.example", "a2@x.example"], "phone": [None, "+14155550101"]})
    both = pd.DataFrame({"email": ["ana@x.example", "a2@x.example"], "phone": "+14155550101"})
    known = None
    for crm in (first, both):
        with run({"crm": crm, "shop": split}, previous=known) as result:
            known = result.identities.to_arrow()
    [absorbed] = [row["identifier_value"] for row in known.to_pylist() if row["status"] == "absorbed"]
    with run({"shop": split[1:]}, previous=known, forget=people(("phone", "+14155550101"))) as result:
        assert gone(result) >= {"c1", absorbed}
        assert {row["customer_id"] for row in rows(result.identities)} == {"c2"}
        assert not rows(result.events)
        assert result.summary["forgotten"]["customers"] == 1


def test_who_was_split_off_is_new_and_the_id_is_erased() -> None:
    """Ana keeps the id that both had, and is forgotten; of Bob it is told that he is there, not from whom."""
    web = pd.DataFrame(
        {"email": ["ana@x.example", "bob@x.example", "ana@x.example"], "phone": [None, None, "+14155550101"]}
    )
    glued = pd.concat([web, pd.DataFrame({"email": ["bob@x.example"], "phone": ["+14155550101"]})])
    with run({"web": glued}) as result:
        known = result.identities.to_arrow()
        [one] = ids(result)
    with run({"web": web}, previous=known, forget=people(("phone", "+14155550101"))) as result:
        [bob] = ids(result)
        assert bob != one
        assert one in gone(result)
        assert bob not in gone(result)
        [event] = rows(result.events)
        assert (event["kind"], event["customer_id"], event["other_customer_id"]) == ("created", bob, None)


def test_an_id_that_somebody_else_keeps_is_told() -> None:
    """Bob keeps the id that both had: what was published under it may be Ana's, from now on it is his."""
    web = pd.DataFrame({"email": ["bob@x.example", "ana@x.example"], "phone": ["+14155550102", None]})
    glued = web.assign(phone="+14155550102")
    with run({"web": glued}) as result:
        known = result.identities.to_arrow()
        [one] = ids(result)
    with run({"web": web}, previous=known, forget=people(("email", "ana@x.example"))) as result:
        assert ids(result) == {one}
        assert one in gone(result)
        known = result.identities.to_arrow()
    with run({"web": web}, previous=known, forget=people(("email", "ana@x.example"))) as result:
        assert ids(result) == {one}
        assert one not in gone(result)


def test_ids_of_runs_without_identities_are_told() -> None:
    """Such a run may have named Ana by any of her identifiers, and names nobody else so."""
    with run({"shop": SHOP}) as result:
        by_email = next(
            row["customer_id"] for row in rows(result.profiles) if row["email"] == "ana@x.example"
        )
    with run({"crm": CRM, "shop": SHOP}, forget=people(("customer_id", "c1"))) as result:
        assert {by_email, "c1"} <= gone(result)
        assert not gone(result) & {"c2", "c3"}
        assert tuples(result.forgotten_identifiers) == [("customer_id", "c1")]  # events mask the others


# --- Forms -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nobody", [None, [], people(), pd.DataFrame()])
def test_an_empty_list_forgets_nobody(nobody: Any) -> None:
    """The list may be empty for years; what is published is as without one."""
    with run({"crm": CRM}, forget=nobody) as result, run({"crm": CRM}) as without:
        assert rows(result.profiles) == rows(without.profiles)
        assert not rows(result.forgotten)
        assert not rows(result.forgotten_identifiers)
        assert set(result.summary["forgotten"].values()) == {0}


def test_what_can_be_nobodys_is_said() -> None:
    """A misspelled type would forget nobody without a word."""
    wrong = people(("emial", "ana@x.example"), ("email", "n/a"), ("email", None), ("email", "zed@x.example"))
    with run({"crm": CRM}, forget=wrong) as result:
        assert len(ids(result)) == 3
        assert result.summary["forgotten"]["not_found"] == 4
        [said] = [text for text in result.summary["warnings"] if "to forget" in text]
        assert said.startswith("3 of 4 identifiers to forget can be nobody's")


def test_what_is_no_list_is_an_error() -> None:
    """Without a value in it."""
    with pytest.raises(ConfigError, match="forget has no column 'identifier_value'; it needs"):
        run({"crm": CRM}, forget=people(("email", "ana@x.example"))[["identifier_type"]])
    with pytest.raises(ConfigError, match="are columns swapped") as raised:
        run({"crm": CRM}, forget=people(("ana@x.example", "email")))
    assert "ana@x.example" not in str(raised.value)
    with pytest.raises(SourceError, match=r"^forget: "):
        run({"crm": CRM}, forget=7)
    with pytest.raises(ConfigError, match="List identifiers of theirs that the sources have"):
        run({"crm": CRM}, forget=people(("Profile-ID", "c1")))


def test_hostile_lists_are_values() -> None:
    """Neither a type nor a value reaches SQL."""
    crm = CRM.assign(**{HOSTILE: ["' or 1=1; --", "x", "y"]})
    config = Config(identifiers={HOSTILE: HOSTILE, "customer_id": "customer_id"})
    with run({"crm": crm}, config, forget=people((HOSTILE, "' or 1=1; --"))) as result:
        assert ids(result) == {"c2", "c3"}


# --- Random worlds ---------------------------------------------------------------------------------------


Identifier = tuple[str, str]


def some(chance: random.Random, kind: str) -> str:
    return value(kind, chance.randint(1, 40))


def components(
    sources: Mapping[str, pd.DataFrame], kinds: list[str]
) -> tuple[list[frozenset[Identifier]], list[list[Identifier]]]:
    """The people of a world without guards by networkx, and the identifiers of each record."""
    graph: nx.Graph[Identifier] = nx.Graph()
    records = []
    for frame in sources.values():
        for row in frame.to_dict("records"):
            held = [(kind, row[kind]) for kind in kinds if isinstance(row.get(kind), str)]
            nx.add_path(graph, held)
            records.append(held)
    return [frozenset(one) for one in nx.connected_components(graph)], records


def had_by_those_who_had(absent: set[Identifier], known: pa.Table | None) -> set[Identifier]:
    """All that belonged to the customers of the run before to whom some identifiers belonged."""
    past = [] if known is None else known.to_pylist()
    owners = {(row["identifier_type"], row["identifier_value"]): row["customer_id"] for row in past}
    named = {owners[one] for one in absent & set(owners)}
    return {held for held, owner in owners.items() if owner in named}


def tuples(frame: Any) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in rows(frame)]


@pytest.mark.parametrize("seed", range(10))
def test_people_of_random_worlds_are_forgotten(seed: int) -> None:
    """Without guards, whoever is connected to a listed identifier is gone on every day, nobody else is, and
    no number counts them.
    """
    chance = random.Random(seed)
    kinds = ["customer_id", "email", "member_id"]
    sources = {
        name: pd.DataFrame(
            {kind: [chance.choice([None, some(chance, kind)]) for _ in range(25)] for kind in kinds}
        )
        for name in ("crm", "shop")
    }
    config = Config(identifiers=kinds, guards=False, assignments=True)
    listed: set[Identifier] = set()
    known: pa.Table | None = None
    for _ in range(3):
        listed |= {(kind, some(chance, kind)) for kind in chance.choices(kinds, k=2)}
        found, records = components(sources, kinds)
        named = listed | had_by_those_who_had(listed - set().union(*found), known)
        forgotten = {held for one in found if named & one for held in one}
        with run(sources, config, previous=known, forget=people(*listed)) as result:
            left = {one for one in found if not named & one}
            assert customers(result) == {frozenset(f"{kind}={held}" for kind, held in one) for one in left}
            assert conserved(result)
            assert not {row[:2] for row in tuples(result.identities)} & (forgotten | listed)
            assert not gone(result) & {row["customer_id"] for row in rows(result.identities)}
            told = {one for one in forgotten if one[0] != "email"}  # of which events show a mask only
            assert told <= set(tuples(result.forgotten_identifiers))
            lost = sum(bool(set(held) & forgotten) for held in records)
            assert result.summary["forgotten"]["records"] == lost
            assert result.summary["total_records"] == len(rows(result.assignments)) == len(records) - lost
            known = result.identities.to_arrow()
        sources = {name: frame.sample(frac=0.8, random_state=seed) for name, frame in sources.items()}


@dataclass
class Told:
    """What a run tells, by key."""

    profiles: dict[str, dict[str, Any]]
    identities: dict[Identifier, dict[str, Any]]
    owners: dict[tuple[str, str], str | None]

    @classmethod
    def by(cls, result: Unified) -> Told:
        assert conserved(result)
        return cls(
            {row["customer_id"]: row for row in rows(result.profiles)},
            {(row["identifier_type"], row["identifier_value"]): row for row in rows(result.identities)},
            {(row["source"], row["source_key"]): row["customer_id"] for row in rows(result.assignments)},
        )


@pytest.mark.parametrize("seed", range(10))
def test_others_are_as_if_nobody_were_forgotten(seed: int) -> None:
    """With guards and rules too: profiles, owners and assignments of all others are those of a run without a
    list, apart from identifiers that the forgotten have, or had on records of their own.
    """
    chance = random.Random(seed)
    sources, rules, config = world(chance)
    try:
        with run(sources, config, **rules) as result:
            before = Told.by(result)
    except ConfigError:
        return  # rules that contradict each other
    named = chance.sample(sorted(before.identities), min(4, len(before.identities)))
    with run(sources, config, forget=people(*named), **rules) as result:
        after = Told.by(result)

    lost = set(before.profiles) - set(after.profiles)
    theirs = {one for one, row in before.identities.items() if row["customer_id"] in lost}
    assert {before.identities[one]["customer_id"] for one in named} - {None} <= lost
    kept = {key: owner for key, owner in before.owners.items() if owner is None or owner not in lost}
    assert after.owners == kept
    assert not set(after.identities) & theirs
    for one, row in before.identities.items():
        if one in after.identities:
            assert after.identities[one]["customer_id"] == row["customer_id"]
        else:  # not even as somebody's shared value, once no record has it
            assert one in theirs or row["customer_id"] is None
    kinds = {kind for kind, _ in before.identities}
    for customer_id, row in after.profiles.items():
        for column, held in before.profiles[customer_id].items():
            if column == "customer_id" or column not in kinds:
                assert row[column] == held
            else:
                assert (column, row[column]) not in theirs
                counted = after.identities.get((column, held), {}).get("records")
                same = counted == before.identities.get((column, held), {}).get("records")
                assert row[column] == held or not same
    if kinds <= set(config.identifiers or []):  # no numbering was split; 0 may stand for guests
        for (kind, held), row in after.identities.items():
            carriers = [
                (name, str(place))
                for name, frame in sources.items()
                for place, found in enumerate(frame.get(kind, []))
                if found == held
            ]
            assert held == "0" or row["records"] == len(set(carriers) & set(kept))
