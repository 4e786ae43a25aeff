"""What a task may use of its worker: stated for the task, for the worker, or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from airflow_provider_customer360.operators.worker_resources import resources_of
from airflow_provider_customer360.unify import ConfigError
from tests.airflow.support import import_error, run_dag

LIMIT, DIRECTORY = "AIRFLOW__CUSTOMER360__MEMORY_LIMIT", "AIRFLOW__CUSTOMER360__TEMP_DIRECTORY"


def build(**arguments: Any) -> None:
    """A DAG with one source of one customer."""
    from airflow.sdk import task

    from airflow_provider_customer360 import Customer360Operator

    @task(show_return_value_in_logs=False)
    def crm() -> pd.DataFrame:
        return pd.DataFrame({"customer_id": ["c1"], "points": [1]})

    Customer360Operator(
        task_id="unify", asset_name="resources.customers", sources={"crm": crm()}, **arguments
    )


def test_the_parameter_comes_before_the_configuration(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And the configuration before the default; a blank option is none."""
    assert resources_of(None, None).memory_limit is None
    monkeypatch.setenv(LIMIT, " ")
    assert resources_of(None, None).memory_limit is None
    monkeypatch.setenv(LIMIT, "50%")
    monkeypatch.setenv(DIRECTORY, str(tmp_path))
    configured = resources_of(None, None)
    assert (configured.memory_limit, configured.temp_directory) == ("50%", str(tmp_path))
    assert configured.memory().origin.startswith("[customer360] memory_limit '50%' of ")
    stated = resources_of("2GB", "/elsewhere")
    assert (stated.memory_limit, stated.temp_directory) == ("2GB", "/elsewhere")
    assert stated.memory().origin == "memory_limit '2GB'"


def test_a_wrong_configuration_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that nobody looks for the mistake in the DAG."""
    monkeypatch.setenv(LIMIT, "much")
    with pytest.raises(ConfigError, match=r"^\[customer360\] memory_limit is 'much'; give a size"):
        resources_of(None, None)


def test_a_wrong_parameter_fails_when_the_dag_is_parsed(airflow_home: Path) -> None:
    """Not tonight."""
    assert "memory_limit is 'much'; give a size" in import_error(
        airflow_home, lambda: build(memory_limit="much")
    )


@pytest.mark.usefixtures("airflow_db")
def test_a_task_keeps_to_what_is_stated(
    airflow_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The limit of the task, the directory of the worker; the log says both."""
    monkeypatch.setenv(LIMIT, "1MB")
    monkeypatch.setenv(DIRECTORY, str(tmp_path))
    [ran] = run_dag(airflow_home, lambda: build(memory_limit="8GB"))
    assert ran.states["unify"] == "success"
    text = "\n".join(line.text for line in ran.lines["unify"])
    assert "Memory: at most 8.0 GB (memory_limit '8GB'), of which DuckDB has " in text
    assert f"spills to {tmp_path}" in text
    assert "Publish took " in text
    assert set(ran.returned["unify"]["stage_rows"]) == {"read", "resolve", "aggregate", "publish"}
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("option", "message"), [(LIMIT, "the process holds"), (DIRECTORY, "no directory can")]
)
def test_what_the_worker_cannot_give_fails_for_good(
    airflow_home: Path, monkeypatch: pytest.MonkeyPatch, option: str, message: str
) -> None:
    """A retry on the same worker would fail the same way."""
    monkeypatch.setenv(option, {LIMIT: "1MB", DIRECTORY: "/nonexistent"}[option])
    [ran] = run_dag(airflow_home, build, default_args={"retries": 2})
    assert ran.states["unify"] == "failed"
    assert ran.tries["unify"] == 1
    assert message in ran.message("unify")


def test_airflow_knows_the_options() -> None:
    """`airflow config list` shows them, so that nobody has to guess their names."""
    command = [sys.executable, "-m", "airflow", "config", "list", "--section", "customer360"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "[customer360]" in output
    assert "memory_limit = " in output
    assert "temp_directory = " in output
