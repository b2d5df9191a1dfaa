#!/usr/bin/env bash
# The main job, from a click log to recommendations, on a simulated shop. Every command is shown before it runs.
#   scripts/demo.sh [FOLDER]     FOLDER (default: demo) is made, and may be there from an earlier run
set -euo pipefail
folder=${1:-demo}

bold='' plain=''
if [ -t 1 ]; then bold=$'\e[1m' plain=$'\e[0m'; fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
run() {
    printf '\n%s$ %s%s\n' "$bold" "$*" "$plain"
    "$@"
}

mkdir -p "$folder"
cd "$folder"

say "HUP demo, in the folder $PWD"
echo "The click log here is SIMULATED: its users, items and figures are made up, and say nothing about a real shop."

say "1 of 5: a click log of a shop with three category levels"
run hup simulate --out clicks.txt --sessions 3000 --items 600 --levels 3 --format jd --seed 7 --overwrite

say "2 of 5: from the log to a dataset"
run hup prepare clicks.txt --format jd --out dataset --overwrite

say "3 of 5: train on the first 70 % of the sessions"
run hup train dataset --preset best --out model --epochs 2 --seed 1 --overwrite

say "4 of 5: evaluate on the last 20 %, beside two rows that need no training"
run hup evaluate model dataset --json metrics.json

say "5 of 5: recommend for one session, items and categories"
printf '\n%s$ tail -n 1 clicks.txt > session.txt%s\n' "$bold" "$plain"
tail -n 1 clicks.txt >session.txt
run hup recommend model --session session.txt --level all -k 5

say "Now with your own log"
cat <<EOT
A line is a session; its tokens are item+behavior+category+interval+dwell (seconds), separated by spaces:

    1042+5+phones/android+12+40 1042+6+phones/android+28+40 977+5+phones/cases+9+9

Behaviors are the codes 1 to 10 of the README's table. Then:

    source $(dirname "$(command -v hup)")/activate
    hup prepare YOUR_LOG.txt --format jd --out my-dataset
    hup info my-dataset
    hup train my-dataset --preset best --out my-model
    hup evaluate my-model my-dataset
    tail -n 1 YOUR_LOG.txt | hup recommend my-model --session - --level all -k 10

hup COMMAND --help says what else each can do.
EOT
