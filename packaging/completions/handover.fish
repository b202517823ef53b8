# fish completion for handover(1). Names of pools and slots are asked of the running instance, for a second at most.

# The command on the line so far; nothing if there is none yet.
function __handover_command
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
            continue
        end
        switch $word
            case -i -c --instance --socket --timeout --wait
                set skip 1
            case '-*'
            case '*'
                echo $word
                return 0
        end
    end
    return 1
end

# How many operands follow the command?
function __handover_operands
    set -l skip 0
    set -l n -1
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
            continue
        end
        switch $word
            case -i -c --instance --socket --timeout --wait
                set skip 1
            case '-*'
            case '*'
                set n (math $n + 1)
        end
    end
    echo $n
end

function __handover_is
    contains -- (__handover_command) $argv
end

function __handover_first_of
    __handover_is $argv; and test (__handover_operands) = 0
end

function __handover_status
    set -l chosen
    set -l words (commandline -opc)
    for i in (seq 2 (count $words))
        switch $words[$i]
            case -i -c --instance --socket
                set chosen $words[$i] $words[(math $i + 1)]
            case '--instance=*' '--socket=*'
                set chosen $words[$i]
        end
    end
    $words[1] $chosen --timeout 1s status --json 2>/dev/null
end

function __handover_pools
    __handover_status | grep -o '{"name":"[^"]*","state":' | cut -d'"' -f4 | sort -u
end

function __handover_slots
    __handover_status | grep -o '"pool":"[^"]*","slot":[0-9]*' | sed 's/"pool":"\(.*\)","slot":/\1\//' | sort -u
end

function __handover_instances
    for socket in /run/handover/*/control.sock $XDG_RUNTIME_DIR/handover/*/control.sock
        test -S $socket; and basename (dirname $socket)
    end
end

complete -c handover -f
complete -c handover -s h -l help -d 'help'
complete -c handover -s V -l version -d 'the version'
complete -c handover -s i -l instance -x -a '(__handover_instances)' -d 'the instance of that name'
complete -c handover -s c -l socket -r -F -d 'the instance behind this socket'
complete -c handover -l timeout -x -a '10s 30s 1min 5min' -d 'give up after that time'

complete -c handover -n 'not __handover_command' -a status -d 'what runs, and what is wrong'
complete -c handover -n 'not __handover_command' -a why -d 'why workers ended'
complete -c handover -n 'not __handover_command' -a history -d 'the last reloads, and what became of them'
complete -c handover -n 'not __handover_command' -a list -d 'the instances that run here'
complete -c handover -n 'not __handover_command' -a logs -d 'what workers write'
complete -c handover -n 'not __handover_command' -a events -d 'what happens, as it happens'
complete -c handover -n 'not __handover_command' -a reload -d 'a deploy: new workers, no request lost'
complete -c handover -n 'not __handover_command' -a promote -d 'go on with a reload that is held'
complete -c handover -n 'not __handover_command' -a abort -d 'undo a reload that is held, or runs'
complete -c handover -n 'not __handover_command' -a rollback -d 'back to the version that served before'
complete -c handover -n 'not __handover_command' -a restart -d 'replace workers by new ones of the same version'
complete -c handover -n 'not __handover_command' -a scale -d 'run N workers, until the next reload'
complete -c handover -n 'not __handover_command' -a stop -d 'drain all workers and end the instance'
complete -c handover -n 'not __handover_command' -a out-of-service -d 'send load balancers elsewhere'
complete -c handover -n 'not __handover_command' -a plan -d 'what would reload --changed do now?'
complete -c handover -n 'not __handover_command' -a sockets -d 'the sockets, and who holds them'
complete -c handover -n 'not __handover_command' -a exec -d 'run a program with sockets of the instance'
complete -c handover -n 'not __handover_command' -a signal -d 'send a signal to workers'
complete -c handover -n 'not __handover_command' -a dump -d 'let workers write down what they are doing'
complete -c handover -n 'not __handover_command' -a check -d 'what is wrong with a configuration?'
complete -c handover -n 'not __handover_command' -a help -d 'the overview, or all about one command'

complete -c handover -n '__handover_first_of reload rollback scale why logs restart signal dump' -a '(__handover_pools)'
complete -c handover -n '__handover_first_of why logs restart signal dump' -a '(__handover_slots)'
complete -c handover -n '__handover_first_of out-of-service' -a 'on off'
complete -c handover -n '__handover_first_of check' -F
complete -c handover -n '__handover_first_of help' -a 'status why history plan list logs events reload promote abort rollback restart scale stop out-of-service signal dump sockets exec check'
complete -c handover -n '__handover_is signal; and test (__handover_operands) = 1' -a 'SIGHUP SIGINT SIGQUIT SIGKILL SIGUSR1 SIGUSR2 SIGTERM SIGCONT SIGSTOP SIGABRT'

complete -c handover -n '__handover_is status why history plan list logs events reload promote abort rollback restart scale stop out-of-service signal dump sockets' -l json -d 'JSON for programs'
complete -c handover -n '__handover_is status why history plan reload promote abort rollback restart scale stop' -s v -l verbose -d 'tell more'
complete -c handover -n '__handover_is reload promote abort rollback restart scale stop out-of-service signal dump' -s q -l quiet -d 'say nothing unless it fails'
complete -c handover -n '__handover_is status' -l sockets -d 'also the sockets with their accept queues'
complete -c handover -n '__handover_is logs events' -s f -l follow -d 'go on with what comes'
complete -c handover -n '__handover_is reload' -l changed -d 'only what differs'
complete -c handover -n '__handover_is reload promote rollback restart scale' -l wait -x -a 'committed drained' -d 'until when'
complete -c handover -n '__handover_is reload promote rollback restart scale' -l abort-on-disconnect -d 'undo what was begun if this command goes away'
complete -c handover -n '__handover_is stop' -l now -d 'skip what is left of the budgets'
complete -c handover -n '__handover_is check' -l syntax -d 'the file only'
complete -c handover -n '__handover_is exec' -l move -d 'it goes on with the sockets when the instance stops'
complete -c handover -n '__handover_is exec' -a '(__fish_complete_subcommand)'
