#!/usr/bin/env python3
"""Adapters of the peft package against the binary. Needs torch, transformers, peft, safetensors, numpy.

    adapters.py BINARY

For several models and adapters: peft trains nothing here, it makes an adapter with random factors, saves it, and merges it.
The binary's logits of adapter and base, and of what it merged, must be those of peft's merged model; the same adapter in the
form of mlx-lm, rewritten by the binary for peft, must be the same again.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden"
IDS = list(range(3, 27))
EVERY = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
TOLERANCE = 2e-4  # of the logits' deviation

CASES = [
    ("plain", "llama-tied-gqa", dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"])),
    ("rank stabilized", "qwen3", dict(r=6, lora_alpha=3, use_rslora=True, target_modules=EVERY)),
    ("patterns", "mistral-window", dict(r=4, lora_alpha=8, target_modules=EVERY, rank_pattern={"down_proj": 2, "layers.1.mlp.up_proj": 3},
                                        alpha_pattern={"^model.layers.0.self_attn.q_proj": 20, "v_proj": 1})),
    ("classifier", "llama-untied-mha", dict(r=3, lora_alpha=5, target_modules=["o_proj", "lm_head"])),
    ("some layers", "qwen2", dict(r=2, lora_alpha=6, target_modules=["k_proj", "gate_proj"], layers_to_transform=[1])),
    ("rows with lengths", "qwen3", dict(r=4, lora_alpha=8, target_modules=EVERY, use_dora=True)),
    ("rows with lengths, biases", "llama-bias", dict(r=3, lora_alpha=3, target_modules=["q_proj", "o_proj", "down_proj"], use_dora=True)),
    ("no rotation", "smollm3", dict(r=2, lora_alpha=2, target_modules="all-linear")),
]


class Failure(Exception):
    """A check that did not hold."""


def base_of(name):
    return transformers.AutoModelForCausalLM.from_pretrained(GOLDEN / name, dtype=torch.float32, attn_implementation="eager").eval()


def logits_of(model):
    with torch.no_grad():
        return model(input_ids=torch.tensor([IDS])).logits[0].numpy()


def near(what, ours, theirs):
    off, allowed = float(np.abs(ours - theirs).max()), TOLERANCE * float(theirs.std())
    if not off <= allowed:
        raise Failure(f"{what}: logits differ by {off:.2e} (allowed {allowed:.2e})")
    print(f"  {what}: differs by {off:.1e} (allowed {allowed:.1e})")


def make(name, options, folder):
    """Saves an adapter with random factors; returns the logits of the model that peft merges."""
    torch.manual_seed(7)
    model = get_peft_model(base_of(name), LoraConfig(task_type="CAUSAL_LM", **options))
    with torch.no_grad():
        for key, weight in model.named_parameters():
            if "lora_magnitude" in key:
                weight.mul_(1 + 0.3 * torch.randn_like(weight))
            elif "lora_" in key:
                weight.normal_(0, 0.2)
    model.save_pretrained(folder)
    return logits_of(model.merge_and_unload().eval())


def as_mlx(peft, folder):
    """The adapter in the form of mlx-lm, which has one scale and one rank."""
    config = json.loads((peft / "adapter_config.json").read_text())
    folder.mkdir()
    said = {"fine_tune_type": "lora", "lora_parameters": {"rank": config["r"], "scale": config["lora_alpha"] / config["r"], "dropout": 0.0}}
    (folder / "adapter_config.json").write_text(json.dumps(said))
    prefix, ends = "base_model.model.", {".lora_A.weight": ".lora_a", ".lora_B.weight": ".lora_b"}
    out = {}
    for key, weight in load_file(peft / "adapter_model.safetensors").items():
        end = next((e for e in ends if key.endswith(e)), None)
        if end is None:  # peft saves the classifier of the base beside an adapter of it; mlx-lm does not
            continue
        out[key[len(prefix):-len(end)] + ends[end]] = weight.T.contiguous()
    save_file(out, folder / "adapters.safetensors")


def check(binary, label, name, options, folder):
    def call(*words):
        done = subprocess.run([binary, *map(str, words)], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600)
        if done.returncode != 0:
            raise Failure(f"{' '.join(map(str, words))}: exit code {done.returncode}\n{done.stderr}")

    def ours(*model):
        path = folder / "logits.npy"
        path.unlink(missing_ok=True)
        call("logits", *model, "--tokens", ",".join(map(str, IDS)), "--out", path)
        return np.load(path)

    base, adapter = GOLDEN / name, folder / "peft"
    expected = make(name, options, adapter)
    if np.abs(expected - logits_of(base_of(name))).max() < 0.1:
        raise Failure(f"{label}: the adapter does next to nothing")
    near(f"{label}, adapter over {name}", ours(adapter, "--base", base), expected)
    call("convert", adapter, folder / "merged", "--base", base)
    merged = transformers.AutoModelForCausalLM.from_pretrained(folder / "merged", dtype=torch.float32, attn_implementation="eager")
    near(f"{label}, merged, in transformers", logits_of(merged.eval()), expected)
    source = adapter
    if not options.get("rank_pattern") and not options.get("alpha_pattern") and not options.get("use_rslora") and not options.get("use_dora"):
        source = folder / "mlx"
        as_mlx(adapter, source)
    call("convert", source, folder / "again", "--to", "peft")
    again = PeftModel.from_pretrained(base_of(name), folder / "again")
    near(f"{label}, rewritten from {source.name}, in peft", logits_of(again.merge_and_unload().eval()), expected)


def main(words):
    if len(words) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(2)
    for label, name, options in CASES:
        with tempfile.TemporaryDirectory(prefix="autoane-adapters-") as folder:
            check(words[0], label, name, options, pathlib.Path(folder))
    print("adapters: passed")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Failure as failure:
        print(f"adapters: FAILED: {failure}", file=sys.stderr)
        sys.exit(1)
