"""The house rules that a machine can check. Each rule is a function: text in, complaints out.

A complaint is ``(line number, what is wrong)``; the file name is added by test_tidy.py. Rules
that only hold in some folders take the path, relative to the top of the repository.
"""

import ast
import re
from collections.abc import Iterator, Sequence

Complaints = Iterator[tuple[int, str]]

LINES_MAX = {".c": 600, ".h": 400, ".py": 500}
FUNCTION_LINES_MAX = 80
HEADER_FIELDS = [
    "Purpose",
    "Shape",
    "Owner",
    "Threads",
    "Trust",
    "Errors",
    "Invariants",
    "Ordering",
    "Source",
]

MAY_INCLUDE = {  # folder -> folders its C files may include
    "shm": {"shm"},
    "transport": {"shm", "transport"},
    "bindings": {"bindings", "shm", "transport"},
    "tests": {"bindings", "shm", "tests", "transport"},
    "bench": {"bench", "bindings", "shm", "tests", "transport"},
}
ERROR_CODES = ("shm/base.h", "bindings/c/eastwest.h")  # listed once, in the public header
MAY_NOT_IMPORT = {  # Python source root -> top-level modules that stay out
    "fabric": {"bench", "tests"},
    "discovery": {"bench", "tests", "eastwest"},
}

LIBRARY = ("shm/", "transport/", "bindings/c/")
BANNED_CALLS = [  # call, folders (all C files: ""), what to use
    (r"strcpy|strcat|sprintf|vsprintf|gets", ("",), "snprintf or memcpy with a checked length"),
    (r"assert", ("",), "EWI_ASSERT, or CHECK in a test"),
    (r"v?f?printf|puts|putchar|perror", LIBRARY, "the error text; a library does not print"),
    (
        r"malloc|calloc|realloc|free|strdup",
        ("shm/", "transport/session/", "transport/net/"),
        "memory that the caller passes in",
    ),
    (
        r"clock_gettime|time|gettimeofday",
        ("shm/ring", "transport/session/", "transport/net/"),
        "a now_ns argument",
    ),
]


def blanked(code: str, *, keep_strings: bool = False) -> str:
    """Return C code with comments (and strings) replaced by spaces; lines stay where they are."""

    def blank(found: re.Match[str]) -> str:
        if keep_strings and not found[0].startswith("/"):
            return found[0]
        return re.sub(r"[^\n]", " ", found[0])

    token = r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"
    return re.sub(token, blank, code, flags=re.DOTALL)


# ------------------------------------------------------------------ every file


def file_length(path: str, text: str) -> Complaints:
    limit = LINES_MAX.get(path[path.rfind(".") :])
    lines = text.count("\n")
    if limit is not None and lines > limit:
        yield lines, f"{lines} lines, guide: {limit}; look for a seam"


def unfinished(path: str, text: str) -> Complaints:
    """A mark for later names its issue, as in ``TODO(#12)``."""
    marks = "TODO|FIXME|XXX"
    for number, line in enumerate(text.splitlines(), 1):
        if re.search(rf"\b({marks})\b(?!\s*\(?#\d)", line):
            yield number, f"unfinished without an issue number: {line.strip()}"


def machine_paths(path: str, text: str) -> Complaints:
    """Paths of one machine and hosts of package registries stay out of the repository."""
    folders = r"(?<![\w.*<>{}-])/(?:work|root)/"
    hosts = r"pypi\.org|pythonhosted\.org|deb\.debian\.org|npmjs\.org|crates\.io"
    for number, line in enumerate(text.splitlines(), 1):
        if found := re.search(f"{folders}|{hosts}", line):
            yield number, f"{found[0]!r} belongs to a machine or a registry"


def one_title(path: str, text: str) -> Complaints:
    """A Markdown file has one first-level heading."""
    outside = re.sub(r"^(```|~~~).*?^\1", "", text, flags=re.DOTALL | re.MULTILINE)
    titles = len(re.findall(r"^# ", outside, re.MULTILINE))
    if titles != 1:
        yield 1, f"{titles} first-level headings, want 1"


def adr_names(names: Sequence[str]) -> Iterator[str]:
    """Decisions are named NNNN-title.md and numbered from 0001 without holes."""
    numbers = []
    for name in sorted(names):
        if found := re.fullmatch(r"(\d{4})-[a-z0-9]+(?:-[a-z0-9]+)*\.md", name):
            numbers.append(int(found[1]))
        elif name != "README.md":
            yield f"{name}: not NNNN-title.md"
    if numbers != list(range(1, len(numbers) + 1)):
        yield f"numbers {numbers} have a hole or a double"


# ------------------------------------------------------------------ C


def include_direction(path: str, text: str) -> Complaints:
    """shm <- transport <- bindings; DPDK's headers only in transport/dpdk."""
    folder = path.split("/")[0]
    lines = zip(
        blanked(text, keep_strings=True).splitlines(), blanked(text).splitlines(), strict=True
    )
    for number, (line, code) in enumerate(lines, 1):
        found = re.match(r'\s*#\s*include\s+"((\w+)/[^"]*)"', line)
        if not found or (path, found[1]) == ERROR_CODES:
            pass
        elif found[2] not in MAY_INCLUDE.get(folder, {folder}):
            yield number, f"{folder}/ may not include {found[1]}"
        if re.search(r"\brte_\w", code) and not path.startswith("transport/dpdk/"):
            yield number, "DPDK leaks out of transport/dpdk"


# Member of struct ewi_net -> the files of transport/net that are its layer: whole.h, I1.
NET_LAYERS = {
    "link": r"link\w*|port|route|addresses|way|neighbour\w*|resolve|arp|ndp|slots",
    "ip": r"ip\w*|icmp\w*|path|reassembly|limit",
    "packets": r"packets",
    "tcp": r"tcp\w*",
    "udp": r"udp\w*",
}


def net_layers(path: str, text: str) -> Complaints:
    """A layer of our TCP/IP reads no other layer's struct, and not what only its files share."""
    file = path.removeprefix("transport/net/").rpartition(".")[0]
    lines = zip(
        blanked(text, keep_strings=True).splitlines(), blanked(text).splitlines(), strict=True
    )
    for number, (line, code) in enumerate(lines, 1):
        read = re.findall(r"net(?:->|\)->|\)\.)\s*(\w+)", code)
        shared = re.findall(r'#\s*include\s+"transport/net/(\w+)_parts\.h"', line)
        for layer in read + shared:
            if layer in NET_LAYERS and not re.fullmatch(NET_LAYERS[layer], file):
                yield number, f"{file} belongs to another layer than `{layer}`: call a function"


def function_length_c(path: str, text: str) -> Complaints:
    """In house style a function's braces stand alone in column 0."""
    start = 0
    for number, line in enumerate(text.splitlines(), 1):
        if line == "{":
            start = number
        elif line == "}" and start:
            if number - start - 1 > FUNCTION_LINES_MAX:
                yield start, f"function of {number - start - 1} lines, guide: {FUNCTION_LINES_MAX}"
            start = 0


def banned_calls(path: str, text: str) -> Complaints:
    for number, line in enumerate(blanked(text).splitlines(), 1):
        for calls, folders, instead in BANNED_CALLS:
            found = re.search(rf"(?<![\w.>])({calls})\s*\(", line)
            if found and path.startswith(folders):
                yield number, f"{found[1]}(): use {instead}"


def atomic_labels(path: str, text: str) -> Complaints:
    """Each atomic operation has, on its statement or just before, a comment with its label.

    A label is one capital and one digit; the Ordering field of the header says what it pairs with.
    """
    operation = r"\batomic_(?:load|store|exchange|compare|fetch|thread_fence|signal_fence)"
    lines = text.splitlines()
    code = blanked(text).splitlines()
    for index, line in enumerate(code):
        if not re.search(operation, line):
            continue
        first = last = index
        while first > 0 and code[first - 1].strip() and code[first - 1].rstrip()[-1] not in ";{}":
            first -= 1  # to the first line of the statement
        while last + 1 < len(code) and not re.search(r"[;{]", code[last]):
            last += 1
        while first > 0 and lines[first - 1].strip() and not code[first - 1].strip():
            first -= 1  # the comment before it
        said = re.findall(r"/\*.*?\*/|//[^\n]*", "\n".join(lines[first : last + 1]), re.DOTALL)
        if not any(re.search(r"\b[A-Z][0-9]\b", comment) for comment in said):
            yield index + 1, f"atomic operation without a label: {lines[index].strip()}"


def header_fields(path: str, text: str) -> Complaints:
    """The first comment of a header has the nine fields, in their order."""
    comment = re.match(r"/\*.*?\*/", text, re.DOTALL)
    have = re.findall(r"^ \* ([A-Z][a-z]+) ", comment[0], re.MULTILINE) if comment else []
    have = [word for word in have if word in HEADER_FIELDS]
    if have != HEADER_FIELDS:
        missing = [word for word in HEADER_FIELDS if word not in have]
        yield 1, f"header comment: missing {missing}" if missing else f"header order: {have}"


# ------------------------------------------------------------------ Python


def function_length_python(path: str, text: str) -> Complaints:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield node.lineno, f"{node.name}: {lines} lines, guide: {FUNCTION_LINES_MAX}"


def import_direction(path: str, text: str) -> Complaints:
    banned = MAY_NOT_IMPORT.get(path.split("/")[0], set())
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        else:
            continue
        for name in names:
            if name.split(".")[0] in banned:
                yield node.lineno, f"{path.split('/')[0]}/ may not import {name}"


def exports_sorted(path: str, text: str) -> Complaints:
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names = ast.literal_eval(node.value)
            if list(names) != sorted(set(names)):
                yield node.lineno, f"__all__ is not sorted, want {sorted(set(names))}"


# ------------------------------------------------------------------ symbols


def declared(header: str) -> set[str]:
    """Return the functions that the public header declares."""
    code = re.sub(r"^\s*#.*$", "", blanked(header), flags=re.MULTILINE)
    return set(re.findall(r"\bEW_API\b[^;()]*?\b(\w+)\(", code))


def mapped(version_script: str) -> set[str]:
    """Return the names of a linker version script that are visible."""
    code = re.sub(r"/\*.*?\*/", "", version_script, flags=re.DOTALL)
    return {
        name.strip()
        for part in re.findall(r"global:(.*?)(?:local:|\})", code, re.DOTALL)
        for name in part.split(";")
        if name.strip()
    }


def exported(nm: str) -> set[str]:
    """Return the names in the output of ``nm -D --defined-only``, without the version node."""
    rows = [line.split() for line in nm.splitlines()]
    return {row[-1].split("@")[0] for row in rows if row and row[-2] != "A"}
