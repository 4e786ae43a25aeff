"""What a user states: sources and settings, as frozen dataclasses that check themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from airflow_provider_customer360.unify.errors import ConfigError
from airflow_provider_customer360.unify.identifier_types import (
    WITHOUT_GUARDS,
    IdentifierType,
    identifier_type,
)
from airflow_provider_customer360.unify.mask import mask
from airflow_provider_customer360.unify.pii import checked_pii
from airflow_provider_customer360.unify.spelling import canonical
from airflow_provider_customer360.unify.survivorship_rules import Survivorship, check_survivorship

#: ``{"customer_id": "member_no", "email": ["mail", "mail_2"]}`` or just column names.
Identifiers = Mapping[str, str | Sequence[str]] | Sequence[str]
#: ``["amount"]`` (summed) or ``{"amount": "sum", "rating": "mean"}``.
Metrics = Mapping[str, str] | Sequence[str]

#: What is done with a customer of more records than ``max_customer_records``.
ON_OVERSIZED = ("warn", "fail")
METRIC_AGGREGATES = ("sum", "mean", "min", "max")


@dataclass(frozen=True, kw_only=True)
class Source:
    """One source: its data and, where detection should not decide, the roles of its columns.

    Attributes:
        data: a pandas, polars or Arrow frame; an iterable of such frames (one source in batches); or
            the path or glob of Parquet, CSV or JSON-lines files.
        identifiers: identifier type to column name(s), or column names whose type is their own name.
            Given: exactly these. None: detected.
        metrics: columns to sum, or column to aggregate (sum, mean, min, max). None: detected.
        attributes: columns of which one value survives, the most recent unless `Config.survivorship` says
            otherwise. None: detected.
        event_time: the column that says when a record happened. None: detected.
        key: the column with the source's own key of a row, unique and never null, by which assignments
            name rows. None: the row's number, from 0.
    """

    data: Any
    identifiers: Identifiers | None = None
    metrics: Metrics | None = None
    attributes: Sequence[str] | None = None
    event_time: str | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        check_roles(self.identifiers, self.metrics, self.attributes)
        for name, value in (("event_time", self.event_time), ("key", self.key)):
            if value is not None and not isinstance(value, str):
                raise ConfigError(f"{name} is {_kind(value)}; give the name of one column.")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of a run; each has the name of the operator's argument.

    Attributes:
        identifiers, metrics, attributes: as in `Source`, for every source that does not state its own.
        derived: new profile column to SQL expression over profile columns, evaluated in this order.
        active_within: a customer seen within this time before ``as_of`` is active.
        identifier_types: identifier type to settings that differ from the package's, by the names of
            `IdentifierType`: ``{"email": {"limit": 3}, "ssn": {"priority": 5, "personal": True}}``.
        assignments: whether to tell the customer of every source row.
        guards: whether values are looked for that are shared by many people, numberings that collide and
            customers with too many values. Without, equal values alone decide, and what ``identifier_types``
            states.
        max_customer_records: a customer of more records than this is suspicious. None: of more than 1 % of
            all records, where that is more than 1,000.
        on_oversized_customer: ``warn`` or ``fail``.
        survivorship: profile column to the rule by which its value survives, or a group of columns that
            survive together, see `rules`; the columns become attributes. Others: the most recent value.
        provenance: a column ``<attribute>_source`` for each attribute or group: the source of its value.
        pii: profile column or identifier type to what is done with its values wherever they are published:
            ``hash``, ``mask`` or ``drop``, see `pii`. Hashing, and identifier types, take a salt.
        preview_rows: the most customers that the summary shows, masked; with 0 nothing of any customer is
            shown anywhere, not even masked.
    """

    identifiers: Identifiers | None = None
    metrics: Metrics | None = None
    attributes: Sequence[str] | None = None
    derived: Mapping[str, str] = field(default_factory=dict)
    active_within: timedelta = timedelta(days=30)
    identifier_types: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    assignments: bool = False
    guards: bool = True
    max_customer_records: int | None = None
    on_oversized_customer: str = "warn"
    survivorship: Survivorship = field(default_factory=dict)
    provenance: bool = False
    pii: Mapping[str, str] = field(default_factory=dict)
    preview_rows: int = 5

    def __post_init__(self) -> None:
        check_roles(self.identifiers, self.metrics, self.attributes)
        object.__setattr__(self, "pii", checked_pii(self.pii))
        self._check_identifier_types()
        for name in ("assignments", "guards"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name} is {getattr(self, name)!r}; give True or False.")
        if self.max_customer_records is not None and not _whole(self.max_customer_records, 1):
            raise ConfigError(
                f"max_customer_records is {self.max_customer_records!r}; give a whole number from 1, or None."
            )
        if not _whole(self.preview_rows, 0):
            raise ConfigError(f"preview_rows is {self.preview_rows!r}; give a whole number from 0.")
        if self.on_oversized_customer not in ON_OVERSIZED:
            raise ConfigError(
                f"on_oversized_customer is {self.on_oversized_customer!r}; "
                f"allowed: {', '.join(ON_OVERSIZED)}."
            )
        object.__setattr__(self, "active_within", as_timedelta("active_within", self.active_within))
        if not isinstance(self.derived, Mapping) or not _all_text([*self.derived, *self.derived.values()]):
            raise ConfigError(
                "derived is not a mapping of new column to SQL expression, both as text; give one "
                "such as {'average_order_value': 'amount / nullif(orders_records, 0)'}."
            )
        check_survivorship(self.survivorship, self.metrics or (), self.provenance)

    def type_of(self, name: str) -> IdentifierType:
        """An identifier type with the settings that apply in this run."""
        stated = self.identifier_types.get(name, {})
        made = identifier_type(name, stated if self.guards else {**WITHOUT_GUARDS, **stated})
        return replace(made, pii=self.pii.get(name))

    def shown(self, value: object) -> str:
        """A customer's value as messages may show it: masked, or not even that."""
        return mask(value) if self.preview_rows else "***"

    def _check_identifier_types(self) -> None:
        stated = self.identifier_types
        if not isinstance(stated, Mapping) or not all(isinstance(one, Mapping) for one in stated.values()):
            raise ConfigError(
                "identifier_types is not a mapping of identifier type to settings; give one such as "
                "{'email': {'limit': 3}, 'phone': {'region': 'US'}}."
            )
        if not _all_text(list(stated)):
            raise ConfigError("identifier_types has a type without a name; name it, such as 'email'.")
        named = {canonical(name): settings for name, settings in stated.items()}
        if len(named) < len(stated):
            raise ConfigError(
                f"identifier_types names a type twice in different spellings: {', '.join(map(repr, stated))}."
            )
        object.__setattr__(self, "identifier_types", named)
        for name in named:
            self.type_of(name)


def as_timedelta(setting: str, value: timedelta | int | float | str) -> timedelta:
    """A positive duration from a timedelta, a number of days or ISO 8601 text such as ``P30D``.

    Args:
        setting: whose value it is, for the error.
        value: as a user gives it.

    Raises:
        ConfigError: it is none of these, or not positive.
    """
    duration: Any = value
    if isinstance(value, str):
        import pendulum  # not at module level: parsing a DAG file must stay cheap

        try:
            duration = pendulum.parse(value)
        except ValueError:
            duration = None
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            duration = timedelta(days=value)
        except (ValueError, OverflowError):  # NaN, infinity
            duration = None
    if not isinstance(duration, timedelta) or duration <= timedelta(0):
        raise ConfigError(
            f"{setting} is {value!r}; give a positive timedelta, a number of days or an ISO 8601 "
            "duration such as 'P30D'."
        )
    return timedelta(seconds=duration.total_seconds())


def check_roles(identifiers: Any, metrics: Any, attributes: Any) -> None:
    """Check the shape of stated roles; whether the columns exist shows when the data is there.

    Raises:
        ConfigError: a value of the wrong shape or an unknown aggregate.
    """
    if identifiers is not None:
        columns = list(identifiers.values()) if isinstance(identifiers, Mapping) else [identifiers]
        flat = [name for entry in columns for name in ([entry] if isinstance(entry, str) else _listed(entry))]
        if isinstance(identifiers, str) or not _all_text([*flat, *identifiers]):
            raise ConfigError(
                f"identifiers is {_kind(identifiers)}; give {{'customer_id': 'member_no'}} (type to column "
                "or list of columns) or a list of column names."
            )
    if metrics is not None:
        if isinstance(metrics, str) or not _all_text(_listed(metrics)):
            raise ConfigError(
                f"metrics is {_kind(metrics)}; give a list of columns to sum, or {{'amount': 'sum'}}."
            )
        stated = metrics.values() if isinstance(metrics, Mapping) else ()
        unknown = sorted({str(aggregate) for aggregate in stated} - set(METRIC_AGGREGATES))
        if unknown:
            raise ConfigError(
                f"metrics asks for {', '.join(map(repr, unknown))}; allowed: {', '.join(METRIC_AGGREGATES)}."
            )
    if attributes is not None and (isinstance(attributes, str) or not _all_text(_listed(attributes))):
        raise ConfigError(f"attributes is {_kind(attributes)}; give a list of column names.")


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (Mapping, Sequence)) else [value]


def _all_text(values: Sequence[Any]) -> bool:
    return all(isinstance(value, str) and value for value in values)


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _kind(value: Any) -> str:
    return f"a {type(value).__name__}"
