#!/bin/sh
# inside.sh PYTEST-OPTION...: called by run.sh inside the booted systemd. Installs what was staged, puts the test's own
# programs where every user may run them, and runs the tests.
set -eu
cd "$(dirname "$0")/../.."
[ -n "${DEBS:-}" ] || cp -a "$BUILD/stage/." /
systemctl daemon-reload
mkdir -p /opt/handover-test
find "$BUILD" -maxdepth 1 -type f -perm -u+x -exec cp -p {} /opt/handover-test \;
BUILD=/opt/handover-test PYTHONDONTWRITEBYTECODE=1 exec /usr/bin/python3 -m pytest -q --timeout 120 -p no:cacheprovider "$@"
