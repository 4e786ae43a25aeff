"""Thirty days of a shop, checked after every run by plain Python and SQL without any code of the package."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.airflow.recorded_month import Month, Recorder, Run, State, Table
from tests.airflow.thirty_days import DAYS, LEAVERS, Shop, identifiers

if TYPE_CHECKING:
    from tests.conftest import Postgres

pytestmark = pytest.mark.slow
SEED = 20260301


@pytest.fixture(scope="module")
def month(postgres: Postgres, airflow_db: None, airflow_home: Path) -> Month:
    """Every run of the month."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_PG", postgres.airflow_uri)
        return Recorder(postgres, airflow_home, SEED).record()


@pytest.fixture(scope="module")
def cast() -> dict[str, str]:
    """The customer numbers of the people in the script."""
    shop = Shop(SEED)
    for day in range(1, DAYS + 1):
        shop.live(day)
    return {name: person.customer_id for name, person in shop.cast.items()}


def without(row: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """A row without some columns."""
    return {name: value for name, value in row.items() if name not in names}


def masked(value: str) -> str:
    """How a personal value may be shown."""
    mailbox, at, domain = value.partition("@")
    return f"{mailbox[0]}***@{domain}" if at else f"{value[:2]}***{value[-2:]}"


def held(run: Run) -> Counter[tuple[str, str]]:
    """On how many source rows each identifier is."""
    rows = (row for table in run.sources.values() for row in table.values())
    return Counter(identifier for row in rows for identifier in identifiers(row))


def pointers(state: State) -> dict[str, str]:
    """Absorbed ids, and whom they point to."""
    return {value: row["customer_id"] for (_, value), row in state.having("absorbed").items()}


def remembered(state: State) -> set[str]:
    """Ids of which something is kept although nothing in the data has them."""
    return {row["customer_id"] for row in state.having("absent").values()}


def is_told_apart(run: Run, identifier: tuple[str, str]) -> bool:
    """Whether some event says that a value is shared, or that a link of it was dropped."""
    kind, value = identifier
    shown = masked(value) if kind in ("email", "phone") else value
    return any(
        (event["identifier_type"], event["identifier"]) == (kind, shown)
        for event in run.after.events.values()
        if event["kind"] in ("value_shared", "link_dropped")
    )


def written(before: Table, after: Table) -> tuple[int, int, int, int]:
    """How many rows were inserted, updated, deleted and not touched, by the transactions that wrote them."""
    common = before.keys() & after.keys()
    same = sum(before[key]["xmin"] == after[key]["xmin"] for key in common)
    return len(after.keys() - common), len(common) - same, len(before.keys() - common), same


def test_an_identifier_changes_hands_only_with_an_event(month: Month) -> None:
    """It stays with its customer unless a new event tells from whom to whom, or that many people share it."""
    for run in month.runs:
        moves = run.told("merged", "split")
        for identifier, past in run.before.identities.items():
            now = run.after.identities.get(identifier)
            if past["status"] == "shared":  # is forgotten when it goes
                continue
            assert now is not None, (run.label, identifier)
            if now["status"] == "shared":
                assert is_told_apart(run, identifier), (run.label, identifier)
            elif now["customer_id"] != past["customer_id"]:
                assert (now["customer_id"], past["customer_id"]) in moves, (run.label, identifier)


def test_every_customer_that_comes_or_goes_is_told_of(month: Month) -> None:
    """Who appears is created or split off, who vanishes is merged or retired, and no event is idle."""
    seen: set[str] = set()
    for run in month.runs:
        before, after = run.before.ids, run.after.ids
        fresh = {e["customer_id"] for e in run.new_events if (e["kind"], e["reason"]) == ("created", "new")}
        back = {e["customer_id"] for e in run.new_events if e["kind"] == "created"} - fresh
        parts = {customer for customer, _ in run.told("split")}
        absorbed = {other for _, other in run.told("merged")}
        retired = {customer for customer, _ in run.told("retired")}
        assert after - before == fresh | back | (parts - before), run.label
        assert not fresh & parts, run.label
        assert not fresh & seen, run.label
        assert back == (after - before) & seen, run.label
        assert not (parts - before - back) & seen, run.label
        assert before - after == retired | (absorbed & before), run.label
        assert not retired & absorbed, run.label
        for customer in back:
            by = [key for key, row in run.after.having("linked").items() if row["customer_id"] == customer]
            past = [run.before.identities.get(key, {}) for key in by]
            assert any((row.get("customer_id"), row.get("status")) == (customer, "absent") for row in past)
        seen |= after


def test_an_absorbed_id_leads_to_its_customer_for_ever(month: Month) -> None:
    """It points to a customer that lives or is remembered, in one step, and nobody ever has it again."""
    for run in month.runs:
        before, after = pointers(run.before), pointers(run.after)
        assert before.keys() <= after.keys(), run.label
        assert after.keys() - before.keys() == {other for _, other in run.told("merged")}, run.label
        assert not after.keys() & run.after.ids, run.label
        assert set(after.values()) <= run.after.ids | remembered(run.after), run.label
        assert not after.keys() & set(after.values()), run.label
        for old, past in before.items():
            assert after[old] == past or (after[old], past) in run.told("merged"), run.label


def test_no_id_is_forgotten(month: Month) -> None:
    """Whoever was a customer once is one, is remembered, or points to the one that took it in."""
    seen: set[str] = set()
    for run in month.runs:
        seen |= run.after.ids
        known = (run.after.ids, set(pointers(run.after)), remembered(run.after) - run.after.ids)
        for customer in seen:
            assert sum(customer in places for places in known) == 1, (run.label, customer)


def test_customers_are_what_the_rows_say(month: Month) -> None:
    """Identifiers are one customer's exactly if rows or rules join them, in a graph worked out once more."""
    for run in month.runs:
        owners = {key: row["customer_id"] for key, row in run.after.having("linked").items()}
        present = held(run)
        assert present.keys() == owners.keys() | run.after.having("shared").keys(), run.label
        for key, count in present.items():
            assert run.after.identities[key]["records"] == count, (run.label, key)
        group = {key: key for key in owners}

        def find(key: tuple[str, str], group: dict[Any, Any] = group) -> tuple[str, str]:
            while group[key] != key:
                key = group[key]
            return key

        rows = [identifiers(row) for table in run.sources.values() for row in table.values()]
        rules = [[("customer_id", n) for n in pair] for name, pair in run.rules if name == "must_link"]
        for joined in [*rows, *rules]:
            linked = [key for key in joined if key in owners]
            if len({owners[key] for key in linked}) > 1:
                assert any(is_told_apart(run, key) for key in linked), (run.label, linked)
            for one, other in combinations(linked, 2):
                if owners[one] == owners[other]:
                    group[find(one)] = find(other)
        groups = {find(key) for key in owners}
        assert len({owners[key] for key in groups}) == len(groups) == len(run.after.ids), run.label
        for name, (one, other) in run.rules:
            together = run.after.owner("customer_id", one) == run.after.owner("customer_id", other)
            assert together == (name == "must_link"), run.label


def test_no_row_is_an_orphan(month: Month) -> None:
    """Profiles have linked identities and these have profiles; all customers that are named are known."""
    seen: set[str] = set()
    for run in month.runs:
        seen |= run.after.ids
        linked = {row["customer_id"] for row in run.after.having("linked").values()}
        assert linked == run.after.ids, run.label
        assert all(row["customer_id"] is None for row in run.after.having("shared").values()), run.label
        for event in run.after.events.values():
            assert {event["customer_id"], event["other_customer_id"]} <= {None, *seen}, run.label
        if run.assigned:
            rows = {(name, key) for name, table in run.sources.items() for key in table}
            assert run.after.assignments.keys() == rows, run.label
            for (name, key), row in run.after.assignments.items():
                found = identifiers(run.sources[name][key])
                owners = {run.after.identities[one]["customer_id"] for one in found} - {None}
                assert ({row["customer_id"]} if row["customer_id"] else set()) <= owners, (run.label, key)
                assert bool(row["customer_id"]) == bool(owners) == (row["reason"] is None), (run.label, key)
                assert row["customer_id"] is None or row["customer_id"] in run.after.ids, run.label


def test_nothing_of_the_sums_is_lost(month: Month) -> None:
    """Every metric of the profiles and of unidentified rows is that of the sources; so are the records."""
    for run in month.runs:
        for metric, (total, published, by_customer) in run.sums.items():
            known = run.summary["metrics"].get(metric, {"total": 0, "unidentified": 0})
            rest = Decimal(str(known["unidentified"]))
            assert Decimal(published) + rest == Decimal(total), (run.label, metric)
            assert Decimal(str(known["total"])) == Decimal(published), (run.label, metric)
            if run.assigned:
                profiles = {one: row[metric] for (one,), row in run.after.profiles.items() if row[metric]}
                shares = {one: share for one, share in by_customer.items() if one is not None}
                assert profiles == shares, (run.label, metric)
        rows = sum(map(len, run.sources.values()))
        published_rows = sum(row["total_records"] for row in run.after.profiles.values())
        assert published_rows + run.summary["unidentified_records"] == rows, run.label


def test_the_summary_counts_what_the_tables_hold(month: Month) -> None:
    """Rows by what happened to them, as their transactions show it, customers, and events by kind."""
    for run in month.runs:
        summary, sides = run.summary, run.summary["side_tables"]
        tables = {
            "": (summary, run.before.profiles, run.after.profiles),
            "identities": (sides["c360.people_identities"], run.before.identities, run.after.identities),
        }
        if run.assigned:
            counts = sides["c360.people_assignments"]
            tables["assignments"] = (counts, run.before.assignments, run.after.assignments)
        else:
            assert "c360.people_assignments" not in sides
        for name, (counts, before, after) in tables.items():
            told = [counts[f"rows_{what}"] for what in ("inserted", "updated", "deleted", "unchanged")]
            assert tuple(told) == written(before, after), (run.label, name)
            assert counts["rows_written"] == len(after), (run.label, name)
        assert summary["total_customers"] == len(run.after.ids), run.label
        counts = sides["c360.people_identity_events"]
        assert written(run.before.events, run.after.events) == (
            counts["rows_inserted"], 0, 0, len(run.before.events)
        ), run.label  # fmt: skip
        assert counts["rows_written"] == sum(summary["identity_events"].values()), run.label
        kinds = Counter(event["kind"] for event in run.new_events)
        assert summary["identity_events"] == {kind: kinds[kind] for kind in summary["identity_events"]}
        newly_shared = set(run.after.having("shared")) - set(run.before.having("shared"))
        assert summary["identity_events"]["value_shared"] == len(newly_shared), run.label
        assert {event["run_id"] for event in run.new_events} <= {run.run_id}, run.label


def test_the_profiles_of_untouched_people_stay(month: Month) -> None:
    """Where no source row, rule or event concerns a customer, only `is_active` may change, and a row that
    says the same was not written.
    """
    for run in month.runs:
        changed = {
            one
            for name, rows in run.sources.items()
            for key in rows.keys() | run.sources_before[name].keys()
            if rows.get(key) != run.sources_before[name].get(key)
            for row in (rows.get(key, {}), run.sources_before[name].get(key, {}))
            for one in identifiers(row)
        }
        rules = set(run.rules) ^ set(run.rules_before)
        changed |= {("customer_id", number) for _, pair in rules for number in pair}
        touched = {
            state.identities[key]["customer_id"]
            for state in (run.before, run.after)
            for key in changed & state.identities.keys()
        }
        touched |= {one for pair in run.told("created", "merged", "split", "retired") for one in pair}
        for key, row in run.before.profiles.items():
            now = run.after.profiles.get(key)
            if key[0] not in touched:
                assert now is not None, run.label
                assert without(now, "xmin", "is_active") == without(row, "xmin", "is_active"), run.label
            if now is not None and without(now, "xmin") == without(row, "xmin"):
                assert now["xmin"] == row["xmin"], run.label


def test_a_rerun_changes_nothing(month: Month) -> None:
    """Not a row is written; a run of an earlier day judges who is active as of that day, and nothing else."""
    assert len(month.again) == 6
    for run in month.again:
        assert run.before.events == run.after.events, run.label
        assert run.before.identities == run.after.identities, run.label
        if "day 24" in run.label:
            continue
        assert run.before.profiles == run.after.profiles, run.label
        assert run.before.assignments == run.after.assignments, run.label
    of_old, after_that = (run for run in month.again if "cleared" in run.label)

    def shown(state: State, *hidden: str) -> list[dict[str, Any]]:
        return [without(row, "xmin", *hidden) for _, row in sorted(state.profiles.items())]

    assert shown(of_old.before, "is_active") == shown(of_old.after, "is_active")
    assert shown(of_old.before) == shown(after_that.after)


def test_a_day_without_any_change(month: Month) -> None:
    """No event, and profiles are written only for those who are no longer active."""
    run = month.day(16)
    # The support's rows were back the day before; nothing was missing on either side.
    assert run.sources == run.sources_before
    assert run.new_events == []
    assert run.before.identities == run.after.identities
    assert run.summary["rows_inserted"] == run.summary["rows_deleted"] == 0


def test_a_failure_in_the_middle_of_publishing(month: Month) -> None:
    """It leaves every table as it was; Airflow's retry, or a person's, then does what was to be done."""
    before, after = month.failed[21]
    assert before == after
    assert month.tries == {13: 2}
    assert month.day(13).new_events
    assert month.day(21).new_events


def test_events_show_nobody(month: Month) -> None:
    """Neither an e-mail nor a phone of the whole month is in any event."""
    rows = [row for run in month.runs for table in run.sources.values() for row in table.values()]
    personal = {value for row in rows for kind, value in identifiers(row) if kind in ("email", "phone")}
    told = "\n".join(str(list(event.values())) for event in month.runs[-1].after.events.values())
    addresses = set(re.findall(r"[\w.+-]+@[\w.-]+|\+?\d{8,}", told))
    assert len(personal) > 400
    assert not addresses & (personal | {value.lstrip("+") for value in personal})
    assert not [value for value in personal if value in told]


def stories(month: Month, cast: Mapping[str, str]) -> Iterator[tuple[str, bool]]:
    """What the script was made for, each with whether it came out."""

    def owner(day: int, name: str, kind: str = "customer_id") -> str | None:
        return month.day(day).after.owner(
            kind, cast[name] if kind == "customer_id" else cast[f"{name} {kind}"]
        )

    def told(day: int, kind: str, one: str | None, other: str | None = None) -> bool:
        return (one, other) in month.day(day).told(kind)

    stranger = ("anonymous_id", "device-of-a-stranger")
    unknown = month.day(3).after.owner(*stranger)
    yield "a stranger is a customer", told(3, "created", unknown)
    yield "who logs in", told(7, "merged", cast["vera"], unknown)
    yield "and is somebody known", month.day(7).after.owner(*stranger) == cast["vera"]
    duplicates = {cast["dora"], cast["dora_again"]}
    yield "duplicates", {owner(8, "dora"), owner(8, "dora_again")} == duplicates
    yield "are merged", len({owner(9, "dora"), owner(9, "dora_again")} & duplicates) == 1
    glued = owner(5, "tom")
    yield "a typing error glues two", glued == owner(5, "uma") and glued in (cast["tom"], cast["uma"])
    parts = {owner(11, "tom"), owner(11, "uma")}
    [other] = {cast["tom"], cast["uma"]} - {glued}
    yield "they part again, and the absorbed id is not given again", parts == {glued, f"{other}~2"}
    yield "which is a split", told(11, "split", f"{other}~2", glued)
    yield "glued once more", told(26, "merged", glued, f"{other}~2")
    office = ("email", "office@firm.example")
    yield "two colleagues are one", owner(11, "office_1") == owner(11, "office_2")
    yield "five are not", len({owner(12, f"office_{i}") for i in range(1, 6)}) == 5
    yield "their mailbox is nobody's", month.day(12).after.identities[office]["status"] == "shared"
    yield "father and son share a phone", owner(14, "father") == owner(14, "son")
    yield "a rule parts them", owner(15, "father") != owner(15, "son")
    yield "and the link is told of", any(e["kind"] == "link_dropped" for e in month.day(15).new_events)
    yield "strangers", owner(17, "here") != owner(17, "there")
    yield "are one by a rule", owner(18, "here") == owner(18, "there") in (cast["here"], cast["there"])
    for name in LEAVERS:
        yield f"{name} goes", told(10, "retired", cast[name])
        yield f"{name} is back", told(20, "created", cast[name]) and owner(30, name) == cast[name]
    by_phone = ("customer_id", cast["leaver_by_phone"])
    yield "by the phone alone", month.day(30).after.identities[by_phone]["status"] == "absent"
    for day in (14, 17, 23):
        yield f"customers of a lacking source go on day {day}", bool(month.day(day).told("retired"))


def test_every_story_of_the_month_came_out(month: Month, cast: dict[str, str]) -> None:
    """Merges, splits, shared values, rules, departures and returns happened as the script has them."""
    assert [story for story, came_out in stories(month, cast) if not came_out] == []
