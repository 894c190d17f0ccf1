#!/bin/bash
# A training step of stories-36m over 16,893 ids, seq 128, 10 windows a step, two threads, against PyTorch: alternated, medians.
# Usage: runs/speed.sh PYTHON TRAIN_TORCH.PY [ROUNDS]     AUTOANE: the program; the script of the peer prints one JSON line
set -euo pipefail
python=$1 peer=$2 rounds=${3:-3}
autoane=${AUTOANE:-autoane}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 - "$work/tokens.bin" <<'P'
import random, struct, sys
random.seed(0)
ids = list(range(16893)) + [random.randrange(16893) for _ in range(200000)]
open(sys.argv[1], "wb").write(struct.pack(f"<{len(ids)}H", *ids))
P
export MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=8589934592 MALLOC_TOP_PAD_=268435456
ours() { # windows a pass, passes a step
  "$autoane" train stories-36m --data "$work/tokens.bin" --vocab-size 16893 --steps 12 --val-fraction 0 --threads 2 \
    --batch-size "$1" --accumulate "$2" --sample-every never --save-every never --out "$work/run" --overwrite --json -q >/dev/null
  python3 - "$work/run" <<'P'
import json, os, statistics as st, sys
steps = [json.loads(l) for l in open(sys.argv[1] + "/events.jsonl") if '"type":"step"' in l]
rss = json.load(open(sys.argv[1] + "/efficiency.json"))["peak_rss_bytes"]
print(round(st.median(s["tokens_per_second"] for s in steps[2:]), 1), round(rss / 1048576))
P
}
theirs() { "$python" "$peer" autoresearch "$@" --steps 10 --threads 2 | python3 -c "import json,sys; d=json.loads(sys.stdin.readlines()[-1]); print(d['tok_s'], d['rss_mb'])"; }
for round in $(seq "$rounds"); do
  echo "round $round ours-10x1 $(ours 10 1)"
  echo "round $round torch-eager-10x1 $(theirs 10 1)"
  echo "round $round torch-compile-10x1 $(theirs 10 1 --compile || echo failed)"
  echo "round $round torch-eager-1x10 $(theirs 1 10)"
done | tee "$work/log"
python3 - "$work/log" <<'P'
import statistics as st, sys
rows = {}
for line in open(sys.argv[1]):
    _, _, name, *rest = line.split()
    if len(rest) == 2:
        rows.setdefault(name, []).append([float(x) for x in rest])
print("| program | tokens/s (median) | peak MiB |\n|---|---|---|")
for name, values in rows.items():
    print(f"| {name} | {st.median(v[0] for v in values):.0f} | {st.median(v[1] for v in values):.0f} |")
P
