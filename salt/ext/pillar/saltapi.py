"""
An ext_pillar that asks the self-service memcached API what a minion has to run.

.. code-block:: yaml

    ext_pillar:
      - saltapi:
          api: http://www.example.com/salt/pillar/
          token_file: /etc/salt/memc-pillar.token

``GET <api>/<minion id>`` answers with the minion's document. An ext_pillar runs for *every* minion of a master, and an
exception in one refuses every state of that minion. So a minion that the API does not know gets ``{}``, and every
failure gives ``{"memc_meta": {"complete": false, "reason": ...}}``, which only the memcached states refuse.

Options: ``timeout`` seconds in all (3), ``on_error`` ``marker`` or ``raise``, ``max_bytes`` of an answer (4 MiB),
``ca_file`` for https, ``breaker_file`` (in the master's cache directory), ``breaker_failures`` in a row (3) after which
the API is left alone for ``breaker_seconds`` (15).
"""

import contextlib
import fcntl
import http.client
import ipaddress
import json
import logging
import os
import re
import ssl
import tempfile
import threading
import time
import urllib.parse

__virtualname__ = "saltapi"

log = logging.getLogger(__name__)

MIN_PORT, MAX_PORT = 1024, 65535
# The platform gives no less than 8 MiB; documents of existing sites contain less. memcached starts with 2 MiB at least.
MIN_MIB, MAX_MIB = 2, 16 * 1024 * 1024
MAX_COUNT = 2**63 - 1
MIN_CONNECTIONS, MAX_CONNECTIONS = 1, 1_000_000
_PORT_KEY = re.compile(r"[1-9][0-9]{3,4}")
_FLEET = re.compile(r"[A-Za-z0-9-]{1,64}")


def __virtual__():
    return __virtualname__


class Failure(Exception):
    """No usable answer. The text is one of this file's own: it reaches minions, so nothing of the answer is in it."""


class Unavailable(Failure):
    """The API did not answer as an API: reason to leave it alone for a while."""


class UnknownMinion(Exception):
    """The API does not know the minion."""


def ext_pillar(minion_id, pillar, *args, **options):
    """The minion's document, ``{}`` when the API does not know the minion, the marker when it cannot be had."""
    on_error = options.pop("on_error", "marker")
    try:
        try:
            settings = _Settings(*args, **options)
        except TypeError:
            raise Failure("configuration: an option is unknown or given twice") from None
        return _fetch(minion_id, settings)
    except UnknownMinion:
        return {}
    except Failure as err:
        reason = str(err)
    except Exception as err:  # pylint: disable=broad-except
        # Not the exception's text: it may hold what the server sent.
        reason = f"internal error: {type(err).__name__}"
    log.warning("saltapi: no document for minion %s: %s", _printable(minion_id), reason)
    if on_error == "raise":
        raise Failure(reason) from None
    return {"memc_meta": {"complete": False, "reason": reason}}


class _Settings:
    """The checked options of the master's configuration."""

    def __init__(
        self,
        api=None,
        token_file=None,
        timeout=3,
        max_bytes=4 * 1024 * 1024,
        ca_file=None,
        breaker_file=None,
        breaker_failures=3,
        breaker_seconds=15,
    ):
        try:
            url = urllib.parse.urlsplit(api)
            self.host, self.port, self.tls = url.hostname, url.port, url.scheme == "https"
            valid = url.scheme in ("http", "https") and url.hostname and not (url.username or url.query or url.fragment)
        except (ValueError, TypeError, AttributeError):
            valid = False
        if not valid:
            raise Failure("configuration: api is not an http or https address without user, query and fragment")
        self.path = url.path.rstrip("/") + "/"
        self.token_file, self.ca_file = token_file, ca_file
        try:
            self.timeout, self.max_bytes = float(timeout), int(max_bytes)
            failures, seconds = int(breaker_failures), float(breaker_seconds)
        except (ValueError, TypeError):
            raise Failure("configuration: a number is not a number") from None
        if not 0 < self.timeout <= 60 or self.max_bytes < 1024:
            raise Failure("configuration: timeout or max_bytes is out of range")
        if breaker_file is None:
            cache = globals().get("__opts__", {}).get("cachedir")
            breaker_file = os.path.join(cache, "saltapi-breaker.json") if cache else None
        self.breaker = _Breaker(breaker_file, failures, seconds, self.timeout)

    def token(self):
        """The token in the file, read anew each time so that it can be changed while the master runs."""
        if self.token_file is None:
            return None
        try:
            with open(self.token_file, encoding="ascii") as file:
                token = file.read(4096).strip()
        except (OSError, ValueError):
            raise Failure("configuration: the token file cannot be read") from None
        if not re.fullmatch(r"[\x21-\x7e]+", token):
            raise Failure("configuration: the token file does not hold one token")
        return token


def _fetch(minion_id, settings):
    token = settings.token()
    settings.breaker.enter()
    try:
        status, body = _get(settings, urllib.parse.quote(minion_id, safe=""), token)
        document = _answer(status, body)
    except Unavailable:
        settings.breaker.failed()
        raise
    except (Failure, UnknownMinion):
        # It answered: something is wrong with this minion or this token, which says nothing about the next one.
        settings.breaker.succeeded()
        raise
    except BaseException:
        settings.breaker.failed()
        raise
    settings.breaker.succeeded()
    return check(document, minion_id)


def _answer(status, body):
    if status == 404:
        raise UnknownMinion
    if status == 401:
        raise Failure("the API does not accept the token")
    if status == 503:
        raise Unavailable("the API cannot tell at the moment (503)")
    if 300 <= status < 400:
        raise Failure("the API answers with a redirect")
    if status != 200:
        kind = Unavailable if status >= 500 else Failure
        raise kind(f"the API answers with status {int(status)}")
    try:
        return json.loads(body, parse_constant=_no_constant, object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError):
        raise Unavailable("the answer is not valid JSON") from None


def _get(settings, name, token):
    """
    One GET: ``(status, body)``, within ``settings.timeout`` in all.

    A socket's own time-out starts again with every byte, and looking up a name has none. So the request runs in a
    thread of its own, which is left behind when time is up, its socket shut so that it ends.
    """
    request = _Request(settings, name, token)
    thread = threading.Thread(target=request.run, name="saltapi", daemon=True)
    thread.start()
    thread.join(settings.timeout)
    if thread.is_alive():
        request.abandon()
        raise Unavailable("the API did not answer in time")
    if request.error is not None:
        raise request.error
    return request.result


class _Request:
    def __init__(self, settings, name, token):
        self.settings, self.name, self.token = settings, name, token
        self.connection = self.result = self.error = None
        self.abandoned = False

    def run(self):
        """Fill ``result`` or ``error``."""
        try:
            self.result = self._ask()
        except Failure as err:
            self.error = err
        except (OSError, http.client.HTTPException, ValueError) as err:
            self.error = Unavailable(f"the API cannot be reached or broke off ({_kind(err)})")
        except Exception as err:  # pylint: disable=broad-except
            self.error = Failure(f"internal error: {type(err).__name__}")
        finally:
            if self.connection is not None:
                self.connection.close()

    def abandon(self):
        """End the thread's wait for the socket."""
        self.abandoned = True
        with contextlib.suppress(Exception):
            # Shutting down, unlike closing, wakes a thread that is reading.
            self.connection.sock.shutdown(2)

    def _ask(self):
        settings = self.settings
        # http.client follows no redirects and knows no proxies, which is what is wanted here.
        if settings.tls:
            context = ssl.create_default_context(cafile=settings.ca_file)
            connection = http.client.HTTPSConnection(
                settings.host, settings.port, timeout=settings.timeout, context=context
            )
        else:
            connection = http.client.HTTPConnection(settings.host, settings.port, timeout=settings.timeout)
        self.connection = connection
        connection.connect()
        if self.abandoned:
            raise Unavailable("the API did not answer in time")
        headers = {"Accept": "application/json", "User-Agent": "salt-saltapi", "Connection": "close"}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        connection.request("GET", settings.path + self.name, headers=headers)
        response = connection.getresponse()
        body = response.read(settings.max_bytes + 1)
        if len(body) > settings.max_bytes:
            raise Unavailable("the answer is too large")
        if response.length:
            raise Unavailable("the answer broke off")
        return response.status, body


class _Breaker:
    """
    Leaves the API alone for a while after several failures in a row. The master's workers are processes of their own,
    so they share it through a file. Whatever is wrong with that file, the API is asked: the breaker only saves time.
    """

    def __init__(self, path, failures, seconds, timeout):
        self.path, self.failures, self.seconds, self.timeout = path, failures, seconds, timeout

    def enter(self):
        """Raise ``Failure`` while open; when that time is over, let one worker through as a probe."""
        refused = False
        with self._locked() as state:
            if state is None:
                return
            now = time.time()
            if state["until"] > now:
                refused = True
            elif state["failures"] >= self.failures:
                # The probe's own time: others wait for its outcome instead of joining it.
                self._write(state["failures"], now + self.timeout + 1)
        if refused:
            raise Failure("the API failed several times and is left alone for a moment")

    def failed(self):
        """One more failure in a row."""
        with self._locked() as state:
            if state is not None:
                failures = min(state["failures"] + 1, 1000)
                self._write(failures, time.time() + self.seconds if failures >= self.failures else 0)

    def succeeded(self):
        """The API answers."""
        with self._locked() as state:
            if state is not None and (state["failures"] or state["until"]):
                self._write(0, 0)

    @contextlib.contextmanager
    def _locked(self):
        """The state, under a lock; None when there is no breaker or its file cannot be used."""
        handle = None
        try:
            if self.path is not None and self.failures > 0:
                handle = self._lock()
            yield None if handle is None else self._read()
        finally:
            if handle is not None:
                os.close(handle)

    def _lock(self):
        try:
            handle = os.open(self.path + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as err:
            log.debug("saltapi: the breaker's file cannot be used: %s", err.strerror)
            return None
        for _ in range(50):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return handle
            except OSError:
                time.sleep(0.01)
        os.close(handle)
        return None

    def _read(self):
        try:
            with open(self.path, encoding="ascii") as file:
                state = json.loads(file.read(4096))
            failures, until = state["failures"], state["until"]
            latest = time.time() + max(self.seconds, self.timeout + 1)
            # A time further away than we ever set means that the clock was moved or the file is damaged.
            if type(failures) is int and failures >= 0 and type(until) in (int, float) and 0 <= until <= latest:
                return {"failures": failures, "until": until}
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            pass
        return {"failures": 0, "until": 0}

    def _write(self, failures, until):
        temporary = None
        try:
            handle, temporary = tempfile.mkstemp(prefix=".saltapi-", dir=os.path.dirname(self.path) or ".")
            with os.fdopen(handle, "w", encoding="ascii") as file:
                json.dump({"failures": failures, "until": until}, file)
            os.replace(temporary, self.path)
        except OSError as err:
            log.debug("saltapi: the breaker's file cannot be written: %s", err.strerror)
            if temporary is not None:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)


def check(document, minion_id):
    """The parts of a document that minions get, each checked. Raises ``Failure``."""
    if not isinstance(document, dict):
        raise Failure("the document is not an object")
    items = _port_map(document.get("memc_items"), "memc_items", MIN_MIB, MAX_MIB)
    if set(document) == {"memc_items"}:
        # The format of existing sites: fine for their states, while ours refuse it for want of memc_meta.
        return {"memc_items": items}
    meta, config = document.get("memc_meta"), document.get("memc_config")
    if not isinstance(meta, dict) or not isinstance(config, dict):
        raise Failure("memc_meta or memc_config is not an object")
    if meta.get("minion") != minion_id:
        raise Failure("the document is another minion's")
    if not isinstance(meta.get("fleet"), str) or not _FLEET.fullmatch(meta["fleet"]):
        raise Failure("memc_meta.fleet is not a valid name")
    if meta.get("complete") is not True:
        raise Failure("the API says that the document is incomplete")
    if not isinstance(meta.get("stale"), bool):
        raise Failure("memc_meta.stale is not a boolean")
    numbers = {name: _integer(meta.get(name), f"memc_meta.{name}", 0, MAX_COUNT) for name in ("epoch", "revision")}
    ids = _port_map(meta.get("ids"), "memc_meta.ids", 0, MAX_COUNT)
    absent_ids = _port_map(meta.get("absent_ids", {}), "memc_meta.absent_ids", 0, MAX_COUNT)
    absent = document.get("memc_absent", [])
    if not isinstance(absent, list):
        raise Failure("memc_absent is not a list")
    absent = [_integer(port, "a port of memc_absent", MIN_PORT, MAX_PORT) for port in absent]
    names = {str(port) for port in absent}
    if _integer(meta.get("count"), "memc_meta.count", 0, MAX_COUNT) != len(items):
        raise Failure("memc_meta.count differs from the number of memc_items")
    if set(ids) != set(items) or set(absent_ids) != names or len(names) != len(absent) or names & set(items):
        raise Failure("memc_items, memc_absent and their ids do not belong together")
    connections = _integer(
        config.get("max_connections", 30240), "memc_config.max_connections", MIN_CONNECTIONS, MAX_CONNECTIONS
    )
    return {
        "memc_items": items,
        "memc_absent": absent,
        "memc_config": {"listen": _address(config.get("listen")), "max_connections": connections},
        "memc_meta": {
            "fleet": meta["fleet"],
            "minion": minion_id,
            **numbers,
            "count": len(items),
            "ids": ids,
            "absent_ids": absent_ids,
            "complete": True,
            "stale": meta["stale"],
        },
    }


def _integer(value, name, least, most):
    # bool is a subclass of int: true must not count as 1.
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise Failure(f"{name} is not an integer from {least} to {most}")
    return value


def _port_map(value, name, least, most):
    if not isinstance(value, dict):
        raise Failure(f"{name} is not an object")
    for key, number in value.items():
        if not _PORT_KEY.fullmatch(key) or not MIN_PORT <= int(key) <= MAX_PORT:
            raise Failure(f"{name} has a key that is not a port from {MIN_PORT} to {MAX_PORT}")
        _integer(number, f"a value of {name}", least, most)
    return value


def _address(value):
    # A scope ("fe80::1%name") may hold any text, so it is not accepted.
    try:
        if not isinstance(value, str) or "%" in value:
            raise ValueError
        address = ipaddress.ip_address(value)
        if address.is_unspecified or address.is_multicast:
            raise ValueError
    except ValueError:
        raise Failure("memc_config.listen is not the IP address of an interface") from None
    return str(address)


def _no_constant(_name):
    raise ValueError("NaN and infinities are not JSON")


def _no_duplicates(pairs):
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _kind(err):
    if isinstance(err, ssl.SSLError):
        return "TLS"
    return type(err).__name__


def _printable(text):
    return re.sub(r"[^A-Za-z0-9._-]", "?", str(text))[:255]
