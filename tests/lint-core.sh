#!/bin/bash
# lint-core.sh OBJECTS - is the core pure? Looks into its objects (OBJECTS/supervisor/core/*.o, of a build without
# sanitizers): no call of the system or of anything else that has a state, no state of their own, and they link alone.
set -euo pipefail

if [ $# -ne 1 ] || ! ls "$1"/supervisor/core/*.o >/dev/null 2>&1; then
	echo "usage: lint-core.sh OBJECTS (built before: OBJECTS/supervisor/core/*.o)" >&2
	exit 2
fi
objects=("$1"/supervisor/core/*.o)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What a computation may need: memory that is there already, text, and to say that something cannot be.
allowed='memcpy|memset|memmove|memcmp|strlen|strcmp|snprintf'
allowed+='|__memcpy_chk|__memset_chk|__memmove_chk|__snprintf_chk|__assert_fail|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_'

bad=0
complain() {
	echo "$1" >&2
	bad=1
}

# Every use of a symbol that the core does not define itself, with the line where it is used.
foreign_uses() {
	nm --defined-only -g -P "${objects[@]}" | awk 'NF > 1 { print $1 }' | sort -u >"$work/own"
	for object in "${objects[@]}"; do
		nm -u -l "$object" | awk -v object="$object" '{ print $2 "\t" (NF > 2 ? $3 : object) }'
	done | awk -F '\t' -v own="$work/own" 'BEGIN { while ((getline name < own) > 0) known[name] = 1 } !($1 in known)'
}

while IFS=$'\t' read -r symbol place; do
	if ! [[ $symbol =~ ^($allowed)$ ]]; then
		complain "${place#"$PWD"/}: core uses '$symbol', which is not for pure code"
	fi
done < <(foreign_uses)

# Variables that outlive a call: all that core knows is in the model.
for object in "${objects[@]}"; do
	while read -r symbol; do
		complain "$object: core has a state of its own: '$symbol'"
	done < <(nm "$object" | awk '$2 ~ /^[bBcCdDsSgG]$/ { print $3 }')
done

# An empty program with nothing but core and base.
echo 'int main(void) { return 0; }' >"$work/main.c"
if ! ${CC:-cc} -o "$work/alone" "$work/main.c" "${objects[@]}" "$1"/lib/base/*.o 2>"$work/why"; then
	complain "core does not link with base alone:"
	grep -E 'undefined|error' "$work/why" | sed 's/^/  /' >&2
fi
exit $bad
