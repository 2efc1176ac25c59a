#!/bin/bash
# Installs what the Salt tests need; does nothing when it is there. As root, or with sudo.
#
#   target/venv          Salt, pytest and ruff as pinned in tests/salt/requirements.txt
#   target/salt-debs     the memcached package, which the states install on the test hosts
#   target/salt-rootfs   a small Debian with systemd, for the host that boots (left out with --quick, like the line above)
set -euo pipefail
cd "$(dirname "$0")/../.."

quick=false
[ "${1:-}" = --quick ] && quick=true

fail() { echo "install-salt-deps: $*" >&2; exit 1; }
say() { echo "install-salt-deps: $*"; }

command -v apt-get > /dev/null || fail "this needs a Debian machine (apt-get)"
if [ "$(id -u)" = 0 ]; then
    as_root() { "$@"; }
elif command -v sudo > /dev/null; then
    as_root() { sudo "$@"; }
else
    fail "run this as root, or install sudo"
fi

apt_updated=false
apt_update() {
    $apt_updated && return
    say "updating the list of packages"
    as_root apt-get update -q > /dev/null || say "apt-get update had errors; going on with what it has"
    apt_updated=true
}
apt_install() {
    local missing=()
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2> /dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return
    apt_update
    say "installing ${missing[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" > /dev/null ||
        fail "apt-get could not install ${missing[*]}"
}

# The distribution's Python, where it has one: the booting host's Debian has the same, and runs the same environment.
python=/usr/bin/python3
[ -x $python ] || apt_install python3
"$python" -c 'import ensurepip, venv' 2> /dev/null || apt_install python3-venv
"$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' ||
    fail "Salt as pinned needs Python 3.10 to 3.13; $python is $("$python" --version)"

stamp=target/venv/installed-requirements.txt
if ! cmp -s tests/salt/requirements.txt "$stamp" || ! target/venv/bin/python -c 'import salt, pytest' 2> /dev/null; then
    say "making target/venv"
    mkdir -p target
    rm -rf target/venv
    "$python" -m venv target/venv
    target/venv/bin/pip install -q --disable-pip-version-check -r tests/salt/requirements.txt ||
        fail "pip could not install tests/salt/requirements.txt"
    cp tests/salt/requirements.txt "$stamp"
fi
$quick && exit 0

apt_install iproute2 debootstrap systemd-container util-linux procps

# memcached itself, with the service kept from starting; its libraries stay when a test host removes the package.
if ! dpkg-query -W -f='${Status}' memcached 2> /dev/null | grep -q 'ok installed'; then
    policy=/usr/sbin/policy-rc.d
    made_policy=false
    if ! [ -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee $policy > /dev/null
        as_root chmod 755 $policy
        made_policy=true
    fi
    trap '$made_policy && as_root rm -f $policy' EXIT
    apt_install memcached
    $made_policy && as_root rm -f $policy
    trap - EXIT
fi

# A package source of one package: the test hosts' package managers see nothing else.
debs=target/salt-debs
version=$(dpkg-query -W -f='${Version}' memcached)
if ! grep -qxF "Version: $version" $debs/Packages 2> /dev/null; then
    apt_update
    say "downloading the memcached package"
    rm -rf $debs
    mkdir -p $debs
    # The candidate, if the installed version is no longer offered.
    (cd $debs && { apt-get download -q "memcached=$version" || apt-get download -q memcached; } > /dev/null 2>&1) ||
        fail "apt-get could not download memcached"
    deb=$(ls $debs/*.deb)
    {
        dpkg-deb -f "$deb"
        echo "Filename: ./$(basename "$deb")"
        echo "Size: $(stat -c %s "$deb")"
        echo "SHA256: $(sha256sum "$deb" | cut -d ' ' -f 1)"
    } > $debs/Packages
fi

release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
rootfs=target/salt-rootfs
if ! [ -e $rootfs.made-for-$release ]; then
    say "making $rootfs (Debian $release, a few minutes)"
    # The machine's own mirror, whatever it is.
    mirror=$(grep -rhoE '^[^#]*https?://[^ ]+' /etc/apt/sources.list /etc/apt/sources.list.d/ 2> /dev/null |
        grep -oE 'https?://[^ ]+' | grep -E '/debian/?$' | head -n 1) || true
    [ -n "$mirror" ] || fail "apt's configuration names no Debian mirror"
    as_root rm -rf $rootfs $rootfs.made-for-*
    as_root debootstrap --variant=minbase \
        --include=systemd,systemd-sysv,dbus,iproute2,procps,python3,adduser,perl,lsb-base,libevent-2.1-7,libsasl2-2 \
        "$release" $rootfs "$mirror" > target/salt-rootfs.log 2>&1 || fail "debootstrap failed: see target/salt-rootfs.log"
    as_root touch $rootfs.made-for-$release
fi
say "all there"
