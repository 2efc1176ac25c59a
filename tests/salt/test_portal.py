"""
From the portal's API to memcached and back: allocate, push, read what memcached says of itself, resize, release, and a
boot while the portal is away. The portal is the real binary (``MEMC_PORTAL``, or cargo's debug build).
"""

import pytest
from lab import wait_for
from portal import ADDRESS, PORT, Portal, binary

UPSTREAM = f"http://{ADDRESS}:{PORT}"
# Observation asks several times before it believes that an instance stopped.
OBSERVED_SECONDS = 90


@pytest.fixture
def portal(lab, api):
    """A portal with one cluster of h1 and h3, behind the API that the master asks."""
    program = binary()
    if program is None:
        pytest.fail("the portal is not built: cargo build -p memc-portal, or name it in MEMC_PORTAL")
    with Portal(program) as running:
        lab.token.write_text(running.pillar_token + "\n")
        api.use("pass", UPSTREAM)
        running.call("POST", "/api/v1/clusters", {"name": "web", "first_port": 11210, "last_port": 11299})
        for host in (lab.hosts["h1"], lab.hosts["h3"]):
            running.call(
                "POST",
                "/api/v1/hosts",
                {
                    **{"name": host.minion, "cluster": "web", "address": host.address},
                    **{"memory_mib": 2048, "rack": host.name},
                },
            )
        running.call("POST", "/api/v1/teams", {"name": "shop"})
        running.call("PUT", "/api/v1/clusters/web/quotas/shop", {"memory_mib": 2048})
        yield running
    lab.token.write_text("not-checked-by-the-document-server\n")


def push(lab, *hosts):
    """A push as operators do it, which must succeed."""
    for host in hosts:
        states = lab.salt(host.minion, "state.sls", "memcached.init")
        assert states.ok, states


def create(portal, name, mib, instances=1):
    """A cache of team shop; its instances."""
    body = {"team": "shop", "name": name, "cluster": "web", "memory_mib": mib, "instances": instances}
    return portal.call("POST", "/api/v1/caches", body)["instances"]


def wait_for_states(portal, name, *states):
    """Wait until every instance of a cache is in one of these states."""
    wait_for(
        f"{name} {'/'.join(states)}",
        lambda: {one["state"] for one in portal.cache("shop", name)["instances"]} <= set(states),
        seconds=OBSERVED_SECONDS,
        every=1,
    )


def test_from_allocation_to_release(lab, api, portal, h1, h2, h3):
    by_minion = {host.minion: host for host in (h1, h3)}
    instances = create(portal, "sessions", 64, instances=2)
    assert {one["host"] for one in instances} == set(by_minion)
    places = {by_minion[one["host"]]: one["port"] for one in instances}
    push(lab, h1, h3)
    assert {host.mib(port) for host, port in places.items()} == {64}
    wait_for_states(portal, "sessions", "running")
    older = portal.pillar(h1.minion)

    # An unregistered minion, and its other states.
    assert lab.salt(h2.minion, "state.sls", "unrelated").ok

    # Grow: same processes, items kept.
    pids = {host: host.pid(port) for host, port in places.items()}
    for host, port in places.items():
        assert host.ask(port, "set greeting 0 0 5\r\nhello", b"STORED\r\n")
    portal.call("PATCH", "/api/v1/caches/shop/sessions", {"memory_mib": 128})
    push(lab, h1, h3)
    assert {host.mib(port) for host, port in places.items()} == {128}
    assert {host: host.pid(port) for host, port in places.items()} == pids
    assert all("hello" in host.ask(port, "get greeting") for host, port in places.items())

    # An older answer is refused.
    api.put(h1, older)
    api.use("documents")
    states = lab.salt(h1.minion, "state.sls", "memcached.init", "force=True")
    assert not states.ok and states.changed == [] and h1.mib(places[h1]) == 128
    api.use("pass", UPSTREAM)

    # A boot while the portal is away.
    api.use("down")
    portal.stop()
    h3.reboot()
    wait_for("memcached after the boot", lambda: h3.mib(places[h3]) == 128)
    lab.wait_until_up(h3)
    assert not lab.salt(h3.minion, "state.sls", "memcached.init").ok
    assert h3.mib(places[h3]) == 128 and h1.pid(places[h1]) == pids[h1]
    portal.start()
    api.use("pass", UPSTREAM)
    push(lab, h1, h3)
    wait_for_states(portal, "sessions", "running")

    # Release: stopped by its tombstone, confirmed by observation.
    portal.call("DELETE", "/api/v1/caches/shop/sessions")
    push(lab, h1, h3)
    assert h1.memcached() == {} and h3.memcached() == {}
    wait_for("confirmed release", lambda: portal.cache("shop", "sessions") is None, seconds=OBSERVED_SECONDS, every=1)
    assert str(places[h1]) not in portal.pillar(h1.minion)["memc_items"]


def test_the_seed_case_through_the_portal(lab, portal, h1, h3):
    portal.call("POST", f"/api/v1/hosts/{h3.minion}/cordon")
    for name, mib in (("a", 12), ("b", 22), ("c", 33)):
        create(portal, name, mib)
    assert portal.pillar(h1.minion, "?only=items") == {"memc_items": {"11210": 12, "11211": 22, "11212": 33}}
    push(lab, h1)
    assert {port: h1.mib(port) for port in (11210, 11211, 11212)} == {11210: 12, 11211: 22, 11212: 33}
    assert lab.salt(h1.minion, "state.sls", "memcached.init").changed == []
