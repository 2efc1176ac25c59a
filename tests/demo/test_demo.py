"""scripts/demo as its user runs it: start, create a cache, talk to it, Ctrl-C; and kill -9."""

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
READY = "Ctrl-C ends everything"


def processes_of(store: Path) -> list[str]:
    """What runs for this demo: the portal names its store, memcached the ports."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                environment = (process / "environ").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if str(store) in environment and ("memc-" in line or "memcached" in line):
                found.append(line)
    return found


def wait_for(what, seconds=30):
    deadline = time.monotonic() + seconds
    while not (result := what()):
        assert time.monotonic() < deadline, f"waited {seconds} s for {what.__name__}"
        time.sleep(0.1)
    return result


class Demo:
    def __init__(self, tmp_path):
        # Its own session, so that signals reach it as they reach a terminal's foreground group.
        self.output = tmp_path / "output"
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [ROOT / "scripts/demo", "--memory", "600"],
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "TMPDIR": str(tmp_path)},
            )
        deadline = time.monotonic() + 900  # the first run builds
        while READY not in (text := self.output.read_text()):
            assert self.process.poll() is None, text
            assert time.monotonic() < deadline, text
            time.sleep(0.2)
        self.address = re.search(r"http://(\S+)/\n", text)[1]
        self.token_file = Path(re.search(r"API token: +(\S+)", text)[1])
        self.token = self.token_file.read_text().strip()
        self.store = self.token_file.parent

    def call(self, method, path, body=None):
        request = urllib.request.Request(
            f"http://{self.address}/api/v1/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def cache(self, name):
        return self.call("GET", f"caches/shop/{name}")

    def end(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def demo(tmp_path):
    demo = Demo(tmp_path)
    yield demo
    demo.end()


def ask(endpoint: str, command: str) -> str:
    host, port = endpoint.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(command.encode() + b"\r\nquit\r\n")
        return b"".join(iter(lambda: connection.recv(4096), b"")).decode()


def limit(endpoint: str) -> int:
    return int(re.search(r"STAT limit_maxbytes (\d+)", ask(endpoint, "stats"))[1]) >> 20


def create(demo, memory=64):
    body = {"team": "shop", "name": "sessions", "cluster": "demo", "memory_mib": memory, "instances": 1}
    demo.call("POST", "caches", body)

    def running():
        cache = demo.cache("sessions")
        return cache if cache["instances"][0]["state"] == "running" else None

    return wait_for(running)["endpoints"][0]


def test_from_start_to_ctrl_c(demo):
    endpoint = create(demo)
    assert limit(endpoint) == 64
    assert "STORED" in ask(endpoint, "set k 0 0 1\r\nv")
    demo.call("PATCH", "caches/shop/sessions", {"memory_mib": 128})

    def grown():
        return limit(endpoint) == 128

    wait_for(grown)
    assert "VALUE k 0 1" in ask(endpoint, "get k"), "growing keeps what is in it"
    demo.call("DELETE", "caches/shop/sessions")

    def stopped():
        return not demo.call("GET", "caches")["items"]

    wait_for(stopped)
    with pytest.raises(OSError):
        ask(endpoint, "stats")

    assert create(demo) != endpoint, "the port cools down"
    assert len(processes_of(demo.store)) >= 3
    os.killpg(demo.process.pid, signal.SIGINT)
    demo.process.wait(30)

    def gone():
        return not processes_of(demo.store)

    wait_for(gone)
    assert not demo.store.exists()


def test_nothing_outlives_kill_9(demo):
    endpoint = create(demo)
    assert limit(endpoint) == 64
    demo.process.kill()
    demo.process.wait()

    def gone():
        return not processes_of(demo.store)

    wait_for(gone)
    with pytest.raises(OSError):
        ask(endpoint, "stats")
