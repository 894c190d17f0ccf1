#!/bin/sh
# Optuna reads, continues and hands back the journal of a study, and its dashboard shows it, in a browser where one can be had;
# then a worker is killed 50 times.
# Usage: xtask/optuna.sh PROGRAM      Ends with 3 when Optuna cannot be installed.
set -eu
program=$(realpath "$1")
cd "$(dirname "$0")/.."
venv="${XDG_CACHE_HOME:-$HOME/.cache}/autoane-peers/optuna"
if ! "$venv/bin/python" -c 'import optuna, optuna_dashboard' 2>/dev/null; then
    if ! { python3 -m venv "$venv" && "$venv/bin/pip" install -q optuna==5.0.0 optuna-dashboard==0.21.0; }; then
        echo "optuna or optuna-dashboard cannot be installed" >&2
        exit 3
    fi
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
browser=$(xtask/find_browser.sh || true)
"$venv/bin/python" xtask/optuna_check.py "$program" "$work" "$browser"
KILLS=50 cargo test -q --locked --test search -- is_killed
echo "50 kills: every trial finished once or is marked failed"
