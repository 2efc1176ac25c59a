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

. scripts/lib/apt.sh

# The distribution's Python, where it has one: the booting host's Debian has the same, and runs the same environment.
python=/usr/bin/python3
[ -x $python ] || apt_install python3
"$python" -c 'import ensurepip, venv' 2> /dev/null || apt_install python3-venv
"$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' ||
    fail "Salt as pinned needs Python 3.10 to 3.13; $python is $("$python" --version)"

stamp=target/venv/installed-requirements.txt
if ! cmp -s tests/salt/requirements.txt "$stamp" || ! target/venv/bin/python -c 'import salt, pytest' 2> /dev/null; then
    echo "making target/venv"
    mkdir -p target
    rm -rf target/venv
    "$python" -m venv target/venv
    target/venv/bin/pip install -q --disable-pip-version-check -r tests/salt/requirements.txt ||
        fail "pip could not install tests/salt/requirements.txt"
    cp tests/salt/requirements.txt "$stamp"
fi
$quick && exit 0

apt_install iproute2 debootstrap systemd-container util-linux procps

# memcached itself; its libraries stay when a test host removes the package.
apt_install_quietly memcached

# A package source of one package: the test hosts' package managers see nothing else.
debs=target/salt-debs
version=$(dpkg-query -W -f='${Version}' memcached)
if ! grep -qxF "Version: $version" $debs/Packages 2> /dev/null; then
    apt_update
    echo "downloading the memcached package"
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
    echo "making $rootfs (Debian $release, a few minutes)"
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
echo "all there"
