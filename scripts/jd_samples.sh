#!/usr/bin/env bash
# The table of the README: both presets on the two public JD samples, beside recency and popularity.
#   scripts/jd_samples.sh FOLDER_WITH_appliances.txt_AND_computers.txt OUT
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
    run hup prepare "$data/$name.txt" --format jd --out "$name" --overwrite
    for preset in paper authors; do
        cut=()
        # Their cut is the first 40 events of Appliances sessions, and the first 30 of Computers sessions.
        if [ "$name-$preset" = computers-authors ]; then
            cut=(--set sessions.min_events=30 --set sessions.max_events=30)
        fi
        run hup train "$name" --preset "$preset" --out "$name-$preset" --threads 1 --overwrite "${cut[@]}"
        run hup evaluate "$name-$preset" "$name" --json "$name-$preset.json"
    done
done
