"""HTML and SVG from nested calls: text is escaped, whatever it is; markup is made here only."""

import re
from collections.abc import Iterable, Sequence
from html import escape

EMPTY = frozenset({"meta", "br", "hr", "col"})  # elements of HTML that have no end tag


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def joined(content: object) -> str:
    """Return content as markup: text escaped, markup as it is, None as nothing."""
    if content is None:
        return ""
    if isinstance(content, Markup):
        return str(content)
    if isinstance(content, str):
        return escape(content, quote=False)
    if isinstance(content, Iterable):
        return "".join(joined(each) for each in content)
    raise TypeError(f"no content: {content!r}")


def tag(element: str, /, *content: object, **attributes: object) -> Markup:
    """Return an element.

    Attributes: ``class_`` is class, other underscores are hyphens; None and False are left out,
    True has no value, floats are written with two digits.
    """
    words = [element]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        words.append(key if value is True else f'{key}="{escape(_plain(value))}"')
    opened = f"<{' '.join(words)}>"
    if element in EMPTY:
        return Markup(opened)
    return Markup(f"{opened}{joined(content)}</{element}>")


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return str(value)


def table(head: Sequence[object], rows: Iterable[Sequence[object]], caption: str) -> Markup:
    """Return a table that scrolls by itself where it is too wide.

    The first cell of a row names it. A column that has nothing but numbers is aligned to the right.
    """
    rows = list(rows)
    columns = range(len(head))
    kinds = [
        "number" if index and rows and all(_is_number(row[index]) for row in rows) else None
        for index in columns
    ]
    heads = [tag("th", head[index], scope="col", class_=kinds[index]) for index in columns]
    body = [
        tag(
            "tr",
            tag("th", row[0], scope="row"),
            [tag("td", row[index], class_=kinds[index]) for index in columns[1:]],
        )
        for row in rows
    ]
    made = tag(
        "table",
        tag("caption", caption),
        tag("thead", tag("tr", heads)),
        tag("tbody", body),
    )
    return tag("div", made, class_="scroll", tabindex="0", role="region", aria_label=caption)


def _is_number(cell: object) -> bool:
    if isinstance(cell, Markup):
        return False
    return re.fullmatch(r"(?:[\d–-](?!.*[A-Za-z]{4}).*)?", str(cell)) is not None
