"""Connections: the hook of a connection id, and the target with its default."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_customer360.unify.errors import ConfigError

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook

DEFAULT_CONN_ID = "customer360_default"
DEFAULT_FILE = "customer360.duckdb"


def hook_of(conn_id: str) -> DbApiHook:
    """The SQL hook of a connection.

    Raises:
        ConfigError: the connection does not exist, or is not one of a SQL database.
    """
    from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook
    from airflow.providers.common.sql.hooks.sql import DbApiHook

    try:
        hook = BaseHook.get_connection(conn_id).get_hook()  # type: ignore[no-untyped-call]
    except AirflowNotFoundException:
        raise ConfigError(
            f"There is no connection {conn_id!r}. Create it in the UI (Admin, Connections), with `airflow "
            f"connections add {conn_id!r} --conn-uri …`, or in the variable AIRFLOW_CONN_{conn_id.upper()}."
        ) from None
    if not isinstance(hook, DbApiHook):
        raise ConfigError(
            f"Connection {conn_id!r} has the hook {type(hook).__name__}, which is no SQL hook (DbApiHook); "
            "give the connection of a SQL database."
        )
    return hook


def target_hook(conn_id: str) -> tuple[DbApiHook, str]:
    """The target's hook and where it leads, in words; a missing default is a DuckDB file in AIRFLOW_HOME.

    Raises:
        ConfigError: a connection other than the default one does not exist, or is no SQL connection.
    """
    from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

    try:
        connection = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        if conn_id == DEFAULT_CONN_ID:
            path = default_file()
            return _duckdb_hook(path), str(path)
    else:
        if connection.conn_type == "duckdb" or connection.conn_type == "sqlite":
            return hook_of(conn_id), f"{connection.conn_type} {connection.host or ''}".strip()
        return hook_of(conn_id), f"{connection.conn_type} connection {conn_id}"
    return hook_of(conn_id), conn_id


@dataclass(frozen=True)
class Target:
    """Where profiles go.

    Attributes:
        hook: of the connection.
        location: where that leads, in words.
        table: ``table`` or ``schema.table``.
    """

    hook: DbApiHook
    location: str
    table: str


def target_of(conn_id: str, target_table: str | None, asset_name: str) -> Target:
    """The target that an operator's settings name.

    Raises:
        ConfigError: see `target_hook`.
    """
    return Target(*target_hook(conn_id), target_name(target_table, asset_name))


def target_name(target_table: str | None, asset_name: str) -> str:
    """The target as ``table`` or ``schema.table``; an asset's name is one name, whatever it holds."""
    if target_table:
        return target_table
    return asset_name if asset_name.isidentifier() else '"' + asset_name.replace('"', '""') + '"'


def default_file() -> Path:
    """The DuckDB file that is the target when the default connection does not exist."""
    return Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser() / DEFAULT_FILE


def _duckdb_hook(path: Path) -> DbApiHook:
    from airflow.providers.common.compat.sdk import Connection
    from airflow.providers.duckdb.hooks.duckdb import DuckDBHook

    hook = DuckDBHook(duckdb_conn_id=DEFAULT_CONN_ID)
    # The hook would look the connection up, find none and say in the log that it uses memory.
    hook.airflow_connection = Connection(conn_id=DEFAULT_CONN_ID, conn_type="duckdb", host=str(path))
    return hook
