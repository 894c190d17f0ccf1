#!/usr/bin/env python3
"""llama.cpp through the C interface of its shared libraries. Only Python's own modules; xtask/llamacpp.sh finds the folder.

    llamacpp.sh info MODEL.gguf                          # what it is, which processor variant runs it, its metadata
    llamacpp.sh tokens MODEL.gguf [--add-special] [--parse-special] < texts.json   # a list of strings or {"hex": ".."}
    llamacpp.sh logits MODEL.gguf --tokens 1,2,3 --out FILE.npy [--ctx N]          # f32 [tokens, vocabulary]
    llamacpp.sh greedy MODEL.gguf --prompt TEXT | --tokens 1,2,3 [-n 64]           # ids, and where it stopped
    llamacpp.sh speed MODEL.gguf [--pp 256] [--tg 64] [--threads 2] [--repeat 3]   # tokens/s of prompt and decoding
    llamacpp.sh template MODEL.gguf [--messages JSON]    # the template inside, or the messages by its built-in formats

Everything but logits prints one JSON object. `logits` and `greedy` keep the cache in f32 and attention unfused, so that
only the weights' type rounds; `speed` takes the library's defaults.
"""

import argparse
import ctypes as C
import glob
import json
import os
import struct
import sys
import time

F32 = 0


class Failure(Exception):
    """What the library refused; the message says why."""


class Params(C.Structure):
    """A parameter block of the library by its bytes: read from its own defaults, changed at known offsets."""

    _fields_ = [("bytes", C.c_ubyte * 512)]

    def get(self, offset):
        return struct.unpack_from("<i", bytes(self.bytes), offset)[0]

    def put(self, offset, value):
        struct.pack_into("<i", self.bytes, offset, value)


# Offsets in the context's parameters, each with the default that proves it
CONTEXT = {
    "n_ctx": (0, 512), "n_batch": (4, 2048), "n_ubatch": (8, 512), "n_seq_max": (12, 1),
    "n_threads": (28, 4), "n_threads_batch": (32, 4), "rope_scaling_type": (40, -1), "pooling_type": (44, -1),
    "flash_attn_type": (52, -1), "type_k": (104, 1), "type_v": (108, 1),
}


class Batch(C.Structure):
    _fields_ = [("n_tokens", C.c_int32), ("token", C.POINTER(C.c_int32)), ("embd", C.POINTER(C.c_float)),
                ("pos", C.POINTER(C.c_int32)), ("n_seq_id", C.POINTER(C.c_int32)),
                ("seq_id", C.POINTER(C.POINTER(C.c_int32))), ("logits", C.POINTER(C.c_int8))]


class Message(C.Structure):
    _fields_ = [("role", C.c_char_p), ("content", C.c_char_p)]


LOG = C.CFUNCTYPE(None, C.c_int, C.c_char_p, C.c_void_p)
POINTER, INT, BOOL, TEXT = C.c_void_p, C.c_int32, C.c_bool, C.c_char_p
FLOATS, IDS = C.POINTER(C.c_float), C.POINTER(C.c_int32)
FUNCTIONS = {
    "llama_model_default_params": (Params, []),
    "llama_context_default_params": (Params, []),
    "llama_model_load_from_file": (POINTER, [TEXT, Params]),
    "llama_init_from_model": (POINTER, [POINTER, Params]),
    "llama_free": (None, [POINTER]),
    "llama_model_get_vocab": (POINTER, [POINTER]),
    "llama_vocab_n_tokens": (INT, [POINTER]),
    "llama_vocab_is_eog": (BOOL, [POINTER, INT]),
    "llama_model_n_ctx_train": (INT, [POINTER]),
    "llama_model_desc": (INT, [POINTER, TEXT, C.c_size_t]),
    "llama_model_meta_count": (INT, [POINTER]),
    "llama_model_meta_key_by_index": (INT, [POINTER, INT, TEXT, C.c_size_t]),
    "llama_model_meta_val_str_by_index": (INT, [POINTER, INT, TEXT, C.c_size_t]),
    "llama_model_chat_template": (TEXT, [POINTER, TEXT]),
    "llama_chat_apply_template": (INT, [TEXT, C.POINTER(Message), C.c_size_t, BOOL, TEXT, INT]),
    "llama_tokenize": (INT, [POINTER, TEXT, INT, IDS, INT, BOOL, BOOL]),
    "llama_detokenize": (INT, [POINTER, IDS, INT, TEXT, INT, BOOL, BOOL]),
    "llama_batch_init": (Batch, [INT, INT, INT]),
    "llama_decode": (INT, [POINTER, Batch]),
    "llama_get_logits_ith": (FLOATS, [POINTER, INT]),
    "llama_get_memory": (POINTER, [POINTER]),
    "llama_memory_clear": (None, [POINTER, BOOL]),
    "llama_print_system_info": (TEXT, []),
    "llama_version": (TEXT, []),
    "llama_log_set": (None, [LOG, POINTER]),
}


class Library:
    """The loaded libraries: the processor variant of ggml that fits this machine best, and llama."""

    def __init__(self, folder):
        base = C.CDLL(self._find(folder, "libggml-base"), mode=C.RTLD_GLOBAL)
        ggml = C.CDLL(self._find(folder, "libggml"), mode=C.RTLD_GLOBAL)
        self.llama = C.CDLL(self._find(folder, "libllama"), mode=C.RTLD_GLOBAL)
        for name, (result, arguments) in FUNCTIONS.items():
            function = getattr(self.llama, name)
            function.restype, function.argtypes = result, arguments
        self.said = []
        self._log = LOG(lambda level, text, _: self.said.append(text.decode(errors="replace")))
        self.llama.llama_log_set(self._log, None)
        base.ggml_log_set(self._log, None)
        ggml.ggml_backend_load_all_from_path(folder.encode())

    @staticmethod
    def _find(folder, stem):
        found = [p for p in sorted(glob.glob(f"{folder}/{stem}.*so*"))]
        if not found:
            raise Failure(f"{folder}: no {stem}")
        return found[0]

    def variant(self):
        loaded = [line for line in "".join(self.said).splitlines() if "loaded CPU backend from" in line]
        return os.path.basename(loaded[-1].split()[-1]) if loaded else "none"

    def describe(self):
        features = self.llama.llama_print_system_info().decode().split("|")
        on = [f.split("=")[0].split(":")[-1].strip() for f in features if f.strip().endswith("= 1")]
        return {"version": self.llama.llama_version().decode(), "variant": self.variant(), "features": on}

    def refused(self, what):
        last = [line for line in "".join(self.said).splitlines() if line.strip()][-6:]
        return Failure(f"llama.cpp refused {what}:\n  " + "\n  ".join(last))


class Model:
    def __init__(self, library, path):
        self.library, self.llama, self.path = library, library.llama, path
        if not os.path.isfile(path):
            raise Failure(f"{path}: no such file")
        self.model = self.llama.llama_model_load_from_file(os.fsencode(path), self.llama.llama_model_default_params())
        if not self.model:
            raise library.refused(path)
        self.vocab = self.llama.llama_model_get_vocab(self.model)
        self.n_vocab = self.llama.llama_vocab_n_tokens(self.vocab)

    def _string(self, function, *arguments):
        size = function(*arguments, None, 0) + 1
        room = C.create_string_buffer(max(size, 256))
        function(*arguments, room, len(room))
        return room.value.decode(errors="replace")

    def metadata(self):
        llama, model = self.llama, self.model
        key = lambda i: self._string(llama.llama_model_meta_key_by_index, model, i)
        value = lambda i: self._string(llama.llama_model_meta_val_str_by_index, model, i)
        return {key(i): value(i) for i in range(llama.llama_model_meta_count(model))}

    def tokens(self, text, add_special, parse_special):
        room = (C.c_int32 * (len(text) + 16))()
        count = self.llama.llama_tokenize(self.vocab, text, len(text), room, len(room), add_special, parse_special)
        if count < 0:
            raise Failure(f"{len(text)} bytes of text need {-count} tokens, room for {len(room)}")
        return list(room[:count])

    def text(self, ids):
        row = (C.c_int32 * len(ids))(*ids)
        room = C.create_string_buffer(64 * len(ids) + 64)
        count = self.llama.llama_detokenize(self.vocab, row, len(ids), room, len(room), False, True)
        return room.raw[:max(count, 0)].decode(errors="replace")

    def context(self, length, threads, exact, ctx=None):
        params = self.llama.llama_context_default_params()
        for name, (offset, default) in CONTEXT.items():
            if params.get(offset) != default:
                raise Failure(f"the library's context parameters have another layout: {name} at byte {offset} is "
                              f"{params.get(offset)}, expected {default}")
        values = {"n_ctx": ctx or length, "n_batch": length, "n_threads": threads, "n_threads_batch": threads}
        if exact:
            values |= {"type_k": F32, "type_v": F32, "flash_attn_type": 0, "n_ubatch": length}
        for name, value in values.items():
            params.put(CONTEXT[name][0], value)
        context = self.llama.llama_init_from_model(self.model, params)
        if not context:
            raise self.library.refused(f"a context of {length} tokens for {self.path}")
        return Context(self, context, length)


class Context:
    def __init__(self, model, context, length):
        self.model, self.llama, self.context = model, model.llama, context
        self.batch = self.llama.llama_batch_init(length, 0, 1)
        self.at = 0

    def feed(self, ids, every=False):
        """Runs `ids` after what is in the cache; logits of each position, or of the last only."""
        b = self.batch
        b.n_tokens = len(ids)
        for i, token in enumerate(ids):
            b.token[i], b.pos[i], b.n_seq_id[i], b.seq_id[i][0] = token, self.at + i, 1, 0
            b.logits[i] = every or i + 1 == len(ids)
        code = self.llama.llama_decode(self.context, b)
        if code != 0:
            raise self.model.library.refused(f"{len(ids)} tokens (code {code})")
        self.at += len(ids)

    def row(self, i):
        """The bytes of the logits of position `i` of the last batch: f32 [vocabulary]."""
        return C.string_at(self.llama.llama_get_logits_ith(self.context, i), 4 * self.model.n_vocab)

    def best(self, i=-1):
        """The most probable id, and by how much it leads."""
        row = memoryview(self.row(i)).cast("f")
        best = max(range(len(row)), key=row.__getitem__)
        rest = max((x for j, x in enumerate(row) if j != best), default=row[best])
        return best, row[best] - rest

    def clear(self):
        self.llama.llama_memory_clear(self.llama.llama_get_memory(self.context), True)
        self.at = 0


def ids_of(text):
    return [int(i) for i in text.split(",")]


def write_npy(path, rows, width):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({len(rows)}, {width}), }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + b"".join(rows))


def info(library, args):
    model = Model(library, args.model)
    desc = model._string(model.llama.llama_model_desc, model.model)
    return {**library.describe(), "desc": desc, "vocab": model.n_vocab, "metadata": model.metadata()}


def tokens(library, args):
    model = Model(library, args.model)
    raw = [bytes.fromhex(t["hex"]) if isinstance(t, dict) else t.encode("utf-8", "surrogatepass") for t in json.load(sys.stdin)]
    return {"ids": [model.tokens(t, args.add_special, args.parse_special) for t in raw]}


def logits(library, args):
    model = Model(library, args.model)
    ids = ids_of(args.tokens)
    context = model.context(len(ids), args.threads, exact=True, ctx=args.ctx)
    context.feed(ids, every=True)
    write_npy(args.out, [context.row(i) for i in range(len(ids))], model.n_vocab)
    return {"tokens": len(ids), "vocab": model.n_vocab, "out": args.out}


def greedy(library, args):
    model = Model(library, args.model)
    if args.tokens:
        prompt = ids_of(args.tokens)
    else:
        prompt = model.tokens(args.prompt.encode(), True, not args.plain)
    context = model.context(len(prompt) + args.n, args.threads, exact=True, ctx=args.ctx)
    ids, stopped, closest, step = [], None, float("inf"), prompt
    while len(ids) < args.n and stopped is None:
        context.feed(step)
        token, lead = context.best()
        closest = min(closest, lead)
        if model.llama.llama_vocab_is_eog(model.vocab, token):
            stopped = token
        else:
            ids.append(token)
        step = [token]
    return {"prompt": prompt, "ids": ids, "stopped": stopped, "closest": closest, "text": model.text(ids) if ids else ""}


def speed(library, args):
    model = Model(library, args.model)
    context = model.context(args.pp + args.tg, args.threads, exact=False)
    prompt = [(i * 7919) % model.n_vocab for i in range(args.pp)]
    context.feed(prompt[:8])  # first use maps the weights
    runs = []
    for _ in range(args.repeat):
        context.clear()
        began = time.perf_counter()
        context.feed(prompt)
        middle = time.perf_counter()
        for i in range(args.tg):
            context.feed([prompt[i % args.pp]])
        ended = time.perf_counter()
        runs.append({"prompt": args.pp / (middle - began), "decode": args.tg / (ended - middle)})
    median = lambda key: sorted(r[key] for r in runs)[len(runs) // 2]
    best = lambda key: max(r[key] for r in runs)
    return {**library.describe(), "threads": args.threads, "pp": args.pp, "tg": args.tg, "runs": runs,
            "prompt_tokens_per_second": median("prompt"), "decode_tokens_per_second": median("decode"),
            "best": {"prompt": best("prompt"), "decode": best("decode")}}


def template(library, args):
    model = Model(library, args.model)
    inside = model.llama.llama_model_chat_template(model.model, None)
    if args.messages is None:
        return {"template": inside.decode(errors="replace") if inside else None}
    if inside is None:
        raise Failure(f"{args.model} holds no chat template")
    said = json.loads(args.messages)
    rows = (Message * len(said))(*[Message(m["role"].encode(), m["content"].encode()) for m in said])
    room = C.create_string_buffer(sum(len(m["content"].encode()) for m in said) * 2 + 4096)
    count = model.llama.llama_chat_apply_template(inside, rows, len(said), True, room, len(room))
    if count < 0:
        raise Failure("the template is none of the library's built-in formats")
    return {"text": room.raw[:count].decode(errors="replace")}


def parser():
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--libraries", required=True)
    verbs = top.add_subparsers(required=True)

    def verb(run):
        sub = verbs.add_parser(run.__name__)
        sub.add_argument("model")
        sub.add_argument("--threads", type=int, default=2)
        sub.set_defaults(run=run)
        return sub

    verb(info)
    sub = verb(tokens)
    sub.add_argument("--add-special", action="store_true")
    sub.add_argument("--parse-special", action="store_true")
    sub = verb(logits)
    sub.add_argument("--tokens", required=True)
    sub.add_argument("--out", required=True)
    sub.add_argument("--ctx", type=int, help="length of the context (default: the tokens)")
    sub = verb(greedy)
    sub.add_argument("--prompt", default="")
    sub.add_argument("--tokens")
    sub.add_argument("--plain", action="store_true", help="special tokens in the prompt are text")
    sub.add_argument("-n", type=int, default=64)
    sub.add_argument("--ctx", type=int)
    sub = verb(speed)
    for name, default in [("--pp", 256), ("--tg", 64), ("--repeat", 3)]:
        sub.add_argument(name, type=int, default=default)
    verb(template).add_argument("--messages")
    return top


def main(words):
    args = parser().parse_args(words)
    print(json.dumps(args.run(Library(args.libraries), args), ensure_ascii=False))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Failure as failure:
        print(f"llamacpp: {failure}", file=sys.stderr)
        sys.exit(1)
