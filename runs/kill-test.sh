#!/bin/bash
# Kills training at random moments, and at every point inside a save, resumes it, and asks for the very weights of a run
# that was never stopped.
# Usage: runs/kill-test.sh [KILLS] (default 20). AUTOANE: the binary. STEPS: length of a run. KILL_SEED: repeats the moments.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
want=${1:-20}
steps=${STEPS:-60}
seed=${KILL_SEED:-$(($(date +%s) % 32768))}
binary=${AUTOANE:-${CARGO_TARGET_DIR:-$root/target}/release/autoane}
if [[ ! -x $binary ]]; then
  [[ -z ${AUTOANE:-} ]] || { echo "kill-test: no binary at $binary" >&2; exit 2; }
  (cd "$root" && cargo build --release)
fi
RANDOM=$seed
ulimit -c 0
work=$(mktemp -d "${TMPDIR:-/tmp}/autoane-kill.XXXXXX")
model=(--model stories-1m --data stories --seq-len 64 --batch-size 2 --steps "$steps" --save-every 5 --eval-every 20 --seed 7)
child=

finish() {
  local code=$?
  [[ -z $child ]] || kill -9 "$child" 2>/dev/null || true
  if [[ $code -eq 0 ]]; then rm -rf "$work"; else echo "kill-test: the runs are kept in $work (KILL_SEED=$seed)" >&2; fi
}
trap finish EXIT

die() {
  echo "kill-test: FAILED: $1" >&2
  [[ $# -lt 2 ]] || tail -n 20 "$2" >&2
  exit 1
}

# The arguments that start a run, or continue it once it knows its configuration
arguments() { # run, threads
  if [[ -f $1/config.resolved.toml ]]; then
    words=(train --resume "$1" -q)
  else
    words=(train "${model[@]}" --threads "$2" --out "$1" --overwrite -q)
  fi
}

to_the_end() { # run, threads
  local words
  arguments "$1" "$2"
  "$binary" "${words[@]}" >"$1.log" 2>&1 </dev/null || die "exit code $? of: ${words[*]}" "$1.log"
}

weights() { # run: hashes of the weights and the optimizer's state in the last checkpoint
  (cd "$1/checkpoints/last/" && sha256sum model.safetensors trainer/optimizer.safetensors)
}

# Every checkpoint that has its name is whole, and the last one is no older than before: `last_step` remembers it
check_checkpoints() { # run
  local folder
  for folder in "$1"/checkpoints/step-*/; do
    [[ -d $folder ]] || continue
    (cd "$folder" && sha256sum --check --quiet MANIFEST.sha256) || die "corrupt checkpoint $folder" "$1.log"
  done
  [[ -e $1/checkpoints/last ]] || { [[ $last_step -eq 0 ]] || die "the last checkpoint of $1 is lost"; return 0; }
  folder=$(readlink -f "$1/checkpoints/last")
  local step=$((10#${folder##*step-}))
  ((step >= last_step)) || die "the last checkpoint of $1 went back from step $last_step to $step"
  last_step=$step
}

check_finished() { # run
  [[ $(weights "$1") == "$reference" ]] || die "the weights of $1 are not those of the uninterrupted run" "$1.log"
  local told
  told=$(grep '"type":"step"' "$1/events.jsonl" | grep -o '"step":[0-9]*' | cut -d: -f2 | tr '\n' ' ')
  [[ $told == "$(seq -s ' ' 1 "$steps") " ]] || die "events.jsonl of $1 does not count the steps 1 to $steps once each: $told"
  rm -rf "$1" "$1.log"
}

# Starts the run and kills it after a random part of the time that a whole run takes. Returns 0 if it was killed.
kill_once() { # run, threads
  local words code=0 delay=$((10 + RANDOM * span / 32768))
  arguments "$1" "$2"
  "$binary" "${words[@]}" >"$1.log" 2>&1 </dev/null &
  child=$!
  sleep "$(printf '%d.%03d' $((delay / 1000)) $((delay % 1000)))"
  kill -9 "$child" 2>/dev/null || true
  wait "$child" 2>/dev/null || code=$?
  child=
  [[ $code -eq 0 || $code -eq 137 ]] || die "exit code $code of: ${words[*]}" "$1.log"
  [[ $code -eq 137 ]]
}

crash_inside_saves() {
  local point run words attempt code
  for point in file-written manifest before-rename after-rename before-last; do
    run=$work/crash-$point
    last_step=0
    for attempt in 1 2 3; do
      arguments "$run" 2
      code=0
      AUTOANE_CRASH_AT=$point "$binary" "${words[@]}" >"$run.log" 2>&1 </dev/null &
      child=$!
      wait "$child" 2>/dev/null || code=$?
      child=
      # 134: abort; an ordinary error would prove nothing
      [[ $code -eq 134 ]] || die "AUTOANE_CRASH_AT=$point: attempt $attempt ended with exit code $code, not 134" "$run.log"
      check_checkpoints "$run"
    done
    to_the_end "$run" 2
    check_finished "$run"
    echo "crash at $point, three times: same weights"
  done
}

# The first run fills caches and uses another number of threads; the second is timed
to_the_end "$work/first" 1
reference=$(weights "$work/first")
began=$(date +%s%N)
to_the_end "$work/second" 2
whole=$((($(date +%s%N) - began) / 1000000))
span=$((whole * 7 / 10)) # kills fall into the first 70% of it, so that most runs are killed more than once
check_finished "$work/second"
echo "uninterrupted: $whole ms for $steps steps; same weights with 1 and 2 threads (KILL_SEED=$seed)"

crash_inside_saves

kills=0 runs=0
while ((kills < want)); do
  run=$work/run-$runs
  last_step=0
  while ((kills < want)) && kill_once "$run" $((1 + runs % 2)); do
    kills=$((kills + 1))
    check_checkpoints "$run"
  done
  to_the_end "$run" $((1 + runs % 2))
  check_finished "$run"
  runs=$((runs + 1))
done
echo "kill-test: $kills kills in $runs runs: none lost, none corrupt, all weights identical"
