#compdef nodecryptorctl
# Completion of nodecryptorctl(1) for zsh.

local -a verbs
verbs=(
        'status:what the daemon does now'
        'peers:the other nodes'
        'resync:have the daemon read everything again'
        'observe:change nothing until the daemon ends'
        'enforce:enforce until the daemon ends'
        'plan:print the policy as ip commands'
        'explain:say which way a flow goes, and why'
        'audit:prove that nothing leaves in clear'
        'check:what is in the way of enforcing'
        'wait:wait until the policy is in force'
        'reload:have the daemon read its configuration again'
        'flush:take the policy out of the kernel'
)

_arguments -C '(- *)--help[show a summary]' '(- *)--version[show the version]' \
        '1:verb:->verb' '*::argument:->argument'

case $state in
verb)
        _describe verb verbs
        ;;
argument)
        case $words[1] in
        status)
                _arguments '--json[as JSON]' '--config=[the configuration]:file:_files' \
                        '--state-directory=[where the snapshot is]:folder:_files -/'
                ;;
        peers)
                _arguments '--json[as JSON]'
                ;;
        plan)
                _arguments '--nodes=[the nodes]:file:_files' '--node-name=[whose policy]:name:' \
                        '--config=[the configuration]:file:_files' \
                        "*--api-endpoint=[the kubeconfig's endpoint]:address and port:" \
                        "--mark=[the device's mark]:mark:" \
                        '--without-device[as it is while the device is away]' \
                        '--loose-rp-filter[as it is with rp_filter 2]' \
                        '--diff[what the second has otherwise]' \
                        '--format=[for people or programs]:format:(ip json)' \
                        '--state-directory=[where the snapshot is]:folder:_files -/' \
                        '*:nodes or plan:_files'
                ;;
        explain)
                _arguments '--from=[the source]:address:' \
                        '--protocol=[the protocol]:protocol:(tcp udp icmp)' \
                        "--mark=[the packet's mark]:mark:" \
                        '--netns=[the network namespace it begins in]:namespace:_files' \
                        '--pid=[the process it begins at]:process:_pids' '--json[as JSON]' \
                        '--config=[the configuration]:file:_files' \
                        "--node-name=[this node's name]:name:" \
                        '--state-directory=[where the snapshot is]:folder:_files -/' \
                        '1:destination:'
                ;;
        audit)
                _arguments '--live=[look at the wire]:seconds:' '--json[as JSON]' \
                        '--config=[the configuration]:file:_files' \
                        "--node-name=[this node's name]:name:" \
                        '--state-directory=[where the snapshot is]:folder:_files -/'
                ;;
        check)
                _arguments '--json[as JSON]' '--kubeconfig=[the credential]:file:_files' \
                        '--config=[the configuration]:file:_files' \
                        '--state-directory=[where the snapshot is]:folder:_files -/'
                ;;
        wait)
                _arguments '--enforcing[until the policy is in force]' \
                        '--timeout=[and fail then]:seconds:' \
                        "--runtime-directory=[where the daemon's state is]:folder:_files -/"
                ;;
        reload)
                _arguments '--timeout=[and fail then]:seconds:' \
                        "--runtime-directory=[where the daemon's state is]:folder:_files -/"
                ;;
        flush)
                _arguments '--yes[do it]' '--while-running[also while the daemon runs]' \
                        '--config=[the configuration]:file:_files' \
                        '--state-directory=[where the record is]:folder:_files -/' \
                        "--runtime-directory=[where the daemon's state is]:folder:_files -/"
                ;;
        esac
        ;;
esac
