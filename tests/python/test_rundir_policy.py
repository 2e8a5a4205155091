"""Which runtime directories are used: the policy, with a disk that is made up."""

import pytest

from eastwest import ConfigurationError
from eastwest._rundir import SYSTEM_DIR, bindable, places, searchable

USER = {"XDG_RUNTIME_DIR": "/run/user/7"}


class Disk:
    """Answers for directories: those in *good* are in order; makes what is asked for."""

    def __init__(self, *good: str, makes: tuple[str, ...] = ()) -> None:
        self.good = set(good)
        self.makes = makes
        self.made: list[str] = []

    def check(self, directory: str, create: bool) -> str | None:
        if create and directory in self.makes:
            self.made.append(directory)
            self.good.add(directory)
        return None if directory in self.good else f"runtime directory '{directory}' is missing"


def writable(directory: str) -> bool:
    return True


def test_configured_directories_are_all_there_is() -> None:
    found = places(["/a", "/b"], {**USER, "RUNTIME_DIRECTORY": "/run/x"})
    assert [each.directory for each in found] == ["/a", "/b"]


def test_variable_is_all_there_is_even_for_a_config_made_by_hand() -> None:
    environ = {**USER, "EASTWEST_RUNTIME_DIR": "/a"}
    assert [each.directory for each in places([], environ)] == ["/a"]
    assert [each.directory for each in places(["/b"], environ)] == ["/b"]
    for search in (searchable, bindable):
        with pytest.raises(ConfigurationError, match="'/a' is missing"):
            search([], environ, Disk(makes=("/a",)).check)


def test_search_path_has_its_order() -> None:
    found = places([], {**USER, "RUNTIME_DIRECTORY": "/run/one:/run/two"})
    directories = [each.directory for each in found]
    assert directories == ["/run/one", "/run/two", SYSTEM_DIR, "/run/user/7/eastwest"]


@pytest.mark.parametrize("value", ["", "relative", "/a:b"])
def test_odd_user_directory_is_not_guessed_at(value: str) -> None:
    assert [each.directory for each in places([], {"XDG_RUNTIME_DIR": value})] == [SYSTEM_DIR]


def test_temporary_folders_are_never_used() -> None:
    found = places([], {"TMPDIR": "/tmp", "HOME": "/home/me"})
    assert [each.directory for each in found] == [SYSTEM_DIR]


def test_client_searches_what_is_there_and_makes_nothing() -> None:
    disk = Disk("/run/user/7/eastwest", makes=(SYSTEM_DIR,))
    found = searchable([], USER, disk.check)
    assert found.usable == ("/run/user/7/eastwest",)
    assert len(found.problems) == 1
    assert disk.made == []


def test_client_with_a_configured_directory_that_is_missing_is_told() -> None:
    with pytest.raises(ConfigurationError, match="'/a' is missing"):
        searchable(["/a"], {}, Disk().check)


def test_listener_binds_in_the_first_that_it_may_write() -> None:
    disk = Disk(SYSTEM_DIR, "/run/user/7/eastwest")
    found = bindable([], USER, disk.check, lambda directory: directory != SYSTEM_DIR)
    assert found.usable == ("/run/user/7/eastwest",)
    assert "may not write" in found.problems[0]


def test_listener_makes_a_directory_of_the_search_path() -> None:
    disk = Disk(makes=("/run/user/7/eastwest",))
    assert bindable([], USER, disk.check, writable).usable == ("/run/user/7/eastwest",)
    assert disk.made == ["/run/user/7/eastwest"]


def test_listener_does_not_make_a_configured_directory() -> None:
    disk = Disk(makes=("/a",))
    with pytest.raises(ConfigurationError, match="'/a' is missing"):
        bindable(["/a"], {}, disk.check, writable)
    assert disk.made == []


def test_listener_without_any_directory_learns_why() -> None:
    found = bindable([], USER, Disk().check, writable)
    assert found.usable == ()
    assert len(found.problems) == 2
