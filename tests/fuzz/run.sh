#!/bin/sh
# run.sh - runs fuzz targets one after another. An input that breaks a rule is kept, named, and makes this fail.
#
#   tests/fuzz/run.sh FOLDER SECONDS NAME...      (by way of `make fuzz`)
#
# FOLDER has the programs; FOLDER/corpus/NAME keeps what was learnt from run to run, FOLDER/findings what was found.
# To look at a finding again: FOLDER/NAME FOLDER/findings/NAME-crash-...
set -eu

folder=$1
seconds=$2
shift 2
here=$(dirname "$0")
# Files of the targets; in memory where that is possible.
if [ -w /dev/shm ]; then TMPDIR=/dev/shm; else TMPDIR=/tmp; fi
TMPDIR=$(mktemp -d "$TMPDIR/handover-fuzz-XXXXXX")
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
trap 'exit 130' INT TERM
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1:allocator_may_return_null=1}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"

failed=0
mkdir -p "$folder/findings"
for name in "$@"; do
	corpus=$folder/corpus/$name
	log=$folder/$name.log
	mkdir -p "$corpus"
	set -- -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1
	if [ -f "$here/$name.dict" ]; then set -- "$@" -dict="$here/$name.dict"; fi
	if "$folder/$name" "$@" -artifact_prefix="$folder/findings/$name-" "$corpus" "$here/seeds/$name" >"$log" 2>&1; then
		sed -n "s/^stat::number_of_executed_units: */$name: no findings; inputs tried: /p" "$log"
	else
		failed=1
		echo "$name: FOUND something; $log ends:" >&2
		grep -vE '^#[0-9]+[[:space:]]+(NEW|REDUCE|pulse)' "$log" | tail -n 40 >&2
	fi
done
exit $failed
