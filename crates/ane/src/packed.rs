//! [`Packed`]: several tensors in one surface, side by side along one axis. The builder of a program reads the offsets to
//! slice, the packer to write: one value, two readers.

use mil::{DType, Type};

use crate::Baked;

/// The field that widens a surface, which nobody reads.
pub const PAD: &str = "pad";

/// Along which axis fields lie side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// One field after the other along the channels: every field has the same width.
    Channels,
    /// One beside the other in each row: every field has the same channels.
    Width,
}

/// One tensor of a surface: `[channels, width]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// What it is: `xnorm`, `wq`, ...
    pub name: &'static str,
    /// Rows.
    pub channels: usize,
    /// Elements of a row.
    pub width: usize,
    /// First row in the surface.
    pub first_channel: usize,
    /// First element in each row of the surface.
    pub first_column: usize,
    /// The weight that lies here, staged anew whenever it changes; none: an activation.
    pub holds: Option<Baked>,
}

/// A surface `[1, channels, 1, width]` and the fields in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Name of the port.
    pub port: &'static str,
    /// Element type.
    pub dtype: DType,
    /// How the fields lie.
    pub axis: Axis,
    /// The fields, in order, without gaps.
    pub fields: Vec<Field>,
}

impl Packed {
    /// Fields `(name, channels)` of equal `width`, one after the other along the channels.
    pub fn channels(port: &'static str, width: usize, fields: &[(&'static str, usize)]) -> Packed {
        let mut packed = Packed { port, dtype: DType::Fp16, axis: Axis::Channels, fields: Vec::new() };
        for &(name, channels) in fields {
            let first_channel = packed.fields.iter().map(|f| f.channels).sum();
            packed.fields.push(Field { name, channels, width, first_channel, first_column: 0, holds: None });
        }
        packed
    }

    /// Fields `(name, width)` of equal `channels`, side by side in each row.
    pub fn width(port: &'static str, channels: usize, fields: &[(&'static str, usize)]) -> Packed {
        let mut packed = Packed { port, dtype: DType::Fp16, axis: Axis::Width, fields: Vec::new() };
        for &(name, width) in fields {
            let first_column = packed.fields.iter().map(|f| f.width).sum();
            packed.fields.push(Field { name, channels, width, first_channel: 0, first_column, holds: None });
        }
        packed
    }

    /// Columns side by side `(width, stack)`, each a stack of fields `(name, channels)`; a stack may end before the surface does.
    pub fn columns(port: &'static str, columns: &[(usize, &[(&'static str, usize)])]) -> Packed {
        let mut packed = Packed { port, dtype: DType::Fp16, axis: Axis::Width, fields: Vec::new() };
        let mut first_column = 0;
        for &(width, stack) in columns {
            let mut first_channel = 0;
            for &(name, channels) in stack {
                packed.fields.push(Field { name, channels, width, first_channel, first_column, holds: None });
                first_channel += channels;
            }
            first_column += width;
        }
        packed
    }

    /// The same surface, widened to a multiple of `multiple` by a field [`PAD`].
    pub fn padded(mut self, multiple: usize) -> Packed {
        let [_, channels, _, first_column] = self.shape();
        let width = first_column.next_multiple_of(multiple) - first_column;
        if width > 0 {
            self.fields.push(Field { name: PAD, channels, width, first_channel: 0, first_column, holds: None });
        }
        self
    }

    /// The same surface with the weight `what` in the field `name`.
    pub fn holding(mut self, name: &str, what: Baked) -> Packed {
        for field in self.fields.iter_mut().filter(|f| f.name == name) {
            field.holds = Some(what);
        }
        self
    }

    /// Extents `[1, channels, 1, width]`.
    pub fn shape(&self) -> [usize; 4] {
        let channels = self.fields.iter().map(|f| f.first_channel + f.channels).max().unwrap_or(0);
        let width = self.fields.iter().map(|f| f.first_column + f.width).max().unwrap_or(0);
        [1, channels, 1, width]
    }

    /// Type of the port.
    pub fn ty(&self) -> Type {
        Type::new(self.dtype, &self.shape())
    }

    /// Bytes of the fields side by side, without padding.
    pub fn bytes(&self) -> usize {
        self.ty().bytes().unwrap_or(usize::MAX)
    }

    /// The field `name`.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|f| f.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_lie_side_by_side_without_gaps() {
        let p = Packed::width("x", 8, &[("act", 4), ("wq", 16), ("wk", 2)]);
        assert_eq!(p.shape(), [1, 8, 1, 22]);
        assert_eq!(p.field("wk").map(|f| (f.first_channel, f.first_column)), Some((0, 20)));
        let p = Packed::channels("x", 4, &[("dy", 8), ("h1", 16)]);
        assert_eq!(p.shape(), [1, 24, 1, 4]);
        assert_eq!(p.field("h1").map(|f| (f.first_channel, f.first_column)), Some((8, 0)));
        assert_eq!(p.bytes(), 24 * 4 * 2);
    }

    #[test]
    fn columns_hold_stacks_and_are_widened() {
        let p = Packed::columns("x", &[(4, &[("dq", 8), ("dk", 2)]), (16, &[("wq", 8), ("wk", 2)])]);
        assert_eq!(p.shape(), [1, 10, 1, 20]);
        assert_eq!(p.field("wk").map(|f| (f.first_channel, f.first_column)), Some((8, 4)));
        let p = p.padded(32);
        assert_eq!((p.shape(), p.field("pad").map(|f| f.width)), ([1, 10, 1, 32], Some(12)));
        assert_eq!(p.clone().padded(32), p);
    }
}
