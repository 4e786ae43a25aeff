"""DAGs that a test builds, run by Airflow's own `dag.test()`, and everything that Airflow keeps of a run."""

from __future__ import annotations

import json
import logging
import sqlite3
import traceback
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pendulum
import structlog

#: The logical date of a run, unless a test says otherwise.
DAY = pendulum.datetime(2026, 1, 31)

_builders: dict[str, Callable[[], Any]] = {}


@dataclass(frozen=True)
class Line:
    """One log record, and the text of the exception that it carries."""

    logger: str
    level: str
    text: str


@dataclass
class Ran:
    """What Airflow keeps of a run, by task.

    Attributes:
        states: final states; of a mapped task, the last one's.
        tries: how often a task was started.
        errors: the exception that ended a task.
        lines: everything that was logged while a task ran, at every level.
        returned: the XCom that a task returned, as it lies in the metadata database.
        rendered: the text of the Rendered Templates page.
        extras: asset name to the extra of its event.
    """

    dag_id: str
    home: Path
    states: dict[str, str | None] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)
    errors: dict[str, BaseException] = field(default_factory=dict)
    lines: dict[str, list[Line]] = field(default_factory=lambda: defaultdict(list))
    returned: dict[str, Any] = field(default_factory=dict)
    rendered: dict[str, str] = field(default_factory=dict)
    extras: dict[str, Any] = field(default_factory=dict)

    def log(self, task_id: str) -> list[str]:
        """What the operator itself logged."""
        return [line.text for line in self.lines[task_id] if "Customer360Operator" in line.logger]

    def message(self, task_id: str) -> str:
        """The message of the exception that ended a task."""
        return str(self.errors[task_id])

    def kept(self) -> str:
        """All text that Airflow's metadata database has of the run's tasks, except frames in XCom."""
        with metadata(self.home) as database:
            tables = ["rendered_task_instance_fields", "task_instance", "task_instance_history", "log", "job"]
            rows = [row for table in tables for row in database.execute(f"select * from {table}")]
        return repr([*rows, self.returned, self.extras, self.rendered])


@contextmanager
def metadata(home: Path) -> Iterator[sqlite3.Connection]:
    """Airflow's metadata database, to read."""
    with closing(sqlite3.connect(f"file:{home / 'airflow.db'}?mode=ro", uri=True)) as database:
        yield database


def run_dag(
    home: Path,
    build: Callable[[], Any],
    *,
    default_args: Mapping[str, Any] | None = None,
    searchpath: Path | None = None,
    times: int = 1,
    on_line: Callable[[Line], None] = lambda line: None,
    talkative: Iterable[str] = (),
    **test_arguments: Any,
) -> list[Ran]:
    """Run a DAG with the tasks that `build` creates, as often as wanted.

    It goes through a file in the DAGs folder, because Airflow runs no other DAGs.

    Args:
        default_args: for all tasks.
        searchpath: the folder of template files.
        on_line: called with each log record at the moment it is made.
        talkative: loggers with levels of their own, which are to tell everything as well.
        test_arguments: of `DAG.test()`.
    """
    from airflow.sdk import DAG

    dag_id = f"test_{uuid.uuid4().hex[:12]}"
    ran = Ran(dag_id, home)
    callbacks = {
        "on_execute_callback": lambda context: current.append(context["ti"].task_id),
        "on_failure_callback": lambda context: _remember(ran, context),
        "on_retry_callback": lambda context: _remember(ran, context),
        "on_skipped_callback": lambda context: _remember(ran, context),
    }
    current = [""]

    def built() -> DAG:
        arguments = {**(default_args or {}), **callbacks}
        with DAG(
            dag_id,
            schedule=None,
            start_date=DAY.subtract(years=1),
            default_args=arguments,
            template_searchpath=str(searchpath or home),
        ) as dag:
            build()
        return dag

    def record(line: Line) -> None:
        ran.lines[current[-1]].append(line)
        on_line(line)

    results = []
    with _dag_file(home, dag_id, built), _recorded(record, talkative):
        dag = _parsed(home, dag_id)
        for _ in range(times):
            run = dag.test(**({"logical_date": DAY} | test_arguments))
            results.append(_read(ran, run.run_id))
            ran = Ran(dag_id, home)
    return results


def import_error(home: Path, build: Callable[[], Any]) -> str:
    """What Airflow shows of a DAG file that fails when it is parsed; empty if it does not."""
    from airflow.sdk import DAG

    dag_id = f"test_{uuid.uuid4().hex[:12]}"

    def built() -> DAG:
        with DAG(dag_id) as dag:
            build()
        return dag

    with _dag_file(home, dag_id, built) as path:
        return "".join(_bag(path).import_errors.values())


def build_dag(dag_id: str) -> Any:
    """Called by the DAG file."""
    return _builders[dag_id]()


@contextmanager
def _dag_file(home: Path, dag_id: str, built: Callable[[], Any]) -> Iterator[Path]:
    path = home / "dags" / f"{dag_id}.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        f"from tests.airflow.support import build_dag\n\ndag = build_dag({dag_id!r})  # airflow\n"
    )
    _builders[dag_id] = built
    try:
        yield path
    finally:
        path.unlink()
        del _builders[dag_id]


def _bag(path: Path) -> Any:
    from airflow.dag_processing.dagbag import BundleDagBag

    return BundleDagBag(path, bundle_path=path.parent, bundle_name="dags-folder")


def _parsed(home: Path, dag_id: str) -> Any:
    bag = _bag(home / "dags" / f"{dag_id}.py")
    assert not bag.import_errors, bag.import_errors
    return bag.dags[dag_id]


def _remember(ran: Ran, context: Any) -> None:
    ran.errors[context["ti"].task_id] = context["exception"]


@contextmanager
def _recorded(record: Callable[[Line], None], talkative: Iterable[str]) -> Iterator[None]:
    """Give every log record of any level, of structlog (Airflow's own and operators') and of logging."""

    def processor(logger: Any, method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
        error = event.get("exc_info")
        text = str(event.get("event"))
        if isinstance(error, BaseException):
            text += "\n" + "".join(traceback.format_exception(error))
        elif error:
            text += "\n" + traceback.format_exc()
        rest = {key: value for key, value in event.items() if key not in ("event", "exc_info")}
        record(Line(str(getattr(logger, "name", "")), method, f"{text} {rest}" if rest else text))
        if method == "debug":
            raise structlog.DropEvent  # recorded, but not printed
        return event

    class Handler(logging.Handler):
        def emit(self, entry: logging.LogRecord) -> None:
            error = "".join(traceback.format_exception(*entry.exc_info)) if entry.exc_info else ""
            record(Line(entry.name, entry.levelname.lower(), f"{entry.getMessage()}\n{error}".strip()))

    before = structlog.get_config()
    loggers = [logging.getLogger(name) for name in (None, "airflow", *talkative)]
    levels = [logger.level for logger in loggers]
    handler = Handler()
    structlog.configure(
        processors=[processor, *before["processors"]],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
    )
    loggers[0].addHandler(handler)
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        structlog.configure(**before)
        loggers[0].removeHandler(handler)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _read(ran: Ran, run_id: str) -> Ran:
    """Fill in what the metadata database has of a run."""
    key = (ran.dag_id, run_id)
    with metadata(ran.home) as database:
        for task_id, state, tries in database.execute(
            "select task_id, state, try_number from task_instance where dag_id = ? and run_id = ?", key
        ):
            ran.states[task_id] = state
            ran.tries[task_id] = tries
        for task_id, value in database.execute(
            "select task_id, value from xcom where dag_id = ? and run_id = ? and key = 'return_value'", key
        ):
            value = json.loads(value) if isinstance(value, str) else value
            if not isinstance(value, dict) or "__classname__" not in value:
                ran.returned[task_id] = value
        ran.rendered.update(
            database.execute(
                "select task_id, rendered_fields from rendered_task_instance_fields "
                "where dag_id = ? and run_id = ?",
                key,
            ).fetchall()
        )
        for name, extra in database.execute(
            "select a.name, e.extra from asset_event e join asset a on a.id = e.asset_id "
            "where e.source_dag_id = ? and e.source_run_id = ?",
            key,
        ):
            ran.extras[name] = json.loads(extra)
    return ran
