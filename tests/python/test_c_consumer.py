"""What `cmake --install --component dev` installs is enough to build and run a C program."""

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONSUMER = ROOT / "tests" / "c" / "consumer"
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def run(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation of the component dev."""
    path = tmp_path_factory.mktemp("prefix")
    run("cmake", "--install", ROOT / "build/dev", "--component", "dev", "--prefix", path)
    return path


def library_dir(prefix: Path) -> Path:
    return next(prefix.rglob("libeastwest.so")).parent


def test_component_dev_holds_header_libraries_and_packages_only(prefix: Path) -> None:
    names = {path.name for path in prefix.rglob("*") if path.is_file()}
    targets = {name for name in names if name.startswith("eastwestTargets")}
    assert names - targets == {
        "eastwest.h",
        "libeastwest.a",
        "libeastwest.so",
        "libeastwest.so.0",
        "eastwest.pc",
        "eastwestConfig.cmake",
        "eastwestConfigVersion.cmake",
    }


def test_installed_text_names_no_build_folder(prefix: Path) -> None:
    for path in prefix.rglob("*"):
        if path.suffix in {".pc", ".cmake", ".h"}:
            assert str(ROOT) not in path.read_text(), path


@pytest.mark.parametrize("kind", ["shared", "static"])
def test_consumer_builds_with_pkg_config(prefix: Path, tmp_path: Path, kind: str) -> None:
    lib = library_dir(prefix)
    program = tmp_path / "consumer"
    flags = run(
        "pkg-config",
        *(["--static"] if kind == "static" else []),
        *("--cflags", "--libs", f"eastwest = {VERSION}"),
        PKG_CONFIG_PATH=str(lib / "pkgconfig"),
    ).split()
    if kind == "static":
        flags = [str(lib / "libeastwest.a") if f == "-leastwest" else f for f in flags]
    run("gcc", "-std=c11", "-Wall", "-Werror", CONSUMER / "consumer.c", "-o", program, *flags)
    assert run(program, LD_LIBRARY_PATH=str(lib)).strip() == VERSION


def test_consumer_builds_with_find_package(prefix: Path, tmp_path: Path) -> None:
    run(
        *("cmake", "-G", "Ninja", "-S", CONSUMER, "-B", tmp_path),
        *(f"-DCMAKE_PREFIX_PATH={prefix}", f"-DWANTED={VERSION}"),
    )
    run("cmake", "--build", tmp_path)
    for program in ("consumer_shared", "consumer_static"):
        assert run(tmp_path / program).strip() == VERSION


def test_header_compiles_as_cxx(prefix: Path, tmp_path: Path) -> None:
    compiler = shutil.which("c++") or shutil.which("clang")
    if compiler is None:
        pytest.skip("needs a C++ compiler")
    source = tmp_path / "consumer.cc"
    source.write_text("#include <eastwest/eastwest.h>\nint main() { return EW_OK; }\n")
    include = f"-I{prefix / 'include'}"
    run(compiler, "-x", "c++", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", include, source)
