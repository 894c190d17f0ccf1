#!/bin/bash
# llama.cpp as a peer: without arguments prints the folder of its shared libraries, with arguments runs llamacpp.py on
# them. Fetches the prebuilt libraries of the npm package once, into the cache folder of the user. Messages go to stderr;
# exit 1 with the reason where they cannot be had.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
version=3.22.1
cache=${XDG_CACHE_HOME:-$HOME/.cache}/autoane-peers/llamacpp-$version

die() {
  echo "llamacpp: $*" >&2
  exit 1
}

package_of_machine() {
  case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) echo linux-x64 ;;
    Linux-aarch64) echo linux-arm64 ;;
    *) die "no prebuilt libraries are known for $(uname -s) on $(uname -m)" ;;
  esac
}

fetch() { # package name
  command -v npm >/dev/null || die "npm is not installed; it fetches the prebuilt libraries"
  work=$(mktemp -d "$cache.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  echo "llamacpp: fetching @node-llama-cpp/$1@$version" >&2
  (cd "$work" && npm pack --silent "@node-llama-cpp/$1@$version" >/dev/null) || die "npm could not fetch @node-llama-cpp/$1@$version"
  tar -xzf "$work"/*.tgz -C "$work" || die "the package is not a sound archive"
  mv "$work/package" "$cache"
  rm -rf "$work"
  trap - EXIT
}

name=$(package_of_machine)
mkdir -p "$(dirname "$cache")"
exec 8>"$cache.lock"
flock 8
[[ -d $cache ]] || fetch "$name"
exec 8>&-
folder=$cache/bins/$name
[[ -n $(compgen -G "$folder/libllama*.so*") ]] || die "no libllama in $folder: remove $cache and try again"

if [[ $# -eq 0 ]]; then
  echo "$folder"
else
  exec python3 "$root/xtask/llamacpp.py" --libraries "$folder" "$@"
fi
