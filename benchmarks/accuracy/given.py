"""What a person gives at a time: the name, address, number and device of that moment, as they get written."""

from __future__ import annotations

import numpy as np

from benchmarks.accuracy import spelling
from benchmarks.accuracy.people import NONE, SHORT, People
from benchmarks.accuracy.rates import Rates


class Given:
    """Values for arrays of people and times (0 to 1), drawn from one generator of random numbers."""

    def __init__(self, who: People, rates: Rates, rng: np.random.Generator) -> None:
        self.who, self.rates, self.rng = who, rates, rng

    def names(self, person: np.ndarray, when: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First and last name as they are written at that time, or neither."""
        who, rng = self.who, self.rng
        first = who.first[person]
        short = np.array([SHORT.get(name, name) for name in first.tolist()], dtype=object)
        first = np.where(rng.random(len(person)) < self.rates.nickname, short, first)
        last = np.where(when < who.married[person], who.last_before[person], who.last[person])
        typos = self.rates.name_typo / 2
        first, last = (spelling.mistyped(x, typos, rng, spelling.slip_of_the_pen) for x in (first, last))
        known = rng.random(len(person)) >= self.rates.missing_name
        first, last = (spelling.known(spelling.spelled_name(name, rng), known) for name in (first, last))
        return first, last

    def full_name(self, person: np.ndarray, when: np.ndarray) -> np.ndarray:
        """First and last name in one."""
        names = zip(*self.names(person, when), strict=True)
        return np.array([f"{first} {last}" if first else None for first, last in names], dtype=object)

    def email(self, person: np.ndarray, when: np.ndarray) -> np.ndarray:
        """The address that a person gives at that time, spelled as people spell it."""
        who, rates, rng = self.who, self.rates, self.rng
        own = who.own_mailboxes[person]
        by_time = np.where(who.married[person] <= 1, when >= who.married[person], (when * own).astype(int))
        earlier = (rng.random(len(person)) * (by_time + 1)).astype(int)
        which = np.where(rng.random(len(person)) < 0.1, earlier, by_time)
        mailbox = who.mailboxes[person, np.clip(which, 0, np.maximum(own - 1, 0))]
        chance = rng.random(len(person))
        family, role = who.family_mailbox[person], who.role_mailbox[person]
        mailbox = np.where(
            (family != NONE) & ((own == 0) | (chance < rates.family_mailbox_use)), family, mailbox
        )
        mailbox = np.where((role != NONE) & (chance > 1 - rates.role_mailbox_use), role, mailbox)
        mailbox = np.where(rng.random(len(person)) < rates.namesake_email, who.neighbour[mailbox], mailbox)
        typed = spelling.mistyped(who.address[mailbox], rates.email_typo, rng, spelling.email_slip)
        return self.spoilt("email", spelling.spelled_email(typed, rng))

    def phone(self, person: np.ndarray, when: np.ndarray) -> np.ndarray:
        """The number that a person gives at that time, spelled as people spell it."""
        who, rates, rng = self.who, self.rates, self.rng
        second = (who.numbers[person, 1] != NONE) & (when >= who.switched[person])
        number = np.where(second, who.numbers[person, 1], who.numbers[person, 0])
        chance = rng.random(len(person))
        family, office = who.family_number[person], who.office_number[person]
        number = np.where((family != NONE) & (chance < rates.family_phone_use), family, number)
        number = np.where((office != NONE) & (chance > 1 - rates.office_use), office, number)
        digits = who.digits[number].astype(str).astype(object)
        typed = spelling.mistyped(digits, rates.phone_typo, rng, spelling.phone_slip)
        return self.spoilt("phone", spelling.spelled_phone(typed, rates.national_phone, rng))

    def device(self, person: np.ndarray, when: np.ndarray) -> np.ndarray:
        """The anonymous id of each visit: a cookie of the person's, the family's or a kiosk's device."""
        who, rates, rng = self.who, self.rates, self.rng
        size = len(person)
        cookies = 1 + rng.poisson(rates.cookies, len(who))
        clears = rng.random(len(who)) < rates.clears_always
        device = person * 64 + (when * cookies[person]).astype(np.int64)
        device = np.where(clears[person], 10**12 + np.arange(size), device)
        family = who.family_device[person]
        shared = (family != NONE) & (rng.random(size) < rates.family_device_use)
        device = np.where(shared, 2 * 10**12 + family, device)
        kiosks = max(int(size * rates.kiosk / rates.visitors_of_a_kiosk), 1)
        at_kiosk = rng.random(size) < rates.kiosk
        device = np.where(at_kiosk, 3 * 10**12 + rng.integers(0, kiosks, size), device)
        return np.array(
            [f"a-{number * 2_654_435_761 % 2**64:016x}" for number in device.tolist()], dtype=object
        )

    def spoilt(self, kind: str, values: np.ndarray) -> np.ndarray:
        """Some values are placeholders, some missing."""
        instead = spelling.PLACEHOLDERS[kind]
        values = spelling.replaced(values, self.rates.placeholder, instead, self.rng)
        return spelling.known(values, self.rng.random(len(values)) >= self.rates.missing)
