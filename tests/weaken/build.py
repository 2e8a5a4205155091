"""Build one test program with one place weakened, out of the objects of a preset.

The weakened file lies in a folder of its own that comes first in the include path. Compiled again
is only what includes it and belongs to the program; all else is linked from build/PRESET as it is.
"""

import functools
import json
import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.weaken.places import Place

WORK = Path("build/weaken")
SECONDS_MAX = 120


LIBRARIES = {"ew_objects.dir", "ew_harness.dir"}  # what each test program takes from


class BuildError(Exception):
    """A command failed; the text is its output."""


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise BuildError(f"{shlex.join(command)}\n{done.stdout}")
    return done.stdout


@dataclass(frozen=True)
class Unit:
    """One compiled file of a preset."""

    source: Path
    object: Path
    command: tuple[str, ...]
    includes: frozenset[Path]


class Preset:
    """What build/NAME holds: units, and which of them each test program is made of."""

    def __init__(self, name: str) -> None:
        self.folder = Path("build", name).resolve()
        self.archive = (WORK / name).resolve() / "all.a"
        included = self._included()
        self.units = [
            Unit(
                Path(entry["file"]),
                object_,
                tuple(shlex.split(entry["command"])),
                frozenset(included.get(object_, ())),
            )
            for entry in json.loads((self.folder / "compile_commands.json").read_text())
            for object_ in [self.folder / entry["output"]]
        ]
        self.library = {u.object: u for u in self.units if LIBRARIES & set(u.object.parts)}
        self.archive.parent.mkdir(parents=True, exist_ok=True)
        self.archive.unlink(missing_ok=True)
        run(["ar", "rcTP", str(self.archive), *map(str, self.library)], self.folder)

    def _included(self) -> dict[Path, list[Path]]:
        """What each object was made of, as ninja knows it."""
        result: dict[Path, list[Path]] = {}
        current: list[Path] = []
        for line in run(["ninja", "-t", "deps"], self.folder).splitlines():
            if found := re.match(r"(\S+): #deps", line):
                current = result.setdefault(self.folder / found[1], [])
            elif line.strip():
                current.append(Path(line.strip()))
        return result

    def program(self, name: str) -> Unit:
        """Return the unit of a test program, as in ``c_test_lock``."""
        (unit,) = (u for u in self.units if f"{name}.dir" in u.object.parts)
        return unit

    @functools.cache  # noqa: B019 - one object for each preset, until the end
    def parts(self, name: str) -> tuple[Unit, ...]:
        """The units that the linker takes for a program."""
        said = run([*self.linker(name), "-o", os.devnull, "-Wl,-t"], self.folder)
        paths = {Path(line.strip()) for line in re.findall(r"^\S.*\.o$", said, re.MULTILINE)}
        taken = {unit for path, unit in self.library.items() if path in paths}
        return (self.program(name), *taken)

    def linker(self, name: str, objects: dict[Path, Path] | None = None) -> list[str]:
        """The command that links a program; *objects*: what stands for what."""
        unit = self.program(name)
        flags = [word for word in unit.command if word.startswith(("-fsanitize", "-O", "-g"))]
        if objects is None:
            return [unit.command[0], *flags, str(unit.object), str(self.archive), "-pthread"]
        files = [str(objects.get(part.object, part.object)) for part in self.parts(name)]
        return [unit.command[0], *flags, *files, "-pthread"]


def weakened_copy(place: Place, order: str, folder: Path) -> Path:
    """Write the file of a place, weakened, below *folder*; return it."""
    copy = folder / place.path
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_text(place.weakened(Path(place.path).read_text(), order))
    return copy


def build(preset: Preset, program: str, place: Place, order: str, folder: Path) -> Path | None:
    """Return the program with the place weakened; None: nothing of it is in this program."""
    original = Path(place.path).resolve()
    copy = weakened_copy(place, order, folder).resolve()
    objects: dict[Path, Path] = {}
    for number, unit in enumerate(preset.parts(program)):
        if original not in unit.includes:
            continue
        objects[unit.object] = folder.resolve() / f"{program}-{number}.o"
        words = [word for word in unit.command if word != "-Werror"]
        words[words.index("-o") + 1] = str(objects[unit.object])
        words[words.index("-c") + 1] = str(copy if unit.source == original else unit.source)
        run([words[0], f"-I{folder.resolve()}", *words[1:]], preset.folder)
    if not objects:
        return None
    binary = folder.resolve() / program
    run([*preset.linker(program, objects), "-o", str(binary)], preset.folder)
    return binary
