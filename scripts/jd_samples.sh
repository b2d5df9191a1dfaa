#!/usr/bin/env bash
# The tables of the README: every model on the two public JD samples, tuned alike, under one protocol.
#   scripts/jd_samples.sh FOLDER_WITH_appliances.txt_AND_computers.txt OUT
# SEEDS (3), TUNING (3 settings of every model, tried on validation), JOBS (2) and MODELS (all) may be set. What is
# finished in OUT is not run again.
set -euo pipefail
if [ $# -ne 2 ]; then
    echo "usage: scripts/jd_samples.sh DATA OUT" >&2
    exit 2
fi
data=$(cd "$1" && pwd)
mkdir -p "$2"
cd "$2"

run() {
    printf '\n$ %s\n' "$*"
    "$@"
}

for name in appliances computers; do
    [ -d "$name" ] || run hup prepare "$data/$name.txt" --format jd --out "$name"
    run hup compare "$name" ${MODELS:+--models "$MODELS"} --presets paper,authors --seeds "${SEEDS:-3}" \
        --tuning "${TUNING:-3}" --jobs "${JOBS:-2}" --label "JD ${name^}, sample" --out "$name-run"
done
