"""Trains with --report-to wandb and trackio in their own Python, and compares what they kept with events.jsonl."""
import glob
import json
import os
import subprocess
import sys

program, work = sys.argv[1], sys.argv[2]
os.environ["TRACKIO_DIR"] = f"{work}/trackio"
env = {k: v for k, v in os.environ.items() if not k.startswith(("AUTOANE_", "WANDB_"))}
env.update(AUTOANE_PYTHON=sys.executable, AUTOANE_CACHE=f"{work}/cache")


def train(tracker):
    run = f"{work}/{tracker}-run"
    words = ["train", "stories-1m", "--steps", "6", "--seq-len", "32", "--batch-size", "2", "--val-tokens", "512", "--eval-every", "3"]
    done = subprocess.run([program, *words, "--out", run, "--report-to", tracker, "-q"], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=300)
    assert done.returncode == 0 and "warning" not in done.stderr, done.stderr
    events = [json.loads(line) for line in open(f"{run}/events.jsonl")]
    steps = {e["step"]: e["loss"] for e in events if e["type"] == "step"}
    evals = {e["step"]: e["val_loss"] for e in events if e["type"] == "eval"}
    assert len(steps) == 6 and len(evals) == 3, (steps, evals)
    return run, steps, evals


def same(name, rows, steps, evals):
    """rows: (step, {tag: value})"""
    for tag, expected in [("train/loss", steps), ("val/loss", evals)]:
        found = {step: values[tag] for step, values in rows if tag in values}
        assert found.keys() == expected.keys(), (name, tag, found, expected)
        assert all(abs(found[s] - expected[s]) < 1e-9 for s in found), (name, tag)
    print(f"{name}: losses of {len(steps)} steps and {len(evals)} evaluations as in events.jsonl")


def trackio():
    _, steps, evals = train("trackio")
    from trackio.sqlite_storage import SQLiteStorage
    (run,) = SQLiteStorage.get_runs("autoane")
    rows = [(row["step"], row) for row in SQLiteStorage.get_logs("autoane", run)]
    same("trackio", rows, steps, evals)


def records(data):
    """Records of a LevelDB log: seven bytes of header, then blocks of 32 KiB with parts {crc, length, type}."""
    at, record = 7, b""
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        length, kind = int.from_bytes(data[at + 4:at + 6], "little"), data[at + 6]
        if kind == 0:
            return
        record += data[at + 7:at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last of several
            yield record
            record = b""


def wandb():
    run, steps, evals = train("wandb")
    from wandb.proto import wandb_internal_pb2
    (path,) = glob.glob(f"{run}/wandb/offline-run-*/*.wandb")
    rows = {}
    for data in records(open(path, "rb").read()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        if record.WhichOneof("record_type") == "history":
            values = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            rows.setdefault(int(values["step"]), {}).update(values)
    same("wandb", list(rows.items()), steps, evals)


trackio()
wandb()
