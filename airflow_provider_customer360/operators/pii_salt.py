"""The salt of hashed personal data, which lies in an Airflow variable or connection and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_customer360.unify.errors import ConfigError

_FORMS = "{'variable': <its name>} or {'conn_id': <of the connection whose password it is>}"


def check_salt(place: Any, pii: Mapping[str, str]) -> None:
    """Check where the salt is said to be, when the DAG is parsed.

    Raises:
        ConfigError: it is no such place, or something is to be hashed and there is none.
    """
    if place is None:
        if "hash" in pii.values():
            raise ConfigError(f"pii says 'hash', which takes a salt: give pii_salt, {_FORMS}.")
        return
    is_place = isinstance(place, Mapping) and len(place) == 1 and set(place) <= {"variable", "conn_id"}
    if not is_place or not all(isinstance(name, str) and name.strip() for name in place.values()):
        # Not what was found: it may be the salt itself.
        raise ConfigError(
            f"pii_salt is a {type(place).__name__} that does not say where the salt is; give {_FORMS}. The "
            "salt itself must not stand in a DAG file."
        )


def read_salt(place: Mapping[str, str] | None) -> str | None:
    """The salt, which Airflow masks in its logs from now on.

    Raises:
        ConfigError: there is no such variable or connection, or it is empty.
    """
    if place is None:
        return None
    from airflow.sdk.log import mask_secret

    [(kind, name)] = place.items()
    salt = _variable(name) if kind == "variable" else _password(name)
    if not salt:
        where = f"variable {name!r}" if kind == "variable" else f"password of connection {name!r}"
        raise ConfigError(
            f"pii_salt is the {where}, which does not exist or is empty. Make a salt, such as by `openssl "
            "rand -hex 32`, put it there, and keep it: with another one all hashed identifiers are new ones."
        )
    mask_secret(salt)
    return salt


def _variable(name: str) -> str | None:
    from airflow.providers.common.compat.sdk import Variable

    value = Variable.get(name, default=None)
    return None if value is None else str(value)


def _password(conn_id: str) -> str | None:
    from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

    try:
        return BaseHook.get_connection(conn_id).password
    except AirflowNotFoundException:
        return None
