"""The cache on disk: whatever is in the file, and whatever the disk does."""

import logging
import os
import resource
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eastwest_discovery._cache import LEFT_OVER_SECONDS, Cache
from eastwest_discovery._record import Record
from eastwest_discovery._union import STALE_SECONDS_MAX

SOURCE = "zmq://one:7400"
NOW = 1_700_000_000.0


def record(instance: str = "k", *, labels: dict[str, str] | None = None) -> Record:
    return Record(service="pricing", instance=instance, version=3, labels=labels or {})


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", SOURCE)


def saved(cache: Cache) -> Path:
    """Return the only file."""
    assert cache.save("default", "pricing", [(record(), 2.0)], NOW)
    (path,) = cache.folder.iterdir()
    return path


def load(cache: Cache, now: float = NOW) -> list[tuple[Record, float]]:
    return cache.load("default", "pricing", now)


def test_what_was_saved_comes_back_older(cache: Cache) -> None:
    several = [(record(), 0.0), (record("other", labels={"a": "b"}), 5.0)]
    assert cache.save("default", "pricing", several, NOW)
    assert load(cache, NOW + 7.0) == [(several[0][0], 7.0), (several[1][0], 12.0)]


def test_file_and_folder_are_for_the_owner_only(cache: Cache) -> None:
    path = saved(cache)
    assert path.stat().st_mode & 0o7777 == 0o600
    assert cache.folder.stat().st_mode & 0o7777 == 0o700


def test_nothing_saved_is_nothing_known(cache: Cache, caplog: pytest.LogCaptureFixture) -> None:
    assert load(cache) == []
    assert not caplog.records


def test_clock_that_was_set_back_makes_no_negative_age(cache: Cache) -> None:
    saved(cache)
    assert load(cache, NOW - 3600)[0][1] == 2.0


def test_too_old_is_not_used(cache: Cache) -> None:
    saved(cache)
    assert load(cache, NOW + STALE_SECONDS_MAX) == []


@pytest.mark.parametrize("names", [("default", "other"), ("other", "pricing")])
def test_file_of_another_service_is_not_used(
    cache: Cache, names: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    path = saved(cache)
    cache.save(*names, [], NOW)
    (other,) = set(cache.folder.iterdir()) - {path}
    os.replace(path, other)
    assert cache.load(*names, NOW) == []
    assert "it is not about" in caplog.text


def test_file_of_another_source_is_not_used(cache: Cache, tmp_path: Path) -> None:
    saved(cache)
    assert Cache(cache.folder, "zmq://two:7400").load("default", "pricing", NOW) == []


@pytest.mark.parametrize("text", [b"", b"x", b"eastwest-discovery-cache 2\n" + bytes(80)])
def test_file_of_another_format_is_passed_over_and_replaced(
    cache: Cache, text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = saved(cache)
    path.write_bytes(text)
    assert load(cache) == []
    assert "cache_ignored" in caplog.text and str(path) in caplog.text
    saved(cache)
    assert len(load(cache)) == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_one_wrong_byte_or_a_missing_end_is_noticed(cache: Cache, data: st.DataObject) -> None:
    path = saved(cache)
    text = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(text) - 1))
    if data.draw(st.booleans()):
        text[at] ^= data.draw(st.integers(1, 255))
    else:
        del text[at:]
    path.write_bytes(text)
    assert load(cache) == []


def test_unreadable_file_is_passed_over(cache: Cache, caplog: pytest.LogCaptureFixture) -> None:
    path = saved(cache)
    path.unlink()
    path.mkdir()
    assert load(cache) == []
    assert "cache_ignored" in caplog.text


def test_link_and_pipe_are_passed_over(cache: Cache) -> None:
    path = saved(cache)
    target = path.with_name("target")
    path.rename(target)
    path.symlink_to(target)
    assert load(cache) == []
    path.unlink()
    os.mkfifo(path)
    assert load(cache) == []  # and does not wait for a writer


def test_file_of_another_user_is_passed_over(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    saved(cache)
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert load(cache) == []
    assert "belongs to user" in caplog.text


def test_full_disk_keeps_the_old_file_and_is_logged_once(
    cache: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    saved(cache)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        assert not cache.save("default", "pricing", [(record("new"), 0.0)], NOW)
        assert not cache.save("default", "pricing", [(record("new"), 0.0)], NOW)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert load(cache) == [(record(), 2.0)]
    assert len(list(cache.folder.iterdir())) == 1  # nothing half-written is left
    saved(cache)
    events = [each.getMessage().split()[0] for each in caplog.records]
    assert events == ["cache_not_saved", "cache_saved_again"]


def test_folder_that_cannot_be_made_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = Cache(tmp_path / "file" / "cache", SOURCE)
    assert not cache.save("default", "pricing", [], NOW)
    assert load(cache) == []
    cache.tidy(NOW)


def test_tidy_removes_old_and_half_written_files_only(cache: Cache) -> None:
    path = saved(cache)
    old, half, fresh = (cache.folder / name for name in ("old.records", ".half", ".fresh"))
    foreign = cache.folder / "notes.txt"
    for each in (old, half, fresh, foreign):
        each.write_text("x")
    os.utime(path, (NOW, NOW))
    os.utime(fresh, (NOW, NOW))
    os.utime(old, (NOW, NOW - STALE_SECONDS_MAX - 1))
    os.utime(foreign, (NOW, NOW - STALE_SECONDS_MAX - 1))
    os.utime(half, (NOW, NOW - LEFT_OVER_SECONDS - 1))
    cache.tidy(NOW)
    assert set(cache.folder.iterdir()) == {path, fresh, foreign}
