/* ane_bridge: compiles and runs MIL programs on the Neural Engine, or on its simulator.
 * Written by cbindgen from crates/capi/src; a test of that crate says when it is stale and how to write it anew. */

#ifndef ANE_BRIDGE_H
#define ANE_BRIDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 A program that is compiled and loaded, and the memory of its inputs and outputs.
 */
typedef struct ANEKernelHandle ANEKernelHandle;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 Opens the device: the Neural Engine on a Mac, its simulator elsewhere, and wherever the environment variable
 `ANE_BRIDGE_SIM` names a profile of it (`m4`, `m1,strict`, ...). Can be called again.

 Returns 0, or -1 where there is no device.
 */
int ane_bridge_init(void);

/*
 Text of the last failure on this thread, empty if there was none. Valid until the next failure on this thread.
 */
const char *ane_bridge_last_error(void);

/*
 Compiles and loads a program of at most one weight file, `@model_path/weights/weight.bin`.

 `mil_text` is UTF-8 of `mil_len` bytes; `weight_data` may be null if `weight_len` is 0. `input_sizes` and `output_sizes` are
 bytes, in the order in which the program declares its inputs and returns its outputs; each at least what the type needs.

 Returns a kernel to be freed with `ane_bridge_free`, or null: the reason is on stderr and in `ane_bridge_last_error`.

 # Safety
 Each pointer holds as many elements as the length beside it says.
 */
ANEKernelHandle *ane_bridge_compile(const char *mil_text,
                                    size_t mil_len,
                                    const uint8_t *weight_data,
                                    size_t weight_len,
                                    int n_inputs,
                                    const size_t *input_sizes,
                                    int n_outputs,
                                    const size_t *output_sizes);

/*
 As `ane_bridge_compile`, with any number of weight files.

 `weight_names` are NUL-terminated and begin with `@model_path/`; names that lead out of that folder are refused.

 # Safety
 Each pointer holds as many elements as the length beside it says; each name ends in a NUL.
 */
ANEKernelHandle *ane_bridge_compile_multi_weights(const char *mil_text,
                                                  size_t mil_len,
                                                  const char *const *weight_names,
                                                  const uint8_t *const *weight_datas,
                                                  const size_t *weight_lens,
                                                  int n_weights,
                                                  int n_inputs,
                                                  const size_t *input_sizes,
                                                  int n_outputs,
                                                  const size_t *output_sizes);

/*
 Runs a kernel and waits for it. Returns false on an error; its outputs then mean nothing and cannot be read.
 */
bool ane_bridge_eval(ANEKernelHandle *kernel);

/*
 Copies `bytes` bytes to the beginning of input `idx`: elements in the type that the program declares, side by side.

 Copies nothing, and reports, where there is no such input or it is smaller.

 # Safety
 `data` holds `bytes` bytes.
 */
void ane_bridge_write_input(ANEKernelHandle *kernel,
                            int idx,
                            const void *data,
                            size_t bytes);

/*
 Copies `bytes` bytes from the beginning of output `idx`: elements in the type that the program declares, side by side.

 Copies nothing, and reports, where there is no such output, it is smaller, or the last evaluation failed.

 # Safety
 `data` has room for `bytes` bytes.
 */
void ane_bridge_read_output(ANEKernelHandle *kernel,
                            int idx,
                            void *data,
                            size_t bytes);

/*
 Unloads a kernel and releases its memory. Null is nothing; a kernel that was freed is reported.
 */
void ane_bridge_free(ANEKernelHandle *kernel);

/*
 Programs compiled and loaded since the start or the last reset.
 */
int ane_bridge_get_compile_count(void);

/*
 Counts from 0 again. How many programs the system lets a process compile does not change.
 */
void ane_bridge_reset_compile_count(void);

/*
 Makes a weight file of a matrix `rows x cols`, row-major, as fp16. Its bytes are `*out_len`; the record in it, which MIL names
 by its offset, begins at 64.

 Returns memory to be released with `ane_bridge_free_blob` or `free`, or null.

 # Safety
 `src` holds `rows * cols` floats; `out_len` is a place for a size.
 */
uint8_t *ane_bridge_build_weight_blob(const float *src,
                                      int rows,
                                      int cols,
                                      size_t *out_len);

/*
 As `ane_bridge_build_weight_blob`, stored transposed: element (i, j) lies at index `j * rows + i`.

 # Safety
 As of `ane_bridge_build_weight_blob`.
 */
uint8_t *ane_bridge_build_weight_blob_transposed(const float *src,
                                                 int rows,
                                                 int cols,
                                                 size_t *out_len);

/*
 As `ane_bridge_build_weight_blob`, of 8-bit integers.

 # Safety
 As of `ane_bridge_build_weight_blob`.
 */
uint8_t *ane_bridge_build_weight_blob_int8(const int8_t *src, int rows, int cols, size_t *out_len);

/*
 Rounds a matrix `rows x cols` to 8-bit integers with a scale a row, `src[i][j] ~ out_scales[i] * q[i][j]`, and makes a weight
 file of the integers.

 `out_scales` has room for `rows` floats. Null, with nothing written, if a weight is infinite or no number.

 # Safety
 As of `ane_bridge_build_weight_blob`; `out_scales` has room for `rows` floats.
 */
uint8_t *ane_bridge_build_weight_blob_quantized(const float *src,
                                                int rows,
                                                int cols,
                                                float *out_scales,
                                                size_t *out_len);

/*
 Releases what the functions above returned. Null is nothing.

 # Safety
 `blob` is null, or came from a function above and was not released.
 */
void ane_bridge_free_blob(void *blob);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* ANE_BRIDGE_H */
