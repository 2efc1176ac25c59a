"""
What a host is asked about memcached processes: files, sockets, /proc and memcached's own protocol.
"""

import contextlib
import errno
import fcntl
import json
import os
import re
import resource
import socket
import subprocess
import tempfile
import time

ENV_DIR = "/etc/memc"
STATE_DIR = "/var/lib/memc"
PID_DIR = "/run/memc"
# memcached opens a few descriptors beside its connections: listeners, event loops, logs.
SPARE_DESCRIPTORS = 64
LOCK_SECONDS = 30


class HostError(Exception):
    """Something on this host is not as it must be; the text is for the operator."""


def read_text(path):
    """A small file's text, or None when there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 20)
    except FileNotFoundError:
        return None


def write_text(path, text, mode=0o644):
    """Replace a file in one step that survives a power cut. True when it differed."""
    if read_text(path) == text and (os.stat(path).st_mode & 0o7777) == mode:
        return False
    directory = os.path.dirname(path)
    # A leading dot keeps update-rc.d, systemd and others from looking at the unfinished file.
    handle, temporary = tempfile.mkstemp(prefix=".memc-", dir=directory)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    _sync_directory(directory)
    return True


def remove_file(path):
    """Remove a file, durably. True when there was one."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    _sync_directory(os.path.dirname(path))
    return True


def _sync_directory(path):
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def env_path(port):
    """The environment file of a port: what the instance is started with."""
    return os.path.join(ENV_DIR, f"{port:d}.env")


def env_ports():
    """The ports that have an environment file."""
    try:
        names = os.listdir(ENV_DIR)
    except FileNotFoundError:
        return []
    return sorted(int(name[:-4]) for name in names if re.fullmatch(r"[1-9][0-9]{3,4}\.env", name))


def make_env_directory():
    """Make sure that there is a directory for environment files."""
    os.makedirs(ENV_DIR, mode=0o755, exist_ok=True)


def read_record():
    """The raw record of the last applied revision; None when this host has never applied one."""
    text = read_text(os.path.join(STATE_DIR, "state.json"))
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return {}


def write_record(record):
    """Keep what is applied. True when it differed."""
    os.makedirs(STATE_DIR, mode=0o755, exist_ok=True)
    text = json.dumps(record, sort_keys=True) + "\n"
    return write_text(os.path.join(STATE_DIR, "state.json"), text)


@contextlib.contextmanager
def lock(seconds=LOCK_SECONDS):
    """One run at a time on this host. The kernel releases it when the process dies."""
    os.makedirs(STATE_DIR, mode=0o755, exist_ok=True)
    handle = os.open(os.path.join(STATE_DIR, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as err:
                if err.errno not in (errno.EWOULDBLOCK, errno.EINTR):
                    raise
                if time.monotonic() >= deadline:
                    raise HostError("another run holds the lock of this host") from err
                time.sleep(0.1)
        yield
    finally:
        os.close(handle)


def process_settings(pid):
    """The MEMC_ settings that a process was started with; {} for a stranger, None when there is no such process."""
    try:
        with open(f"/proc/{pid:d}/environ", "rb") as file:
            raw = file.read()
        with open(f"/proc/{pid:d}/stat", "rb") as file:
            if file.read().rpartition(b")")[2].split()[0] == b"Z":
                return None
    except (FileNotFoundError, ProcessLookupError):
        return None
    pairs = (entry.partition(b"=") for entry in raw.split(b"\0"))
    return {
        name.decode(): value.decode("ascii", "replace")
        for name, _, value in pairs
        if name in (b"MEMC_ID", b"MEMC_PORT", b"MEMC_MIB")
    }


def pid_file(port):
    """The pid in the SysV pid file, or None."""
    text = read_text(os.path.join(PID_DIR, f"{port:d}.pid"))
    # memcached's own user writes this file: it is a hint, and the process itself is asked who it is.
    if text is None or not re.fullmatch(r"[1-9][0-9]{0,9}\s*", text):
        return None
    return int(text)


def listeners():
    """``{port: set of socket inodes}`` of every TCP listener in this network namespace."""
    found = {}
    for name in ("tcp", "tcp6"):
        for line in (read_table(f"/proc/self/net/{name}") or "").splitlines()[1:]:
            columns = line.split()
            if len(columns) > 9 and columns[3] == "0A":
                found.setdefault(int(columns[1].rpartition(":")[2], 16), set()).add(columns[9])
    return found


def read_table(path):
    """A whole /proc table, which may be larger than ``read_text`` reads; None when there is none."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return None


def socket_inodes(pid):
    """The inodes of the sockets that a process holds open."""
    found = set()
    try:
        for name in os.listdir(f"/proc/{pid:d}/fd"):
            with contextlib.suppress(OSError):
                match = re.fullmatch(r"socket:\[([0-9]+)\]", os.readlink(f"/proc/{pid:d}/fd/{name}"))
                if match:
                    found.add(match.group(1))
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def holder(inodes):
    """Who holds one of these listeners: ``(pid, program name)``, or None when it cannot be seen."""
    for name in os.listdir("/proc"):
        if name.isdigit() and inodes & socket_inodes(int(name)):
            program = re.sub(r"[^A-Za-z0-9._-]", "?", (read_text(f"/proc/{name}/comm") or "").strip())
            return int(name), program
    return None


def ask(addresses, port, command, end, seconds=2.0):
    """memcached's answer to one text command, within a total time; None when there is none."""
    deadline = time.monotonic() + seconds
    for address in addresses:
        try:
            with socket.create_connection((address, port), timeout=seconds) as connection:
                connection.sendall(command.encode("ascii") + b"\r\n")
                answer = b""
                while not answer.endswith(b"\r\n") or not any(part in answer for part in end):
                    left = deadline - time.monotonic()
                    if left <= 0 or len(answer) > 65536:
                        return None
                    connection.settimeout(left)
                    received = connection.recv(16384)
                    if not received:
                        return None
                    answer += received
                return answer.decode("ascii", "replace")
        except OSError:
            continue
    return None


def stats(addresses, port):
    """memcached's ``stats`` as a dictionary; None when the port does not answer as memcached."""
    answer = ask(addresses, port, "stats", (b"END\r\n", b"ERROR"))
    if answer is None or not answer.endswith("END\r\n"):
        return None
    rows = (line.split(" ", 2) for line in answer.splitlines() if line.startswith("STAT "))
    return {row[1]: row[2] for row in rows if len(row) == 3}


def limit_mib(values):
    """The memory limit of ``stats`` in MiB; None when it is not told."""
    number = (values or {}).get("limit_maxbytes", "")
    return int(number) // 1048576 if re.fullmatch(r"[0-9]{1,19}", number) else None


def set_limit(addresses, port, mib):
    """Change the memory limit of a running memcached; None, or what went wrong."""
    answer = ask(addresses, port, f"cache_memlimit {mib:d}", (b"\r\n",))
    if answer is None:
        return "memcached did not answer"
    if answer.strip() != "OK":
        kind = re.sub(r"[^A-Z_]", "", answer.split("\r\n", 1)[0].split(" ", 1)[0])[:40]
        return f"memcached refused the size ({kind or 'no reason'})"
    return None


def possible_connections(wanted):
    """How many of ``wanted`` connections a memcached on this host can have open."""
    needed = wanted + SPARE_DESCRIPTORS
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY or hard >= needed:
        return wanted
    # Root may often raise the limit; only trying tells (it takes a capability, and a kernel bound).
    tried = subprocess.run(["/bin/sh", "-c", f"ulimit -n {needed:d}"], capture_output=True, check=False)
    return wanted if tried.returncode == 0 else max(hard - SPARE_DESCRIPTORS, 16)
