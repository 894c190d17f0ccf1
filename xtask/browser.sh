#!/bin/bash
# The report of a run, of two beside each other, and of a study, in a real browser. Exit code 3: no browser can be had.
# usage: xtask/browser.sh path/to/autoane
set -euo pipefail
binary=$(realpath "$1")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
browser=$("$here/find_browser.sh") || exit 3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for name in "one" "two <b>&"; do
  "$binary" train stories-1m --steps 40 --eval-every 5 --sample-every 20 --val-tokens 2048 --seq-len 64 --batch-size 2 \
    --seed $((${#name} + 1)) --out "runs/$name" --quiet
done
"$binary" report "runs/one" --out one.html
"$binary" report "runs/one" "runs/two <b>&" --out both.html
"$binary" search new study --param learning-rate=1e-5..3e-2:log --param weight-decay=0..0.2 --param batch-size=1..4 --param warmup='0|5%|20' \
  --param schedule='cosine|linear|wsd' --param depth=1..2 --param dim=32..64:16 --param clip-norm=0..2 --param beta2=0.9..0.999 \
  --baseline learning-rate=1e-5 --seeds 3 --max-pairs 4 --looks 1 --trials 5 --sampler local --trial-tokens 1024 --quiet \
  -- stories-1m --seq-len 64 --val-tokens 1024 --threads 1
"$binary" search run study --trials 1 --quiet
"$binary" search propose study --set learning-rate=1e-2 --set weight-decay=0 --quiet
"$binary" search run study --workers 2 --quiet
"$binary" search final study --quiet
"$binary" search report study --quiet
grep -q "Final comparison" study/report.html
cp study/report.html study.html
python3 "$here/browser.py" "$browser" one.html both.html study.html
