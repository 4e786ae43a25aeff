"""What holds whatever the data and the rules are: small random worlds, so crowded that guards are needed."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from typing import Any

import pandas as pd
import pytest

from airflow_provider_customer360.unify import Config, Unified
from tests.unify.outcomes import conserved, rows, run

COLUMNS = ["identifier_type", "identifier_value", "other_identifier_type", "other_identifier_value"]
TYPES = ["customer_id", "email", "phone", "anonymous_id", "member_id"]
#: How many different values of a type there are: few, so that much is shared.
SPREAD = {"customer_id": 30, "email": 25, "phone": 12, "anonymous_id": 20, "member_id": 30}


def value(kind: str, n: int) -> str:
    patterns = {"email": "e{}@x.example", "phone": "+14155550{:03d}", "customer_id": "{}", "member_id": "{}"}
    return patterns.get(kind, kind[0] + "{}").format(n)


def world(chance: random.Random) -> tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame], Config]:
    """Sources, rules and settings."""

    def some(kind: str, missing: float) -> str | None:
        if chance.random() < missing:
            return None
        return value(kind, int(SPREAD[kind] * chance.random() ** 2))

    sources = {}
    for name in chance.sample(["crm", "shop", "web", "desk"], chance.randint(1, 4)):
        kinds = chance.sample(TYPES, chance.randint(1, 4))
        count = chance.choice([1, 5, 40])
        frame = {kind: [some(kind, 0.3) for _ in range(count)] for kind in kinds}
        if chance.random() < 0.4:
            frame["full_name"] = [
                chance.choice("ABCDE") + "x " + chance.choice("VWXYZ") + "y" for _ in range(count)
            ]
        sources[name] = pd.DataFrame(frame | {"amount": [chance.randint(1, 9) for _ in range(count)]})
    present = sorted({kind for frame in sources.values() for kind in frame if kind in TYPES})
    rules = {}
    for name in ("must_link", "must_not_link"):
        pairs = [
            [
                one,
                value(one, chance.randint(0, SPREAD[one])),
                other,
                value(other, chance.randint(0, SPREAD[other])),
            ]
            for one, other in (
                (chance.choice(present), chance.choice(present)) for _ in range(chance.randint(0, 4))
            )
        ]
        different = [pair for pair in pairs if pair[:2] != pair[2:]]
        rules[name] = pd.DataFrame(different, columns=COLUMNS)
    stated = {
        kind: {"limit": chance.choice([1, 2, 5]), "limit_per": chance.choice(["customer", "source"])}
        | {"links": chance.random() < 0.9, "numbering": chance.choice(["shared", "auto"])}
        for kind in TYPES
        if chance.random() < 0.6
    }
    return sources, rules, Config(identifiers=present, identifier_types=stated, assignments=True)


@pytest.mark.parametrize("seed", range(6))
def test_a_random_world(seed: int) -> None:
    """No record is lost, rules and limits hold, and each customer is held together by what is told of it."""
    sources, rules, config = world(random.Random(seed))
    with run(sources, config, **rules) as result:
        identities = rows(result.identities)
        assert conserved(result)
        check_assignments(result, sources)
        owner = {(row["identifier_type"], row["identifier_value"]): row["customer_id"] for row in identities}
        check_rules(owner, rules)
        check_explanations(result, identities)
        again = rows(result.events)
        previous = result.identities.to_arrow()
    shuffled = {name: sources[name].sample(frac=1, random_state=seed) for name in reversed(sources)}
    with run(shuffled, config, **rules) as other:
        assert rows(other.identities) == identities
        assert {row["event_id"] for row in rows(other.events)} == {row["event_id"] for row in again}
    with run(sources, config, previous=previous, **rules) as rerun:
        assert rows(rerun.identities) == identities
        assert not [
            row for row in rows(rerun.events) if row["kind"] in ("created", "merged", "split", "retired")
        ]


def check_assignments(result: Unified, sources: dict[str, pd.DataFrame]) -> None:
    assert result.assignments is not None
    sums: Counter[str] = Counter()
    for row in rows(result.assignments):
        assert (row["customer_id"] is None) != (row["reason"] is None)
        if row["customer_id"] is not None:
            sums[row["customer_id"]] += int(sources[row["source"]]["amount"].iloc[int(row["source_key"])])
    assert sums == {row["customer_id"]: row["amount"] for row in rows(result.profiles)}


def check_rules(owner: dict[tuple[str, str], str | None], rules: dict[str, pd.DataFrame]) -> None:
    for name, table in rules.items():
        for one_type, one, other_type, other in table.itertuples(index=False):
            customers = owner.get((one_type, one)), owner.get((other_type, other))
            if name == "must_link" and None not in customers:
                assert customers[0] == customers[1]
            if name == "must_not_link" and None not in customers:
                assert customers[0] != customers[1]


def check_explanations(result: Unified, identities: list[dict[str, Any]]) -> None:
    held: dict[str, int] = defaultdict(int)
    for row in identities:
        held[row["customer_id"]] += row["status"] == "linked"
    for customer_id in [one for one in held if one is not None]:
        found = result.explain(customer_id)
        assert len(found.identifiers) == held[customer_id]
        assert len(found.links) == len(found.identifiers) - 1
        assert found.as_text()
