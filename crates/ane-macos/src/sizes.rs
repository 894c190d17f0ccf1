//! How large a surface is made: rounded up to whole pages of the engine's memory unit, which covers the alignment of 128
//! bytes that M5 asks for, and never below what the smallest accepted surface of any report was.

/// Page of the engine's memory unit.
pub const PAGE: usize = 16 << 10;
/// Below this, evaluation was refused with status 0x1d on M4.
pub const FLOOR: usize = 48 << 10;

/// Bytes of a surface that holds `bytes`; none when that does not fit a machine word.
pub fn surface(bytes: usize) -> Option<usize> {
    bytes.max(FLOOR).checked_next_multiple_of(PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surfaces_are_whole_pages_and_not_too_small() {
        assert_eq!(surface(0), Some(49152));
        assert_eq!(surface(768 * 16 * 2), Some(49152));
        assert_eq!(surface(49153), Some(65536));
        assert_eq!(surface(65536), Some(65536));
        assert_eq!(surface(usize::MAX), None);
        assert_eq!(FLOOR % PAGE, 0);
    }
}
