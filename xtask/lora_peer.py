#!/usr/bin/env python3
"""LoRA steps with PyTorch and peft, on the windows that `autoane train --data-order sequential` reads.

The adapter comes from the first checkpoint of a run: its A is still that of the beginning, because B was zero when its
gradient was taken; B is set back to zero, and lengths of rows (DoRA) to those of the base. Prints one JSON line: losses, tokens/s of the median step, peak memory.
"""
import argparse
import json
import resource
import statistics
import time

import numpy
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

ap = argparse.ArgumentParser()
ap.add_argument("model")
ap.add_argument("adapter")
ap.add_argument("tokens")
ap.add_argument("--seq", type=int, default=128)
ap.add_argument("--batch", type=int, default=4)
ap.add_argument("--steps", type=int, default=8)
ap.add_argument("--lr", type=float, default=1e-3)
ap.add_argument("--threads", type=int, default=2)
a = ap.parse_args()

torch.set_num_threads(a.threads)
base = AutoModelForCausalLM.from_pretrained(a.model, dtype=torch.float32, attn_implementation="sdpa")
model = PeftModel.from_pretrained(base, a.adapter, is_trainable=True)
for name, p in model.named_parameters():
    if "lora_B" in name:
        p.data.zero_()
for module in model.modules():
    for name, lengths in getattr(module, "lora_magnitude_vector", {}).items():  # DoRA: those of the base's rows
        lengths.weight.data = torch.linalg.norm(module.base_layer.weight.detach(), dim=1)
trained = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.AdamW(trained, lr=a.lr, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.0)
tokens = numpy.fromfile(a.tokens, dtype="<u2").astype("int64")
losses, times, at = [], [], 0
for step in range(a.steps):
    began = time.perf_counter()
    rows = [tokens[at + i * a.seq : at + i * a.seq + a.seq + 1] for i in range(a.batch)]
    at += a.batch * a.seq
    batch = torch.from_numpy(numpy.stack(rows))
    logits = model(input_ids=batch[:, :-1]).logits
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    losses.append(loss.item())
    times.append(time.perf_counter() - began)
rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"losses": losses, "tok_s": a.batch * a.seq / statistics.median(times[2:]), "rss_mb": rss}))
