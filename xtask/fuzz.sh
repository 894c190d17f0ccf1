#!/bin/bash
# Fuzzes the readers of files with libFuzzer on the stable toolchain: xtask/fuzz.sh MINUTES [TARGET...]
# (all targets together that long; without names every one). What was learnt stays in target/fuzz/corpus (AUTOANE_FUZZ_HOME
# is another place than target/fuzz), findings go to fuzz/artifacts. Exit 1 at a finding, with the command that shows it; exit 3 where there is no C++ compiler for libFuzzer.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

minutes=${1:?usage: xtask/fuzz.sh MINUTES [TARGET...]}
shift
host=$(rustc -vV | sed -n 's/^host: //p')
home=${AUTOANE_FUZZ_HOME:-$PWD/target/fuzz}
binary=$home/$host/release/readers
command -v c++ >/dev/null || { echo "fuzz: no C++ compiler, which libFuzzer is built with" >&2; exit 3; }

# Coverage of every branch and comparison, as cargo-fuzz asks for it; the compiler that runs is the stable one
coverage=(--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
  -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0)

build() {
  # --target keeps build scripts and macros free of instruments that only libFuzzer provides
  RUSTFLAGS="${coverage[*]}" cargo build --locked --quiet --release --manifest-path fuzz/Cargo.toml --target "$host" \
    --target-dir "$home"
}

# Names of the targets stand in one table
targets() { sed -n 's/.*target("\([a-z0-9_]*\)", .*/\1/p' fuzz/src/targets.rs; }

fuzz() { # target, seconds
  local corpus=$home/corpus/$1 seeds=$home/seeds/$1 findings=fuzz/artifacts/$1 log=$home/$1.log code=0
  mkdir -p "$corpus" "$seeds" "$findings"
  local limits=(-max_len=65536 -len_control=20 -timeout=600 -report_slow_units=600 -rss_limit_mb=2048)
  # The target writes its seeds and words when it begins; the words are an option only from the next start on
  FUZZ_TARGET=$1 FUZZ_SEEDS=$seeds "$binary" -runs=0 >"$log" 2>&1 || true
  [[ ! -s $seeds.dict ]] || limits+=(-dict="$seeds.dict")
  local end=$((SECONDS + $2)) starts=0
  : >"$log"
  # A target may end early without a finding: a template that is given up leaves a thread behind
  while [[ $code -eq 0 && $SECONDS -lt $end && $starts -lt 50 ]]; do
    starts=$((starts + 1))
    FUZZ_TARGET=$1 "$binary" "$corpus" "$seeds" "${limits[@]}" -max_total_time=$((end - SECONDS)) \
      -artifact_prefix="$findings/" -print_final_stats=1 >>"$log" 2>&1 || code=$?
  done
  local runs
  runs=$(sed -n 's/^#\([0-9]*\).*/\1/p' "$log" | sort -n | tail -1)
  printf '  %-18s %9s inputs, %s\n' "$1" "${runs:-0}" "$(grep -a -o 'cov: [0-9]*' "$log" | tail -1)"
  if [[ $code -ne 0 ]]; then
    show "$1" "$log"
  elif [[ -z $runs ]]; then
    echo "fuzz: $1 ran no input; its log is $log"
    failed+=("$1")
  fi
}

show() { # target, log
  local found
  found=$(sed -n 's/.*Test unit written to //p' "$2" | tail -1)
  echo "fuzz: FOUND by $1: ${found:-no file was written}"
  grep -a -E -A2 'panicked at|beyond the bound|timeout after|ERROR: ' "$2" | head -12 || true
  [[ -z $found ]] || echo "  cargo run --manifest-path fuzz/Cargo.toml -- $1 $found"
  failed+=("$1")
}

# In memory where the system has such a place: every input becomes a file
memory=/dev/shm
[[ -w $memory ]] || memory=${TMPDIR:-/tmp}
FUZZ_FOLDER=$(mktemp -d "$memory/autoane-fuzz.XXXXXX")
export FUZZ_FOLDER
trap 'rm -rf "$FUZZ_FOLDER"' EXIT

build
[[ $# -gt 0 ]] || mapfile -t names < <(targets)
[[ $# -eq 0 ]] || names=("$@")
failed=()
echo "fuzz: $minutes min over ${#names[@]} targets"
for name in "${names[@]}"; do
  fuzz "$name" $((minutes * 60 / ${#names[@]}))
done
[[ ${#failed[@]} -eq 0 ]] || { echo "fuzz: FAILED: ${failed[*]}"; exit 1; }
echo "fuzz: no crash, hang or oversized allocation in $SECONDS s"
