"""
How a host starts memcached at boot: instances of one systemd unit where systemd runs, a SysV script per port elsewhere.

A script that another tool put at ``/etc/init.d/memcached_<port>`` is *legacy*: it is started when its port is wanted
and never rewritten, stopped or removed.
"""

import os
import re

MARK = "# memc: managed by Salt (salt://memcached)"
UNIT_FILE = "/etc/systemd/system/memcached@.service"
INIT_DIR = "/etc/init.d"


def has_systemd():
    """Whether systemd runs here; an installed ``systemctl`` does not mean that."""
    return os.path.isdir("/run/systemd/system")


def script_path(port):
    """Where the SysV script of a port is."""
    return os.path.join(INIT_DIR, f"memcached_{port:d}")


def script_kind(port):
    """``"ours"``, ``"legacy"``, or None when the port has no SysV script."""
    path = script_path(port)
    if not os.path.lexists(path):
        return None
    text = __salt__["memc_host.read_text"](path) if os.path.isfile(path) else ""
    return "ours" if text and MARK in text else "legacy"


def fill(template, name, number):
    """A template with its one placeholder ``@NAME@`` replaced by an integer."""
    text = template.replace(f"@{name}@", str(int(number)))
    left = re.search(r"@[A-Z]+@", text)
    if left or MARK not in text:
        raise ValueError("the template is not the one that these states were made for")
    return text


def observe(ports):
    """
    ``{port: {"kind", "pid", "enabled"}}``: kind is how the port's memcached is (or will be) started: ``unit``,
    ``script`` or ``legacy``. One call of systemctl for all ports: a process start each would take most of a run.
    """
    found = {}
    units = _units(ports) if has_systemd() else {}
    for port in ports:
        script = script_kind(port)
        if script is None and has_systemd():
            found[port] = {"kind": "unit", **units[port]}
        else:
            found[port] = {
                "kind": "legacy" if script == "legacy" else "script",
                "pid": __salt__["memc_host.pid_file"](port),
                "enabled": script is not None and _script_enabled(port),
            }
    return found


def _units(ports):
    if not ports:
        return {}
    names = [f"memcached@{port:d}.service" for port in ports]
    # Properties come in no fixed order, and an empty line separates the units, in the order asked for.
    result = _run(["systemctl", "show", "--property=MainPID,UnitFileState", *names])
    blocks = [
        dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        for block in result["stdout"].strip().split("\n\n")
    ]
    if result["retcode"] != 0 or len(blocks) != len(names):
        raise OSError("systemctl show failed")
    return {
        port: {"pid": int(block.get("MainPID") or 0) or None, "enabled": block.get("UnitFileState") == "enabled"}
        for port, block in zip(ports, blocks, strict=True)
    }


def _script_enabled(port):
    for directory in ("/etc/rc3.d", "/etc/rc.d/rc3.d"):
        if os.path.isdir(directory):
            return any(re.fullmatch(rf"S[0-9]+memcached_{port:d}", name) for name in os.listdir(directory))
    return False


def foreign_unit():
    """Whether a template unit of our name is there that is not ours."""
    text = __salt__["memc_host.read_text"](UNIT_FILE)
    return text is not None and MARK not in text


def install_unit(template, descriptors):
    """Put the template unit in place. True when it changed. Running instances are left as they are."""
    changed = __salt__["memc_host.write_text"](UNIT_FILE, fill(template, "NOFILE", descriptors))
    if changed:
        _run(["systemctl", "daemon-reload"])
    return changed


def install_script(port, template):
    """Put the SysV script of a port in place. True when it changed."""
    return __salt__["memc_host.write_text"](script_path(port), fill(template, "PORT", port), 0o755)


def script_differs(port, template):
    """Whether ``install_script`` would change something."""
    return __salt__["memc_host.read_text"](script_path(port)) != fill(template, "PORT", port)


def enable(ports, kind):
    """Start these ports at boot. ``{port: error}`` of those where that failed."""
    if not ports:
        return {}
    if kind == "unit":
        return _each_unit("enable", ports)
    errors = {}
    for port in ports:
        name = f"memcached_{port:d}"
        if os.path.exists("/usr/sbin/update-rc.d"):
            commands = [["/usr/sbin/update-rc.d", name, "defaults"]]
        else:
            commands = [["chkconfig", "--add", name], ["chkconfig", name, "on"]]
        if any(_run(command)["retcode"] != 0 for command in commands):
            errors[port] = "could not be enabled for the next boot"
    if has_systemd():
        _run(["systemctl", "daemon-reload"])
    return errors


def start(ports, kind):
    """Start these ports. ``{port: error}`` of those where that failed."""
    if kind == "unit":
        return _each_unit("start", ports)
    errors = {}
    for port in ports:
        result = _run(_script_command(port, "start"))
        if result["retcode"] != 0:
            errors[port] = f"its start script failed with exit code {int(result['retcode'])}"
    return errors


def stop(port, kind):
    """Stop a port and keep it from starting at boot. None, or what went wrong."""
    if kind == "unit":
        error = _each_unit("stop", [port]).get(port)
        return error or _each_unit("disable", [port]).get(port)
    result = _run(_script_command(port, "stop"))
    if result["retcode"] != 0:
        return f"its stop script failed with exit code {int(result['retcode'])}"
    name = f"memcached_{port:d}"
    if os.path.exists("/usr/sbin/update-rc.d"):
        # `remove` leaves the links of a script that still exists; `-f` takes them away while the script is ours to ask.
        disabled = _run(["/usr/sbin/update-rc.d", "-f", name, "remove"])
    else:
        disabled = _run(["chkconfig", "--del", name])
    if disabled["retcode"] != 0:
        return "could not be disabled for the next boot"
    __salt__["memc_host.remove_file"](script_path(port))
    if has_systemd():
        _run(["systemctl", "daemon-reload"])
    return None


def _script_command(port, action):
    # Started by hand, a script's process would belong to the minion's own service.
    if has_systemd():
        return ["systemctl", action, f"memcached_{port:d}.service"]
    return [script_path(port), action]


def _each_unit(action, ports):
    if not ports:
        return {}
    names = {port: f"memcached@{port:d}.service" for port in ports}
    if _run(["systemctl", action, *names.values()])["retcode"] == 0:
        return {}
    # One of many failed: ask one by one which.
    return {
        port: f"systemctl {action} failed"
        for port, name in names.items()
        if _run(["systemctl", action, name])["retcode"] != 0
    }


def _run(command):
    # `ignore_retcode`: a failure is told in our own result, not as a second error in the minion's log.
    return __salt__["cmd.run_all"](command, python_shell=False, ignore_retcode=True, cwd="/", timeout=120)
