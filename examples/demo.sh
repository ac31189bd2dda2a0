#!/usr/bin/env bash
# What `make demo` runs: a real training job on this machine, from submit to results. No SSH, no root, no settings.
#
#     examples/demo.sh [FOLDER]      FOLDER gets the results; default: demo-results/digits-JOB in this checkout
#
# The exit status is the job's own. Nothing is left running: the worker that the demo started is ended with it.
# Left on disk: the job in ~/.ml/local, and FOLDER.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${DEMO_PYTHON:-$PWD/.venv/bin/python}
base=$HOME/.ml/local
scratch=$(mktemp -d)
folder=${1:-}
job=""
ours=""

# The embedded default, whatever the user has configured: this profile names no host.
printf '[cli]\nverbose = false\n' >"$scratch/profile.toml"
export CLI_CONFIG=$scratch/profile.toml
unset FETCHML_CONFIG

say() { printf '\n%s\n' "$*"; }
ml() { "$python" -m fetchml_cli "$@"; }
show() {
  say "\$ ml $*"
  ml "$@"
}
# One value of the JSON object on standard input: a Python expression over `it`.
value() { "$python" -c 'import json, sys; it = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"; }
others='sum(not job["final"] for job in it["jobs"])'
sandbox='"a hardened Podman container" if it["worker"]["launcher"] == "podman" else "none: " + "; ".join(it["worker"]["notes"])'

end_worker() {
  if [[ -z $ours ]]; then
    say "the worker ran before this demo and goes on"
  elif [[ $(ml status --json | value "$others") != 0 ]]; then
    say "other jobs of yours are not finished: the worker goes on, and ends after a minute without work"
  else
    "$python" -m fetchml_core.worker.main stop --base "$base"
    say "the worker has ended; nothing is left running"
  fi
}

interrupted() {
  trap '' INT TERM
  if [[ -n $job ]]; then
    ml cancel --now --reason "the demo was interrupted" "$job" || true
    ml wait "$job" || true
  fi
  end_worker || true
  exit 130
}

trap 'rm -rf "$scratch"' EXIT
trap interrupted INT TERM

alive=$(ml status --json | value 'it["worker"]["alive"]')
[[ $alive == True ]] || ours=yes

say "\$ ml submit --quiet examples/digits"
job=$(ml submit --quiet examples/digits)
echo "$job"

status=0
show logs --follow --exit-status job "$job" || status=$?
[[ $status != 130 ]] || interrupted
# Asked now, while the worker is there to tell.
where=$(ml show --json "$job" | value "$sandbox")
show status
show show "$job"
show pull "$job" "${folder:=demo-results/digits-$job}" || true

end_worker
show status "$job"
say "sandbox  ${where}"
echo "results  $(realpath "$folder")"
exit "$status"
