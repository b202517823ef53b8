#!/bin/bash
# lint-layers.sh - do includes go down only, and is each outside library in its one place? Run in the project's folder.
set -euo pipefail

bad=0
complain() {
	echo "$1" >&2
	bad=1
}

# FILE LINE NAME of each include, NAME with its brackets or quotes.
includes() {
	find "$@" -name '*.[ch]' -exec grep -nHE '^[[:space:]]*#[[:space:]]*include' {} + |
		sed -E 's/^([^:]+):([0-9]+):[[:space:]]*#[[:space:]]*include[[:space:]]*([<"][^>"]*[>"]).*/\1 \2 \3/'
}

# Which layers a file may name.
may_include() {
	case $1 in
	lib/base/*) echo base ;;
	supervisor/core/*) echo core base ;;
	supervisor/system/*) echo system base ;;
	supervisor/engine/*) echo engine core system base ;;
	supervisor/cli/*) echo cli system base ;;
	supervisor/*) echo engine core system base ;;
	lib/*) echo worker base ;;
	esac
}

# The places of a library's header, as a pattern; nothing: it is not restricted.
place_of() {
	case $1 in
	event.h | event2/*) echo 'supervisor/engine/*' ;;
	ini.h) echo 'supervisor/system/config*.c' ;;
	systemd/*) echo 'supervisor/system/@(systemd*|listener*).c' ;;
	jansson.h) echo 'supervisor/@(engine|cli)/*' ;;
	nghttp2/*) echo 'supervisor/system/probe_grpc.c' ;;
	libsmartcols/* | libsmartcols.h) echo 'supervisor/cli/*' ;;
	curl/*) echo 'supervisor/cli/*' ;;
	esac
}

# What pure code may have of the C library.
core_may='assert|inttypes|limits|signal|stdbool|stddef|stdint|stdio|string'

check_own() {
	local file=$1 line=$2 name=$3 layer=${3%%/*}

	if [[ $name != */* && $file == lib/* && $file != lib/base/* ]]; then
		return # a public header is found beside its library, or where it was installed
	elif [[ $name != */* ]]; then
		complain "$file:$line: \"$name\" names no layer: write \"LAYER/$name\""
	elif [[ " $(may_include "$file") " != *" $layer "* ]]; then
		complain "$file:$line: \"$name\" is not below: this file may include $(may_include "$file" | sed 's/ /, /g')"
	fi
}

check_outside() {
	local file=$1 line=$2 name=$3 place

	place=$(place_of "$name")
	# shellcheck disable=SC2053 # the place is a pattern
	if [[ -n $place && $file != $place ]]; then
		complain "$file:$line: <$name> belongs into ${place//@/} only"
	elif [[ $file == supervisor/core/* && ! $name =~ ^($core_may)\.h$ ]]; then
		complain "$file:$line: <$name> is not for pure code"
	fi
}

shopt -s extglob
folders=()
for folder in supervisor lib; do
	[ -d "$folder" ] && folders+=("$folder")
done
while read -r file line name; do
	case $name in
	\"*) check_own "$file" "$line" "${name//\"/}" ;;
	\<*) check_outside "$file" "$line" "${name//[<>]/}" ;;
	*) complain "$file:$line: cannot tell what is included" ;;
	esac
done < <(includes "${folders[@]}")

# JSON in one file of the engine and one of the command line.
for layer in engine cli; do
	mapfile -t users < <(includes supervisor/$layer | grep '<jansson.h>' || true)
	if [ ${#users[@]} -gt 1 ]; then
		for user in "${users[@]}"; do
			complain "$(cut -d' ' -f1,2 --output-delimiter=: <<<"$user"): <jansson.h> is in ${#users[@]} files of $layer: one is enough"
		done
	fi
done
exit $bad
