#!/usr/bin/env bash
# Every benchmark at a size that a laptop finishes in a minute or two. Full sizes: python benchmarks/NAME.py --help
set -euo pipefail
cd "$(dirname "$0")/.."

for benchmark in benchmarks/*.py; do
    case $(basename "$benchmark" .py) in
        behavior_lstm) size=(--rounds 10) ;;
        evaluate_throughput) size=(--items 50000 --sessions 500) ;;
        prepare_tables) size=(--events 200000 1000000) ;;
        prepare_throughput) size=(--events 500000) ;;
        simulate_throughput) size=(--events 500000) ;;
        train_throughput) size=(--sessions 1000 --items 4000 --epochs 2) ;;
        fit_throughput) size=(--sessions 1000 --items 500) ;;
        train_processes) size=(--sessions 600 --items 500 --epochs 2) ;;
        mixture_scale) size=(--items 2000 40000 --steps 3) ;;
        serve) size=(--users 200 --seconds 2) ;;
        warm_start) size=(--sessions 600 --set training.epochs=4) ;;
        *) size=() ;;
    esac
    printf '\n$ python %s %s\n' "$benchmark" "${size[*]}"
    python "$benchmark" "${size[@]}"
done
