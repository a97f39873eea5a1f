# Completion of nodecryptorctl(1) for fish.

set -l verbs status peers resync observe enforce plan explain audit check wait reload flush
complete -c nodecryptorctl -f
complete -c nodecryptorctl -n "not __fish_seen_subcommand_from $verbs" -l help -d 'show a summary'
complete -c nodecryptorctl -n "not __fish_seen_subcommand_from $verbs" -l version -d 'show the version'
complete -c nodecryptorctl -n "not __fish_seen_subcommand_from $verbs" -a status -d 'what the daemon does now'
complete -c nodecryptorctl -n "not __fish_seen_subcommand_from $verbs" -a peers -d 'the other nodes'
complete -c nodecryptorctl -n "not __fish_seen_subcommand_from $verbs" -a resync -d 'have the daemon read everything again'
complete -c nodecryptorctl -n "not __fish_seen_subcommand_from $verbs" -a observe -d 'change nothing until the daemon ends'
complete -c nodecryptorctl -n "not __fish_seen_subcommand_from $verbs" -a enforce -d 'enforce until the daemon ends'
complete -c nodecryptorctl -n "not __fish_seen_subcommand_from $verbs" -a plan -d 'print the policy as ip commands'
complete -c nodecryptorctl -n "not __fish_seen_subcommand_from $verbs" -a explain -d 'say which way a flow goes, and why'
complete -c nodecryptorctl -n "not __fish_seen_subcommand_from $verbs" -a audit -d 'prove that nothing leaves in clear'
complete -c nodecryptorctl -n "not __fish_seen_subcommand_from $verbs" -a check -d 'what is in the way of enforcing'
complete -c nodecryptorctl -n "not __fish_seen_subcommand_from $verbs" -a wait -d 'wait until the policy is in force'
complete -c nodecryptorctl -n "not __fish_seen_subcommand_from $verbs" -a reload -d 'have the daemon read its configuration again'
complete -c nodecryptorctl -n "not __fish_seen_subcommand_from $verbs" -a flush -d 'take the policy out of the kernel'

complete -c nodecryptorctl -n '__fish_seen_subcommand_from status peers audit check' -l json -d 'as JSON'
complete -c nodecryptorctl -n '__fish_seen_subcommand_from plan' -l nodes -r -F -d 'the nodes'
complete -c nodecryptorctl -n '__fish_seen_subcommand_from plan' -l api-endpoint -x -d "the kubeconfig's endpoint"
complete -c nodecryptorctl -n '__fish_seen_subcommand_from plan' -l without-device -d 'as it is while the device is away'
complete -c nodecryptorctl -n '__fish_seen_subcommand_from plan' -l loose-rp-filter -d 'as it is with rp_filter 2'
complete -c nodecryptorctl -n '__fish_seen_subcommand_from explain' -l from -x -d 'the source'
complete -c nodecryptorctl -n '__fish_seen_subcommand_from explain' -l protocol -x -a 'tcp udp icmp' -d 'the protocol'
complete -c nodecryptorctl -n '__fish_seen_subcommand_from plan explain audit' -l node-name -x -d 'the name of the node'
complete -c nodecryptorctl -n '__fish_seen_subcommand_from plan explain' -l mark -x -d 'the mark'
complete -c nodecryptorctl -n '__fish_seen_subcommand_from status plan explain audit check flush' -l config -r -F -d 'the configuration'
complete -c nodecryptorctl -n '__fish_seen_subcommand_from status explain audit check flush' -l state-directory -x -a '(__fish_complete_directories)' -d 'what the daemon keeps'
complete -c nodecryptorctl -n '__fish_seen_subcommand_from audit' -l live -x -d 'look at the wire for so many seconds'
complete -c nodecryptorctl -n '__fish_seen_subcommand_from check' -l kubeconfig -r -F -d 'the credential'
complete -c nodecryptorctl -n '__fish_seen_subcommand_from wait' -l enforcing -d 'until the policy is in force'
complete -c nodecryptorctl -n '__fish_seen_subcommand_from wait reload' -l timeout -x -d 'seconds'
complete -c nodecryptorctl -n '__fish_seen_subcommand_from wait reload flush' -l runtime-directory -x -a '(__fish_complete_directories)' -d "where the daemon's state is"
complete -c nodecryptorctl -n '__fish_seen_subcommand_from flush' -l yes -d 'do it'
complete -c nodecryptorctl -n '__fish_seen_subcommand_from flush' -l while-running -d 'also while the daemon runs'
