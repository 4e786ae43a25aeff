"""The hook of a database that the package does not know; Airflow has no provider for Firebird."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.sql.hooks.sql import DbApiHook
from sqlalchemy import URL

from tests.firebird_engine import driver


class FirebirdHook(DbApiHook):
    """What a provider for Firebird would have; the connection's schema is the database's file."""

    conn_name_attr = "firebird_conn_id"
    default_conn_name = "firebird_default"
    conn_type = "firebird"
    hook_name = "Firebird"
    placeholder = "?"

    def get_conn(self) -> Any:
        return driver().connect(self._file, user="SYSDBA", charset="UTF8")

    @property
    def sqlalchemy_url(self) -> URL:
        driver()
        return URL.create("firebird+firebird", "SYSDBA", database=self._file, query={"charset": "UTF8"})

    def get_uri(self) -> str:
        return self.sqlalchemy_url.render_as_string(hide_password=False)

    @property
    def _file(self) -> str:
        return str(self.get_connection(self.get_conn_id()).schema)
