"""What importing the package costs, and where Airflow must not be: looked at in fresh interpreters."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import airflow_provider_customer360

HEAVY = {"duckdb", "pandas", "phonenumbers", "polars", "pyarrow", "scipy", "sqlglot"}


def imported_by(statement: str) -> set[str]:
    """The top-level packages that a fresh interpreter has loaded after the statement."""
    code = (
        f"import json, sys; {statement}; print(json.dumps([*{{n.partition('.')[0] for n in sys.modules}}]))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return set(json.loads(output.splitlines()[-1]))


def test_the_package_itself_imports_nothing() -> None:
    """Every Airflow component imports it at start, for its provider info."""
    loaded = imported_by("import airflow_provider_customer360 as p; p.get_provider_info()")
    assert not loaded & (HEAVY | {"airflow", "numpy", "pendulum", "sqlalchemy"})


def test_the_core_imports_no_airflow() -> None:
    """It can be used alone, where Airflow is not installed."""
    assert "airflow" not in imported_by("import airflow_provider_customer360.unify as u; u.unify, u.Config")


def test_a_dag_file_does_not_pay_for_the_engine() -> None:
    """The operator's module is imported at every parse of a DAG file; the engine only when it executes."""
    loaded = imported_by("import airflow_provider_customer360.operators.customer360")
    assert "airflow" in loaded
    assert not loaded & HEAVY


def test_public_names_are_those_of_all() -> None:
    """`__all__`, `dir()` and what can be imported agree."""
    assert set(airflow_provider_customer360.__all__) <= set(dir(airflow_provider_customer360))
    for name in airflow_provider_customer360.__all__:
        assert getattr(airflow_provider_customer360, name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """Lazy names must not turn a typing error into something else."""
    with pytest.raises(AttributeError, match="has no attribute 'Customer360Operater'"):
        airflow_provider_customer360.Customer360Operater  # noqa: B018  # reading it is the test
