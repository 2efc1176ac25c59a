#!/bin/bash
# Installs what the browser tests need; does nothing when it is there. As root, or with sudo.
#
#   chromium, chromium-driver   Debian's packages, which fit each other
#   target/browser-venv         Selenium and pytest as pinned in tests/browser/requirements.txt
set -euo pipefail
cd "$(dirname "$0")/../.."

. scripts/lib/apt.sh

# Fonts with Chinese glyphs, or pictures of those pages show boxes.
apt_install chromium chromium-driver fonts-noto-cjk

python=/usr/bin/python3
[ -x $python ] || apt_install python3
"$python" -c 'import ensurepip, venv' 2> /dev/null || apt_install python3-venv

venv=target/browser-venv
if ! cmp -s tests/browser/requirements.txt $venv/installed-requirements.txt || ! $venv/bin/python -c 'import selenium, pytest' 2> /dev/null; then
    echo "making $venv"
    mkdir -p target
    rm -rf $venv
    "$python" -m venv $venv
    $venv/bin/pip install -q --disable-pip-version-check -r tests/browser/requirements.txt ||
        fail "pip could not install tests/browser/requirements.txt"
    cp tests/browser/requirements.txt $venv/installed-requirements.txt
fi
