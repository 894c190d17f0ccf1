"""Random arguments for operations, NumPy's opinion where coremltools has none, and the differences that are known."""

import copy
import itertools

import numpy as np

F = np.float32


class Case:
    """Arguments: `tensors` are inputs, except those named in `fixed`, which must be constants; a tuple is several."""

    def __init__(self, tensors, constants=None, fixed=()):
        self.tensors, self.constants, self.fixed = tensors, constants or {}, set(fixed)

    def half(self):
        """The same in fp16; none where a number would change by it."""
        def narrow(value):
            if isinstance(value, tuple):
                return tuple(narrow(v) for v in value)
            return value.astype(np.float16) if getattr(value, "dtype", None) == F else value

        tensors = {k: narrow(v) for k, v in self.tensors.items()}
        constants = {k: narrow(v) for k, v in self.constants.items()}
        whole = itertools.chain(self.tensors.values(), self.constants.values())
        flat = [v for w in whole for v in (w if isinstance(w, tuple) else (w,)) if getattr(v, "dtype", None) == F]
        exact = all(np.array_equal(v.astype(np.float16).astype(F), v) for v in flat)
        return Case(tensors, constants, self.fixed) if exact else None

    def __str__(self):
        def shown(v):
            if isinstance(v, tuple):
                return "(" + ", ".join(map(shown, v)) + ")"
            return f"{v.dtype}{list(v.shape)}" if getattr(v, "ndim", 0) else repr(v)

        return ", ".join(f"{k}={shown(v)}" for k, v in {**self.tensors, **self.constants}.items())


def shape(r, low=1, high=4, most=5):
    return tuple(int(n) for n in r.integers(1, most + 1, r.integers(low, high + 1)))


def floats(r, extents, low=-3.0, high=3.0):
    """Numbers that fp16 has."""
    return r.uniform(low, high, extents).astype(np.float16).astype(F).reshape(extents)


def half(x):
    return F(np.float16(x))


def ints(r, extents, low=-5, high=6):
    return r.integers(low, high, extents).astype(np.int32).reshape(extents)


def partner(r, extents):
    """A shape that goes with `extents`."""
    other = tuple(e if r.random() < 0.7 else 1 for e in extents)
    return other[r.integers(0, len(other)):] if r.random() < 0.3 else other


def vector(values):
    return np.array(values, np.int32)


def maybe(r, **constants):
    """Each with one chance in two."""
    return {k: v for k, v in constants.items() if r.random() < 0.5}


def unary(low=-3.0, high=3.0, **given):
    return lambda r: Case({"x": floats(r, shape(r), low, high)}, {k: half(r.uniform(*v)) for k, v in given.items() if r.random() < 0.6})


def required(low, high, **given):
    return lambda r: Case({"x": floats(r, shape(r), low, high)}, {k: half(r.uniform(*v)) for k, v in given.items()})


def signed(r):
    extents = shape(r)
    return Case({"x": floats(r, extents) if r.random() < 0.7 else ints(r, extents)})


def binary(r, low=-3.0, high=3.0, whole=True):
    extents = shape(r)
    others = [extents, partner(r, extents)]
    r.shuffle(others)
    make = (lambda e: floats(r, e, low, high)) if not whole or r.random() < 0.7 else lambda e: ints(r, e, 1, 9)
    return Case({"x": make(others[0]), "y": make(others[1])})


def away(r):
    """Divisors far from zero."""
    case = binary(r, 0.5, 4.0)
    flip = r.choice([-1, 1], case.tensors["x"].shape).astype(case.tensors["x"].dtype)
    case.tensors["x"] = (case.tensors["x"] * flip).reshape(flip.shape)
    return case


def equalish(r):
    case = binary(r)
    return Case({k: np.round(v).astype(v.dtype) for k, v in case.tensors.items()})


def logical(r):
    extents = shape(r)
    return Case({"x": r.random(extents) < 0.5, "y": r.random(partner(r, extents)) < 0.5})


def select(r):
    extents = shape(r)
    return Case({"cond": r.random(extents) < 0.5, "a": floats(r, extents), "b": floats(r, extents)})


def per_channel(*names):
    def make(r):
        extents = shape(r, 3, 4)
        return Case({"x": floats(r, extents)}, {n: floats(r, (extents[1],), 0.25, 2.0) for n in names})
    return make


def axis_of(r, rank):
    return int(r.integers(-rank, rank))


def reduction(low=-3.0, high=3.0, whole=False):
    def make(r):
        extents = shape(r)
        rank = len(extents)
        axes = r.choice(rank, r.integers(1, rank + 1), replace=False)
        axes = vector([a - rank if r.random() < 0.5 else a for a in axes])
        x = ints(r, extents) if whole and r.random() < 0.3 else floats(r, extents, low, high)
        return Case({"x": x}, maybe(r, axes=axes, keep_dims=bool(r.random() < 0.5)))
    return make


def placed(r):
    x = floats(r, shape(r))
    return Case({"x": x}, maybe(r, axis=axis_of(r, x.ndim), keep_dims=bool(r.random() < 0.5)))


def matmul(r):
    m, n, k = (int(v) for v in r.integers(1, 20, 3))
    batch = shape(r, 0, 2, 3)
    tx, ty = bool(r.random() < 0.5), bool(r.random() < 0.5)
    x = floats(r, batch + ((k, m) if tx else (m, k)))
    y = floats(r, (partner(r, batch) if batch else ()) + ((n, k) if ty else (k, n)))
    return Case({"x": x, "y": y}, {"transpose_x": tx, "transpose_y": ty} if tx or ty else maybe(r, transpose_x=False))


def linear(r):
    batch, k, n = shape(r, 1, 2), int(r.integers(1, 9)), int(r.integers(1, 9))
    return Case({"x": floats(r, batch + (k,))}, {"weight": floats(r, (n, k)), **maybe(r, bias=floats(r, (n,)))})


def einsum(r):
    extents = dict(zip("nchwu", (int(v) for v in r.integers(1, 6, 5))))
    equation = str(r.choice(["nchw,nwhu->nchu", "chw,whu->chu", "nchw,nchu->nhwu"][:2]))
    left, right = equation.split("->")[0].split(",")
    return Case({"values": tuple(floats(r, tuple(extents[c] for c in t)) for t in (left, right))}, {"equation": equation})


def windows(r, spatial, extents, kernel):
    strides, dilations = r.integers(1, 4, spatial), r.integers(1, 3, spatial)
    kind = str(r.choice(["valid", "custom", "same", "same_lower"]))
    covered = (np.array(kernel) - 1) * dilations + 1
    if kind in ("valid", "custom"):
        dilations = np.where(covered > np.array(extents), 1, dilations)
    constants = {"pad_type": kind, **maybe(r, strides=vector(strides))}
    if kind == "custom":
        constants["pad"] = vector(r.integers(0, 3, 2 * spatial))
    return constants, vector(dilations)


def conv(r):
    spatial, groups = int(r.integers(1, 4)), int(r.choice([1, 1, 2, 3]))
    cin, cout = groups * int(r.integers(1, 4)), groups * int(r.integers(1, 4))
    extents = tuple(int(v) for v in r.integers(3, 8, spatial))
    kernel = tuple(int(v) for v in r.integers(1, 4, spatial))
    constants, dilations = windows(r, spatial, extents, kernel)
    constants |= maybe(r, dilations=dilations, bias=floats(r, (cout,)))
    constants |= {"groups": groups} if groups > 1 else maybe(r, groups=1)
    weight = floats(r, (cout, cin // groups) + kernel)
    return Case({"x": floats(r, (int(r.integers(1, 3)), cin) + extents), "weight": weight}, constants, ["weight"])


def conv_transpose(r):
    spatial, groups = int(r.integers(1, 3)), int(r.choice([1, 2]))
    cin, cout = groups * int(r.integers(1, 3)), groups * int(r.integers(1, 3))
    kernel = tuple(int(v) for v in r.integers(1, 4, spatial))
    kind = str(r.choice(["valid", "custom"]))
    constants = {"pad_type": kind, "groups": groups, **maybe(r, strides=vector(r.integers(1, 3, spatial)), bias=floats(r, (cout,)))}
    constants |= maybe(r, dilations=vector(r.integers(1, 3, spatial)))
    if kind == "custom":
        constants["pad"] = vector(r.integers(0, 2, 2 * spatial))
    extents = tuple(int(v) for v in r.integers(3, 6, spatial))
    return Case({"x": floats(r, (1, cin) + extents), "weight": floats(r, (cin, cout // groups) + kernel)}, constants, ["weight"])


def pool(**more):
    def make(r):
        spatial = int(r.integers(1, 3))
        extents = tuple(int(v) for v in r.integers(4, 8, spatial))
        kernel = tuple(int(v) for v in r.integers(1, 4, spatial))
        constants, _ = windows(r, spatial, extents, kernel)
        if "pad" in constants:
            constants["pad"] = np.minimum(constants["pad"], np.repeat(vector(kernel) - 1, 2)).astype(np.int32)
        constants["kernel_sizes"] = vector(kernel)
        constants |= maybe(r, **{k: bool(r.random() < 0.5) for k in more})
        return Case({"x": floats(r, (2, int(r.integers(1, 4))) + extents)}, constants)
    return make


def attention(r):
    batch, (l, s, e, v) = shape(r, 1, 2, 3), (int(n) for n in r.integers(1, 7, 4))
    tensors = {"query": floats(r, batch + (l, e)), "key": floats(r, batch + (s, e)), "value": floats(r, batch + (s, v))}
    if r.random() < 0.3:
        tensors["attn_mask"] = floats(r, (l, s))
    elif r.random() < 0.5:
        tensors["attn_mask"] = (r.random((l, s)) < 0.6) | (np.arange(s) == 0)
    return Case(tensors)


def layer_norm(r):
    x = floats(r, shape(r, 2, 4))
    first = int(r.integers(0, x.ndim))
    axes = vector(range(first, x.ndim))
    own = x.shape[first:]
    constants = {"axes": axes, **maybe(r, epsilon=half(r.uniform(0.01, 0.1)))}
    if r.random() < 0.7:
        constants |= {"gamma": floats(r, own), "beta": floats(r, own)}
    return Case({"x": x}, constants)


def normed(*names):
    def make(r):
        x = floats(r, shape(r, 4, 4))
        c = (x.shape[1],)
        constants = {n: floats(r, c, 0.25, 2.0) for n in names}
        if r.random() < 0.7:
            constants |= {"gamma": floats(r, c), "beta": floats(r, c)}
        return Case({"x": x}, {**constants, **maybe(r, epsilon=half(0.01))})
    return make


def reshape(r):
    x = floats(r, shape(r))
    sizes = [int(p) for p in r.permutation(x.shape)] + ([1] if r.random() < 0.3 else [])
    if r.random() < 0.4:
        sizes[int(r.integers(0, len(sizes)))] = -1
    return Case({"x": x}, {"shape": vector(sizes)})


def concat(r):
    first = shape(r)
    axis, same = axis_of(r, len(first)), bool(r.random() < 0.3)
    parts = []
    for _ in range(int(r.integers(1, 4))):
        extents = list(first)
        if not same:
            extents[axis] = int(r.integers(1, 5))
        parts.append(floats(r, tuple(extents)))
    return Case({"values": tuple(parts)}, {"axis": axis, **({"interleave": True} if same else {})})


def stack(r):
    extents = shape(r, 1, 3)
    return Case({"values": tuple(floats(r, extents) for _ in range(int(r.integers(1, 4))))}, {"axis": axis_of(r, len(extents) + 1)})


def split(r):
    x = floats(r, shape(r, most=6))
    axis = axis_of(r, x.ndim)
    n = x.shape[axis]
    if r.random() < 0.5:
        parts = int(r.choice([d for d in range(1, n + 1) if n % d == 0]))
        return Case({"x": x}, {"num_splits": parts, "axis": axis})
    cut = int(r.integers(0, n))
    return Case({"x": x}, {"split_sizes": vector([cut, n - cut] if cut else [n]), "axis": axis})


def expand_dims(r):
    x = floats(r, shape(r, 1, 3))
    rank = x.ndim + int(r.integers(1, 3))
    axes = r.choice(rank, rank - x.ndim, replace=False)
    return Case({"x": x}, {"axes": vector(sorted(a - rank if r.random() < 0.3 else a for a in axes))})


def squeeze(r):
    extents = list(shape(r, 2, 4, 3))
    extents[int(r.integers(0, len(extents)))] = 1
    ones = [i for i, e in enumerate(extents) if e == 1]
    if len(ones) == len(extents):
        extents.append(3)
    return Case({"x": floats(r, tuple(extents))}, maybe(r, axes=vector(ones[:1])))


def slice_by_size(r):
    x = floats(r, shape(r))
    begin = [int(r.integers(0, e)) for e in x.shape]
    size = [-1 if r.random() < 0.2 else int(r.integers(1, e - b + 1)) for e, b in zip(x.shape, begin)]
    return Case({"x": x}, {"begin": vector(begin), "size": vector(size)})


def slice_by_index(r):
    x = floats(r, shape(r, most=6))
    begin, end, stride, squeezed = [], [], [], []
    for e in x.shape:
        a, b = sorted(int(v) for v in r.choice(e + 1, 2, replace=False))
        backwards = r.random() < 0.2 and a > 0
        a, b, s = (b - 1, a - 1, -int(r.integers(1, 3))) if backwards else (a, b, int(r.integers(1, 3)))
        begin.append(a - e if r.random() < 0.3 and a < e else a)
        end.append(b - e if r.random() < 0.3 and 0 < b < e else b)
        stride.append(s)
        squeezed.append(bool(r.random() < 0.15))
    flags = lambda p: np.array([bool(r.random() < p) for _ in x.shape])
    if all(squeezed):
        squeezed[0] = False
    stride = [1 if s else v for v, s in zip(stride, squeezed)]
    masks = maybe(r, end_mask=flags(0.3) & ~np.array(squeezed), begin_mask=flags(0.3) & ~np.array(squeezed))
    if any(squeezed):
        masks["squeeze_mask"] = np.array(squeezed)
    return Case({"x": x}, {"begin": vector(begin), "end": vector(end), "stride": vector(stride), **masks})


def slice_update(r):
    case = slice_by_size(r)
    x, begin, size = case.tensors["x"], case.constants["begin"], case.constants["size"]
    size = np.where(size < 0, np.array(x.shape) - begin, size)
    return Case({"x": x, "update": floats(r, tuple(int(s) for s in size))}, {"begin": begin, "end": vector(begin + size)})


def pad(r):
    x = floats(r, shape(r, 2, 4, 4))
    mode = str(r.choice(["constant", "reflect", "replicate"]))
    axes = 1 if mode != "constant" else int(r.integers(1, x.ndim + 1))
    sides = [int(r.integers(0, x.shape[-axes + i // 2])) for i in range(2 * axes)]
    constants = {"pad": vector(sides), "mode": mode}
    return Case({"x": x}, {**constants, **({"constant_val": half(1.5)} if mode == "constant" else {})})


def gather(r):
    x = floats(r, shape(r))
    axis = axis_of(r, x.ndim)
    return Case({"x": x, "indices": ints(r, shape(r, 1, 2), 0, x.shape[axis])}, {"axis": axis})


def ordered(**more):
    def make(r):
        extents = shape(r)
        # no two alike: NumPy's order of equal elements is not stable
        x = (r.permutation(int(np.prod(extents))) / 8).astype(F).reshape(extents)
        axis = axis_of(r, x.ndim)
        constants = {"axis": axis, **maybe(r, ascending=bool(r.random() < 0.5))}
        return Case({"x": x}, constants | ({"k": int(r.integers(1, x.shape[axis] + 1))} if more else {}))
    return make


def cumsum(r):
    x = floats(r, shape(r))
    return Case({"x": x}, {"axis": int(r.integers(0, x.ndim)), **maybe(r, exclusive=bool(r.random() < 0.5), reverse=bool(r.random() < 0.5))})


def blocks(name, down, kind=int):
    def make(r):
        b = int(r.integers(2, 4))
        n, c, h, w = (int(v) for v in r.integers(1, 4, 4))
        extents = (n, c, h * b, w * b) if down else (n, c * b * b, h, w)
        return Case({"x": floats(r, extents)}, {name: kind(b)})
    return make


def space_to_batch(r):
    b, (h, w) = r.integers(1, 4, 2), r.integers(1, 4, 2)
    edges = r.integers(0, 2, (2, 2))
    extents = [int(e * s) + int(s) * 2 - int(p.sum()) for e, s, p in zip((h, w), b, edges)]
    return Case({"x": floats(r, (2, 3, *extents))}, {"block_shape": vector(b), "paddings": edges.astype(np.int32)})


def batch_to_space(r):
    b = r.integers(1, 4, 2)
    x = floats(r, (int(b.prod()) * 2, 2, int(r.integers(3, 5)), int(r.integers(3, 5))))
    return Case({"x": x}, {"block_shape": vector(b), "crops": r.integers(0, 2, (2, 2)).astype(np.int32)})


def along(r):
    x = floats(r, shape(r))
    axis = axis_of(r, x.ndim)
    return Case({"x": x, "indices": ints(r, x.shape, 0, x.shape[axis])}, {"axis": axis})


def quantize(r):
    x = floats(r, shape(r), -20, 20)
    kind = str(r.choice(["int8", "uint8"]))
    dtype = np.dtype(kind).type
    zero = lambda n: np.array(r.integers(0, 20, n), dtype)
    if r.random() < 0.5:
        return Case({"input": x}, {"scale": half(2.0 ** -r.integers(0, 4)), "output_dtype": kind, **maybe(r, zero_point=zero(()).item() * dtype(1))})
    axis = axis_of(r, x.ndim)
    n = x.shape[axis]
    scale = (2.0 ** -r.integers(0, 4, n)).astype(F)
    return Case({"input": x}, {"scale": scale, "axis": axis, "output_dtype": kind, **maybe(r, zero_point=zero(n))})


def bytes_of(r, extents):
    dtype = np.int8 if r.random() < 0.5 else np.uint8
    return r.integers(0, 100, extents).astype(dtype)


def dequantize(r):
    q = bytes_of(r, shape(r))
    axis = axis_of(r, q.ndim)
    n = q.shape[axis]
    if r.random() < 0.4:
        return Case({"input": q}, {"scale": half(0.25)}, ["input"])
    constants = {"scale": floats(r, (n,), 0.1, 2.0), "axis": axis, **maybe(r, zero_point=r.integers(0, 9, n).astype(q.dtype))}
    return Case({"input": q}, constants, ["input"])


def affine(r):
    q = bytes_of(r, shape(r))
    axis = axis_of(r, q.ndim)
    n = q.shape[axis]
    scale = half(0.25) if r.random() < 0.4 else floats(r, (n,), 0.1, 2.0)
    return Case({}, {"quantized_data": q, "scale": scale, "zero_point": q.dtype.type(3), "axis": axis})


def blockwise(r):
    scales, block = shape(r, 2, 3, 3), None
    block = tuple(int(b) for b in r.integers(1, 4, len(scales)))
    data = r.integers(0, 100, tuple(s * b for s, b in zip(scales, block))).astype(np.int8)
    return Case({}, {"data": data, "scale": floats(r, scales, 0.1, 2.0), **maybe(r, offset=r.integers(0, 9, scales).astype(np.int8))})


def fill(r):
    return Case({}, {"shape": vector(shape(r)), "value": half(1.25) if r.random() < 0.5 else np.int32(7)})


def range_1d(r):
    start, step, n = int(r.integers(-5, 5)), int(r.integers(1, 4)), int(r.integers(1, 9))
    step = -step if r.random() < 0.3 else step
    return Case({}, {"start": np.int32(start), "end": np.int32(start + n * step), "step": np.int32(step)})


def transpose(r):
    x = floats(r, shape(r, most=20))
    perm = [int(p) - x.ndim if r.random() < 0.2 else int(p) for p in r.permutation(x.ndim)]
    return Case({"x": x}, {"perm": vector(perm)})


def cast(r):
    kind = str(r.choice(["fp16", "fp32", "int32", "bool"]))
    source = int(r.integers(0, 3))
    extents = shape(r)
    x = [floats(r, extents), ints(r, extents), r.random(extents) < 0.5][source]
    return Case({"x": x}, {"dtype": kind})


def softmax(r):
    x = floats(r, shape(r, most=9))
    return Case({"x": x}, maybe(r, axis=axis_of(r, x.ndim)))


def plain(low=1, high=4, **constants):
    return lambda r: Case({"x": floats(r, shape(r, low, high))}, maybe(r, **constants))


def tile(r):
    x = floats(r, shape(r, 1, 4, 3))
    return Case({"x": x}, {"reps": vector(r.integers(1, 4, x.ndim))})


def reverse(r):
    x = floats(r, shape(r))
    return Case({"x": x}, {"axes": vector(r.choice(x.ndim, r.integers(1, x.ndim + 1), replace=False))})


def crop(r):
    x = floats(r, (2, 2, int(r.integers(4, 8)), int(r.integers(4, 8))))
    return Case({"x": x}, {"crop_height": vector(r.integers(0, 2, 2)), "crop_width": vector(r.integers(0, 2, 2))})


def flatten2d(r):
    x = floats(r, shape(r, 2, 4))
    return Case({"x": x}, {"axis": int(r.integers(0, x.ndim))})


def pow_(r):
    case = binary(r, 0.25, 3.0, whole=False)
    return case


def local_response(r):
    return Case({"x": floats(r, shape(r, 3, 4))}, {"size": int(r.integers(1, 4)), "alpha": half(0.5), "beta": half(0.75), "k": half(1.0)})


GENERATORS = {
    "space_to_batch": space_to_batch, "batch_to_space": batch_to_space, "gather_along_axis": along, "shape": plain(),
    "band_part": lambda r: Case({"x": floats(r, shape(r, 2, 4))}, {"lower": int(r.integers(-1, 3)), "upper": int(r.integers(-1, 3))}),
    "fill_like": lambda r: Case({"ref_tensor": floats(r, shape(r))}, {"value": half(1.5)}),
    "abs": signed, "sign": signed, "square": signed,
    "acos": unary(-0.9, 0.9), "asin": unary(-0.9, 0.9), "atanh": unary(-0.9, 0.9), "atan": unary(), "ceil": unary(), "floor": unary(),
    "round": unary(), "cos": unary(), "sin": unary(), "tan": unary(-1.2, 1.2), "cosh": unary(), "sinh": unary(), "exp": unary(),
    "exp2": unary(), "erf": unary(), "sqrt": unary(0.1, 9), "log": unary(0.1, 9, epsilon=(0.01, 0.1)),
    "rsqrt": unary(0.1, 9, epsilon=(0.01, 0.1)), "inverse": unary(0.1, 9, epsilon=(0.01, 0.1)), "tanh": unary(), "sigmoid": unary(),
    "relu": unary(), "relu6": unary(-3, 9), "silu": unary(), "softplus": unary(), "softsign": unary(),
    "clip": required(-3, 3, alpha=(-2, 0), beta=(0, 2)), "threshold": required(-3, 3, alpha=(-2, 2)),
    "elu": required(-3, 3, alpha=(0.1, 2)), "leaky_relu": required(-3, 3, alpha=(0.01, 1)), "thresholded_relu": required(-3, 3, alpha=(0, 2)),
    "linear_activation": required(-3, 3, alpha=(-2, 2), beta=(-2, 2)), "scaled_tanh": required(-3, 3, alpha=(0.5, 2), beta=(0.5, 2)),
    "sigmoid_hard": required(-3, 3, alpha=(0.1, 1), beta=(0, 1)), "clamped_relu": required(-3, 3, alpha=(0.1, 1), beta=(0.5, 2)),
    "prelu": per_channel("alpha"), "softplus_parametric": per_channel("alpha", "beta"),
    "gelu": lambda r: Case({"x": floats(r, shape(r))}, maybe(r, mode=str(r.choice(["EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"])))),
    "identity": plain(), "cast": cast, "logical_not": lambda r: Case({"x": r.random(shape(r)) < 0.5}),
    "add": binary, "sub": binary, "mul": binary, "maximum": binary, "minimum": binary, "pow": pow_,
    "real_div": lambda r: binary(r, 0.5, 4, whole=False), "floor_div": away, "mod": away,
    "equal": equalish, "not_equal": equalish, "greater": equalish, "greater_equal": equalish, "less": equalish, "less_equal": equalish,
    "logical_and": logical, "logical_or": logical, "logical_xor": logical, "select": select,
    "reduce_sum": reduction(whole=True), "reduce_mean": reduction(), "reduce_max": reduction(), "reduce_min": reduction(),
    "reduce_prod": reduction(0.5, 1.5), "reduce_sum_square": reduction(), "reduce_l1_norm": reduction(), "reduce_l2_norm": reduction(),
    "reduce_log_sum": reduction(0.1, 3), "reduce_log_sum_exp": reduction(), "reduce_argmax": placed, "reduce_argmin": placed,
    "matmul": matmul, "linear": linear, "einsum": einsum, "scaled_dot_product_attention": attention,
    "conv": conv, "conv_transpose": conv_transpose, "avg_pool": pool(exclude_padding_from_average=True), "max_pool": pool(), "l2_pool": pool(),
    "softmax": softmax, "layer_norm": layer_norm, "batch_norm": normed("mean", "variance"), "instance_norm": normed(),
    "l2_norm": plain(3, 4), "local_response_norm": local_response,
    "reshape": reshape, "transpose": transpose, "expand_dims": expand_dims, "squeeze": squeeze, "flatten2d": flatten2d, "concat": concat,
    "stack": stack, "split": split, "tile": tile, "reverse": reverse, "pad": pad, "crop": crop,
    "slice_by_size": slice_by_size, "slice_by_index": slice_by_index, "slice_update": slice_update, "gather": gather,
    "argsort": ordered(), "topk": ordered(k=True), "cumsum": cumsum, "fill": fill, "range_1d": range_1d,
    "depth_to_space": blocks("block_size", False), "pixel_shuffle": blocks("upscale_factor", False),
    "space_to_depth": blocks("block_size", True), "pixel_unshuffle": blocks("downscale_factor", True, np.uint32),
    "quantize": quantize, "dequantize": dequantize, "constexpr_affine_dequantize": affine, "constexpr_blockwise_shift_scale": blockwise,
}


def wrong(r, case):
    """The case with one thing changed, which most operations refuse."""
    changed = copy.deepcopy(case)
    numbers = [k for k, v in case.constants.items() if isinstance(v, (int, np.ndarray)) and not isinstance(v, bool) and getattr(v, "dtype", np.int32) == np.int32 and getattr(v, "ndim", 1) == 1]
    names = list(case.tensors)
    choice = r.random()
    if names and (choice < 0.4 or not numbers):
        name = names[int(r.integers(0, len(names)))]
        value = changed.tensors[name]
        i = int(r.integers(0, len(value))) if isinstance(value, tuple) else 0
        parts = list(value) if isinstance(value, tuple) else [value]
        if r.random() < 0.7:
            axis = int(r.integers(0, parts[i].ndim))
            parts[i] = np.concatenate([parts[i], parts[i].take([0], axis)], axis)
        else:
            parts[i] = parts[i][..., None]
        changed.tensors[name] = tuple(parts) if isinstance(value, tuple) else parts[i]
    elif numbers:
        name = numbers[int(r.integers(0, len(numbers)))]
        value = changed.constants[name]
        if isinstance(value, int):
            changed.constants[name] = value + int(r.choice([-7, 1, 7]))
        elif r.random() < 0.3:
            changed.constants[name] = vector(list(value) + [1])
        else:
            value = value.copy()
            value[int(r.integers(0, len(value)))] += int(r.choice([-7, 1, 7]))
            changed.constants[name] = value
    return changed


def pads(case, spatial, extents, kernel, strides, dilations):
    kind = case.constants.get("pad_type", "valid")
    if kind == "custom":
        flat = case.constants["pad"]
        return [(int(flat[2 * i]), int(flat[2 * i + 1])) for i in range(spatial)]
    if kind == "valid":
        return [(0, 0)] * spatial
    sides = []
    for e, k, s, d in zip(extents, kernel, strides, dilations):
        total = max(0, (-(-e // s) - 1) * s + (k - 1) * d + 1 - e)
        sides.append((total // 2, total - total // 2) if kind == "same" else (total - total // 2, total // 2))
    return sides


def unfolded(x, kernel, strides, dilations, sides, fill):
    """[n, c, out..., kernel...]"""
    x = np.pad(x, [(0, 0), (0, 0)] + sides, constant_values=fill)
    covered = [(k - 1) * d + 1 for k, d in zip(kernel, dilations)]
    spatial = tuple(range(2, x.ndim))
    view = np.lib.stride_tricks.sliding_window_view(x, covered, axis=spatial)
    view = view[(slice(None), slice(None)) + tuple(slice(None, None, s) for s in strides)]
    return view[(...,) + tuple(slice(None, None, d) for d in dilations)]


def window_arguments(case, kernel):
    spatial = len(kernel)
    strides = [int(s) for s in case.constants.get("strides", [1] * spatial)]
    dilations = [int(d) for d in case.constants.get("dilations", [1] * spatial)]
    extents = case.tensors["x"].shape[2:]
    return strides, dilations, pads(case, spatial, extents, kernel, strides, dilations)


def conv_reference(case):
    x, w = (case.tensors[n].astype(np.float64) for n in ("x", "weight"))
    groups, kernel = case.constants.get("groups", 1), w.shape[2:]
    strides, dilations, sides = window_arguments(case, kernel)
    parts = []
    for xg, wg in zip(np.split(x, groups, 1), np.split(w, groups, 0)):
        view = unfolded(xg, kernel, strides, dilations, sides, 0.0)
        spatial = len(kernel)
        axes = [1] + list(range(2 + spatial, 2 + 2 * spatial))
        parts.append(np.moveaxis(np.tensordot(view, wg, (axes, list(range(1, wg.ndim)))), -1, 1))
    out = np.concatenate(parts, 1)
    bias = case.constants.get("bias")
    return out if bias is None else out + bias.reshape((1, -1) + (1,) * len(kernel))


def conv_transpose_reference(case):
    x, w = (case.tensors[n].astype(np.float64) for n in ("x", "weight"))
    groups, kernel = case.constants.get("groups", 1), w.shape[2:]
    spatial = len(kernel)
    strides = [int(s) for s in case.constants.get("strides", [1] * spatial)]
    dilations = [int(d) for d in case.constants.get("dilations", [1] * spatial)]
    full = [(e - 1) * s + (k - 1) * d + 1 for e, s, k, d in zip(x.shape[2:], strides, kernel, dilations)]
    out = np.zeros((x.shape[0], w.shape[1] * groups, *full))
    cin, cout = x.shape[1] // groups, w.shape[1]
    for n, c in itertools.product(range(x.shape[0]), range(x.shape[1])):
        g = c // cin
        for at in itertools.product(*map(range, x.shape[2:])):
            place = tuple(slice(a * s, a * s + (k - 1) * d + 1, d) for a, s, k, d in zip(at, strides, kernel, dilations))
            out[(n, slice(g * cout, (g + 1) * cout)) + place] += x[(n, c) + at] * w[c]
    if case.constants.get("pad_type") == "custom":
        flat = case.constants["pad"]
        out = out[(slice(None), slice(None)) + tuple(slice(int(flat[2 * i]), f - int(flat[2 * i + 1])) for i, f in enumerate(full))]
    bias = case.constants.get("bias")
    return out if bias is None else out + bias.reshape((1, -1) + (1,) * spatial)


def pool_reference(op, case):
    x, kernel = case.tensors["x"].astype(np.float64), tuple(int(k) for k in case.constants["kernel_sizes"])
    strides, dilations, sides = window_arguments(case, kernel)
    axes = tuple(range(-len(kernel), 0))
    fill = -np.inf if op == "max_pool" else 0.0
    view = unfolded(x, kernel, strides, dilations, sides, fill)
    if op == "max_pool":
        return view.max(axes)
    if op == "l2_pool":
        return np.sqrt((view * view).sum(axes))
    if case.constants.get("exclude_padding_from_average", False):
        return view.sum(axes) / unfolded(np.ones_like(x), kernel, strides, dilations, sides, 0.0).sum(axes)
    return view.mean(axes)


def norm_reference(op, case):
    x = case.tensors["x"].astype(np.float64)
    column = lambda name, default: np.asarray(case.constants.get(name, np.full(x.shape[1], default))).reshape((1, -1) + (1,) * (x.ndim - 2))
    spatial = tuple(range(2, x.ndim))
    mean, variance = (column("mean", 0.0), column("variance", 1.0)) if op == "batch_norm" else (x.mean(spatial, keepdims=True), x.var(spatial, keepdims=True))
    return (x - mean) / np.sqrt(variance + float(case.constants.get("epsilon", 1e-5))) * column("gamma", 1.0) + column("beta", 0.0)


def space_reference(op, case):
    x, b = case.tensors["x"], next(iter(case.constants.values()))
    n, c, h, w = x.shape
    if op == "depth_to_space":
        return x.reshape(n, b, b, c // b**2, h, w).transpose(0, 3, 4, 1, 5, 2).reshape(n, c // b**2, h * b, w * b)
    if op == "pixel_shuffle":
        return x.reshape(n, c // b**2, b, b, h, w).transpose(0, 1, 4, 2, 5, 3).reshape(n, c // b**2, h * b, w * b)
    y = x.reshape(n, c, h // b, b, w // b, b)
    order = (0, 3, 5, 1, 2, 4) if op == "space_to_depth" else (0, 1, 3, 5, 2, 4)
    return y.transpose(order).reshape(n, c * b * b, h // b, w // b)


def batch_reference(op, case):
    x, (bh, bw) = case.tensors["x"], (int(b) for b in case.constants["block_shape"])
    if op == "space_to_batch":
        x = np.pad(x, [(0, 0), (0, 0), *map(tuple, case.constants["paddings"])])
        n, c, h, w = x.shape
        y = x.reshape(n, c, h // bh, bh, w // bw, bw).transpose(3, 5, 0, 1, 2, 4)
        return y.reshape(n * bh * bw, c, h // bh, w // bw)
    n, c, h, w = x.shape
    y = x.reshape(bh, bw, n // (bh * bw), c, h, w).transpose(2, 3, 4, 0, 5, 1).reshape(n // (bh * bw), c, h * bh, w * bw)
    (t, b), (l, r) = case.constants["crops"]
    return y[:, :, t : y.shape[2] - b, l : y.shape[3] - r]


def cumsum_reference(case):
    x, axis = case.tensors["x"].astype(np.float64), case.constants["axis"]
    backwards = case.constants.get("reverse", False)
    y = np.flip(x, axis) if backwards else x
    y = np.cumsum(y, axis) - (y if case.constants.get("exclusive", False) else 0)
    return np.flip(y, axis) if backwards else y


def response_reference(case):
    x, size = case.tensors["x"].astype(np.float64), case.constants["size"]
    squares, sums = x * x, np.zeros_like(x)
    for c in range(x.shape[1]):
        sums[:, c] = squares[:, max(0, c - size // 2) : c + (size - 1) // 2 + 1].sum(1)
    alpha, beta, k = (float(case.constants[n]) for n in ("alpha", "beta", "k"))
    return x / (k + alpha / size * sums) ** beta


def crop_reference(case):
    (t, b), (l, r) = case.constants["crop_height"], case.constants["crop_width"]
    x = case.tensors["x"]
    return x[:, :, t : x.shape[2] - b, l : x.shape[3] - r]


def attention_reference(case):
    q, k, v = (case.tensors[n].astype(np.float64) for n in ("query", "key", "value"))
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    mask = case.tensors.get("attn_mask")
    if mask is not None:
        scores = scores + (np.where(mask, 0.0, -np.inf) if mask.dtype == bool else mask)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True) @ v


def interleaved(case):
    values, axis = case.tensors["values"], case.constants["axis"] % case.tensors["values"][0].ndim
    extents = list(values[0].shape)
    extents[axis] *= len(values)
    return np.stack(values, axis + 1).reshape(extents)


def reference(op, case):
    """Values of the results by NumPy, for operations that coremltools does not evaluate, or wrongly."""
    try:
        if op == "conv":
            return [conv_reference(case)]
        if op == "conv_transpose":
            return [conv_transpose_reference(case)]
        if op in ("avg_pool", "max_pool", "l2_pool"):
            return [pool_reference(op, case)]
        if op in ("batch_norm", "instance_norm"):
            return [norm_reference(op, case)]
        if op in ("depth_to_space", "pixel_shuffle", "space_to_depth", "pixel_unshuffle"):
            return [space_reference(op, case)]
        if op == "concat" and case.constants.get("interleave", False):
            return [interleaved(case)]
        if op in ("space_to_batch", "batch_to_space"):
            return [batch_reference(op, case)]
        if op == "silu":
            x = case.tensors["x"].astype(np.float64)
            return [x / (1 + np.exp(-x))]
        return {"cumsum": lambda: [cumsum_reference(case)], "local_response_norm": lambda: [response_reference(case)],
                "crop": lambda: [crop_reference(case)], "scaled_dot_product_attention": lambda: [attention_reference(case)]}.get(op, lambda: None)()
    except (ValueError, IndexError, KeyError):
        return None


# operation, words of the failure, and why it is right as it is
KNOWN = [
    ("*", "holds axis", "coremltools lets an axis be named twice"),
    ("*", ": the rank is", "coremltools does not look whether some axes exist"),
    ("*", "none may be 0", "coremltools lets windows be empty"),
    ("*", "found the number -", "coremltools infers negative extents"),
    ("batch_norm", "must be tensor", "coremltools does not compare parameters of norms with the channels"),
    ("instance_norm", "must be tensor", "coremltools does not compare parameters of norms with the channels"),
    ("conv", "`groups` dividing both", "coremltools does not look whether groups divide the outputs"),
    ("space_to_batch", "is no multiple", "coremltools does not look whether blocks fill the space"),
    ("batch_to_space", "is no multiple", "coremltools does not look whether blocks fill the batch"),
    ("conv", "must hold", "coremltools does not look whether strides and dilations are positive and as many as axes"),
    ("conv_transpose", "must hold", "coremltools does not look whether strides and dilations are positive and as many as axes"),
    ("crop", "leaves nothing", "coremltools lets a crop be negative"),
    ("einsum", "input shapes incompatible", "an axis of 1 goes with any extent, as in NumPy"),
    ("pixel_unshuffle", "are no multiples of", "coremltools does not look whether blocks fill the space"),
    ("conv_transpose", "`weight` must be", "coremltools does not compare the weight with the channels"),
    ("cumsum", "axis should be in the range", "coremltools lets the axis of a running sum not count from the end beyond -1"),
    ("*", "`pad` is negative", "coremltools lets padding be negative"),
    ("depth_to_space", "are no multiple of", "coremltools does not look whether blocks fill the channels"),
    ("pixel_shuffle", "are no multiple of", "coremltools does not look whether blocks fill the channels"),
    ("pad", "reflecting", "coremltools does not look how far a reflection reaches"),
    ("space_to_depth", "are no multiples of", "coremltools does not look whether blocks fill the space"),
    ("select", "coremltools infers", "coremltools does not compare the condition with the values"),
    ("slice_by_index", "nothing lies from", "coremltools lets slices be empty"),
    ("slice_update", "nothing lies from", "coremltools lets slices be empty"),
    ("slice_by_index", "numbers; the rank is", "coremltools does not count strides"),
    ("slice_update", "numbers; the rank is", "coremltools does not count strides"),
    ("slice_update", "`update` must be", "coremltools does not compare the update with the slice"),
    ("slice_by_size", "elements from", "coremltools does not look whether a slice lies within its tensor"),
    ("split", "must be positive", "coremltools does not add up the sizes of a split"),
    ("squeeze", "is not 1", "coremltools squeezes axes that are not 1"),
    ("prelu", "only supported when", "a limit of Core ML, not of the language"),
]
