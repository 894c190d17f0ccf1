//! Ports of a loaded program: what it declares, joined by name with what the framework's attributes say.
//!
//! The framework orders ports as it likes, and pads rows; `NetworkStatusList` says how, `kANEFModelInputSymbolsArrayKey`
//! and its sibling say by which number a request addresses each. Positions in a declaration are never used for either.

use std::collections::BTreeMap;

use ane::{DeviceError, Port, Source, Surface};
use mil::{Program, Type};

use crate::folder::{self, ProgramFile};
use crate::sizes;

/// A property list, without the framework's objects.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Integers and truth values.
    Number(i64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// A dictionary with texts as keys.
    Map(BTreeMap<String, Value>),
    /// Anything else.
    Other,
}

impl Value {
    fn get(&self, key: &str) -> Option<&Value> {
        if let Value::Map(map) = self { map.get(key) } else { None }
    }

    fn list(&self) -> &[Value] {
        if let Value::List(items) = self { items } else { &[] }
    }

    fn text(&self) -> Option<&str> {
        if let Value::Text(text) = self { Some(text) } else { None }
    }

    fn size(&self, key: &str) -> Option<usize> {
        if let Some(Value::Number(number)) = self.get(key) { usize::try_from(*number).ok() } else { None }
    }
}

/// Which ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Inputs.
    Input,
    /// Outputs.
    Output,
}

impl Side {
    fn live(self) -> &'static str {
        if self == Side::Input { "LiveInputList" } else { "LiveOutputList" }
    }

    fn symbols(self) -> &'static str {
        if self == Side::Input { "kANEFModelInputSymbolsArrayKey" } else { "kANEFModelOutputSymbolsArrayKey" }
    }
}

/// Name and type of a port, as the program declares it.
pub type Declared = (String, Type);

/// What a program takes and gives back.
#[derive(Clone, Debug, PartialEq)]
pub struct Declaration {
    /// Inputs, in the order of the function.
    pub inputs: Vec<Declared>,
    /// Outputs, in the order of the function.
    pub outputs: Vec<Declared>,
}

/// What is needed of a program before it is compiled: its declaration, and its weight files with their places.
///
/// # Errors
/// In words: the text is no program, or a weight file would lie outside its folder.
pub fn prepared<'s>(source: &Source<'s>) -> Result<(Declaration, Vec<ProgramFile<'s>>), String> {
    let program = mil::parse(source.text).map_err(|e| e.to_string())?;
    let outside = |key| format!("the weight file {key:?} would lie outside the program's folder");
    Ok((declaration(&program)?, folder::files(source.blobs).map_err(outside)?))
}

/// Reads the declaration of the first function of `program`, which requests run.
///
/// # Errors
/// In words: there is no function, or it returns what nothing defines.
pub fn declaration(program: &Program) -> Result<Declaration, String> {
    let function = program.functions.first().ok_or("the program has no function")?;
    let typed = |name: &String| {
        let bindings = function.body.iter().flat_map(|s| &s.results);
        let found = function.inputs.iter().chain(bindings).find(|b| b.name == *name);
        found.map(|b| (name.clone(), b.ty.clone())).ok_or_else(|| format!("the program returns {name}, which nothing defines"))
    };
    Ok(Declaration {
        inputs: function.inputs.iter().map(|p| (p.name.clone(), p.ty.clone())).collect(),
        outputs: function.outputs.iter().map(typed).collect::<Result<_, _>>()?,
    })
}

/// A port, and the number by which a request addresses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// As the device lays it out.
    pub port: Port,
    /// Number of its symbol.
    pub index: usize,
}

/// Finds every declared port among the attributes.
///
/// # Errors
/// In words: which port is missing, or laid out in a way that rows at one stride cannot describe.
pub fn bind(declared: &[Declared], attributes: &Value, side: Side) -> Result<Vec<Bound>, String> {
    let network = attributes.get("NetworkStatusList").and_then(|list| list.list().first());
    let live = network.and_then(|n| n.get(side.live())).map(Value::list).unwrap_or_default();
    if live.len() != declared.len() {
        return Err(format!("the program declares {} in {}, the loaded model has {}", declared.len(), side.live(), live.len()));
    }
    let symbols = attributes.get("ANEFModelDescription").and_then(|d| d.get(side.symbols())).map(Value::list).unwrap_or_default();
    let mut bound = declared.iter().map(|d| bind_one(d, live, symbols)).collect::<Result<Vec<_>, _>>()?;
    // surfaces of a side are of one size: some chips refuse others
    let largest = bound.iter().map(|b| b.port.surface_bytes).max().unwrap_or(0);
    bound.iter_mut().for_each(|b| b.port.surface_bytes = largest);
    Ok(bound)
}

/// Ports of a loaded program: inputs, then outputs, and the numbers by which requests address them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// As the device lays them out.
    pub sides: [Vec<Port>; 2],
    /// Numbers of their symbols.
    pub numbers: [Vec<usize>; 2],
}

impl Ports {
    /// Finds all that `declared` names among the attributes.
    ///
    /// # Errors
    /// Those of [`bind`].
    pub fn bound(declared: &Declaration, attributes: &Value) -> Result<Ports, String> {
        let side = |declared: &[_], side| {
            let bound = bind(declared, attributes, side)?;
            Ok::<_, String>(bound.into_iter().map(|b| (b.port, b.index)).unzip())
        };
        let (inputs, of_inputs) = side(&declared.inputs, Side::Input)?;
        let (outputs, of_outputs) = side(&declared.outputs, Side::Output)?;
        Ok(Ports { sides: [inputs, outputs], numbers: [of_inputs, of_outputs] })
    }
}

/// Whether `surfaces` hold what `ports` of `kernel` need.
///
/// # Errors
/// [`DeviceError::Mismatch`]: too few, too many, or one that is too small.
pub fn fit<S: Surface>(kernel: &str, ports: &[Port], surfaces: &[S]) -> Result<(), DeviceError> {
    let mismatch = |what: String, expected: usize, found: usize| DeviceError::Mismatch {
        kernel: kernel.to_owned(),
        what,
        expected: expected.to_string(),
        found: found.to_string(),
    };
    if ports.len() != surfaces.len() {
        return Err(mismatch("surfaces".to_owned(), ports.len(), surfaces.len()));
    }
    let small = ports.iter().zip(surfaces).find(|(port, surface)| surface.len() < port.surface_bytes);
    small.map_or(Ok(()), |(port, surface)| {
        Err(mismatch(format!("bytes of the surface for {}", port.name), port.surface_bytes, surface.len()))
    })
}

fn bind_one(declared: &Declared, live: &[Value], symbols: &[Value]) -> Result<Bound, String> {
    let (name, ty) = declared;
    let position = live.iter().position(|v| name_of(v) == Some(name));
    let position = position.ok_or_else(|| format!("the loaded model has no port {name}: it has {}", names(live)))?;
    let index = symbols.iter().position(|s| s.text().map(plain) == Some(name)).unwrap_or(position);
    Ok(Bound { port: port(name, ty, &live[position]).map_err(|e| format!("port {name}: {e}"))?, index })
}

fn name_of(live: &Value) -> Option<&str> {
    ["Name", "Symbol"].into_iter().find_map(|key| live.get(key)?.text()).map(plain)
}

/// Names of outputs carry a suffix.
fn plain(name: &str) -> &str {
    name.strip_suffix("@output").unwrap_or(name)
}

fn names(live: &[Value]) -> String {
    live.iter().map(|v| name_of(v).unwrap_or("?")).collect::<Vec<_>>().join(", ")
}

fn port(name: &str, ty: &Type, live: &Value) -> Result<Port, String> {
    let size = |key: &str| live.size(key).ok_or_else(|| format!("its attributes do not say {key}"));
    let element_bytes = match live.get("Type").and_then(Value::text) {
        Some("Float16") => 2,
        Some("Float32" | "Int32") => 4,
        Some("Int64") => 8,
        Some("UInt8" | "Int8") => 1,
        other => return Err(format!("elements of type {}", other.unwrap_or("unknown"))),
    };
    let shape = [size("Batches")?, size("Channels")?, size("Height")?, size("Width")?];
    let [n, c, h, w] = shape;
    if live.size("Depth").unwrap_or(1) != 1 || live.size("Interleave").unwrap_or(1) != 1 {
        return Err("its elements are interleaved, or have a depth".to_owned());
    }
    let elements = shape.iter().try_fold(1usize, |all, extent| all.checked_mul(*extent));
    if elements.is_none() || elements != ty.elements() || 8 * element_bytes != ty.dtype.bits() {
        return Err(format!("declared as {ty}, loaded as {shape:?} of {element_bytes} bytes each"));
    }
    let (row, plane, batch) = (size("RowStride")?, size("PlaneStride")?, live.size("BatchStride"));
    // a plane of one row may be padded: the next row is then the next plane
    let row_stride = if h == 1 { plane } else { row };
    let rows = |rows: usize| rows.checked_mul(row_stride);
    let even = (h == 1 || rows(h) == Some(plane)) && (n == 1 || c.checked_mul(plane) == batch);
    if !even || w.checked_mul(element_bytes).is_none_or(|bytes| bytes > row_stride) {
        return Err(format!("rows of {w} elements at strides {row}, {plane}, {batch:?} in {shape:?}"));
    }
    let bytes = n.checked_mul(c).and_then(|nc| rows(nc.checked_mul(h)?)).map(|b| b.max(batch.unwrap_or(0)));
    let surface_bytes = bytes.and_then(sizes::surface).ok_or("its surface is larger than memory")?;
    Ok(Port { name: name.to_owned(), shape, element_bytes, row_stride, surface_bytes })
}

#[cfg(test)]
#[path = "ports_tests.rs"]
mod tests;
