"""
Make a host run the memcached instances that its pillar names: one process per port.

Nothing is stopped because it is missing from a pillar: only a tombstone stops an instance, and only a document that is
fresh, complete, of the fleet that this host follows and at least as new as the last one applied changes anything.
"""

import time

__func_alias__ = {"list_": "list"}

# A started memcached answers within milliseconds; a host that starts hundreds at once is slower.
START_SECONDS = 10


def __virtual__():
    if __grains__.get("kernel") != "Linux":
        return False, "memc manages Linux hosts only"
    return True


def refusal():
    """
    Why the pillar must not change this host, or None when it may.

    CLI Example: ``salt '*' memc.refusal``
    """
    try:
        _trusted()
    except Exception as err:  # pylint: disable=broad-except
        return _refusal_text(err)
    return None


def apply(test=False, saltenv="base"):
    """
    Do what the pillar says for every instance at once. ``{"refused", "changes", "errors", "notes"}``, the latter three
    by port (``"host"`` for what concerns all of them). Ports with an error do not keep the others from proceeding.

    CLI Example: ``salt 'm1.example.com' memc.apply test=True``
    """
    outcome = {"refused": None, "changes": {}, "errors": {}, "notes": {}}
    try:
        with _lock():
            document = _trusted()
            templates = _templates(saltenv)
            connections = __salt__["memc_host.possible_connections"](document["max_connections"])
            if connections < document["max_connections"]:
                outcome["notes"]["host"] = (
                    f"{connections} connections instead of {document['max_connections']}: this host's file limit"
                )
            host = observe(document, templates)
            plan = __salt__["memc_plan.make"](document, host, connections)
            outcome["errors"].update(plan["errors"])
            outcome["notes"].update(plan["notes"])
            if test:
                _describe(plan, outcome)
                return outcome
            _check_unit(plan, outcome)
            __salt__["memc_host.write_record"]({key: document[key] for key in ("fleet", "epoch", "revision")})
            _carry_out(plan, document, host, templates, outcome)
    except Exception as err:  # pylint: disable=broad-except
        outcome["refused"] = _refusal_text(err)
    finally:
        for part in ("errors", "notes"):
            outcome[part] = {str(port): text for port, text in outcome[part].items()}
    return outcome


def observe(document, templates):
    """What is on this host, for every port that the document names or the host has a file for."""
    ports = sorted({*document["items"], *document["absent"], *__salt__["memc_host.env_ports"]()})
    services = __salt__["memc_service.observe"](ports)
    listeners = __salt__["memc_host.listeners"]()
    host = {}
    for port in ports:
        seen = services[port]
        text = __salt__["memc_host.read_text"](__salt__["memc_host.env_path"](port))
        seen["env"] = __salt__["memc_document.parse_settings"](text) if text is not None else None
        seen["process"] = _own_process(seen["pid"], port)
        own_sockets = __salt__["memc_host.socket_inodes"](seen["pid"]) if seen["process"] else set()
        seen["listeners"] = listeners.get(port, set())
        seen["listening"] = bool(seen["listeners"] & own_sockets)
        foreign = seen["listeners"] - own_sockets
        seen["foreign_listener"] = bool(foreign)
        seen["taken_by"] = _describe_holder(__salt__["memc_host.holder"](foreign)) if foreign else None
        seen["limit"] = None
        if seen["listening"] or (seen["kind"] == "legacy" and seen["listeners"]):
            addresses = _addresses(document, seen["env"])
            seen["limit"] = __salt__["memc_host.limit_mib"](__salt__["memc_host.stats"](addresses, port))
        seen["script_differs"] = seen["kind"] == "script" and __salt__["memc_service.script_differs"](
            port, templates["script"]
        )
        host[port] = seen
    return host


def converge():
    """
    Run our own states, for the minion's schedule.

    The schedule does not name ``state.apply`` itself: an operator's state run would be refused whenever it fell into
    ours ("the function is running"). Our states touch nothing that other states manage and take a lock of their own.

    CLI Example: ``salt 'm1.example.com' memc.converge``
    """
    return __salt__["state.sls"]("memcached", concurrent=True)


def list_():
    """
    The instances of this host: id, size, pid, and whether they start at boot.

    CLI Example: ``salt '*' memc.list``
    """
    ports = __salt__["memc_host.env_ports"]()
    services = __salt__["memc_service.observe"](ports)
    found = {}
    for port in ports:
        env = _settings(port) or {}
        process = _own_process(services[port]["pid"], port)
        values = __salt__["memc_host.stats"](_addresses(None, env), port) if process else None
        found[str(port)] = {
            "id": int(env["MEMC_ID"]) if env else None,
            "mib_at_boot": int(env["MEMC_MIB"]) if env else None,
            "mib": __salt__["memc_host.limit_mib"](values),
            "pid": services[port]["pid"] if process else None,
            "started_by": services[port]["kind"],
            "enabled": services[port]["enabled"],
        }
    return found


def start(port):
    """
    Start an instance that this host has a record of. None, or what went wrong.

    CLI Example: ``salt 'm1.example.com' memc.start 11211``
    """
    with _lock():
        port = __salt__["memc_document.port_number"](port)
        if _settings(port) is None:
            return "this host has no record of the port"
        kind = __salt__["memc_service.observe"]([port])[port]["kind"]
        return __salt__["memc_service.start"]([port], kind).get(port)


def stop(port, instance):
    """
    Stop an instance and forget it, for an operator: the port and the instance's id must both be named, and both must
    be what runs there. None, or what went wrong.

    CLI Example: ``salt 'm1.example.com' memc.stop 11211 8123``
    """
    with _lock():
        port = __salt__["memc_document.port_number"](port)
        env = _settings(port)
        seen = __salt__["memc_service.observe"]([port])[port]
        process = _own_process(seen["pid"], port)
        if seen["kind"] == "legacy":
            return "an init script that is not ours runs it"
        ids = {source["MEMC_ID"] for source in (env, process) if source}
        if ids != {str(instance)}:
            return "this host has no such instance on that port"
        return _stop(port, seen["kind"], bool(process))


def memlimit(port, mib):
    """
    Change the memory limit of a running instance of ours, until the next run of the states. None, or what went wrong.

    CLI Example: ``salt 'm1.example.com' memc.memlimit 11211 64``
    """
    port = __salt__["memc_document.port_number"](port)
    mib = __salt__["memc_document.mebibytes"](mib)
    pid = __salt__["memc_service.observe"]([port])[port]["pid"]
    if not _own_process(pid, port):
        return "this host runs no instance of ours on that port"
    return __salt__["memc_host.set_limit"](_addresses(None, _settings(port) or {}), port, mib)


def _trusted():
    document = __salt__["memc_document.parse"](__pillar__, __opts__["id"])
    record = __salt__["memc_host.read_record"]()
    if record is not None:
        __salt__["memc_document.compare"](document, __salt__["memc_document.parse_record"](record))
    return document


def _refusal_text(err):
    # Modules are loaded under names of Salt's own, so the class is told by its name. Only our own texts are repeated.
    if type(err).__name__ in ("Refused", "HostError"):
        return str(err)
    return f"{type(err).__name__} at {_where(err)}"


def _where(err):
    trace = err.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}" if trace is not None else "unknown"


def _lock():
    return __salt__["memc_host.lock"]()


def _templates(saltenv):
    found = {
        "unit": __salt__["cp.get_file_str"]("salt://memcached/memcached@.service", saltenv=saltenv),
        "script": __salt__["cp.get_file_str"]("salt://memcached/memcached.init", saltenv=saltenv),
    }
    if not all(found.values()):
        raise OSError("the master has no unit or init script for us")
    return found


def _settings(port):
    text = __salt__["memc_host.read_text"](__salt__["memc_host.env_path"](port))
    return __salt__["memc_document.parse_settings"](text) if text is not None else None


def _own_process(pid, port):
    """The settings of the process ``pid`` when it was started for ``port`` by us, else {}."""
    settings = __salt__["memc_host.process_settings"](pid) if pid else None
    return settings if settings and settings.get("MEMC_PORT") == str(port) else {}


def _addresses(document, env):
    listen = env["MEMC_LISTEN"].split(",") if env else (document["listen"] if document else ["127.0.0.1"])
    # The loopback address stands last, and is the one that no firewall is in front of.
    return listen[::-1]


def _describe_holder(found):
    return f"pid {found[0]} ({found[1]})" if found else "a process that cannot be seen"


def _describe(plan, outcome):
    for port, old_new in plan["limit"].items():
        _changed(outcome, port, "would go from {} to {} MiB".format(*old_new))
    for port, mib in plan["start"].items():
        _changed(outcome, port, f"would be started with {mib} MiB")
    for port in plan["stop"]:
        _changed(outcome, port, "would be stopped")
    for port in {*plan["write"], *plan["script"], *plan["enable"]} - {int(port) for port in outcome["changes"]}:
        _changed(outcome, port, "its settings for the next start would be written")


def _changed(outcome, port, text):
    key = str(port)
    before = outcome["changes"].get(key)
    outcome["changes"][key] = f"{before}; {text}" if before else text


def _check_unit(plan, outcome):
    if __salt__["memc_service.has_systemd"]() and __salt__["memc_service.foreign_unit"]():
        for port, kind in plan["enable"].items():
            if kind == "unit":
                outcome["errors"][port] = "memcached@.service on this host is not ours: not replaced"


def _carry_out(plan, document, host, templates, outcome):
    errors = outcome["errors"]

    def each(ports, action):
        """Run ``action(port)`` for the ports without an error; what it returns or raises is the port's error."""
        for port in ports:
            if port in errors:
                continue
            try:
                error = action(port)
            except (OSError, ValueError) as err:
                error = f"{type(err).__name__} at {_where(err)}"
            if error:
                errors[port] = error

    def kinds(ports, kind):
        return [port for port in ports if port not in errors and host[port]["kind"] == kind]

    # First, so that what comes in its place finds the memory free: a host that was lost and returns gets both at once.
    each(plan["stop"], lambda port: _tombstone(port, plan["stop"][port], host[port], outcome))
    each(plan["write"], lambda port: _write(port, plan, outcome))
    if any(host[port]["kind"] == "unit" for port in document["items"]) and not __salt__["memc_service.foreign_unit"]():
        descriptors = document["max_connections"] + 64
        if __salt__["memc_service.install_unit"](templates["unit"], descriptors):
            _changed(outcome, "host", "memcached@.service written")
    each(plan["script"], lambda port: _install_script(port, templates["script"], outcome))
    for kind in ("unit", "script"):
        ports = kinds(plan["enable"], kind)
        errors.update(__salt__["memc_service.enable"](ports, kind))
        for port in kinds(ports, kind):
            _changed(outcome, port, "starts at boot")
    for kind in ("unit", "script", "legacy"):
        errors.update(__salt__["memc_service.start"](kinds(plan["start"], kind), kind))
    _confirm(document, [port for port in plan["start"] if port not in errors], host, outcome)
    each(plan["limit"], lambda port: _set_limit(port, plan, document, host, outcome))


def _write(port, plan, outcome):
    __salt__["memc_host.make_env_directory"]()
    wanted = plan["write"][port]
    text = "".join(f"{name}={value}\n" for name, value in sorted(wanted.items()))
    if __salt__["memc_host.write_text"](__salt__["memc_host.env_path"](port), text):
        _changed(outcome, port, f"instance {wanted['MEMC_ID']} with {wanted['MEMC_MIB']} MiB at the next start")


def _install_script(port, template, outcome):
    if __salt__["memc_service.install_script"](port, template):
        _changed(outcome, port, "init script written")


def _confirm(document, ports, host, outcome):
    """Wait until what was started listens, is ours, and has its size; what does not is an error of its port."""
    deadline = time.monotonic() + START_SECONDS
    waiting = set(ports)
    while waiting:
        services = __salt__["memc_service.observe"](sorted(waiting))
        listeners = __salt__["memc_host.listeners"]()
        for port in sorted(waiting):
            mib, listening = document["items"][port], listeners.get(port, set())
            if host[port]["kind"] == "legacy":
                if not listening or _confirm_legacy(document, port, mib):
                    continue
            else:
                process = _own_process(services[port]["pid"], port)
                own = __salt__["memc_host.socket_inodes"](services[port]["pid"]) if process else set()
                if process.get("MEMC_ID") != str(document["ids"][port]) or not listening & own:
                    continue
            waiting.discard(port)
            _changed(outcome, port, f"started with {mib} MiB")
        if waiting and time.monotonic() >= deadline:
            for port in waiting:
                outcome["errors"][port] = "was started but does not listen: see the system's log"
            return
        if waiting:
            time.sleep(0.1)


def _confirm_legacy(document, port, mib):
    """A legacy script starts with the size it was written with; its process gets the pillar's. An error, or None."""
    addresses = _addresses(document, None)
    limit = __salt__["memc_host.limit_mib"](__salt__["memc_host.stats"](addresses, port))
    return None if limit == mib else __salt__["memc_host.set_limit"](addresses, port, mib)


def _set_limit(port, plan, document, host, outcome):
    old, new = plan["limit"][port]
    addresses = _addresses(document, host[port]["env"])
    error = __salt__["memc_host.set_limit"](addresses, port, new)
    if error is None:
        _changed(outcome, port, f"from {old} to {new} MiB without a restart")
    return error


def _tombstone(port, kind, seen, outcome):
    error = _stop(port, kind, bool(seen["process"]))
    if error is None:
        _changed(outcome, port, f"stopped instance {seen['env']['MEMC_ID']}")
    return error


def _stop(port, kind, running):
    if kind == "script" and __salt__["memc_service.script_kind"](port) is None:
        if running:
            return "runs, but its init script is gone: stop it by hand"
    else:
        error = __salt__["memc_service.stop"](port, kind)
        if error:
            return error
    # Last, so that a run that is cut short before this finds the instance again.
    __salt__["memc_host.remove_file"](__salt__["memc_host.env_path"](port))
    return None
