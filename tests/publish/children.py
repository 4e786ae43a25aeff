"""Processes that publish until they are killed."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import pyarrow as pa

from airflow_provider_customer360.publish import publish
from tests.publish.databases import Database, events, from_environment, identities, load, people

#: One server imports this and each child is its fork: importing Airflow again takes seconds. The first
#: `pa.array` imports pandas, and the first look-up of a connection the supervisor.
IMPORTED_ONCE = [
    __name__,
    "pandas",
    "pyarrow.compute",
    "airflow.sdk.execution_time.supervisor",
    "airflow_provider_customer360.extract.sources",
    "airflow_provider_customer360.operators.customer360",
    "airflow_provider_customer360.unify.pipeline",
    "tests.faults.publishers",
]


@contextmanager
def forked(work: Callable[..., None], *arguments: Any) -> Iterator[tuple[BaseProcess, Connection]]:
    """A process that calls a function, and our end of the pipe whose other end is the last argument."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED_ONCE)
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(*arguments, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        yield process, ours
    finally:
        process.kill()
        process.join()
        ours.close()


@contextmanager
def child_publishing(db: Database, moment: str) -> Iterator[BaseProcess]:
    """A process that has come so far: all is loaded ("loading"), or only the commit is left ("merged").

    It publishes customers, their identities and events.
    """
    with forked(_publish_until, moment, db.environment) as (process, parent):
        assert parent.poll(60)
        assert parent.recv() == moment
        yield process


def _publish_until(moment: str, environment: dict[str, str], parent: Connection) -> None:
    os.environ |= environment
    customers = people(*((f"{number}", "new", number) for number in range(1000)))
    last = identities(*(("email", f"{number}", f"{number}") for number in range(1000)))

    def stop() -> None:
        parent.send(moment)
        time.sleep(600)

    def batches() -> Iterator[pa.RecordBatch]:
        yield from last.batches
        if moment == "loading":
            stop()

    loads = [load(customers), replace(last, batches=batches()), events(("new", "new"))]
    publish(from_environment().hook, loads, before_commit=stop)
