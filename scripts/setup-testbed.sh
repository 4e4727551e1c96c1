#!/usr/bin/env bash
# Installs the system packages that the testbed (tests/testbed) stands on. Quick when they are there.
set -euo pipefail
PATH="$PATH:/usr/sbin:/sbin" # where a user's shell does not look

packages=(docker.io iptables docker-registry apache2-utils mmdebstrap iproute2 util-linux)
programs=(dockerd iptables docker-registry htpasswd mmdebstrap ip unshare nsenter setpriv)

missing=()
for program in "${programs[@]}"; do
    command -v "$program" >/dev/null || missing+=("$program")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(uname -s)" != Linux ]; then
    echo "The testbed needs Linux; on another system, run it in a Debian virtual machine." >&2
    exit 3
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "Missing: ${missing[*]}. On Debian or Ubuntu, type:" >&2
    echo "    sudo apt-get update && sudo apt-get install -y --no-install-recommends ${packages[*]}" >&2
    exit 3
fi

# A service that a package starts is none of ours: keep the machine as it was.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${packages[@]}" >&2
