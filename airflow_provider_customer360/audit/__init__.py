"""The audit before publishing: staged profiles against fixed bounds and against the table as it is.

Imported when a DAG file is parsed, to check what the user states; measuring is left to the database.
"""

from __future__ import annotations

from airflow_provider_customer360.audit.checks import Checks, check_stated
from airflow_provider_customer360.audit.measures import Audited
from airflow_provider_customer360.audit.override import PARAM, Override
from airflow_provider_customer360.audit.verdict import Audit

__all__ = ["PARAM", "Audit", "Audited", "Checks", "Override", "check_stated"]
