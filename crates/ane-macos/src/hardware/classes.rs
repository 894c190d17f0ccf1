//! The framework's classes, found by name, and a check that they still have the methods that are called.

#![allow(unsafe_code)]

use std::sync::OnceLock;

use ane::DeviceError;
use objc2::rc::{Retained, autoreleasepool};
use objc2::runtime::{AnyClass, AnyObject, Bool, MessageReceiver, Method, Sel};
use objc2::sel;
use objc2_foundation::NSString;

use super::exception::guarded;

const FRAMEWORK: &std::ffi::CStr = c"/System/Library/PrivateFrameworks/AppleNeuralEngine.framework/AppleNeuralEngine";

/// The classes that a program needs.
#[derive(Clone, Copy, Debug)]
pub struct Classes {
    /// `_ANEInMemoryModelDescriptor`
    pub descriptor: &'static AnyClass,
    /// `_ANEInMemoryModel`
    pub model: &'static AnyClass,
    /// `_ANERequest`
    pub request: &'static AnyClass,
    /// `_ANEIOSurfaceObject`
    pub surface: &'static AnyClass,
    /// `_ANEDeviceInfo`
    pub info: &'static AnyClass,
}

/// The classes, looked up once a process.
///
/// # Errors
/// [`DeviceError::Unavailable`]: the framework cannot be loaded, or is not the one that this was written for.
pub fn classes() -> Result<Classes, DeviceError> {
    static CLASSES: OnceLock<Result<Classes, String>> = OnceLock::new();
    CLASSES.get_or_init(load).clone().map_err(DeviceError::Unavailable)
}

fn load() -> Result<Classes, String> {
    // SAFETY: a path of the system, loaded as it loads it itself; it is never unloaded.
    let handle = unsafe { libc::dlopen(FRAMEWORK.as_ptr(), libc::RTLD_NOW) };
    if handle.is_null() {
        return Err(format!("the framework of the Neural Engine cannot be loaded: {}", dlerror()));
    }
    let get = |name: &std::ffi::CStr| {
        AnyClass::get(name).ok_or_else(|| format!("the framework of the Neural Engine has no class {}", name.to_string_lossy()))
    };
    let classes = Classes {
        descriptor: get(c"_ANEInMemoryModelDescriptor")?,
        model: get(c"_ANEInMemoryModel")?,
        request: get(c"_ANERequest")?,
        surface: get(c"_ANEIOSurfaceObject")?,
        info: get(c"_ANEDeviceInfo")?,
    };
    classes.check()?;
    Ok(classes)
}

fn dlerror() -> String {
    // SAFETY: gives null or a text that stays until the thread's next call of its kind.
    let text = unsafe { libc::dlerror().as_ref().map(|text| std::ffi::CStr::from_ptr(text)) };
    text.map_or_else(|| "no reason given".to_owned(), |t| t.to_string_lossy().into_owned())
}

impl Classes {
    /// Whether every method that is called exists and takes as many arguments: another version of the framework is refused
    /// before it is misunderstood.
    fn check(&self) -> Result<(), String> {
        let request = sel!(requestWithInputs:inputIndices:outputs:outputIndices:weightsBuffer:perfStats:procedureIndex:);
        let of_class = [
            (self.descriptor, sel!(modelWithMILText:weights:optionsPlist:), "@"),
            (self.model, sel!(inMemoryModelWithDescriptor:), "@"),
            (self.surface, sel!(objectWithIOSurface:), "@"),
            (self.request, request, "@"),
        ];
        let of_instance = [
            (sel!(hexStringIdentifier), "@"),
            (sel!(compiledModelExists), "B"),
            (sel!(compileWithQoS:options:error:), "B"),
            (sel!(loadWithQoS:options:error:), "B"),
            (sel!(evaluateWithQoS:options:request:error:), "B"),
            (sel!(unloadWithQoS:error:), "B"),
            (sel!(modelAttributes), "@"),
        ];
        let class_methods = of_class.iter().map(|(class, name, result)| (*class, *name, *result, class.class_method(*name)));
        let methods = of_instance.iter().map(|(name, result)| (self.model, *name, *result, self.model.instance_method(*name)));
        for (class, name, result, method) in class_methods.chain(methods) {
            let arguments = name.name().to_bytes().iter().filter(|b| **b == b':').count();
            let fits = |m: &Method| m.arguments_count() == 2 + arguments && result_of(m) == result;
            if !method.is_some_and(fits) {
                let class = class.name().to_string_lossy().into_owned();
                return Err(format!("{class} of the framework has no method {name} as it is called here"));
            }
        }
        Ok(())
    }

    /// What the class method `name` of `_ANEDeviceInfo` answers: a number, or whether something is so.
    pub fn number(&self, name: Sel) -> Option<u64> {
        let (info, kind) = (self.info, self.answers(name)?);
        // SAFETY: no arguments, and a result of the type that the method's encoding says.
        let ask = || unsafe {
            match kind.as_str() {
                "B" => Some(u64::from(info.send_message::<(), Bool>(name, ()).as_bool())),
                "C" => Some(u64::from(info.send_message::<(), u8>(name, ()))),
                "I" => Some(u64::from(info.send_message::<(), u32>(name, ()))),
                "i" => u64::try_from(info.send_message::<(), i32>(name, ())).ok(),
                "Q" => Some(info.send_message::<(), u64>(name, ())),
                "q" => u64::try_from(info.send_message::<(), i64>(name, ())).ok(),
                _ => None,
            }
        };
        guarded(ask).ok().flatten()
    }

    /// The text that the class method `name` of `_ANEDeviceInfo` answers.
    pub fn text(&self, name: Sel) -> Option<String> {
        let (info, kind) = (self.info, self.answers(name)?);
        if kind != "@" {
            return None;
        }
        let ask = || {
            // SAFETY: no arguments, and the encoding says that the result is an object, which the method does not give away.
            let object = unsafe { Retained::retain_autoreleased(info.send_message::<(), *mut AnyObject>(name, ())) };
            object.and_then(|o| o.downcast_ref::<NSString>().map(NSString::to_string))
        };
        autoreleasepool(|_| guarded(ask).ok().flatten())
    }

    /// Encoding of what a class method without arguments of `_ANEDeviceInfo` answers.
    fn answers(&self, name: Sel) -> Option<String> {
        self.info.class_method(name).filter(|m| m.arguments_count() == 2).map(result_of)
    }
}

/// Encoding of the result of a method.
fn result_of(method: &Method) -> String {
    method.return_type().to_string_lossy().into_owned()
}
