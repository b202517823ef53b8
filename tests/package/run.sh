#!/bin/sh
# run.sh BUILD VERSION NEXT: makes packages of two versions, and tests them in a systemd that is booted for it.
set -eu
build=$1 version=$2 next=$3
cd "$(dirname "$0")/../.."
not_run() {
	echo "NOT RUN: the tests of the Debian package ($1)"
	exit 0
}
for tool in dpkg-buildpackage dh lintian; do
	command -v $tool >/dev/null || not_run "$tool is not there"
done
[ "$(id -u)" = 0 ] || not_run 'booting a systemd takes root'
command -v systemd-nspawn >/dev/null || not_run 'systemd-nspawn is not there: apt-get install systemd-container'
packaging/make-deb "$version" >/dev/null
LINTIAN=no packaging/make-deb "$next" >/dev/null
exec tests/systemd/with-systemd --bind-ro "$PWD" --bind "$build" --journal "$build/package.journal" -- \
	env BUILD="$build" DEBS="$PWD/build" VERSIONS="$version $next" \
	tests/systemd/inside.sh tests/package
