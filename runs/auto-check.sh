#!/bin/bash
# The rung that `auto` takes against its neighbours: validation bits per byte of each rung for each budget and corpus.
# Usage: runs/auto-check.sh "60 120 300" "stories FILE ..." "stories-1m stories-2m ..."     AUTOANE: the program
set -euo pipefail
budgets=${1:-60 120 300} corpora=${2:-stories} rungs=${3:-stories-1m stories-2m stories-4m}
autoane=${AUTOANE:-autoane}
out=${OUT:-runs/auto-check}
mkdir -p "$out"
echo "| corpus | seconds | rung | tokens | bits per byte |"
echo "|---|---|---|---|---|"
for data in $corpora; do
  name=$(basename "$data" | cut -d. -f1)
  for seconds in $budgets; do
    for rung in $rungs; do
      run=$out/$name-$seconds-$rung
      "$autoane" train "$rung" --data "$data" --max-time "${seconds}s" --eval-every never --save-every never --sample-every never \
        --out "$run" --overwrite --json -q >"$run.json"
      python3 - "$name" "$seconds" "$rung" "$run.json" <<'P'
import json, sys
name, seconds, rung, file = sys.argv[1:]
d = json.load(open(file))
print(f"| {name} | {seconds} | {rung} | {d['tokens']} | {d['val_bpb']:.4f} |")
P
    done
  done
done
