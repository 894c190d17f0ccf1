#!/usr/bin/env python3
"""Golden GGUF data by gguf-py, an independent implementation: blocks of every encoding with what they stand for, values of
every type, and small models as llama.cpp's converter would lay them out. Usage: gguf_goldens.py OUT_DIR (the committed files
are in crates/formats/tests/golden). Deterministic."""

import sys
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Q
from gguf import quants
from safetensors.numpy import save_file

BLOCKS = [Q.Q8_0, Q.Q4_0, Q.Q4_1, Q.Q5_0, Q.Q5_1, Q.Q4_K, Q.Q5_K, Q.Q6_K]
# offset of every half-precision scale in a block: random bytes there would be NaN now and then
SCALES = {Q.Q8_0: [0], Q.Q4_0: [0], Q.Q4_1: [0, 2], Q.Q5_0: [0], Q.Q5_1: [0, 2], Q.Q4_K: [0, 2], Q.Q5_K: [0, 2], Q.Q6_K: [208]}


def blocks(out):
    rng = np.random.default_rng(1)
    tensors = {}
    for q in BLOCKS:
        _, size = gguf.GGML_QUANT_SIZES[q]
        raw = rng.integers(0, 256, (4, size), dtype=np.uint8)
        for at in SCALES[q]:
            scale = rng.uniform(-0.3, 0.3, (4, 1)).astype(np.float16)
            raw[:, at : at + 2] = scale.view(np.uint8)
        tensors[f"{q.name}.raw"] = raw.reshape(-1)
        tensors[f"{q.name}.f32"] = quants.dequantize(raw, q).astype(np.float32).reshape(-1)
    # what is rounded: noise, a block of zeros, halves between two steps, one large value, small ones
    values = rng.standard_normal((6, 32)).astype(np.float32)
    values[1] = 0
    values[2] = np.arange(32) / 2 - 8
    values[2, 0] = 127
    values[3] *= 1e-3
    values[3, 7] = 900
    values[4] *= 1e-9
    for q in [Q.Q8_0, Q.F16, Q.BF16]:
        tensors[f"encode.{q.name}"] = quants.quantize(values, q).view(np.uint8).reshape(-1)
    tensors["encode.values"] = values.reshape(-1)
    save_file(tensors, out / "blocks.safetensors")


def every_value_type(out):
    w = gguf.GGUFWriter(out / "values.gguf", "llama")
    w.add_uint8("t.u8", 200)
    w.add_int8("t.i8", -100)
    w.add_uint16("t.u16", 60000)
    w.add_int16("t.i16", -30000)
    w.add_uint32("t.u32", 4000000000)
    w.add_int32("t.i32", -2000000000)
    w.add_float32("t.f32", 1.1)
    w.add_bool("t.bool", True)
    w.add_string("t.text", "Grüße 😀")
    w.add_uint64("t.u64", 1 << 63)
    w.add_int64("t.i64", -(1 << 62))
    w.add_float64("t.f64", 1e300)
    w.add_array("t.texts", ["a", "", "ä"])
    w.add_array("t.numbers", [1, -2, 3])
    w.add_key_value("t.nested", [[1, 2], [3]], gguf.GGUFValueType.ARRAY, sub_type=gguf.GGUFValueType.ARRAY)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


D, L, H, KV, HD, FF, V = 24, 2, 4, 2, 8, 40, 37


def noise(n):
    i = np.arange(n, dtype=np.uint64) * np.uint64(2654435761) % np.uint64(1 << 32) >> np.uint64(8)
    return (i.astype(np.float32) / np.float32(1 << 24) - np.float32(0.5)).astype(np.float32)


def layout(hd, biases, qk_norm, tied):
    """Names and shapes of this program's flat array, in its order."""
    q, kv = H * hd, KV * hd
    yield "token_embd.weight", (V, D)
    for l in range(L):
        yield f"blk.{l}.attn_norm.weight", (D,)
        for name, rows in [("q", q), ("k", kv), ("v", kv)]:
            yield f"blk.{l}.attn_{name}.weight", (rows, D)
        if biases:
            for name, rows in [("q", q), ("k", kv), ("v", kv)]:
                yield f"blk.{l}.attn_{name}.bias", (rows,)
        if qk_norm:
            yield f"blk.{l}.attn_q_norm.weight", (hd,)
            yield f"blk.{l}.attn_k_norm.weight", (hd,)
        yield f"blk.{l}.attn_output.weight", (D, q)
        if biases == "all":
            yield f"blk.{l}.attn_output.bias", (D,)
        yield f"blk.{l}.ffn_norm.weight", (D,)
        yield f"blk.{l}.ffn_gate.weight", (FF, D)
        yield f"blk.{l}.ffn_up.weight", (FF, D)
        yield f"blk.{l}.ffn_down.weight", (D, FF)
    yield "output_norm.weight", (D,)
    if not tied:
        yield "output.weight", (V, D)


def permuted(w, heads):
    """Rows of Q and K as llama.cpp wants them under `llama`: the two of a rotation pair side by side."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def model(out, arch, name, hd, biases=False, qk_norm=False, tied=True, theta=10000.0, eps=1e-5, llama3=None, dtype=np.float32):
    w = gguf.GGUFWriter(out / f"{name}.gguf", arch)
    w.add_context_length(64)
    w.add_block_count(L)
    w.add_embedding_length(D)
    w.add_feed_forward_length(FF)
    w.add_head_count(H)
    w.add_head_count_kv(KV)
    w.add_key_length(hd)
    w.add_value_length(hd)
    w.add_layer_norm_rms_eps(eps)
    w.add_rope_freq_base(theta)
    w.add_rope_dimension_count(hd)
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)
    shapes = list(layout(hd, biases, qk_norm, tied))
    flat, at = noise(sum(int(np.prod(s)) for _, s in shapes)), 0
    for tensor, shape in shapes:
        n = int(np.prod(shape))
        values, at = flat[at : at + n].reshape(shape), at + n
        if arch == "llama" and ".attn_q." in tensor:
            values = permuted(values, H)
        if arch == "llama" and ".attn_k." in tensor:
            values = permuted(values, KV)
        w.add_tensor(tensor, values.astype(dtype if len(shape) > 1 else np.float32))
    if llama3:
        w.add_tensor("rope_freqs.weight", rope_factors(theta, hd, *llama3))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def rope_factors(theta, hd, factor, low, high, original):
    """As in convert_hf_to_gguf.py."""
    factors = []
    for freq in 1.0 / (theta ** (np.arange(0, hd, 2, dtype=np.float32) / hd)):
        wavelength = 2 * np.pi / freq
        if wavelength < original / high:
            factors.append(1.0)
        elif wavelength > original / low:
            factors.append(factor)
        else:
            smooth = (original / wavelength - low) / (high - low)
            factors.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(factors, dtype=np.float32)


if __name__ == "__main__":
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    blocks(out)
    every_value_type(out)
    model(out, "llama", "llama", 8, biases="all", tied=False)
    model(out, "llama", "llama3", 8, tied=False, theta=500000.0, llama3=(8.0, 1.0, 4.0, 32))
    model(out, "qwen2", "qwen2", 8, biases="qkv", eps=1e-6, dtype=np.float16)
    model(out, "qwen3", "qwen3", 10, qk_norm=True)
