"""
The lab's hosts: one kind with SysV init scripts, one with a real systemd. Each has a network namespace of its own.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
from pathlib import Path

from lab import BRIDGE, DIRECTORY, MASTER, NETWORK, PREFIX, PROJECT, ROOTFS, VENV, end, network, run, spawn, wait_for


class Host:
    """One host: ``lower`` is the root file system that it starts from, which stays as it is."""

    lower = Path("/")

    def __init__(self, number):
        self.name = f"h{number}"
        self.minion = f"{self.name}.example.com"
        self.namespace = f"{PREFIX}-{self.name}"
        self.address = f"{NETWORK}.1{number}"
        self.directory = DIRECTORY / self.name
        self.root = self.directory / "root"
        self.process = None

    def connect(self):
        """Make the network namespace and the root file system."""
        run("ip", "netns", "add", self.namespace)
        run(*f"ip -n {BRIDGE} link add v{self.name} type veth peer name eth0 netns {self.namespace}".split())
        run(*f"ip -n {BRIDGE} link set v{self.name} master br0 up".split())
        run(*f"ip -n {self.namespace} addr add {self.address}/24 dev eth0".split())
        for device in ("eth0", "lo"):
            run("ip", "-n", self.namespace, "link", "set", device, "up")
        for part in ("up", "work", "root"):
            (self.directory / part).mkdir(parents=True)
        layers = f"lowerdir={self.lower},upperdir={self.directory}/up,workdir={self.directory}/work"
        run("mount", "-t", "overlay", f"{PREFIX}-{self.name}", "-o", layers, self.root)
        self._prepare()

    def _prepare(self):
        """A host without memcached, whose package manager offers it from a directory."""
        configuration = self.root / "etc" / "salt"
        shutil.rmtree(configuration, ignore_errors=True)
        (configuration / "minion.d").mkdir(parents=True)
        settings = {"id": self.minion, "master": MASTER, "default_include": "minion.d/*.conf", "ipv6": False}
        (configuration / "minion").write_text(json.dumps(settings))
        apt = self.root / "etc" / "apt"
        shutil.rmtree(apt / "sources.list.d", ignore_errors=True)
        shutil.rmtree(self.root / "var" / "lib" / "apt" / "lists", ignore_errors=True)
        shutil.copytree(PROJECT / "target" / "salt-debs", self.root / "srv" / "debs")
        (apt / "sources.list").write_text("deb [trusted=yes] file:/srv/debs ./\n")
        # Some images forbid all starts of services; a host of a company does not.
        (self.root / "usr" / "sbin" / "policy-rc.d").unlink(missing_ok=True)
        for old in (self.root / "etc" / "init.d").glob("memcached_*"):
            old.unlink()
        self._chroot("dpkg", "--purge", "memcached")
        self._chroot("apt-get", "update")

    def _chroot(self, *command):
        with network(self.namespace):
            return run("chroot", self.root, *command)

    def power_off(self):
        """Like pulling the plug: everything ends at once."""
        if self.process is not None and self.process.poll() is None:
            pid = self.init_pid()
            if pid is not None:
                # The kernel ends everything in the namespace of a PID 1 that is gone.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            end(self.process)
        self.process = None

    def reboot(self):
        """Off, and on again with the same disk."""
        self.power_off()
        self.power_on()

    def init_pid(self):
        """The pid, seen from outside, of the host's PID 1."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0]) if children else None

    def _enter(self):
        """The command that runs another one in the host's namespaces, with the host's root."""
        return ["nsenter", "-t", str(self.init_pid()), "-m", "-p", "-u", "-n", "-i", "--root", "--wd"]

    def run(self, *command, check=True, seconds=60):
        """A command on the host."""
        return run(*self._enter(), *command, check=check, timeout=seconds)

    def start(self, *command):
        """A program on the host that goes on running."""
        return spawn([*self._enter(), *command], DIRECTORY / f"{self.name}-programs.log")

    def read(self, path):
        """A file of the host as text, or None."""
        result = self.run("cat", path, check=False)
        return result.stdout if result.returncode == 0 else None

    def write(self, path, text, mode=0o644):
        """Put a file on the host's disk."""
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)

    def ask(self, port, command, end=b"END\r\n"):
        """What memcached answers across the network; None when nobody listens there."""
        with network():
            try:
                with socket.create_connection((self.address, port), timeout=3) as connection:
                    connection.sendall(command.encode() + b"\r\n")
                    answer = b""
                    while not answer.endswith(end):
                        received = connection.recv(65536)
                        if not received:
                            break
                        answer += received
                    return answer.decode()
            except OSError:
                return None

    def stats(self, port, what="stats"):
        """memcached's statistics as a dictionary; None when nobody listens there."""
        answer = self.ask(port, what)
        return None if answer is None else dict(re.findall(r"^STAT (\S+) (.*?)\r?$", answer, re.MULTILINE))

    def mib(self, port):
        """The memory limit that the memcached on a port tells, in MiB; None when nobody listens there."""
        values = self.stats(port)
        return None if values is None else int(values["limit_maxbytes"]) // 1048576

    def pid(self, port):
        """The pid, on the host, of the memcached on a port, as it says itself."""
        values = self.stats(port)
        return None if values is None else int(values["pid"])

    def wipe(self):
        """Take away every memcached and every trace of our states, so that a test finds a host as it was."""
        self._stop_all()
        self.run(
            "sh",
            "-c",
            "pkill -9 -x memcached; sleep 0.1; rm -rf /etc/memc /var/lib/memc /run/memc /etc/init.d/memcached_*",
        )
        self.run("sh", "-c", "rm -f /etc/rc?.d/*memcached_*")

    def _stop_all(self):
        """Stop what would start memcached again."""

    def memcached(self):
        """Every memcached process of the host: ``{pid: command line}``."""
        lines = self.run("ps", "-C", "memcached", "-o", "pid=,args=", check=False).stdout.splitlines()
        return {int(line.split(None, 1)[0]): line.split(None, 1)[1] for line in lines}


class SysvHost(Host):
    """A host without systemd, on a copy of this machine's root file system."""

    def _enter(self):
        # PID 1 stands outside of the host's root, which is a directory of its mount namespace.
        return ["nsenter", "-t", str(self.init_pid()), "-m", "-p", "-u", "-n", "-i", "chroot", str(self.root)]

    def power_on(self):
        """Boot: init scripts, then the minion."""
        with network(self.namespace):
            self.process = spawn(
                [
                    *("unshare", "-m", "-p", "-u", "-i", "-f", "--kill-child"),
                    *("/bin/sh", Path(__file__).with_name("host-init.sh"), self.minion, self.root, PROJECT, VENV),
                ],
                DIRECTORY / f"{self.name}.log",
            )
        wait_for(f"PID 1 of {self.name}", self.init_pid)
        wait_for(f"root of {self.name}", lambda: self.run("test", "-d", "/run/lock", check=False).returncode == 0)


MINION_UNIT = f"""[Unit]
Description=Salt minion
After=network.target
[Service]
ExecStart={VENV}/bin/salt-minion -c /etc/salt -l warning
KillMode=process
Restart=always
[Install]
WantedBy=multi-user.target
"""


class SystemdHost(Host):
    """A host with systemd as PID 1, in a container on a small Debian."""

    lower = ROOTFS

    def _prepare(self):
        self.write("/etc/systemd/system/salt-minion.service", MINION_UNIT)
        wants = self.root / "etc" / "systemd" / "system" / "multi-user.target.wants"
        wants.mkdir(parents=True, exist_ok=True)
        os.symlink("/etc/systemd/system/salt-minion.service", wants / "salt-minion.service")
        super()._prepare()

    def _stop_all(self):
        self.run("sh", "-c", "systemctl stop 'memcached*'; systemctl reset-failed 'memcached*'; true")
        self.run("sh", "-c", "rm -rf /etc/systemd/system/memcached* /etc/systemd/system/*.wants/memcached*")
        self.run("systemctl", "daemon-reload")

    def power_on(self):
        """Boot systemd."""
        self.process = spawn(
            [
                *("systemd-nspawn", "-q", "-D", self.root, "-M", self.namespace, "--register=no", "--keep-unit"),
                *(f"--network-namespace-path=/run/netns/{self.namespace}", f"--bind-ro={PROJECT}", "--boot"),
            ],
            DIRECTORY / f"{self.name}.log",
        )
        wait_for(f"PID 1 of {self.name}", self.init_pid)
        wait_for(
            f"systemd of {self.name}",
            lambda: self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded"),
            seconds=60,
        )
