"""Optuna's own code over the journal of a study: read, continued with its TPE, enqueued into, locked, shown by its dashboard,
which is looked at with a browser where there is one. usage: optuna_check.py PROGRAM FOLDER [BROWSER]"""

import json
import math
import os
import re
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import TrialState

autoane, work = sys.argv[1:3]
browser = sys.argv[3] if len(sys.argv) > 3 else ""
optuna.logging.set_verbosity(optuna.logging.WARNING)


def run(*words, **more):
    out = subprocess.run([autoane, *words], cwd=work, capture_output=True, text=True, **more)
    assert out.returncode == 0, (words, out.stderr)
    return json.loads(out.stdout) if "--json" in words and out.stdout else None


run("search", "new", "s", "--param", "learning-rate=1e-4..1e-2:log", "--param", "weight-decay=0..0.2", "--param",
    "accumulate=1..3", "--param", "schedule=cosine|linear", "--seeds", "2", "--max-pairs", "2", "--looks", "1",
    "--trial-tokens", "1024", "--", "stories-1m", "--seq-len", "32", "--val-tokens", "512", "--threads", "1")
run("search", "run", "s", "--trials", "4", "--json")
path = work + "/s/journal.log"


def load(lock=None):
    storage = JournalStorage(JournalFileBackend(path, lock_obj=lock))
    return optuna.load_study(study_name="s", storage=storage)


study = load()
shown = run("search", "show", "s", "--json")
assert study.direction.name == "MINIMIZE" and study.metric_names == ["val_bpb"]
assert len(study.trials) == len(shown["trials"]) == 4
for mine, theirs in zip(shown["trials"], study.trials):
    assert theirs.state == TrialState.COMPLETE and theirs.value == mine["value"], (mine, theirs)
    assert theirs.params == mine["params"], (mine, theirs)
    assert theirs.datetime_complete >= theirs.datetime_start
    assert theirs.user_attrs["verdict"] == mine["verdict"]


def objective(trial):
    lr = trial.suggest_float("learning-rate", 1e-4, 1e-2, log=True)
    wd = trial.suggest_float("weight-decay", 0, 0.2)
    acc = trial.suggest_int("accumulate", 1, 3)
    schedule = trial.suggest_categorical("schedule", ["cosine", "linear"])
    return 2 + abs(math.log(lr / 1e-3)) + wd + acc / 10 + (schedule == "linear")


study.sampler = optuna.samplers.TPESampler(seed=1, n_startup_trials=2)
study.optimize(objective, n_trials=6)
load(JournalFileOpenLock(path)).optimize(lambda t: (objective(t), float("nan"))[1], n_trials=1)
study.enqueue_trial({"learning-rate": 2e-3, "weight-decay": 0.1, "accumulate": 2, "schedule": "linear"})
shown = run("search", "run", "s", "--trials", "2", "--json")
trials = shown["trials"]
assert len(trials) == 13, len(trials)
assert trials[11]["params"]["learning-rate"] == 2e-3 and trials[11]["verdict"], trials[11]
assert shown["best"]["number"] in (0, 1, 2, 3, 11, 12), "what Optuna said itself is never an incumbent"
assert [t.number for t in load().trials] == list(range(13))



def chromium(address, *args):
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1400,1800",
             "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "--virtual-time-budget=60000"]
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, *flags, f"--user-data-dir={profile}", *args, address]
        return subprocess.run(command, capture_output=True, text=True, timeout=240).stdout


def words(page):
    page = re.sub(r"<(script|style)[^>]*>.*?</\1>", "", page, flags=re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def look(address, trials):
    """The dashboard as a person sees it: the study's name, the number of its trials, a picture that is not empty."""
    listed = words(chromium(address + "/trials", "--dump-dom"))
    assert " s (id=0) " in listed and f" {trials} Trials " in listed, listed[:600]
    for i in range(trials):
        assert f" Trial {i} " in listed, (i, listed[:2000])
    history = words(chromium(address, "--dump-dom"))
    assert "val_bpb" in history and "learning-rate" in history, history[:600]
    picture = os.path.join(work, "dashboard.png")
    chromium(address, f"--screenshot={picture}")
    with open(picture, "rb") as file:
        png = file.read()
    assert struct.unpack(">II", png[16:24]) == (1400, 1800) and len(png) > 30_000, len(png)
    kept = os.environ.get("AUTOANE_SCREENSHOTS")
    if kept:
        with open(os.path.join(kept, "optuna-dashboard.png"), "wb") as file:
            file.write(png)
    print(f"optuna-dashboard in a browser: study s, {trials} Trials, a screenshot of {len(png)} bytes")


port = "18734"
dashboard = subprocess.Popen([sys.prefix + "/bin/optuna-dashboard", path, "--port", port, "--host", "127.0.0.1"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
try:
    for _ in range(120):
        try:
            answer = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies/0"))
            break
        except OSError:
            time.sleep(0.5)
    assert len(answer["trials"]) == 13, answer
    if browser:
        look(f"http://127.0.0.1:{port}/dashboard/studies/0", 13)
    else:
        print("SKIPPED: optuna-dashboard in a browser: no Chromium, and apt-get cannot install one")
finally:
    dashboard.terminate()
print(f"Optuna {optuna.__version__}: 4 trials read, 7 of its own added, 1 enqueued, 2 run after it; the dashboard shows 13")
