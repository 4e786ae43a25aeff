"""What a template may give for a choice between two."""

from __future__ import annotations

from airflow_provider_customer360.unify.errors import ConfigError

_TRUE, _FALSE = ("true", "yes", "1"), ("false", "no", "0", "none", "")


def truth_of(setting: str, value: bool | str | None) -> bool:
    """A truth value, or the text that a template made of one.

    Raises:
        ConfigError: it is neither.
    """
    text = str(value).strip().lower()
    if text not in (*_TRUE, *_FALSE):
        raise ConfigError(f"{setting} is {value!r}; give True, False or a template of one of them.")
    return text in _TRUE
