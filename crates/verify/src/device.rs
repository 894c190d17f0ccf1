//! A device as a caller with a defect has it: outputs of the wrong scale, or errors that nobody looks at.

use ane::{Counters, Device, DeviceError, Kernel, Port, Source, Surface};

use crate::Tamper;

/// A device, and what is wrong with it.
pub struct Told<D> {
    pub device: D,
    pub tamper: Option<Tamper>,
}

impl<D: Device> Device for Told<D> {
    type Surface = D::Surface;
    type Kernel = Told<D::Kernel>;

    fn describe(&self) -> String {
        self.device.describe()
    }

    fn compile(&self, source: &Source<'_>) -> Result<Self::Kernel, DeviceError> {
        Ok(Told { device: self.device.compile(source)?, tamper: self.tamper })
    }

    fn surface(&self, bytes: usize) -> Result<D::Surface, DeviceError> {
        self.device.surface(bytes)
    }

    fn compiles_left(&self) -> Option<u64> {
        self.device.compiles_left()
    }

    fn dialect(&self) -> mil::Dialect {
        self.device.dialect()
    }

    fn peak_flops(&self) -> Option<f64> {
        self.device.peak_flops()
    }

    fn counters(&self) -> Counters {
        self.device.counters()
    }
}

/// A request, and where its outputs are.
pub struct Bound<R, S> {
    request: R,
    outputs: Vec<S>,
}

impl<K: Kernel> Kernel for Told<K> {
    type Surface = K::Surface;
    type Request = Bound<K::Request, K::Surface>;

    fn inputs(&self) -> &[Port] {
        self.device.inputs()
    }

    fn outputs(&self) -> &[Port] {
        self.device.outputs()
    }

    fn request(&self, inputs: &[K::Surface], outputs: &[K::Surface]) -> Result<Self::Request, DeviceError> {
        Ok(Bound { request: self.device.request(inputs, outputs)?, outputs: outputs.to_vec() })
    }

    fn evaluate(&self, bound: &Self::Request) -> Result<(), DeviceError> {
        match (self.device.evaluate(&bound.request), self.tamper) {
            (Err(_), Some(Tamper::Unheard)) => Ok(()),
            (Ok(()), Some(Tamper::Doubled)) => bound.outputs.iter().try_for_each(|s| s.write(doubled)),
            (found, _) => found,
        }
    }
}

/// Twice each number in fp16: one more in the exponent of those that have room for it.
fn doubled(bytes: &mut [u8]) {
    for half in bytes.as_chunks_mut::<2>().0 {
        let bits = u16::from_le_bytes(*half);
        if (1..30).contains(&(bits >> 10 & 31)) {
            *half = (bits + (1 << 10)).to_le_bytes();
        }
    }
}
