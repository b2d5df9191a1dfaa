#!/usr/bin/env bash
# The whole experiment of the paper and its report: every model on the two public JD samples (where a folder holds them)
# and on a simulated shop with three category levels, the trade-off of Figure 6, learning curves, a case of Figure 5.
#   scripts/report.sh OUT [FOLDER_WITH_appliances.txt_AND_computers.txt]
# What is finished is not run again: an interrupted run goes on with the same command. To be set, where wanted: SEEDS (3),
# TUNING (3 settings of every model, tried on validation), JOBS (2), SIZES (training sessions of the simulated shop; the
# last is its table), SIMULATED_SEEDS (as SEEDS), MODELS, to have fewer rows, SETTINGS, keys of HUP, and TABLES, files
# of event tables as FILE or FILE=MAPPING, on which the preset best as it is stands beside the mixtures with recency.
#   SEEDS=5 JOBS=8 TABLES=../data/events.csv=rees46 scripts/report.sh report ../data/jd
set -euo pipefail
if [ $# -lt 1 ] || [ $# -gt 2 ]; then
    echo "usage: scripts/report.sh OUT [DATA]" >&2
    exit 2
fi
data=${2:+$(cd "$2" && pwd)}
tables=()
for table in ${TABLES:-}; do
    file=${table%%=*} mapping=${table#"${table%%=*}"}
    mapping=${mapping#=}
    if [ ! -f "$file" ]; then
        echo "TABLES names $file, which is no file; expected FILE or FILE=MAPPING, for example events.csv=rees46" >&2
        exit 2
    fi
    [ ! -f "$mapping" ] || mapping=$(realpath "$mapping")
    tables+=("$(realpath "$file")=$mapping")
done
mkdir -p "$1"
cd "$1"
seeds=${SEEDS:-3} simulated_seeds=${SIMULATED_SEEDS:-${SEEDS:-3}} tuning=${TUNING:-3} jobs=${JOBS:-2}
models=(${MODELS:+--models "$MODELS"})
read -ra sizes <<<"${SIZES:-500 2000 8000}"
settings=()
for setting in ${SETTINGS:-}; do settings+=(--set "$setting"); done

run() {
    printf '\n$ %s\n' "$*"
    "$@"
}

# A simulated log of $1 training sessions, with 600 for validation and 2,400 to test on, whatever the size of training.
simulated() {
    local name="simulated-$1" total=$(($1 + 3000)) shares
    [ -d "$name" ] && return
    shares=$(awk -v t="$total" -v n="$1" 'BEGIN { printf "%.9f,%.9f,%.9f", n / t, 600 / t, 2400 / t }')
    run hup simulate --out "$name.txt" --sessions "$total" --items 1500 --levels 3 --mean-events 14 --format jd --seed 7 \
        --overwrite
    run hup prepare "$name.txt" --format jd --out "$name" --shares "$shares"
}

parts=best-no-repeat,best-no-memory,best-no-profile
ingredients=hup-best,$parts,best-no-similar,best-no-reranking,best-no-prefixes,best-no-micro,best-no-category-levels,best-gru,recency
runs=() ablated=() shown=() curves=()
if [ -n "$data" ]; then
    for name in appliances computers; do
        [ -d "$name" ] || run hup prepare "$data/$name.txt" --format jd --out "$name"
        run hup compare "$name" "${models[@]}" "${settings[@]}" --presets paper,authors,best --seeds "$seeds" --tuning "$tuning" \
            --jobs "$jobs" --label "JD ${name^}, sample of 1,000 sessions" --out "$name-run"
        runs+=("$name-run")
        # What each ingredient of the preset best is worth, as it is, without tuning.
        run hup compare "$name" --models "$ingredients" "${settings[@]}" --seeds "$seeds" --tuning 1 --jobs "$jobs" \
            --label "Ingredients of best, JD ${name^}" --out "$name-best-run"
        ablated+=("$name-best-run" --paper "$name-best-run=none")
    done
    main=appliances
else
    main=simulated-${sizes[-1]}
fi

others=${MODELS:-hup-best,recency,slist+recency,vsknn+recency,stan+item-knn+recency}
for table in "${tables[@]}"; do
    file=${table%%=*} mapping=${table#*=}
    name=$(basename "${file%%.*}")
    [ -d "$name" ] || run hup prepare "$file" ${mapping:+--map "$mapping"} --out "$name"
    run hup compare "$name" --models "$others" "${settings[@]}" --seeds "$seeds" --tuning 1 --jobs "$jobs" --label "$name" \
        --out "$name-run"
    runs+=("$name-run")
done

# The curve needs HUP, its variants, the parts of best and the bar; the table of the largest shop has every row.
variants=${MODELS:-hup-best,$parts,hup,hup-nomicro,hup-lstm,hup-tlstm,hup-noatt,hup-single,recency,popularity}
for size in "${sizes[@]}"; do
    simulated "$size"
    if [ "$size" = "${sizes[-1]}" ]; then
        rows=("${models[@]}")
        run hup compare "simulated-$size" --models "${MODELS:-hup-best,$parts}" "${settings[@]}" --seeds "$simulated_seeds" \
            --tuning 1 --jobs "$jobs" --label "SIMULATED shop, $size training sessions" --out "simulated-$size-run"
    else
        rows=(--models "$variants")
    fi
    run hup compare "simulated-$size" "${rows[@]}" "${settings[@]}" --seeds "$simulated_seeds" --tuning 1 --jobs "$jobs" \
        --label "SIMULATED shop, $size training sessions" --out "simulated-$size-run"
    curves+=(--curve "simulated-$size-run")
done
runs+=("simulated-${sizes[-1]}-run")

run hup sweep "$main" "${settings[@]}" --seeds 1 --jobs "$jobs" --label "Trade-off on $main" --out "$main-sweep"

# Micro attention means something only where the micro level had a loss.
[ -f "$main-micro/config.json" ] || run hup train "$main" --preset paper "${settings[@]}" --set loss.lambda_micro=0.2 \
    --set loss.lambda_item=0.4 --set loss.lambda_category=0.4 --out "$main-micro"
for model in rib hup-tlstm hup-best; do
    [ -d "$main-run/models/$model/seed-0" ] && shown+=(--explain "$main-run/models/$model/seed-0")
done
shown+=(--explain "$main-micro")

run hup report "${runs[@]}" "${ablated[@]}" --sweep "$main-sweep" "${curves[@]}" "${shown[@]}" --out report.html --markdown report.md
