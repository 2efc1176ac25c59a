"""
A real master, real minions and real memcached, with documents that each test sets. Every host kind runs what can differ
between systemd and SysV.
"""

import json
import re
import time

import pytest
from hosts import Host
from lab import wait_for

SEED = {11210: 12, 11211: 22, 11212: 33}


def converge(lab, host, *arguments):
    """A push as operators do it."""
    return lab.salt(host.minion, "state.sls", "memcached.init", *arguments)


def pids(host, ports):
    """The pids behind some ports, all of which must answer."""
    found = {port: host.pid(port) for port in ports}
    assert all(found.values()), found
    return found


def set_up(lab, api, host: Host, items=SEED, **options):
    """A host that runs these instances; their pids."""
    api.serve(host, items, **options)
    states = converge(lab, host)
    assert states.ok, states
    return pids(host, items)


def test_the_seed_case(lab, api, host):
    api.serve(host, SEED)
    states = converge(lab, host)
    assert states.ok, states
    assert {port: host.mib(port) for port in SEED} == SEED
    for port, pid in pids(host, SEED).items():
        status = host.read(f"/proc/{pid}/status")
        assert re.search(r"^Uid:\s+(\d+)", status, re.MULTILINE).group(1) == "1501"
        settings = host.stats(port, "stats settings")
        assert settings["udpport"] == "0"
        assert settings["inter"] == f"{host.address},127.0.0.1"
        # The limit of the machine that runs the test decides; the states say so.
        if settings["maxconns"] != "30240":
            assert f"{settings['maxconns']} connections instead of 30240" in states["memc_instances"]["comment"]
    assert set(host.memcached()) == set(pids(host, SEED).values())

    again = lab.salt(host.minion, "state.sls", "memcached")
    assert again.ok and again.changed == [], again
    listed = lab.salt(host.minion, "memc.list")
    assert {int(port): value["mib"] for port, value in listed.items()} == SEED
    assert all(value["enabled"] for value in listed.values())


def test_the_distributions_instance_is_kept_from_starting(lab, api, host):
    host.run("dpkg", "--purge", "memcached")
    host.write("/usr/sbin/policy-rc.d", "#!/bin/sh\n# the site's own\nexit 0\n", 0o755)
    api.serve(host, {11999: 8})
    states = converge(lab, host)
    assert states.ok and "memc_package" in states.changed, states
    assert host.pid(11211) is None
    assert len(host.memcached()) == 1
    # What kept it from starting is gone again, and the next boot does not start it either.
    assert "the site's own" in host.read("/usr/sbin/policy-rc.d")
    assert host.run("sh", "-c", "ls /usr/sbin/policy-rc.d.*", check=False).stdout == ""
    assert host.run("sh", "-c", "ls -d /etc/rc3.d/S*memcached", check=False).stdout == ""
    host.run("rm", "/usr/sbin/policy-rc.d")


def test_the_distributions_running_instance_is_not_touched(lab, api, host):
    set_up(lab, api, host, {11300: 8})
    host.run("/etc/init.d/memcached", "start")
    wait_for("the distribution's memcached", lambda: len(host.memcached()) == 2)
    theirs = {pid for pid, line in host.memcached().items() if "11300" not in line}
    api.serve(host, {11300: 8, 11211: 22, 11301: 8})
    states = converge(lab, host)
    comment = states["memc_instances"]["comment"]
    assert states["memc_instances"]["result"] is False
    assert f"port 11211: is taken by pid {theirs.pop()} (memcached), which is not ours" in comment
    assert host.mib(11301) == 8 and len(host.memcached()) == 3


def test_an_unregistered_minion_and_its_other_states_go_on(lab, api, h2):
    for mode in ("documents", "down", "hang", "error", "garbage"):
        api.use(mode)
        begun = time.monotonic()
        states = lab.salt(h2.minion, "state.sls", "unrelated")
        assert states.ok, (mode, states)
        assert time.monotonic() - begun < 15
    api.use("documents")
    states = converge(lab, h2)
    assert "no memcached document for this minion" in states["memc_pillar"]["comment"]
    assert h2.memcached() == {} and h2.read("/etc/memc") is None


def test_nothing_happens_while_the_api_fails(lab, api, h1):
    running = set_up(lab, api, h1)
    older = json.loads((api.directory / f"{h1.minion}.json").read_text())
    changed = {**SEED, 11211: 64, 11213: 8}
    del changed[11210]
    newest = api.serve(h1, changed, {11210: 8210})
    assert converge(lab, h1).ok
    running = pids(h1, changed)
    before = h1.memcached()
    stopped = h1.run("sh", "-c", "kill -9 $(cat /run/memc/11213.pid)")  # must not be started on a failing answer
    assert stopped.returncode == 0
    before.pop(running.pop(11213))

    def check(mode, *arguments):
        states = converge(lab, h1, *arguments)
        assert states["memc_pillar"]["result"] is False, (mode, states)
        assert states.changed == [], (mode, states)
        assert pids(h1, running) == running and h1.memcached() == before, mode
        assert h1.mib(11211) == 64
        assert lab.salt(h1.minion, "state.sls", "unrelated").ok, mode
        return states["memc_pillar"]["comment"]

    for mode in ("hang", "garbage", "empty", "error", "down", "unavailable", "drip"):
        api.use(mode)
        check(mode)
    api.use("hang")
    check("force", "force=True")
    api.use("documents")
    for name, put in {
        "an older answer": older,
        "an older answer, forced": older,
        "another minion's": {**newest, "memc_meta": {**newest["memc_meta"], "minion": "h2.example.com"}},
        "the existing format": {"memc_items": {"11211": 8}},
        "an empty object": {},
    }.items():
        api.put(h1, put)
        check(name, *(["force=True"] if "forced" in name else []))
    api.put(h1, newest)
    states = converge(lab, h1)
    assert states.ok and h1.mib(11213) == 8, states


@pytest.mark.parametrize(
    "meta, reason",
    [
        ({"stale": True}, "stale"),
        ({"fleet": "another-fleet"}, "another fleet"),
        ({"epoch": 0, "revision": 999_999}, "epoch 0"),
        ({"revision": 1}, "revision 1"),
        ({"complete": False}, "incomplete"),
    ],
)
def test_a_document_that_is_not_trusted_changes_nothing(lab, api, h1, meta, reason):
    running = set_up(lab, api, h1, {11211: 22})
    api.serve(h1, {11212: 8}, {11211: 8211}, **meta)
    states = converge(lab, h1)
    assert reason in states["memc_pillar"]["comment"] and not states.ok
    assert states.changed == [] and pids(h1, running) == running and len(h1.memcached()) == 1


def test_a_raised_epoch_is_followed(lab, api, h1):
    set_up(lab, api, h1, {11211: 22})
    api.serve(h1, {11211: 33}, epoch=2, revision=1)
    states = converge(lab, h1)
    assert states.ok and h1.mib(11211) == 33
    assert json.loads(h1.read("/var/lib/memc/state.json"))["epoch"] == 2


def test_growing_keeps_the_process_and_its_items(lab, api, host):
    running = set_up(lab, api, host, {11211: 16})
    assert host.ask(11211, "set greeting 0 0 5\r\nhello", b"STORED\r\n")
    api.serve(host, {11211: 64})
    rehearsed = converge(lab, host, "test=True")
    assert rehearsed["memc_instances"]["result"] is None and host.mib(11211) == 16
    states = converge(lab, host)
    assert states.ok and "from 16 to 64 MiB" in states["memc_instances"]["changes"]["11211"]
    assert pids(host, running) == running and host.mib(11211) == 64
    assert "hello" in host.ask(11211, "get greeting")
    assert converge(lab, host).changed == []
    # The size is on the disk as well.
    host.run("kill", "-9", str(running[11211]))
    wait_for("end of the process", lambda: host.pid(11211) != running[11211])
    assert converge(lab, host).ok and host.mib(11211) == 64


def test_only_a_tombstone_stops_an_instance(lab, api, host):
    running = set_up(lab, api, host)
    api.serve(host, {11211: 22})
    states = converge(lab, host)
    assert states.ok and states.changed == [] and pids(host, running) == running
    assert "port 11210: unmanaged" in states["memc_instances"]["comment"]

    api.serve(host, {11211: 22}, {11210: 1, 11212: 8212})
    states = converge(lab, host)
    assert "port 11210: is to be stopped as instance 1, but" in states["memc_instances"]["comment"]
    assert host.pid(11210) == running[11210] and host.pid(11212) is None
    assert host.read("/etc/memc/11212.env") is None and host.read("/etc/init.d/memcached_11212") is None

    api.serve(host, {11211: 22}, {11210: 8210, 11212: 8212})
    states = converge(lab, host)
    assert states.ok and host.pid(11210) is None and host.pid(11211) == running[11211]
    assert converge(lab, host).changed == []
    host.reboot()
    lab.wait_until_up(host)
    wait_for("the instance after a boot", lambda: host.mib(11211) == 22)
    assert len(host.memcached()) == 1


def test_a_reissued_port_is_not_adopted(lab, api, host):
    running = set_up(lab, api, host, {11211: 22}, ids={11211: 8100})
    api.serve(host, {11211: 64, 11212: 8}, ids={11211: 8200, 11212: 8201})
    states = converge(lab, host)
    assert "runs instance 8100, the pillar names instance 8200" in states["memc_instances"]["comment"]
    assert host.pid(11211) == running[11211] and host.mib(11211) == 22 and host.mib(11212) == 8
    # The way out is an operator's, who names both.
    assert "no such instance" in lab.salt(host.minion, "memc.stop", "11211", "8200")
    assert lab.salt(host.minion, "memc.stop", "11211", "8100") is None
    assert converge(lab, host).ok and host.mib(11211) == 64


def test_a_stranger_on_a_port(lab, api, host):
    stranger = host.start("/usr/bin/memcached", "-u", "nobody", "-p", "11211", "-m", "9")
    wait_for("stranger", lambda: host.mib(11211) == 9)
    pid = host.pid(11211)
    api.serve(host, SEED)
    states = converge(lab, host)
    assert states["memc_instances"]["result"] is False
    assert f"port 11211: is taken by pid {pid}" in states["memc_instances"]["comment"]
    assert {port: host.mib(port) for port in SEED} == {11210: 12, 11211: 9, 11212: 33}
    assert host.pid(11211) == pid and host.read("/etc/memc/11211.env") is None
    api.serve(host, {11210: 12, 11212: 33}, {11211: 8211})
    converge(lab, host)
    assert host.pid(11211) == pid
    stranger.kill()
    stranger.wait()


def test_an_address_that_the_host_does_not_have(lab, api, host):
    api.serve(host, {11211: 22}, listen="10.77.0.99")
    for _ in range(2):
        states = converge(lab, host)
        assert states["memc_instances"]["result"] is False
        assert "port 11211: " in states["memc_instances"]["comment"]
    api.serve(host, {11211: 22})
    assert converge(lab, host).ok and host.mib(11211) == 22


LEGACY = """#!/bin/sh
# chkconfig: 345 80 20
### BEGIN INIT INFO
# Provides:          memcached_11211
# Required-Start:    $network
# Required-Stop:     $network
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: the site's own memcached
### END INIT INFO
case $1 in
    start) exec /usr/bin/memcached -d -u nobody -p 11211 -m 16 -P /run/legacy-11211.pid ;;
    stop) kill "$(cat /run/legacy-11211.pid)" ;;
esac
"""


def test_a_legacy_script_is_kept(lab, api, host):
    api.serve(host, {11990: 8})
    assert converge(lab, host).ok
    host.write("/etc/init.d/memcached_11211", LEGACY, 0o755)
    host.run("sh", "-c", "[ ! -d /run/systemd/system ] || systemctl daemon-reload")
    api.serve(host, {11990: 8, 11211: 22})
    states = converge(lab, host)
    assert states.ok and host.mib(11211) == 22, states
    pid = host.pid(11211)
    assert len(host.memcached()) == 2
    assert host.read("/etc/init.d/memcached_11211") == LEGACY
    assert host.read("/etc/memc/11211.env") is None
    again = converge(lab, host)
    assert again.changed == [] and host.pid(11211) == pid
    api.serve(host, {11990: 8, 11211: 33})
    assert converge(lab, host).ok and host.mib(11211) == 33 and host.pid(11211) == pid
    api.serve(host, {11990: 8}, {11211: 8211})
    states = converge(lab, host)
    assert "stop it by hand" in states["memc_instances"]["comment"] and host.pid(11211) == pid


def test_a_number_that_is_taken(lab, api, h2):
    h2.run("sh", "-c", "userdel memc; groupdel memc; useradd -u 1501 somebody", check=False)
    try:
        api.serve(h2, {11211: 22})
        states = converge(lab, h2)
        assert "1501 is taken by the" in states["memc_account"]["comment"]
        assert "somebody" in states["memc_account"]["comment"]
        assert h2.memcached() == {}
    finally:
        h2.run("userdel", "somebody", check=False)


def test_hostile_values_of_a_pillar_run_nothing(lab, api, h1):
    api.serve(h1, {11211: 22})
    for pillar in (
        {"memc_config": {"listen": "$(touch /pwned)", "max_connections": 1024}},
        {"memc_config": {"listen": "10.77.0.11\nExecStart=/bin/touch /pwned", "max_connections": 1024}},
        {"memc_items": {"11211; touch /pwned": 22}},
    ):
        states = converge(lab, h1, f"pillar={json.dumps(pillar)}")
        assert not states.ok and states.changed == []
    assert h1.read("/pwned") is None and h1.memcached() == {}


def test_an_upgrade_of_the_package_restarts_nothing_of_ours(lab, api, host):
    running = set_up(lab, api, host)
    host.run("apt-get", "install", "--reinstall", "-y", "-q", "memcached")
    assert pids(host, running) == running and len(host.memcached()) == len(running)


def test_a_boot_while_the_api_is_away(lab, api, host):
    running = set_up(lab, api, host)
    api.use("down")
    host.reboot()
    wait_for("all instances after the boot", lambda: {port: host.mib(port) for port in running} == SEED)
    lab.wait_until_up(host)
    states = converge(lab, host)
    assert not states.ok and {port: host.mib(port) for port in running} == SEED
    api.use("documents")
    states = converge(lab, host)
    assert states.ok and states.changed == [], states


def test_hosts_converge_by_themselves(lab, api, h2):
    example = (lab.states / "minion.d" / "memc.conf").read_text()
    assert "seconds: 60" in example and "splay: 15" in example
    h2.write(
        "/etc/salt/minion.d/memc.conf", example.replace("seconds: 60", "seconds: 5").replace("splay: 15", "splay: 1")
    )
    api.serve(h2, {11211: 22})
    h2.reboot()
    wait_for("an instance without a push", lambda: h2.mib(11211) == 22, seconds=60, every=1)
    api.serve(h2, {11211: 33})
    wait_for("its new size", lambda: h2.mib(11211) == 33, seconds=30, every=0.5)
    # The operator's own runs are not refused because ours is under way.
    for _ in range(4):
        assert lab.salt(h2.minion, "state.sls", "unrelated").ok
    (h2.root / "etc/salt/minion.d/memc.conf").unlink()
    h2.reboot()
    lab.wait_until_up(h2)


def test_fifty_instances(lab, api, host):
    items = {port: 8 for port in range(11300, 11350)}
    api.serve(host, items)
    begun = time.monotonic()
    assert converge(lab, host).ok
    first = time.monotonic() - begun
    begun = time.monotonic()
    states = converge(lab, host)
    second = time.monotonic() - begun
    assert states.changed == [] and len(host.memcached()) == 50
    print(f"{host.name}: 50 instances in {first:.1f} s, nothing to do in {second:.1f} s")
    # Generous: the machine that runs the tests may be busy.
    assert first < 40 and second < 20
