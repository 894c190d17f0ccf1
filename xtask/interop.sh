#!/bin/bash
# What other programs make of our files: transformers, tokenizers and TensorBoard read what the binary wrote.
# Usage: xtask/interop.sh [BINARY] (default: target/release/autoane). Exit 3: the other programs cannot be installed.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
binary=${1:-${CARGO_TARGET_DIR:-$root/target}/release/autoane}
[[ -x $binary ]] || { echo "interop: no binary at $binary: run cargo build --release" >&2; exit 2; }
python=$("$root/xtask/peers.sh") || exit 3
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
exec "$python" "$root/xtask/interop.py" run "$binary"
