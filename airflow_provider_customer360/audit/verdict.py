"""The verdict on what is about to be published."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from airflow_provider_customer360.audit.checks import Checks
from airflow_provider_customer360.audit.evaluation import evaluate
from airflow_provider_customer360.audit.findings import Finding
from airflow_provider_customer360.audit.measures import Audited
from airflow_provider_customer360.audit.override import PARAM, Override
from airflow_provider_customer360.unify.errors import CheckFailed

#: So many checks of a kind that passed are told one by one.
_SHOWN = 3


class Audit:
    """The checks of a run. Called by `publish` when the profiles are staged and nothing is changed yet.

    Attributes:
        findings: what came of them, once called.
    """

    def __init__(self, checks: Checks, override: Override, log: Any) -> None:
        self._checks = checks
        self._override = override
        self._log = log
        self.findings: tuple[Finding, ...] = ()

    def __call__(self, audited: Audited) -> None:
        """Apply all checks, and log what came of each.

        Raises:
            CheckFailed: some are breached; it names each of them.
            ConfigError, TransientError: see `evaluate`.
        """
        found = evaluate(self._checks, audited, self._override)
        self.findings = tuple(map(self._judged, found))
        for line in _lines(self.findings):
            self._log.info("%s", line)
        unused = self._override.unused(finding.check for finding in self.findings)
        if unused:
            self._log.warning("%s: none of this task's checks is %s", PARAM, ", ".join(map(repr, unused)))
        breached = [finding for finding in self.findings if finding.result == "breached"]
        if breached:
            raise CheckFailed(_failure(breached, len(self.findings)))

    def told(self, summary: Mapping[str, Any]) -> dict[str, Any]:
        """The summary with what came of the checks, and a warning of each that was overridden."""
        overridden = [
            f"Check {finding.check} was overridden: {finding.text}"
            for finding in self.findings
            if finding.result == "overridden"
        ]
        checks = [finding.as_dict() for finding in self.findings]
        return {**summary, "checks": checks, "warnings": [*overridden, *summary["warnings"]]}

    def _judged(self, finding: Finding) -> Finding:
        overridden = finding.result == "breached" and self._override.covers(finding.check)
        return replace(finding, result="overridden") if overridden else finding


def _lines(findings: Sequence[Finding]) -> Iterator[str]:
    for (kind, result), group in groupby(findings, key=lambda finding: (finding.kind, finding.result)):
        alike = list(group)
        if result == "passed" and len(alike) > _SHOWN:
            yield f"Checks {kind}: {len(alike)} passed"
        else:
            yield from (f"Check {finding.check} {result}: {finding.text}" for finding in alike)


def _failure(breached: Sequence[Finding], made: int) -> str:
    names = json.dumps({PARAM: [finding.check for finding in breached]}, ensure_ascii=False)
    return "\n".join(
        [
            f"{len(breached)} of {made} checks failed. Nothing was published; the table and the identities "
            "are as they were.",
            *(f"- {finding.check}: {finding.text}" for finding in breached),
            "Look at the sources. If the profiles are right, run the DAG once without these checks: "
            f"airflow dags trigger <dag_id> --conf {shlex.quote(names)}",
        ]
    )
