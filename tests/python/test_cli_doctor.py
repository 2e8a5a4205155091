"""eastwest doctor: each check, judged on machines that are not as they should be."""

from pathlib import Path

import pytest

from eastwest import Config
from eastwest.cli import _doctor, _limits, _machine
from eastwest.cli._cgroup import Cgroup, Memory
from eastwest.cli._machine import Finding
from tests.python.command_line import run_json

MIB, GIB = 1 << 20, 1 << 30


def write(root: Path, **files: str) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (root / name.replace("__", ".")).write_text(text)


# ------------------------------------------------------------------ control groups


def test_tightest_limit_on_the_way_up_counts(tmp_path: Path) -> None:
    """catches: only the group itself is looked at; "max" taken for a number."""
    write(tmp_path / "a/b", cpu__max="max 100000\n", memory__max="max\n")
    write(tmp_path / "a", cpu__max="150000 100000\n", memory__max=f"{GIB}\n")
    write(tmp_path / "a", memory__current=f"{100 * MIB}\n")
    group = Cgroup(tmp_path, "0::/a/b\n")
    assert group.cpus() == 1.5
    assert group.memory() == Memory(GIB, 100 * MIB, "/a")


def test_version_1_has_a_tree_for_each_controller(tmp_path: Path) -> None:
    write(tmp_path / "cpu/x", cpu__cfs_quota_us="50000\n", cpu__cfs_period_us="100000\n")
    write(tmp_path / "cpu", cpu__cfs_quota_us="-1\n", cpu__cfs_period_us="100000\n")
    write(tmp_path / "memory/y", memory__limit_in_bytes=f"{GIB}\n")
    write(tmp_path / "memory", memory__limit_in_bytes="9223372036854771712\n")
    group = Cgroup(tmp_path, "4:memory:/y\n2:cpu,cpuacct:/x\n0::/\n")
    assert group.cpus() == 0.5
    assert group.memory() == Memory(GIB, 0, "/memory/y")


@pytest.mark.parametrize("membership", ["", "junk", "0::/gone/../../etc", "::::", "0::/a"])
def test_group_that_cannot_be_seen_has_no_limit(membership: str, tmp_path: Path) -> None:
    """catches: a path out of the tree; an exception of doctor on an odd machine."""
    write(tmp_path, cpu__max="junk", memory__max="")
    group = Cgroup(tmp_path / "none", membership)
    assert (group.cpus(), group.memory()) == (None, None)
    group = Cgroup(tmp_path, membership)
    assert (group.cpus(), group.memory()) == (None, None)


# ------------------------------------------------------------------ judgements


@pytest.mark.parametrize(
    ("finding", "state"),
    [
        (_machine.judge_cpus(2, 2, None), "ok"),
        (_machine.judge_cpus(2, 64, 2.0), "ok"),
        (_machine.judge_cpus(1, 64, 1.5), "note"),
        (_machine.judge_cpus(1, 2, 0.0), "note"),
        (_machine.judge_cpus(1, 1, None), "note"),
        (_machine.judge_cpus(1, 1, 4.0), "note"),
        (_machine.spin_cap(0.0), "note"),
        (_machine.spin_cap(5e-6), "ok"),
        (_limits.judge_thp_shmem("always [never] deny"), "ok"),
        (_limits.judge_thp_shmem("always never [deny]"), "note"),
        (_limits.judge_open_files("100\t0\t1000000"), "ok"),
        (_limits.judge_open_files("999000\t0\t1000000"), "problem"),
        (_limits.judge_mappings("65530"), "ok"),
        (_limits.judge_mappings("1000"), "note"),
        (_limits.judge_epoll_watches("100000"), "ok"),
        (_limits.judge_epoll_watches("10"), "note"),
        (_limits.judge_memory(None, GIB), "ok"),
        (_limits.judge_memory(Memory(2 * GIB, 0, "/a"), GIB), "ok"),
        (_limits.judge_memory(Memory(GIB // 2, 0, "/a"), GIB), "note"),
        (_limits.judge_memory(Memory(GIB, GIB - MIB, "/a"), GIB), "problem"),
        (_limits.judge_users(1000, "0 0 4294967295", "65534"), "ok"),
        (_limits.judge_users(0, "0 1000 1", "65534"), "note"),
        (_limits.judge_users(65534, "0 0 4294967295", "65534"), "problem"),
        (_limits.judge_users(1000, "0 0 4294967295", "99"), "problem"),
        (_limits.judge_security(None, None, None, False), "ok"),
        (_limits.judge_security("0", None, "x", False), "ok"),
        (_limits.judge_security("1", None, "u:r:container_t:s0", True), "note"),
        (_limits.judge_security("1", None, "u:r:unconfined_t:s0", False), "ok"),
        (_limits.judge_security(None, "Y", "docker-default (enforce)", False), "note"),
        (_limits.judge_security(None, "Y", "mine (complain)", False), "ok"),
        (_limits.judge_security(None, "Y", "unconfined", False), "ok"),
        (_limits.judge_membarrier(0xFF), "ok"),
        (_limits.judge_membarrier(0x08), "note"),
        (_limits.judge_membarrier(-1), "note"),
    ],
)
def test_what_is_wrong_is_found_and_has_a_fix(finding: Finding, state: str) -> None:
    """catches: a comparison the wrong way round, a finding without its fix."""
    assert finding.state == state
    assert finding.detail
    assert (finding.fix is not None) == (state != "ok")


def test_quota_is_told() -> None:
    assert "quota 1.5;" in _machine.judge_cpus(1, 64, 1.5).detail
    assert "quota none" in _machine.judge_cpus(64, 64, None).detail


@pytest.mark.parametrize(
    "finding",
    [
        _limits.judge_thp_shmem(None),
        _limits.judge_open_files(None),
        _limits.judge_open_files("x y z"),
        _limits.judge_mappings("x"),
        _limits.judge_epoll_watches(None),
    ],
)
def test_what_cannot_be_read_is_a_note(finding: Finding) -> None:
    assert finding.state == "note"


def test_doctor_judges_the_fabric(tmp_path: Path) -> None:
    """catches: a plug-in that is missing and not said to be."""
    plugin = tmp_path / "plugin.so"
    config = Config(
        fabric_network="rack",
        fabric_device="test",
        fabric_addresses=("10.7.0.2/24",),
        fabric_plugin=str(plugin),
        security="none",
    )
    (missing,) = _doctor.fabric(config)
    assert (missing.state, missing.name) == ("problem", "fabric rack")
    assert "eastwest-dpdk" in str(missing.fix)
    plugin.touch()
    (there,) = _doctor.fabric(config)
    assert there.state == "ok" and "10.7.0.2/24" in there.detail
    assert _doctor.fabric(Config()) == []


def test_doctor_looks_at_everything(runtime_dir: Path) -> None:
    """catches: a check that is not called."""
    (runtime_dir / "proc").mkdir(mode=0o700)
    found = {each["name"] for each in run_json("doctor")["findings"]}
    assert found >= {
        "huge pages",
        "transparent huge pages",
        "seals on huge pages",
        "/dev/shm",
        "descriptors",
        "locked memory",
        "open files",
        "mappings",
        "epoll watches",
        "user",
        "uids",
        "SELinux, AppArmor",
        "cpus",
        "memory limit",
        "membarrier",
        "pidfd",
        "SO_PEERPIDFD",
        f"runtime directory {runtime_dir}",
        f"control sockets {runtime_dir}/proc",
    }


def test_doctor_finds_a_control_folder_that_others_may_write(runtime_dir: Path) -> None:
    folder = runtime_dir / "proc"
    folder.mkdir()
    folder.chmod(0o777)
    (bad,) = (
        each
        for each in run_json("doctor")["findings"]
        if each["name"] == f"control sockets {folder}"
    )
    assert bad["state"] == "note"
    assert "writable for everybody" in bad["detail"]
    assert bad["fix"]
