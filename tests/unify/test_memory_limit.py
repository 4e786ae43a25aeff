"""Memory under real limits: what a process holds at most, and that the result is the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

#: Unifies under a limit and prints the limit, the most memory held (resident) and what came out.
_RUN = """
import json, resource, sys
from airflow_provider_customer360.unify import Resources, unify
source, spill, limit, addresses = sys.argv[1:]
if addresses:
    resource.setrlimit(resource.RLIMIT_DATA, (int(addresses), int(addresses)))
with unify({"crm": source}, resources=Resources(memory_limit=limit or None, temp_directory=spill)) as unified:
    frames = (unified.profiles, unified.identities)
    rows = [sum(batch.num_rows for batch in frame.batches()) for frame in frames]
    # Of this program alone; what getrusage tells includes the process that started it.
    (peak,) = (int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
    prints = [unified._engine.row(f"SELECT sum(hash(t)::HUGEINT)::VARCHAR FROM ({frame.query}) t")[0] for frame in frames]
    print(json.dumps({"limit": unified._engine._memory.size, "peak": peak, "result": [rows, prints]}))
"""  # noqa: E501

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="other systems count memory otherwise"),
]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600,000 rows of 200,000 people, whose tables take more than the smallest limit leaves."""
    path = tmp_path_factory.mktemp("large") / "crm.parquet"
    duckdb.connect().execute(
        "COPY (SELECT 'c' || i % 200000 AS customer_id, 'person' || i % 200000 || '@mail.example' AS email, "
        "CASE WHEN i % 3 = 0 THEN 'device ' || i END AS anonymous_id, i * 7919 % 1000 AS points, "
        "TIMESTAMP '2026-01-01' + to_seconds(i) AS updated_at, "
        "'a street with a long name ' || i % 5000 AS street "
        f"FROM range(600000) AS rows(i)) TO '{path}' (FORMAT parquet)"
    )
    return path


@pytest.fixture(scope="module")
def unlimited(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A run with all the memory that there is."""
    return run(source, tmp_path_factory.mktemp("spill"), limit="100%")


def run(source: Path, spill: Path, limit: str = "", addresses: int | str = "") -> dict[str, Any]:
    """Unify in a process of its own.

    Args:
        limit: the memory limit; empty for the default.
        addresses: ulimit -d, in bytes.
    """
    command = [sys.executable, "-c", _RUN, str(source), str(spill), limit, str(addresses)]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=300).stdout
    assert not list(spill.iterdir())
    told: dict[str, Any] = json.loads(output)
    return told


@pytest.mark.parametrize("limit", ["340MB", "500MB"])
def test_a_run_keeps_to_its_limit(
    source: Path, unlimited: dict[str, Any], tmp_path: Path, limit: str
) -> None:
    """At most a quarter more is ever resident, Python and all, and the result is the same."""
    limited = run(source, tmp_path, limit)
    assert limited["result"] == unlimited["result"]
    assert limited["peak"] < 1.25 * limited["limit"]
    assert unlimited["peak"] > 1.25 * 340_000_000  # or the limit would mean nothing


def test_the_default_does_under_ulimit(source: Path, unlimited: dict[str, Any], tmp_path: Path) -> None:
    """A run that is told nothing finishes where the system refuses it more memory."""
    limited = run(source, tmp_path, addresses=2_500_000_000)
    assert limited["limit"] < 500_000_000
    assert limited["result"] == unlimited["result"]
