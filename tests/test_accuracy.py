"""The accuracy benchmark: its generated data, contenders and sweep."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.accuracy import ours, peers, run, sweep
from benchmarks.accuracy.generated import generate, generated
from benchmarks.accuracy.labelled import Labelled
from benchmarks.accuracy.metrics import accuracy, difference
from benchmarks.accuracy.rates import Rates
from benchmarks.accuracy.spelling import CLERK_EMAILS
from benchmarks.accuracy.standard import codes, standard_identifiers, tuned_by_hand

#: Nothing is anybody else's: no sharing, no junk, no slip that could hit another person's value.
NOTHING_SHARED = replace(
    Rates(),
    family_mailbox=0.0,
    family_phone=0.0,
    family_device=0.0,
    recycled_number=0.0,
    role_mailbox=0.0,
    office=0.0,
    call_centre=0.0,
    clerk_junk_email=0.0,
    clerk_junk_phone=0.0,
    email_typo=0.0,
    phone_typo=0.0,
    namesake_email=0.0,
    kiosk=0.0,
    test_accounts=0.0,
)


@pytest.fixture(scope="module")
def base() -> Labelled:
    """A small customer base with the usual rates."""
    return generate(20_000, Rates())


@pytest.fixture(scope="module")
def identifiers(base: Labelled) -> pa.Table:
    """Its standardised identifiers."""
    return standard_identifiers(base)


def _people_per_value(base: Labelled, identifiers: pa.Table, kind: str) -> np.ndarray:
    value = codes(identifiers.column(kind))
    pairs = np.unique(np.stack([value[value >= 0], base.truth[value >= 0]]), axis=1)
    return np.bincount(pairs[0])


def _small(truth: list[int], **sources: dict[str, list[str | None]]) -> Labelled:
    tables = {name: pa.table(columns) for name, columns in sources.items()}
    return Labelled(
        name="small",
        about="",
        sources=tables,
        identifiers={name: {c: c for c in table.column_names} for name, table in tables.items()},
        truth=np.array(truth),
    )


def test_one_seed_gives_one_customer_base(base: Labelled) -> None:
    """The same seed gives the same rows and people, another one gives others."""
    again, other = generate(20_000, Rates()), generate(20_000, Rates(), seed=1)
    assert all(again.sources[name].equals(table) for name, table in base.sources.items())
    assert np.array_equal(again.truth, base.truth)
    assert not other.sources["crm"].equals(base.sources["crm"])


def test_size_and_truth_fit_the_sources(base: Labelled) -> None:
    """About as many rows as asked for, and one true person for each of them."""
    assert len(base) == sum(len(table) for table in base.sources.values())
    assert len(base) == pytest.approx(20_000, rel=0.05)


def test_nothing_shared_nobody_merged() -> None:
    """With all sharing off, no identifier joins two people but the numbers that are counted twice."""
    clean = generate(20_000, NOTHING_SHARED)
    identifiers = standard_identifiers(clean)
    merged = accuracy(peers.transitive(identifiers, clean.types), clean.truth)
    assert merged.pairs.precision < 0.5
    told_apart = tuned_by_hand(clean, identifiers)
    assert accuracy(peers.transitive(told_apart, clean.types), clean.truth).pairs.precision == 1


def test_two_sources_count_customers_from_one(base: Labelled) -> None:
    """CRM and help desk both have customers 1, 2, 3, ... and mean different people by them."""
    crm, support = (base.sources[name].column("customer_id").to_numpy() for name in ("crm", "support"))
    assert sorted(crm) == list(range(1, len(crm) + 1))
    assert sorted(set(support)) == list(range(1, max(support) + 1))
    begin = base.offsets["support"]
    same = base.truth[begin : begin + len(support)] == base.truth[support - 1]
    assert same.mean() < 0.01


def test_values_are_shared_as_they_are_in_life(base: Labelled, identifiers: pa.Table) -> None:
    """Some phones are a family's, a few a whole office's, some e-mails a clerk's, some devices a kiosk's."""
    phones = _people_per_value(base, identifiers, "phone")
    assert np.count_nonzero((phones > 1) & (phones < 6)) > 50
    assert np.count_nonzero(phones >= 10) >= 3
    assert _people_per_value(base, identifiers, "anonymous_id").max() > 50
    emails = identifiers.column("email").to_pylist()
    assert max(map(emails.count, CLERK_EMAILS)) > 10


def test_some_people_are_registered_twice(base: Labelled) -> None:
    """The CRM holds a tenth of its people under two numbers."""
    records = np.bincount(base.truth[: len(base.sources["crm"])])
    assert np.count_nonzero(records > 1) / np.count_nonzero(records) == pytest.approx(0.10, abs=0.03)


def test_files_give_what_was_made(tmp_path: Path) -> None:
    """The second call reads the first one's files; other rates make others."""
    made, read = (generated(2_000, tmp_path) for _ in range(2))
    assert made.folder == read.folder
    assert np.array_equal(made.truth, generate(2_000, Rates()).truth)
    assert read.numbered_apart == {"customer_id": ["support"]}
    assert generated(2_000, tmp_path, NOTHING_SHARED).folder != made.folder


def test_nothing_that_compares_identifiers_beats_the_ceiling(base: Labelled, identifiers: pa.Table) -> None:
    """The ceiling joins no two people, and all records that people's own identifiers join."""
    ceiling = peers.ceiling(identifiers, base.types, base.truth)
    plain = peers.transitive(identifiers, base.types)
    assert accuracy(ceiling, base.truth).pairs.precision == 1
    assert difference(ceiling, plain, base.truth).true_added == 0
    assert accuracy(ceiling, base.truth).pairs.f1 > accuracy(plain, base.truth).pairs.f1


def test_transitive_goes_through_any_chain_and_leaves_unknown_records_alone() -> None:
    """Records are together through a chain over sources; two without any value are not together."""
    data = _small(
        [1, 1, 1, 2, 3],
        crm={"customer_id": ["1", None], "email": ["A@x.org", "b@x.org"]},
        support={"email": ["a@x.org", None, None], "phone": [None, "n/a", None]},
    )
    found = peers.transitive(standard_identifiers(data), data.types)
    assert found[0] == found[2]
    assert len(set(found.tolist())) == 4


def test_naive_takes_the_first_column_as_written() -> None:
    """The naive grouping sees no second column and no spelling."""
    data = _small([1, 1, 1], crm={"customer_id": ["1", None, "1"], "email": ["a@x", "a@x", "A@x"]})
    found = peers.naive(data)
    assert found[0] == found[2] != found[1]


def test_assignments_become_labels_in_the_order_of_the_truth() -> None:
    """Rows find their place whatever the order of the assignments; unidentified records are alone."""
    data = _small([1, 2, 3, 4], crm={"email": ["a", "b"]}, web={"email": [None, None]})
    assignments = {
        "source": ["web", "crm", "crm", "web"],
        "source_key": ["0", "1", "0", "1"],
        "customer_id": [None, "c1", "c1", None],
    }
    found = ours.labels_of(data, pa.table(assignments))
    assert found[0] == found[1]
    assert len(set(found.tolist())) == 3


@pytest.mark.parametrize("keys", [["0", "1"], ["0", "1", "1"], ["0", "1", "2", "3"]])
def test_each_record_must_be_assigned_once(keys: list[str]) -> None:
    """A record that is missing, given twice or made up is an error, not a wrong figure."""
    data = _small([1, 2, 3], crm={"email": ["a", "b", "c"]})
    table = pa.table({"source": ["crm"] * len(keys), "source_key": keys, "customer_id": ["c"] * len(keys)})
    with pytest.raises(ValueError, match="assignments for 3 records"):
        ours.labels_of(data, table)


def test_a_sweep_tries_every_threshold_of_every_type() -> None:
    """Each guard of each type takes each of its values; addresses have no numbering."""
    tried = list(sweep.settings(("customer_id", "email")))
    assert [value for *where, value in tried if where == ["email", "limit"]] == list(sweep.THRESHOLDS)
    assert ("customer_id", "numbering", "per_source") in tried
    assert ("email", "numbering") not in {(kind, guard) for kind, guard, _ in tried}


def test_the_table_has_a_line_a_contender(base: Labelled) -> None:
    """Measured contenders become lines of one table a data set, with plain matching differing by nothing."""
    lines = list(run.measure(base, ["naive", "plain", "ceiling"]))
    assert [line["contender"] for line in lines] == ["naive", "plain", "ceiling"]
    assert set(lines[1]["against_plain"].values()) == {0}
    table = [line for line in run.markdown(lines).splitlines() if line.startswith("|")]
    assert len(table) == 5
    assert len({line.count("|") for line in table}) == 1


def test_a_sweep_measures_each_setting_and_marks_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each setting is a line of the table, after the defaults and no guards; the best F1 stands in bold."""
    data = _small([1, 1, 2, 2], crm={"email": ["a@x.org", "b@x.org", "c@x.org", "d@x.org"]})
    perfect = {"email": {"limit": 3}}

    def assigned(_: Labelled, *, guards: bool, stated: ours.Stated) -> np.ndarray:
        return data.truth if stated == perfect and guards else np.arange(4)

    monkeypatch.setattr(ours, "assigned", assigned)
    lines = list(sweep.measure(data, "default", {}))
    assert len(lines) == 2 + 2 * len(sweep.THRESHOLDS)
    bold = [line for line in sweep.markdown(lines).splitlines() if "| limit |" in line and "**" in line]
    assert [line.split("|")[4].strip() for line in bold] == ["3"]


def test_what_is_stated_holds_in_every_run_of_a_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """The varied setting comes on top of the stated ones; only the wanted types are varied."""
    data = _small([1, 2], crm={"email": ["a@x.org", "b@x.org"], "phone": ["1", "2"]})
    seen = []

    def assigned(_: Labelled, *, guards: bool, stated: ours.Stated) -> np.ndarray:
        seen.append((guards, stated))
        return np.arange(2)

    monkeypatch.setattr(ours, "assigned", assigned)
    list(sweep.measure(data, "off", {"phone": {"limit": 2}, "email": {"limit": 4}}, ["email"]))
    assert seen[:3] == [(True, {}), (False, {}), (False, {"phone": {"limit": 2}, "email": {"limit": 4}})]
    assert len(seen) == 3 + 2 * len(sweep.THRESHOLDS)
    assert all(not guards and stated["phone"] == {"limit": 2} for guards, stated in seen[3:])
    assert seen[4][1]["email"] == {"limit": 4, "shared_after": 1}
