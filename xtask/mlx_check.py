#!/usr/bin/env python3
"""Logits of mlx-lm against this program's, for a checkpoint of each family; and an adapter that mlx-lm wrote, over its base."""
import json
import math
import pathlib
import subprocess
import sys
import tempfile

import mlx.core as mx
import numpy
from mlx.utils import tree_flatten
from mlx_lm.tuner.utils import linear_to_lora_layers
from mlx_lm.utils import load_model

AUTOANE = sys.argv[1]
ROOT = pathlib.Path(__file__).resolve().parent.parent
IDS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3]
# largest difference, over the deviation of the logits: both compute in f32
BOUND = 5e-4
# model types that this mlx-lm does not have are skipped by name
SKIPPED = []


def not_theirs(config):
    """What of a configuration mlx-lm does not follow (and transformers, which the golden figures are of, does)."""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if config.get("sliding_window") and config.get("use_sliding_window", True):
        return "it attends to the whole text whatever the window"
    default = 0.1 * math.log(rope.get("factor", 1)) + 1
    if abs(rope.get("attention_factor", default) - default) > 1e-6 or rope.get("truncate") is False:
        return "its YaRN has neither attention_factor nor truncate"
    return None


def ours(work, *model):
    command = [AUTOANE, "logits", *model, "--tokens", ",".join(map(str, IDS)), "--out", work / "x.npy", "-q"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return numpy.load(work / "x.npy")


def compare(name, theirs, mine):
    off = float(numpy.abs(theirs - mine).max() / mine.std())
    print(f"mlx: {name}: logits differ by at most {off:.1e} of their deviation")
    if not off < BOUND:
        sys.exit(f"mlx: {name}: {off} is beyond {BOUND}")


def logits(model):
    return numpy.array(model(mx.array([IDS])).astype(mx.float32))[0]


def checkpoint(work, shape):
    tokens = work / "tokens.bin"
    numpy.random.default_rng(0).integers(0, 97, 4000).astype("<u2").tofile(tokens)
    run = work / shape.name
    subprocess.run(
        [AUTOANE, "train", "--model-config", shape / "config.json", "--data", tokens, "--seq-len", "16", "--batch-size", "2"]
        + ["--steps", "8", "--no-compact-vocab", "--learning-rate", "1e-2", "--out", run, "-q"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return run / "checkpoints" / "last"


def adapter(work, model, config, base):
    settings = {"rank": 2, "scale": 4.0, "dropout": 0.0, "keys": ["self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj"]}
    linear_to_lora_layers(model, config["num_hidden_layers"], settings)
    mx.random.seed(1)
    values = [(k, 0.3 * mx.random.normal(v.shape)) for k, v in tree_flatten(model.parameters()) if "lora" in k]
    model.load_weights(values, strict=False)
    folder = work / "adapter"
    folder.mkdir()
    mx.save_safetensors(str(folder / "adapters.safetensors"), dict(values))
    written = {"fine_tune_type": "lora", "lora_parameters": settings, "num_layers": config["num_hidden_layers"], "model": str(base)}
    (folder / "adapter_config.json").write_text(json.dumps(written))
    compare("an adapter that mlx-lm made", logits(model), ours(work, folder, "--base", base))


with tempfile.TemporaryDirectory() as name:
    work = pathlib.Path(name)
    done = False
    for shape in sorted(p.parent for p in ROOT.glob("tests/golden/*/config.json")):
        path = checkpoint(work, shape)
        said = json.loads((path / "config.json").read_text())
        if why := not_theirs(said):
            SKIPPED.append(f"{shape.name} ({why})")
            continue
        try:
            model, config = load_model(path)
        except (ValueError, ModuleNotFoundError, NotImplementedError) as error:
            SKIPPED.append(f"{shape.name} ({error})")
            continue
        compare(shape.name, logits(model), ours(work, path))
        if not done and said["model_type"] == "llama":
            adapter(work, model, config, path)
            done = True
    for why in SKIPPED:
        print(f"SKIPPED: mlx-lm of {why}")
