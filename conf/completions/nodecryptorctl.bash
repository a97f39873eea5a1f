# Completion of nodecryptorctl(1) for bash.

_nodecryptorctl() {
        local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb= word
        local -A options=(
                [status]='--json --config --state-directory'
                [peers]='--json'
                [resync]=' '
                [observe]=' '
                [enforce]=' '
                [plan]='--nodes --node-name --diff --format --config --state-directory --api-endpoint --mark --without-device --loose-rp-filter'
                [explain]='--from --protocol --mark --netns --pid --json --config --node-name --state-directory'
                [audit]='--live --json --config --node-name --state-directory'
                [check]='--json --kubeconfig --config --state-directory'
                [wait]='--enforcing --timeout --runtime-directory'
                [reload]='--timeout --runtime-directory'
                [flush]='--yes --while-running --config --state-directory --runtime-directory'
        )
        if [ "$cur" = = ]; then
                cur=
        elif [ "$prev" = = ]; then
                prev=${COMP_WORDS[COMP_CWORD - 2]}
        fi
        case $prev in
        --nodes | --config | --kubeconfig)
                mapfile -t COMPREPLY < <(compgen -f -- "$cur")
                compopt -o filenames 2>/dev/null
                return
                ;;
        --state-directory | --runtime-directory)
                mapfile -t COMPREPLY < <(compgen -d -- "$cur")
                compopt -o filenames 2>/dev/null
                return
                ;;
        --protocol)
                mapfile -t COMPREPLY < <(compgen -W 'tcp udp icmp' -- "$cur")
                return
                ;;
        --format)
                mapfile -t COMPREPLY < <(compgen -W 'ip json' -- "$cur")
                return
                ;;
        --netns)
                mapfile -t COMPREPLY < <(compgen -W "$(ls /run/netns 2>/dev/null)" -- "$cur")
                return
                ;;
        --node-name | --api-endpoint | --mark | --from | --timeout | --pid | --live)
                return
                ;;
        esac
        for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
                [ -z "${options[$word]-}" ] || { verb=$word && break; }
        done
        if [ -n "$verb" ]; then
                mapfile -t COMPREPLY < <(compgen -W "${options[$verb]}" -- "$cur")
        else
                mapfile -t COMPREPLY < <(compgen -W "${!options[*]} --help --version" -- "$cur")
        fi
}
complete -F _nodecryptorctl nodecryptorctl
