#!/bin/sh
# PID 1 of a test host without systemd: runs the host's init scripts as a boot does, then the minion, and reaps daemons.
# Its namespaces (mount, pid, uts, ipc, network) end with it.
# Usage: host-init.sh NAME ROOT PROJECT VENV
set -e
name=$1 root=$2 project=$3 venv=$4

hostname "$name"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
# The checkout may be on a file system of its own.
mkdir -p "$root$project"
mount --bind "$project" "$root$project"
mount -o remount,bind,ro "$root$project"

for link in "$root"/etc/rc3.d/S[0-9]*memcached*; do
    [ -e "$link" ] || continue
    script=${link##*/S}
    chroot "$root" "/etc/init.d/$(echo "$script" | sed 's/^[0-9]*//')" start || true
done
mkdir "$root/run/lock"
while :; do
    chroot "$root" "$venv/bin/salt-minion" -c /etc/salt -l warning || true
    sleep 1
done
