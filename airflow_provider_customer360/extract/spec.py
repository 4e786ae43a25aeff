"""The shape of ``sources``, checked when the DAG is parsed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from airflow.providers.common.compat.sdk import XComArg

from airflow_provider_customer360.extract.concealed import Concealed
from airflow_provider_customer360.unify.config import check_roles
from airflow_provider_customer360.unify.errors import ConfigError

#: Where the data comes from: exactly one of these keys.
ORIGINS = ("data", "task_ids", "conn_id", "path")
ROLES = ("identifiers", "metrics", "attributes", "event_time", "key")
_WITH_CONN_ID = ("sql", "table", "parameters")
_FORMS = (
    "an upstream task's output, {'conn_id': …, 'sql': …}, {'conn_id': …, 'table': …}, {'task_ids': …}, "
    "{'path': …} or {'data': <upstream task's output>}"
)


def check_sources(sources: Mapping[str, Any]) -> None:
    """Check every source's shape.

    Raises:
        ConfigError: a name is no text, or a source has an unknown shape.
    """
    for name, spec in sources.items():
        if not isinstance(name, str) or not name.strip():
            raise ConfigError(f"A source is named {name!r}; its name must be text that is not blank.")
        if isinstance(spec, Mapping):
            _check_spec(name, spec)
        elif not _is_output(spec):
            raise ConfigError(f"Source {name!r} is a {type(spec).__name__}; allowed: {_FORMS}.")


def upstream_of(specs: Iterable[Any]) -> frozenset[str]:
    """The ids of the tasks whose outputs are read, before templates are rendered."""
    listed = list(specs)
    named = [spec.get("task_ids") for spec in listed if isinstance(spec, Mapping)]
    wired = {operator.task_id for operator, _ in XComArg.iter_xcom_references(listed)}
    return frozenset(wired | {task_id for task_id in named if isinstance(task_id, str)})


def _check_spec(name: str, spec: Mapping[str, Any]) -> None:
    known = (*ORIGINS, *ROLES, *_WITH_CONN_ID)
    for key in spec:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ConfigError(f"Source {name!r} has the key {key!r}.{hint} Allowed: {', '.join(known)}.")
    origins = [key for key in ORIGINS if key in spec]
    if len(origins) != 1:
        raise ConfigError(
            f"Source {name!r} says where its data is by {' and '.join(origins) or 'none of its keys'}; "
            f"give exactly one of {', '.join(ORIGINS)}."
        )
    _check_origin(name, spec, origins[0])
    check_roles(spec.get("identifiers"), spec.get("metrics"), spec.get("attributes"))
    for role in ("event_time", "key"):
        if not isinstance(spec.get(role), (str, type(None))):
            raise ConfigError(f"Source {name!r}: {role} is the name of one column.")


def _check_origin(name: str, spec: Mapping[str, Any], origin: str) -> None:
    queries = [key for key in ("sql", "table") if key in spec]
    if origin == "conn_id" and len(queries) != 1:
        raise ConfigError(f"Source {name!r} has a conn_id; give it either 'sql' or 'table'.")
    stray = [key for key in _WITH_CONN_ID if key in spec]
    if origin != "conn_id" and stray:
        raise ConfigError(f"Source {name!r}: {', '.join(map(repr, stray))} go with a 'conn_id' only.")
    if "table" in spec and "parameters" in spec:
        raise ConfigError(f"Source {name!r}: 'parameters' go with 'sql', not with 'table'.")
    if origin == "data" and not _is_output(spec["data"]):
        raise ConfigError(
            f"Source {name!r}: data is a {type(spec['data']).__name__}; give an upstream task's output. "
            "A frame that the DAG file itself builds would be built at every parse."
        )
    for key in (key for key in ("task_ids", "conn_id", "path", "sql", "table") if key in spec):
        if not isinstance(Concealed.unwrap(spec[key]), (str, XComArg)):
            raise ConfigError(f"Source {name!r}: {key} is a {type(spec[key]).__name__}; give text.")


def _is_output(value: Any) -> bool:
    """An upstream output: still an XComArg, or rendered already (None where the task returned nothing)."""
    return value is None or isinstance(value, (XComArg, Concealed))
