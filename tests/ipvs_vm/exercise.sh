# What the parts have in common that drive the exerciser: its process, and asking it.

start() { # [NAMESPACE]
    coproc EXERCISER { "$IPVS_EXERCISER" "$@" 2>&1; }
    exerciser=$EXERCISER_PID
    said=/run/said
}

# ask WORDS...: one order; what it reports is in $said, how long it took in $took (milliseconds).
ask() {
    echo "$*" >&"${EXERCISER[1]}"
    : >$said
    while read -r line <&"${EXERCISER[0]}"; do
        case $line in done\ *) took=${line#done }; return 0 ;; *) echo "$line" >>$said ;; esac
    done
    cat $said
    return 1
}

# quit: as `finish`, and waits for the end of the process.
quit() {
    ask finish
    wait "$exerciser"
}

# leave: the process ends at once, and the table stays.
leave() {
    kill -9 "$exerciser"
    wait "$exerciser" 2>/dev/null || true
}

# dump FILE: the whole kernel's table, to the last attribute.
dump() { ask dump && cp $said "$1"; }
