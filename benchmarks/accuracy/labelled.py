"""A labelled data set: sources as a user has them and, apart from them, the true person of each row."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


@dataclass(frozen=True)
class Labelled:
    """Sources and their truth.

    Attributes:
        name, about: what it is called, and what it is in a few words.
        sources: name to table; the tables are not ordered by person.
        identifiers: per source, identifier type to column. The peers are told these; this package is told
            them only where ``stated``, and else finds them by itself.
        truth: the true person of each row, sources one after the other; any numbers.
        stated: whether the columns are no usual customer columns, so that any user would state them.
        numbered_apart: identifier type to the sources whose numbers of it are a numbering of their own,
            although the column is called like the others. Known to who tunes by hand.
        folder: where its files lie.
    """

    name: str
    about: str
    sources: Mapping[str, pa.Table]
    identifiers: Mapping[str, Mapping[str, str]]
    truth: np.ndarray
    stated: bool = False
    numbered_apart: Mapping[str, Sequence[str]] = field(default_factory=dict)
    folder: Path | None = None

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def types(self) -> tuple[str, ...]:
        """The identifier types, in order of first appearance."""
        return tuple(dict.fromkeys(kind for columns in self.identifiers.values() for kind in columns))

    @property
    def offsets(self) -> dict[str, int]:
        """The position of each source's first row."""
        sizes = [len(table) for table in self.sources.values()]
        return dict(zip(self.sources, np.cumsum([0, *sizes[:-1]]).tolist(), strict=True))


_ABOUT = ("name", "about", "identifiers", "stated", "numbered_apart")


def cached(name: str, make: Callable[[], Labelled], cache: Path | None = None) -> Labelled:
    """The data set from its files; made, and kept, where there are none yet."""
    cache = cache or Path(tempfile.gettempdir()) / "customer360-benchmarks"
    folder = cache / name
    if not folder.exists():
        data = make()
        # Under a name of its own until it is complete: another run may be at it, or be interrupted.
        cache.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=cache))
        for source, table in data.sources.items():
            pq.write_table(table, draft / f"{source}.parquet", compression="zstd")
        np.save(draft / "truth.npy", data.truth)
        about = {key: getattr(data, key) for key in _ABOUT}
        (draft / "about.json").write_text(json.dumps(about, indent=1))
        draft.rename(folder)
    return replace(_read(folder), folder=folder)


def _read(folder: Path) -> Labelled:
    about = json.loads((folder / "about.json").read_text())
    sources = {source: pq.read_table(folder / f"{source}.parquet") for source in about["identifiers"]}
    return Labelled(sources=sources, truth=np.load(folder / "truth.npy"), **about)
