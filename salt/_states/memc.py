"""
States for the memcached instances of a host: the pillar's trust, the package, the account, and all instances at once.

One state holds every instance because a process start per instance and run would take most of the run's time.
"""


def __virtual__():
    if "memc.apply" in __salt__:
        return True
    return False, "the memc execution modules are not there: run saltutil.sync_all"


def trusted(name):
    """
    Succeeds when the pillar may change this host: fresh, complete, of the fleet that this host follows and at least as
    new as the last one applied. Everything else requires it.
    """
    reason = __salt__["memc.refusal"]()
    comment = f"refused, nothing is changed: {reason}" if reason else "the pillar is trusted"
    return {"name": name, "result": reason is None, "changes": {}, "comment": comment}


def package(name):
    """The package is installed; the distribution's own instance is kept from starting if we install it."""
    ret = {"name": name, "result": True, "changes": {}, "comment": "the package is installed"}
    if __salt__["memc_package.installed"](name):
        return ret
    if __opts__["test"]:
        return {**ret, "result": None, "changes": {name: "would be installed"}, "comment": "the package is missing"}
    error = __salt__["memc_package.install"](name)
    if error:
        return {**ret, "result": False, "comment": error}
    return {**ret, "changes": {name: "installed"}, "comment": "the package was installed"}


def account(name, uid, gid):
    """The user and the group of this name are there with these numbers; another owner of a number is a failure."""
    ret = {"name": name, "result": True, "changes": {}, "comment": "the account is there"}
    problem = __salt__["memc_package.account_problem"](name, uid, gid)
    if problem:
        return {**ret, "result": False, "comment": problem}
    if __salt__["memc_package.account_exists"](name):
        return ret
    if __opts__["test"]:
        return {**ret, "result": None, "changes": {name: "would be made"}, "comment": "the account is missing"}
    error = __salt__["memc_package.create_account"](name, uid, gid)
    if error:
        return {**ret, "result": False, "comment": error}
    return {**ret, "changes": {name: f"uid {uid}, gid {gid}"}, "comment": "the account was made"}


def instances(name):
    """Every instance of the pillar runs with its size, every tombstone's instance is stopped."""
    outcome = __salt__["memc.apply"](test=__opts__["test"], saltenv=__env__)
    if outcome["refused"]:
        comment = f"refused, nothing is changed: {outcome['refused']}"
        return {"name": name, "result": False, "changes": {}, "comment": comment}
    lines = [f"{_label(port)}: {text}" for port, text in sorted(outcome["errors"].items(), key=str)]
    lines += [f"{_label(port)}: {text}" for port, text in sorted(outcome["notes"].items(), key=str)]
    would_change = __opts__["test"] and outcome["changes"]
    return {
        "name": name,
        "result": False if outcome["errors"] else None if would_change else True,
        "changes": outcome["changes"],
        "comment": "\n".join(lines) or "the host is as the pillar says",
    }


def _label(port):
    return "host" if port == "host" else f"port {port}"
