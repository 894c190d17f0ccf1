"""Runs of `autoane train` beside one another, each made once: what is there already is looked up."""

import concurrent.futures
import json
import math
import os
import pathlib
import shutil
import statistics
import subprocess
import time

AUTOANE = os.environ.get("AUTOANE", "autoane")
# two-sided 95% of Student's t, by degrees of freedom
T = [math.nan, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262]


def interval(values):
    """Mean and half of its 95% interval."""
    n = len(values)
    return statistics.mean(values), T[n - 1] * statistics.stdev(values) / math.sqrt(n)


class Pool:
    """`jobs` runs at a time under `out`, until `deadline` seconds have passed: what was not begun by then is left out."""

    def __init__(self, out, jobs, deadline):
        self.out, self.jobs, self.end = pathlib.Path(out), jobs, time.monotonic() + deadline
        self.out.mkdir(parents=True, exist_ok=True)

    def train(self, runs):
        """Takes {name: arguments of train}; gives {name: events, or None where it failed or was not begun}."""
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as threads:
            return dict(zip(runs, threads.map(lambda item: self.one(*item), runs.items())))

    def one(self, name, words):
        folder, record = self.out / name, self.out / f"{name}.json"
        if not record.exists():
            if time.monotonic() > self.end:
                return None
            command = [AUTOANE, "train", *map(str, words), "--out", str(folder), "--overwrite", "--json", "-q"]
            command += ["--save-every", "never", "--sample-every", "never", "--keep", "0"]
            done = subprocess.run(command, capture_output=True, text=True)
            shutil.rmtree(folder / "checkpoints", ignore_errors=True)  # of many runs they would fill the disk
            if done.returncode:
                print(f"{name}: exit code {done.returncode}: {done.stderr.strip()[-300:]}", flush=True)
            record.write_text(done.stdout or json.dumps({"status": "failed", "code": done.returncode}))
        if json.loads(record.read_text()).get("status") != "done":
            return None
        return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def steps(events):
    return [e for e in events if e["type"] == "step"]


def evals(events):
    return [e for e in events if e["type"] == "eval"]


def version():
    return subprocess.run([AUTOANE, "--version"], capture_output=True, text=True).stdout.strip()
