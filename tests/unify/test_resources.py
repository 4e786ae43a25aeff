"""What a run may use: how it is stated, what a worker really has, and what is said when it does not do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_customer360.unify import ConfigError, MemoryExceeded, Resources
from airflow_provider_customer360.unify.engine import Engine
from airflow_provider_customer360.unify.resources import memory_of_worker
from airflow_provider_customer360.unify.result import Frame
from airflow_provider_customer360.unify.spill import PREFIX, SpillDirectory

GB = 10**9
#: 8 GiB.
MACHINE = "MemTotal:        8388608 kB\nMemFree: 1 kB\n"


def machine(root: Path, groups: str = "0::/\n", **files: str) -> Path:
    """A file system as Linux shows it, with the limits of control groups by their paths."""
    for path, text in {"proc/meminfo": MACHINE, "proc/self/cgroup": groups, **files}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


@pytest.mark.parametrize(
    ("stated", "size"),
    [
        ("4GB", 4 * GB),
        ("4 gb", 4 * GB),
        ("1.5GB", 1_500_000_000),
        ("512 MiB", 512 * 2**20),
        ("2GiB", 2**31),
        ("700000000B", 700_000_000),
        ("700000000", 700_000_000),
        (700_000_000, 700_000_000),
        ("50%", 2**32),
        ("12.5 %", 2**30),
        (None, int(0.6 * 2**33)),
    ],
)
def test_a_limit_is_a_size_or_a_share(tmp_path: Path, stated: Any, size: int) -> None:
    """Units are decimal or binary; a share, and the default, are of what the worker has."""
    assert Resources(memory_limit=stated).memory(machine(tmp_path)).size == size


@pytest.mark.parametrize(
    "stated", ["lots", "4 XB", "-1GB", "0", 0, -5, 1.5, True, "0%", "101%", "", "4GB 4GB"]
)
def test_anything_else_is_refused(stated: Any) -> None:
    """The error says what is allowed, under the name of the setting that it comes from."""
    with pytest.raises(ConfigError, match=r"^memory_limit is .*'4GB'.*'512 MiB'.*'50%'.*bytes"):
        Resources(memory_limit=stated)
    with pytest.raises(ConfigError, match=r"^\[customer360\] memory_limit is "):
        Resources(memory_limit=stated, names={"memory_limit": "[customer360] memory_limit"})


@pytest.mark.parametrize("stated", ["", " ", 5])
def test_a_directory_is_a_path(stated: Any) -> None:
    """What cannot be one is refused before anything is made."""
    with pytest.raises(ConfigError, match=r"^temp_directory is .*; give the path"):
        Resources(temp_directory=stated)


GROUPS = {
    "no limit": ("0::/a/b\n", {"sys/fs/cgroup/a/b/memory.max": "max\n"}, 2**33),
    "its own": ("0::/a/b\n", {"sys/fs/cgroup/a/b/memory.max": "2000000000\n"}, 2 * GB),
    "one above": (
        "0::/a/b\n",
        {"sys/fs/cgroup/a/b/memory.max": "2000000000\n", "sys/fs/cgroup/a/memory.max": "1000000000\n"},
        GB,
    ),
    "more than the machine": ("0::/a\n", {"sys/fs/cgroup/a/memory.max": "99000000000\n"}, 2**33),
    "of a container, that sees its own alone": ("0::/\n", {"sys/fs/cgroup/memory.max": "1000000000\n"}, GB),
    "above a namespace": ("0::/../x\n", {"sys/fs/cgroup/memory.max": "1000000000\n"}, GB),
    "version 1": (
        "7:cpu,cpuacct:/\n4:memory:/a\n0::/\n",
        {"sys/fs/cgroup/memory/a/memory.limit_in_bytes": "1000000000\n"},
        GB,
    ),
    "version 1, none": (
        "4:memory:/a\n",
        {"sys/fs/cgroup/memory/a/memory.limit_in_bytes": "9223372036854771712\n"},
        2**33,
    ),
    "version 1, the host's path in a container": (
        "4:memory:/docker/1a2b\n",
        {"sys/fs/cgroup/memory/memory.limit_in_bytes": "1000000000\n"},
        GB,
    ),
    "both versions": ("4:memory:/\n0::/a\n", {"sys/fs/cgroup/unified/a/memory.max": "1000000000\n"}, GB),
}


@pytest.mark.parametrize("groups", GROUPS)
def test_limits_of_control_groups_count(tmp_path: Path, groups: str) -> None:
    """The least of the machine's memory and of all limits from the process's group upwards."""
    lines, files, size = GROUPS[groups]
    assert memory_of_worker(machine(tmp_path, lines, **files)).size == size


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count otherwise, or not at all")
@pytest.mark.parametrize("limit", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_ulimit_counts(limit: str) -> None:
    """Though not all of it, since addresses count that hold no memory."""
    code = (
        f"import resource as r; r.setrlimit(r.{limit}, (3 * 10**9,) * 2)\n"
        "from airflow_provider_customer360.unify.resources import memory_of_worker as m; print(m().size)"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert 0.8 * GB < int(output) < GB


def test_duckdb_gets_what_the_process_leaves() -> None:
    """Less than the limit, and only so many threads as that is enough for."""
    with Engine(Resources(memory_limit="100GB")) as engine:
        (memory,) = engine.row("SELECT current_setting('memory_limit')")
        assert 70 < float(memory.removesuffix(" GiB")) < 75  # 80 GB are 74.5 GiB
    held = 100 * GB - int(engine._given / 0.8)
    with Engine(Resources(memory_limit=held + 200_000_000)) as engine:
        assert engine.row("SELECT current_setting('threads')") == (1,)


def test_a_limit_that_the_process_already_exceeds_is_refused() -> None:
    """With what it would take; a default that small is made do with."""
    with pytest.raises(ConfigError, match=r"memory_limit '30MB' allows 30 MB.*give at least [\d.]+ [MG]B"):
        Engine(Resources(memory_limit="30MB"))


def test_out_of_memory_says_what_the_limit_was_and_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    """And where the limit came from; the log says it from the beginning."""
    names = {"memory_limit": "[customer360] memory_limit"}
    with caplog.at_level("INFO"), Engine(Resources(memory_limit="20GB", names=names)) as engine:
        engine.connection.execute("SET memory_limit = '20MB'")
        with pytest.raises(MemoryExceeded) as raised:
            engine.run("SELECT string_agg(repeat('secret', 1000)) FROM range(100000)", doing="writing")
    for part in (
        "While writing, the run needed more memory than the 20.0 GB",
        "([customer360] memory_limit '20GB')",
        "Raise memory_limit, or give the worker more memory.",
    ):
        assert part in str(raised.value)
    assert "secret" not in str(raised.value)
    assert "Memory: at most 20.0 GB ([customer360] memory_limit '20GB'), of which DuckDB has" in caplog.text


def test_out_of_memory_while_a_result_is_read() -> None:
    """Arrow's streams report it in their own way; the error is the same."""
    with Engine() as engine:
        engine.connection.execute("SET memory_limit = '20MB'")
        frame = Frame(engine, "SELECT list(range) AS v FROM range(9000000) GROUP BY range % 2", "v")
        with pytest.raises(MemoryExceeded, match="While reading the result"):
            list(frame.batches())


def test_a_full_disk_is_told_apart(tmp_path: Path) -> None:
    """More memory is one way out, another disk the nearer one."""
    with Engine(Resources(temp_directory=tmp_path)) as engine:
        engine.connection.execute("SET memory_limit = '30MB'")
        engine.connection.execute("SET max_temp_directory_size = '1MB'")
        with pytest.raises(MemoryExceeded, match=f"disk of '{tmp_path}' was full.*temp_directory"):
            engine.run("CREATE TABLE t AS SELECT range AS i, hash(range) AS h FROM range(9000000)")


def test_a_run_spills_where_it_is_told_to(tmp_path: Path) -> None:
    """Into a private directory, which goes with it, and what a killed run left there goes as well."""
    left = SpillDirectory(tmp_path)
    assert left._lock is not None
    left._unlock()
    with Engine(Resources(temp_directory=tmp_path)) as engine:
        [folder] = tmp_path.iterdir()
        assert folder != left.path
        assert folder.name.startswith(PREFIX)
        assert engine.row("SELECT current_setting('temp_directory')") == (str(folder),)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["missing", "file"])
def test_a_directory_must_be_there(tmp_path: Path, path: str) -> None:
    """It is not made: a mount that is missing would fill the disk below it."""
    (tmp_path / "file").touch()
    names = {"temp_directory": "[customer360] temp_directory"}
    with pytest.raises(
        ConfigError, match=rf"^\[customer360\] temp_directory is '.*{path}'.*Give a directory"
    ):
        Engine(Resources(temp_directory=tmp_path / path, names=names))
