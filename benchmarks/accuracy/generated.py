"""A customer base of about any number of rows, seeded, whose true people are known: six sources.

==========  ==============================================================================================
source      what it knows
==========  ==============================================================================================
crm         ``customer_id`` (1, 2, 3, ... in order of registration), name, e-mail, phone, city
orders      the CRM's ``customer_id`` as text, or none (guests), full name, e-mail, phone, amount
store       receipts of the shops: e-mail and phone as a clerk types them, last name, amount
support     ``customer_id`` that the help desk counts for itself, also from 1; name, e-mail or phone
newsletter  e-mail, first name
web         ``anonymous_id`` of a cookie, ``user_id`` of who is logged in, e-mail that was typed
==========  ==============================================================================================

What makes it hard, and how often, is in `benchmarks.accuracy.rates`: two numberings under one column name,
shared and family mailboxes, family and office phones, a call centre's number, kiosks, junk that no list
has, recycled numbers, marriage, slips of the pen, people registered twice, test accounts of the staff, and
people who are called Null. The truth is kept apart from the sources. A row of a test account belongs to the
member of staff who made it.

    python -m benchmarks.accuracy.generated --rows 1_000_000     # make it and print the folder
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.accuracy import spelling
from benchmarks.accuracy.given import Given
from benchmarks.accuracy.labelled import Labelled, cached
from benchmarks.accuracy.people import NONE, People, people
from benchmarks.accuracy.rates import Rates

#: Part of the folder's name: another number when the same size, seed and rates give other data.
VERSION = 1
SEED = 360
IDENTIFIERS = {
    "crm": {"customer_id": "customer_id", "email": "email", "phone": "phone"},
    "orders": {"customer_id": "customer_id", "email": "email", "phone": "phone"},
    "store": {"email": "email", "phone": "phone"},
    "support": {"customer_id": "customer_id", "email": "email", "phone": "phone"},
    "newsletter": {"email": "email"},
    "web": {"user_id": "user_id", "email": "email", "anonymous_id": "anonymous_id"},
}
#: Identifier type to the sources that count for themselves.
NUMBERED_APART = {"customer_id": ["support"]}
_BEGIN, _YEARS = 1_640_995_200_000_000, 3 * 365 * 86_400_000_000  # 2022 to 2024, in microseconds
_CALL_CENTRE = ("8005550111", "8005550122", "8005550133")


def generated(rows: int, cache: Path | None = None, rates: Rates | None = None, seed: int = SEED) -> Labelled:
    """About this many rows, from files in ``cache`` where they have been made before."""
    rates = rates or Rates()
    known = hashlib.sha256(repr(rates).encode()).hexdigest()[:8]
    name = f"generated-v{VERSION}-seed{seed}-rows{rows}-rates{known}"
    return cached(name, lambda: generate(rows, rates, seed), cache)


def generate(rows: int, rates: Rates, seed: int = SEED) -> Labelled:
    """Make it. A person has `Rates` many rows of each source on average."""
    each = rates.in_crm * (1 + rates.registered_twice)
    each += rates.orders + rates.store + rates.support + rates.newsletter + rates.visits
    size = max(round(rows / each), 1)
    base = _Base(people(size, rates, np.random.default_rng([seed, 0])), rates, seed)
    made = {name: getattr(base, name)() for name in IDENTIFIERS}
    return Labelled(
        name="generated",
        about=f"{size:,} people, six sources",
        sources={name: table for name, (table, _) in made.items()},
        identifiers=IDENTIFIERS,
        truth=np.concatenate([person for _, person in made.values()]),
        numbered_apart=NUMBERED_APART,
    )


class _Base:
    """Makes each source from the people, each from random numbers of its own: none disturbs another."""

    def __init__(self, who: People, rates: Rates, seed: int) -> None:
        self.who, self.rates, self.seed = who, rates, seed
        self._seed_again(1)
        self._open_accounts()

    def _open_accounts(self) -> None:
        """CRM accounts: ``owner``, ``opened`` and, as position, the number; ``accounts`` of each person."""
        size, rates, rng = len(self.who), self.rates, self.rng
        first = np.flatnonzero(rng.random(size) < rates.in_crm)
        second = first[rng.random(len(first)) < rates.registered_twice]
        tests = max(round(rates.test_accounts * size / 1e6), 1) if rates.test_accounts else 0
        self.staff = rng.integers(0, size, (tests, rates.staff_of_an_account))
        owner = np.concatenate([first, second, self.staff[:, 0]])
        opened = rng.random(len(owner))
        order = np.argsort(opened, kind="stable")
        self.owner, self.opened = owner[order], opened[order]
        number = np.empty_like(order)
        number[order] = np.arange(len(order))
        self.accounts = np.full((size, 2), NONE)
        self.accounts[first, 0] = number[: len(first)]
        self.accounts[second, 1] = number[len(first) : len(first) + len(second)]
        self.test_account = number[len(first) + len(second) :]

    # --- sources ----------------------------------------------------------------------------------------

    def crm(self) -> tuple[pa.Table, np.ndarray]:
        self._seed_again(2)
        person, when = self.owner, self.opened
        test = np.isin(np.arange(len(person)), self.test_account)
        first, last = self.given.names(person, when)
        columns = {
            "customer_id": np.arange(len(person)) + 1,
            "first_name": np.where(test, "QA", first),
            "last_name": np.where(test, "Account", last),
            "email": np.where(test, self._test_email(np.arange(len(person))), self.given.email(person, when)),
            "phone": self.given.phone(person, when),
            "city": self.who.city[person],
        }
        return self._table(columns, "created_at", when), person

    def orders(self) -> tuple[pa.Table, np.ndarray]:
        person, when, test = self._occasions(3, self.rates.orders, self.rates.test_use)
        account = self._account(person)
        guest = (account == NONE) | (self.rng.random(len(person)) < self.rates.guest_order)
        account = np.where(test != NONE, test, account)
        number = spelling.spelled_id(account + 1, self.rng)
        email = np.where(test != NONE, self._test_email(test), self.given.email(person, when))
        columns = {
            "order_id": np.arange(len(person)) + 5_000_000,
            "customer_id": spelling.known(self.given.spoilt("id", number), ~guest | (test != NONE)),
            "full_name": self.given.full_name(person, when),
            "email": spelling.known(email, guest | (self.rng.random(len(person)) < 0.5)),
            "phone": spelling.known(self.given.phone(person, when), self.rng.random(len(person)) < 0.4),
            "amount": np.round(self.rng.gamma(2.0, 40.0, len(person)) + 1, 2),
        }
        return self._table(columns, "ordered_at", when), person

    def store(self) -> tuple[pa.Table, np.ndarray]:
        person, when, _ = self._occasions(4, self.rates.store)
        email, phone = self.given.email(person, when), self.given.phone(person, when)
        _, last = self.given.names(person, when)
        columns = {
            "receipt_id": np.arange(len(person)) + 800_000,
            "last_name": last,
            "email": spelling.replaced(email, self.rates.clerk_junk_email, spelling.CLERK_EMAILS, self.rng),
            "phone": spelling.known(
                spelling.replaced(phone, self.rates.clerk_junk_phone, spelling.CLERK_PHONES, self.rng),
                self.rng.random(len(person)) < 0.6,
            ),
            "amount": np.round(self.rng.gamma(2.0, 20.0, len(person)) + 1, 2),
        }
        return self._table(columns, "paid_at", when), person

    def support(self) -> tuple[pa.Table, np.ndarray]:
        person, when, _ = self._occasions(5, self.rates.support)
        # Counted in order of the first ticket; some people come back as a new contact.
        contact = person * 2 + (self.rng.random(len(person)) < 0.08)
        _, first, which = np.unique(contact, return_index=True, return_inverse=True)
        number = np.empty(len(first), dtype=np.int64)
        number[np.argsort(first)] = np.arange(len(first)) + 1
        kind = self.rng.random(len(person))  # 45 % by e-mail, 35 % by phone, 20 % know both
        phone = self.given.phone(person, when)
        phone = spelling.replaced(phone, self.rates.call_centre, _CALL_CENTRE, self.rng)
        columns = {
            "ticket_id": np.arange(len(person)) + 300_000,
            "customer_id": number[which.reshape(-1)],
            "name": self.given.full_name(person, when),
            "email": spelling.known(self.given.email(person, when), kind < 0.65),
            "phone": spelling.known(phone, kind >= 0.45),
            "priority": self.rng.choice(np.array(["low", "normal", "high"], dtype=object), len(person)),
        }
        return self._table(columns, "opened_at", when), person

    def newsletter(self) -> tuple[pa.Table, np.ndarray]:
        person, when, _ = self._occasions(6, self.rates.newsletter)
        first, _ = self.given.names(person, when)
        return self._table(
            {"email": self.given.email(person, when), "first_name": first}, "signed_up_at", when
        ), person

    def web(self) -> tuple[pa.Table, np.ndarray]:
        person, when, test = self._occasions(7, self.rates.visits, self.rates.test_use)
        account = np.where(test != NONE, test, self._account(person))
        user = np.array([f"u{number}" for number in (account + 100_001).tolist()], dtype=object)
        logged_in = (account != NONE) & (self.rng.random(len(person)) < self.rates.logged_in) | (test != NONE)
        columns = {
            "anonymous_id": self.given.spoilt("id", self.given.device(person, when)),
            "user_id": spelling.known(user, logged_in),
            "email": spelling.known(
                self.given.email(person, when), self.rng.random(len(person)) < self.rates.with_email
            ),
            "page": self.rng.choice(np.array(["/", "/shop", "/cart", "/help"], dtype=object), len(person)),
        }
        return self._table(columns, "event_time", when), person

    # --- values -----------------------------------------------------------------------------------------

    def _seed_again(self, stream: int) -> None:
        self.rng = np.random.default_rng([self.seed, stream])
        self.given = Given(self.who, self.rates, self.rng)

    def _occasions(
        self, stream: int, mean: float, test_use: int = 0
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Person, time (0 to 1) and test account of each record, in order of time."""
        self._seed_again(stream)
        size = len(self.who)
        person = np.repeat(np.arange(size), self.rng.geometric(1 / (1 + mean), size) - 1)
        staff = np.repeat(self.staff.reshape(-1), test_use)
        test = np.repeat(np.repeat(self.test_account, self.rates.staff_of_an_account), test_use)
        test = np.concatenate([np.full(len(person), NONE), test])
        person = np.concatenate([person, staff])
        when = self.rng.random(len(person))
        order = np.argsort(when, kind="stable")
        return person[order], when[order], test[order]

    def _account(self, person: np.ndarray) -> np.ndarray:
        second = (self.accounts[person, 1] != NONE) & (self.rng.random(len(person)) < 0.5)
        return np.where(second, self.accounts[person, 1], self.accounts[person, 0])

    def _test_email(self, account: np.ndarray) -> np.ndarray:
        return np.array([f"qa{number}@shop.example" for number in account.tolist()], dtype=object)

    def _table(self, columns: dict[str, np.ndarray], time: str, when: np.ndarray) -> pa.Table:
        moments = pa.array((_BEGIN + when * _YEARS).astype(np.int64)).cast(pa.timestamp("us"))
        return pa.table(columns | {time: moments})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make the generated customer base.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--data", type=Path, help="folder for the data (default: the system's temporary one)")
    given = parser.parse_args()
    data = generated(given.rows, given.data)
    print(f"{len(data):,} rows, {data.about}: {data.folder}")
