#!/bin/bash
# mlx-lm on its CPU build reads what this program writes, and the other way round. Usage: xtask/mlx.sh AUTOANE
# Exit code 3: it cannot be installed here, and why.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/autoane-mlx
cannot() {
  echo "mlx: $*" >&2
  exit 3
}
if ! "$cache/venv/bin/python" -c 'import mlx_lm' 2>/dev/null; then
  python3 -m venv "$cache/venv" >&2 || cannot "python3 -m venv failed"
  "$cache/venv/bin/python" -m pip --disable-pip-version-check install --no-input -q 'mlx[cpu]' mlx-lm >&2 || cannot "pip could not install mlx-lm"
fi
"$cache/venv/bin/python" "$root/xtask/mlx_check.py" "$1"
