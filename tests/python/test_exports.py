"""What users may import is what ``__init__`` names, and all of it has a docstring."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import eastwest

PUBLIC = sorted(
    name for name in vars(eastwest) if not name.startswith("_") and name not in {"aio", "cli"}
)
PUBLIC = [name for name in PUBLIC if not inspect.ismodule(getattr(eastwest, name))]


def _aliases(package: Path) -> list[ast.alias]:
    tree = ast.parse((package / "__init__.py").read_text())
    return [node.names[0] for node in tree.body if isinstance(node, ast.ImportFrom)]


def test_reexports_say_that_they_are(package: Path) -> None:
    for alias in _aliases(package):
        assert alias.asname is not None
        assert alias.asname.lstrip("_") == alias.name


def test_every_error_is_exported() -> None:
    from eastwest import _errors

    classes = [
        name
        for name, each in vars(_errors).items()
        if isinstance(each, type) and issubclass(each, eastwest.EastwestError)
    ]
    assert set(classes) <= set(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_has_a_docstring(name: str) -> None:
    each = getattr(eastwest, name)
    assert inspect.getdoc(each)
    if inspect.isclass(each) and not issubclass(each, BaseException):
        for method, value in vars(each).items():
            if inspect.isfunction(value) and not method.startswith("_"):
                assert inspect.getdoc(value), f"{name}.{method}"


def test_map_of_the_package_names_every_module(package: Path) -> None:
    text = (package / "__init__.py").read_text()
    modules = [each.name for each in package.glob("_*.py") if each.name != "__init__.py"]
    assert [name for name in modules if name not in text] == []


PURE = [
    "_addresses",
    "_config",
    "_connect",
    "_dial",
    "_errors",
    "_explain",
    "_facts",
    "_find",
    "_keeper",
    "_names",
    "_parallel",
    "_providers",
    "_rundir",
    "_select",
    "_values",
]


@pytest.mark.parametrize("name", PURE)
def test_policy_module_imports_no_native_module(name: str, package: Path) -> None:
    code = (
        "import sys, types\n"
        "package = types.ModuleType('eastwest')\n"
        f"package.__path__ = [{str(package)!r}]\n"
        "sys.modules['eastwest'] = package\n"
        f"import eastwest.{name}\n"
        "native = {'eastwest._core', 'eastwest._message', 'eastwest._native'}\n"
        "assert not native & set(sys.modules), native & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
