"""Types of identifiers: how strong each is, how it is compared, and what keeps it from gluing strangers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from airflow_provider_customer360.unify.errors import ConfigError

#: Standardisers that the package has; anything else is an SQL expression over ``value``.
STANDARDISERS = ("id", "lower", "email", "email_with_provider_rules", "phone", "digits")
#: Whether sources that use one type number the same customers.
NUMBERINGS = ("auto", "shared", "per_source")
#: Over what a limit counts.
SCOPES = ("customer", "source")

#: Priority from which on values are of devices and browsers, of which a person has many over the years.
DEVICE = 50
#: Priority of a key of one system: a vendor's, or one that the user added.
OWN_KEY = 20


@dataclass(frozen=True, kw_only=True)
class IdentifierType:
    """What is done with the values of one type of identifier.

    Attributes:
        name: of the type, and of the profile column that shows its latest value.
        priority: the lower, the stronger; a customer's id is taken from the strongest, and of two links the
            one between stronger types is kept.
        standardise: one of `STANDARDISERS`, or a DuckDB expression over ``value``, the trimmed text;
            where it gives NULL or empty text, the value identifies nobody.
        valid: a DuckDB condition over ``value``, the standard form; a value that fails identifies nobody.
        region: two letters of the country in which phones without a country code were written; None:
            such phones are compared by their digits.
        default_blocks: whether the placeholders that the package knows are blocked.
        block: further values that identify nobody, compared after standardising and without case.
        block_patterns: regular expressions (RE2) of such values; they must match the whole standard form.
        links: whether a shared value makes two records one customer; where not, values are only shown.
        shared_after: a value seen with more distinct customers than this is shared and links nobody;
            None: never.
        limit: the most values of this type that one customer may have; None: any number.
        limit_per: whether they are counted per ``customer``, or per customer and ``source``.
        numbering: whether sources number the same customers: ``auto`` measures it, ``shared`` and
            ``per_source`` state it.
        personal: values are personal data: masked wherever shown, and only as a digest in a customer's id.
        pii: what is done with the values that are published, see `pii`; stated apart from the rest.
    """

    name: str
    priority: int = OWN_KEY
    standardise: str = "id"
    valid: str | None = None
    region: str | None = None
    default_blocks: bool = True
    block: tuple[str, ...] = ()
    block_patterns: tuple[str, ...] = ()
    links: bool = True
    shared_after: int | None = None
    limit: int | None = 5
    limit_per: str = "customer"
    numbering: str = "auto"
    personal: bool = False
    pii: str | None = None

    @property
    def strength(self) -> tuple[int, str]:
        """Sort key, the strongest first."""
        return self.priority, self.name


# Thresholds are those that measured best on labelled data (benchmarks/accuracy); where figures differ by
# little, the one that loses fewer true links: people have more addresses and numbers than that data says.
_KNOWN: dict[str, dict[str, Any]] = {
    "customer_id": {"priority": 0, "limit_per": "source"},
    "user_id": {"priority": 10, "limit_per": "source", "shared_after": 3},
    "email": {"priority": 30, "standardise": "email", "personal": True, "shared_after": 2},
    "phone": {"priority": 40, "standardise": "phone", "personal": True, "shared_after": 1, "limit": 3},
    "anonymous_id": {"priority": DEVICE, "shared_after": 2, "limit": 50},
    **{
        name: {"personal": True, "limit": 1, "standardise": "digits" if name == "ssn" else "id"}
        for name in ("ssn", "passport_id", "passport_no", "passport_number")
    },
}
#: Settings under which equal values alone decide.
WITHOUT_GUARDS: dict[str, Any] = {"shared_after": None, "limit": None, "numbering": "shared"}
STANDARD_TYPES = frozenset({"customer_id", "user_id", "email", "phone", "anonymous_id"})
#: Types of which it is known, without the settings of a run, that their values may be shown.
NEVER_PERSONAL = frozenset({"customer_id", "user_id", "anonymous_id", "profile_id"})
_CHECKS: dict[str, tuple[Any, str]] = {
    "priority": (lambda v: _whole(v), "a whole number"),
    "standardise": (lambda v: _text(v), f"one of {', '.join(STANDARDISERS)} or an SQL expression over value"),
    "valid": (lambda v: v is None or _text(v), "an SQL condition over value"),
    "region": (
        lambda v: v is None or (_text(v) and re.fullmatch("[A-Z]{2}", v)),
        "two capitals such as 'US'",
    ),
    "default_blocks": (lambda v: isinstance(v, bool), "true or false"),
    "block": (lambda v: all(map(_text, v)), "a list of texts"),
    "block_patterns": (lambda v: all(map(_text, v)), "a list of regular expressions"),
    "links": (lambda v: isinstance(v, bool), "true or false"),
    "shared_after": (
        lambda v: v is None or (_whole(v) and v >= 1),
        "a whole number from 1, or None for never",
    ),
    "limit": (lambda v: v is None or (_whole(v) and v >= 1), "a whole number from 1, or None for no limit"),
    "limit_per": (lambda v: v in SCOPES, f"one of {', '.join(SCOPES)}"),
    "numbering": (lambda v: v in NUMBERINGS, f"one of {', '.join(NUMBERINGS)}"),
    "personal": (lambda v: isinstance(v, bool), "true or false"),
}


def identifier_type(name: str, stated: Mapping[str, Any] | None = None) -> IdentifierType:
    """A type with the package's settings for its name, and what the user stated instead.

    Raises:
        ConfigError: an unknown setting, or a value that it cannot have.
    """
    settings = dict(stated or {})
    unknown = sorted(set(map(str, settings)) - set(_CHECKS))
    if unknown:
        raise ConfigError(
            f"identifier_types[{name!r}] has {', '.join(map(repr, unknown))}; allowed: {', '.join(_CHECKS)}."
        )
    for key, value in settings.items():
        check, allowed = _CHECKS[key]
        if key in ("block", "block_patterns"):
            if isinstance(value, str) or not isinstance(value, (list, tuple, set, frozenset)):
                raise _wrong(name, key, value, allowed)
            settings[key] = value = tuple(sorted(value, key=str))
        if not check(value):
            raise _wrong(name, key, value, allowed)
    made = replace(IdentifierType(name=name, **_KNOWN.get(name, {})), **settings)
    if made.region is not None and made.standardise != "phone":
        raise ConfigError(
            f"{setting(name, 'region')} is {made.region!r}, but its values are standardised as "
            f"{made.standardise!r}; a region is for phones: leave it out or state 'standardise': 'phone'."
        )
    return made


def setting(name: str, key: str) -> str:
    """A setting of a type as errors name it."""
    return f"identifier_types[{name!r}][{key!r}]"


def _wrong(name: str, key: str, value: Any, allowed: str) -> ConfigError:
    shown = (
        repr(value) if isinstance(value, (str, int, float, bool, type(None))) else f"a {type(value).__name__}"
    )
    return ConfigError(f"{setting(name, key)} is {shown}; give {allowed}.")


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
