"""The real portal, started for a test in the bridge's namespace, and a client of its JSON API."""

import http.client
import json
import os
import tempfile
import uuid
from pathlib import Path

from lab import DIRECTORY, PROJECT, end, network, run, spawn, wait_for

# Behind the lab's API, which is what the master asks: on loopback, where no encryption is called for.
ADDRESS, PORT = "127.0.0.1", 8080
PASSWORD = "correct horse battery staple"


def binary():
    """The portal's binary: ``MEMC_PORTAL``, or where cargo puts it. None when it has not been built."""
    named = os.environ.get("MEMC_PORTAL")
    path = Path(named) if named else PROJECT / "target" / "debug" / "memc-portal"
    if named and not path.is_file():
        raise RuntimeError(f"MEMC_PORTAL names no file: {named}")
    return path.resolve() if path.is_file() else None


class Portal:
    """A portal on a fresh store, with an administrator; a context manager that ends it."""

    def __init__(self, program):
        self.program = program
        self.directory = Path(tempfile.mkdtemp(prefix="portal-", dir=DIRECTORY))
        self.store = f"sqlite://{self.directory}/memc.db"
        self.process = None

    def __enter__(self):
        self._say("user", "add", "operator", "--admin", "--password-stdin", input=PASSWORD + "\n")
        self.token = self._say("token", "create", "--user", "operator")
        self.pillar_token = self._say("token", "create", "--pillar")
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def _say(self, *command, **options):
        result = run(self.program, *command, "--store", self.store, **options)
        return result.stdout.strip().splitlines()[-1] if result.stdout.strip() else ""

    def start(self):
        """Serve."""
        with network():
            self.process = spawn(
                [self.program, "serve", "--listen", f"{ADDRESS}:{PORT}", "--store", self.store],
                DIRECTORY / "portal.log",
            )
        wait_for("portal", self._ready, seconds=30)

    def _ready(self):
        try:
            return self.request("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def stop(self):
        """End it."""
        end(self.process)
        self.process = None

    def request(self, method, path, body=None, token=None):
        """One request: ``(status, decoded body)``."""
        headers = {"Authorization": f"Bearer {token or self.token}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if method != "GET":
            headers["Idempotency-Key"] = str(uuid.uuid4())
        with network():
            connection = http.client.HTTPConnection(ADDRESS, PORT, timeout=10)
            try:
                connection.request(method, path, None if body is None else json.dumps(body), headers)
                answer = connection.getresponse()
                content = answer.read()
            finally:
                connection.close()
        try:
            return answer.status, json.loads(content)
        except ValueError:
            return answer.status, content

    def call(self, method, path, body=None, token=None):
        """The decoded body of a request that must succeed."""
        status, answer = self.request(method, path, body, token)
        assert 200 <= status < 300, (method, path, body, status, answer)
        return answer

    def pillar(self, minion, query=""):
        """The minion's document as the master would get it."""
        return self.call("GET", f"/salt/pillar/{minion}{query}", token=self.pillar_token)

    def cache(self, team, name):
        """A cache, or None when there is none."""
        status, answer = self.request("GET", f"/api/v1/caches/{team}/{name}")
        assert status in (200, 404), answer
        return answer if status == 200 else None
