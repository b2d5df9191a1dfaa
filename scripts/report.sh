#!/usr/bin/env bash
# The whole experiment of the paper and its report: every model on the two public JD samples (where a folder holds them)
# and on a simulated shop, the trade-off of Figure 6, learning curves, a case of Figure 5. What is finished is not run
# again, so an interrupted run goes on with the same command.
#   scripts/report.sh OUT [FOLDER_WITH_appliances.txt_AND_computers.txt]
# SEEDS, TUNING and JOBS may be set: SEEDS=5 TUNING=6 JOBS=8 scripts/report.sh report ../data/jd
set -euo pipefail
if [ $# -lt 1 ] || [ $# -gt 2 ]; then
    echo "usage: scripts/report.sh OUT [DATA]" >&2
    exit 2
fi
data=${2:+$(cd "$2" && pwd)}
mkdir -p "$1"
cd "$1"
seeds=${SEEDS:-3} tuning=${TUNING:-3} jobs=${JOBS:-2}

run() {
    printf '\n$ %s\n' "$*"
    "$@"
}

# A simulated log of $2 training sessions, with 600 for validation and 2,400 to test on, whatever the size of training.
simulated() {
    local total=$(($2 + 3000))
    local shares
    shares=$(awk -v t="$total" -v n="$2" 'BEGIN { printf "%.9f,%.9f,%.9f", n / t, 600 / t, 2400 / t }')
    [ -d "$1" ] && return
    run hup simulate --out "$1.txt" --sessions "$total" --items 1500 --levels 3 --mean-events 14 --format jd --seed 7 --overwrite
    run hup prepare "$1.txt" --format jd --out "$1" --shares "$shares"
}

runs=() sweeps=() curves=() explain=()
if [ -n "$data" ]; then
    for name in appliances computers; do
        [ -d "$name" ] || run hup prepare "$data/$name.txt" --format jd --out "$name"
        run hup compare "$name" --presets paper,authors --seeds "$seeds" --tuning "$tuning" --jobs "$jobs" \
            --label "JD ${name^}, sample of 1,000 sessions" --out "$name-run"
        runs+=("$name-run")
    done
    run hup sweep appliances --seeds 1 --jobs "$jobs" --label "JD Appliances, sample of 1,000 sessions" --out appliances-sweep
    sweeps+=(--sweep appliances-sweep)
    explain+=(--explain appliances-run)
fi

variants=hup,hup-nomicro,hup-lstm,hup-tlstm,hup-noatt,hup-single,recency,popularity
for sessions in 500 2000 8000; do
    simulated "simulated-$sessions" "$sessions"
    run hup compare "simulated-$sessions" --models "$variants" --seeds 1 --tuning 1 --jobs "$jobs" \
        --label "SIMULATED shop, $sessions training sessions" --out "simulated-$sessions-run"
    curves+=(--curve "simulated-$sessions-run")
done
# The largest of them is the table's, with every model.
run hup compare simulated-8000 --seeds "$seeds" --tuning "$tuning" --jobs "$jobs" \
    --label "SIMULATED shop with three category levels" --out simulated-run
runs+=(simulated-run)

run hup report "${runs[@]}" "${sweeps[@]}" "${curves[@]}" --out report.html --markdown report.md
