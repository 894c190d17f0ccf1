#!/bin/bash
# The default recipe against AdamW at lr 4e-4, constant after warm-up, 10 windows a step, on TinyStories: the same model, the
# same budget of time, paired seeds. Losses of the first two rows are in nats over the same ids; bits per byte compare all.
# Usage: runs/recipe.sh DATA TOKENIZER [SECONDS] [SEEDS...]      AUTOANE: the program
set -euo pipefail
data=$1 tokenizer=$2 seconds=${3:-120}
shift $(($# < 3 ? $# : 3))
seeds=("${@:-1}")
[[ ${#seeds[@]} -gt 1 ]] || seeds=(1 2 3)
autoane=${AUTOANE:-autoane}
out=${OUT:-runs/recipe}
mkdir -p "$out"

train() { # name, seed, arguments...
  local name=$1 seed=$2
  shift 2
  "$autoane" train "$@" --data "$data" --max-time "${seconds}s" --seed "$seed" --save-every never --sample-every never \
    --eval-every never --out "$out/$name-$seed" --overwrite --json -q >"$out/$name-$seed.json"
}

for seed in "${seeds[@]}"; do
  train default "$seed" stories-36m --tokenizer "$tokenizer"
  train constant "$seed" stories-36m --tokenizer "$tokenizer" --batch-size 10 --learning-rate 4e-4 --schedule constant --warmup 10
done
train auto "${seeds[0]}"

python3 - "$out" "${seeds[@]}" <<'P'
import json, statistics as st, sys
out, seeds = sys.argv[1], sys.argv[2:]
print("| recipe | seed | steps | tokens | val loss (nats) | bits per byte |\n|---|---|---|---|---|---|")
rows = {}
for name in ("constant", "default", "auto"):
    for seed in seeds if name != "auto" else seeds[:1]:
        d = json.load(open(f"{out}/{name}-{seed}.json"))
        rows.setdefault(name, []).append(d)
        print(f"| {name} | {seed} | {d['steps']} | {d['tokens']} | {d['val_loss']:.4f} ± {d['val_loss_se']:.4f} | {d['val_bpb']:.4f} |")
for name, key in (("default", "val_loss"), ("auto", "val_bpb")):
    diff = [a[key] - b[key] for a, b in zip(rows[name], rows["constant"])]
    print(f"{name} - constant, {key}: mean {st.mean(diff):+.4f}, paired differences {[round(x, 4) for x in diff]}")
P
