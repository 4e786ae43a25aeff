"""`unify`: the stages in their order."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from airflow_provider_customer360.unify import sums
from airflow_provider_customer360.unify.aggregate import aggregate
from airflow_provider_customer360.unify.assignments import assign, in_order
from airflow_provider_customer360.unify.config import Config, Source
from airflow_provider_customer360.unify.derive import derive
from airflow_provider_customer360.unify.detect import detect
from airflow_provider_customer360.unify.digests import set_salt
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.errors import ConfigError, NoDataError
from airflow_provider_customer360.unify.events import Recorded, view_events
from airflow_provider_customer360.unify.forget_list import read_forget_list
from airflow_provider_customer360.unify.forgotten import forget_people
from airflow_provider_customer360.unify.keys import NodeKeys
from airflow_provider_customer360.unify.manual_rules import read_rules
from airflow_provider_customer360.unify.numberings import settle_numberings
from airflow_provider_customer360.unify.pii import check_names
from airflow_provider_customer360.unify.previous import past_types, read_previous
from airflow_provider_customer360.unify.progress import Stage
from airflow_provider_customer360.unify.protection import Protection, protect_profiles
from airflow_provider_customer360.unify.reading import read_sources
from airflow_provider_customer360.unify.recall import plain_ids, recall_hashed
from airflow_provider_customer360.unify.records import group_records
from airflow_provider_customer360.unify.resolve import find_nodes, resolve
from airflow_provider_customer360.unify.resources import Resources
from airflow_provider_customer360.unify.result import Unified
from airflow_provider_customer360.unify.schema import Plan, Role
from airflow_provider_customer360.unify.stable_ids import keep_ids
from airflow_provider_customer360.unify.summary import summarise

log = logging.getLogger(__name__)

NOTHING_RECORDED = Recorded()
#: Wraps a stage, given its title; the operator folds the stage's log lines with it.
StageWrapper = Callable[[str], AbstractContextManager[Any]]


def unify(
    sources: Mapping[str, Any],
    config: Config | None = None,
    *,
    as_of: datetime | None = None,
    must_link: Any = None,
    must_not_link: Any = None,
    forget: Any = None,
    pii_salt: str | None = None,
    previous: Any = None,
    run_id: str | None = None,
    recorded: Recorded = NOTHING_RECORDED,
    resources: Resources | None = None,
    wrap_stage: StageWrapper = lambda _: nullcontext(),
) -> Unified:
    """Join every record of one person across sources into one profile.

    Args:
        sources: name to data: a pandas, polars or Arrow frame, an iterable of frames, a path or glob of
            Parquet, CSV or JSON-lines files, or a `Source` that states roles of columns as well.
        config: settings; the default detects everything.
        as_of: the reference time of ``is_active``; naive means UTC. None: the latest event time.
        must_link: pairs of identifiers that are one customer whatever else is known, in any form that a
            source may have: columns ``identifier_type``, ``identifier_value``, ``other_identifier_type``,
            ``other_identifier_value`` and, if wanted, ``reason``.
        must_not_link: pairs that never become one customer, likewise.
        forget: identifiers of people of whom nothing is to be told, in any form that a source may have:
            columns ``identifier_type`` and ``identifier_value``. Every customer who has one is left out.
        pii_salt: the secret under which personal values are hashed, 16 characters or more; always the same
            one, or ids are lost. With a salt, ids made from personal values are made with it too.
        previous: the identities that the run before gave (`Unified.identities`), in any form that a source
            may have: customers keep the ids that they have there. None: ids follow from the data alone.
        run_id: what the events of this run are filed under. None: the reference time.
        recorded: the events that earlier runs recorded; those that last are not told again.
        resources: how much memory the run may take and where it spills; None: as `Resources` says.
        wrap_stage: called with a stage's title, gives a context manager around its work.

    Returns:
        Profiles (one row per customer), identities (one row per identifier), events and the summary.

    Raises:
        ConfigError: the configuration does not fit the data.
        SourceError: a source is no frame and no readable file.
        NoDataError: every source is empty.
        DataError: no source identifies a customer, or a sum exceeds 38 digits.
        MemoryExceeded: the memory, or the disk to spill to, does not suffice.
    """
    config = config or Config()
    stages: dict[str, Stage] = {}

    @contextmanager
    def stage_of(key: str, title: str) -> Iterator[Stage]:
        with wrap_stage(title), engine.within_memory(), engine.progress.stage(title) as stages[key]:
            yield stages[key]

    engine = Engine(resources)
    try:
        sums.prepare(engine.connection)
        with stage_of("read", "Read sources") as done:
            given = _as_sources(sources)
            with in_order(engine) if config.assignments else nullcontext():
                staged = read_sources(engine, given)
            done.rows = sum(one.rows for one in staged.values())
            if not done.rows:
                raise NoDataError(f"Every source is empty: {', '.join(staged)}.")
        with stage_of("detect", "Detect columns"):
            plan = detect(engine, staged, given, config)
            _log_plan(plan)
            read_previous(engine, previous)
            past = past_types(engine)
            plan = _with_salt(engine, plan, config, past, pii_salt)
        with stage_of("resolve", "Resolve identities") as done:
            group_records(engine, plan, NodeKeys(), keep_raw=config.assignments)
            plan = settle_numberings(engine, plan, NodeKeys())
            protection = Protection.of(plan, config, past)
            keys = find_nodes(engine, plan, NodeKeys())
            rules = read_rules(engine, plan, config, keys, must_link, must_not_link)
            listed = read_forget_list(engine, plan, config, keys, forget)
            resolve(engine, plan, rules)
            if plan.salted:
                recall_hashed(engine, protection)
            keep_ids(engine)
            plan, named = forget_people(engine, plan, config, listed)
            told = (*rules.warnings, *named.warnings, *plain_ids(engine, protection))
            plan = replace(plan, warnings=plan.warnings + told)
            done.rows = _log_identities(engine)
        with stage_of("aggregate", "Build profiles") as done:
            reference = _reference_time(engine, plan, as_of)
            aggregate(engine, plan, reference or datetime.now(UTC), config.active_within)
            if config.assignments:
                assign(engine, plan, config, given)
            protect_profiles(engine, protection)
            derive(engine, config.derived, reference)
            view_events(
                engine,
                plan,
                rules,
                protection,
                run_id or (reference.isoformat() if reference else ""),
                reference,
                recorded,
            )
            summary = summarise(engine, plan, config, reference, named, protection.dropped)
            done.rows = summary["total_customers"]
    except BaseException:
        engine.close()
        raise
    summary["duration_seconds"] = {key: stage.seconds for key, stage in stages.items()}
    summary["stage_rows"] = {key: stage.rows for key, stage in stages.items() if stage.rows is not None}
    return Unified(engine, plan, protection, summary, assigned=config.assignments)


def _as_sources(sources: Mapping[str, Any]) -> dict[str, Source]:
    if not isinstance(sources, Mapping) or not sources:
        raise ConfigError(
            f"sources is a {type(sources).__name__} with nothing in it that can be read; give a mapping of "
            "source name to data, such as {'crm': crm_frame, 'orders': orders_frame}."
        )
    named = {}
    for name, data in sources.items():
        if not isinstance(name, str) or not name.strip():
            raise ConfigError(f"A source is named {name!r}; its name must be text that is not blank.")
        named[name] = data if isinstance(data, Source) else Source(data=data)
    return named


def _with_salt(engine: Engine, plan: Plan, config: Config, past: Container[str], salt: str | None) -> Plan:
    """The plan, after the salt has been taken and `Config.pii` checked against what there is to protect."""
    check_names(plan, config.pii, config.derived, past)
    if salt is not None:
        set_salt(engine, salt)
    elif needed := sorted(
        name
        for name, action in config.pii.items()
        if action == "hash" or name in past or name in plan.identifier_types
    ):
        raise ConfigError(
            f"pii names {', '.join(map(repr, needed))}, whose values are hashed where later runs must "
            "recognise them; give pii_salt, a secret that stays the same."
        )
    if config.pii:
        log.info("Personal data: %s", ", ".join(f"{name} {action}" for name, action in config.pii.items()))
    return replace(plan, salted=salt is not None)


def _reference_time(engine: Engine, plan: Plan, as_of: datetime | None) -> datetime | None:
    """The reference time in UTC; never the wall clock, so that a rerun gives what the first run gave."""
    if as_of is not None:
        return as_of.replace(tzinfo=UTC) if as_of.tzinfo is None else as_of.astimezone(UTC)
    (latest,) = engine.row("SELECT max(last_seen) FROM identities")
    return latest.replace(tzinfo=UTC) if latest and plan.has_event_time else None


def _log_plan(plan: Plan) -> None:
    for source, column in plan.columns():
        role = {
            Role.IDENTIFIER: f"identifier {column.output}",
            Role.METRIC: f"metric {column.output} ({column.aggregate})",
            Role.ATTRIBUTE: f"attribute {column.output}",
            Role.EVENT_TIME: "event time",
        }.get(column.role, "not used")
        log.info("%s.%s -> %s: %s", source.name, column.name, role, column.reason)


def _log_identities(engine: Engine) -> int:
    """Returns the number of identities."""
    counts = engine.rows("SELECT identifier_type, count(*) FROM identities GROUP BY ALL ORDER BY min(t)")
    for name, count in counts:
        log.info("%s: %s distinct values", name, f"{count:,}")
    (customers,) = engine.row("SELECT count(*) FROM customers")
    log.info("%s customers", f"{customers:,}")
    return sum(count for _, count in counts)
