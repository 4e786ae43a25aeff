"""Customer 360 for Apache Airflow: scattered customer records in, one row per customer out.

Airflow imports this module in every component to read the provider info, and DAG files import it at
every parse. Therefore it imports nothing itself: the public names are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_customer360.operators.customer360 import Customer360Operator

__all__ = ["Customer360Operator", "__version__", "get_provider_info"]

__version__ = "0.4.0"

_LAZY = {"Customer360Operator": "airflow_provider_customer360.operators.customer360"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})


def get_provider_info() -> dict[str, Any]:
    """What `airflow providers` and the UI show of this package (Airflow's provider_info.schema.json)."""
    return {
        "package-name": "airflow-provider-customer360",
        "name": "Customer 360",
        "description": "Unifies customer records from DataFrames, SQL databases and files into one "
        "published table with one row per customer.",
        "integrations": [{"integration-name": "Customer 360", "tags": ["software"]}],
        "operators": [
            {
                "integration-name": "Customer 360",
                "python-modules": ["airflow_provider_customer360.operators.customer360"],
            }
        ],
        "config": {
            "customer360": {
                "description": "What a Customer360Operator may use of its worker, unless it says so itself.",
                "options": {
                    "memory_limit": {
                        "description": "Memory that a task may take, all in all: a size, or a share of "
                        "what the worker has (control groups and ulimit count). Empty: 60 % of that.",
                        "version_added": "0.4.0",
                        "type": "string",
                        "example": "4GB",
                        "default": "",
                    },
                    "temp_directory": {
                        "description": "Directory of the worker into which a task spills what does not "
                        "fit into its memory; it must exist. Empty: the system's for temporary files.",
                        "version_added": "0.4.0",
                        "type": "string",
                        "example": "/mnt/scratch",
                        "default": "",
                    },
                },
            }
        },
        "cli": ["airflow_provider_customer360.cli.definition.customer360_commands"],
    }
