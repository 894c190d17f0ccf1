#!/bin/bash
# Prints the path of an mdbook, built once into the user's cache. Exit code 3: it cannot be had.
set -euo pipefail
if command -v mdbook; then exit 0; fi
root=${XDG_CACHE_HOME:-$HOME/.cache}/autoane-mdbook
if [[ ! -x $root/bin/mdbook ]]; then
  cargo install mdbook --version 0.5.4 --locked --no-default-features --root "$root" >&2 || exit 3
fi
echo "$root/bin/mdbook"
