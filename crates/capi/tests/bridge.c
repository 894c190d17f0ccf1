/* The bridge from C: a program with weights, one without, and every way to be refused. `bridge` runs the checks; `bridge faults`
 * expects a simulator whose second evaluation fails; `bridge budget` one that compiles two programs. */
#include "ane_bridge.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int checks;

#define CHECK(condition)                                                                                  \
    do {                                                                                                  \
        checks++;                                                                                         \
        if (!(condition)) {                                                                               \
            fprintf(stderr, "line %d: %s (last error: %s)\n", __LINE__, #condition, ane_bridge_last_error()); \
            exit(1);                                                                                      \
        }                                                                                                 \
    } while (0)

#define REFUSED(condition, words) \
    do {                          \
        CHECK(condition);         \
        CHECK(strstr(ane_bridge_last_error(), words) != NULL); \
    } while (0)

/* fp16 of numbers that it holds exactly, and back. */
static uint16_t half(float x) {
    int e;
    float m = frexpf(fabsf(x), &e); /* m in [0.5, 1) */
    uint16_t sign = x < 0 ? 0x8000 : 0;
    return x == 0 ? sign : (uint16_t)(sign | ((e + 14) << 10) | ((int)(m * 2048) & 1023));
}

static float single(uint16_t h) {
    int e = (h >> 10) & 31, m = h & 1023;
    float x = e ? ldexpf((float)(1024 + m), e - 25) : ldexpf((float)m, -24);
    return h & 0x8000 ? -x : x;
}

#define HEAD "program(1.3)\n[buildInfo = dict<string, string>({{\"coremlc-version\", \"3505.4.1\"}})]\n{\n"
#define FLAGS                                                          \
    "        bool no_t = const()[name = string(\"no_t\"), val = bool(false)];\n"

/* [6, 4] x [4, 40]: rows of 40 halves, which the device pads */
static const char *CONV = HEAD
    "    func main<ios18>(tensor<fp16, [1, 4, 1, 40]> x_in) {\n"
    "        string pad_kind = const()[name = string(\"pad_kind\"), val = string(\"valid\")];\n"
    "        tensor<int32, [2]> steps = const()[name = string(\"steps\"), val = tensor<int32, [2]>([1, 1])];\n"
    "        tensor<int32, [4]> pads = const()[name = string(\"pads\"), val = tensor<int32, [4]>([0, 0, 0, 0])];\n"
    "        int32 group_n = const()[name = string(\"group_n\"), val = int32(1)];\n"
    "        tensor<fp16, [6, 4, 1, 1]> w_in = const()[name = string(\"w_in\"), val = tensor<fp16, [6, 4, 1, 1]>"
    "(BLOBFILE(path = string(\"@model_path/weights/weight.bin\"), offset = uint64(64)))];\n"
    "        tensor<fp16, [1, 6, 1, 40]> y_out = conv(dilations = steps, groups = group_n, pad = pads, pad_type = pad_kind, "
    "strides = steps, weight = w_in, x = x_in)[name = string(\"y_out\")];\n"
    "    } -> (y_out);\n}\n";

static const char *MATMUL = HEAD
    "    func main<ios18>(tensor<fp16, [1, 1, 2, 3]> a_in, tensor<fp16, [1, 1, 3, 2]> b_in) {\n" FLAGS
    "        tensor<fp16, [1, 1, 2, 2]> y_out = matmul(transpose_x = no_t, transpose_y = no_t, x = a_in, y = b_in)"
    "[name = string(\"y_out\")];\n"
    "    } -> (y_out);\n}\n";

static ANEKernelHandle *compile(const char *text, int n_in, const size_t *in, int n_out, const size_t *out) {
    return ane_bridge_compile(text, strlen(text), NULL, 0, n_in, in, n_out, out);
}

static const size_t MM_IN[2] = {12, 12}, MM_OUT[1] = {8};

static void write_halves(ANEKernelHandle *k, int idx, const float *x, int n) {
    uint16_t *h = malloc(2 * (size_t)n);
    for (int i = 0; i < n; i++) h[i] = half(x[i]);
    ane_bridge_write_input(k, idx, h, 2 * (size_t)n);
    free(h);
}

static void test_matmul(void) {
    ANEKernelHandle *k = compile(MATMUL, 2, MM_IN, 1, MM_OUT);
    CHECK(k != NULL);
    write_halves(k, 0, (float[]){1, 2, 3, 4, 5, 6}, 6);
    write_halves(k, 1, (float[]){1, 0, 0, 1, -1, 0.5f}, 6);
    CHECK(ane_bridge_eval(k));
    uint16_t y[4];
    ane_bridge_read_output(k, 0, y, sizeof y);
    float expected[4] = {-2, 3.5f, -2, 8};
    for (int i = 0; i < 4; i++) CHECK(single(y[i]) == expected[i]);

    /* bounds: nothing is copied, memory stays as it is */
    char big[64];
    memset(big, 0x55, sizeof big);
    ane_bridge_read_output(k, 0, big, 9);
    REFUSED(big[0] == 0x55, "9 bytes do not fit output 0");
    ane_bridge_read_output(k, 1, big, 8);
    REFUSED(big[0] == 0x55, "no output 1");
    ane_bridge_read_output(k, -1, big, 8);
    REFUSED(big[0] == 0x55, "no output -1");
    ane_bridge_read_output(k, 0, NULL, 8);
    REFUSED(true, "data is null");
    ane_bridge_write_input(k, 0, big, 13);
    REFUSED(true, "13 bytes do not fit input 0");
    ane_bridge_write_input(k, 2, big, 1);
    REFUSED(true, "no input 2");
    ane_bridge_write_input(k, 0, NULL, 1);
    REFUSED(true, "data is null");
    CHECK(ane_bridge_eval(k));
    ane_bridge_read_output(k, 0, y, sizeof y);
    CHECK(single(y[3]) == 8);

    ane_bridge_free(k);
    REFUSED(!ane_bridge_eval(k), "no kernel");
    ane_bridge_free(k);
    REFUSED(true, "no kernel");
    ane_bridge_free(NULL);
    REFUSED(!ane_bridge_eval(NULL), "no kernel");
}

static void test_conv(void) {
    float w[24], x[160];
    for (int i = 0; i < 24; i++) w[i] = (float)(i % 7) - 3;
    for (int i = 0; i < 160; i++) x[i] = (float)(i % 11) * 0.25f;
    size_t len = 0, in = 4 * 40 * 2, out = 6 * 40 * 2;
    uint8_t *blob = ane_bridge_build_weight_blob(w, 6, 4, &len);
    CHECK(blob != NULL && len == 128 + 48);
    ANEKernelHandle *k = ane_bridge_compile(CONV, strlen(CONV), blob, len, 1, &in, 1, &out);
    CHECK(k != NULL);
    const char *name = "@model_path/weights/weight.bin";
    const uint8_t *data = blob;
    ANEKernelHandle *k2 = ane_bridge_compile_multi_weights(CONV, strlen(CONV), &name, &data, &len, 1, 1, &in, 1, &out);
    CHECK(k2 != NULL && k2 != k);
    const char *twice[2] = {name, name};
    const uint8_t *datas[2] = {blob, blob};
    size_t lens[2] = {len, len};
    REFUSED(!ane_bridge_compile_multi_weights(CONV, strlen(CONV), twice, datas, lens, 2, 1, &in, 1, &out), "given twice");
    REFUSED(!ane_bridge_compile(CONV, strlen(CONV), blob, len - 1, 1, &in, 1, &out), "weight.bin");
    ane_bridge_free_blob(blob);

    ANEKernelHandle *both[2] = {k, k2};
    for (int n = 0; n < 2; n++) {
        write_halves(both[n], 0, x, 160);
        CHECK(ane_bridge_eval(both[n]));
        uint16_t y[240];
        ane_bridge_read_output(both[n], 0, y, sizeof y);
        for (int o = 0; o < 6; o++)
            for (int s = 0; s < 40; s++) {
                float sum = 0;
                for (int c = 0; c < 4; c++) sum += w[o * 4 + c] * x[c * 40 + s];
                CHECK(single(y[o * 40 + s]) == sum);
            }
        ane_bridge_free(both[n]);
    }
}

static void test_refused_programs(void) {
    size_t in = 12, small[2] = {12, 11}, many[3] = {12, 12, 12};
    REFUSED(!compile("program", 0, NULL, 0, NULL), "InvalidMILProgram");
    REFUSED(!compile("", 0, NULL, 0, NULL), "InvalidMILProgram");
    REFUSED(!compile("\xff\xfe", 0, NULL, 0, NULL), "not UTF-8");
    REFUSED(!ane_bridge_compile(NULL, 7, NULL, 0, 0, NULL, 0, NULL), "mil_text is null");
    REFUSED(!ane_bridge_compile("x", 1, NULL, 5, 0, NULL, 0, NULL), "weight_data is null");
    REFUSED(!compile(MATMUL, 2, NULL, 1, MM_OUT), "input_sizes is null");
    REFUSED(!compile(MATMUL, -1, MM_IN, 1, MM_OUT), "input_sizes: -1");
    REFUSED(!compile(MATMUL, 2, MM_IN, 129, MM_OUT), "output_sizes: 129");
    REFUSED(!compile(MATMUL, 1, &in, 1, MM_OUT), "2 inputs, not 1");
    REFUSED(!compile(MATMUL, 3, many, 1, MM_OUT), "2 inputs, not 3");
    REFUSED(!compile(MATMUL, 2, small, 1, MM_OUT), "input 1 (`b_in`) has 11 bytes");
    REFUSED(!compile(CONV, 1, &in, 1, MM_OUT), "weight.bin"); /* its file is not given */
    static const char *names[] = {"/etc/passwd", "weights/x.bin", "@model_path/../x", "@model_path/weights/../../x", "@model_path//x"};
    const uint8_t byte = 0, *data = &byte;
    size_t one = 1;
    for (int i = 0; i < 5; i++)
        REFUSED(!ane_bridge_compile_multi_weights(MATMUL, strlen(MATMUL), &names[i], &data, &one, 1, 2, MM_IN, 1, MM_OUT), "weight file");
    const char *none = NULL;
    REFUSED(!ane_bridge_compile_multi_weights(MATMUL, strlen(MATMUL), &none, &data, &one, 1, 2, MM_IN, 1, MM_OUT), "weight name is null");
    REFUSED(!ane_bridge_compile_multi_weights(MATMUL, strlen(MATMUL), NULL, NULL, NULL, 1, 2, MM_IN, 1, MM_OUT), "weight_names is null");
    REFUSED(!ane_bridge_compile_multi_weights(MATMUL, strlen(MATMUL), NULL, NULL, NULL, -1, 2, MM_IN, 1, MM_OUT), "n_weights: -1");
}

static uint32_t word(const uint8_t *p) { return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24; }

static void test_blobs(void) {
    float w[6] = {1, 2, 3, -4, 5, 127};
    int8_t q[6] = {1, -2, 3, -4, 5, -128};
    float scales[3] = {-1, -1, -1};
    size_t len = 0;
    uint8_t *b = ane_bridge_build_weight_blob_transposed(w, 2, 3, &len);
    CHECK(b && len == 128 + 12);
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 3; j++) CHECK(single((uint16_t)(b[128 + 2 * (j * 2 + i)] | b[129 + 2 * (j * 2 + i)] << 8)) == w[i * 3 + j]);
    free(b); /* as the contract allows */

    b = ane_bridge_build_weight_blob_int8(q, 2, 3, &len);
    CHECK(b && len == 128 + 6);
    CHECK(word(b) == 1 && word(b + 4) == 2 && word(b + 64) == 0xDEADBEEF && word(b + 68) == 4 && word(b + 72) == 6 && word(b + 80) == 128);
    CHECK(memcmp(b + 128, q, 6) == 0);
    ane_bridge_free_blob(b);

    b = ane_bridge_build_weight_blob_quantized(w, 2, 3, scales, &len);
    CHECK(b && len == 128 + 6 && scales[0] == 3.0f / 127 && scales[1] == 1 && scales[2] == -1);
    CHECK((int8_t)b[130] == 127 && (int8_t)b[131] == -4 && (int8_t)b[133] == 127);
    ane_bridge_free_blob(b);

    REFUSED(!ane_bridge_build_weight_blob(NULL, 2, 3, &len), "src is null");
    REFUSED(!ane_bridge_build_weight_blob(w, 0, 3, &len), "rows: 0");
    REFUSED(!ane_bridge_build_weight_blob(w, 2, -3, &len), "cols: -3");
    REFUSED(!ane_bridge_build_weight_blob(w, 2, 3, NULL), "out_len is null");
    REFUSED(!ane_bridge_build_weight_blob_quantized(w, 2, 3, NULL, &len), "out_scales is null");
    w[4] = NAN;
    scales[0] = -1;
    REFUSED(!ane_bridge_build_weight_blob_quantized(w, 2, 3, scales, &len), "row 1, column 1");
    CHECK(scales[0] == -1);
    ane_bridge_free_blob(NULL);
}

static int test_all(void) {
    REFUSED(!compile(MATMUL, 2, MM_IN, 1, MM_OUT), "ane_bridge_init");
    CHECK(ane_bridge_get_compile_count() == 0);
    CHECK(ane_bridge_init() == 0 && ane_bridge_init() == 0);
    test_matmul();
    CHECK(ane_bridge_get_compile_count() == 1);
    test_conv();
    CHECK(ane_bridge_get_compile_count() == 3);
    ane_bridge_reset_compile_count();
    CHECK(ane_bridge_get_compile_count() == 0);
    test_refused_programs();
    test_blobs();
    return 0;
}

static int test_faults(void) {
    CHECK(ane_bridge_init() == 0);
    ANEKernelHandle *k = compile(MATMUL, 2, MM_IN, 1, MM_OUT);
    uint16_t y[4] = {7, 7, 7, 7};
    CHECK(k && ane_bridge_eval(k));
    REFUSED(!ane_bridge_eval(k), "0x1d");
    ane_bridge_read_output(k, 0, y, sizeof y);
    REFUSED(y[0] == 7, "there is no result");
    CHECK(ane_bridge_eval(k));
    ane_bridge_read_output(k, 0, y, sizeof y);
    CHECK(y[0] == 0);
    ane_bridge_free(k);
    return 0;
}

static int test_budget(void) {
    CHECK(ane_bridge_init() == 0);
    for (int i = 0; i < 2; i++) {
        ANEKernelHandle *k = compile(MATMUL, 2, MM_IN, 1, MM_OUT);
        CHECK(k != NULL);
        ane_bridge_free(k);
    }
    REFUSED(!compile(MATMUL, 2, MM_IN, 1, MM_OUT), "2 is the limit");
    return 0;
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "all";
    int failed = !strcmp(what, "faults") ? test_faults() : !strcmp(what, "budget") ? test_budget() : test_all();
    printf("%d checks\n", checks);
    return failed;
}
