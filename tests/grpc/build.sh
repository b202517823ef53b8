#!/bin/sh
# build.sh [--test] OUTDIR: builds what is in Go into OUTDIR: the grpc-go worker and its load client as grpc-worker and
# grpc-load, and the examples of lib/go as go-NAME; with --test it also vets all of it and runs the unit tests.
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

# The packages import each other as handover/tests/... and handover/go/...
ln -sfn "$tests" "$work/path/src/handover/tests"
ln -sfn "$tests/../lib/go" "$work/path/src/handover/go"

GOPATH=$work/path:$libraries GOCACHE=$work/cache GOTMPDIR=$work/tmp
GO111MODULE=off GOENV=off GOPROXY=off GOFLAGS='' GOTOOLCHAIN=local CGO_ENABLED=0
export GOPATH GOCACHE GOTMPDIR GO111MODULE GOENV GOPROXY GOFLAGS GOTOOLCHAIN CGO_ENABLED
unset GOROOT GOBIN

worker=handover/tests/workers/grpc-worker
load=handover/tests/load/grpc-load
package=handover/go
examples=$(cd "$tests/../lib/go/examples" && echo *)
cd "$tests"
"$go" build -buildvcs=false -o "$out/grpc-worker" "$worker"
"$go" build -buildvcs=false -o "$out/grpc-load" "$load"
vetted="$package $package/grpc handover/tests/grpc/echo $worker $load"
for example in $examples; do
	"$go" build -buildvcs=false -o "$out/go-$example" "$package/examples/$example"
	vetted="$vetted $package/examples/$example"
done
if [ "$test" = yes ]; then
	# shellcheck disable=SC2086 # a list of words
	"$go" vet $vetted
	"$go" test -timeout 60s "$package" "$package/grpc" "$load"
fi
