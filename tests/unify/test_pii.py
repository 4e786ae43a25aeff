"""Personal data that is published as digests, masked or not at all."""

from __future__ import annotations

import hmac
import random
from collections import defaultdict
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from airflow_provider_customer360.unify import Config, ConfigError, Unified, unify
from tests.unify.outcomes import AS_OF, HOSTILE, conserved, rows, run

SALT = "a salt that nobody knows"
CRM = pd.DataFrame(
    {
        "customer_id": ["c1", "c2", None],
        "email": ["ana@x.example", "bob@x.example", "cleo@x.example"],
        "phone": ["+14155550101", "+14155550102", None],
        "member_id": ["m-ana", "m-bob", "m-cleo"],
        "full_name": ["Ana Souza", "Bob", None],
        "born": pd.to_datetime(["1990-01-01", None, "1991-01-01"]),
        "amount": [1, 2, 4],
    }
)
PII = {"E-Mail": "hash", "phone": "mask", "member_id": "drop", "full_name": "mask", "born": "hash"}
#: What must be in nothing that is published.
PLAIN = ("ana@", "bob@", "cleo@", "55501", "m-ana", "m-bob", "m-cleo", "Souza", "1990-01", "1991-01")


def digest(name: str, value: str, salt: str = SALT) -> str:
    """As the documentation says that anybody with the salt can compute it."""
    return hmac.new(salt.encode(), f"{name}:{value}".encode(), "sha256").hexdigest()


def protected(sources: Any, config: Config | None = None, **more: Any) -> Unified:
    """A run that protects what `PII` names."""
    config = config or Config(pii=PII, assignments=True)
    return run(sources, config, **({"pii_salt": SALT} | more))


def everything(result: Unified) -> str:
    """All that a run publishes and tells, as text."""
    frames = [result.profiles, result.identities, result.events, *filter(None, [result.assignments])]
    return "\n".join([*(repr(rows(frame)) for frame in frames), repr(result.summary)])


def published(result: Unified) -> list[list[dict[str, Any]]]:
    return [rows(result.profiles), rows(result.identities)]


# --- What is published -----------------------------------------------------------------------------------


def test_profiles() -> None:
    """A digest that the salt's owner can compute, a mask, or no such column; other columns are as ever."""
    with protected({"crm": CRM}) as result:
        ana, bob, cleo = rows(result.profiles)
        assert "member_id" not in ana
        assert [row["email"] for row in (ana, bob, cleo)] == [
            digest("email", f"{name}@x.example") for name in ("ana", "bob", "cleo")
        ]
        assert [row["phone"] for row in (ana, bob, cleo)] == ["+1***01", "+1***02", None]
        assert [row["full_name"] for row in (ana, bob, cleo)] == ["An***za", "B***", None]
        assert [row["born"] is None for row in (ana, bob, cleo)] == [False, True, False]
        assert (ana["customer_id"], ana["amount"]) == ("c1", 1)
        assert cleo["customer_id"] == f"member_id:{digest('member_id', 'm-cleo')[:32]}"
        assert conserved(result)
        assert not [value for value in PLAIN if value in everything(result)]


def test_identities_hold_digests_whatever_the_action() -> None:
    """Or nobody could recognise them in the next run."""
    with protected({"crm": CRM}) as result:
        held = {(row["identifier_type"], row["identifier_value"]): row for row in rows(result.identities)}
        for kind, value in (("email", "ana@x.example"), ("phone", "+14155550101"), ("member_id", "m-ana")):
            assert held[kind, digest(kind, value)]["customer_id"] == "c1"
        assert ("customer_id", "c1") in held
        assert {(row["linked_to_type"], row["linked_to_value"]) for row in held.values()} - {
            (None, None)
        } <= set(held)


def test_events() -> None:
    """A digest, a mask or nothing; and no event's id gives a value away."""
    desk = pd.DataFrame(
        {
            "customer_id": [f"c{i}" for i in range(6)] * 3,
            "email": ["ana@x.example"] * 6 + ["not-mine"] * 12,
            "phone": [None] * 6 + ["+14155550101"] * 6 + [None] * 6,
            "member_id": ["m-ana"] * 6 + [None] * 12,
        }
    )  # fmt: skip
    config = Config(
        pii={"email": "hash", "phone": "mask", "member_id": "drop"},
        identifiers=["customer_id", "email", "phone", "member_id"],
        identifier_types={"member_id": {"shared_after": 1}},
    )
    with protected({"desk": desk}, config) as result:
        told = {
            (row["kind"], row["identifier_type"]): row["identifier"]
            for row in rows(result.events)
            if row["kind"].startswith("value_")
        }
        assert told == {
            ("value_shared", "email"): digest("email", "ana@x.example"),
            ("value_shared", "phone"): "+1***01",
            ("value_shared", "member_id"): None,
            ("value_blocked", "email"): digest("email", "not-mine"),
        }
        ids = {row["event_id"] for row in rows(result.events) if row["kind"] == "value_blocked"}
    with protected({"desk": desk}, config, pii_salt="another salt that nobody knows") as result:
        assert not ids & {row["event_id"] for row in rows(result.events)}


def test_derived_columns_are_computed_from_what_is_published() -> None:
    """Nothing gets around it through an expression."""
    config = Config(
        pii={"email": "hash", "full_name": "mask"}, derived={"copied": "email", "name": "upper(full_name)"}
    )
    with protected({"crm": CRM}, config) as result:
        ana = rows(result.profiles)[0]
        assert ana["copied"] == digest("email", "ana@x.example")
        assert ana["name"] == "AN***ZA"
    with pytest.raises(ConfigError, match="is no profile column"):
        protected({"crm": CRM}, Config(pii={"email": "drop"}, derived={"copied": "email"}))


def test_keys_of_assignments() -> None:
    """A source's key that is personal is hashed; one that would be no key any more is an error."""
    from airflow_provider_customer360.unify import Source

    keyed = {"crm": Source(data=CRM, key="email")}
    with protected(keyed, Config(pii={"email": "hash"}, assignments=True)) as result:
        keys = {row["source_key"]: row["customer_id"] for row in rows(result.assignments)}
        assert keys[digest("email", "ana@x.example")] == "c1"
    with protected(
        {"crm": Source(data=CRM.assign(note=["x", "y", "z"]), key="note", attributes=["full_name"])},
        Config(pii={"note": "hash"}, assignments=True),
    ) as result:  # a column that is used for nothing else
        assert {row["source_key"] for row in rows(result.assignments)} == {digest("note", n) for n in "xyz"}
    for action in ("mask", "drop"):
        with pytest.raises(ConfigError, match="would be no key"):
            protected(keyed, Config(pii={"email": action}, assignments=True))


def test_columns_with_the_sources_name_are_protected_under_the_profiles_name() -> None:
    """A name that is taken gets the source's in front, which must not let it slip through."""
    crm = CRM.assign(is_active=["secret-1", "secret-2", "secret-3"])
    with protected({"crm": crm}, Config(pii={"crm_is_active": "drop"})) as result:
        assert "secret" not in everything(result)
    shop = pd.DataFrame({"email": ["ana@x.example"], "total_records": ["secret-4"]})
    with protected({"crm": CRM, "shop": shop}, Config(pii={"shop_total_records": "mask"})) as result:
        assert "secret" not in everything(result)


def test_numberings_of_their_own_are_protected_like_the_type_they_come_from() -> None:
    """Two sources that number users apart: the action is for both."""
    config = Config(pii={"user_id": "hash"}, identifier_types={"user_id": {"numbering": "per_source"}})
    sources = {name: pd.DataFrame({"user_id": ["secret-1", "secret-2"]}) for name in ("web", "app")}
    with protected(sources, config) as result:
        assert len(rows(result.profiles)) == 4
        assert "secret" not in everything(result)


# --- Ids stay --------------------------------------------------------------------------------------------


def test_a_second_run_changes_nothing() -> None:
    """Not a row of any table, and nothing happened."""
    with protected({"crm": CRM}) as result:
        first, known = published(result), result.identities.to_arrow()
    with protected({"crm": CRM}, previous=known) as result:
        assert published(result) == first
        assert not rows(result.events)


def test_customers_keep_their_ids_by_digests() -> None:
    """A stronger identifier turns up, one goes and comes back: who is known by a digest keeps the id."""
    emails = CRM[["email", "amount"]]
    config = Config(pii={"email": "hash"})
    with protected({"crm": emails}, config) as result:
        ids = {row["email"]: row["customer_id"] for row in rows(result.profiles)}
        assert ids[digest("email", "ana@x.example")] == f"email:{digest('email', 'ana@x.example')[:32]}"
        known = result.identities.to_arrow()
    for crm in (CRM[["customer_id", "email", "amount"]], emails[1:], emails):
        with protected({"crm": crm}, config, previous=known) as result:
            assert {row["email"]: row["customer_id"] for row in rows(result.profiles)}.items() <= ids.items()
            known = result.identities.to_arrow()
            assert not [row for row in rows(result.identities) if "@" in row["identifier_value"]]


def test_hashing_begins_and_ends_without_changing_ids() -> None:
    """What earlier runs published as it was is hashed, also of who is away; with the salt it comes back."""
    plain = Config()
    hashed = Config(pii={"email": "hash", "member_id": "hash"})
    with run({"crm": CRM}, plain) as result:
        ids = {row["amount"]: row["customer_id"] for row in rows(result.profiles)}
        known = result.identities.to_arrow()
    with protected({"crm": CRM[1:]}, hashed, previous=known) as result:
        known = result.identities.to_arrow()
        values = {row["identifier_value"] for row in known.to_pylist()}
        assert not values & {*CRM["email"], *CRM["member_id"]}
        assert {digest("email", one) for one in CRM["email"]} <= values
    for config in (hashed, plain, hashed):
        with protected({"crm": CRM}, config, previous=known) as result:
            assert {row["amount"]: row["customer_id"] for row in rows(result.profiles)} == ids
            known = result.identities.to_arrow()
    with run({"crm": CRM}, plain, previous=known) as result:  # without the salt what is hashed is not found
        assert rows(result.profiles)[-1]["customer_id"] != ids[4]
        known = result.identities.to_arrow()
    with protected({"crm": CRM}, hashed, previous=known) as result:
        assert {row["amount"]: row["customer_id"] for row in rows(result.profiles)} == ids
        assert [row["kind"] for row in rows(result.events)] == ["created", "merged"]  # it returned
        known = result.identities.to_arrow()
    with protected({"crm": CRM[:2]}, hashed, previous=known) as result:
        held = [tuple(row.values())[:2] for row in rows(result.identities)]
        assert len(held) == len(set(held))


def test_ids_that_tell_what_is_hashed_are_told() -> None:
    """They stay, since ids do, and a warning counts them."""
    users = pd.DataFrame({"user_id": ["u1", "u2"], "amount": [1, 2]})
    config = Config(pii={"user_id": "hash"})
    with run({"users": users}) as result:
        known = result.identities.to_arrow()
    with protected({"users": users}, config, previous=known) as result:
        assert {row["customer_id"] for row in rows(result.profiles)} == {"user_id:u1", "user_id:u2"}
        assert any(text.startswith("2 customers keep an id") for text in result.summary["warnings"])
    with protected({"users": users}, config) as result:
        assert not any("keep an id" in text for text in result.summary["warnings"])


def test_values_that_look_like_digests_are_values() -> None:
    """Some sources hold hashed e-mails, which are identifiers like others."""
    crm = pd.DataFrame({"hashed_email_id": [f"{i:064x}" for i in range(3)], "amount": [1, 2, 4]})
    config = Config(identifiers=["hashed_email_id"])
    with run({"crm": crm}, config) as result:
        known = result.identities.to_arrow()
        ids = {row["amount"]: row["customer_id"] for row in rows(result.profiles)}
    hashed = Config(identifiers=["hashed_email_id"], pii={"hashed_email_id": "hash"})
    for _ in range(2):
        with protected({"crm": crm}, hashed, previous=known) as result:
            assert {row["amount"]: row["customer_id"] for row in rows(result.profiles)} == ids
            known = result.identities.to_arrow()
            assert not {row["identifier_value"] for row in rows(result.identities)} & set(
                crm["hashed_email_id"]
            )


def test_another_salt_is_noticed() -> None:
    """Before customers lose their ids; a few identifiers may really all have gone."""
    crm = pd.DataFrame({"email": [f"e{i}@x.example" for i in range(100)]})
    config = Config(pii={"email": "hash"})
    with protected({"crm": crm}, config) as result:
        known = result.identities.to_arrow()
    with pytest.raises(ConfigError, match="Not one of 100 hashed identifiers") as raised:
        protected({"crm": crm}, config, previous=known, pii_salt="another salt of that length")
    assert "another salt of" not in str(raised.value)
    with protected(
        {"crm": crm}, config, previous=known.slice(1), pii_salt="another salt of that length"
    ) as result:
        assert len(rows(result.profiles)) == 100


@pytest.mark.parametrize("seed", range(6))
def test_hashing_changes_nothing_about_who_is_who(seed: int) -> None:
    """Over days of random data, customers with hashed identifiers have the records that they have without,
    keep their ids, and a second run over the same data changes nothing.
    """
    chance = random.Random(seed)
    kinds = {"user_id": "u{}", "email": "e{}@x.example", "member_id": "m{}"}
    actions = {kind: chance.choice(["hash", "mask", "drop"]) for kind in kinds}
    moments = iter(pd.date_range("2025-01-01", periods=10_000, freq="min", tz="UTC"))

    def visits(count: int) -> pd.DataFrame:
        return pd.DataFrame(
            {
                **{
                    kind: [
                        pattern.format(chance.randint(1, 30)) if chance.random() < 0.6 else None
                        for _ in range(count)
                    ]
                    for kind, pattern in kinds.items()
                },
                "created_at": [next(moments) for _ in range(count)],
            }
        )

    web = visits(25)
    values = {(kind, pattern.format(i)) for kind, pattern in kinds.items() for i in range(31)}
    plain_of = {(kind, digest(kind, value)): (kind, value) for kind, value in values}
    arguments: dict[str, Any] = {"identifiers": list(kinds), "guards": False, "assignments": True}
    known: pa.Table | None = None
    for _ in range(4):
        with (
            run({"web": web}, Config(**arguments)) as plain,
            protected({"web": web}, Config(**arguments, pii=actions), previous=known) as hashed,
        ):
            pairs = zip(owners(plain), owners(hashed), strict=True)
            id_of = dict(pairs)
            assert id_of.items() == set(zip(owners(plain), owners(hashed), strict=True))
            assert len(set(id_of.values())) == len(id_of)
            today = {
                (row["identifier_type"], row["identifier_value"]): row["customer_id"]
                for row in rows(plain.identities)
            }
            check_kept(known, plain_of, today, id_of)
            first, known = published(hashed), hashed.identities.to_arrow()
        with protected({"web": web}, Config(**arguments, pii=actions), previous=known) as again:
            assert published(again) == first
            assert not rows(again.events)
        web = pd.concat([web.sample(frac=0.7, random_state=seed), visits(6)])


def owners(result: Unified) -> list[str | None]:
    """The customer of each row of the only source."""
    table = result.assignments.to_arrow() if result.assignments else pa.table({})
    return [row["customer_id"] for row in sorted(table.to_pylist(), key=lambda row: int(row["source_key"]))]


def check_kept(
    known: pa.Table | None,
    plain_of: dict[tuple[str, str], tuple[str, str]],
    today: dict[tuple[str, str], str],
    id_of: dict[str | None, str | None],
) -> None:
    """Whoever has all that is left of one earlier customer, and nothing of another, has that one's id."""
    past: dict[str, set[str]] = defaultdict(set)
    claims: dict[str, set[str]] = defaultdict(set)
    for row in known.to_pylist() if known else []:
        identifier = plain_of.get((row["identifier_type"], row["identifier_value"]))
        if identifier in today:
            past[row["customer_id"]].add(today[identifier])
            claims[today[identifier]].add(row["customer_id"])
    for past_id, found in past.items():
        if len(found) == 1 and claims[min(found)] == {past_id}:
            assert id_of[min(found)] == past_id


# --- With other features ---------------------------------------------------------------------------------


def test_people_are_forgotten_by_plain_values() -> None:
    """The list names them as the sources do, also who is known by a digest only."""
    with protected({"crm": CRM}) as result:
        known = result.identities.to_arrow()
    people = pd.DataFrame({"identifier_type": ["email"], "identifier_value": ["ana@x.example"]})
    for crm in (CRM, CRM.assign(email=[None, *CRM["email"][1:]])):
        with protected({"crm": crm}, previous=known, forget=people) as result:
            assert next(row["customer_id"] for row in rows(result.profiles)) == "c2"
            assert "c1" in {row["customer_id"] for row in rows(result.forgotten)}
            told = {(row["identifier_type"], row["identifier"]) for row in rows(result.forgotten_identifiers)}
            assert {("customer_id", "c1"), ("email", digest("email", "ana@x.example"))} <= told
            assert not [held for held in told if "@" in held[1] or "+" in held[1]]


def test_explanations_show_digests() -> None:
    """Masked: two of them are told apart."""
    with protected({"crm": CRM}) as result:
        text = result.explain("c1").as_text()
        short = digest("email", "ana@x.example")
        assert f"email {short[:2]}***{short[-2:]}" in text
        assert not [value for value in PLAIN if value in text]
        assert short in result.explain("c1").as_text(show_values=True)


def test_the_preview_masks_what_is_left() -> None:
    """Digests and masks once more; a dropped column is not shown."""
    with protected({"crm": CRM}) as result:
        header, _, *lines = result.summary["preview"].splitlines()
        assert "member_id" not in header
        assert "email" in header
        assert len(lines) == 3


@pytest.mark.parametrize("number", [0, 1, 2, 99])
def test_as_many_preview_rows_as_wanted(number: int) -> None:
    """None at all shows not even the columns."""
    with run({"crm": CRM}, Config(preview_rows=number)) as result:
        lines = result.summary["preview"].splitlines()
        assert len(lines) == (min(number, 3) + 2 if number else 0)


def test_without_preview_no_message_shows_even_a_mask() -> None:
    """Neither an error nor a warning."""
    quiet = Config(preview_rows=0)
    columns = ["identifier_type", "identifier_value", "other_identifier_type", "other_identifier_value"]
    pair = pd.DataFrame([("email", "ana@x.example", "email", "bob@x.example")], columns=columns)
    for config, shown in ((quiet, "email ***"), (Config(), "email a***@x.example")):
        with pytest.raises(ConfigError) as raised:
            run({"crm": CRM}, config, must_link=pair, must_not_link=pair)
        assert shown in str(raised.value)
        with pytest.raises(ConfigError) as raised:
            run({"crm": CRM}, config, must_link=pair.assign(identifier_type="ana@x.example"))
        assert shown.partition(" ")[2] in str(raised.value)
    desk = pd.DataFrame({"customer_id": ["c1", "c2", "c3"], "phone": "+14155550101"})
    people = pd.DataFrame({"identifier_type": ["phone"], "identifier_value": ["+14155550101"]})
    with run({"desk": desk}, quiet, forget=people) as result:
        [said] = [text for text in result.summary["warnings"] if "to forget" in text]
        assert "(phone ***)" in said


# --- What is wrong ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pii", "message"),
    {
        "no mapping": (["email"], "pii is not a mapping"),
        "no name": ({" ": "hash"}, "pii is not a mapping"),
        "unknown action": ({"email": "encrypt"}, "allowed: hash, mask, drop"),
        "twice": ({"email": "hash", "E-Mail": "mask"}, "twice in different spellings"),
        "the key": ({"customer_id": "hash"}, "give their column another identifier type and hash that"),
        "our own column": ({"last_seen": "drop"}, "no value of a source"),
    }.values(),
)
def test_wrong_shapes(pii: Any, message: str) -> None:
    """Are an error before anything is read."""
    with pytest.raises(ConfigError, match=message):
        Config(pii=pii)


@pytest.mark.parametrize(
    ("pii", "message"),
    {
        "unknown": ({"emial": "hash"}, "a column that no source has: 'emial'. Did you mean 'email'"),
        "metric": ({"amount": "hash"}, "'amount', which is a metric"),
        "derived": ({"double": "mask"}, "'double', which is derived"),
        "event time": ({"created_at": "drop"}, "'created_at', which is the time of the record"),
        "a column of a type": ({"mail_2": "hash"}, "identify customers as 'email'; name that type"),
        "hostile": ({HOSTILE: "hash"}, "a column that no source has"),
    }.values(),
)
def test_what_cannot_be_protected(pii: Any, message: str) -> None:
    """Nothing is published because of a name that fits no column."""
    crm = CRM.assign(created_at=pd.Timestamp("2026-01-01"), mail_2=CRM["email"])
    config = Config(
        pii=pii,
        identifiers={"customer_id": "customer_id", "email": ["email", "mail_2"]},
        derived={"double": "2 * amount"},
    )
    with pytest.raises(ConfigError, match=message):
        protected({"crm": crm}, config)


def test_a_type_of_earlier_runs_may_be_named() -> None:
    """The source of phones is empty tonight: what is remembered of it stays protected."""
    with protected({"crm": CRM}) as result:
        known = result.identities.to_arrow()
    with protected({"crm": CRM.drop(columns="phone")}, previous=known) as result:
        assert not [value for value in PLAIN if value in everything(result)]
        assert digest("phone", "+14155550101") in {row["identifier_value"] for row in rows(result.identities)}


@pytest.mark.parametrize("pii", [{"full_name": "hash"}, {"email": "drop"}, {"phone": "mask"}])
def test_a_salt_is_needed(pii: dict[str, str]) -> None:
    """To hash, and for identifiers, of which the identities hold digests."""
    with pytest.raises(ConfigError, match="give pii_salt, a secret that stays the same"):
        run({"crm": CRM}, Config(pii=pii))
    with run({"crm": CRM}, Config(pii={"full_name": "drop", "born": "mask"})) as result:
        assert "Souza" not in everything(result)


@pytest.mark.parametrize("salt", ["", "too short", 1234567890123456, b"x" * 32])
def test_a_salt_is_a_secret(salt: Any) -> None:
    """That nobody guesses, and that no message tells."""
    with pytest.raises(ConfigError, match="so that it could be guessed") as raised:
        run({"crm": CRM}, Config(pii={"email": "hash"}), pii_salt=salt)
    assert not salt or str(salt) not in str(raised.value)


def test_a_salt_alone_salts_ids() -> None:
    """Without it, who has a list of addresses recognises them in ids."""
    emails = CRM[["email"]]
    with run({"crm": emails}) as unsalted, run({"crm": emails}, pii_salt=SALT) as salted:
        assert not {row["customer_id"] for row in rows(unsalted.profiles)} & {
            row["customer_id"] for row in rows(salted.profiles)
        }
        assert f"email:{digest('email', 'ana@x.example')[:32]}" in {
            row["customer_id"] for row in rows(salted.profiles)
        }


def test_messages_about_sql_do_not_tell_the_salt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever statement fails: the salt is in none of them."""
    from airflow_provider_customer360.unify.engine import Engine

    statements: list[str] = []
    execute = Engine._execute

    def recorded(self: Engine, sql: str, doing: str) -> Any:
        statements.append(sql)
        return execute(self, sql, doing)

    monkeypatch.setattr(Engine, "_execute", recorded)
    with unify({"crm": CRM}, Config(pii=PII), pii_salt=SALT, as_of=AS_OF) as result:
        assert rows(result.identities)
    assert len(statements) > 20
    assert not [sql for sql in statements if SALT in sql]
