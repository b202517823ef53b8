#!/bin/sh
# run.sh BUILD VARIANT [PYTEST-OPTION...]: installs the build into a systemd that is booted for it, and tests it there as
# a service. Nothing of the machine's own is touched: all of it is thrown away at the end.
set -eu
build=$1 variant=$2
shift 2
cd "$(dirname "$0")/../.."
not_run() {
	echo "NOT RUN: the tests of handover as a service of systemd ($1)"
	exit 0
}
[ "$(id -u)" = 0 ] || not_run 'booting a systemd takes root'
command -v systemd-nspawn >/dev/null || not_run 'systemd-nspawn is not there: apt-get install systemd-container'
[ $# -gt 0 ] || set -- -n 4 tests/systemd
rm -rf "$build/stage"
make -s install BUILD="$build" VARIANT="$variant" PREFIX=/usr DESTDIR="$build/stage"
# The journal is kept for whoever has to find out why.
exec tests/systemd/with-systemd --bind-ro "$PWD" --bind "$build" --journal "$build/systemd.journal" -- \
	env BUILD="$build" VARIANT="$variant" tests/systemd/inside.sh "$@"
