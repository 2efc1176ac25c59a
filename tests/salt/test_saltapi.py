"""The ext_pillar against a real server that fails in every way it can."""

import copy
import http.client
import json
import logging
import os
import socket
import threading
import time

import pytest
from documents import BAD, GOOD
from faulty_api import BODIES, FaultyApi

MINION = "h1.example.com"
TOKEN = "memcp_secret-of-the-master"


@pytest.fixture
def api():
    server = FaultyApi(hang_seconds=3)
    server.documents[MINION] = copy.deepcopy(GOOD)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    server.url = f"http://127.0.0.1:{server.server_port}/salt/pillar"
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def ask(saltapi, api, tmp_path):
    """The ext_pillar with a token file, a breaker file, and a short time limit."""
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    defaults = {
        "api": api.url,
        "token_file": str(token),
        "timeout": 0.5,
        "breaker_file": str(tmp_path / "breaker.json"),
        "breaker_failures": 0,
    }

    def call(minion=MINION, **options):
        return saltapi.ext_pillar(minion, {}, **{**defaults, **options})

    return call


def failed(answer):
    """The reason of a marker, which holds nothing else."""
    assert set(answer) == {"memc_meta"}
    assert answer["memc_meta"]["complete"] is False
    assert set(answer["memc_meta"]) == {"complete", "reason"}
    return answer["memc_meta"]["reason"]


def test_a_document_arrives_as_it_is(ask):
    assert ask() == GOOD


@pytest.mark.parametrize("ending", ["", "/", "//"])
def test_the_address_may_end_in_a_slash(ask, api, ending):
    assert ask(api=api.url + ending) == GOOD
    assert api.requests[-1][0] == f"/salt/pillar/{MINION}"


def test_the_request_carries_the_token(ask, api):
    ask()
    assert api.requests[-1][1]["Authorization"] == f"Bearer {TOKEN}"


def test_the_token_is_read_anew(ask, tmp_path, api):
    ask()
    (tmp_path / "token").write_text("another")
    ask()
    assert api.requests[-1][1]["Authorization"] == "Bearer another"


@pytest.mark.parametrize("minion", ["../admin", "a b", "a/b?x=1#y", "ü", "%2e%2e", "h1\r\nX-Evil: 1"])
def test_a_minion_id_stays_one_path_segment(ask, api, minion):
    assert ask(minion) == {}
    path = api.requests[-1][0]
    assert path.startswith("/salt/pillar/") and path.count("/") == 3
    assert "?" not in path and " " not in path and "X-Evil" not in api.requests[-1][1]


def test_an_unknown_minion_gets_nothing(ask):
    assert ask("unregistered.example.com") == {}


def test_the_format_of_existing_sites_passes_without_what_our_states_trust(ask, api):
    api.documents[MINION] = {"memc_items": {"11210": 12, "11211": 22, "11212": 33}}
    assert ask() == {"memc_items": {"11210": 12, "11211": 22, "11212": 33}}


def test_a_stale_document_says_so(ask, api):
    api.documents[MINION]["memc_meta"]["stale"] = True
    assert ask()["memc_meta"]["stale"] is True


def test_what_the_document_has_beyond_the_contract_is_dropped(ask, api):
    api.documents[MINION]["note"] = api.documents[MINION]["memc_meta"]["note"] = "$(reboot)"
    assert ask() == GOOD


@pytest.mark.parametrize("name", BAD)
def test_a_bad_document_gives_the_marker(ask, api, name):
    api.documents[MINION] = BAD[name]
    failed(ask())


@pytest.mark.parametrize(
    "mode",
    [
        *(*BODIES, "error", "unavailable", "unauthorized", "forbidden", "redirect"),
        *("hang", "drip", "drip-header", "close", "cut", "no-http"),
    ],
)
def test_every_failure_gives_the_marker_in_time_and_tells_no_secret(ask, api, mode, caplog):
    api.mode = mode
    caplog.set_level(logging.DEBUG)
    begun = time.monotonic()
    reason = failed(ask())
    assert time.monotonic() - begun < 1.5
    assert reason and "secret" not in reason and TOKEN not in reason
    assert TOKEN not in caplog.text and "secret of the server" not in caplog.text


def test_a_redirect_is_not_followed(ask, api):
    api.mode = "redirect"
    ask()
    assert len(api.requests) == 1


def test_proxies_of_the_environment_are_not_asked(ask, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1/")
    assert ask() == GOOD


def test_nobody_listens(ask):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    failed(ask(api=f"http://127.0.0.1:{port}/"))


def test_a_name_that_is_looked_up_for_long(ask, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(2) or [])
    begun = time.monotonic()
    assert "in time" in failed(ask())
    assert time.monotonic() - begun < 1.5


def test_raising_is_an_option(ask, api, saltapi):
    api.mode = "error"
    with pytest.raises(saltapi.Failure) as caught:
        ask(on_error="raise")
    assert TOKEN not in str(caught.value)
    api.mode = "documents"
    assert ask("unregistered.example.com", on_error="raise") == {}


@pytest.mark.parametrize(
    "options",
    [
        {"api": None},
        {"api": "ftp://example.com/"},
        {"api": "http://user:password@example.com/"},
        {"api": "http://example.com/?x=1"},
        {"api": "http://example.com:port/"},
        {"api": 7},
        {"timeout": "soon"},
        {"timeout": 0},
        {"token_file": "/does/not/exist"},
        {"unknown_option": 1},
    ],
)
def test_a_wrong_configuration_gives_the_marker(ask, options):
    assert failed(ask(**options)).startswith("configuration: ")


@pytest.mark.parametrize("content", ["", "two words", "a\nb", "ü"])
def test_a_token_file_holds_one_token(ask, tmp_path, content):
    (tmp_path / "token").write_text(content)
    assert failed(ask()).startswith("configuration: ")


def test_an_internal_error_tells_no_text(ask, saltapi, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError(TOKEN)

    monkeypatch.setattr(saltapi, "check", broken)
    assert failed(ask()) == "internal error: RuntimeError"
    monkeypatch.setattr(http.client.HTTPConnection, "request", broken)
    assert failed(ask()) == "internal error: RuntimeError"


OPTIONS = {"breaker_failures": 2, "breaker_seconds": 30}


class TestBreaker:
    """The circuit breaker: shared through a file, harmless whatever happens to that file."""

    def test_it_opens_after_failures_in_a_row_and_then_answers_at_once(self, ask, api):
        api.mode = "close"
        for _ in range(2):
            assert "moment" not in failed(ask(**OPTIONS))
        count = len(api.requests)
        assert "left alone for a moment" in failed(ask(**OPTIONS))
        assert len(api.requests) == count

    def test_an_answer_between_failures_keeps_it_closed(self, ask, api):
        for mode in ("close", "documents", "close", "unknown", "close", "unauthorized", "close"):
            api.mode = mode
            ask(**OPTIONS)
        api.mode = "documents"
        assert ask(**OPTIONS) == GOOD

    def test_a_bad_document_of_one_minion_leaves_the_others_alone(self, ask, api):
        api.documents["bad.example.com"] = {}
        for _ in range(5):
            failed(ask("bad.example.com", **OPTIONS))
        assert ask(**OPTIONS) == GOOD

    def test_one_probe_closes_it(self, ask, api, tmp_path):
        api.mode = "hang"
        (tmp_path / "breaker.json").write_text(json.dumps({"failures": 2, "until": time.time() - 1}))
        probe = threading.Thread(target=ask, kwargs=OPTIONS)
        probe.start()
        time.sleep(0.2)
        # While the probe is under way, nobody joins it.
        assert "left alone" in failed(ask(**OPTIONS))
        probe.join()
        assert len(api.requests) == 1
        (tmp_path / "breaker.json").write_text(json.dumps({"failures": 2, "until": time.time() - 1}))
        api.mode = "documents"
        assert ask(**OPTIONS) == GOOD
        assert json.loads((tmp_path / "breaker.json").read_text()) == {"failures": 0, "until": 0}

    @pytest.mark.parametrize(
        "content",
        [
            "",
            "{",
            "[]",
            "7",
            '{"failures": "x", "until": 0}',
            '{"failures": -1, "until": 0}',
            '{"failures": 2, "until": 1e300}',
            '{"failures": 2, "until": NaN}',
            '{"failures": true, "until": 0}',
        ],
    )
    def test_a_damaged_file_does_not_matter(self, ask, tmp_path, content):
        (tmp_path / "breaker.json").write_text(content)
        assert ask(**OPTIONS) == GOOD

    def test_a_clock_that_went_back_does_not_keep_it_open(self, ask, tmp_path):
        (tmp_path / "breaker.json").write_text(json.dumps({"failures": 9, "until": time.time() + 86400}))
        assert ask(**OPTIONS) == GOOD

    def test_a_place_that_cannot_be_written_does_not_matter(self, ask, tmp_path):
        assert ask(**OPTIONS, breaker_file=str(tmp_path / "missing" / "breaker.json")) == GOOD
        (tmp_path / "directory").mkdir()
        assert ask(**OPTIONS, breaker_file=str(tmp_path / "directory")) == GOOD

    def test_a_lock_that_is_held_does_not_matter(self, ask, tmp_path, saltapi):
        handle = os.open(tmp_path / "breaker.json.lock", os.O_RDWR | os.O_CREAT)
        saltapi.fcntl.flock(handle, saltapi.fcntl.LOCK_EX)
        try:
            assert ask(**OPTIONS) == GOOD
        finally:
            os.close(handle)
