"""
The memcached package and the account that memcached runs as.
"""

import contextlib
import grp
import os
import pwd

POLICY = "/usr/sbin/policy-rc.d"
SAVED_POLICY = "/usr/sbin/policy-rc.d.memc-saved"
MARK = "# memc: temporary, made while the memcached package is installed"
# Debian starts a service as soon as its package is installed, and asks this script first.
POLICY_TEXT = f"""#!/bin/sh
{MARK}
case $1 in memcached|memcached.service) exit 101 ;; esac
[ -x {SAVED_POLICY} ] && exec {SAVED_POLICY} "$@"
exit 0
"""


def installed(name="memcached"):
    """Whether the package is installed."""
    return bool(__salt__["pkg.version"](name))


def install(name="memcached"):
    """Install the package without starting the distribution's own instance. None, or what went wrong."""
    _restore_policy()
    debian = os.path.isdir("/etc/dpkg")
    if debian:
        _deny_start()
    try:
        __salt__["pkg.install"](name)
    except Exception as err:  # pylint: disable=broad-except
        return f"the package manager failed: {type(err).__name__}"
    finally:
        if debian:
            _restore_policy()
    if not installed(name):
        return "the package manager did not install it: is its list of packages up to date?"
    _disable_distribution_service()
    return None


def _deny_start():
    if os.path.lexists(POLICY):
        os.replace(POLICY, SAVED_POLICY)
    with open(POLICY, "w", encoding="ascii") as file:
        file.write(POLICY_TEXT)
    os.chmod(POLICY, 0o755)


def _restore_policy():
    """Undo ``_deny_start``, also that of a run that was killed."""
    with contextlib.suppress(FileNotFoundError):
        with open(POLICY, encoding="utf-8", errors="replace") as file:
            ours = MARK in file.read(4096)
        if ours:
            os.unlink(POLICY)
    if os.path.lexists(SAVED_POLICY) and not os.path.lexists(POLICY):
        os.replace(SAVED_POLICY, POLICY)


def _disable_distribution_service():
    # Otherwise it would take 11211 at the next boot.
    if __salt__["memc_service.has_systemd"]():
        command = ["systemctl", "disable", "memcached.service"]
    elif os.path.exists("/usr/sbin/update-rc.d"):
        command = ["/usr/sbin/update-rc.d", "memcached", "disable"]
    else:
        command = ["chkconfig", "memcached", "off"]
    __salt__["cmd.run_all"](command, python_shell=False, ignore_retcode=True)


def account_problem(name, uid, gid):
    """Why the account can be neither used nor made; None when it can."""
    with contextlib.suppress(KeyError):
        group = grp.getgrnam(name)
        if group.gr_gid != gid:
            return f"group {name} exists with gid {group.gr_gid} instead of {gid}"
    with contextlib.suppress(KeyError):
        other = grp.getgrgid(gid).gr_name
        if other != name:
            return f"gid {gid} is taken by the group {other}"
    with contextlib.suppress(KeyError):
        user = pwd.getpwnam(name)
        if (user.pw_uid, user.pw_gid) != (uid, gid):
            return f"user {name} exists with uid {user.pw_uid} and gid {user.pw_gid} instead of {uid} and {gid}"
    with contextlib.suppress(KeyError):
        other = pwd.getpwuid(uid).pw_name
        if other != name:
            return f"uid {uid} is taken by the user {other}"
    return None


def account_exists(name):
    """Whether both the user and the group are there."""
    try:
        pwd.getpwnam(name)
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def create_account(name, uid, gid):
    """Make the group and the user: no home, no shell. None, or what went wrong."""
    try:
        grp.getgrnam(name)
    except KeyError:
        if not __salt__["group.add"](name, gid=gid):
            return f"group {name} could not be made"
    try:
        pwd.getpwnam(name)
    except KeyError:
        made = __salt__["user.add"](
            name, uid=uid, gid=gid, home="/nonexistent", createhome=False, shell="/usr/sbin/nologin"
        )
        if not made:
            return f"user {name} could not be made"
    return None
