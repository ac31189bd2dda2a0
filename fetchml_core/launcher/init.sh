# The init of an attempt for images without Python: the twin of init.py, whose header describes the folder
# and its files. POSIX sh; beside the shell it needs cat, date, dd, env, ls, mv, rm, setsid and sync, which busybox
# and every distribution's base system have. Called as: sh init.sh CONTROL.
#
# What differs from init.py:
# * spec.sh instead of spec.json: shell assignments and the function run_job, every word quoted by the worker.
# * out: a FIFO, made by the worker, that carries the output to the pump.
# * A file of the log ends at a read, so it may be a little longer than its share (dd can count reads only).
# * SIGINT is passed on as SIGTERM: a shell starts background jobs with SIGINT ignored, and cannot undo that.
# * Of GPUs it opens the device files; a shell cannot ask CUDA.
# * An exit code from 129 to 192 is recorded as a signal: a shell cannot tell them apart. max_rss is not known.

control=$1
. "$control/spec.sh"  # version, attempt, log_limit, go_timeout, gpu_files, run_job
umask 077

# Kill every process but this one, the pump and the pump's child. Builtins only: at the pids limit nothing can fork.
kill_all() {
    left=1
    while [ "$left" ]; do
        left=
        for process in /proc/[0-9]*; do
            process=${process#/proc/}
            [ "$process" != 1 ] && [ "$process" != "$pump" ] || continue
            { read -r stat <"/proc/$process/stat"; } 2>/dev/null || continue
            set -- ${stat##*) }  # state, parent, …
            [ "$1" != Z ] && [ "$1" != X ] && [ "$2" != "$pump" ] || continue
            kill -KILL "$process" 2>/dev/null && left=1
        done
    done
}

oom_kills() {
    kills=
    for file in /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control; do
        [ -r "$file" ] || continue
        while read -r name value; do
            [ "$name" != oom_kill ] || kills=$value
        done <"$file"
    done
}

size_of() {
    set -- $(ls -ln "$1" 2>/dev/null)
    size=${5:-0}
}

# Move standard input to the log as it comes. Each turn of the loop is one dd: at most 64 reads, each written at once.
pump() {
    trap '' TERM INT QUIT
    part=$((log_limit / 8)) room=$((log_limit / 2)) block=65536
    [ "$part" -ge 1 ] || part=1
    [ "$block" -le "$part" ] || block=$part
    file=$control/log offset=0 length=0
    parts=
    : >"$file"
    while :; do
        count=$(((room - length) / block))
        [ "$count" -ge 1 ] || count=1
        [ "$count" -le 64 ] || count=64
        dd bs="$block" count="$count" >>"$file" 2>/dev/null || break
        size_of "$file"
        [ "$size" -gt "$length" ] || return 0  # the end
        length=$size
        [ "$length" -ge "$room" ] || continue
        offset=$((offset + length)) length=0 room=$part
        file=$control/log.$offset
        parts="$parts $offset"
        set -- $parts
        if [ $# -gt 4 ]; then
            rm -f "$control/log.$1"
            shift
            parts="$*"
        fi
        : >"$file"
    done
    exec cat >/dev/null  # the disk is full: the rest of the output is lost, the job goes on
}

# The whole length of the output, and what of it was dropped, from the names and sizes of the files.
measure_log() {
    size_of "$control/log"
    log_bytes=$size kept=$size
    for file in "$control"/log.[0-9]*; do
        [ -f "$file" ] || continue
        size_of "$file"
        kept=$((kept + size))
        end=$((${file##*.} + size))
        [ "$end" -le "$log_bytes" ] || log_bytes=$end
    done
    log_dropped=$((log_bytes - kept))
}

report_gpus() {
    found=
    for file in $gpu_files; do
        [ -e "$file" ] && [ ! -d "$file" ] || continue
        problem=
        (: <>"$file") 2>/dev/null || problem="it cannot be opened"
        found="$found${found:+, }\"$file\": \"$problem\""
    done
    printf '{"files": {%s}, "cuda": null}\n' "$found" >"$control/gpus.json.tmp" &&
        mv "$control/gpus.json.tmp" "$control/gpus.json"
}

wait_for_go() {
    exec 3<>"$control/go"
    trap 'exit 0' TERM INT QUIT
    (sleep "$go_timeout"; echo stop >&3) &
    read -r word <&3 || word=stop
    [ "$word" = go ] || exit 0
    pump=
    kill_all  # the timer
    started=$(date +%s)
    mv "$control/go" "$control/started"
    exec 3>&-
}

wait_for_job() {
    code=0
    again=1
    while [ "$again" ]; do  # a signal ends a wait early
        again=
        wait "$job"
        status=$?
        [ "$status" = 127 ] && [ "$code" != 0 ] || code=$status
    done
}

write_record() {
    signal=null
    if [ "$code" -gt 128 ] && [ "$code" -le 192 ]; then
        signal=$((code - 128))
        code_or_null=null
    else
        code_or_null=$code
    fi
    printf '{"version": %d, "attempt": %d, "code": %s, "signal": %s, "started": %d, "ended": %d, "oom": %s, "log_bytes": %d, "log_dropped": %d, "max_rss": null, "error": ""}\n' \
        "$version" "$attempt" "$code_or_null" "$signal" "$started" "$(date +%s)" "$oom" "$log_bytes" "$log_dropped" \
        >"$control/exit.json.tmp" || return
    sync "$control/exit.json.tmp" 2>/dev/null || sync
    mv "$control/exit.json.tmp" "$control/exit.json"
    sync "$control" 2>/dev/null || sync
}

[ -z "$gpu_files" ] || report_gpus
wait_for_go
oom_kills
kills_before=$kills

job=
# dash takes no -- before the group; there is no group yet where the job has not come to its setsid.
trap 'again=1; [ ! "$job" ] || kill -TERM "-$job" 2>/dev/null || kill -TERM "$job" 2>/dev/null' TERM INT
trap 'again=1; kill_all' QUIT
pump <"$control/out" &
pump=$!
(
    trap - TERM INT QUIT
    echo 500 >/proc/self/oom_score_adj
    run_job
) 2>"$control/out" >&2 </dev/null &
job=$!
wait_for_job
trap '' TERM INT QUIT
kill_all
wait "$pump"

measure_log
oom_kills
oom=null
if [ "$kills" ] && [ "$kills_before" ]; then
    oom=false
    [ "$kills" -le "$kills_before" ] || oom=true
fi
write_record
exit "$code"
