"""The cffi region of the public header is cut out whole, or refused."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def gen_cdef() -> ModuleType:
    path = ROOT / "bindings" / "python" / "gen_cdef.py"
    spec = importlib.util.spec_from_file_location("gen_cdef", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_region_loses_comments_and_export_mark(gen_cdef: ModuleType) -> None:
    header = "#if X\n/* cffi:begin */\nEW_API int ew_a(void); /* # note */\n/* cffi:end */\n#endif"
    assert gen_cdef.cut(header).split() == ["int", "ew_a(void);"]


@pytest.mark.parametrize(
    "header",
    [
        "int ew_a(void);",
        "/* cffi:begin */ /* cffi:end */ /* cffi:begin */ /* cffi:end */",
        "/* cffi:begin */\n  #define A 1\n/* cffi:end */",
    ],
    ids=["no region", "two regions", "preprocessor line"],
)
def test_bad_region_is_refused(gen_cdef: ModuleType, header: str) -> None:
    with pytest.raises(ValueError):
        gen_cdef.cut(header)
