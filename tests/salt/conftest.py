"""Fixtures of the Salt tests: the modules as Salt's loader would see them, and the lab."""

import importlib.util
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

HERE = Path(__file__).resolve().parent
SALT = HERE.parents[1] / "salt"
sys.path.insert(0, str(HERE))


def load(path):
    """A module of ours by its file, anew."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def saltapi():
    """The ext_pillar."""
    return load(SALT / "ext" / "pillar" / "saltapi.py")


@pytest.fixture
def modules():
    """The execution modules, with ``__salt__`` that finds one another."""
    loaded = {path.stem: load(path) for path in (SALT / "_modules").glob("*.py")}
    functions = {
        f"{name}.{function}": getattr(module, function)
        for name, module in loaded.items()
        for function in dir(module)
        if not function.startswith("_") and callable(getattr(module, function))
    }
    for module in loaded.values():
        module.__salt__ = functions
    return SimpleNamespace(**loaded, functions=functions)


@pytest.fixture(scope="session")
def lab():
    """A running master, API and three hosts: h1 and h2 with SysV scripts, h3 with systemd."""
    # Imported here: tests without the lab need neither root nor Linux namespaces.
    import hosts
    import lab as laboratory

    if os.geteuid() != 0:
        pytest.fail("the lab makes network namespaces and mounts: run these tests as root")
    with laboratory.Lab() as running, running.start_api():
        machines = [hosts.SysvHost(1), hosts.SysvHost(2), hosts.SystemdHost(3)]
        for machine in machines:
            running.add(machine)
        running.wait_until_up(*machines)
        yield running


@pytest.fixture
def api(lab):
    """The lab's API, serving documents that the test sets, with every host wiped."""
    for host in lab.hosts.values():
        host.wipe()
    lab.api.reset()
    yield lab.api
    lab.api.reset()


@pytest.fixture
def h1(lab):
    """A host with SysV scripts."""
    return lab.hosts["h1"]


@pytest.fixture
def h2(lab):
    """A second host with SysV scripts, which is registered only in tests that say so."""
    return lab.hosts["h2"]


@pytest.fixture
def h3(lab):
    """A host with systemd."""
    return lab.hosts["h3"]


@pytest.fixture(params=["h1", "h3"])
def host(lab, request):
    """A host with SysV scripts, then one with systemd."""
    return lab.hosts[request.param]
