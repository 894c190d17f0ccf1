//! How a tensor lies in a surface: row-major, `[n, c, h, w]`, each row of `w` elements at a stride that the device rounds up
//! (ane-facts 4.4: widths that are no multiple of 32 are laid out at the next one). Bytes of the padding are never read.

use mil::Type;

use super::profile::{Profile, SizeRule};
use crate::{Packed, Port};

/// Extents `[n, c, h, w]` of a shape of any rank: missing ones are 1 in front, those beyond four are joined from the left.
pub fn canonical(shape: &[usize]) -> [usize; 4] {
    let mut out = [1usize; 4];
    for (i, &extent) in shape.iter().rev().enumerate() {
        let axis = 3usize.saturating_sub(i);
        out[axis] = out[axis].saturating_mul(extent);
    }
    out
}

/// Ports of one side, in the order of the program; none when a size does not fit a machine word.
///
/// A port's surface is made large enough that a caller who allocates what it says meets the minimum and the rule of sizes.
pub fn ports(bindings: &[(&str, &Type)], framework: &[usize], ascending: bool, profile: &Profile) -> Option<Vec<Port>> {
    let mut ports = Vec::with_capacity(bindings.len());
    for (name, ty) in bindings {
        ty.elements()?; // so that the joined extents fit
        ports.push(port(name, ty, profile)?);
    }
    raise(&mut ports, framework, ascending, profile.size_rule);
    Some(ports)
}

/// Bytes of the surfaces of one side of a request, in the order of declaration; none when one does not fit a machine word.
pub fn surface_sizes(side: &[Packed], ascending: bool, profile: &Profile) -> Option<Vec<usize>> {
    let types: Vec<(&str, Type)> = side.iter().map(|p| (p.port, p.ty())).collect();
    let bindings: Vec<(&str, &Type)> = types.iter().map(|(name, ty)| (*name, ty)).collect();
    let order: Vec<usize> = (0..side.len()).collect();
    Some(ports(&bindings, &order, ascending, profile)?.iter().map(|p| p.surface_bytes).collect())
}

fn port(name: &str, ty: &Type, profile: &Profile) -> Option<Port> {
    let shape = canonical(&ty.shape);
    let element_bytes = ty.dtype.bits() / 8;
    let row = shape[3].checked_mul(element_bytes)?;
    let row_stride = row.checked_next_multiple_of(profile.row_align.max(1))?;
    let packed = shape[..3].iter().try_fold(row_stride, |bytes, &extent| bytes.checked_mul(extent))?;
    Some(Port { name: name.to_string(), shape, element_bytes, row_stride, surface_bytes: packed.max(profile.minimum_bytes) })
}

/// Raises the sizes of `ports` until they follow `rule`, taking them in the order of the framework.
fn raise(ports: &mut [Port], framework: &[usize], ascending: bool, rule: SizeRule) {
    let largest = ports.iter().map(|p| p.surface_bytes).max().unwrap_or(0);
    let mut running = 0;
    let order: Vec<usize> = if ascending { framework.to_vec() } else { framework.iter().rev().copied().collect() };
    for i in order {
        running = ports[i].surface_bytes.max(running);
        match rule {
            SizeRule::Any => {}
            SizeRule::Uniform => ports[i].surface_bytes = largest,
            SizeRule::Ascending => ports[i].surface_bytes = running,
        }
    }
}

/// Bytes of the data and the padding between its rows: what a surface must hold, whatever the rules say.
pub fn packed_bytes(port: &Port) -> usize {
    port.shape[..3].iter().product::<usize>() * port.row_stride
}

/// Rows of `port` in the bytes of a surface, without their padding.
pub fn rows<'a>(port: &Port, bytes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let row = port.shape[3] * port.element_bytes;
    bytes[..packed_bytes(port)].chunks_exact(port.row_stride.max(1)).map(move |r| &r[..row])
}

/// As [`rows`], to be written.
pub fn rows_mut<'a>(port: &Port, bytes: &'a mut [u8]) -> impl Iterator<Item = &'a mut [u8]> + use<'a> {
    let row = port.shape[3] * port.element_bytes;
    bytes[..packed_bytes(port)].chunks_exact_mut(port.row_stride.max(1)).map(move |r| &mut r[..row])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use mil::DType;

    use super::*;

    #[test]
    fn any_rank_becomes_four_extents() {
        assert_eq!(canonical(&[]), [1, 1, 1, 1]);
        assert_eq!(canonical(&[5]), [1, 1, 1, 5]);
        assert_eq!(canonical(&[2, 3, 4]), [1, 2, 3, 4]);
        assert_eq!(canonical(&[2, 3, 4, 5]), [2, 3, 4, 5]);
        assert_eq!(canonical(&[2, 3, 4, 5, 6]), [6, 4, 5, 6]);
    }

    fn of(shapes: &[&[usize]], rule: SizeRule, ascending: bool) -> Vec<Port> {
        let profile = Profile { row_align: 64, minimum_bytes: 0, size_rule: rule, ..Profile::default() };
        let types: Vec<Type> = shapes.iter().map(|s| Type::new(DType::Fp16, s)).collect();
        let bindings: Vec<(&str, &Type)> = types.iter().map(|t| ("x", t)).collect();
        let order: Vec<usize> = (0..types.len()).collect();
        ports(&bindings, &order, ascending, &profile).unwrap()
    }

    #[test]
    fn rows_are_padded_to_the_alignment() {
        let port = &of(&[&[1, 3, 1, 33]], SizeRule::Any, true)[0];
        assert_eq!((port.row_stride, port.surface_bytes, packed_bytes(port)), (128, 384, 384));
        let mut bytes = vec![7u8; 400];
        rows_mut(port, &mut bytes).for_each(|r| r.fill(1));
        assert_eq!(bytes.iter().filter(|&&b| b == 1).count(), 3 * 66);
        assert_eq!(rows(port, &bytes).flatten().filter(|&&b| b == 1).count(), 3 * 66);
        assert_eq!(bytes[66..128], [7; 62]);
        assert_eq!(of(&[&[1, 3, 1, 32]], SizeRule::Any, true)[0].row_stride, 64);
    }

    #[test]
    fn sizes_are_raised_to_the_rule() {
        let shapes: &[&[usize]] = &[&[1, 4, 1, 32], &[1, 2, 1, 32], &[1, 8, 1, 32]];
        let sizes = |rule, ascending| -> Vec<usize> { of(shapes, rule, ascending).iter().map(|p| p.surface_bytes).collect() };
        assert_eq!(sizes(SizeRule::Any, true), [256, 128, 512]);
        assert_eq!(sizes(SizeRule::Uniform, true), [512; 3]);
        assert_eq!(sizes(SizeRule::Ascending, true), [256, 256, 512]);
        assert_eq!(sizes(SizeRule::Ascending, false), [512; 3]);
    }

    #[test]
    fn an_extent_beyond_the_machine_is_no_port() {
        let ty = Type::new(DType::Fp16, &[1, usize::MAX / 2, 1, 3]);
        assert!(ports(&[("x", &ty)], &[0], true, &Profile::default()).is_none());
        let ty = Type::new(DType::Fp16, &[usize::MAX / 2]);
        assert!(ports(&[("x", &ty)], &[0], true, &Profile::default()).is_none());
    }
}
