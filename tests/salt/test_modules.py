"""The minion's modules: what they accept, what they plan, and how they treat files and processes."""

import copy
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from documents import BAD, GOOD, document

MINION = "h1.example.com"


def refused(modules, function, *arguments):
    """The text of a refusal."""
    with pytest.raises(modules.memc_document.Refused) as caught:
        function(*arguments)
    return str(caught.value)


class TestDocument:
    """``memc_document``: what this host may act on."""

    def test_a_good_document(self, modules):
        parsed = modules.memc_document.parse(GOOD, MINION)
        assert parsed["items"] == {11211: 22, 11212: 33}
        assert parsed["absent"] == {11210: 8100}
        assert parsed["listen"] == ["10.77.0.11", "127.0.0.1"]

    @pytest.mark.parametrize("name", BAD)
    def test_a_bad_document(self, modules, name):
        text = refused(modules, modules.memc_document.parse, BAD[name], MINION)
        assert "reboot" not in text

    def test_a_stale_document(self, modules):
        assert "stale" in refused(modules, modules.memc_document.parse, document(stale=True), MINION)

    def test_nothing_for_this_minion(self, modules):
        assert "no memcached document" in refused(modules, modules.memc_document.parse, {}, MINION)

    def test_the_format_of_existing_sites(self, modules):
        only = {"memc_items": {"11211": 22}}
        assert "no memc_meta" in refused(modules, modules.memc_document.parse, only, MINION)

    def test_the_marker_tells_its_reason_but_no_foreign_text(self, modules):
        parse = modules.memc_document.parse
        marker = {"memc_meta": {"complete": False, "reason": "the API did not answer in time"}}
        assert "did not answer in time" in refused(modules, parse, marker, MINION)
        marker["memc_meta"]["reason"] = "$(reboot)\n"
        assert "reboot" not in refused(modules, parse, marker, MINION)

    @pytest.mark.parametrize("address, listen", [("127.0.0.1", ["127.0.0.1"]), ("127.0.1.11", ["127.0.1.11"])])
    def test_a_loopback_address_stands_alone(self, modules, address, listen):
        assert modules.memc_document.parse(document(config={"listen": address}), MINION)["listen"] == listen

    @pytest.mark.parametrize(
        "newer, refusal",
        [
            ({}, None),
            ({"revision": 101}, None),
            ({"revision": 99}, "revision 99"),
            ({"epoch": 2, "revision": 1}, None),
            ({"epoch": 0, "revision": 500}, "epoch 0"),
            ({"fleet": "another", "epoch": 9, "revision": 500}, "another fleet"),
        ],
    )
    def test_compared_with_what_was_applied(self, modules, newer, refusal):
        record = {"fleet": GOOD["memc_meta"]["fleet"], "epoch": 1, "revision": 100}
        parsed = modules.memc_document.parse(document(**newer), MINION)
        if refusal is None:
            modules.memc_document.compare(parsed, record)
        else:
            assert refusal in refused(modules, modules.memc_document.compare, parsed, record)

    @pytest.mark.parametrize("record", [{}, [], None, {"fleet": "f"}, {"fleet": "f", "epoch": "1", "revision": 1}])
    def test_a_damaged_record(self, modules, record):
        assert "damaged" in refused(modules, modules.memc_document.parse_record, record)

    @pytest.mark.parametrize("text", ["", "MEMC_ID=1\n", "MEMC_ID=$(reboot)\nMEMC_PORT=1\nMEMC_MIB=1\nMEMC_CONN=1\n"])
    def test_an_environment_file_that_is_not_ours(self, modules, text):
        assert modules.memc_document.parse_settings(text) is None


def seen(kind="unit", env=None, process=None, **more):
    """What ``memc.observe`` gives for a port, of an empty port unless told otherwise."""
    return {
        **{"kind": kind, "pid": 77 if process else None, "enabled": bool(env), "env": env, "process": process or {}},
        **{"listeners": {"1"} if process else set(), "listening": bool(process), "foreign_listener": False},
        **{"taken_by": None, "limit": 22 if process else None, "script_differs": False},
        **more,
    }


@pytest.fixture
def plan(modules):
    """The plan for one port 11211 of 22 MiB and id 8211, or for its tombstone."""

    def make(host, absent=None):
        pillar = document(absent={11211: absent}) if absent else document(items={11211: 22}, ids={11211: 8211})
        parsed = modules.memc_document.parse(pillar, MINION)
        return modules.memc_plan.make(parsed, {11211: host}, 30240)

    return make


def settings(instance=8211, mib=22, **more):
    """An environment file's settings."""
    return {
        **{"MEMC_PORT": "11211", "MEMC_ID": str(instance), "MEMC_MIB": str(mib)},
        **{"MEMC_LISTEN": "10.77.0.11,127.0.0.1", "MEMC_CONN": "30240", **more},
    }


def steps(plan):
    """The steps that a plan takes, without their details."""
    return sorted(name for name in ("write", "script", "enable", "start", "limit", "stop") if plan[name])


class TestPlan:
    """``memc_plan``: every situation of a port, and what is done about it."""

    def test_a_new_instance(self, plan):
        assert steps(plan(seen())) == ["enable", "start", "write"]

    def test_nothing_to_do(self, plan):
        assert steps(plan(seen(env=settings(), process=settings()))) == []

    def test_a_changed_size(self, plan):
        made = plan(seen(env=settings(mib=16), process=settings(mib=16), limit=16))
        assert steps(made) == ["limit", "write"] and made["limit"][11211] == (16, 22)

    def test_a_size_that_a_client_changed(self, plan):
        assert steps(plan(seen(env=settings(), process=settings(), limit=4096))) == ["limit"]

    def test_an_instance_that_does_not_run(self, plan):
        assert steps(plan(seen(env=settings()))) == ["start"]

    def test_a_new_address_waits_for_the_next_start(self, plan):
        old = settings(MEMC_LISTEN="10.77.0.99,127.0.0.1")
        made = plan(seen(env=old, process=old))
        assert steps(made) == ["write"] and "started next" in made["notes"][11211]

    @pytest.mark.parametrize("other", [8000, 9000])
    def test_another_instance_runs_there(self, plan, other):
        made = plan(seen(env=settings(other), process=settings(other)))
        assert steps(made) == [] and "not adopted" in made["errors"][11211]

    def test_an_older_record_without_a_process_gives_way(self, plan):
        assert steps(plan(seen(env=settings(8000)))) == ["start", "write"]

    def test_a_stranger_on_the_port(self, plan):
        for env in (None, settings()):
            made = plan(seen(env=env, foreign_listener=True, taken_by="pid 9 (x)", listeners={"1"}))
            assert steps(made) == [] and "not ours" in made["errors"][11211]

    def test_a_stranger_beside_ours(self, plan):
        made = plan(seen(env=settings(), process=settings(), foreign_listener=True, taken_by="pid 9 (x)"))
        assert steps(made) == [] and 11211 in made["errors"]

    def test_ours_does_not_answer(self, plan):
        assert steps(plan(seen(env=settings(), process=settings(), limit=None))) == []

    def test_ours_does_not_listen(self, plan):
        assert steps(plan(seen(env=settings(), process=settings(), listening=False, limit=None))) == ["start"]

    def test_a_legacy_script_is_kept(self, plan):
        running = plan(seen("legacy", listeners={"1"}, limit=16, foreign_listener=True, taken_by="x"))
        assert steps(running) == ["limit"] and not running["errors"]
        assert steps(plan(seen("legacy"))) == ["start"]
        assert steps(plan(seen("legacy", listeners={"1"}, foreign_listener=True, taken_by="x"))) == []

    @pytest.mark.parametrize("last", [8211, 8212])
    def test_a_tombstone_stops(self, plan, last):
        assert steps(plan(seen(env=settings(), process=settings()), absent=last)) == ["stop"]
        assert steps(plan(seen(env=settings()), absent=last)) == ["stop"]

    def test_a_tombstone_of_an_older_instance_stops_nothing(self, plan):
        made = plan(seen(env=settings(), process=settings()), absent=8210)
        assert steps(made) == [] and "newer" in made["errors"][11211]
        made = plan(seen(env=settings(8000), process=settings(8211)), absent=8210)
        assert steps(made) == [] and "newer" in made["errors"][11211]

    def test_a_tombstone_of_nothing(self, plan):
        made = plan(seen(), absent=8211)
        assert steps(made) == [] and not made["errors"]

    def test_a_tombstone_never_stops_a_stranger_or_a_legacy_script(self, plan):
        assert steps(plan(seen(foreign_listener=True, taken_by="x", listeners={"1"}), absent=8211)) == []
        assert steps(plan(seen(process=settings()), absent=8211)) == []
        legacy = plan(seen("legacy", listeners={"1"}, limit=22), absent=8211)
        assert steps(legacy) == [] and "by hand" in legacy["errors"][11211]

    def test_a_port_that_is_not_mentioned(self, modules):
        parsed = modules.memc_document.parse(document(), MINION)
        made = modules.memc_plan.make(parsed, {11211: seen(env=settings(), process=settings())}, 30240)
        assert steps(made) == [] and "unmanaged" in made["notes"][11211]


class TestHost:
    """``memc_host``: files, locks, processes and sockets of this very machine."""

    def test_a_file_is_replaced_whole(self, modules, tmp_path):
        path = str(tmp_path / "11211.env")
        assert modules.memc_host.write_text(path, "one\n")
        assert not modules.memc_host.write_text(path, "one\n")
        assert modules.memc_host.write_text(path, "one\n", 0o600)
        assert os.listdir(tmp_path) == ["11211.env"]
        assert modules.memc_host.remove_file(path) and not modules.memc_host.remove_file(path)

    def test_a_failed_write_leaves_the_old_file(self, modules, tmp_path, monkeypatch):
        path = str(tmp_path / "11211.env")
        modules.memc_host.write_text(path, "old\n")

        def full(_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError):
            modules.memc_host.write_text(path, "new\n")
        assert os.listdir(tmp_path) == ["11211.env"] and modules.memc_host.read_text(path) == "old\n"

    def test_one_run_at_a_time(self, modules, tmp_path):
        modules.memc_host.STATE_DIR = str(tmp_path)
        with modules.memc_host.lock():
            with pytest.raises(modules.memc_host.HostError), modules.memc_host.lock(seconds=0.2):
                pass
            waited = []
            thread = threading.Thread(target=lambda: waited.append(modules.memc_host.lock(5).__enter__()))
            thread.start()
        thread.join()
        assert len(waited) == 1

    def test_a_damaged_record_is_no_record(self, modules, tmp_path):
        modules.memc_host.STATE_DIR = str(tmp_path)
        assert modules.memc_host.read_record() is None
        (tmp_path / "state.json").write_text('{"fleet"')
        assert modules.memc_host.read_record() == {}

    def test_whose_process_listens(self, modules):
        code = "import socket,time; s=socket.create_server(('127.0.0.1',0)); print(s.getsockname()[1]); time.sleep(60)"
        environment = {"MEMC_ID": "8211", "MEMC_PORT": "11211", "MEMC_MIB": "22", "OTHER": "x"}
        process = subprocess.Popen([sys.executable, "-uc", code], stdout=subprocess.PIPE, env=environment)
        try:
            port = int(process.stdout.readline())
            found = modules.memc_host.process_settings(process.pid)
            assert found == {"MEMC_ID": "8211", "MEMC_PORT": "11211", "MEMC_MIB": "22"}
            inodes = modules.memc_host.listeners()[port]
            assert inodes and inodes <= modules.memc_host.socket_inodes(process.pid)
            assert modules.memc_host.holder(inodes)[0] == process.pid
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
            process.stdout.close()
        assert modules.memc_host.process_settings(process.pid) is None

    def test_a_port_that_accepts_and_says_nothing(self, modules):
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            assert modules.memc_host.ask(["127.0.0.1"], port, "stats", (b"END",), seconds=0.3) is None

    def test_the_file_limit_decides(self, modules, monkeypatch):
        host = modules.memc_host
        monkeypatch.setattr(host.resource, "getrlimit", lambda _: (1024, 4096))
        monkeypatch.setattr(host.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 1))
        assert host.possible_connections(30240) == 4096 - 64
        assert host.possible_connections(1024) == 1024
        monkeypatch.setattr(host.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0))
        assert host.possible_connections(30240) == 30240


class TestTemplates:
    """The unit and the init script take integers and nothing else."""

    def test_the_init_script_is_valid_shell(self, modules, tmp_path):
        template = (modules_root() / "memcached.init").read_text()
        text = modules.memc_service.fill(template, "PORT", 11211)
        script = tmp_path / "memcached_11211"
        script.write_text(text)
        subprocess.run(["/bin/sh", "-n", script], check=True)
        assert "# Provides:          memcached_11211\n" in text

    def test_a_value_that_is_no_integer(self, modules):
        template = (modules_root() / "memcached.init").read_text()
        with pytest.raises(ValueError):
            modules.memc_service.fill(template, "PORT", "11211; reboot")

    def test_a_template_that_is_not_ours(self, modules):
        with pytest.raises(ValueError):
            modules.memc_service.fill("ExecStart=/bin/true\n", "NOFILE", 1)

    def test_an_environment_file_has_numbers_and_addresses_only(self, modules):
        parsed = modules.memc_document.parse(copy.deepcopy(GOOD), MINION)
        values = modules.memc_document.settings(parsed, 11211, 1000)
        text = "".join(f"{name}={value}\n" for name, value in values.items())
        assert modules.memc_document.parse_settings(text) == values
        assert set("".join(values.values())) <= set("0123456789.,:abcdef")


def modules_root():
    """The directory of the templates."""
    return Path(__file__).resolve().parents[2] / "salt" / "memcached"
