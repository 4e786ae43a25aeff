"""Errors of the package: each says what was found, what is allowed and what to do next.

No message carries a customer's value. The core never decides what is worth a retry; the operator
maps these classes to Airflow's.
"""

from __future__ import annotations


class Customer360Error(Exception):
    """Base of every error that the package raises on purpose."""


class ConfigError(Customer360Error, ValueError):
    """The configuration contradicts itself or the data (unknown column, wrong type, bad name)."""


class SourceError(Customer360Error):
    """A source could not be read (missing connection, failing SQL, no such file, not a frame)."""


class DataError(Customer360Error):
    """The data was read but cannot be unified (no identifier anywhere, a sum beyond 38 digits)."""


class PublishError(Customer360Error):
    """The profiles could not be written; the target table is as it was."""


class CheckFailed(DataError):
    """The profiles are not what the stated checks allow; the target table is as it was."""


class MemoryExceeded(Customer360Error):
    """The run needs more memory, or more room to spill to, than it was given."""


class NoDataError(DataError):
    """Every source is empty."""


class TransientError(Customer360Error):
    """Mixed into an error whose cause may be gone at the next attempt (connection lost, lock timeout)."""
