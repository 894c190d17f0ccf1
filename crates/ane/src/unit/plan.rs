//! What a unit will hold on a device, known before anything is opened.

use std::collections::HashSet;

use crate::packed::PAD;
use crate::sim::{self, Profile};
use crate::{Baked, KernelSpec, Packed};

/// What lies in an input that holds nothing but weights.
pub fn shared_key(packed: &Packed, layer: usize, bytes: usize) -> Option<String> {
    let fields = packed.fields.iter().filter(|f| f.name != PAD).map(|f| Some((f.name, f.holds?))).collect::<Option<Vec<_>>>()?;
    // a surface of another size is another surface: some devices want all of a request equally large
    Some(format!("{layer} {bytes} {fields:?}"))
}

/// Layers of one program.
pub fn span(spec: &KernelSpec) -> usize {
    spec.deeper.iter().map(|(_, _, after)| after + 1).max().unwrap_or(1)
}

/// Programs, or sets of surfaces, of a kernel for `layers` layers: one, unless each layer has weights of its own in it.
pub fn count(spec: &KernelSpec, layers: usize) -> usize {
    let beside = spec.baked.iter().any(|(_, what)| matches!(what, Baked::FinalNorm | Baked::Classifier));
    let each = spec.bakes_weights() || spec.stages_weights();
    if each && !beside { layers.div_ceil(span(spec)) } else { 1 }
}

/// Bytes of the surfaces of `specs` for `layers` layers, where ports are laid out as `profile` says: what opening all units
/// allocates.
pub fn surface_bytes(specs: &[KernelSpec], layers: usize, profile: &Profile) -> Option<u64> {
    let (mut shared, mut sum) = (HashSet::new(), 0u64);
    for spec in specs {
        let sizes = |side: &[Packed], ascending| sim::surface_sizes(side, ascending, profile);
        let (inputs, outputs) = (sizes(&spec.inputs, true)?, sizes(&spec.outputs, false)?);
        let count = count(spec, layers);
        for slot in 0..count {
            let own = |(packed, bytes): (&Packed, &usize)| {
                let layer = slot * span(spec);
                shared_key(packed, layer, *bytes).is_none_or(|key| shared.insert(key)).then_some(*bytes as u64)
            };
            sum += spec.inputs.iter().zip(&inputs).filter_map(own).sum::<u64>();
        }
        let sets = if spec.bakes_weights() { count as u64 } else { 1 };
        sum += sets * outputs.iter().map(|b| *b as u64).sum::<u64>();
    }
    Some(sum)
}
