"""Thirty days of a small shop: what its systems hold every evening, from a seed and a script."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pendulum

DAYS = 30
_START = pendulum.datetime(2026, 3, 1)
_FIRST_NAMES = ("Ana", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gwen", "Hugo", "Ida", "Jon", "Kim", "Leo", "Mia")
_LAST_NAMES = ("Adler", "Beck", "Conti", "Diaz", "Ek", "Frei", "Gallo", "Hahn", "Ivanov", "Jung", "Koch")
#: Those of the script who are there from the first day.
_CAST = ("vera", "dora", "dora_again", "tom", "uma", "office_1", "office_2", "father", "son", "here", "there")
LEAVERS = ("leaver", "leaver_by_phone", "leaver_moves")

#: Source to its columns; the first one is the key of a row.
TABLES = {
    "crm": "customer_id text, email text, phone text, full_name text, city text, updated_at timestamptz",
    "orders": "order_no text, customer_id text, email text, amount numeric(12,2), ordered_at timestamptz",
    "support": "ticket_no text, email text, phone text, minutes integer, opened_at timestamptz",
    "web": "visit_no text, anonymous_id text, email text, pages integer, seen_at timestamptz",
}
#: Identifier type to the columns that hold it.
IDENTIFIERS = ("customer_id", "email", "phone", "anonymous_id")
Row = dict[str, Any]
#: Source to its rows by key.
Sources = dict[str, dict[str, Row]]


def columns(source: str) -> list[str]:
    """The names of a source's columns."""
    return [column.split()[0] for column in TABLES[source].split(", ")]


def evening(day: int) -> Any:
    """The end of a day's data interval."""
    return _START.add(days=day)


@dataclass(frozen=True)
class Person:
    """Somebody as they are known now."""

    number: int
    name: str
    email: str
    phone: str

    @property
    def customer_id(self) -> str:
        return f"K{self.number}"

    @property
    def device(self) -> str:
        return f"device-{self.number:05d}-web"


class Shop:
    """The shop's systems; `live` a day, then look at `sources` and the rules.

    Attributes:
        sources: what the four systems hold.
        must_link, must_not_link: pairs of customer numbers.
        cast: the people of the script, whom chance leaves alone.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._people: list[Person] = []
        self._numbers = 0
        self._rows = 0
        self._day = 0
        self._away: list[tuple[str, str, Row]] = []
        self.sources: Sources = {name: {} for name in TABLES}
        self.must_link: list[tuple[str, str]] = []
        self.must_not_link: list[tuple[str, str]] = []
        self.cast: dict[str, Person] = {}

    def live(self, day: int) -> None:
        """Let a day pass; on day 16 nothing at all happens."""
        self._day = day
        if day != 16:
            self._chance()
        self._script()

    @contextmanager
    def incomplete(self, day: int) -> Iterator[bool]:
        """What an export lacks in some nights; whether it lacks anything."""
        held = {name: dict(rows) for name, rows in self.sources.items()}
        if day in (14, 23):
            self.sources["support" if day == 14 else "web"] = {}
        if day == 17:
            keys = sorted(held["orders"])
            lost = set(self._random.sample(keys, len(keys) * 2 // 5))
            self.sources["orders"] = {key: row for key, row in held["orders"].items() if key not in lost}
        yield self.sources != held
        self.sources = held

    def _chance(self) -> None:
        """What happens in any shop."""
        for _ in range(150 if self._day == 1 else 4):
            self._people.append(person := self._person())
            if self._random.random() < 0.85:  # others only buy
                self.enrol(person)
        for _ in range(25):
            person = self._random.choice(self._people)
            late = timedelta(days=self._random.choice([0] * 10 + [3, 12]))
            way = self._random.choice(["email", "EMAIL", "customer_id", "both"])
            known = person.customer_id in self.sources["crm"]
            email = None if way == "customer_id" and known else person.email
            self.order(
                customer_id=person.customer_id if known and way in ("customer_id", "both") else None,
                email=email.upper() if email and way == "EMAIL" else email,
                late=late,
            )
        for _ in range(5):
            person = self._random.choice(self._people)
            by_phone = self._random.random() < 0.5
            self.ticket(
                email=None if by_phone else person.email,
                phone=person.phone.replace(" ", "-") if by_phone else None,
            )
        for _ in range(20):
            person = self._random.choice(self._people)
            self.visit(person.device, person.email if self._random.random() < 0.3 else None)
        self.order(email="n/a")
        self.order(email=None)
        for change in ("email", "email", "phone"):
            self._change(change)

    def _change(self, what: str) -> None:
        """Somebody in the CRM gets another address; the old one is overwritten there."""
        known = [i for i, one in enumerate(self._people) if one.customer_id in self.sources["crm"]]
        place = self._random.choice(known)
        fresh = self._person()
        person = replace(self._people[place], **{what: getattr(fresh, what)})
        self._people[place] = person
        self.enrol(person)

    def _script(self) -> None:
        """What happens to the cast."""
        cast, day = self.cast, self._day
        if day == 1:
            for name in (*_CAST, *LEAVERS):
                self._enter(name)
                self.order(customer_id=cast[name].customer_id)
            self.ticket(email=None, phone=cast["leaver_by_phone"].phone)
            cast["son"] = replace(cast["son"], phone=cast["father"].phone)
            self.enrol(cast["son"])
            for name in ("office_1", "office_2"):
                self.enrol(cast[name], email="office@firm.example")
        elif day == 3:
            self.visit("device-of-a-stranger", None)
        elif day == 5:
            self._typo = self.order(customer_id=cast["tom"].customer_id, email=cast["uma"].email)
        elif day == 7:
            self.visit("device-of-a-stranger", cast["vera"].email)
        elif day == 9:
            self.enrol(cast["dora_again"], email=cast["dora"].email)
        elif day == 10:
            for name in LEAVERS:
                self._delete(cast[name])
        elif day == 11:
            self.sources["orders"][self._typo]["email"] = cast["tom"].email
        elif day == 12:
            for name in ("office_3", "office_4", "office_5"):
                self._enter(name, email="office@firm.example")
            self.order(email="office@firm.example")
        elif day == 15:
            self.must_not_link.append((cast["father"].customer_id, cast["son"].customer_id))
        elif day == 18:
            self.must_link.append((cast["here"].customer_id, cast["there"].customer_id))
        elif day == 20:
            for source, key, row in self._away:
                if row.get("customer_id") != cast["leaver_by_phone"].customer_id:
                    self.sources[source][key] = row
            self.enrol(cast["leaver_moves"], email="moved@mail.example")
        elif day == 26:
            # Whom the typing error left with a number behind the id is glued again.
            self.order(customer_id=cast["tom"].customer_id, email=cast["uma"].email)

    def enrol(self, person: Person, **stated: str) -> None:
        """Write a person into the CRM, over what stood there."""
        row = {
            "customer_id": person.customer_id,
            "email": person.email,
            "phone": person.phone,
            "full_name": person.name,
            "city": self._random.choice(["Bern", "Graz", "Lyon", "Turin"]),
            "updated_at": self._moment(),
        }
        self.sources["crm"][person.customer_id] = row | stated

    def order(
        self,
        *,
        customer_id: str | None = None,
        email: str | None = None,
        late: timedelta = timedelta(0),
    ) -> str:
        """Somebody buys; the record may come days after that."""
        return self._add(
            "orders",
            customer_id=customer_id,
            email=email,
            amount=Decimal(self._random.randrange(100, 30_000)) / 100,
            ordered_at=self._moment() - late,
        )

    def ticket(self, *, email: str | None, phone: str | None) -> None:
        """Somebody asks."""
        minutes = self._random.randrange(1, 90)
        self._add("support", email=email, phone=phone, minutes=minutes, opened_at=self._moment())

    def visit(self, device: str, email: str | None) -> None:
        """Somebody looks at pages, logged in or not."""
        pages = self._random.randrange(1, 40)
        self._add("web", anonymous_id=device, email=email, pages=pages, seen_at=self._moment())

    def _enter(self, name: str, **stated: str) -> None:
        self.cast[name] = self._person()
        self.enrol(self.cast[name], **stated)

    def _person(self) -> Person:
        self._numbers += 1
        number = self._numbers
        first, last = (self._random.choice(names) for names in (_FIRST_NAMES, _LAST_NAMES))
        email = f"{first}.{last}{number}@mail.example".lower()
        return Person(number, f"{first} {last}", email, f"+49 30 9{number:06d}")

    def _delete(self, person: Person) -> None:
        """Remove every row that has anything of a person."""
        theirs = {person.customer_id, person.email, person.phone}
        for source, rows in self.sources.items():
            for key in [key for key, row in rows.items() if theirs & set(map(str, row.values()))]:
                self._away.append((source, key, rows.pop(key)))

    def _add(self, source: str, **values: Any) -> str:
        self._rows += 1
        key = f"{source[0]}{self._rows}"
        self.sources[source][key] = {columns(source)[0]: key, **values}
        return key

    def _moment(self) -> datetime:
        return evening(self._day) - timedelta(seconds=self._random.randrange(1, 86_400))


def identifiers(row: Row) -> list[tuple[str, str]]:
    """The identifiers on a row as the package is to compare them."""
    found = []
    for name in IDENTIFIERS:
        value = row.get(name)
        if value and value != "n/a":
            value = value.lower() if name == "email" else value
            value = value.replace(" ", "").replace("-", "") if name == "phone" else value
            found.append((name, value))
    return found
