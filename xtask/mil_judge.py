#!/usr/bin/env python3
"""Compares our MIL with coremltools', operation by operation: inferred types, computed values, weight files.

    python xtask/mil_judge.py target/debug/examples/judge [--cases N] [--only OP] [--seed S]

For every operation that coremltools defines and our table has, cases are generated at random. Types: both sides must infer
the same result types, and refuse the same arguments, of which every second case is made wrong on purpose. Values: ours in
f64 and in f32 against coremltools' value inference in f32 (or, where it has none, against a NumPy reference here), and ours
rounded to fp16 against that. Weight files: ours must be those of coremltools' writer, byte for byte, and each must read the
other's. Exit 1 where anything differs that is not in the list of known differences, with its reason.
"""

import argparse
import collections
import logging
import os
import pathlib
import subprocess
import sys
import tempfile
import warnings

logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")

import numpy as np
import coremltools as ct
from coremltools.converters.mil.mil import Builder as mb, Function, types

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from mil_cases import GENERATORS, KNOWN, reference, wrong

F16 = types.fp16
NAMES = {np.dtype(np.float16): "fp16", np.dtype(np.float32): "fp32", np.dtype(np.int32): "int32", np.dtype(bool): "bool",
         np.dtype(np.int8): "int8", np.dtype(np.uint8): "uint8", np.dtype(np.uint16): "uint16", np.dtype(np.int16): "int16",
         np.dtype(np.uint32): "uint32"}
KINDS = {"fp16": types.fp16, "fp32": types.fp32, "int32": types.int32, "bool": types.bool, "int8": types.int8,
         "uint8": types.uint8, "uint16": types.uint16, "int16": types.int16, "uint32": types.uint32}


class Ours:
    """The example `judge`, spoken to in frames."""

    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def frame(self):
        size = self.process.stdout.read(8)
        if len(size) < 8:
            sys.exit("judge: our side ended")
        return self.process.stdout.read(int.from_bytes(size, "little"))

    def ask(self, *frames):
        for frame in frames:
            frame = frame if isinstance(frame, bytes) else str(frame).encode()
            self.process.stdin.write(len(frame).to_bytes(8, "little") + frame)
        self.process.stdin.flush()
        return self.frame() == b"ok"

    def check(self, text):
        fine = self.ask("check", text)
        return fine, self.frame().decode()

    def run(self, profile, text, inputs, blob=b""):
        if not self.ask("run", profile, text, blob, len(inputs), *[i.tobytes() for i in inputs]):
            return None, self.frame().decode()
        outputs = []
        for _ in range(int(self.frame())):
            kind = self.frame().decode()
            outputs.append((kind, np.frombuffer(self.frame(), np.float64)))
        return outputs, ""


def typed(kind, shape):
    return f"tensor<{kind}, [{', '.join(map(str, shape))}]>" if len(shape) else kind


def number(x):
    x = x.item() if hasattr(x, "item") else x
    if isinstance(x, bool):
        return "true" if x else "false"
    return float(x).hex() if isinstance(x, float) else str(x)


def literal(value):
    """A constant as text; a number's type is that of its NumPy type."""
    if isinstance(value, str):
        return f'string("{value}")'
    if isinstance(value, (bool, int)):
        value = np.array(value, bool if isinstance(value, bool) else np.int32)
    value = np.asarray(value)
    body = ", ".join(number(v) for v in value.ravel())
    kind = typed(NAMES[value.dtype], value.shape)
    return f"{kind}([{body}])" if value.ndim else f"{kind}({body})"


def program(op, case, results):
    """Text of a function that applies `op`: tensors are inputs, except those that must be constant."""
    inputs, arguments, attributes, lines = [], [], [], []
    for name, value in {**case.tensors, **case.constants}.items():
        values = value if isinstance(value, tuple) else (value,)
        names = [f"v_{name}_{i}" for i in range(len(values))]
        if op.startswith("constexpr_"):
            attributes.append(f"{name} = {literal(value)}")
            continue
        for n, v in zip(names, values):
            if name in case.tensors and name not in case.fixed:
                inputs.append((n, v))
            else:
                text = literal(v)
                lines.append(f'{text[: text.index("(")]} {n} = const()[name = string("{n}"), val = {text}];')
        arguments.append(f"{name} = ({', '.join(names)})" if isinstance(value, tuple) else f"{name} = {names[0]}")
    outputs = ", ".join(f"{kind} y_{i}" for i, kind in enumerate(results))
    attributes.append('name = string("y_0")')
    lines.append(f"{outputs} = {op}({', '.join(arguments)})[{', '.join(attributes)}];")
    parameters = ", ".join(f"{typed(NAMES[v.dtype], v.shape)} {n}" for n, v in inputs)
    names = ", ".join(f"y_{i}" for i in range(len(results)))
    body = "\n".join(lines)
    return f"program(1.3)\n{{\nfunc main<ios18>({parameters}) {{\n{body}\n}} -> ({names});\n}}\n", [v for _, v in inputs]


def theirs(op, case, folded):
    """What coremltools makes of it: types of the results, and their values where it was given values and knows how."""
    variables = {}
    placeholders = {}
    for name, value in case.tensors.items():
        values = value if isinstance(value, tuple) else (value,)
        for i, v in enumerate(values):
            if not folded and name not in case.fixed and v.ndim:
                placeholders[f"{name}_{i}"] = mb.placeholder(v.shape, dtype=KINDS[NAMES[v.dtype]])
    with Function(placeholders, opset_version=ct.target.iOS18) as function:
        for name, value in case.tensors.items():
            values = value if isinstance(value, tuple) else (value,)
            held = [function.inputs.get(f"{name}_{i}", v if v.ndim else v[()]) for i, v in enumerate(values)]
            variables[name] = held if isinstance(value, tuple) else held[0]
        result = getattr(mb, op)(**variables, **case.constants)
    results = list(result) if isinstance(result, (list, tuple)) else [result]
    kinds = []
    for r in results:
        kind = next((n for n, t in KINDS.items() if t == r.dtype), str(r.dtype))
        kinds.append(typed(kind, r.shape))
    values = [r.val for r in results]
    if values[0] is None and hasattr(results[0].op, "materialized_val_inference"):
        made = results[0].op.materialized_val_inference()
        values = list(made) if isinstance(made, tuple) else [made]
    return kinds, values


def attempt(op, case, folded):
    try:
        return theirs(op, case, folded), ""
    except Exception as error:  # whatever it is that refuses the case
        return None, f"{type(error).__name__}: {error}"


def judge_types(ours, op, case):
    made, reason = attempt(op, case, folded=False)
    kinds = made[0] if made else ["tensor<fp16, [9, 9, 9, 9, 9, 9, 9]>"]
    text, _ = program(op, case, kinds)
    fine, message = ours.check(text)
    if made and not fine:
        return f"coremltools infers {', '.join(kinds)}; ours: {message}"
    if not made and (fine or "is declared" in message):
        return f"coremltools refuses ({reason}); ours: {message[:120]}"
    if made and fine and len(kinds) == 1:
        text, _ = program(op, case, ["tensor<fp16, [9, 9, 9, 9, 9, 9, 9]>"])
        if ours.check(text)[0]:
            return "ours accepts any declared type"
    return None


def close(found, expected, step):
    """Within a few steps of the expected magnitude; equal where that is not finite."""
    expected = np.asarray(expected, np.float64).ravel()
    if found.shape != expected.shape:
        return False
    both = np.isfinite(found) & np.isfinite(expected)
    scale = np.max(np.abs(expected[np.isfinite(expected)]), initial=1e-3)
    apart = np.abs(found - expected)[both] <= step * np.maximum(np.abs(expected[both]), 0.01 * scale) + 1e-7 * scale
    return bool(np.all(apart)) and np.array_equal(found[~both], expected[~both], equal_nan=True)


def rounded(values):
    with np.errstate(over="ignore"):
        return np.asarray(values, np.float64).astype(np.float16).astype(np.float64)


def judge_values(ours, op, case):
    """Counts as judged when there is something to compare with."""
    made, reason = attempt(op, case, folded=True)
    if made is None:
        return None, False
    kinds, values = made
    known = reference(op, case)
    values = known if known is not None else values
    if values is None or any(v is None for v in values):
        return None, False
    text, inputs = program(op, case, kinds)
    for profile, step in (("f64", 4e-6), ("exact", 2e-5)):
        outputs, message = ours.run(profile, text, inputs)
        if outputs is None and "the interpreter has no operation" in message:
            return None, False
        if outputs is None:
            return f"ours ({profile}): {message}", True
        for (_, found), expected in zip(outputs, values):
            if not close(found, expected, step):
                return f"{profile}: {found.ravel()[:6]} instead of {np.asarray(expected, float).ravel()[:6]}", True
    half = None if op == "cast" else case.half()
    if half is not None and all("fp32" in k for k in kinds):
        text, inputs = program(op, half, [k.replace("fp32", "fp16") for k in kinds])
        outputs, message = ours.run("exact", text, inputs)
        if outputs is None:
            return f"ours (fp16): {message}", True
        for (_, found), expected in zip(outputs, values):
            if not np.array_equal(rounded(found), found, equal_nan=True) or not close(found, rounded(expected), 1.1e-3):
                return f"fp16: {found.ravel()[:6]} instead of {rounded(expected).ravel()[:6]}", True
    return None, True


def judge_files(ours):
    """Weight files of both, for every type that both write."""
    try:
        from coremltools import libmilstoragepython as library
    except ImportError as error:
        print(f"SKIPPED: weight files of coremltools: {error}")
        return []
    random = np.random.default_rng(5)
    methods = {"fp16": ("fp16", np.uint16), "fp32": ("float", np.float32), "int8": ("int8", np.int8), "uint8": ("uint8", np.uint8),
               "int16": ("int16", np.int16), "uint16": ("uint16", np.uint16), "int32": ("int32", np.int32),
               "uint32": ("uint32", np.uint32)}
    failures, files = [], 0
    with tempfile.TemporaryDirectory() as folder:
        for round_ in range(40):
            path = os.path.join(folder, f"{round_}.bin")
            writer = library._BlobStorageWriter(path)
            records, offsets = [], []
            for kind in random.choice(list(methods), random.integers(1, 6)):
                method, dtype = methods[kind]
                data = random.integers(0, 100, random.integers(1, 200)).astype(dtype)
                offsets.append(getattr(writer, f"write_{method}_data")(data))
                records.append((kind, data))
            del writer
            file = pathlib.Path(path).read_bytes()
            frames = [part for kind, data in records for part in (kind, str(len(data)), data.tobytes())]
            fine = ours.ask("write", len(records), *frames)
            written = ours.frame()
            files += 1
            if not fine or written != file:
                failures.append(f"weight file {round_}: {[k for k, _ in records]}: not the same bytes")
            for (kind, data), offset in zip(records, offsets):
                fine = ours.ask("read", kind, str(len(data)), offset, file)
                if (ours.frame() != data.tobytes()) or not fine:
                    failures.append(f"weight file {round_}: {kind} at {offset} reads otherwise")
            pathlib.Path(path).write_bytes(written)
            reader = library._BlobStorageReader(path)
            for (kind, data), offset in zip(records, offsets):
                back = getattr(reader, f"read_{methods[kind][0]}_data")(offset)
                if np.asarray(back).tobytes() != data.tobytes():
                    failures.append(f"weight file {round_}: coremltools reads our {kind} at {offset} otherwise")
    print(f"weight files: {files} written by both, read by each other, {len(failures)} differ")
    return failures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("judge")
    parser.add_argument("--cases", type=int, default=30)
    parser.add_argument("--only")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    ours = Ours(options.judge)
    failures, excused, tally = [], collections.Counter(), collections.Counter()
    for op in [options.only] if options.only else sorted(GENERATORS):
        random = np.random.default_rng([options.seed, *op.encode()])
        valued = 0
        for i in range(options.cases):
            case = GENERATORS[op](random)
            outcomes = [("types", judge_types(ours, op, case))]
            tally["types"] += 1
            failure, judged = judge_values(ours, op, case)
            valued += judged
            outcomes.append(("values", failure))
            mistaken = wrong(random, case)
            outcomes.append(("wrong arguments", judge_types(ours, op, mistaken)))
            tally["wrong"] += 1
            for what, failure in outcomes:
                excuse = next((k for k in KNOWN if failure and k[0] in (op, "*") and k[1] in failure), None)
                if excuse:
                    excused[excuse[2]] += 1
                elif failure:
                    shown = mistaken if what == "wrong arguments" else case
                    failures.append(f"{op}: {what}: {failure}\n    {shown}")
        tally["values"] += valued
        tally["operations"] += 1
        if not valued:
            print(f"{op}: no value to compare with: types alone")
    if not options.only:
        failures += judge_files(ours)
    ours.ask("operations")
    rest = [op for op in ours.frame().decode().split() if op not in GENERATORS and hasattr(mb, op)]
    print(f"not judged, though coremltools has them: {', '.join(rest)}")
    for reason, count in sorted(excused.items()):
        print(f"known difference, {count} cases: {reason}")
    shown = collections.Counter()
    for failure in failures:
        op = failure.split(":")[0]
        shown[op] += 1
        if shown[op] <= 4:
            print(failure)
    print(f"mil judge: {tally['operations']} operations, {tally['types']} cases of types, {tally['wrong']} of wrong arguments, "
          f"{tally['values']} of values; {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
