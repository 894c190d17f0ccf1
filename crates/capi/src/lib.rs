//! The C bridge: programs in MIL compiled and run from C, or from any language that calls C.
