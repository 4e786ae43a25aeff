"""The operator: stores arguments, orchestrates, maps errors to Airflow's, reports."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
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

from airflow_provider_customer360.database.connections import DEFAULT_CONN_ID
from airflow_provider_customer360.database.tables import parse_table
from airflow_provider_customer360.extract.concealed import Concealed
from airflow_provider_customer360.extract.spec import check_sources
from airflow_provider_customer360.unify.config import Config, Identifiers, Metrics
from airflow_provider_customer360.unify.errors import (
    ConfigError,
    Customer360Error,
    NoDataError,
    TransientError,
)
from airflow_provider_customer360.unify.survivorship_rules import Survivorship

if TYPE_CHECKING:
    from datetime import datetime

    import jinja2
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_customer360.publish import Published
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
    :param derived: new column to SQL expression over profile columns. (templated)
    :param active_within: a customer seen within this time before the run's reference time (end of the data
        interval, else ``run_after``) is active: a timedelta, a number of days or ISO 8601 such as ``P30D``.
    :param when_no_data: ``auto`` (sample profiles where no source is wired, else skip), ``sample``, ``skip``
        or ``fail``.
    :param target_conn_id: connection of the target: DuckDB, SQLite or Postgres. The default one need not
        exist: then it is the DuckDB file ``customer360.duckdb`` in AIRFLOW_HOME. (templated)
    :param target_table: ``table`` or ``schema.table``. None: ``asset_name`` as it is. (templated)
    :param write_mode: ``replace``: after the run the table equals the profiles.
    :return: the summary, also pushed as the asset event's extra.
    :raises AirflowFailException: bad configuration or data; a retry would fail the same way.
    :raises AirflowSkipException: the sources are empty; the live table stays as it is.
    """

    template_fields: Sequence[str] = ("sources", "derived", "target_conn_id", "target_table")
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers = {"sources": "json", "derived": "json"}  # noqa: RUF012 - Airflow's own form
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
        derived: Mapping[str, str] | None = None,
        active_within: timedelta | int | float | str = timedelta(days=30),
        when_no_data: str = "auto",
        target_conn_id: str = DEFAULT_CONN_ID,
        target_table: str | None = None,
        write_mode: str = "replace",
        **kwargs: Any,
    ) -> None:
        if not isinstance(asset_name, str) or not asset_name.strip():
            raise ConfigError(
                f"asset_name is {asset_name!r}; give the outlet asset a name, such as 'customers'."
            )
        if when_no_data not in WHEN_NO_DATA:
            raise ConfigError(f"when_no_data is {when_no_data!r}; allowed: {', '.join(WHEN_NO_DATA)}.")
        if write_mode != "replace":
            raise ConfigError(f"write_mode is {write_mode!r}; this version writes 'replace' only.")
        if target_table is not None and "{{" not in str(target_table):
            parse_table(target_table)
        if isinstance(sources, Mapping):
            check_sources(sources)
        elif sources is not None and not isinstance(sources, XComArg):
            raise ConfigError(
                f"sources is a {type(sources).__name__}; give a mapping of source name to source, or nothing "
                "to take every upstream task's frame."
            )
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
        self.derived = derived
        self.active_within = active_within
        self.when_no_data = when_no_data
        self.target_conn_id = target_conn_id
        self.target_table = target_table
        self.write_mode = write_mode
        self._config()  # a wrong shape fails when the DAG is parsed, not tonight
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
            failure = AirflowException(_without_values(error))
        # Raised after the handlers, so that not even its __context__ leads to a message with values.
        raise failure

    def on_kill(self) -> None:
        """Stop before the next stage, and before publishing commits: the live table stays as it is."""
        self._killed.set()

    def _execute(self, context: Context) -> dict[str, Any]:
        from airflow_provider_customer360.database.connections import target_hook
        from airflow_provider_customer360.extract.sources import open_sources
        from airflow_provider_customer360.unify.pipeline import unify
        from airflow_provider_customer360.unify.sample import sample_sources

        as_of = self._reference_time(context)
        target_hook(self.target_conn_id)  # a missing target is said before hours of reading, not after
        wired = open_sources(self, context)
        sample = not wired and self.when_no_data in ("auto", "sample")
        try:
            if not wired and not sample:
                raise NoDataError(
                    "No source is wired to this task and none of its upstream tasks gave a frame."
                )
            data = sample_sources(as_of) if sample else wired
            unified = unify(data, self._config(), as_of=as_of, wrap_stage=self._folded)
        except NoDataError as error:
            if self.when_no_data == "fail":
                raise
            if self.when_no_data != "sample":
                raise AirflowSkipException(f"{error} The table was left as it is.") from None
            sample = True
            unified = unify(sample_sources(as_of), Config(), as_of=as_of, wrap_stage=self._folded)
        with unified:
            return self._finish(unified, sample, context)

    def _finish(self, unified: Unified, sample: bool, context: Context) -> dict[str, Any]:
        summary = self._publish(unified, sample)
        self._report(summary)
        context["outlet_events"][self._asset()].extra.update(summary)
        return summary

    def _publish(self, unified: Unified, sample: bool) -> dict[str, Any]:
        from airflow_provider_customer360.database.connections import target_hook, target_name
        from airflow_provider_customer360.publish import Load, Published, publish, table_exists

        started = time.monotonic()
        with self._folded("Publish"):
            hook, location = target_hook(self.target_conn_id)
            table = target_name(self.target_table, self.asset_name)
            published = Published(0, 0, 0, 0, 0, created=False)
            if sample and table_exists(hook, table):
                self.log.info("%s exists; sample profiles do not replace it", table)
            else:
                profiles = unified.profiles
                load = Load(table, profiles.batches(), profiles.schema, key=("customer_id",))
                published = publish(hook, [load], before_commit=self._stop_if_killed)[table]
                self.log.info("%s in %s: %s", table, location, _counts(published))
        summary = self._summary(unified, sample, table, location, published)
        summary["duration_seconds"]["publish"] = round(time.monotonic() - started, 3)
        return summary

    def _summary(
        self, unified: Unified, sample: bool, table: str, location: str, published: Published
    ) -> dict[str, Any]:
        summary = {
            "asset_name": self.asset_name,
            "description": self.description,
            "target_conn_id": self.target_conn_id,
            "target_table": table,
            "target": location,
            "write_mode": self.write_mode,
            "rows_written": published.rows_written,
            "rows_inserted": published.rows_inserted,
            "rows_updated": published.rows_updated,
            "rows_deleted": published.rows_deleted,
            "rows_unchanged": published.rows_unchanged,
            **unified.summary,
            "sample_data": sample,
        }
        if sample:
            summary["warnings"] = [
                "These are sample profiles, because no source gave any data. Wire sources to this task.",
                *summary["warnings"],
            ]
        return summary

    def _report(self, summary: Mapping[str, Any]) -> None:
        """What a person reads first: the outcome, the warnings and a masked preview, outside the groups."""
        self.log.info(
            "%s customers (%s active) from %s records of %d sources; merge rate %.1f %%; %s",
            f"{summary['total_customers']:,}",
            f"{summary['active_customers']:,}",
            f"{summary['total_records']:,}",
            summary["data_sources"],
            100 * summary["merge_rate"],
            f"{summary['rows_written']:,} rows in {summary['target_table']} ({summary['target']})",
        )
        for warning in summary["warnings"]:
            self.log.warning("%s", warning)
        self.log.info("Preview, masked:")
        for line in summary["preview"].splitlines():
            self.log.info("%s", line)

    @contextmanager
    def _folded(self, title: str) -> Iterator[None]:
        """One folded group of the task log, opened unless the task is being killed."""
        self._stop_if_killed()
        self.log.info("::group::%s", title)
        started = time.monotonic()
        try:
            yield
        finally:
            self.log.info("%s took %.1f s", title, time.monotonic() - started)
            self.log.info("::endgroup::")

    def _stop_if_killed(self) -> None:
        if self._killed.is_set():
            raise AirflowException("The task was killed before it published; the table is as it was.")

    def _config(self) -> Config:
        return Config(
            identifiers=self.identifiers,
            metrics=self.metrics,
            attributes=self.attributes,
            survivorship={} if self.survivorship is None else self.survivorship,
            provenance=self.provenance,
            derived=self.derived or {},
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


def _counts(published: Published) -> str:
    return (
        f"{published.rows_inserted:,} inserted, {published.rows_updated:,} updated, "
        f"{published.rows_deleted:,} deleted, {published.rows_unchanged:,} unchanged"
    )


def _without_values(error: Exception) -> str:
    """An unexpected error by kind and places: its own message may quote customer data."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{frame.filename}:{frame.lineno}" for frame in frames]
    return (
        f"Unexpected {type(error).__name__}. Its message is withheld, since it may quote customer data. "
        f"Please report it with its places: {' > '.join(places[1:])}"
    )
