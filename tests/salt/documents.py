"""
Pillar documents: good ones as a test wants them, and ``BAD``, which nobody may act on, each with a name. The master's
and the minion's checks are tested with the same ones, so that they cannot drift apart.
"""

import copy


def document(minion="h1.example.com", items=None, absent=None, ids=None, config=None, **meta):
    """A pillar document as the API serves it. ``items``: port to MiB; ``absent``: port to the last instance's id."""
    ids = {str(port): number for port, number in (ids or {}).items()}
    items = {str(port): mib for port, mib in (items or {}).items()}
    absent = {str(port): last for port, last in (absent or {}).items()}
    return {
        "memc_items": items,
        "memc_absent": sorted(int(port) for port in absent),
        "memc_config": {"listen": "10.77.0.11", "max_connections": 30240, **(config or {})},
        "memc_meta": {
            "fleet": "0192f0c1-0000-7000-8000-000000000001",
            "epoch": 1,
            "minion": minion,
            "revision": 100,
            "count": len(items),
            "ids": {port: ids.get(port, _id_of(port)) for port in items},
            "absent_ids": absent,
            "complete": True,
            "stale": False,
            **meta,
        },
    }


def _id_of(port):
    return 8000 + int(port) % 1000 if port.isdecimal() else 1


GOOD = document(items={11211: 22, 11212: 33}, absent={11210: 8100})


def _with(path, value):
    changed = copy.deepcopy(GOOD)
    *parents, last = path.split(".")
    place = changed
    for name in parents:
        place = place[name]
    if value is KeyError:
        del place[last]
    else:
        place[last] = value
    return changed


BAD = {
    "items a list": _with("memc_items", [11211]),
    "items null": _with("memc_items", None),
    "size of one": _with("memc_items.11211", 1),
    "size of zero": _with("memc_items.11211", 0),
    "negative size": _with("memc_items.11211", -5),
    "size a text": _with("memc_items.11211", "22"),
    "size a fraction": _with("memc_items.11211", 22.5),
    "size true": _with("memc_items.11211", True),
    "size null": _with("memc_items.11211", None),
    "size too large": _with("memc_items.11211", 16 * 1024 * 1024 + 1),
    "privileged port": document(items={80: 22}),
    "port too large": document(items={65536: 22}),
    "port with a sign": document(items={"+11211": 22}),
    "port with a zero": document(items={"011211": 22}),
    "port with a shell command": document(items={"11211; reboot": 22}),
    "port with a newline": document(items={"11211\n": 22}),
    "port in other digits": document(items={"١١٢١١": 22}),
    "count too small": _with("memc_meta.count", 1),
    "count missing": _with("memc_meta.count", KeyError),
    "count true": _with("memc_meta.count", True),
    "another minion": _with("memc_meta.minion", "h2.example.com"),
    "minion in other case": _with("memc_meta.minion", "H1.example.com"),
    "minion missing": _with("memc_meta.minion", KeyError),
    "ids missing": _with("memc_meta.ids", KeyError),
    "an id missing": _with("memc_meta.ids", {"11211": 8123}),
    "an id too many": _with("memc_meta.ids", {"11211": 1, "11212": 2, "11213": 3}),
    "an id a text": _with("memc_meta.ids.11211", "8123"),
    "an id too large": _with("memc_meta.ids.11211", 2**63),
    "absent ids missing": _with("memc_meta.absent_ids", KeyError),
    "absent a mapping": _with("memc_absent", {"11210": 1}),
    "absent a text": _with("memc_absent", ["11210"]),
    "absent twice": _with("memc_absent", [11210, 11210]),
    "a port both live and absent": document(items={11211: 22}, absent={11211: 8100}),
    "listen missing": _with("memc_config.listen", KeyError),
    "listen a name": _with("memc_config.listen", "host.example.com"),
    "listen a command": _with("memc_config.listen", "$(reboot)"),
    "listen two lines": _with("memc_config.listen", "10.77.0.11\n"),
    "listen two addresses": _with("memc_config.listen", "10.77.0.11,10.77.0.12"),
    "listen everywhere": _with("memc_config.listen", "0.0.0.0"),
    "listen everywhere on IPv6": _with("memc_config.listen", "::"),
    "listen with a scope": _with("memc_config.listen", "fe80::1%$(reboot)"),
    "listen a multicast address": _with("memc_config.listen", "224.0.0.1"),
    "listen a number": _with("memc_config.listen", 2130706433),
    "no connections": _with("memc_config.max_connections", 0),
    "connections a text": _with("memc_config.max_connections", "30240; reboot"),
    "config missing": _with("memc_config", KeyError),
    "fleet missing": _with("memc_meta.fleet", KeyError),
    "fleet a path": _with("memc_meta.fleet", "../../etc"),
    "epoch missing": _with("memc_meta.epoch", KeyError),
    "revision missing": _with("memc_meta.revision", KeyError),
    "revision a text": _with("memc_meta.revision", "841"),
    "revision negative": _with("memc_meta.revision", -1),
    "incomplete": _with("memc_meta.complete", False),
    "complete a text": _with("memc_meta.complete", "yes"),
    "stale missing": _with("memc_meta.stale", KeyError),
    "meta a list": _with("memc_meta", []),
    "meta a text": _with("memc_meta", "complete"),
}
