# Installing Debian packages, as root or with sudo. To be sourced.

fail() { echo "$(basename "$0"): $*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo > /dev/null; then sudo "$@"; else
        fail "'$*' needs root: run this as root, or install sudo"
    fi
}

apt_updated=false
apt_update() {
    $apt_updated && return
    command -v apt-get > /dev/null || fail "this needs a Debian machine (apt-get)"
    as_root apt-get update -q > /dev/null || echo "apt-get update had errors; going on with what it has"
    apt_updated=true
}

has_package() { dpkg-query -W -f='${Status}' "$1" 2> /dev/null | grep -q 'ok installed'; }

apt_install() {
    local missing=()
    for package in "$@"; do has_package "$package" || missing+=("$package"); done
    [ ${#missing[@]} = 0 ] && return
    apt_update
    echo "Installing ${missing[*]} …"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" > /dev/null ||
        fail "apt-get could not install ${missing[*]}"
}

# A package whose service is kept from starting: a machine that tests is nobody's cache.
apt_install_quietly() {
    has_package "$1" && return
    local policy=/usr/sbin/policy-rc.d
    [ -e $policy ] && { apt_install "$1"; return; }
    printf '#!/bin/sh\nexit 101\n' | as_root tee $policy > /dev/null
    as_root chmod 755 $policy
    trap "as_root rm -f $policy" EXIT
    apt_install "$1"
    as_root rm -f $policy
    trap - EXIT
}
