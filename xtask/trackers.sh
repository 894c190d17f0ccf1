#!/bin/sh
# A run's events in wandb and trackio, offline, read back by these packages themselves.
# Usage: xtask/trackers.sh PROGRAM      Ends with 3 when neither can be installed.
set -eu
program=$(realpath "$1")
cd "$(dirname "$0")/.."
venv="${XDG_CACHE_HOME:-$HOME/.cache}/autoane-peers/trackers"
if ! "$venv/bin/python" -c 'import wandb, trackio' 2>/dev/null; then
    if ! { python3 -m venv "$venv" && "$venv/bin/pip" install -q wandb==0.31.0 trackio==0.43.0; }; then
        echo "wandb or trackio cannot be installed" >&2
        exit 3
    fi
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$venv/bin/python" xtask/trackers_check.py "$program" "$work"
