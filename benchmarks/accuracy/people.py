"""The people of the generated customer base: names, households, addresses, phone numbers, devices.

All are arrays with one entry a person. A mailbox and a phone number are numbers into tables of their own, so
that who shares one, and who had it before, is known exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.accuracy.rates import Rates

NONE = -1


def _words(text: str) -> np.ndarray:
    return np.array(text.split(), dtype=object)


WOMEN = _words("""
    Ada Alice Amelia Ana Andrea Anna Barbara Beatrice Bella Carla Caroline Catherine Charlotte Chloe Clara
    Deborah Diana Edith Elena Elizabeth Emily Emma Eva Fatima Grace Hannah Helen Ines Iris Isabel Jane Jasmine
    Jennifer Jessica Julia Karen Kate Kira Laura Leila Lena Linda Lucy Margaret Maria Martha Mary Maya Mia
    Nancy Noor Nora Noreen Olivia Patricia Paula Priya Rachel Rebecca Rosa Ruth Sarah Sofia Susan Tara Teresa
    Ursula Vera Victoria Yasmin Zoe
""")
MEN = _words("""
    Adam Ahmed Albert Alexander Andrew Anthony Arthur Ben Benjamin Boris Carl Charles Christopher Daniel David
    Dennis Edward Eric Felix Finn Francis Frank George Gerald Harold Henry Hugo Ian Ivan Jack Jacob James Jan
    Jason John Joseph Karim Kevin Lars Leo Liam Louis Luca Marco Mark Martin Matthew Michael Nathan Nicholas
    Noah Nolan Omar Oscar Patrick Paul Peter Philip Quinn Richard Robert Samuel Sean Simon Stephen Thomas
    Timothy Victor Walter William
""")
_SHORT = """
    Elizabeth=Liz Catherine=Cathy Deborah=Debbie Jennifer=Jenny Jessica=Jess Margaret=Maggie Patricia=Pat
    Rebecca=Becky Susan=Sue Teresa=Terry Victoria=Vicky Alexander=Alex Andrew=Andy Anthony=Tony Benjamin=Ben
    Charles=Charlie Christopher=Chris Daniel=Dan David=Dave Edward=Ed James=Jim Joseph=Joe Matthew=Matt
    Michael=Mike Nicholas=Nick Richard=Rick Robert=Bob Samuel=Sam Stephen=Steve Thomas=Tom Timothy=Tim
    William=Bill
"""
SHORT: dict[str, str] = dict(pair.split("=") for pair in _SHORT.split())
#: Surnames that look like no value at all. They are rare, and they are real.
MISLEADING = _words("Null None Test Nobody Guest Blank Void Na")
_BEGINNINGS = _words(
    "Ba Ber Bran Cal Car Co Dal Den Fal Fer Gar Gold Har Hol Ja Kel Lan Mar Nor Ol Per Ros Sal"
)
_MIDDLES = _words("be ce der di ga ger ke la le li man mi na ne ni ra ri ro sa ta te ti va vi")
_ENDINGS = _words("berg field ford ley man mann mer ner no rez sen ski son ton wood")
LAST = np.concatenate(
    [
        _words("Smith Johnson Williams Brown Jones Garcia Miller Davis Martinez Lopez Khan Nguyen Lee Kim"),
        np.array([a + b + c for a in _BEGINNINGS for b in _MIDDLES for c in _ENDINGS], dtype=object),
    ]
)
CITIES = _words("Akron Boise Chicago Denver Eugene Fresno Houston Irvine Juneau Lansing Memphis Newark Omaha")
DOMAINS = _words("gmail.com yahoo.com hotmail.com outlook.com icloud.com aol.com comcast.net proton.me")
_DOMAIN_SHARES = (0.50, 0.15, 0.10, 0.10, 0.07, 0.04, 0.02, 0.02)


@dataclass(frozen=True)
class People:
    """Who the customers are.

    Attributes:
        woman, first, last, city, household: of each person; ``last_before`` differs for who married, at
            the time ``married`` (0 to 1 over the years covered, 2: not).
        mailboxes: shape (people, 3), those used one after the other; `NONE` from ``own_mailboxes`` on.
        family_mailbox, role_mailbox, family_number, office_number, family_device: `NONE` or which.
        numbers: shape (people, 2); the second one, `NONE` where there is none, is used from the time
            ``switched`` on.
        address: the e-mail address of each mailbox.
        neighbour: the mailbox with the next address in the alphabet, whose address is given by mistake.
        digits: the ten digits of each phone number, as an integer.
    """

    woman: np.ndarray
    first: np.ndarray
    last: np.ndarray
    last_before: np.ndarray
    married: np.ndarray
    city: np.ndarray
    household: np.ndarray
    mailboxes: np.ndarray
    own_mailboxes: np.ndarray
    family_mailbox: np.ndarray
    role_mailbox: np.ndarray
    numbers: np.ndarray
    switched: np.ndarray
    family_number: np.ndarray
    office_number: np.ndarray
    family_device: np.ndarray
    address: np.ndarray
    neighbour: np.ndarray
    digits: np.ndarray

    def __len__(self) -> int:
        return len(self.first)


def people(size: int, rates: Rates, rng: np.random.Generator) -> People:
    """This many people."""
    household, member = _households(size, rates, rng)
    woman = rng.random(size) < 0.5
    first = np.where(woman, rng.choice(WOMEN, size), rng.choice(MEN, size))
    last = np.where(
        rng.random(size) < rates.same_last_name, _last_names(rng, size)[household], _last_names(rng, size)
    )
    weds = woman & (rng.random(size) < rates.married * 2)
    married = np.where(weds, rng.random(size), 2.0)
    last_before = np.where(weds, _last_names(rng, size), last)
    several = (np.bincount(household)[household] > 1) & (member < 4)
    family_mailbox = _of_household(household, several, rates.family_mailbox, rng)
    without_own = (family_mailbox != NONE) & (rng.random(size) < rates.family_mailbox_only)
    role_mailbox = _groups(rng.random(size) < rates.role_mailbox, 2, 6, rng)
    family_number = _of_household(household, several | (member == 4), rates.family_phone, rng)
    office_number = _groups(rng.random(size) < rates.office, 20, 300, rng)

    own, mailboxes, texts = _own_mailboxes(first, last_before, last, weds, without_own, rates, rng)
    families = [f"{name.lower()}.family" for name in last[_first_of(family_mailbox)]]
    roles = rng.choice(["info", "office", "sales", "contact"], _count(role_mailbox)).tolist()
    companies = [f"{word}@company{number}.example" for number, word in enumerate(roles)]
    address = np.concatenate([_unique(texts + families, rng), np.array(companies, dtype=object)])
    numbers, switched, own_numbers = _own_numbers(size, rates, rng)
    total = own_numbers + _count(family_number) + _count(office_number)
    return People(
        woman=woman,
        first=first,
        last=last,
        last_before=last_before,
        married=married,
        city=rng.choice(CITIES, size)[household],
        household=household,
        mailboxes=mailboxes,
        own_mailboxes=own,
        family_mailbox=_moved(family_mailbox, len(texts)),
        role_mailbox=_moved(role_mailbox, len(texts) + len(families)),
        numbers=numbers,
        switched=switched,
        family_number=_moved(family_number, own_numbers),
        office_number=_moved(office_number, own_numbers + _count(family_number)),
        family_device=_of_household(household, several, rates.family_device, rng),
        address=address,
        neighbour=_neighbours(address),
        # Spread over the ten-digit numbers, all different: the step and the modulus have no common factor.
        digits=2_020_000_000 + np.arange(total, dtype=np.int64) * 49_999 % 7_900_000_003,
    )


def _households(size: int, rates: Rates, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The household of each person, and which of its members the person is."""
    sizes = rng.choice(np.arange(1, len(rates.family_of) + 1), size, p=rates.family_of)
    household = np.repeat(np.arange(size), sizes)[:size]
    begins = np.cumsum(sizes) - sizes
    return household, np.arange(size) - begins[household]


def _last_names(rng: np.random.Generator, size: int) -> np.ndarray:
    """Last names, some of them much more frequent than others; one in two thousand looks like no name."""
    frequency = 1 / (np.arange(len(LAST)) + 20.0)
    names = rng.choice(LAST, size, p=frequency / frequency.sum())
    return np.where(rng.random(size) < 0.0005, rng.choice(MISLEADING, size), names)


def _of_household(
    household: np.ndarray, may: np.ndarray, share: float, rng: np.random.Generator
) -> np.ndarray:
    """The number of the thing that a household's members share; a share of the households has one."""
    has = (rng.random(int(household.max(initial=0)) + 1) < share)[household] & may
    shared = np.full(len(household), NONE)
    shared[has] = np.unique(household[has], return_inverse=True)[1]
    return shared


def _groups(who: np.ndarray, fewest: int, most: int, rng: np.random.Generator) -> np.ndarray:
    """Strangers put into groups of changing size."""
    members = rng.permutation(np.flatnonzero(who))
    sizes = rng.integers(fewest, most + 1, len(members) // fewest + 1)
    groups = np.full(len(who), NONE)
    groups[members] = np.repeat(np.arange(len(sizes)), sizes)[: len(members)]
    return groups


def _own_mailboxes(
    first: np.ndarray,
    last_before: np.ndarray,
    last: np.ndarray,
    weds: np.ndarray,
    without: np.ndarray,
    rates: Rates,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """How many each person has, which, and the part before the @ of each."""
    chance, (two, three) = rng.random(len(first)), rates.more_mailboxes
    own = 1 + (chance < two + three).astype(int) + (chance < three)
    own = np.where(weds, np.maximum(own, 2), np.where(without, 0, own))
    person = np.repeat(np.arange(len(first)), own)
    which = np.arange(len(person)) - np.repeat(np.cumsum(own) - own, own)
    mailboxes = np.full((len(first), 3), NONE)
    mailboxes[person, which] = np.arange(len(person))
    style = rng.integers(0, 5, len(person))
    number = rng.integers(1, 100, len(person))
    texts = []
    for who, k, form, digits in zip(
        person.tolist(), which.tolist(), style.tolist(), number.tolist(), strict=True
    ):
        a, b = first[who].lower(), (last[who] if k else last_before[who]).lower()
        texts.append((f"{a}.{b}", f"{a}{b}", f"{a[0]}{b}{digits}", f"{a}{digits}", f"{b}.{a}{digits}")[form])
    return own, mailboxes, texts


def _unique(texts: list[str], rng: np.random.Generator) -> np.ndarray:
    """Addresses at the usual providers; who comes too late gets a number."""
    domains = rng.choice(DOMAINS, len(texts), p=_DOMAIN_SHARES)
    plain = pd.Series(np.array(texts, dtype=object)) + "@" + pd.Series(domains)
    again = plain.groupby(plain).cumcount().to_numpy()
    taken = set(plain)
    found = []
    for text, domain, count in zip(texts, domains.tolist(), again.tolist(), strict=True):
        candidate, number = f"{text}@{domain}", count
        while number and (candidate := f"{text}_{number}@{domain}") in taken:
            number += 1
        taken.add(candidate)
        found.append(candidate)
    return np.array(found, dtype=object)


def _neighbours(address: np.ndarray) -> np.ndarray:
    order = np.argsort(address.astype(str), kind="stable")
    neighbour = np.empty_like(order)
    neighbour[order] = np.roll(order, 1)
    return neighbour


def _own_numbers(size: int, rates: Rates, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, int]:
    """Phone numbers of each person, when the second one followed, and how many numbers there are."""
    numbers, switched = np.full((size, 2), NONE), rng.random(size)
    numbers[:, 0] = np.arange(size)
    more = rng.permutation(np.flatnonzero(rng.random(size) < rates.more_numbers))
    numbers[more, 1] = size + np.arange(len(more))
    # Who has a second number gave the first one back; soon another customer has it.
    others = rng.permutation(np.setdiff1d(np.arange(size), more))
    recycled = min(len(more), len(others), int(size * rates.recycled_number))
    before, after = more[:recycled], others[:recycled]
    numbers[after, 1] = numbers[before, 0]
    switched[before] /= 2
    switched[after] = switched[before] + 0.05
    return numbers, switched, size + len(more)


def _first_of(groups: np.ndarray) -> np.ndarray:
    """The first member of each group."""
    members = np.flatnonzero(groups != NONE)
    return members[np.unique(groups[members], return_index=True)[1]]


def _count(groups: np.ndarray) -> int:
    return int(groups.max(initial=NONE)) + 1


def _moved(groups: np.ndarray, begin: int) -> np.ndarray:
    return np.where(groups == NONE, NONE, groups + begin)
