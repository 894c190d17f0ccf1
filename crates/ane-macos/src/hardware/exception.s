// The function that exception.rs calls, in the form a compiler gives to
//     if exception: f(x) is caught, retained and stored, return 1; else return 0
// x0: function, x1: its argument, x2: where the exception goes
// Numbers of the table are those of the Itanium C++ ABI: https://itanium-cxx-abi.github.io/cxx-abi/exceptions.pdf, appendix

    .section __TEXT,__text,regular,pure_instructions
    .private_extern _autoane_try
    .globl _autoane_try
    .p2align 2
_autoane_try:
Lautoane_try_begin:
    .cfi_startproc
    .cfi_personality 155, ___objc_personality_v0  // indirect, relative to here, 4 bytes
    .cfi_lsda 16, Lautoane_try_table  // relative to here
    stp x20, x19, [sp, #-32]!
    stp x29, x30, [sp, #16]
    add x29, sp, #16
    .cfi_def_cfa w29, 16
    .cfi_offset w30, -8
    .cfi_offset w29, -16
    .cfi_offset w19, -24
    .cfi_offset w20, -32
    mov x19, x2
    mov x8, x0
    mov x0, x1
Lautoane_try_call:
    blr x8
Lautoane_try_called:
    mov w0, #0
    b Lautoane_try_return
Lautoane_try_caught:  // x0: exception of the unwinder, x1: which entry of the table of types it matched
    cmp w1, #1
    b.ne Lautoane_try_resume
    bl _objc_begin_catch
    bl _objc_retain
    str x0, [x19]
    bl _objc_end_catch
    mov w0, #1
Lautoane_try_return:
    ldp x29, x30, [sp, #16]
    ldp x20, x19, [sp], #32
    ret
Lautoane_try_resume:
    bl __Unwind_Resume
    brk #1
Lautoane_try_end:
    .cfi_endproc
    .section __TEXT,__gcc_except_tab
    .p2align 2
Lautoane_try_table:
    .byte 255  // landing pads count from the function's begin
    .byte 155  // types: indirect, relative to here, 4 bytes
    .uleb128 Lautoane_try_types - Lautoane_try_sites
Lautoane_try_sites:
    .byte 1  // numbers as uleb128
    .uleb128 Lautoane_try_actions - Lautoane_try_first
Lautoane_try_first:
    .uleb128 Lautoane_try_call - Lautoane_try_begin
    .uleb128 Lautoane_try_called - Lautoane_try_call
    .uleb128 Lautoane_try_caught - Lautoane_try_begin
    .byte 1  // first action
    .uleb128 Lautoane_try_called - Lautoane_try_begin
    .uleb128 Lautoane_try_end - Lautoane_try_called
    .byte 0  // no landing pad
    .byte 0
Lautoane_try_actions:
    .byte 1  // catches the first type
    .byte 0  // no further action
    .p2align 2
Lautoane_try_type:
    .long _OBJC_EHTYPE_id@GOT - Lautoane_try_type  // any object
Lautoane_try_types:
    .section __TEXT,__text,regular,pure_instructions
