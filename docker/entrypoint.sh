#!/bin/sh
# Starts chronon-run with the arguments of the container. A user id without a name gets one, for this process and what it
# starts: Hadoop's login fails without a name.
set -eu
if ! getent passwd "$(id -u)" >/dev/null; then
    names=$(mktemp -d)
    echo "chronon:x:$(id -u):$(id -g)::${HOME:-/tmp}:/bin/sh" >"$names/passwd"
    cp /etc/group "$names/group"
    library=$(find /usr/lib -name libnss_wrapper.so | head -n 1)
    export LD_PRELOAD="$library" NSS_WRAPPER_PASSWD="$names/passwd" NSS_WRAPPER_GROUP="$names/group"
fi
exec chronon-run "$@"
