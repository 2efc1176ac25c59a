#!/bin/bash
# Installs the database servers that the tests of the stores start for themselves, and what makes their certificates; does
# nothing when they are there. As root, or with sudo. No service is started: the tests run private servers in temporary
# directories.
set -euo pipefail
cd "$(dirname "$0")/../.."

. scripts/lib/apt.sh

for package in postgresql mariadb-server galera-4 redis-server sqlite3 openssl; do
    apt_install_quietly $package
done
