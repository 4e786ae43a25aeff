"""The unifier: records of customers in, one profile per customer out. Knows nothing of Airflow.

    >>> from airflow_provider_customer360.unify import Config, unify
    >>> with unify({"crm": crm, "orders": orders}, Config(), as_of=now) as result:
    ...     result.profiles.to_pandas()

Names are loaded when first used: the operator checks its arguments with `Config` when a DAG file is
parsed, and must not import DuckDB for that.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_customer360.unify.config import Config, Source
    from airflow_provider_customer360.unify.errors import (
        CheckFailed,
        ConfigError,
        Customer360Error,
        DataError,
        MemoryExceeded,
        NoDataError,
        PublishError,
        SourceError,
        TransientError,
    )
    from airflow_provider_customer360.unify.pipeline import unify
    from airflow_provider_customer360.unify.resources import Resources
    from airflow_provider_customer360.unify.result import Frame, Unified

__all__ = [
    "CheckFailed",
    "Config",
    "ConfigError",
    "Customer360Error",
    "DataError",
    "Frame",
    "MemoryExceeded",
    "NoDataError",
    "PublishError",
    "Resources",
    "Source",
    "SourceError",
    "TransientError",
    "Unified",
    "unify",
]

_MODULES = {
    "config": ("Config", "Source"),
    "pipeline": ("unify",),
    "resources": ("Resources",),
    "result": ("Frame", "Unified"),
}
_LAZY = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
