"""
Decide whether this host may act on a pillar: pure checks, no I/O.

The master's ``saltapi`` has checked the document already. It is checked again here because a pillar also reaches a
minion from other sources (pillar files, ``pillar=`` on the command line, an older ext_pillar), and what is accepted
here ends up in files that root reads.
"""

import ipaddress
import re

MIN_PORT, MAX_PORT = 1024, 65535
# 2 MiB is the least that memcached starts with; documents of existing sites contain such sizes.
MIN_MIB, MAX_MIB = 2, 16 * 1024 * 1024
MAX_COUNT = 2**63 - 1
MIN_CONNECTIONS, MAX_CONNECTIONS = 1, 1_000_000
DEFAULT_CONNECTIONS = 30240
LOOPBACK = "127.0.0.1"

_PORT_KEY = re.compile(r"[1-9][0-9]{3,4}")
_FLEET = re.compile(r"[A-Za-z0-9-]{1,64}")


class Refused(Exception):
    """The document must not change this host; the text says why and holds no text of the document."""


def parse(pillar, minion_id):
    """
    The validated document: ``{"items": {port: mib}, "ids": {port: id}, "absent": {port: id}, "listen": [addresses],
    "max_connections": n, "fleet": str, "epoch": n, "revision": n}``. Raises ``Refused``.
    """
    meta = pillar.get("memc_meta")
    if meta is None:
        if "memc_items" in pillar:
            raise Refused("the pillar has memc_items but no memc_meta: it says neither how old nor how complete it is")
        raise Refused("the pillar has no memcached document for this minion")
    if not isinstance(meta, dict):
        raise Refused("memc_meta is not a mapping")
    if meta.get("complete") is not True:
        raise Refused("the pillar is incomplete: " + _reason(meta.get("reason")))
    if meta.get("stale") is not False:
        raise Refused("the pillar is stale")
    if meta.get("minion") != minion_id:
        raise Refused("the pillar names another minion")
    fleet = meta.get("fleet")
    if not isinstance(fleet, str) or not _FLEET.fullmatch(fleet):
        raise Refused("memc_meta.fleet is not a valid name")
    items = _port_map(pillar.get("memc_items"), "memc_items", MIN_MIB, MAX_MIB)
    ids = _port_map(meta.get("ids"), "memc_meta.ids", 0, MAX_COUNT)
    absent_ids = _port_map(meta.get("absent_ids", {}), "memc_meta.absent_ids", 0, MAX_COUNT)
    absent = _absent_ports(pillar.get("memc_absent", []))
    if _integer(meta.get("count"), "memc_meta.count", 0, MAX_COUNT) != len(items):
        raise Refused("memc_meta.count differs from the number of memc_items")
    if set(ids) != set(items):
        raise Refused("memc_meta.ids does not name the ports of memc_items")
    if set(absent_ids) != absent:
        raise Refused("memc_meta.absent_ids does not name the ports of memc_absent")
    if absent & set(items):
        raise Refused("a port is both in memc_items and in memc_absent")
    config = pillar.get("memc_config")
    if not isinstance(config, dict):
        raise Refused("memc_config is not a mapping")
    return {
        "items": items,
        "ids": ids,
        "absent": absent_ids,
        "listen": _listen(config.get("listen")),
        "max_connections": _integer(
            config.get("max_connections", DEFAULT_CONNECTIONS),
            "memc_config.max_connections",
            MIN_CONNECTIONS,
            MAX_CONNECTIONS,
        ),
        "fleet": fleet,
        "epoch": _integer(meta.get("epoch"), "memc_meta.epoch", 0, MAX_COUNT),
        "revision": _integer(meta.get("revision"), "memc_meta.revision", 0, MAX_COUNT),
    }


def compare(document, record):
    """Raise ``Refused`` when the host's record shows that it followed another fleet or something newer."""
    if record is None:
        return
    if document["fleet"] != record["fleet"]:
        raise Refused("the pillar comes from another fleet than the one this host follows")
    if document["epoch"] < record["epoch"]:
        raise Refused(f"the pillar has epoch {document['epoch']}, this host has already seen {record['epoch']}")
    if document["epoch"] == record["epoch"] and document["revision"] < record["revision"]:
        raise Refused(
            f"the pillar has revision {document['revision']}, this host has already applied {record['revision']}"
        )


def parse_record(value):
    """The host's own record of what it applied last. Raises ``Refused`` when it is damaged."""
    try:
        fleet, epoch, revision = value["fleet"], value["epoch"], value["revision"]
        if not isinstance(fleet, str) or not _FLEET.fullmatch(fleet):
            raise Refused("fleet")
        _integer(epoch, "epoch", 0, MAX_COUNT)
        _integer(revision, "revision", 0, MAX_COUNT)
    except (Refused, KeyError, TypeError) as err:
        raise Refused("the host's record of the last revision is damaged: see the README on removing it") from err
    return {"fleet": fleet, "epoch": epoch, "revision": revision}


def settings(document, port, connections):
    """What the environment file of ``port`` must hold: integers and addresses only."""
    return {
        "MEMC_PORT": str(port),
        "MEMC_ID": str(document["ids"][port]),
        "MEMC_MIB": str(document["items"][port]),
        "MEMC_LISTEN": ",".join(document["listen"]),
        "MEMC_CONN": str(connections),
    }


def parse_settings(text):
    """An environment file's settings, or None when it is not one that ``settings`` made."""
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    if set(values) != {"MEMC_PORT", "MEMC_ID", "MEMC_MIB", "MEMC_LISTEN", "MEMC_CONN"}:
        return None
    numbers = (values["MEMC_PORT"], values["MEMC_ID"], values["MEMC_MIB"], values["MEMC_CONN"])
    if not all(re.fullmatch(r"[0-9]{1,19}", number) for number in numbers):
        return None
    return values


def port_number(value):
    """``value`` (a number, or its digits) as a port, for arguments given by hand. Raises ``Refused``."""
    text = str(value)
    if not _PORT_KEY.fullmatch(text) or not MIN_PORT <= int(text) <= MAX_PORT:
        raise Refused(f"a port is a number from {MIN_PORT} to {MAX_PORT}")
    return int(text)


def mebibytes(value):
    """``value`` as a memory size in MiB, for arguments given by hand. Raises ``Refused``."""
    return _integer(value, "the size", MIN_MIB, MAX_MIB)


def _integer(value, name, least, most):
    # bool is a subclass of int: true must not count as 1.
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise Refused(f"{name} is not an integer from {least} to {most}")
    return value


def _port_map(value, name, least, most):
    if not isinstance(value, dict):
        raise Refused(f"{name} is not a mapping")
    found = {}
    for key, number in value.items():
        text = str(key) if isinstance(key, int) and not isinstance(key, bool) else key
        if not isinstance(text, str) or not _PORT_KEY.fullmatch(text) or not MIN_PORT <= int(text) <= MAX_PORT:
            raise Refused(f"{name} has a key that is not a port from {MIN_PORT} to {MAX_PORT}")
        if int(text) in found:
            raise Refused(f"{name} names a port twice")
        found[int(text)] = _integer(number, f"a value of {name}", least, most)
    return found


def _absent_ports(value):
    if not isinstance(value, list):
        raise Refused("memc_absent is not a list")
    ports = {_integer(port, "a port of memc_absent", MIN_PORT, MAX_PORT) for port in value}
    if len(ports) != len(value):
        raise Refused("memc_absent names a port twice")
    return ports


def _listen(value):
    # A scope ("fe80::1%name") may hold any text, so it is not accepted.
    if not isinstance(value, str) or "%" in value:
        raise Refused("memc_config.listen is not an IP address")
    try:
        address = ipaddress.ip_address(value)
    except ValueError as err:
        raise Refused("memc_config.listen is not an IP address") from err
    if address.is_unspecified or address.is_multicast:
        raise Refused("memc_config.listen is not the address of one interface")
    # A host that listens on a loopback address shares the machine with others: 127.0.0.1 is not its own to take.
    return [str(address)] if address.is_loopback else [str(address), LOOPBACK]


def _reason(value):
    # The reason is one of saltapi's fixed texts; anything else is not repeated.
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9 ,.:()/_-]{1,120}", value):
        return value
    return "no reason given"
