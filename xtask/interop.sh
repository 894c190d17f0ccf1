#!/bin/bash
# What other programs make of our files: transformers, tokenizers and TensorBoard read what the binary wrote.
# Usage: xtask/interop.sh [BINARY] (default: target/release/autoane). Exit 3: the other programs cannot be installed.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
binary=${1:-${CARGO_TARGET_DIR:-$root/target}/release/autoane}
[[ -x $binary ]] || { echo "interop: no binary at $binary: run cargo build --release" >&2; exit 2; }
python=$("$root/xtask/peers.sh") || exit 3
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
"$python" "$root/xtask/interop.py" run "$binary"
"$python" "$root/xtask/interop_formats.py" run "$binary"
if model=$("$root/xtask/smollm2.sh"); then
  exec "$python" "$root/xtask/interop_formats.py" real "$binary" "$model"
fi
echo "SKIPPED: a real model against llama.cpp: SmolLM2-135M-Instruct cannot be had (reason above)"
