"""What a task may use of its worker: its parameters, else Airflow's configuration, else the default."""

from __future__ import annotations

from airflow_provider_customer360.unify.resources import Resources

SECTION = "customer360"


def resources_of(memory_limit: str | int | None, temp_directory: str | None) -> Resources:
    """The parameters of a task, and from ``[customer360]`` what they leave open; read when the task runs.

    Raises:
        ConfigError: the configuration has a value that the parameter could not have.
    """
    from airflow.providers.common.compat.sdk import conf

    stated = {"memory_limit": memory_limit, "temp_directory": temp_directory}
    # An option that is there but blank is not stated.
    configured = {
        name: conf.get(SECTION, name, fallback="").strip() or None
        for name, value in stated.items()
        if value is None
    }
    names = {name: f"[{SECTION}] {name}" for name, value in configured.items() if value}
    return Resources(**{**stated, **configured}, names=names)  # type: ignore[arg-type]
