"""The wheel of eastwest-dpdk: what is in it, and that who installs it has the plug-in."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IN_PLACE = ROOT / "bindings/dpdk/eastwest_dpdk/eastwest_dpdk_plugin.so"
SECONDS_MAX = 600
ASK = """
import ctypes, eastwest_dpdk, os
path = eastwest_dpdk.plugin_path()
assert ctypes.CDLL(path).ewi_stack_plugin
print(path)
"""


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.mark.deep
@pytest.mark.timeout(2 * SECONDS_MAX)
def test_the_wheel_brings_the_plug_in_to_a_fresh_environment(tmp_path: Path) -> None:
    # catches: a component that is not installed; a plug-in that needs the tree it was built in
    if not IN_PLACE.exists():
        pytest.skip("needs DPDK: no plug-in was built")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    run(*pip, "wheel", *offline, str(ROOT / "bindings/dpdk"))
    (wheel,) = tmp_path.glob("*.whl")
    assert "-py3-none-linux" in wheel.name
    with zipfile.ZipFile(wheel) as held:
        names = {name for name in held.namelist() if ".dist-info/" not in name}
    package = "eastwest_dpdk/"
    assert names == {package + each for each in ("__init__.py", "py.typed", IN_PLACE.name)}
    venv = tmp_path / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", venv)
    python = venv / "bin/python"
    (site,) = venv.glob("lib/python*/site-packages")
    run(*pip, "--python", python, "install", "--no-deps", "--no-index", wheel)
    path = Path(run(python, "-I", "-c", ASK))
    assert path == site / package / IN_PLACE.name
