#!/bin/bash
# demo.sh BUILD rpc|grpc: the main job before your eyes, in under a minute. Called by `make demo`.
#
# Runs handoverd on a copy of conf/demo.ini (or demo-grpc.ini), keeps load on it, and does to it what a bad day
# does. Ends with the load client's own count. Exit status 1 if a request failed that was not inside a worker
# that was killed, or if a step did not go as it should.
#
# DEMO_WORKER_OPTIONS adds options to the workers' command; tests use it to hide a mistake that must be found.
set -uo pipefail

build=$1 kind=$2
top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top" || exit 1
case $kind in
rpc) base=conf/demo.ini port=18900 ;;
grpc) base=conf/demo-grpc.ini port=18910 ;;
*)
	echo "demo: WORKER=$kind is not known: rpc or grpc" >&2
	exit 2
	;;
esac

dir=$(mktemp -d "${TMPDIR:-/tmp}/handover-demo.XXXXXX")
config=$dir/demo.ini run=$dir/run log=$dir/log
master='' load='' watcher='' failed=0

bold='' dim='' red='' green='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'
fi

# shellcheck disable=SC2317 # called by the trap
clean_up() {
	trap - EXIT INT TERM
	for pid in $load $watcher; do kill "$pid" 2>/dev/null; done
	if [ -n "$master" ] && kill -0 "$master" 2>/dev/null; then
		kill -INT "$master"
		kill -INT "$master"
		wait "$master"
	fi
	rm -rf "$dir"
}
trap clean_up EXIT
trap '' PIPE
trap 'echo; echo "demo: interrupted"; exit 130' INT TERM

step() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
say() { printf '   %s\n' "$*"; }
oops() {
	printf '   %sNOT AS IT SHOULD BE: %s%s\n' "$red" "$*" "$plain"
	failed=1
}
handover() { "$build/handover" -c "$run/control.sock" "$@" 2>&1; }
tell_load() {
	echo "$*" 2>/dev/null >&7 && return
	cat "$dir/table"
	oops 'the load client has ended'
	exit 1
}
# wait_for SECONDS COMMAND...: until the command succeeds
wait_for() {
	local left=$(($1 * 20))
	shift
	until "$@"; do
		left=$((left - 1))
		[ "$left" -gt 0 ] || return 1
		sleep 0.05
	done
}
# shellcheck disable=SC2317 # called by wait_for
serving() { [ "$(serving_pids | wc -l)" -ge "$1" ]; }
# columns of the table: POOL SLOT GEN PID STATE ...
serving_pids() { handover status | awk '$5 == "serving" { print $4 }'; }
configure() { # configure OPTIONS: the command that the workers run from the next reload on
	sed -e "s|build/plain/|$build/|; /^command/s|--version.*|$*|" "$base" >"$config"
}
options() { echo "--version $1 --stubborn ${DEMO_WORKER_OPTIONS:-}"; }

# The log as it comes; of a worker's own output (a dump may be long) the first lines only.
show_log() {
	local line worker
	local -A shown=()
	while IFS= read -r line; do
		if [[ $line =~ ^[a-z]+\[[0-9]+\]\ g[0-9]+\ pid\ ([0-9]+): ]]; then
			worker=${BASH_REMATCH[1]}
			shown[$worker]=$((${shown[$worker]:-0} + 1))
			[ "${shown[$worker]}" -le 9 ] || continue
			[ "${shown[$worker]}" -le 8 ] || line="${BASH_REMATCH[0]} ... (more in the log)"
		fi
		printf '   %shandoverd: %s%s\n' "$dim" "$line" "$plain"
	done
}

# ---- start ----------------------------------------------------------------------------------

step "handoverd starts four $kind workers on 127.0.0.1:$port"
configure "$(options 1)"
"$build/handoverd" --runtime-dir "$run" "$config" >"$log" 2>&1 &
master=$!
if ! wait_for 10 grep -qs 'is ready' "$log"; then
	cat "$log"
	oops "it did not start"
	exit 1
fi
tail -n +1 -f --pid=$master "$log" | show_log &
watcher=$!
handover status

step 'load begins, and goes on to the end: new connections, long-lived ones, slow requests'
mkfifo "$dir/load"
if [ "$kind" = rpc ]; then
	"$build/rpc-load" --target 127.0.0.1:$port --new 200 --keepalive 100,8 --slow 10,300,1000 \
		--duration 55 --json "$dir/load.json" <"$dir/load" >"$dir/table" 2>&1 &
else
	"$build/grpc-load" --target 127.0.0.1:$port --unary-new 60 --pick-first 100,4 --round-robin 100,4 \
		--slow 10,300,1000 --streams 4,10,50 --duration 55s --json "$dir/load.json" <"$dir/load" >"$dir/table" 2>&1 &
fi
load=$!
exec 7>"$dir/load"
tell_load phase steady
say 'three seconds of steady load ...'
sleep 3

# ---- a good version -------------------------------------------------------------------------

step 'a new version: reload, and wait until the last old worker has finished'
tell_load phase new-version
configure "$(options 2)"
handover reload --wait=drained || oops 'the reload failed'
sleep 1

# ---- a bad one ------------------------------------------------------------------------------

step 'a version that cannot start: the old one goes on serving, and the reload says why'
tell_load phase bad-version
configure "$(options 3) --exit-at-start 1"
handover reload
code=$?
say "exit status of handover reload: $code"
[ "$code" = 1 ] || oops 'it should have been 1'
configure "$(options 2)"
sleep 1

# ---- a worker that is killed ----------------------------------------------------------------

step 'a worker is killed with SIGKILL: its slot has another one at once'
tell_load phase sigkill
victim=$(serving_pids | head -n 1)
say "kill -9 $victim"
kill -9 "$victim" || oops "no process $victim"
tell_load "killed $victim"
wait_for 5 serving 4 || oops 'it was not replaced'
handover status
sleep 1

# ---- a worker that hangs --------------------------------------------------------------------

step 'a request hangs for ever in an old worker: dump at the end of its budget, then SIGKILL'
tell_load phase hang
tell_load hang
sleep 0.5
configure "$(options 4)"
handover reload --wait=drained || oops 'the reload failed'
# Go ends at SIGQUIT by itself, with its goroutines printed; the C worker has to be killed
killed=$(sed -n 's/.* pid \([0-9]*\) has not ended within its.*/\1/p' "$log" | tail -n 1)
if [ -n "$killed" ]; then
	tell_load "killed $killed"
else
	oops 'nothing was done about the worker that hangs'
fi
sleep 1

# ---- the end --------------------------------------------------------------------------------

step 'an orderly stop: what is in flight is finished'
tell_load phase stop
sleep 0.5
tell_load quit
handover stop || oops 'the stop failed'
wait "$master"
code=$?
master=''
[ "$code" = 0 ] || oops "handoverd ended with $code"
wait "$watcher"
watcher=''
exec 7>&-
wait "$load"
code=$?
load=''

step 'what the clients saw'
sed 's/^/   /' "$dir/table"
if [ "$code" != 0 ] || [ "$failed" != 0 ]; then
	printf '\n%sFAILED%s: a request failed that was not inside a worker that was killed, or a step went wrong (see above)\n' "$red$bold" "$plain"
	exit 1
fi
printf '\n%sNo request was lost%s but those inside the two workers that were killed.\n' "$green$bold" "$plain"
cat <<END

Go on by hand:
   $build/handoverd $base &
   $build/handover status
END
