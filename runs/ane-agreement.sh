#!/bin/bash
# Every pipeline on the simulated Neural Engine beside the CPU: the same steps of one model, with the losses of every step, and
# what each dispatched, compiled, staged and read. The pipelines that freeze a base train an adapter on the CPU's result.
# Usage: runs/ane-agreement.sh [MODEL] [STEPS] [FLAGS...]     AUTOANE: the program   OUT: folder of the runs   SETS: of kernels
set -euo pipefail
model=${1:-stories-36m} steps=${2:-3}
shift $(($# < 2 ? $# : 2))
flags=("$@")
autoane=${AUTOANE:-autoane}
out=${OUT:-runs/ane-agreement}
sets=${SETS:-fused original}
mkdir -p "$out"
run() { # name, model, flags...
  local name=$1 from=$2
  shift 2
  "$autoane" train "$from" --steps "$steps" --sample-every never --save-every never --eval-every never --out "$out/$name" \
    --overwrite --json -q "${flags[@]}" "$@" >"$out/$name.json"
  [[ $name == cpu ]] || rm -r "$out/$name/checkpoints" # half a gigabyte each
}
sim=(--device ane-sim --ane-chip "m4,budget=100000,loaded=100000")
run cpu "$model"
for pipeline in matmul-only static static-extras dynamic dynamic-cpu-bwd; do
  for kernels in $sets; do
    run "$pipeline-$kernels" "$model" "${sim[@]}" --pipeline "$pipeline" --ane-kernels "$kernels"
  done
done
for pipeline in matmul-only dynamic; do
  run "$pipeline-parameters" "$model" "${sim[@]}" --pipeline "$pipeline" --ane-weights parameters
done
run static-two-layers "$model" "${sim[@]}" --pipeline static --ane-layers 2
base=$out/cpu/checkpoints/last
run lora-cpu "$base" --lora
for pipeline in conv conv-fused; do
  for kernels in $sets; do
    run "lora-$pipeline-$kernels" "$base" --lora "${sim[@]}" --pipeline "$pipeline" --ane-kernels "$kernels"
  done
done
python3 - "$out" "$steps" <<'P'
import json, pathlib, sys
out, steps = pathlib.Path(sys.argv[1]), int(sys.argv[2])
def losses(name):
    events = map(json.loads, open(out / name / "events.jsonl"))
    return [e["loss"] for e in events if e["type"] == "step"]
print("| run | validation loss off by | loss of a step off by at most | dispatches a step | compiles | staged MB a step | read MB a step | surfaces MB |")
print("|---|---|---|---|---|---|---|---|")
for file in sorted(out.glob("*.json")):
    report = json.load(open(out / file.stem / "efficiency.json"))["device"]
    if report is None:
        continue
    cpu = "lora-cpu" if file.stem.startswith("lora") else "cpu"
    off = json.load(open(file))["val_loss"] - json.load(open(out / f"{cpu}.json"))["val_loss"]
    curve = max(abs(a - b) for a, b in zip(losses(file.stem), losses(cpu), strict=True))
    mb = lambda key, by: f"{report[key] / by / 1e6:.1f}"
    print(f"| {file.stem} | {off:+.1e} | {curve:.1e} | {report['dispatches'] / steps:.0f} | {report['compiles']} | "
          f"{mb('staged_bytes', steps)} | {mb('read_bytes', steps)} | {mb('surface_bytes', 1)} |")
for cpu in ["cpu", "lora-cpu"]:
    print(f"\n{cpu}: validation loss {json.load(open(out / f'{cpu}.json'))['val_loss']:.4f} after {steps} steps")
P
