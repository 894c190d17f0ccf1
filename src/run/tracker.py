"""Hands the events of a run to a tracker. argv[1]: wandb or trackio. stdin: a JSON object a line, first the run, then its
events as in events.jsonl. Ends with its input."""
import json
import os
import signal
import sys

TAGS = {
    "step": {"loss": "train/loss", "lr": "train/lr", "grad_norm": "train/grad_norm", "tokens": "train/tokens",
             "tokens_per_second": "perf/tokens_per_second", "rss_bytes": "perf/rss_bytes"},
    "eval": {"val_loss": "val/loss", "val_loss_se": "val/loss_se", "val_bpb": "val/bpb", "val_accuracy": "val/accuracy",
             "val_exact_match": "val/exact_match"},
    "usage": {"cpu_percent": "machine/cpu_percent", "celsius": "machine/celsius", "watts": "machine/watts"},
}


def begin(name, run):
    if name == "wandb":
        os.environ.setdefault("WANDB_MODE", "offline")
        os.environ.setdefault("WANDB_SILENT", "true")
        import wandb
        project, folder = os.environ.get("WANDB_PROJECT", run["project"]), os.environ.get("WANDB_DIR", run["folder"])
        session = wandb.init(project=project, name=run["name"], id=os.environ.get("WANDB_RUN_ID", run["id"]), resume="allow",
                             dir=folder, config=run["settings"])
        session.define_metric("step")
        session.define_metric("*", step_metric="step")
        return session
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    import trackio
    project = os.environ.get("TRACKIO_PROJECT", run["project"])
    return trackio.init(project=project, name=run["id"], config=run["settings"], resume="allow", embed=False)


def main():
    # Ctrl-C is for the run; its end closes the input
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    session = begin(sys.argv[1], json.loads(sys.stdin.readline()))
    for line in sys.stdin:
        event = json.loads(line)
        tags = TAGS.get(event["type"], {})
        values = {tag: event[key] for key, tag in tags.items() if event.get(key) is not None}
        if values and sys.argv[1] == "wandb":
            # its own count of steps never goes back, as a run that is resumed does
            session.log(values | {"step": event["step"]})
        elif values:
            session.log(values, step=event["step"])
    session.finish()


main()
