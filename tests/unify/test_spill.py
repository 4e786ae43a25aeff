"""Spill directories: data of customers that no killed process leaves on a disk for long."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.spill import PREFIX, SpillDirectory

#: Spills, says where, and waits to be killed.
_SPILLING = """
import sys
from airflow_provider_customer360.unify.engine import Engine
engine = Engine()
engine.run("SET memory_limit = '40MB'")
engine.run("SET threads = 1")
engine.run("CREATE TABLE t AS SELECT range AS i, sha256(range::VARCHAR) AS v FROM range(1000000)")
print(engine._spill.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for temporary files that no other test uses."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_a_directory_is_private_and_goes_with_the_engine(temporary: Path) -> None:
    """Also when it is closed twice."""
    with Engine() as engine:
        [folder] = temporary.iterdir()
        assert folder.stat().st_mode & 0o077 == 0
    assert not list(temporary.iterdir())
    engine.close()


def test_what_a_killed_process_left_goes_with_the_next_run(temporary: Path) -> None:
    """And nothing of a process that lives."""
    killed, living = (
        subprocess.Popen(
            [sys.executable, "-c", _SPILLING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    )
    try:
        left, used = (Path(one.stdout.readline().strip()) for one in (killed, living) if one.stdout)
        assert left.parent == used.parent == temporary
        spilled = {folder: sum(one.stat().st_size for one in folder.iterdir()) for folder in (left, used)}
        assert min(spilled.values()) > 1_000_000
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert left.exists()
        with Engine() as engine:
            engine.run("SELECT 1")
            assert not left.exists()
            assert used.exists()
    finally:
        for process in (killed, living):
            process.communicate()
    assert not used.exists()


def test_what_is_not_ours_stays(temporary: Path) -> None:
    """A directory without a lock, which is just being made, and a link to somebody's directory."""
    fresh = Path(tempfile.mkdtemp(prefix=PREFIX))
    somebodys = temporary / "somebodys"
    somebodys.mkdir()
    (somebodys / "lock").touch()
    (temporary / f"{PREFIX}link").symlink_to(somebodys)
    SpillDirectory().remove()
    assert fresh.exists()
    assert (somebodys / "lock").exists()
