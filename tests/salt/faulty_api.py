"""
The pillar API as a master sees it, with every way it can go wrong.

``FaultyApi`` serves in the test's own process; as a script (``faulty_api.py ADDRESS PORT DIRECTORY``) it serves inside
a lab, and is steered by files in its directory: ``mode.json`` (``{"mode": …, "upstream": …}``) and ``<minion>.json``.
"""

import contextlib
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HANG_SECONDS = 20

# What is answered with status 200 whatever was asked for.
BODIES = {
    "garbage": b"<html>It works!</html>\x00\xff",
    "empty": b"",
    "list": b"[]",
    "null": b"null",
    "empty-object": b"{}",
    "number": b"7",
    "text": b'"11211"',
    "nan": b'{"memc_items": {"11211": NaN}}',
    "twice": b'{"memc_items": {"11211": 22, "11211": 33}}',
    "deep": b"[" * 100_000,
    "huge-number": b'{"memc_items": {"11211": ' + b"9" * 10_000 + b"}}",
    "oversized": b'{"memc_items": {' + b" " * (5 * 1024 * 1024) + b"}}",
    "not-utf8": b'{"memc_items": {"\xff\xfe": 1}}',
}
STATUSES = {"error": 500, "unavailable": 503, "unauthorized": 401, "unknown": 404, "forbidden": 403}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.requests.append((self.path, dict(self.headers)))
        settings = self.server.settings()
        mode = settings["mode"]
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if mode in BODIES:
                self._answer(200, BODIES[mode])
            elif mode in STATUSES:
                self._answer(STATUSES[mode], b'{"title": "secret of the server"}', "application/problem+json")
            elif mode == "redirect":
                self._answer(302, b"", location="/elsewhere" + self.path)
            elif mode in ("documents", "pass"):
                self._answer(*(self._document() if mode == "documents" else self._upstream(settings["upstream"])))
            else:
                getattr(self, "_" + mode.replace("-", "_"))()
        self.close_connection = True

    def _answer(self, status, body, kind="application/json", location=None):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)

    def _document(self):
        name = urllib.parse.unquote(self.path.rsplit("/", 1)[-1])
        document = self.server.document(name)
        if document is None:
            return 404, b'{"title": "unknown minion"}', "application/problem+json"
        return 200, json.dumps(document).encode()

    def _upstream(self, upstream):
        request = urllib.request.Request(upstream + self.path)
        if "Authorization" in self.headers:
            request.add_header("Authorization", self.headers["Authorization"])
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as err:
            return err.code, err.read()
        except OSError:
            return 502, b""

    def _hang(self):
        time.sleep(self.server.hang_seconds)

    def _close(self):
        pass

    def _drip(self):
        """A byte every now and then: no single wait is long."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
        self._slowly(b" " * 1000)

    def _drip_header(self):
        self._slowly(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 1000)

    def _slowly(self, data):
        deadline = time.monotonic() + self.server.hang_seconds
        for byte in data:
            if time.monotonic() > deadline:
                return
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            time.sleep(0.05)

    def _cut(self):
        self.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"memc_items": {}}')

    def _no_http(self):
        self.wfile.write(b"+OK this is another protocol\r\n")


class FaultyApi(ThreadingHTTPServer):
    """A server with a mode and documents by minion; ``requests`` keeps what was asked."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, address=("127.0.0.1", 0), hang_seconds=HANG_SECONDS):
        super().__init__(address, _Handler)
        self.mode, self.documents, self.requests, self.hang_seconds = "documents", {}, [], hang_seconds

    def settings(self):
        """How to answer the next request."""
        return {"mode": self.mode}

    def document(self, minion):
        """The minion's document, or None."""
        return self.documents.get(minion)


class _DirectoryApi(FaultyApi):
    """The same, steered by the files of a directory."""

    def __init__(self, address, directory):
        super().__init__(address)
        self.directory = Path(directory)

    def settings(self):
        self.requests.clear()
        return json.loads((self.directory / "mode.json").read_text())

    def document(self, minion):
        path = self.directory / f"{Path(minion).name}.json"
        return json.loads(path.read_text()) if path.exists() else None


if __name__ == "__main__":
    _DirectoryApi((sys.argv[1], int(sys.argv[2])), sys.argv[3]).serve_forever()
