#!/bin/bash
# lib.sh - what quickstart and stack share: where the broker's jars are, and who has a port. Sourced.
export LC_ALL=C.UTF-8 # Java takes a path's bytes by it

KAFKA_VERSION=4.2.0
CACHE=${OFFPATH_CACHE:-${HOME:+$HOME/.cache/offpath}}
JARS=$CACHE/kafka-$KAFKA_VERSION

# Rows of this port, its states and sockets. Without IPv6 there is one file less.
port_rows() # PORT
{
    local hex
    printf -v hex ':%04X' "$1"
    cat /proc/net/tcp /proc/net/tcp6 2> /dev/null |
        awk -v p="$hex" 'substr($2, length($2) - 4) == p {print $4, $10}'
}

port_is_taken() # PORT: anything but a connection that is over (06) keeps it from us
{
    [ -n "$(port_rows "$1" | grep -v '^06')" ]
}

port_sockets() # PORT: of who listens there, as /proc/PID/fd shows them
{
    port_rows "$1" | awk '$1 == "0A" {print "socket:[" $2 "]"}'
}
