"""Every atomic access that is ordered, every fence, and the text with one of them weakened.

A place is one memory order stronger than relaxed in the code of shm/ or transport/, or one call
that has none written and therefore means seq_cst. Its name has no line number, so that other
changes to a file leave it alone:  FILE FUNCTION LABEL OPERATION ORDER  (and #2, #3 for equals).
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.python.tidy import blanked

FOLDERS = ("shm", "transport")
ORDER = r"\bmemory_order_(?P<order>acquire|release|acq_rel|seq_cst|consume)\b"
RMW = r"exchange|compare_exchange_(?:weak|strong)|fetch_(?:add|sub|or|and|xor)"
PLAIN = rf"\batomic_(?P<plain>load|store|{RMW})\("
STRONG = re.compile(f"{ORDER}|{PLAIN}")
CALL = re.compile(r"\batomic_(\w+?)(?:_explicit)?\(")
FENCES = ("thread_fence", "signal_fence")
WEAKER = {  # what a place of this order is weakened to, one at a time
    "acquire": ("relaxed",),
    "consume": ("relaxed",),
    "release": ("relaxed",),
    "acq_rel": ("acquire", "release"),  # each half has to be noticed
}
WEAKER_SEQ_CST = {"load": "acquire", "store": "release"}  # anything else: acq_rel


@dataclass(frozen=True)
class Place:
    """One ordered access, or one fence."""

    path: str
    function: str
    label: str  # "R1", or "-" where the source has none
    operation: str  # as in atomic_OPERATION
    order: str
    start: int  # of the words to be replaced
    end: int
    is_plain: bool  # no order is written: the words are the whole call
    number: int = 1  # among equals of one function

    @property
    def name(self) -> str:
        name = f"{self.path} {self.function} {self.label} {self.operation} {self.order}"
        return name if self.number == 1 else f"{name} #{self.number}"

    @property
    def weaker(self) -> tuple[str, ...]:
        if self.operation in FENCES:
            return ("none",)
        if self.order != "seq_cst":
            return WEAKER[self.order]
        return (WEAKER_SEQ_CST.get(self.operation, "acq_rel"), "relaxed")

    def weakened(self, text: str, order: str) -> str:
        """Return the text of the file with this place weakened."""
        before, here, after = text[: self.start], text[self.start : self.end], text[self.end :]
        if self.operation in FENCES:
            here = "(void)0"
        elif not self.is_plain:
            here = f"memory_order_{order}"
        else:
            failure = ", memory_order_relaxed" if "compare" in self.operation else ""
            here = here.replace("(", "_explicit(", 1)[:-1] + f", memory_order_{order}{failure})"
        return before + here + after


def all_places(top: Path = Path()) -> list[Place]:
    """Return the places of all files, in the order of files and text."""
    files = (file for folder in FOLDERS for file in (top / folder).rglob("*.[ch]"))
    return [
        place
        for file in sorted(files)
        for place in numbered(places_of(str(file.relative_to(top)), file.read_text()))
    ]


def numbered(places: Iterator[Place]) -> Iterator[Place]:
    seen: Counter[str] = Counter()
    for place in places:
        seen[place.name] += 1
        yield Place(**{**place.__dict__, "number": seen[place.name]})


def places_of(path: str, text: str) -> Iterator[Place]:
    code = blanked(text)
    for found in STRONG.finditer(code):
        plain, order = found["plain"], found["order"]
        if plain is not None:
            start, end, operation = found.start(), closing(code, found.end()), plain
        else:
            start, end = found.span()
            call = last(CALL.finditer(code, 0, start))
            start, operation = (call.start(), call[1]) if call[1] in FENCES else (start, call[1])
            end = closing(code, call.end()) if operation in FENCES else end
        yield Place(
            path,
            function_at(code, start),
            label_at(text, code, start),
            operation,
            order or "seq_cst",
            start,
            end,
            plain is not None,
        )


def closing(code: str, start: int) -> int:
    """Return where the call ends whose arguments begin at *start*."""
    depth = 1
    while depth:
        depth += {"(": 1, ")": -1}.get(code[start], 0)
        start += 1
    return start


def last(found: Iterator[re.Match[str]]) -> re.Match[str]:
    *_, match = found
    return match


def function_at(code: str, at: int) -> str:
    """In house style a function's opening brace stands alone in column 0."""
    head = code[: code.rindex("\n{\n", 0, at)]
    signature = re.split(r"[;}#]|\n\n", head)[-1]
    found = re.search(r"(\w+)\(", signature)
    return found[1] if found else "?"


def label_at(text: str, code: str, at: int) -> str:
    """The label in the first comment at or behind the place, in its statement; else before it."""
    line_end = text.find("\n", at)
    start = max(code.rfind(mark, 0, at) for mark in ";{}") + 1
    for said in (text[at:line_end], text[start : statement_end(text, code, at)]):
        comments = " ".join(re.findall(r"/\*.*?\*/", said, re.DOTALL))
        if found := re.search(r"\b[A-Z][0-9]\b", comments):
            return found[0]
    return "-"


def statement_end(text: str, code: str, at: int) -> int:
    ends = [end for mark in ";{" if (end := code.find(mark, at)) >= 0]
    return text.find("\n", min(ends)) if ends else len(text)
