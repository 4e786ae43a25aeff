"""The operator: stores arguments, orchestrates, maps errors to Airflow's, reports."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    Asset,
    BaseOperator,
    XComArg,
)

from airflow_provider_customer360.audit.checks import Checks, check_stated
from airflow_provider_customer360.database.connections import DEFAULT_CONN_ID
from airflow_provider_customer360.database.tables import parse_table
from airflow_provider_customer360.extract.concealed import Concealed
from airflow_provider_customer360.extract.spec import check_sources, upstream_of
from airflow_provider_customer360.operators.choices import truth_of
from airflow_provider_customer360.operators.identity_tables import Choice, IdentityTables, check_choices
from airflow_provider_customer360.operators.pii_salt import check_salt, read_salt
from airflow_provider_customer360.operators.profile_table import ProfileTable
from airflow_provider_customer360.operators.report import counted, log_report, row_counts, without_values
from airflow_provider_customer360.operators.worker_resources import resources_of
from airflow_provider_customer360.unify.config import Config, Identifiers, Metrics
from airflow_provider_customer360.unify.errors import (
    ConfigError,
    Customer360Error,
    NoDataError,
    TransientError,
)
from airflow_provider_customer360.unify.resources import Resources
from airflow_provider_customer360.unify.survivorship_rules import Survivorship

if TYPE_CHECKING:
    from datetime import datetime

    import jinja2
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_customer360.audit.verdict import Audit
    from airflow_provider_customer360.database.connections import Target
    from airflow_provider_customer360.publish import Load, Published
    from airflow_provider_customer360.unify.config import Source
    from airflow_provider_customer360.unify.result import Unified

WHEN_NO_DATA = ("auto", "sample", "skip", "fail")


class Customer360Operator(BaseOperator):
    """Unify customer records from any number of sources and publish one profile per customer.

    :param asset_name: name of the outlet `Asset`, and of the target table unless ``target_table`` is given.
    :param description: what the profiles are; shown as the task's documentation.
    :param sources: source name to one of: the output of an upstream task that returns a DataFrame (pandas,
        polars, Arrow; mapped tasks too); ``{"conn_id": …, "sql": …, "parameters": …}`` or
        ``{"conn_id": …, "table": …}`` for any SQL connection; ``{"task_ids": …}``; ``{"path": …}`` for
        Parquet, CSV or JSON-lines files; ``{"data": <upstream output>}``. The dict forms take
        ``identifiers``, ``metrics``, ``attributes`` and ``event_time`` to state columns' roles.
        None: the DataFrame of every direct upstream task, named by its task id. (templated)
    :param identifiers: identifier type to column name(s), or column names. None: detected.
    :param metrics: columns to sum, or column to ``sum``, ``mean``, ``min`` or ``max``. None: detected.
    :param attributes: columns of which one value survives. None: detected.
    :param survivorship: profile column to the rule by which its value survives: ``most_recent`` (what
        all others do), ``first_seen``, ``most_frequent``, ``longest``, ``max``, ``min``, ``any``, ``all``, or
        ``{"rule": "source_priority", "sources": ["crm", "orders"]}``. Or a name of your choice to a group
        of columns that are taken from one record: ``{"columns": ["street", "zip"], "rule": "longest"}``.
    :param provenance: whether each attribute, or group, has a column ``<name>_source`` with its source.
    :param identifier_types: identifier type to settings of its own: ``{"email": {"limit": 3}, "phone":
        {"region": "US"}, "ssn": {"priority": 5, "personal": True}}``; see `IdentifierType`.
    :param guards: find values that many people share, numberings that collide, and customers with too
        many identifiers, and keep them from gluing strangers together.
    :param must_link: pairs of identifiers that are one customer: an upstream task's output or any other
        form of a source, with the columns ``identifier_type``, ``identifier_value``,
        ``other_identifier_type``, ``other_identifier_value`` and ``reason``. (templated)
    :param must_not_link: pairs that never become one customer, likewise. (templated)
    :param forget: people of whom nothing is published or remembered, in any form of a source: identifiers of
        theirs, with the columns ``identifier_type`` and ``identifier_value``. (templated)
    :param pii: profile column or identifier type to what is done with its values wherever they are published:
        ``hash``, ``mask`` or ``drop``.
    :param pii_salt: where the secret lies under which they are hashed: ``{"variable": <name>}`` or
        ``{"conn_id": <id>}``, whose password it is. Needed for ``hash`` and for identifier types.
    :param preview_rows: the most customers that log and summary show, masked. 0: nothing of any customer.
    :param max_customer_records: a customer of more records is reported. None: one of more than 1 % of
        all.
    :param on_oversized_customer: ``warn`` or ``fail``.
    :param derived: new column to SQL expression over profile columns. (templated)
    :param active_within: a customer seen within this time before the run's reference time (end of the data
        interval, else ``run_after``) is active: a timedelta, a number of days or ISO 8601 such as ``P30D``.
    :param when_no_data: ``auto`` (sample profiles where no source is wired, else skip), ``sample``, ``skip``
        or ``fail``.
    :param target_conn_id: connection of the target: DuckDB, SQLite, Postgres, MySQL, MariaDB, ADBC, or any
        other SQL connection whose hook gives a SQLAlchemy engine. The default one need not exist: then it is
        the DuckDB file ``customer360.duckdb`` in AIRFLOW_HOME. (templated)
    :param target_table: ``table`` or ``schema.table``. None: ``asset_name`` as it is. (templated)
    :param identities_table: which identifier belongs to which customer, by which customers keep their ids
        from run to run: True for ``<target>_identities``, a name, or False for ids that follow from the
        data alone. (templated)
    :param events_table: what every run decided about who is who: a name; None for
        ``<target>_identity_events`` where there are identities; False for none. (templated)
    :param assignments_table: the customer of every source row: True for ``<target>_assignments``, a name,
        or False. (templated)
    :param checks: what the profiles must keep to, or the task fails for good and nothing is published: any of
        ``min_customers``, ``max_customers_fall``, ``max_active_fall``, ``max_match_rate_change``,
        ``max_fill_rate_change``, ``max_customer_records``, ``not_null`` and ``no_rows``; see `Checks`. The
        DAG param ``customer360_skip_checks`` overrides them for one run: true, or a list of checks.
        (templated)
    :param write_mode: ``replace``: after the run the table equals the profiles. ``upsert``: customers who
        are not in this run stay, except under ids that were merged away. ``append``: each run adds a
        snapshot, told apart by the column ``snapshot_at`` (the run's reference time); a rerun replaces its
        own.
    :param on_schema_change: ``add``: new columns are added, types widened, and columns that are gone become
        null; ``fail``; or ``replace``: the table gets exactly the profiles' columns.
    :param snapshot_retention: with ``append``, how long snapshots are kept: as ``active_within``. None:
        without end.
    :param memory_limit: the memory that the task's process may take: ``4GB``, ``512 MiB``, bytes, or ``50%``
        of what the worker has. None: ``[customer360] memory_limit``, else 60 % of that.
    :param temp_directory: a directory of the worker into which the task spills what does not fit. None:
        ``[customer360] temp_directory``, else the system's directory for temporary files.
    :param dry_run: do everything but change tables: the log and the XCom tell what would change, and the
        task ends as skipped, so that nothing downstream takes the table for a new one. (templated)
    :return: the summary, also pushed as the asset event's extra.
    :raises AirflowFailException: bad configuration or data; a retry would fail the same way.
    :raises AirflowSkipException: the sources are empty; the live table stays as it is.
    """

    template_fields: Sequence[str] = (
        "sources",
        "must_link",
        "must_not_link",
        "forget",
        "derived",
        "target_conn_id",
        "target_table",
        "identities_table",
        "events_table",
        "assignments_table",
        "checks",
    )
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers = {  # noqa: RUF012 - Airflow's own form
        "sources": "json",
        "must_link": "json",
        "must_not_link": "json",
        "forget": "json",
        "derived": "json",
        "checks": "json",
    }
    ui_color = "#d9ead3"

    def __init__(
        self,
        *,
        asset_name: str,
        description: str = "Unified customer 360 profiles",
        sources: Mapping[str, Any] | None = None,
        identifiers: Identifiers | None = None,
        metrics: Metrics | None = None,
        attributes: Sequence[str] | None = None,
        survivorship: Survivorship | None = None,
        provenance: bool = False,
        identifier_types: Mapping[str, Mapping[str, Any]] | None = None,
        guards: bool = True,
        must_link: Any = None,
        must_not_link: Any = None,
        forget: Any = None,
        pii: Mapping[str, str] | None = None,
        pii_salt: Mapping[str, str] | None = None,
        preview_rows: int = 5,
        max_customer_records: int | None = None,
        on_oversized_customer: str = "warn",
        derived: Mapping[str, str] | None = None,
        active_within: timedelta | int | float | str = timedelta(days=30),
        when_no_data: str = "auto",
        target_conn_id: str = DEFAULT_CONN_ID,
        target_table: str | None = None,
        identities_table: Choice | None = True,
        events_table: Choice | None = None,
        assignments_table: Choice = False,
        checks: Mapping[str, Any] | None = None,
        write_mode: str = "replace",
        on_schema_change: str = "add",
        snapshot_retention: timedelta | int | float | str | None = None,
        memory_limit: str | int | None = None,
        temp_directory: str | None = None,
        dry_run: bool | str = False,
        **kwargs: Any,
    ) -> None:
        if not isinstance(asset_name, str) or not asset_name.strip():
            raise ConfigError(
                f"asset_name is {asset_name!r}; give the outlet asset a name, such as 'customers'."
            )
        if when_no_data not in WHEN_NO_DATA:
            raise ConfigError(f"when_no_data is {when_no_data!r}; allowed: {', '.join(WHEN_NO_DATA)}.")
        if target_table is not None and "{{" not in str(target_table):
            parse_table(target_table)
        if isinstance(sources, Mapping):
            check_sources(sources)
        elif sources is not None and not isinstance(sources, XComArg):
            raise ConfigError(
                f"sources is a {type(sources).__name__}; give a mapping of source name to source, or nothing "
                "to take every upstream task's frame."
            )
        stated = {"must_link": must_link, "must_not_link": must_not_link, "forget": forget}
        check_sources({name: table for name, table in stated.items() if table is not None})
        check_choices(identities_table, events_table, assignments_table)
        if write_mode == "upsert" and identities_table is False:
            raise ConfigError(
                "write_mode='upsert' needs identities_table: without the identities of the run before, "
                "nobody knows which of the customers that stay were merged away. Leave identities_table on."
            )
        check_stated(checks or {})
        asset = Asset(asset_name)
        kwargs.setdefault("doc", description)
        super().__init__(**{**kwargs, "outlets": [*_listed(kwargs.get("outlets")), asset]})
        self.asset_name = asset_name
        self.description = description
        self.sources = sources
        self.identifiers = identifiers
        self.metrics = metrics
        self.attributes = attributes
        self.survivorship = survivorship
        self.provenance = provenance
        self.identifier_types = identifier_types
        self.guards = guards
        self.must_link = must_link
        self.must_not_link = must_not_link
        self.forget = forget
        self.no_sources = upstream_of(stated.values())
        self.pii = pii
        self.pii_salt = pii_salt
        self.preview_rows = preview_rows
        self.max_customer_records = max_customer_records
        self.on_oversized_customer = on_oversized_customer
        self.derived = derived
        self.active_within = active_within
        self.when_no_data = when_no_data
        self.target_conn_id = target_conn_id
        self.target_table = target_table
        self.identities_table = identities_table
        self.events_table = events_table
        self.assignments_table = assignments_table
        self.checks = checks
        self.write_mode = write_mode
        self.on_schema_change = on_schema_change
        self.snapshot_retention = snapshot_retention
        self.memory_limit = memory_limit
        self.temp_directory = temp_directory
        self.only_tell = dry_run  # an operator's dry_run is a method of Airflow's
        Resources(memory_limit=memory_limit, temp_directory=temp_directory)
        check_salt(pii_salt, self._config().pii)  # a wrong shape fails when the DAG is parsed, not tonight
        self._profile_table()
        self._killed = threading.Event()

    def render_template(
        self,
        content: Any,
        context: Context,
        jinja_env: jinja2.Environment | None = None,
        seen_oids: set[int] | None = None,
    ) -> Any:
        """Render as usual, but keep what upstream tasks returned out of the Rendered Templates page."""
        value = super().render_template(content, context, jinja_env, seen_oids)
        return Concealed.wrap(value) if isinstance(content, XComArg) else value

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the stages; see the class for what is raised."""
        self._killed.clear()
        failure: AirflowException
        try:
            return self._execute(context)
        except AirflowException:
            raise
        except TransientError as error:
            failure = AirflowException(str(error))
        except Customer360Error as error:
            failure = AirflowFailException(str(error))
        except Exception as error:
            failure = AirflowException(without_values(error))
        # Raised after the handlers, so that not even its __context__ leads to a message with values.
        raise failure

    def on_kill(self) -> None:
        """Stop before the next stage, and before publishing commits: the live table stays as it is."""
        self._killed.set()

    def _execute(self, context: Context) -> dict[str, Any]:
        from airflow_provider_customer360.database.connections import target_of
        from airflow_provider_customer360.extract.sources import open_sources

        # A missing target is said before hours of reading, not after.
        target = target_of(self.target_conn_id, self.target_table, self.asset_name)
        choices = (self.identities_table, self.events_table, self.assignments_table)
        tables = IdentityTables.of(target.table, *choices, partial=self.write_mode == "upsert")
        dry_run = truth_of("dry_run", self.render_template(self.only_tell, context))
        audit = self._audit(context)
        wired = open_sources(self, context)
        sample = not wired and self.when_no_data in ("auto", "sample")
        try:
            if not wired and not sample:
                raise NoDataError(
                    "No source is wired to this task and none of its upstream tasks gave a frame."
                )
            if not sample:
                return self._unified(wired, target, tables, audit, context, dry_run=dry_run)
        except NoDataError as error:
            if self.when_no_data == "fail":
                raise
            if self.when_no_data != "sample":
                raise AirflowSkipException(f"{error} The table was left as it is.") from None
        return self._sampled(target, context, dry_run=dry_run)

    def _unified(
        self,
        sources: Mapping[str, Source],
        target: Target,
        tables: IdentityTables,
        audit: Audit,
        context: Context,
        *,
        dry_run: bool,
    ) -> dict[str, Any]:
        from airflow_provider_customer360.extract.sources import open_source
        from airflow_provider_customer360.publish import fingerprint
        from airflow_provider_customer360.unify.pipeline import unify

        stated = {
            name: open_source(self, context, name, table).data
            for name in ("must_link", "must_not_link", "forget")
            if (table := getattr(self, name)) is not None
        }
        # Counted before they are read: another run may publish while this one works.
        known = fingerprint(target.hook, tables.kept_over_runs)
        as_of = self._reference_time(context)
        with unify(
            sources,
            self._config(),
            as_of=as_of,
            pii_salt=read_salt(self.pii_salt),
            previous=tables.previous(target.hook) if tables.identities and known.rows[0] else None,
            run_id=context["run_id"],
            recorded=tables.recorded(target.hook, known.rows[-1] if known.rows else None),
            resources=self._resources(),
            wrap_stage=self._folded,
            **stated,
        ) as unified:
            summary = {**tables.told(unified.summary), "dry_run": dry_run}
            withheld = tuple(name for name, action in self._config().pii.items() if action == "drop")
            load = self._profile_table().load(target.table, unified, as_of, audit=audit, withheld=withheld)
            self._publish(summary, target, unified, lambda: [load, *tables.loads(unified)], expect=known)
        return self._finish(audit.told(summary), context)

    def _sampled(self, target: Target, context: Context, *, dry_run: bool) -> dict[str, Any]:
        """Sample profiles, to show what the table will be like; they never replace one that exists."""
        from airflow_provider_customer360.publish import Published, table_exists
        from airflow_provider_customer360.unify.pipeline import unify
        from airflow_provider_customer360.unify.sample import sample_sources

        as_of = self._reference_time(context)
        config = Config(preview_rows=self.preview_rows)
        with unify(
            sample_sources(as_of), config, as_of=as_of, resources=self._resources(), wrap_stage=self._folded
        ) as unified:
            summary = {**unified.summary, "checks": [], "sample_data": True, "dry_run": dry_run}
            summary["warnings"] = [
                "These are sample profiles, because no source gave any data. Wire sources to this task.",
                *summary["warnings"],
            ]
            if table_exists(target.hook, target.table):
                self.log.info("%s exists; sample profiles do not replace it", target.table)
                nothing = Published(0, 0, 0, 0, 0, created=False)
                summary |= self._told(target, {target.table: nothing})
            else:
                load = self._profile_table().load(target.table, unified, as_of)
                self._publish(summary, target, unified, lambda: [load])
        return self._finish(summary, context)

    def _publish(
        self,
        summary: dict[str, Any],
        target: Target,
        unified: Unified,
        loads: Callable[[], Sequence[Load]],
        **more: Any,
    ) -> None:
        """Publish, or tell what that would do; the summary gains the counts and the seconds.

        Args:
            summary: of the run, to which is added.
            target: where to publish to.
            unified: the result of the run.
            loads: gives what to publish of it, which may take work.
            more: for `publish`.
        """
        from airflow_provider_customer360.publish import publish

        dry_run = summary["dry_run"]
        title = "Compare with the tables" if dry_run else "Publish"
        with self._folded(title), unified.stage(title) as stage:
            published = publish(
                target.hook, loads(), before_commit=self._stop_if_killed, dry_run=dry_run, **more
            )
            stage.rows = sum(counts.rows_written for counts in published.values())
            for table, counts in published.items():
                self.log.info("%s: %s", table, counted(counts, dry_run=dry_run))
        summary["duration_seconds"]["publish"] = stage.seconds
        summary["stage_rows"]["publish"] = stage.rows
        summary |= self._told(target, published)

    def _told(self, target: Target, published: Mapping[str, Published]) -> dict[str, Any]:
        return {
            "asset_name": self.asset_name,
            "description": self.description,
            "target_conn_id": self.target_conn_id,
            "target_table": target.table,
            "target": target.location,
            "write_mode": self.write_mode,
            **row_counts(target.table, published),
        }

    def _finish(self, summary: dict[str, Any], context: Context) -> dict[str, Any]:
        log_report(self.log, summary)
        if summary["dry_run"]:
            context["ti"].xcom_push("return_value", summary)
            raise AirflowSkipException("This was a dry run: no table was changed.")
        context["outlet_events"][self._asset()].extra.update(summary)
        return summary

    @contextmanager
    def _folded(self, title: str) -> Iterator[None]:
        """One folded group of the task log, opened unless the task is being killed."""
        self._stop_if_killed()
        self.log.info("::group::%s", title)
        try:
            yield
        finally:
            self.log.info("::endgroup::")

    def _stop_if_killed(self) -> None:
        if self._killed.is_set():
            raise AirflowException("The task was killed before it published; the table is as it was.")

    def _audit(self, context: Context) -> Audit:
        """The checks as rendered, with what this run overrides."""
        from airflow_provider_customer360.audit.override import PARAM, Override
        from airflow_provider_customer360.audit.verdict import Audit

        override = Override.of(context["params"])
        if override and self.checks:
            self.log.warning("The DAG param %s overrides in this run: %s", PARAM, override)
        return Audit(Checks.of(self.checks or {}), override, self.log)

    def _resources(self) -> Resources:
        return resources_of(self.memory_limit, self.temp_directory)

    def _profile_table(self) -> ProfileTable:
        return ProfileTable.of(self.write_mode, self.on_schema_change, self.snapshot_retention)

    def _config(self) -> Config:
        return Config(
            identifiers=self.identifiers,
            metrics=self.metrics,
            attributes=self.attributes,
            survivorship={} if self.survivorship is None else self.survivorship,
            provenance=self.provenance,
            identifier_types=self.identifier_types or {},
            guards=self.guards,
            assignments=bool(self.assignments_table),
            max_customer_records=self.max_customer_records,
            on_oversized_customer=self.on_oversized_customer,
            derived=self.derived or {},
            pii=self.pii or {},
            preview_rows=self.preview_rows,
            active_within=self.active_within,  # type: ignore[arg-type] # Config converts it
        )

    def _asset(self) -> Asset:
        return next(one for one in self.outlets if isinstance(one, Asset) and one.name == self.asset_name)

    @staticmethod
    def _reference_time(context: Context) -> datetime:
        """The end of the data interval; a manual or asset-triggered run has none, but always run_after."""
        reference: datetime = context.get("data_interval_end") or context["dag_run"].run_after
        return reference


def _listed(outlets: Any) -> list[Any]:
    return list(outlets) if isinstance(outlets, (list, tuple, set)) else [outlets] if outlets else []
