#!/usr/bin/env python3
"""Whether the runs of a comparison may be published: published.py OUT SEEDS SECONDS METHOD...

Each OUT/final-METHOD-SEED must be the folder of a finished run, with the program's commit, the resolved configuration and the
events; its configuration must say the method and the seed that its name says. There must be at least 3 seeds, the same for every
method, made by one version of the program; every run of a method takes the same steps and tokens, and every method the same tokens,
or the same seconds by the median of its own steps (OUT/speed-METHOD). A run that OUT/final-METHOD-SEED.json calls failed counts as
one that failed, and must have its folder too. Prints nothing where all is well; else why not, and ends with 1.
"""
import json, os, statistics, sys

LEAST = 3


def fail(why):
    sys.exit(f"not to be published: {why}")


def read(folder, name):
    path = os.path.join(folder, name)
    if not os.path.isfile(path) or os.path.getsize(path) == 0:
        fail(f"{folder} has no {name}: a result is the folder of a run")
    with open(path) as file:
        return file.read()


def setting(text, key):
    lines = [line.split("=", 1) for line in text.splitlines() if "=" in line]
    found = [value.split("#")[0].strip().strip('"') for name, value in lines if name.strip() == key]
    return found[0] if found else None


def run(folder, method, seed):
    commit = json.loads(read(folder, "environment.json")).get("commit")
    if not commit or commit == "unknown":
        fail(f"{folder} does not say the commit of the program")
    config = read(folder, "config.resolved.toml")
    for key, want in (("method", method), ("seed", str(seed))):
        if setting(config, key) != want:
            fail(f"{folder} is a run with {key} {setting(config, key)}, not {want}")
    events = [json.loads(line) for line in read(folder, "events.jsonl").splitlines()]
    steps = [e for e in events if e["type"] == "step"]
    if os.path.isfile(f"{folder}.json") and json.loads(read(".", f"{folder}.json")).get("status") != "done":
        return commit, None, None
    if not steps or not any(e["type"] == "finished" for e in events):
        fail(f"{folder} did not finish")
    # a method from losses says its slopes, and backpropagation has none
    slopes = all("projected_gradient" in e for e in steps)
    if slopes != (method not in ("backprop", "ff")):
        fail(f"{folder} is called {method}, and its steps are those of another method")
    return commit, len(steps), steps[-1]["tokens"]


def step_time(folder):
    at = [e["seconds"] for e in map(json.loads, read(folder, "events.jsonl").splitlines()) if e["type"] == "step"]
    return statistics.median(b - a for a, b in zip(at, at[1:]))


def check(out, seeds, seconds, methods):
    if seeds < LEAST:
        fail(f"{seeds} seeds show nothing: {LEAST} or more")
    runs = {m: [run(f"{out}/final-{m}-{s}", m, s) for s in range(1, seeds + 1)] for m in methods}
    commits = {r[0] for rs in runs.values() for r in rs}
    if len(commits) > 1:
        fail(f"runs of different programs: {', '.join(sorted(commits))}")
    work = {m: {r[1:] for r in found if r[1] is not None} for m, found in runs.items()}
    for method, found in work.items():
        if len(found) > 1:
            fail(f"runs of {method} differ in steps or tokens: {sorted(found)}")
    if len({tokens for found in work.values() for _, tokens in found}) <= 1:
        return
    for method, found in work.items():
        for steps, _ in found:
            step = step_time(f"{out}/speed-{method}")
            if abs(steps * step - seconds) > 2 * step:
                fail(f"{method} has {steps} steps of {step:.3f} s: neither the tokens nor the {seconds:g} s of the others")


if __name__ == "__main__":
    check(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:])
