#!/bin/sh
# without-systemd.sh BUILD VARIANT: a build without libsystemd does not need it, and does all that needs none.
set -eu
build=$1 variant=$2
cd "$(dirname "$0")/.."
for program in handoverd handover; do
	if ldd "$build/$program" | grep libsystemd; then
		echo "$build/$program was built with WITH_SYSTEMD=no and needs libsystemd" >&2
		exit 1
	fi
done
echo 'NOT RUN without libsystemd: what is asked over D-Bus (budgets against the unit, whether a stop is a restart)'
BUILD=$build VARIANT=$variant exec /usr/bin/python3 -m pytest -q -n 4 --timeout 180 -p no:cacheprovider tests/integration/test_manager.py \
	tests/integration/test_sockets.py tests/integration/test_start.py tests/integration/test_reload.py tests/integration/test_environment.py
