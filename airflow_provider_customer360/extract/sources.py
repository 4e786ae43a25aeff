"""The operator's sources to what `unify` reads: frames, iterators of frames, paths."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import XComArg

from airflow_provider_customer360.extract.concealed import Concealed
from airflow_provider_customer360.extract.spec import ROLES, check_sources
from airflow_provider_customer360.unify.config import Source
from airflow_provider_customer360.unify.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context

    from airflow_provider_customer360.extract.sql import Query

log = logging.getLogger(__name__)


def open_sources(task: BaseOperator, context: Context) -> dict[str, Source]:
    """The task's sources, opened lazily: SQL runs and mapped frames are pulled when they are read.

    Raises:
        ConfigError: a source has the wrong shape, or names a task that is not upstream or a connection that
            is none of a SQL database.
        SourceError: an upstream task returned no frame.
    """
    sources = Concealed.unwrap(task.sources)  # type: ignore[attr-defined]
    if sources is None:
        return _direct_upstream(task, context)
    if not isinstance(sources, Mapping):
        raise ConfigError(f"sources is a {type(sources).__name__}; give a mapping of source name to source.")
    check_sources(sources)
    return {name: open_source(task, context, name, spec) for name, spec in sources.items()}


def open_source(task: BaseOperator, context: Context, name: str, spec: Any) -> Source:
    """One source of a task; see `open_sources`."""
    if not isinstance(spec, Mapping):
        return Source(data=_frames(name, Concealed.unwrap(spec)))
    spec = {key: Concealed.unwrap(value) for key, value in spec.items()}
    roles = {role: spec[role] for role in ROLES if spec.get(role) is not None}
    if "conn_id" in spec:
        return Source(data=_query(spec), **roles)
    if "path" in spec:
        return Source(data=spec["path"], **roles)
    if "task_ids" in spec:
        return Source(data=_frames(name, _pulled(task, context, name, spec["task_ids"])), **roles)
    return Source(data=_frames(name, spec["data"]), **roles)


def _query(spec: Mapping[str, Any]) -> Query:
    from airflow_provider_customer360.database.connections import hook_of
    from airflow_provider_customer360.extract.sql import Query, table_query

    hook = hook_of(spec["conn_id"])
    sql = spec["sql"] if "sql" in spec else table_query(hook, spec["table"])
    return Query(hook, sql, spec.get("parameters"))


def _pulled(task: BaseOperator, context: Context, name: str, task_id: str) -> Any:
    upstream = task.get_flat_relative_ids(upstream=True)
    if task_id not in upstream:
        raise ConfigError(
            f"Source {name!r} pulls from task {task_id!r}, which is not upstream of {task.task_id!r}, so it "
            f"may run later or not at all. Add `{task_id} >> {task.task_id}` to the DAG, or give the task's "
            f"output itself. Upstream: {', '.join(sorted(upstream)) or 'none'}."
        )
    return _output(task, context, task_id)


def _output(task: BaseOperator, context: Context, task_id: str) -> Any:
    """What a task returned; of a mapped task, the lazy sequence of what its instances returned."""
    return XComArg(task.get_dag().get_task(task_id)).resolve(context)  # type: ignore[union-attr]


def _direct_upstream(task: BaseOperator, context: Context) -> dict[str, Source]:
    sources = {}
    # Rules, and people to forget, are no records of customers.
    for task_id in sorted(task.upstream_task_ids - task.no_sources):  # type: ignore[attr-defined]
        value = _output(task, context, task_id)
        if _is_frame(value) or _is_sequence(value):
            sources[task_id] = Source(data=_frames(task_id, value))
        else:
            log.info("%s: returned no frame, so it is no source", task_id)
    return sources


def _frames(name: str, value: Any) -> Any:
    """A frame, or the frames of a mapped task without those that returned nothing."""
    if value is None or _is_frame(value):
        return value if value is not None else []
    if _is_sequence(value):
        # By index: to iterate, Airflow asks for one more than there are and logs that as an error.
        frames = (value[i] for i in range(len(value)))
        return (frame for frame in frames if frame is not None)
    raise SourceError(
        f"Source {name!r}: the upstream task returned a {type(value).__name__}; return a pandas, polars or "
        "Arrow frame."
    )


def _is_frame(value: Any) -> bool:
    return hasattr(value, "__arrow_c_stream__") or hasattr(value, "__dataframe__")


def _is_sequence(value: Any) -> bool:
    """A lazy sequence of what a mapped task's instances returned, or a list of frames."""
    if isinstance(value, (list, tuple)):
        return bool(value) and all(item is None or _is_frame(item) for item in value)
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))
