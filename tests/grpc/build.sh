#!/bin/sh
# build.sh OUTDIR: builds the grpc-go worker and its load client into OUTDIR/grpc-worker and OUTDIR/grpc-load.
#
# It uses the Go libraries that Debian packages (golang-go golang-google-grpc-dev), in GOPATH mode, and no network.
set -eu

if [ $# -ne 1 ]; then
	echo "usage: $0 OUTDIR" >&2
	exit 2
fi
libraries=/usr/share/gocode
root=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
go=${GO:-/usr/bin/go}

if ! [ -x "$(command -v "$go")" ] || ! [ -d "$libraries/src/google.golang.org/grpc" ]; then
	echo "$0: the grpc-go worker needs the packages golang-go and golang-google-grpc-dev" >&2
	exit 1
fi

# Two builds at a time, from two test runs, would tread on each other's symbolic link and outputs.
work=$out/go
mkdir -p "$work/path/src" "$work/tmp"
exec 9>"$work/lock"
flock 9

# The programs import each other's packages as handover/...
ln -sfn "$root" "$work/path/src/handover"

GOPATH=$work/path:$libraries GOCACHE=$work/cache GOTMPDIR=$work/tmp
GO111MODULE=off GOENV=off GOPROXY=off GOFLAGS='' GOTOOLCHAIN=local CGO_ENABLED=0
export GOPATH GOCACHE GOTMPDIR GO111MODULE GOENV GOPROXY GOFLAGS GOTOOLCHAIN CGO_ENABLED
unset GOROOT GOBIN

cd "$root"
"$go" build -buildvcs=false -o "$out/grpc-worker" handover/tests/workers/grpc-worker
"$go" build -buildvcs=false -o "$out/grpc-load" handover/tests/load/grpc-load
