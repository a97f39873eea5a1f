#!/bin/bash
# Builds kube-apiserver from Debian's own source package, once; prints the folder that holds
# kube-apiserver and etcd.
#
#   build.sh           into $NODECRYPTOR_CACHE, by default /var/cache/nodecryptor-tests
#   build.sh --cached  only says where they are; fails when they are not built yet
#
# The first build takes 4 to 10 minutes of two processors, 1.3 GB of memory and 2 GB of disk; what
# stays is 150 MB. Nothing is installed but the packages marked so in ./packages.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${NODECRYPTOR_CACHE:-/var/cache/nodecryptor-tests}
stored=$cache/kube-apiserver
work=$cache/kube-apiserver.build
log=$cache/kube-apiserver.log
export LC_ALL=C.UTF-8

die() {
        echo "${0##*/}: $*" >&2
        exit 1
}

packages() {
        sed -n "s/^$1 //p" "$here/packages"
}

# apt with lists and settings of its own, so that deb-src is on without a change to the machine
private_apt() {
        local command=$1
        shift
        "$command" -q -o Dir::State="$work/apt/state" -o Dir::Cache="$work/apt/cache" \
                -o Dir::State::Status=/var/lib/dpkg/status \
                -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$work/apt/sources" \
                -o APT::Sandbox::User=root "$@"
}

prepare_apt() {
        mkdir -p "$work/apt"/{state/lists/partial,cache/archives/partial,sources}
        printf '%s\n' 'Types: deb deb-src' \
                "URIs: ${NODECRYPTOR_MIRROR:-http://deb.debian.org/debian}" \
                'Suites: bookworm' 'Components: main' \
                'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg' \
                >"$work/apt/sources/debian.sources"
        private_apt apt-get update
}

install_missing() {
        local package missing=()
        for package in $(packages install); do
                dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null |
                        grep -qx installed || missing+=("$package")
        done
        [ ${#missing[@]} = 0 ] || DEBIAN_FRONTEND=noninteractive private_apt apt-get -y \
                --no-install-recommends install "${missing[@]}"
}

unpack_tools() {
        local deb packages
        mkdir -p "$work/tools" "$work/debs"
        mapfile -t packages < <(packages unpack)
        (cd "$work/debs" && private_apt apt-get download "${packages[@]}")
        for deb in "$work"/debs/*.deb; do
                dpkg-deb -x "$deb" "$work/tools"
        done
}

fetch_source() {
        (cd "$work" && private_apt apt-get source kubernetes)
        tree=$(echo "$work"/kubernetes-*/)
        [ -d "$tree" ] || die "the source package was not unpacked"
        mkdir -p "$GOPATH/src/k8s.io"
        ln -sfn "${tree%/}" "$GOPATH/src/k8s.io/kubernetes"

        # The vendored 1.0.1 reads the runtime's map iterator, whose shape changed in Go 1.18: the
        # server would die on the first object written
        local reflect2=vendor/github.com/modern-go/reflect2
        rm -rf "${tree:?}/$reflect2"
        cp -r "$work/tools/usr/share/gocode/src/github.com/modern-go/reflect2" "$tree/$reflect2"
}

# The packages whose types the OpenAPI document describes, as import paths
described_packages() {
        grep -rl --include='*.go' '+k8s:openapi-gen=' pkg cmd plugin staging/src/k8s.io |
                grep -v -e /testdata/ -e /_examples/ -e /code-generator/ -e /sample- |
                xargs -n 1 dirname | sort -u |
                sed -e 's,^staging/src/,vendor/,' -e 's,^,k8s.io/kubernetes/,'
}

# Upstream's build makes this file; Debian's package lacks it, for it ships the client only
generate_openapi() {
        local generated=pkg/generated/openapi
        [ ! -e $generated/zz_generated.openapi.go ] || return 0
        go build -p 1 -o "$work/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
        "$work/openapi-gen" --go-header-file /dev/null --output-file-base zz_generated.openapi \
                --output-base "$GOPATH/src" --output-package "k8s.io/kubernetes/$generated" \
                --report-filename /dev/null \
                --input-dirs "$(described_packages | paste -sd ,)"
}

build() {
        export GOPATH=$work/go GOROOT=$work/tools/usr/lib/go-1.19 GOCACHE=$work/go-cache
        export GO111MODULE=off CGO_ENABLED=0 GOFLAGS='' GOTMPDIR=$work
        export PATH=$GOROOT/bin:$PATH
        rm -rf "$work"
        mkdir -p "$work" "$GOPATH"
        prepare_apt
        install_missing
        unpack_tools
        fetch_source
        cd "$GOPATH/src/k8s.io/kubernetes"
        generate_openapi
        mkdir -p "$work/result"
        go build -p "${NODECRYPTOR_JOBS:-1}" -trimpath -o "$work/result/" \
                -ldflags "-s -w $(version_flags)" ./cmd/kube-apiserver
        cp "$work/tools/usr/bin/etcd" "$work/result/"
        rm -rf "$stored"
        mv "$work/result" "$stored"
        chmod -R u+w "$work"
        rm -rf "$work"
}

# What the git tree would have told
version_flags() {
        local package
        for package in component-base/version client-go/pkg/version; do
                package=k8s.io/kubernetes/vendor/k8s.io/$package
                echo "-X $package.gitVersion=v1.20.2 -X $package.gitMajor=1 -X $package.gitMinor=20"
        done | paste -sd ' '
}

built() {
        [ -x "$stored/kube-apiserver" ] && [ -x "$stored/etcd" ]
}

case ${1:-} in
--cached)
        built || die "not built yet: $stored"
        ;;
--build)
        # A process of its own: set -e does not hold within a condition
        build
        exit
        ;;
*)
        mkdir -p "$cache"
        exec 9>"$cache/kube-apiserver.lock"
        flock 9
        built || "${BASH_SOURCE[0]}" --build >"$log" 2>&1 </dev/null 9>&- || {
                tail -n 30 "$log" >&2
                die "kube-apiserver could not be built: $log"
        }
        ;;
esac
echo "$stored"
