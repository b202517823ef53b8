# bash completion for handover(1). Names of pools and slots are asked of the running instance, for a second at most.

# The options that choose an instance, as they stand on the line so far.
_handover_chosen() {
	local i word
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		-i | -c | --instance | --socket)
			[[ ${COMP_WORDS[i + 1]} == "=" ]] && ((i++))
			((i + 1 < COMP_CWORD)) && printf '%s\n%s\n' "$word" "${COMP_WORDS[i + 1]}"
			return
			;;
		esac
	done
}

_handover_status() {
	local -a chosen
	mapfile -t chosen < <(_handover_chosen)
	"${COMP_WORDS[0]}" "${chosen[@]}" --timeout 1s status --json 2>/dev/null
}

_handover_pools() {
	_handover_status | grep -o '{"name":"[^"]*","state":' | cut -d'"' -f4 | sort -u
}

_handover_slots() {
	_handover_status | grep -o '"pool":"[^"]*","slot":[0-9]*' | sed 's/"pool":"\(.*\)","slot":/\1\//' | sort -u
}

_handover_instances() {
	local socket
	for socket in ${XDG_RUNTIME_DIR:+"$XDG_RUNTIME_DIR"/handover/*/control.sock} /run/handover/*/control.sock; do
		[[ -S $socket ]] || continue
		socket=${socket%/control.sock}
		echo "${socket##*/}"
	done
}

_handover_offer() {
	mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
}

_handover_operand() {
	local command=$1 n=$2 cur=$3
	case $command/$n in
	reload/0 | rollback/0 | scale/0) _handover_offer "$(_handover_pools)" "$cur" ;;
	why/0 | logs/0 | restart/0 | signal/0 | dump/0)
		_handover_offer "$(_handover_pools) $(_handover_slots)" "$cur"
		;;
	signal/1)
		_handover_offer "$(compgen -A signal SIG | grep -v 'SIGJUNK\|RTM')" "$cur"
		;;
	exec/*)
		compopt -o default 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -c -- "$cur")
		;;
	out-of-service/0) _handover_offer "on off" "$cur" ;;
	check/0)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		;;
	help/0)
		_handover_offer "status why history plan list logs events reload promote abort rollback restart scale stop out-of-service signal dump sockets exec check help" "$cur"
		;;
	esac
}

_handover_options() {
	local instance="--instance= --socket= --timeout="
	local change="--wait= --abort-on-disconnect --verbose --quiet --json $instance"
	case $1 in
	status) echo "--json --verbose --sockets $instance" ;;
	why | history) echo "--json --verbose $instance" ;;
	list) echo "--json --timeout=" ;;
	sockets) echo "--json $instance" ;;
	plan) echo "--json --verbose $instance" ;;
	exec) echo "--move $instance" ;;
	logs | events) echo "--follow --json $instance" ;;
	reload) echo "--changed $change" ;;
	promote | rollback | restart | scale) echo "$change" ;;
	abort) echo "--verbose --quiet --json $instance" ;;
	stop) echo "--now --verbose --quiet --json $instance" ;;
	out-of-service | signal | dump) echo "--quiet --json $instance" ;;
	check) echo "--syntax $instance" ;;
	help) ;;
	*) echo "$instance --version" ;;
	esac
	echo "--help"
}

_handover() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local command="" n=0 i word

	# bash takes "=" for a word of its own
	if [[ $cur == "=" ]]; then
		cur=""
	elif [[ $prev == "=" ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		-i | -c | --instance | --socket | --timeout | --wait)
			[[ ${COMP_WORDS[i + 1]} == "=" ]] && ((i++))
			((i++))
			;;
		-* | =) ;;
		*)
			if [[ -z $command ]]; then
				command=$word
			else
				((n++))
			fi
			;;
		esac
	done
	case $prev in
	-i | --instance) _handover_offer "$(_handover_instances)" "$cur" ;;
	-c | --socket)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		;;
	--wait) _handover_offer "committed drained" "$cur" ;;
	--timeout) _handover_offer "10s 30s 1min 5min" "$cur" ;;
	*)
		if [[ $cur == -* ]]; then
			_handover_offer "$(_handover_options "$command")" "$cur"
			[[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
		elif [[ -z $command ]]; then
			_handover_operand help 0 "$cur"
		else
			_handover_operand "$command" "$n" "$cur"
		fi
		;;
	esac
	return 0
}

complete -F _handover handover
