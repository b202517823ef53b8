#!/bin/sh
# inside.sh PYTEST-OPTION...: called by run.sh inside the booted systemd. Installs as a user does, with PREFIX=/usr, puts
# the test's own programs beside it where every user may run them, and runs the tests.
set -eu
cd "$(dirname "$0")/../.."
# Programs have been built: only what is older than its sources would be built here, and the sources are read-only.
make -s install BUILD="$BUILD" VARIANT="$VARIANT" PREFIX=/usr DESTDIR= >/dev/null
systemctl daemon-reload
mkdir -p /opt/handover-test
find "$BUILD" -maxdepth 1 -type f -perm -u+x -exec cp -p {} /opt/handover-test \;
BUILD=/opt/handover-test PYTHONDONTWRITEBYTECODE=1 exec /usr/bin/python3 -m pytest -q --timeout 120 -p no:cacheprovider "$@"
