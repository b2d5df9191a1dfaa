#!/usr/bin/env bash
# The simulated shop, live: a service with a small model, and users that shop in it. Ctrl-C stops all.
#   scripts/serve-demo.sh [--check] [FOLDER]
# FOLDER (default: demo/live) keeps log, dataset and model for the next time. PORT names another port than 8000.
# --check posts some events, reads them back, stops, and says by its exit code whether all went well.
set -euo pipefail
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
check=''
if [ "${1:-}" = --check ]; then check=1 && shift; fi
folder=${1:-demo/live}
sessions=${SESSIONS:-1500}
mkdir -p "$folder"
cd "$folder"

if [ ! -e model/config.json ] || ! hup info model >/dev/null 2>&1; then
    echo "A simulated shop is made, and a small model trained on it: half a minute, the first time only."
    hup simulate --out simulated.csv --format events --sessions "$sessions" --items 300 --levels 3 --mean-events 16 \
        --seed 7 --overwrite
    python "$scripts/named_shop.py" simulated.csv --log clicks.csv --items items.csv
    hup prepare clicks.csv --format events --items items.csv --out dataset --overwrite >prepare.txt
    hup train dataset --preset best --out model --epochs 1 --seed 1 --overwrite
fi

free_port() { python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
port=${PORT:-8000}
if [ -n "$check" ]; then port=$(free_port); fi
address=http://127.0.0.1:$port

started=() # the last one first
stop() {
    trap - EXIT INT TERM
    for id in "${started[@]}"; do kill -TERM "$id" 2>/dev/null || true; done
    for id in "${started[@]}"; do wait "$id" 2>/dev/null || true; done
}
trap stop EXIT
trap 'stop; exit 130' INT TERM

echo "The shop, its users and their names are SIMULATED. Nothing is kept when this ends. Ctrl-C stops all."
# A job in the background ignores Ctrl-C unless it has a process group of its own.
set -m
hup serve model --store memory: --port "$port" 2>service.log &
started=("$!" "${started[@]}")
play=(python "$scripts/play_sessions.py" clicks.csv dataset --service "$address")
if [ -n "$check" ]; then play+=(--events 10 --longest-wait 0.3); fi
"${play[@]}" &
started=("$!" "${started[@]}")
set +m

# Whichever of the two ends first, all ends.
status=0
wait -n || status=$?
if [ -z "$check" ] || [ "$status" != 0 ]; then
    echo "One part has ended, with code $status. What the service said last, in $PWD/service.log:" >&2
    tail -n 5 service.log >&2
    exit $((status ? status : 1))
fi
