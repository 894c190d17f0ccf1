#!/bin/bash
# Prompt and decoding tokens/s against llama.cpp on the same GGUF files: alternated, medians of the ratios.
# Usage: runs/decode-speed.sh ROUNDS MODEL.gguf...     AUTOANE: the program; PP, TG: tokens of prompt and decoding; RUN: a
# prefix for both programs, such as "nice -n -10" on a machine that is shared
set -euo pipefail
rounds=$1
shift
autoane=${AUTOANE:-autoane} pp=${PP:-256} tg=${TG:-64} run=${RUN:-}
here=$(cd "$(dirname "$0")/.." && pwd)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
one() { # who: reads the program's JSON
  python3 -c '
import json, sys
d = json.load(sys.stdin)
print(sys.argv[1], sys.argv[2], d["prompt_tokens_per_second"], d["decode_tokens_per_second"], d.get("uncached_tokens_per_second", 0))' "$@"
}
for round in $(seq "$rounds"); do
  for model in "$@"; do
    $run "$autoane" bench "$model" --decode --prompt-tokens "$pp" --max-tokens "$tg" --threads 2 --max-time 2s --json -q | one ours "$model"
    $run "$here/xtask/llamacpp.sh" speed "$model" --pp "$pp" --tg "$tg" --threads 2 --repeat 3 2>/dev/null | one theirs "$model"
  done
done | tee "$log"
python3 - "$log" <<'P'
import os, statistics as st, sys
rows = {}
for line in open(sys.argv[1]):
    who, model, *values = line.split()
    rows.setdefault(model, {"ours": [], "theirs": []})[who].append([float(v) for v in values])
print("| model | prompt tokens/s, ours and llama.cpp's | ratio | decode tokens/s, ours and llama.cpp's | ratio | decode over a full forward |\n|---|---|---|---|---|---|")
for model, r in rows.items():
    middle = lambda who, i: st.median(v[i] for v in r[who])
    ratio = lambda i: st.median(a[i] / b[i] for a, b in zip(r["ours"], r["theirs"]))
    forward = st.median(v[1] / v[2] for v in r["ours"])
    print(f"| {os.path.basename(model)} | {middle('ours', 0):.0f}, {middle('theirs', 0):.0f} | {ratio(0):.2f} | {middle('ours', 1):.1f}, {middle('theirs', 1):.1f} | {ratio(1):.2f} | {forward:.1f} |")
P
