"""``eastwest doctor``: does each registry that is configured answer?"""

import os
from dataclasses import replace

from .._config import Config
from .._config_registry import NO_CACHE, REMOTE
from .._errors import EastwestError
from .._parallel import in_parallel
from .._providers import Static
from .._registries import cache_folder, open_one
from ._machine import Finding

ASK_SECONDS = 2.0
NAME = "eastwest-doctor"  # a service that nobody needs to have
_START = "start it, or correct registry (EASTWEST_REGISTRY)"


def registries(config: Config) -> list[Finding]:
    """Ask each registry, for two seconds at most; nothing is published."""
    urls = [each for each in config.registry if each != "local:"]
    found = in_parallel(lambda each: _judged(config, each), urls)
    if any(each.partition(":")[0] in REMOTE for each in urls):
        found.append(_cache(config))
    return found


def _judged(config: Config, url: str) -> Finding:
    name = f"registry {url}"
    try:
        if url.startswith("static:"):
            known = Static(url.partition(":")[2]).known(timeout=0)
            return Finding(name, "ok", f"{len(known)} names")
        return _asked(config, url, name)
    except EastwestError as error:
        return Finding(name, "problem", str(error), "correct registry (EASTWEST_REGISTRY)")


def _asked(config: Config, url: str, name: str) -> Finding:
    registry = open_one(replace(config, registry_cache=NO_CACHE), url, os.environ)
    try:
        registry.look_up(NAME, timeout=ASK_SECONDS)
        state = registry.state(NAME)
    finally:
        registry.close()
    if state is None:
        return Finding(name, "ok", "it is asked when it is needed")
    wrong = state.troubles
    if not state.answered:
        return Finding(name, "problem", "; ".join(wrong) or "no answer", _START)
    many = len(state.servers)
    if wrong:
        detail = f"{many - len(wrong)} of {many} answer completely; {'; '.join(wrong)}"
        return Finding(name, "note", detail, "one is enough, but there is none to spare")
    return Finding(name, "ok", "it answers" if many == 1 else f"all {many} servers answer")


def _cache(config: Config) -> Finding:
    folder, why = cache_folder(config, os.environ)
    if folder is not None:
        return Finding("registry cache", "ok", why)
    fix = "set EASTWEST_REGISTRY_CACHE to a directory of our own"
    detail = f"nothing is kept for a restart while no registry answers: {why}"
    return Finding("registry cache", "note", detail, fix)
