"""For tests that run DAGs: a migrated metadata database and the example DAGs in the DAGs folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def airflow_db(airflow_home: Path) -> None:
    """The metadata database of the private AIRFLOW_HOME, migrated once."""
    migrated = subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"], capture_output=True, text=True, check=False
    )
    assert migrated.returncode == 0, migrated.stdout + migrated.stderr


@pytest.fixture(scope="session")
def example_dags(airflow_home: Path, airflow_db: None) -> Path:
    """The example DAGs, as copied into the DAGs folder by a user."""
    examples = Path(__file__).parents[2] / "example_dags"
    return shutil.copytree(examples, airflow_home / "dags", dirs_exist_ok=True)
