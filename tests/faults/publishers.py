"""Processes that publish, until they are done or killed."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from airflow_provider_customer360.publish import Published, publish
from airflow_provider_customer360.publish import dialects as dialects_module
from airflow_provider_customer360.unify.errors import Customer360Error, TransientError
from tests.faults.servers import Server
from tests.faults.versions import SECRET, Version
from tests.publish.children import forked

#: No run of these tests takes so long; in seconds.
PATIENCE = 60.0
#: `publish`, or what takes its place; a function of a module.
Publish = Callable[..., dict[str, Published]]


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Attributes:
        published: what `publish` returned, or None if it failed.
        error: what the error says, with its class.
        is_transient: the error is one that is worth a retry.
        is_ours: it is none that got out of a driver.
        tells_values: a value can be read in the error, its causes or their tracebacks.
    """

    published: Mapping[str, Published] | None = None
    error: str = ""
    is_transient: bool = False
    is_ours: bool = False
    tells_values: bool = False


@dataclass(frozen=True)
class Publisher:
    """A process that has begun to publish a version."""

    version: Version
    process: BaseProcess
    pipe: Connection

    def kill(self) -> None:
        """SIGKILL; returns when the process is gone."""
        self.process.kill()
        self.process.join()

    def is_done(self, seconds: float = 0) -> bool:
        """Whether it has come to an end within that time."""
        return self.pipe.poll(seconds)

    def outcome(self) -> Outcome:
        """Wait for the end of the run."""
        assert self.is_done(PATIENCE), "publishing does not come to an end"
        outcome: Outcome = self.pipe.recv()
        self.process.join()
        return outcome


@contextmanager
def publisher(
    server: Server, port: int, version: Version, run: Publish = publish, lock_seconds: float | None = None
) -> Iterator[Publisher]:
    """Publish a version in a process of its own, through that port.

    Args:
        run: what publishes.
        lock_seconds: how long a publisher may wait for others, if not as long as usual.
    """
    with forked(_publish, server, server.environment(port), version, run, lock_seconds) as (process, pipe):
        assert pipe.poll(PATIENCE)
        assert pipe.recv() == "begins"
        yield Publisher(version, process, pipe)


def _publish(
    server: Server,
    environment: Mapping[str, str],
    version: Version,
    run: Publish,
    lock_seconds: float | None,
    pipe: Connection,
) -> None:
    os.environ |= environment
    if lock_seconds is not None:
        dialects_module.LOCK_SECONDS = lock_seconds  # type: ignore[attr-defined]
    loads = version.loads()
    hook = server.hook()
    pipe.send("begins")
    pipe.send(outcome_of(lambda: run(hook, loads)))


def outcome_of(run: Callable[[], dict[str, Published]]) -> Outcome:
    """Call what publishes."""
    try:
        return Outcome(run())
    except Exception as error:
        return Outcome(
            error=f"{type(error).__name__}: {error}",
            is_transient=isinstance(error, TransientError),
            is_ours=isinstance(error, Customer360Error),
            tells_values=SECRET in "\n".join(_said_by(error)),
        )


def _said_by(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield from (repr(error), *map(repr, error.args), *traceback.format_exception(error))
        error = error.__cause__ or error.__context__
