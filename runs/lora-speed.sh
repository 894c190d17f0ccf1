#!/bin/bash
# LoRA (rank 8, all matrices) of a released model by backpropagation, 4 windows of 128 tokens a step, two threads, against PyTorch with
# peft: the same adapter, the same windows, alternated; losses compared, medians of speed.
# Usage: runs/lora-speed.sh PYTHON MODEL-FOLDER [ROUNDS] [FLAGS, as --lora-form dora]     AUTOANE: the program
set -euo pipefail
python=$1 model=$2 rounds=${3:-3} flags=("${@:4}")
autoane=${AUTOANE:-autoane}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$autoane" data stories --stories 200 >"$work/text.txt"
"$python" - "$model" "$work" <<'P'
import struct, sys
from tokenizers import Tokenizer
ids = Tokenizer.from_file(sys.argv[1] + "/tokenizer.json").encode(open(sys.argv[2] + "/text.txt").read()).ids
open(sys.argv[2] + "/tokens.bin", "wb").write(struct.pack(f"<{len(ids)}H", *ids))
P
# PyTorch is faster where the allocator gives nothing back; ours runs as everybody runs it
peer_allocator=(MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=8589934592 MALLOC_TOP_PAD_=268435456)
ours() { # run, flags...
  local out=$work/$1
  shift
  "$autoane" train "$model" --lora --data "$work/tokens.bin" --data-order sequential --val-fraction 0 --seq-len 128 --batch-size 4 \
    --learning-rate 1e-3 --schedule constant --warmup 0 --threads 2 --sample-every never --out "$out" --overwrite --json -q ${flags[@]+"${flags[@]}"} "$@" >/dev/null
}
ours first --steps 1
report() {
  python3 - "$work/run" <<'P'
import json, statistics as st, sys
steps = [json.loads(l) for l in open(sys.argv[1] + "/events.jsonl") if '"type":"step"' in l]
rss = json.load(open(sys.argv[1] + "/efficiency.json"))["peak_rss_bytes"]
print(json.dumps({"losses": [s["loss"] for s in steps], "tok_s": st.median(s["tokens_per_second"] for s in steps[2:]), "rss_mb": rss / 1048576}))
P
}
for round in $(seq "$rounds"); do
  ours run --steps 8 --save-every never
  report >"$work/ours-$round.json"
  env "${peer_allocator[@]}" "$python" xtask/lora_peer.py "$model" "$work/first/checkpoints/last/adapter" "$work/tokens.bin" >"$work/peft-$round.json"
done
python3 - "$work" "$rounds" <<'P'
import json, statistics as st, sys
work, rounds = sys.argv[1], int(sys.argv[2])
runs = {who: [json.load(open(f"{work}/{who}-{r}.json")) for r in range(1, rounds + 1)] for who in ("ours", "peft")}
print("| program | tokens/s | peak MiB |\n|---|---|---|")
for who, all in runs.items():
    print(f"| {who} | {st.median(r['tok_s'] for r in all):.0f} | {st.median(r['rss_mb'] for r in all):.0f} |")
worst = max(abs(a - b) for a, b in zip(runs["ours"][0]["losses"], runs["peft"][0]["losses"]))
print(f"\nlosses of eight steps differ by at most {worst:.1e} nats; ours {runs['ours'][0]['losses'][0]:.4f} ... {runs['ours'][0]['losses'][-1]:.4f}")
P
