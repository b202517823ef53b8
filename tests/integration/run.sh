#!/bin/sh
# run.sh BUILD VARIANT: the integration tests, and those of the Python package. Some run programs as another user, who may not get into a home directory:
# then they run copies from a place where everybody may.
set -eu
build=$1 variant=$2
cd "$(dirname "$0")/../.."
if [ "$(id -u)" = 0 ] && ! setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$build/handoverd"; then
	copies=$(mktemp -d "${TMPDIR:-/tmp}/handover-build.XXXXXX")
	trap 'rm -rf "$copies"' EXIT
	trap 'exit 130' INT TERM
	chmod 755 "$copies"
	find "$build" -maxdepth 1 -type f -perm -u+x -exec cp -p {} "$copies" \;
	build=$copies
fi
BUILD=$build VARIANT=$variant /usr/bin/python3 -m pytest -q -n 4 --timeout 180 -p no:cacheprovider tests/integration lib/python/tests
