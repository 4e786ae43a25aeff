"""Seeded customer data of any size, as Parquet: four sources that know the same people by different names.

``rows`` rows of ``rows / 10`` people, written in chunks, so that size is limited by the disk only:

=======  =============  =====================================================================================
source   rows a person  what it knows
=======  =============  =====================================================================================
crm      1              ``customer_id`` (integer), e-mail, phone, name, city, points
orders   2              ``customer_id`` as text *or* e-mail (sometimes both), amount, quantity, channel
support  1              e-mail or phone (sometimes both), each spelled as people spell them, minutes, priority
web      6              ``anonymous_id`` of one of up to two devices, ``user_id``, e-mail at log-in, duration
=======  =============  =====================================================================================

What real exports are like is in it: 2 to 10 % nulls, placeholders (``n/a``, ``test@test.com``), e-mails in
other cases and with spaces around, ids as ``123.0`` and with spaces around, phones in five spellings of 90 %
North American and 10 % other numbers. Rows of one person lie far apart. Everything follows from the seed:
each person's facts from a hash of their number, everything else from a generator per source and chunk.

Beside the sources lie, per row, the true person (``truth/``) and copies of the sources with the resolved
customer as an additional column (``resolved/``, see `benchmarks.resolved`).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

#: Part of the folder's name: another number when the same size and seed give other files.
VERSION = 2
SEED = 360
CHUNK = 500_000
ROWS_A_PERSON = {"crm": 1, "orders": 2, "support": 1, "web": 6}
#: Numeric columns that are summed, by source.
METRICS = {
    "crm": ["lifetime_points"],
    "orders": ["amount", "quantity"],
    "support": ["minutes_spent"],
    "web": ["duration_seconds"],
}
#: Text columns of which the latest value survives, by source.
ATTRIBUTES = {
    "crm": ["first_name", "last_name", "city"],
    "orders": ["channel"],
    "support": ["priority"],
    "web": ["page"],
}
IDENTIFIERS = {
    "crm": ["customer_id", "email", "phone"],
    "orders": ["customer_id", "email"],
    "support": ["email", "phone"],
    "web": ["user_id", "email", "anonymous_id"],
}
EVENT_TIMES = {"crm": "created_at", "orders": "ordered_at", "support": "created_at", "web": "event_time"}
AS_OF = datetime(2025, 1, 1, tzinfo=UTC)


def _words(text: str) -> list[str]:
    return text.split()


_YEAR_BEGINS = 1_704_067_200_000_000  # 2024, in microseconds
_YEAR = 366 * 86_400_000_000
_FIRST = _words(
    "Ada Ben Chloe Dev Eva Finn Grace Hugo Iris Jan Kira Liam Mia Noor Omar Pia Quinn Rosa Sam Tara"
)
_LAST = _words("Adams Brown Costa Diaz Evans Fischer Garcia Haas Ivanov Jones Khan Lopez Meyer Novak Okafor")
_CITIES = _words("Athens Berlin Chicago Denver Essen Florence Geneva Houston Izmir Jakarta Kyoto Lima")
_DOMAINS = _words("example.com example.org mail.example.net corp.example.co inbox.example.io")
_PAGES = [f"/{section}/{number}" for section in ("home", "shop", "help", "blog") for number in range(50)]
_NO_EMAIL = ["n/a", "test@test.com", ""]
_NO_PHONE = ["n/a", "unknown", "000-0000"]
_NO_ID = ["n/a", "", "null"]


@dataclass(frozen=True)
class Dataset:
    """Where the files of one size lie."""

    folder: Path

    def source(self, name: str) -> str:
        """A source's Parquet file."""
        return str(self.folder / f"{name}.parquet")

    @property
    def sources(self) -> dict[str, str]:
        """Every source's Parquet file."""
        return {name: self.source(name) for name in ROWS_A_PERSON}

    def truth(self, name: str) -> str:
        """The true person of each row of a source, in the order of its rows."""
        return str(self.folder / "truth" / f"{name}.parquet")

    def resolved(self, name: str) -> str:
        """A source with the resolved customer of each row as column ``customer``."""
        return str(self.folder / "resolved" / f"{name}.parquet")

    @property
    def facts(self) -> dict[str, Any]:
        """What every contender's result is checked against."""
        facts: dict[str, Any] = json.loads((self.folder / "facts.json").read_text())
        return facts


def dataset(rows: int, cache: Path | None = None) -> Dataset:
    """The data of this many rows (rounded down to whole people), made where it does not exist yet."""
    from benchmarks.resolved import write_resolved

    cache = cache or Path(tempfile.gettempdir()) / "customer360-benchmarks"
    made = Dataset(cache / f"v{VERSION}-seed{SEED}-rows{rows}")
    if not made.folder.exists():
        # Under a name of its own until it is complete: another run may be at it, or be interrupted.
        cache.mkdir(parents=True, exist_ok=True)
        draft = Dataset(Path(tempfile.mkdtemp(prefix=f"{made.folder.name}-", dir=cache)))
        for folder in ("truth", "resolved"):
            (draft.folder / folder).mkdir()
        for name in ROWS_A_PERSON:
            _write(draft, name, rows // 10)
        facts = write_resolved(draft) | {"people": rows // 10}
        (draft.folder / "facts.json").write_text(json.dumps(facts, indent=1))
        draft.folder.rename(made.folder)
    return made


def _write(made: Dataset, name: str, people: int) -> None:
    source = truth = None
    for columns, person in _chunks(name, people):
        table, true = pa.table(columns), pa.table({"person": person})
        source = source or pq.ParquetWriter(made.source(name), table.schema, compression="zstd")
        truth = truth or pq.ParquetWriter(made.truth(name), true.schema)
        source.write_table(table)
        truth.write_table(true)
    for writer in (source, truth):
        if writer:
            writer.close()


def _chunks(name: str, people: int) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    make = {"crm": _crm, "orders": _orders, "support": _support, "web": _web}[name]
    each = ROWS_A_PERSON[name]
    total = people * each
    step = _coprime(total)
    for number, begin in enumerate(range(0, total, CHUNK)):
        rng = np.random.default_rng([SEED, list(ROWS_A_PERSON).index(name), number])
        row = np.arange(begin, min(begin + CHUNK, total), dtype=np.uint64)
        # A permutation that needs no memory: neighbours in the file are strangers.
        shuffled = row * np.uint64(step) % np.uint64(total)
        person, occasion = shuffled // np.uint64(each), shuffled % np.uint64(each)
        yield make(rng, row, person, occasion), person.astype(np.int64)


def _coprime(total: int) -> int:
    step = int(total * 0.6180339887) | 1
    while np.gcd(step, total) != 1:
        step += 2
    return step


# --- the four sources -----------------------------------------------------------------------------------


def _crm(rng: np.random.Generator, row: np.ndarray, person: np.ndarray, _: np.ndarray) -> dict[str, Any]:
    size = len(row)
    return {
        "customer_id": pa.array(_customer_number(person)),
        "email": _spoilt(rng, _spelled_email(rng, _email(person)), 0.03, _NO_EMAIL, 0.02),
        "phone": _spoilt(rng, _spelled_phone(rng, person), 0.10, _NO_PHONE, 0.02),
        "first_name": _pick(_FIRST, person, 1),
        "last_name": _pick(_LAST, person, 2),
        "city": _spoilt(rng, _pick(_CITIES, person, 3), 0.05),
        "lifetime_points": pa.array(rng.integers(0, 10_000, size)),
        "created_at": _moments(rng, size),
    }


def _orders(rng: np.random.Generator, row: np.ndarray, person: np.ndarray, _: np.ndarray) -> dict[str, Any]:
    size = len(row)
    kind = rng.random(size)  # 60 % know the customer_id, 30 % the e-mail, 10 % both
    number = _text(_customer_number(person))
    spellings = [number, _joined(number, ".0"), _joined(" ", number, " ")]
    spelled = pc.choose(pa.array(rng.choice(3, size, p=[0.85, 0.10, 0.05])), *spellings)
    return {
        "order_id": pa.array(row.astype(np.int64)),
        "customer_id": _known(kind < 0.7, _spoilt(rng, spelled, 0.01, _NO_ID, 0.01)),
        "email": _known(
            kind >= 0.6, _spoilt(rng, _spelled_email(rng, _email(person)), 0.01, _NO_EMAIL, 0.01)
        ),
        "amount": pa.array(np.round(rng.gamma(2.0, 40.0, size) + 1, 2)),
        "quantity": pa.array(rng.integers(1, 9, size)),
        "channel": pa.array(["web", "store", "phone"]).take(pa.array(rng.integers(0, 3, size))),
        "ordered_at": _moments(rng, size),
    }


def _support(rng: np.random.Generator, row: np.ndarray, person: np.ndarray, _: np.ndarray) -> dict[str, Any]:
    size = len(row)
    kind = rng.random(size)  # 45 % know the e-mail, 45 % the phone, 10 % both
    email = _spoilt(rng, _spelled_email(rng, _email(person)), 0.01, _NO_EMAIL, 0.01)
    return {
        "ticket_id": pa.array(row.astype(np.int64)),
        "email": _known(kind < 0.55, email),
        "phone": _known(kind >= 0.45, _spoilt(rng, _spelled_phone(rng, person), 0.01, _NO_PHONE, 0.01)),
        "priority": pa.array(["low", "normal", "high"]).take(pa.array(rng.integers(0, 3, size))),
        "minutes_spent": pa.array(rng.integers(1, 240, size)),
        "created_at": _moments(rng, size),
    }


def _web(
    rng: np.random.Generator, row: np.ndarray, person: np.ndarray, occasion: np.ndarray
) -> dict[str, Any]:
    size = len(row)
    # The fourth and fifth visit of three people in ten are on a second device; the visits 0, 1 and 4 log in.
    second = (occasion >= 4) & (_mixed(person, 7) % np.uint64(10) < 3)
    kind = rng.random(size)
    with_email = np.isin(occasion, (0, 4)) | (kind < 0.10)
    with_user = (occasion == 1) | ((kind >= 0.05) & (kind < 0.30))
    device = _hex(_mixed(person * np.uint64(2) + second, 8))
    email = _spoilt(rng, _spelled_email(rng, _email(person)), 0.01, _NO_EMAIL, 0.01)
    return {
        "event_id": pa.array(row.astype(np.int64)),
        "anonymous_id": _spoilt(rng, device, 0.02),
        "user_id": _known(with_user, _joined("u", _text(person.astype(np.int64)))),
        "email": _known(with_email, email),
        "page": pa.array(_PAGES).take(pa.array(rng.integers(0, len(_PAGES), size))),
        "duration_seconds": pa.array(np.round(rng.exponential(60.0, size), 3)),
        "event_time": _moments(rng, size),
    }


# --- what a person is called, and how it is spelled -----------------------------------------------------


def _customer_number(person: np.ndarray) -> np.ndarray:
    return person.astype(np.int64) + 100_000


def _email(person: np.ndarray) -> pa.Array:
    number = _text(person.astype(np.int64))
    first, last = (pc.utf8_lower(_pick(words, person, salt)) for words, salt in ((_FIRST, 1), (_LAST, 2)))
    return _joined(first, ".", last, number, "@", _pick(_DOMAINS, person, 4))


def _spelled_email(rng: np.random.Generator, email: pa.Array) -> pa.Array:
    spellings = [email, pc.utf8_upper(email), pc.utf8_capitalize(email), _joined(" ", email, " ")]
    return pc.choose(pa.array(rng.choice(4, len(email), p=[0.80, 0.05, 0.10, 0.05])), *spellings)


def _spelled_phone(rng: np.random.Generator, person: np.ndarray) -> pa.Array:
    """``+1 (212) 555-0123`` and the like; 90 % of the people have +1, 8 % +44 and 2 % +90."""
    share = _mixed(person, 5) % np.uint64(100)
    code = pa.array(["1", "44", "90"]).take(pa.array(np.digitize(share, [90, 98])))
    number = _text(2_000_000_000 + person.astype(np.int64) * 797)  # ten digits up to ten million people
    a, b, c = (pc.utf8_slice_codeunits(number, *span) for span in ((0, 3), (3, 6), (6, 10)))
    spellings = [
        _joined("+", code, number),
        _joined("+", code, " ", a, " ", b, " ", c),
        _joined("+", code, " (", a, ") ", b, "-", c),
        _joined("00", code, "-", a, "-", b, "-", c),
        _joined(" +", code, " ", number),
    ]
    return pc.choose(pa.array(rng.choice(5, len(person), p=[0.4, 0.2, 0.2, 0.1, 0.1])), *spellings)


def _moments(rng: np.random.Generator, size: int) -> pa.Array:
    return pa.array(_YEAR_BEGINS + rng.integers(0, _YEAR, size), pa.int64()).cast(pa.timestamp("us"))


def _spoilt(
    rng: np.random.Generator,
    values: pa.Array,
    missing: float,
    junk: list[str] | None = None,
    share: float = 0.0,
) -> pa.Array:
    chance = rng.random(len(values))
    if junk:
        instead = pa.array(junk).take(pa.array(rng.integers(0, len(junk), len(values))))
        values = pc.if_else(pa.array(chance > 1 - share), instead, values)
    return _known(chance >= missing, values)


def _known(known: np.ndarray, values: pa.Array) -> pa.Array:
    return pc.if_else(pa.array(known), values, pa.scalar(None, values.type))


def _pick(words: list[str], person: np.ndarray, salt: int) -> pa.Array:
    return pa.array(words).take(pa.array(_mixed(person, salt) % np.uint64(len(words))))


def _joined(*parts: Any) -> pa.Array:
    return pc.binary_join_element_wise(*parts, "")


def _text(numbers: np.ndarray) -> pa.Array:
    return pa.array(numbers).cast(pa.string())


def _mixed(numbers: np.ndarray, salt: int) -> np.ndarray:
    """A hash (splitmix64's finaliser): unequal numbers stay unequal."""
    z = numbers.astype(np.uint64) + np.uint64((0x9E3779B97F4A7C15 * (salt + 1)) % 2**64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


_HEX = np.array([f"{byte:02x}".encode() for byte in range(256)])


def _hex(numbers: np.ndarray) -> pa.Array:
    digits = _HEX[np.ascontiguousarray(numbers).view(np.uint8)].view("S16")
    return pa.array(digits, pa.binary()).cast(pa.string())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make benchmark data.")
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--data", type=Path, help="folder for the data (default: the system's temporary one)")
    given = parser.parse_args()
    for wanted in given.rows:
        print(dataset(wanted, given.data).folder)
