"""
A Salt master and several hosts on one machine, each host with an address, a root file system and processes of its own.

Everything is named with ``PREFIX`` and lies in one directory, so that what a killed run left is found and removed.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from documents import document

PREFIX = "memct"
PROJECT = Path(__file__).resolve().parents[2]
VENV = PROJECT / "target" / "venv"
DIRECTORY = PROJECT / "target" / "salt-lab"
ROOTFS = PROJECT / "target" / "salt-rootfs"
BRIDGE = f"{PREFIX}-sm"
# Only inside network namespaces made here: nothing of it is visible to, or reachable from, the machine.
NETWORK = "10.77.0"
MASTER = f"{NETWORK}.1"
API_PORT = 8090

_libc = ctypes.CDLL(None, use_errno=True)


def run(*command, check=True, **options):
    """A command's result, with its output as text."""
    options.setdefault("timeout", 120)
    result = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if check and result.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: {result.stdout}{result.stderr}")
    return result


@contextlib.contextmanager
def network(name=BRIDGE):
    """This thread, and the processes it starts meanwhile, in a network namespace."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        _enter(there)
        yield
    finally:
        _enter(home)
        os.close(home)
        os.close(there)


def _enter(handle):
    if _libc.setns(handle, 0x40000000) != 0:  # CLONE_NEWNET
        raise OSError(ctypes.get_errno(), "setns")


def wait_for(what, probe, seconds=30, every=0.1):
    """The first true value of ``probe()``; an error that says what was waited for when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"no {what} within {seconds} s")
        time.sleep(every)


def end(process, seconds=15):
    """End a process that we started and its group, politely first."""
    if process is None or process.poll() is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def spawn(command, log, **options):
    """A process in a group of its own, with its output in a file."""
    with open(log, "ab") as output:
        return subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **options,
        )


def clean_up():
    """Remove the namespaces, processes and mounts of this and of earlier, killed runs."""
    names = [line.split()[0] for line in run("ip", "netns", "list").stdout.splitlines() if line.startswith(PREFIX)]
    for sign in (signal.SIGTERM, signal.SIGKILL):
        pids = {int(pid) for name in names for pid in run("ip", "netns", "pids", name, check=False).stdout.split()}
        for pid in pids - {os.getpid()}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sign)
        if pids and sign == signal.SIGTERM:
            time.sleep(2)
    for name in names:
        run("ip", "netns", "del", name, check=False)
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for path in sorted((path for path in mounts if path.startswith(str(DIRECTORY))), reverse=True):
        run("umount", "-l", path, check=False)
    shutil.rmtree(DIRECTORY, ignore_errors=True)


class Lab:
    """The master and its hosts; a context manager that leaves nothing behind."""

    def __init__(self):
        self.hosts = {}
        self.master = None
        self._lock = None

    def __enter__(self):
        self._lock = os.open(f"/run/lock/{PREFIX}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError("another run of the Salt tests is under way on this machine") from None
        try:
            clean_up()
            self._make_network()
            self._start_master()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for host in self.hosts.values():
            host.power_off()
        end(self.master)
        self._keep_logs()
        clean_up()
        os.close(self._lock)

    def _keep_logs(self):
        kept = PROJECT / "target" / "salt-lab-logs"
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        for log in DIRECTORY.glob("*.log"):
            shutil.copy(log, kept)

    def _make_network(self):
        DIRECTORY.mkdir(parents=True)
        # The hosts' changes go to memory: fast, and any file system can carry an overlay on top of it.
        run("mount", "-t", "tmpfs", "-o", "size=2g", PREFIX, DIRECTORY)
        run("ip", "netns", "add", BRIDGE)
        for command in (
            "link add br0 type bridge",
            f"addr add {MASTER}/24 dev br0",
            "link set br0 up",
            "link set lo up",
        ):
            run("ip", "-n", BRIDGE, *command.split())

    def _start_master(self):
        config = DIRECTORY / "master-config"
        (config / "master.d").mkdir(parents=True)
        states = DIRECTORY / "srv-salt"
        shutil.copytree(PROJECT / "salt", states)
        (states / "unrelated.sls").write_text(
            "/etc/unrelated:\n  file.managed:\n    - contents: left alone by memcached\n"
        )
        token = DIRECTORY / "pillar.token"
        token.write_text("not-checked-by-the-document-server\n")
        # The example that operators copy, with this lab's places in it.
        example = (PROJECT / "salt" / "master.d" / "memc.conf").read_text()
        example = example.replace("/srv/salt", str(states)).replace("/etc/salt/memc-pillar.token", str(token))
        example = example.replace("www.example.com", f"{MASTER}:{API_PORT}")
        (config / "master.d" / "memc.conf").write_text(example)
        root = DIRECTORY / "master-root"
        root.mkdir()
        settings = {
            "interface": MASTER,
            "root_dir": str(root),
            "auto_accept": True,
            "worker_threads": 3,
            "user": "root",
            "timeout": 60,
            # How long the `salt` command waits for word of a minion that is silent.
            "gather_job_timeout": 3,
            "default_include": "master.d/*.conf",
        }
        (config / "master").write_text(json.dumps(settings))
        with network():
            self.master = spawn([VENV / "bin" / "salt-master", "-c", config, "-l", "warning"], DIRECTORY / "master.log")
        self.states, self.token = states, token

    def salt(self, target, *command, seconds=120, state=True):
        """
        One ``salt`` command's result for one minion. ``--static --out=json`` exits with 0 even when states fail, so the
        result itself is read.
        """
        with network():
            result = run(
                *(VENV / "bin" / "salt", "-c", DIRECTORY / "master-config", "--static", "--out=json"),
                *("-t", str(seconds), target, *command),
                check=False,
                timeout=seconds + 30,
            )
        try:
            answer = json.loads(result.stdout)[target]
        except (ValueError, KeyError):
            raise AssertionError(f"salt {target} {command}: {result.stdout}{result.stderr}") from None
        return States(answer) if state and command[0].startswith("state.") else answer

    @contextlib.contextmanager
    def start_api(self):
        """The API in the bridge's namespace: documents by minion, or a portal behind a proxy that can fail."""
        self.api = Api(DIRECTORY / "api", self)
        try:
            yield self.api
        finally:
            self.api.stop()

    def add(self, host):
        """Start a host and wait until its minion answers."""
        self.hosts[host.name] = host
        host.connect()
        host.power_on()
        return host

    def wait_until_up(self, *hosts):
        """Wait until the minions of these hosts answer."""
        for host in hosts:
            wait_for(f"minion {host.minion}", lambda host=host: self._answers(host), seconds=90, every=1)

    def _answers(self, host):
        try:
            return self.salt(host.minion, "test.ping", seconds=5) is True
        except (AssertionError, subprocess.TimeoutExpired):
            return False


class Api:
    """What the master asks: ``mode`` says how it answers (see ``faulty_api``), ``serve`` what."""

    def __init__(self, directory, lab):
        self.directory, self.lab = directory, lab
        self.process = None
        self.revision = 100
        directory.mkdir()
        self.reset()

    def reset(self):
        """Up, and knowing no minion."""
        for old in self.directory.glob("*.example.com.json"):
            old.unlink()
        self.use("documents")

    def use(self, mode, upstream=None):
        """Answer in another way from now on; ``down`` means that nobody listens."""
        temporary = self.directory / "mode.json.new"
        temporary.write_text(json.dumps({"mode": mode, "upstream": upstream}))
        temporary.replace(self.directory / "mode.json")
        if mode == "down":
            self.stop()
        elif self.process is None:
            self.start()
        # The master's breaker would go on sparing an API that is well again.
        for breaker in (DIRECTORY / "master-root").rglob("saltapi-breaker.json"):
            breaker.unlink(missing_ok=True)

    def start(self):
        """Listen."""
        with network():
            script = Path(__file__).with_name("faulty_api.py")
            command = [VENV / "bin" / "python", script, MASTER, str(API_PORT), self.directory]
            self.process = spawn(command, DIRECTORY / "api.log")
        wait_for("API", self._listens)

    def _listens(self):
        with network(), socket.socket() as probe:
            return probe.connect_ex((MASTER, API_PORT)) == 0

    def stop(self):
        """Nobody listens."""
        end(self.process)
        self.process = None

    def serve(self, host, items=None, absent=None, revision=None, listen=None, **meta):
        """Answer with this document for a host; its revision is one more than the last unless given."""
        self.revision += 1
        made = document(
            host.minion,
            items,
            absent,
            config={"listen": listen or host.address},
            revision=self.revision if revision is None else revision,
            **meta,
        )
        self.put(host, made)
        return made

    def put(self, host, made):
        """Answer with exactly this for a host."""
        (self.directory / f"{host.minion}.json").write_text(json.dumps(made))


class States:
    """What a state run gave, by the states' short names (``memc_instances``, …)."""

    def __init__(self, answer):
        self.answer = answer
        self.by_id = {}
        if isinstance(answer, dict):
            self.by_id = {value["__id__"]: value for value in answer.values() if isinstance(value, dict)}

    def __getitem__(self, name):
        assert name in self.by_id, self.answer
        return self.by_id[name]

    @property
    def ok(self):
        """Whether every state succeeded."""
        return bool(self.by_id) and all(value["result"] is not False for value in self.by_id.values())

    @property
    def changed(self):
        """The states that changed something; a minion's first copy of our modules is no change of the host."""
        return sorted(name for name, value in self.by_id.items() if value["changes"] and name != "memc_modules")

    def __repr__(self):
        return json.dumps(self.answer, indent=1)
