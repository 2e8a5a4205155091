"""House style, checked: every rule over every file, and every rule over a broken sample."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.python import tidy

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "fabric" / "eastwest"
Rule = Callable[[str, str], tidy.Complaints]


def tracked(*endings: str, under: tuple[str, ...] = ("",)) -> list[str]:
    """Files of the working tree that git keeps or would keep, relative to the top."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return sorted(
        {p for p in listed if p.endswith(endings or "") and p.startswith(under)}
        & {p for p in listed if (ROOT / p).is_file()}
    )


def broken(rule: Rule, paths: list[str]) -> list[str]:
    found = []
    for path in paths:
        try:
            text = (ROOT / path).read_text()
        except UnicodeDecodeError:  # a binary: fuzz corpora, recorded packets
            continue
        found += [f"{path}:{line}: {what}" for line, what in rule(path, text)]
    return found


C = (".c", ".h")
SELF = {"tests/python/tidy.py", "tests/python/test_tidy.py"}  # they spell what they look for
OURS = ("shm/", "transport/")
RULES: list[tuple[Rule, list[str]]] = [
    (tidy.file_length, tracked(*C, ".py")),
    (tidy.unfinished, sorted(set(tracked()) - SELF)),
    (tidy.machine_paths, sorted(set(tracked()) - SELF)),
    (tidy.one_title, tracked(".md")),
    (tidy.include_direction, tracked(*C)),
    (tidy.net_layers, tracked(*C, under=("transport/net/",))),
    (tidy.function_length_c, tracked(*C)),
    (tidy.banned_calls, tracked(*C)),
    (tidy.atomic_labels, tracked(*C, under=("shm/",))),
    (tidy.header_fields, tracked(".h", under=OURS)),
    (tidy.function_length_python, tracked(".py")),
    (tidy.import_direction, tracked(".py", under=("fabric/", "discovery/"))),
    (tidy.exports_sorted, tracked("/__init__.py", under=("fabric/", "discovery/"))),
]


@pytest.mark.parametrize(("rule", "paths"), RULES, ids=[rule.__name__ for rule, _ in RULES])
def test_rule_holds_everywhere(rule: Rule, paths: list[str]) -> None:
    complaints = broken(rule, paths)
    assert not complaints, "\n" + "\n".join(complaints)


# One broken sample for each rule and each way to break it, at a path where the rule holds.
BROKEN: list[tuple[Rule, str, str]] = [
    (tidy.file_length, "shm/a.c", "\n" * 601),
    (tidy.file_length, "shm/a.h", "\n" * 401),
    (tidy.file_length, "bench/a.py", "\n" * 501),
    (tidy.unfinished, "shm/a.c", "/* TODO: later */"),
    (tidy.unfinished, "docs/a.md", "FIXME"),
    (tidy.machine_paths, "docs/a.md", "see /work/main"),
    (tidy.machine_paths, "dev", "cd /root/x"),
    (tidy.machine_paths, "dev", "https://pypi.org/simple"),
    (tidy.one_title, "docs/a.md", "# One\n\n# Two\n"),
    (tidy.one_title, "docs/a.md", "no title\n```\n# in code\n```\n"),
    (tidy.include_direction, "shm/a.c", '#include "transport/wire.h"\n'),
    (tidy.include_direction, "transport/a.c", '#include "bindings/c/eastwest.h"\n'),
    (tidy.include_direction, "transport/kernel/a.c", "#include <rte_mbuf.h>\n"),
    (tidy.net_layers, "transport/net/tcp_ack.c", "x = net->link.ports;"),
    (tidy.net_layers, "transport/net/udp.c", "p = &turn->net->tcp;"),
    (tidy.net_layers, "transport/net/check.c", "p = (&*net)->udp.key;"),
    (tidy.net_layers, "transport/net/ip.c", '#include "transport/net/link_parts.h"\n'),
    (tidy.function_length_c, "shm/a.c", "void f(void)\n{\n" + "    g();\n" * 81 + "}\n"),
    (tidy.banned_calls, "tests/c/a.c", "strcpy(a, b);"),
    (tidy.banned_calls, "tests/c/a.c", "sprintf(a, b);"),
    (tidy.banned_calls, "bench/c/a.c", "assert(a);"),
    (tidy.banned_calls, "bindings/c/a.c", 'fprintf(stderr, "x");'),
    (tidy.banned_calls, "transport/session/a.c", "p = malloc(1);"),
    (tidy.banned_calls, "shm/a.c", "free(p);"),
    (tidy.banned_calls, "shm/ring.c", "clock_gettime(CLOCK_MONOTONIC, &now);"),
    (tidy.banned_calls, "transport/net/a.c", "t = time(NULL);"),
    (tidy.atomic_labels, "shm/a.c", "x();\natomic_store(&a, 1);\n"),
    (tidy.atomic_labels, "shm/a.c", "atomic_store(&a, /* W1 */ 1);\n\natomic_load(&a);\n"),
    (tidy.atomic_labels, "shm/a.c", "/* no label */\natomic_load_explicit(&a,\n    b);\n"),
    (tidy.header_fields, "shm/a.h", "/* a.h - x.\n *\n * Purpose    y\n */\n"),
    (tidy.header_fields, "shm/a.h", "#ifndef A\n"),
    (tidy.function_length_python, "bench/a.py", "def f():\n" + "    g()\n" * 81),
    (tidy.import_direction, "fabric/eastwest/a.py", "from tests.summary import Outcome\n"),
    (tidy.import_direction, "fabric/eastwest/a.py", "import bench.aims\n"),
    (tidy.import_direction, "discovery/eastwest_discovery/a.py", "import eastwest\n"),
    (tidy.exports_sorted, "fabric/eastwest/__init__.py", "__all__ = ['b', 'a']\n"),
]


@pytest.mark.parametrize(("rule", "path", "text"), BROKEN)
def test_rule_finds_broken_sample(rule: Rule, path: str, text: str, tmp_path: Path) -> None:
    sample = tmp_path / path
    sample.parent.mkdir(parents=True, exist_ok=True)
    sample.write_text(text)
    assert list(rule(path, sample.read_text()))


def test_every_rule_has_a_broken_sample() -> None:
    assert {rule for rule, _ in RULES} == {rule for rule, _, _ in BROKEN}


# What looks like a mistake and is none.
GOOD: list[tuple[Rule, str, str]] = [
    (tidy.unfinished, "shm/a.c", "/* TODO(#12): later */"),
    (tidy.machine_paths, "docs/a.md", "the network/work/ folder, ./work/x"),
    (tidy.one_title, "docs/a.md", "# One\n```sh\n# a comment\n```\n"),
    (tidy.include_direction, "shm/base.h", '#include "bindings/c/eastwest.h"\n'),
    (tidy.include_direction, "transport/dpdk/a.c", "#include <rte_mbuf.h>\n"),
    (tidy.include_direction, "transport/a.c", '/* #include "bindings/x.h", rte_x */\n'),
    (tidy.net_layers, "transport/net/link_check.c", "net->link; net->count; /* net->tcp */"),
    (tidy.net_layers, "transport/net/net.c", "ewi_net_tcp_init(net, &places.tcp);"),
    (tidy.banned_calls, "shm/a.c", 'static_assert(1); x("free(p)"); /* gets() */ os->free(p);'),
    (tidy.banned_calls, "tests/c/a.c", 'printf("x"); free(p);'),
    (tidy.atomic_labels, "shm/a.c", "/* W1, pairs with\n * R1 */\natomic_store(&a, 1);\n"),
    (tidy.atomic_labels, "shm/a.c", "if (atomic_load_explicit(&a,\n      b)) /* R1 */\n"),
    (tidy.import_direction, "discovery/eastwest_discovery/a.py", "from . import record\n"),
    (tidy.exports_sorted, "fabric/eastwest/__init__.py", "__all__ = ['Z', 'a', 'b']\n"),
]


@pytest.mark.parametrize(("rule", "path", "text"), GOOD)
def test_rule_accepts_good_sample(rule: Rule, path: str, text: str) -> None:
    assert not list(rule(path, text))


def test_decisions_are_numbered_without_holes() -> None:
    names = [path.rpartition("/")[2] for path in tracked(under=("docs/adr/",))]
    assert not list(tidy.adr_names(names))


@pytest.mark.parametrize(
    "names",
    [["0002-b.md"], ["0001-a.md", "0003-c.md"], ["0001-a.md", "0001-b.md"], ["1-a.md"], ["x.md"]],
)
def test_bad_decision_names_are_found(names: list[str]) -> None:
    assert list(tidy.adr_names(names))


# ------------------------------------------------------------------ symbols


def symbols(library: Path) -> set[str]:
    done = subprocess.run(
        ["nm", "-D", "--defined-only", str(library)], capture_output=True, text=True, check=True
    )
    return tidy.exported(done.stdout)


def test_map_lists_what_the_header_declares() -> None:
    header = tidy.declared((ROOT / "bindings/c/eastwest.h").read_text())
    listed = tidy.mapped((ROOT / "bindings/c/eastwest.map").read_text())
    assert header, "no EW_API function found in the header"
    assert listed == header


def test_library_exports_what_the_map_lists() -> None:
    listed = tidy.mapped((ROOT / "bindings/c/eastwest.map").read_text())
    names = symbols(PACKAGE / "libeastwest.so.0")
    assert all(name.startswith("ew_") for name in names)
    assert names == listed


@pytest.mark.parametrize("module", ["_core", "_message"])
def test_extension_exports_its_init_only(module: str) -> None:
    assert symbols(PACKAGE / f"{module}.abi3.so") == {f"PyInit_{module}"}


def test_symbol_readers_read() -> None:
    assert tidy.declared("EW_API const char *ew_a(void);\n/* EW_API int ew_b(); */") == {"ew_a"}
    assert tidy.mapped("EW_0 {\n global: ew_a; /* ew_c; */ ew_b;\n local: *;\n};") == {
        "ew_a",
        "ew_b",
    }
    assert tidy.exported("0 A EW_0\n01 T ew_a@@EW_0\n") == {"ew_a"}
