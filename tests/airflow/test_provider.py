"""The package as Airflow sees it: a registered provider, of which every stated part works."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from importlib.metadata import entry_points, version
from importlib.resources import files

import jsonschema

from airflow_provider_customer360 import __version__, get_provider_info

DISTRIBUTION = "airflow-provider-customer360"


def test_provider_info_validates_against_airflows_schema() -> None:
    """A section that Airflow does not know, or knows otherwise, would be ignored in silence."""
    schema = json.loads((files("airflow") / "provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema | {"additionalProperties": False})


def test_the_entry_point_gives_the_provider_info() -> None:
    """Airflow finds providers by this entry point, and refuses one that names another package."""
    [entry_point] = entry_points(group="apache_airflow_provider").select(
        value="airflow_provider_customer360:get_provider_info"
    )
    assert entry_point.load()()["package-name"] == DISTRIBUTION


def test_the_installed_version_is_the_one_in_the_package() -> None:
    """There is one version number."""
    assert version(DISTRIBUTION) == __version__


def test_every_module_that_the_provider_info_names_holds_an_operator() -> None:
    """And belongs to an integration that the provider info declares."""
    info = get_provider_info()
    integrations = {entry["integration-name"] for entry in info["integrations"]}
    for entry in info["operators"]:
        assert entry["integration-name"] in integrations
        for module in entry["python-modules"]:
            members = vars(importlib.import_module(module)).values()
            assert any(isinstance(member, type) and member.__module__ == module for member in members)


def test_airflow_lists_the_provider() -> None:
    """`airflow providers get`, as a user would look for it."""
    command = [sys.executable, "-m", "airflow", "providers", "get", DISTRIBUTION, "--output", "json"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    [provider] = json.loads(output[output.index("[") :])
    assert provider["Provider"] == DISTRIBUTION
    assert provider["Version"] == __version__
