"""Cut the cffi region out of the public header, so that C and Python read one text.

usage: gen_cdef.py HEADER CDEF PROLOGUE

The region stands between ``/* cffi:begin */`` and ``/* cffi:end */`` and has no preprocessor
lines. CDEF gets it without comments and without ``EW_API``; PROLOGUE gets the C line that
includes the whole header, from which the compiler checks every declaration of CDEF.
"""

import re
import sys
from pathlib import Path

REGION = re.compile(r"/\* cffi:begin \*/(.*?)/\* cffi:end \*/", re.DOTALL)
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


def cut(header: str) -> str:
    """Return the declarations of the one cffi region of *header*.

    Raises:
        ValueError: there is not exactly one region, or it has a preprocessor line.
    """
    regions = REGION.findall(header)
    if len(regions) != 1:
        raise ValueError(f"{len(regions)} cffi regions, want 1")
    declarations = COMMENT.sub("", regions[0])
    if re.search(r"^\s*#", declarations, re.MULTILINE):
        raise ValueError("a preprocessor line inside the cffi region")
    return re.sub(r"\bEW_API\s+", "", declarations)


def main() -> None:
    header, cdef, prologue = map(Path, sys.argv[1:4])
    try:
        cdef.write_text(cut(header.read_text()))
    except ValueError as error:
        sys.exit(f"{header}: {error}")
    prologue.write_text('#include "bindings/c/eastwest.h"\n')


if __name__ == "__main__":
    main()
