#!/bin/sh
# A MeZO step of all weights of SmolLM2-135M's shape, one window of 128 tokens, against PyTorch, alternated.
# usage: PEER=python-with-torch runs/mezo-speed.sh [ROUNDS]; needs the peers' scripts in ../shared/peers
set -eu
cd "$(dirname "$0")/.."
program=${PROGRAM:-target/release/autoane}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$PEER" -c "
import random, struct, sys
random.seed(1)
open(sys.argv[1], 'wb').write(b''.join(struct.pack('<H', random.randrange(49152)) for _ in range(40000)))" "$work/tokens.bin"
ours() {
    "$program" train smollm2-135m --data "$work/tokens.bin" --vocab-size 49152 --no-compact-vocab --val-fraction 0 --seq-len 128 \
        --batch-size 1 --method mezo --zo-distribution "$1" --steps 20 --threads 2 --save-every never --sample-every never \
        --out "$work/run" --overwrite --json -q | "$PEER" -c "
import json, sys
d = json.load(sys.stdin)
print('autoane $1: %.0f ms a step, %.0f ms a forward pass, ratio %.2f, peak %.0f MiB'
      % (d['ms_per_step'], d['forward_ms'], d['ms_per_step'] / d['forward_ms'], d['peak_rss_bytes'] / 2**20))"
}
for _ in $(seq "${1:-2}"); do
    "$PEER" ../shared/peers/mezo_torch.py full 49152 128
    ours rademacher
    ours gaussian
done
