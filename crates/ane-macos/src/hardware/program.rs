//! A program on the engine: compiled, loaded, bound to surfaces, run, unloaded.

#![allow(unsafe_code)]

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ane::{DeviceError, Kernel, Port, Source, Stage};
use objc2::msg_send;
use objc2::rc::{Retained, autoreleasepool};
use objc2::runtime::AnyObject;
use objc2_foundation::{NSArray, NSData, NSDictionary, NSError, NSNumber, NSString, NSTemporaryDirectory};

use super::exception::{Raised, guarded};
use super::{BUDGET, Memory, Shared, attributes, failed};
use crate::folder::{ProgramFile, TemporaryFolder};
use crate::ports::{self, Declaration, Ports};

/// Quality of service of every call: the system's default.
const QOS: u32 = 21;
/// Before a failed load is tried once more.
const RETRY: Duration = Duration::from_millis(100);

type Weights = NSDictionary<NSString, AnyObject>;

/// A loaded program. Dropping it unloads it and removes its files.
pub struct Loaded {
    name: String,
    model: Retained<AnyObject>,
    ports: Ports,
    shared: Arc<Shared>,
    /// Whether there is something to unload.
    loaded: bool,
    /// What the model was made of; it may still read it.
    _made_of: (Retained<NSData>, Retained<Weights>),
    /// Removed after the model was unloaded: fields are dropped after `drop`.
    _folder: TemporaryFolder,
}

/// Surfaces bound to the ports of a program.
pub struct Binding {
    request: Retained<AnyObject>,
    /// Whose ports.
    model: usize,
    inputs: Vec<Memory>,
    outputs: Vec<Memory>,
}

// SAFETY: the framework's model is used from any thread by other programs; it is not changed after it was loaded, and calls
// of it at the same time are what its queue is for.
unsafe impl Send for Loaded {}
// SAFETY: as above.
unsafe impl Sync for Loaded {}
// SAFETY: the request is not changed after it was made, and is in flight once at a time: it runs under its surfaces' locks.
unsafe impl Send for Binding {}
// SAFETY: as above.
unsafe impl Sync for Binding {}

/// Calls for one kernel, whose failures become errors that name it.
struct Calls<'a> {
    kernel: &'a str,
}

impl Calls<'_> {
    /// Runs `f`: an exception, or the framework's error, is an error of `stage`.
    fn run(&self, stage: Stage, f: impl FnOnce() -> Result<(), Retained<NSError>>) -> Result<(), DeviceError> {
        match self.guard(stage, f)? {
            Ok(()) => Ok(()),
            Err(error) => {
                let text = error.localizedDescription().to_string();
                let text = underlying(&error).map_or_else(|| text.clone(), |u| format!("{text} ({u})"));
                Err(failed(self.kernel, stage, &error.domain().to_string(), error.code() as i64, text))
            }
        }
    }

    /// Runs `f`, of which nothing may come.
    fn some<R>(&self, stage: Stage, what: &str, f: impl FnOnce() -> Option<R>) -> Result<R, DeviceError> {
        self.guard(stage, f)?.ok_or_else(|| self.refused(stage, what.to_owned()))
    }

    fn guard<R>(&self, stage: Stage, f: impl FnOnce() -> R) -> Result<R, DeviceError> {
        guarded(f).map_err(|Raised(text)| {
            let lost = "the framework raised this instead of saying what failed";
            failed(self.kernel, stage, "NSException", 0, format!("{lost}: {text}"))
        })
    }

    fn refused(&self, stage: Stage, text: String) -> DeviceError {
        failed(self.kernel, stage, "autoane", 0, text)
    }
}

fn underlying(error: &NSError) -> Option<String> {
    let info = error.userInfo();
    let key = NSString::from_str("NSUnderlyingError");
    let object = info.objectForKey(&key)?;
    object.downcast_ref::<NSError>().map(|e| e.localizedDescription().to_string())
}

/// Compiles and loads `source`.
pub fn load(shared: &Arc<Shared>, source: &Source<'_>) -> Result<Loaded, DeviceError> {
    let calls = Calls { kernel: source.name };
    let (declared, files) = ports::prepared(source).map_err(|e| calls.refused(Stage::Compile, e))?;
    let ticket = BUDGET.reserve(source.name)?;
    thread::sleep(BUDGET.pause(Instant::now()));
    let began = Instant::now();
    let mut loaded = autoreleasepool(|_| prepare(shared, source, &calls, &files))?;
    autoreleasepool(|_| calls.compile_and_load(&mut loaded))?;
    ticket.loaded();
    autoreleasepool(|_| calls.bind_ports(&mut loaded, &declared))?;
    shared.count(|c| {
        c.compiles += 1;
        c.compile_seconds += began.elapsed().as_secs_f64();
    });
    Ok(loaded)
}

/// Descriptor, model, files.
fn prepare(
    shared: &Arc<Shared>,
    source: &Source<'_>,
    calls: &Calls<'_>,
    files: &[ProgramFile<'_>],
) -> Result<Loaded, DeviceError> {
    let classes = shared.classes;
    let text = NSData::with_bytes(source.text.as_bytes());
    let weights = weights(source.blobs);
    let options: Option<&NSData> = None;
    let descriptor: Retained<AnyObject> = calls.some(Stage::Compile, "the text is refused", || {
        // SAFETY: text as UTF-8, a dictionary of weights that is never nil, no options; an object, or nil, comes back.
        unsafe { msg_send![classes.descriptor, modelWithMILText: &*text, weights: &*weights, optionsPlist: options] }
    })?;
    let model: Retained<AnyObject> = calls.some(Stage::Compile, "no model can be made of the text", || {
        // SAFETY: takes a descriptor, gives a model or nil.
        unsafe { msg_send![classes.model, inMemoryModelWithDescriptor: &*descriptor] }
    })?;
    let identifier: Retained<NSString> = calls.some(Stage::Compile, "the model has no identifier", || {
        // SAFETY: no arguments; a text, or nil, comes back.
        unsafe { msg_send![&model, hexStringIdentifier] }
    })?;
    let root = NSTemporaryDirectory().to_string();
    let folder = TemporaryFolder::create(Path::new(&root), &identifier.to_string(), source.text, files);
    let folder = folder.map_err(|e| calls.refused(Stage::Compile, format!("files of the program in {root}: {e}")))?;
    let name = source.name.to_owned();
    let (shared, _made_of) = (shared.clone(), (text, weights));
    Ok(Loaded { name, model, ports: Ports::default(), shared, loaded: false, _made_of, _folder: folder })
}

/// `{path: {offset: 0, data: bytes}}`, empty without weights.
fn weights(blobs: &[(String, Vec<u8>)]) -> Retained<Weights> {
    let keys: Vec<_> = blobs.iter().map(|(key, _)| NSString::from_str(key)).collect();
    let entry = |(_, bytes): &(String, Vec<u8>)| -> Retained<Weights> {
        let (offset, data) = (NSNumber::new_u64(0), NSData::with_bytes(bytes));
        let names = [NSString::from_str("offset"), NSString::from_str("data")];
        let values: [&AnyObject; 2] = [offset.as_ref(), data.as_ref()];
        NSDictionary::from_slices(&[&*names[0], &*names[1]], &values)
    };
    let entries: Vec<_> = blobs.iter().map(entry).collect();
    let keys: Vec<&NSString> = keys.iter().map(|k| &**k).collect();
    let entries: Vec<&AnyObject> = entries.iter().map(|e| -> &AnyObject { e.as_ref() }).collect();
    NSDictionary::from_slices(&keys, &entries)
}

impl Calls<'_> {
    /// Compiles it unless the system has it compiled, and loads it. What the system has may be stale: what cannot be loaded
    /// is compiled after all.
    fn compile_and_load(&self, loaded: &mut Loaded) -> Result<(), DeviceError> {
        let model = &loaded.model;
        // SAFETY: no arguments; a truth value comes back.
        let cached: bool = self.guard(Stage::Compile, || unsafe { msg_send![model, compiledModelExists] })?;
        if cached && self.load(loaded).is_ok() {
            return Ok(());
        }
        self.compile(&loaded.model)?;
        self.load(loaded)
    }

    fn compile(&self, model: &AnyObject) -> Result<(), DeviceError> {
        let none: Retained<NSDictionary> = NSDictionary::new();
        // SAFETY: a number, a dictionary that is not nil, and where the error goes.
        let compiled = self.run(Stage::Compile, || unsafe { msg_send![model, compileWithQoS: QOS, options: &*none, error: _] });
        BUDGET.ended(Instant::now(), compiled.is_ok());
        compiled
    }

    /// Loads it, once more after a while if that fails.
    fn load(&self, loaded: &mut Loaded) -> Result<(), DeviceError> {
        let none: Retained<NSDictionary> = NSDictionary::new();
        let model = &loaded.model;
        // SAFETY: a number, a dictionary that is not nil, and where the error goes.
        let attempt = || self.run(Stage::Load, || unsafe { msg_send![model, loadWithQoS: QOS, options: &*none, error: _] });
        attempt().or_else(|_| {
            thread::sleep(RETRY);
            attempt()
        })?;
        loaded.loaded = true;
        loaded.shared.count(|c| c.loaded += 1);
        Ok(())
    }

    /// Finds the declared ports among the attributes of the loaded model.
    fn bind_ports(&self, loaded: &mut Loaded, declared: &Declaration) -> Result<(), DeviceError> {
        let model = &loaded.model;
        let found: Retained<AnyObject> = self.some(Stage::Bind, "the loaded model has no attributes", || {
            // SAFETY: no arguments; a dictionary, or nil, comes back.
            unsafe { msg_send![model, modelAttributes] }
        })?;
        let found = self.guard(Stage::Bind, || attributes::plain(&found))?;
        Ports::bound(declared, &found).map(|ports| loaded.ports = ports).map_err(|e| self.refused(Stage::Bind, e))
    }
}

impl Loaded {
    fn identity(&self) -> usize {
        Retained::as_ptr(&self.model) as usize
    }
}

impl Kernel for Loaded {
    type Surface = Memory;
    type Request = Binding;

    fn inputs(&self) -> &[Port] {
        &self.ports.sides[0]
    }

    fn outputs(&self) -> &[Port] {
        &self.ports.sides[1]
    }

    fn request(&self, inputs: &[Memory], outputs: &[Memory]) -> Result<Binding, DeviceError> {
        ports::fit(&self.name, self.inputs(), inputs)?;
        ports::fit(&self.name, self.outputs(), outputs)?;
        let calls = Calls { kernel: &self.name };
        let make = || {
            let objects = |surfaces: &[Memory]| NSArray::from_slice(&surfaces.iter().map(Memory::object).collect::<Vec<_>>());
            let numbers =
                |all: &[usize]| NSArray::from_retained_slice(&all.iter().map(|n| NSNumber::new_usize(*n)).collect::<Vec<_>>());
            let (ins, outs) = (objects(inputs), objects(outputs));
            let [in_numbers, out_numbers] = self.ports.numbers.each_ref().map(|n| numbers(n));
            let (nothing, first): (Option<&AnyObject>, _) = (None, NSNumber::new_i32(0));
            // SAFETY: lists of the framework's surfaces and of their numbers, no weights or statistics, the first function.
            unsafe {
                msg_send![self.shared.classes.request, requestWithInputs: &*ins, inputIndices: &*in_numbers, outputs: &*outs,
                    outputIndices: &*out_numbers, weightsBuffer: nothing, perfStats: nothing, procedureIndex: &*first]
            }
        };
        let request = autoreleasepool(|_| calls.some(Stage::Bind, "the framework makes no request of the surfaces", make))?;
        Ok(Binding { request, model: self.identity(), inputs: inputs.to_vec(), outputs: outputs.to_vec() })
    }

    fn evaluate(&self, binding: &Binding) -> Result<(), DeviceError> {
        let calls = Calls { kernel: &self.name };
        if binding.model != self.identity() {
            return Err(calls.refused(Stage::Evaluate, "the request belongs to another program".to_owned()));
        }
        // one evaluation of a request at a time, and none while the bytes are in use
        let _read = binding.inputs.iter().map(Memory::reading).collect::<Result<Vec<_>, _>>()?;
        let _written = binding.outputs.iter().map(Memory::writing).collect::<Result<Vec<_>, _>>()?;
        let began = Instant::now();
        autoreleasepool(|_| {
            let none: Retained<NSDictionary> = NSDictionary::new();
            let (model, request) = (&self.model, &*binding.request);
            calls.run(Stage::Evaluate, || unsafe {
                // SAFETY: a number, a dictionary that is not nil, a request of this model, and where the error goes.
                msg_send![model, evaluateWithQoS: QOS, options: &*none, request: request, error: _]
            })
        })?;
        self.shared.count(|c| {
            c.dispatches += 1;
            c.evaluate_seconds += began.elapsed().as_secs_f64();
        });
        Ok(())
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        if !self.loaded {
            return;
        }
        self.shared.count(|c| c.loaded -= 1);
        let (calls, model) = (Calls { kernel: &self.name }, &self.model);
        // SAFETY: a number, and where the error goes. Nobody can be told of a failure here.
        let _ = autoreleasepool(|_| calls.run(Stage::Load, || unsafe { msg_send![model, unloadWithQoS: QOS, error: _] }));
    }
}
