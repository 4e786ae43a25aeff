"""What importing the operator costs a DAG file, above ``airflow.sdk`` itself.

    python -m benchmarks.parse_cost

Airflow parses DAG files over and over; the promise is at most 50 ms. Each figure is the median of fresh
interpreters; the exit status is 1 when the promise is broken.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

PROMISED_MS = 50.0
RUNS = 15
_CODE = """
import time
import airflow.sdk
from airflow.sdk import DAG, task, BaseOperator, Asset
started = time.perf_counter()
from airflow_provider_customer360.operators.customer360 import Customer360Operator
print((time.perf_counter() - started) * 1000)
"""


def measured(runs: int = RUNS) -> float:
    """Milliseconds of the import, in the middle of this many interpreters."""
    return statistics.median(_once() for _ in range(runs))


def _once() -> float:
    result = subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True, check=True)
    return float(result.stdout.splitlines()[-1])


if __name__ == "__main__":
    cost = measured()
    print(f"{cost:.1f} ms above airflow.sdk (promised: at most {PROMISED_MS:.0f} ms)")
    sys.exit(cost > PROMISED_MS)
