"""The bridge from Python, as its users call it: `bridge.py LIBRARY`."""

import ctypes as c
import struct
import sys

lib = c.CDLL(sys.argv[1])
size_p = c.POINTER(c.c_size_t)
lib.ane_bridge_compile.restype = c.c_void_p
lib.ane_bridge_compile.argtypes = [c.c_char_p, c.c_size_t, c.c_void_p, c.c_size_t, c.c_int, size_p, c.c_int, size_p]
lib.ane_bridge_eval.restype = c.c_bool
lib.ane_bridge_eval.argtypes = [c.c_void_p]
lib.ane_bridge_write_input.argtypes = lib.ane_bridge_read_output.argtypes = [c.c_void_p, c.c_int, c.c_void_p, c.c_size_t]
lib.ane_bridge_free.argtypes = lib.ane_bridge_free_blob.argtypes = [c.c_void_p]
lib.ane_bridge_build_weight_blob_quantized.restype = c.c_void_p
lib.ane_bridge_last_error.restype = c.c_char_p

TEXT = b"""program(1.3)
[buildInfo = dict<string, string>({{"coremlc-version", "3505.4.1"}})]
{
    func main<ios18>(tensor<fp16, [1, 2, 1, 5]> a_in, tensor<fp16, [1, 2, 1, 5]> b_in) {
        tensor<fp16, [1, 2, 1, 5]> y_out = add(x = a_in, y = b_in)[name = string("y_out")];
    } -> (y_out);
}
"""


def sizes(*values):
    return (c.c_size_t * len(values))(*values)


def compiled(text, inputs=(20, 20), outputs=(20,)):
    return lib.ane_bridge_compile(text, len(text), None, 0, len(inputs), sizes(*inputs), len(outputs), sizes(*outputs))


assert lib.ane_bridge_init() == 0
kernel = compiled(TEXT)
assert kernel, lib.ane_bridge_last_error()
a, b = [float(i) for i in range(10)], [0.5 * i for i in range(10)]
for idx, values in enumerate((a, b)):
    data = struct.pack("<10e", *values)
    lib.ane_bridge_write_input(kernel, idx, data, len(data))
assert lib.ane_bridge_eval(kernel), lib.ane_bridge_last_error()
out = c.create_string_buffer(20)
lib.ane_bridge_read_output(kernel, 0, out, 20)
assert list(struct.unpack("<10e", out.raw)) == [x + y for x, y in zip(a, b)]

lib.ane_bridge_read_output(kernel, 0, out, 21)
assert b"21 bytes do not fit output 0" in lib.ane_bridge_last_error()
assert lib.ane_bridge_get_compile_count() == 1
lib.ane_bridge_free(kernel)
assert not lib.ane_bridge_eval(kernel)
assert compiled(TEXT.replace(b"add(", b"sum_of(")) is None
assert b"sum_of" in lib.ane_bridge_last_error()
assert compiled(TEXT, inputs=(20,)) is None

weights, scales, length = (c.c_float * 4)(1, -4, 100, 25), (c.c_float * 2)(), c.c_size_t()
blob = lib.ane_bridge_build_weight_blob_quantized(weights, 2, 2, scales, c.byref(length))
assert length.value == 132 and c.string_at(blob, 132)[128:] == struct.pack("<4b", 32, -127, 127, 32), c.string_at(blob, 132)[128:]
assert abs(scales[0] * 127 - 4) < 1e-6 and abs(scales[1] * 127 - 100) < 1e-4
lib.ane_bridge_free_blob(blob)
print("ok")
