"""The rules can be broken: publishers that are wrong on purpose are found out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing

import pytest
from airflow.providers.common.sql.hooks.sql import DbApiHook

from airflow_provider_customer360.publish import Load, Published, publish
from tests.faults.drill import Drill, drill
from tests.faults.publishers import Publish
from tests.faults.servers import Server
from tests.faults.tally import Tally
from tests.faults.versions import Change


def committed(hook: DbApiHook, statement: str) -> None:
    """Run a statement in a transaction of its own."""
    with closing(hook.get_conn()) as connection, closing(connection.cursor()) as cursor:
        cursor.execute(statement)
        connection.commit()


def empties_first(hook: DbApiHook, loads: Sequence[Load]) -> dict[str, Published]:
    """Commit between the deletion of the old rows and the insertion of the new ones."""
    committed(hook, "DELETE FROM customers")
    return publish(hook, loads)


def row_by_row(hook: DbApiHook, loads: Sequence[Load]) -> dict[str, Published]:
    """Commit after some of the rows."""
    committed(hook, "UPDATE customers SET stamp = stamp + 1 WHERE number % 2 = 0")
    return publish(hook, loads)


def table_by_table(hook: DbApiHook, loads: Sequence[Load]) -> dict[str, Published]:
    """Commit after each table."""
    return {table: done for load in loads for table, done in publish(hook, [load]).items()}


def leaves_a_table(hook: DbApiHook, loads: Sequence[Load]) -> dict[str, Published]:
    """Stage in a table that is real, and remove it at the end."""
    staging = f"staging_{os.getpid()}"
    committed(hook, f"CREATE TABLE {staging} (customer_id varchar(99))")
    published = publish(hook, loads)
    committed(hook, f"DROP TABLE {staging}")
    return published


def kill_at_some_steps(series: Drill) -> None:
    """As `test_killed_at_every_step` does it, but at every twelfth."""
    for step in series.steps(Change.ALL)[::12]:
        new = series.prepare(Change.ALL)
        with series.held(new, step) as run:
            series.keeps_a_reader_waiting()
            run.kill()
            series.proxy.break_off(reset=False)
        series.recover(f"a kill at {step}", new)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("run", "noticed"),
    [
        (empties_first, {"wrong", "empty"}),
        (row_by_row, {"wrong"}),
        (table_by_table, {"wrong"}),
        (leaves_a_table, {"debris"}),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_what_is_wrong_is_noticed(server: Server, run: Publish, noticed: set[str]) -> None:
    """Each as what it is, and as nothing else."""
    seen = Tally()
    with pytest.raises(AssertionError), drill(server, seen, 50, run=run) as series:
        kill_at_some_steps(series)
    assert {kind for kind in ("wrong", "empty", "debris") if getattr(seen, kind)} == noticed
