"""
What a run would do, decided from a checked document and what was observed on the host: pure, no I/O.

A plan has the ports of each step (``write``, ``script``, ``enable``, ``start``, ``limit``, ``stop``) and texts by port
(``errors``, ``notes``); a port with an error takes no part in any step.
"""


def make(document, host, connections):
    """
    The plan for a checked document. ``host``: what ``memc.observe`` saw, for every port that the document names or that
    the host has a file for. ``connections``: what ``-c`` can be here.
    """
    plan = {"write": {}, "script": [], "enable": {}, "start": {}, "limit": {}, "stop": {}, "errors": {}, "notes": {}}
    for port in sorted(document["items"]):
        _live(plan, document, port, host[port], connections)
    for port, last in sorted(document["absent"].items()):
        _tombstone(plan, port, last, host[port])
    for port in sorted(host):
        if port not in document["items"] and port not in document["absent"]:
            plan["notes"][port] = "unmanaged: the pillar does not mention it, left alone"
    return plan


def _live(plan, document, port, seen, connections):
    wanted = __salt__["memc_document.settings"](document, port, connections)
    mib = document["items"][port]
    if seen["kind"] == "legacy":
        _legacy(plan, port, mib, seen)
        return
    if seen["process"]:
        if seen["process"].get("MEMC_ID") != wanted["MEMC_ID"]:
            plan["errors"][port] = (
                f"runs instance {_number(seen['process'].get('MEMC_ID'))}, the pillar names instance "
                f"{wanted['MEMC_ID']}: not adopted, not stopped"
            )
            return
        if seen["foreign_listener"]:
            plan["errors"][port] = f"is also taken by {seen['taken_by']}"
            return
        if not seen["listening"]:
            # Just being started, or failing again and again: confirmed like a start.
            plan["start"][port] = mib
        elif seen["limit"] is None:
            plan["errors"][port] = f"pid {seen['pid']} is ours but does not answer as memcached"
            return
        elif seen["limit"] != mib:
            plan["limit"][port] = (seen["limit"], mib)
    elif seen["foreign_listener"]:
        plan["errors"][port] = f"is taken by {seen['taken_by']}, which is not ours: left alone"
        return
    else:
        plan["start"][port] = mib
    if seen["env"] != wanted:
        plan["write"][port] = wanted
        if seen["process"] and seen["env"] and _at_start(seen["env"]) != _at_start(wanted):
            plan["notes"][port] = "new address or connection limit: takes effect when it is started next"
    if seen["kind"] == "script" and seen["script_differs"]:
        plan["script"].append(port)
    if not seen["enabled"]:
        plan["enable"][port] = seen["kind"]


def _at_start(settings):
    return settings["MEMC_LISTEN"], settings["MEMC_CONN"]


def _legacy(plan, port, mib, seen):
    if not seen["listeners"]:
        plan["start"][port] = mib
        plan["notes"][port] = "kept: started by its existing init script"
    elif seen["limit"] is None:
        plan["errors"][port] = f"is taken by {seen['taken_by']}, which does not answer as memcached: left alone"
    else:
        if seen["limit"] != mib:
            plan["limit"][port] = (seen["limit"], mib)
        plan["notes"][port] = "kept: its existing init script decides its size at the next boot"


def _tombstone(plan, port, last, seen):
    if seen["kind"] == "legacy":
        if seen["listeners"]:
            plan["errors"][port] = "is to be stopped, but an init script that is not ours runs it: stop it by hand"
        return
    if not seen["env"]:
        if seen["process"]:
            plan["errors"][port] = "is to be stopped, but this host has no record of what runs there: stop it by hand"
        elif seen["foreign_listener"]:
            plan["notes"][port] = f"is to be free, but {seen['taken_by']} holds it, which is not ours"
        return
    ids = [int(seen["env"]["MEMC_ID"])]
    if seen["process"]:
        ids.append(_number(seen["process"].get("MEMC_ID")))
    if any(number is None or number > last for number in ids):
        plan["errors"][port] = f"is to be stopped as instance {last}, but this host has a newer one there: left alone"
        return
    plan["stop"][port] = seen["kind"]
    if seen["foreign_listener"]:
        plan["notes"][port] = f"{seen['taken_by']} holds the port too, which is not ours"


def _number(text):
    return int(text) if text and text.isascii() and text.isdigit() else None
