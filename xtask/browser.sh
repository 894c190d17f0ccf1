#!/bin/bash
# The report of a run, and of two beside each other, in a real browser. Exit code 3: no browser can be had.
# usage: xtask/browser.sh path/to/autoane
set -euo pipefail
binary=$(realpath "$1")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
find_browser() { command -v chromium || command -v chromium-browser || command -v google-chrome; }
if ! browser=$(find_browser); then
  if [[ $(id -u) -eq 0 ]] && command -v apt-get >/dev/null; then
    apt-get install -y --no-install-recommends chromium >/dev/null 2>&1 || true
  fi
  browser=$(find_browser) || { echo "no Chromium, and apt-get cannot install one"; exit 3; }
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for name in "one" "two <b>&"; do
  "$binary" train stories-1m --steps 40 --eval-every 5 --sample-every 20 --val-tokens 2048 --seq-len 64 --batch-size 2 \
    --seed $((${#name} + 1)) --out "runs/$name" --quiet
done
"$binary" report "runs/one" --out one.html
"$binary" report "runs/one" "runs/two <b>&" --out both.html
python3 "$here/browser.py" "$browser" one.html both.html
