"""The databases on which checks are made: those that profiles are published to."""

from __future__ import annotations

from tests.publish.conftest import db

__all__ = ["db"]
