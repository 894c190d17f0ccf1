#!/bin/bash
# Fine-tuning a released model with a LoRA adapter for the same seconds: by backpropagation, and from losses alone. Seconds are
# turned into steps once, by the fastest steps of each method, so that what else the machine does changes nothing. The
# learning rate of each method is the best of the same grid on a seed of its own, in half the time; the methods shown are
# backpropagation, MeZO and the best three others, over paired seeds.
# Usage: runs/zo-table.sh MODEL TEXT [SECONDS] [SEEDS]     AUTOANE: the program   OUT: folder of the runs
set -euo pipefail
model=$1 text=$2 seconds=${3:-40} seeds=${4:-5}
autoane=${AUTOANE:-autoane}
out=${OUT:-runs/zo-table}
methods="backprop mezo fzoo sparse-mezo hizoo lozo conmezo"
grid="1e-5 1e-4 1e-3 1e-2"
mkdir -p "$out"
[[ -e $out/data ]] || "$autoane" data tokenize "$text" --tokenizer "$model" --out "$out/data" -q
run() { # name, method, learning rate, seed, steps
  [[ -s $out/$1.json ]] && return
  local sgd=()
  [[ $2 == backprop ]] || sgd=(--optimizer sgd)
  [[ $2 != fzoo ]] || sgd+=(--zo-directions 4)
  "$autoane" train "$model" --data "$out/data" --lora --method "$2" "${sgd[@]}" --learning-rate "$3" --seed "$4" --steps "$5" --seq-len 128 \
    --batch-size 4 --val-tokens 8192 --eval-every never --save-every never --sample-every never --out "$out/$1" --overwrite --json -q \
    >"$out/$1.json" || echo "{\"status\": \"failed\", \"val_loss\": null}" >"$out/$1.json"
  rm -rf "$out/$1/checkpoints" # half a gigabyte each
}
for method in $methods; do run "speed-$method" "$method" 1e-6 1 5; done
steps() { # method, seconds
  python3 - "$out/speed-$1/events.jsonl" "$2" <<'P'
import json, sys
at = [0.0] + [e["seconds"] for e in map(json.loads, open(sys.argv[1])) if e["type"] == "step"]
print(max(2, int(float(sys.argv[2]) / min(b - a for a, b in zip(at, at[1:])))))
P
}
best() { # method -> the learning rate with the lowest validation loss, and that loss
  python3 - "$out" "$1" $grid <<'P'
import json, sys
out, method, grid = sys.argv[1], sys.argv[2], sys.argv[3:]
loss = {lr: json.load(open(f"{out}/tune-{method}-{lr}.json"))["val_loss"] for lr in grid}
lr = min(grid, key=lambda lr: float("inf") if loss[lr] is None else loss[lr])
print(lr, loss[lr])
P
}
for method in $methods; do
  for lr in $grid; do run "tune-$method-$lr" "$method" "$lr" 1000 "$(steps "$method" "$((seconds / 2))")"; done
done
others=$(for method in fzoo sparse-mezo hizoo lozo conmezo; do echo "$(best "$method") $method"; done | sort -g -k2 | head -3 | cut -d' ' -f3)
for seed in $(seq "$seeds"); do
  for method in backprop mezo $others; do
    read -r lr _ <<<"$(best "$method")"
    run "final-$method-$seed" "$method" "$lr" "$seed" "$(steps "$method" "$seconds")"
  done
done
python3 - "$out" "$seeds" backprop mezo $others <<'P'
import json, statistics as st, sys
out, seeds, methods = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
passes = {"backprop": 3, "fzoo": 5, "hizoo": 3}  # forward passes that a step costs, a backward pass counted as two
def run(method, seed):
    events = [json.loads(l) for l in open(f"{out}/final-{method}-{seed}/events.jsonl")]
    evals = [e["val_loss"] for e in events if e["type"] == "eval"]
    steps = [e for e in events if e["type"] == "step"]
    return evals[0], evals[-1], len(steps), steps[0]["lr"] and max(e["lr"] for e in steps)
T = {2: 12.71, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 8: 2.365}  # two-sided 95% of Student's t
def interval(values):
    return st.mean(values), T[len(values)] * st.stdev(values) / len(values) ** 0.5
runs = {m: [run(m, s) for s in range(1, seeds + 1)] for m in methods}
print(f"start: validation loss {runs['backprop'][0][0]:.4f}\n")
print("| method | learning rate | steps | forward passes | validation loss | lower than at the start by | above backpropagation by |")
print("|---|---|---|---|---|---|---|")
for m in methods:
    end, low = interval([r[1] for r in runs[m]]), interval([r[0] - r[1] for r in runs[m]])
    gap = interval([r[1] - b[1] for r, b in zip(runs[m], runs["backprop"])])
    steps = runs[m][0][2]
    above = "" if m == "backprop" else f"{gap[0]:.4f} ± {gap[1]:.4f}"
    print(f"| {m} | {runs[m][0][3]:.0e} | {steps} | {steps * passes.get(m, 2)} | {end[0]:.4f} ± {end[1]:.4f} | {low[0]:.4f} ± {low[1]:.4f} | {above} |")
P
