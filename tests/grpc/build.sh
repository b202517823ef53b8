#!/bin/sh
# build.sh [--test] OUTDIR: builds the grpc-go worker and its load client into OUTDIR/grpc-worker and OUTDIR/grpc-load;
# with --test it also vets them and runs their unit tests.
#
# It uses the Go libraries that Debian packages (golang-go golang-google-grpc-dev), in GOPATH mode, and no network.
set -eu

test=no
if [ "${1-}" = --test ]; then
	test=yes
	shift
fi
if [ $# -ne 1 ]; then
	echo "usage: $0 [--test] OUTDIR" >&2
	exit 2
fi
libraries=/usr/share/gocode
tests=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
go=${GO:-/usr/bin/go}

if ! [ -x "$(command -v "$go")" ] || ! [ -d "$libraries/src/google.golang.org/grpc" ]; then
	echo "$0: the grpc-go worker needs the packages golang-go and golang-google-grpc-dev" >&2
	exit 1
fi

# Two builds at a time, from two test runs, would tread on each other's symbolic link and outputs.
work=$out/go
mkdir -p "$work/path/src/handover" "$work/tmp"
exec 9>"$work/lock"
flock 9

# The packages import each other as handover/tests/...
ln -sfn "$tests" "$work/path/src/handover/tests"

GOPATH=$work/path:$libraries GOCACHE=$work/cache GOTMPDIR=$work/tmp
GO111MODULE=off GOENV=off GOPROXY=off GOFLAGS='' GOTOOLCHAIN=local CGO_ENABLED=0
export GOPATH GOCACHE GOTMPDIR GO111MODULE GOENV GOPROXY GOFLAGS GOTOOLCHAIN CGO_ENABLED
unset GOROOT GOBIN

worker=handover/tests/workers/grpc-worker
load=handover/tests/load/grpc-load
cd "$tests"
"$go" build -buildvcs=false -o "$out/grpc-worker" "$worker"
"$go" build -buildvcs=false -o "$out/grpc-load" "$load"
if [ "$test" = yes ]; then
	"$go" vet handover/tests/grpc/echo "$worker" "$load"
	"$go" test "$worker" "$load"
fi
