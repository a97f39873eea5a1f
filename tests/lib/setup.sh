# For tests/demo and tests/run: what they share. To be sourced.

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
unset NOTIFY_SOCKET NODE_NAME
python=/usr/bin/python3

die() {
        echo "${0##*/}: $*" >&2
        exit 1
}

# The packages of these purposes that are not installed
missing_packages() {
        local purpose package
        while read -r purpose package; do
                case " $* " in
                *" $purpose "*)
                        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null |
                                grep -qx installed || echo "$package"
                        ;;
                esac
        done < <(grep -v '^#' "$repository/tests/lib/packages")
}

# Installs what is missing of these purposes, and nothing else
install_packages() {
        local missing
        mapfile -t missing < <(missing_packages "$@")
        [ ${#missing[@]} -gt 0 ] || return 0
        [ "$(id -u)" = 0 ] || die "these packages are missing: ${missing[*]}"
        echo "installing ${missing[*]}"
        export DEBIAN_FRONTEND=noninteractive
        {
                apt-get -q update &&
                        apt-get -q -y --no-install-recommends install "${missing[@]}"
        } >"$work/apt.log" 2>&1 </dev/null || {
                tail -n 20 "$work/apt.log" >&2
                die "the packages could not be installed"
        }
}

# A folder of our own that goes when the script ends
make_work_folder() {
        work=$(mktemp -d "${TMPDIR:-/tmp}/nodecryptor-${0##*/}.XXXXXX")
        trap 'rm -rf "$work"' EXIT
        trap 'exit 130' INT
        trap 'exit 143' TERM HUP
}
