"""`airflow customer360 explain`: why one customer is one, from the published identities."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from airflow.utils.cli import suppress_logs_and_warning

from airflow_provider_customer360.database.connections import DEFAULT_CONN_ID, default_file, target_hook
from airflow_provider_customer360.database.tables import Table, parse_table, side_table
from airflow_provider_customer360.extract.sql import read_sql
from airflow_provider_customer360.unify.errors import ConfigError, Customer360Error, TransientError
from airflow_provider_customer360.unify.explain import Explanation, explain, identities_of

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook


@suppress_logs_and_warning
def explain_customer(arguments: Namespace) -> None:
    """Print the explanation of a customer, or end with exit code 1 and what is wrong."""
    # Airflow looks connections of its own database up only for what says that it may open that database.
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
    try:
        found = _explanation(arguments)
    except Customer360Error as error:
        raise SystemExit(str(error)) from None
    text = found.as_text(show_values=arguments.show_values)
    if found.customer_id != arguments.customer_id:
        text = f"Customer {arguments.customer_id} is now {found.customer_id}.\n{text}"
    # A terminal that cannot show a character still shows the rest.
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, errors="backslashreplace").decode(encoding))


def _explanation(arguments: Namespace) -> Explanation:
    if arguments.identities_table:
        identities = parse_table(arguments.identities_table, "--identities-table")
    elif arguments.table:
        parse_table(arguments.table, "--table")
        identities = parse_table(side_table(arguments.table, "_identities"))
    else:
        raise ConfigError("Which table? Give --table with the profiles' table, such as unified_customers.")
    hook, place = target_hook(arguments.conn_id)
    if arguments.conn_id == DEFAULT_CONN_ID and place == str(default_file()) and not default_file().exists():
        raise ConfigError(  # DuckDB would make the file
            f"There is no connection {DEFAULT_CONN_ID!r} and no file {place}, where its tables are then. "
            "Give --conn-id, or run the task first."
        )
    return explain(arguments.customer_id, _rows(hook, place, identities, arguments.customer_id))


def _rows(hook: DbApiHook, place: str, identities: Table, customer_id: str) -> list[dict[str, object]]:
    relation = identities.quoted_for(hook)
    if hook.placeholder == "%s":
        relation = relation.replace("%", "%%")
    sql = identities_of(relation, hook.placeholder)
    try:
        return [row for table in read_sql(hook, sql, (customer_id,) * 2) for row in table.to_pylist()]
    except TransientError:
        raise
    except Customer360Error as error:
        raise ConfigError(
            f"The identities cannot be read from table {identities} ({place}). Only a task that publishes "
            f"identities writes them; a table of another name is given by --identities-table. {error}"
        ) from None
