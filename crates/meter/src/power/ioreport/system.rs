//! The library behind the counters, called through its published signatures.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};

use super::{Channel, Source};
use crate::power::library::Library;

/// An object of Core Foundation.
type Ref = *const c_void;

const UTF8: u32 = 0x0800_0100;

/// What is called of IOReport and of Core Foundation.
struct Functions {
    copy_channels_in_group: unsafe extern "C" fn(Ref, Ref, u64, u64, u64) -> Ref,
    create_subscription: unsafe extern "C" fn(Ref, Ref, *mut Ref, u64, Ref) -> Ref,
    create_samples: unsafe extern "C" fn(Ref, Ref, Ref) -> Ref,
    create_delta: unsafe extern "C" fn(Ref, Ref, Ref) -> Ref,
    channel_name: unsafe extern "C" fn(Ref) -> Ref,
    unit_label: unsafe extern "C" fn(Ref) -> Ref,
    value: unsafe extern "C" fn(Ref, c_int) -> i64,
    string_create: unsafe extern "C" fn(Ref, *const c_char, u32) -> Ref,
    string_get: unsafe extern "C" fn(Ref, *mut c_char, isize, u32) -> u8,
    dictionary_copy: unsafe extern "C" fn(Ref, isize, Ref) -> Ref,
    dictionary_get: unsafe extern "C" fn(Ref, Ref) -> Ref,
    array_count: unsafe extern "C" fn(Ref) -> isize,
    array_get: unsafe extern "C" fn(Ref, isize) -> Ref,
    release: unsafe extern "C" fn(Ref),
}

impl Functions {
    fn load() -> Result<Functions, String> {
        let report = Library::open(&[c"/usr/lib/libIOReport.dylib"])?;
        let core = Library::open(&[c"/System/Library/Frameworks/CoreFoundation.framework/CoreFoundation"])?;
        // SAFETY: the types are those of Core Foundation's headers, and for IOReport those that are published. Both libraries
        // stay open: a `Library` does not close.
        unsafe {
            Ok(Functions {
                copy_channels_in_group: report.function(c"IOReportCopyChannelsInGroup")?,
                create_subscription: report.function(c"IOReportCreateSubscription")?,
                create_samples: report.function(c"IOReportCreateSamples")?,
                create_delta: report.function(c"IOReportCreateSamplesDelta")?,
                channel_name: report.function(c"IOReportChannelGetChannelName")?,
                unit_label: report.function(c"IOReportChannelGetUnitLabel")?,
                value: report.function(c"IOReportSimpleGetIntegerValue")?,
                string_create: core.function(c"CFStringCreateWithCString")?,
                string_get: core.function(c"CFStringGetCString")?,
                dictionary_copy: core.function(c"CFDictionaryCreateMutableCopy")?,
                dictionary_get: core.function(c"CFDictionaryGetValue")?,
                array_count: core.function(c"CFArrayGetCount")?,
                array_get: core.function(c"CFArrayGetValueAtIndex")?,
                release: core.function(c"CFRelease")?,
            })
        }
    }

    /// A string that the caller gives back.
    fn string(&self, text: &CStr) -> Ref {
        // SAFETY: `text` is a C string.
        unsafe { (self.string_create)(std::ptr::null(), text.as_ptr(), UTF8) }
    }

    /// The text of a string that is borrowed; empty of none.
    fn text(&self, string: Ref) -> String {
        let mut buffer = [0u8; 128];
        // SAFETY: a string that is not null, and room for as many bytes as are said.
        if string.is_null() || unsafe { (self.string_get)(string, buffer.as_mut_ptr().cast(), buffer.len() as isize, UTF8) } == 0
        {
            return String::new();
        }
        CStr::from_bytes_until_nul(&buffer).map(|s| s.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Gives back what is there.
    fn give_back(&self, objects: &[Ref]) {
        for object in objects.iter().filter(|o| !o.is_null()) {
            // SAFETY: each was created or copied here, and is given back once.
            unsafe { (self.release)(*object) };
        }
    }
}

/// Counters from the moment of their opening on.
pub struct Counters {
    functions: Functions,
    channels: Ref,
    subscription: Ref,
    first: Ref,
}

// SAFETY: its objects are used by one thread at a time; Core Foundation ties none of them to the thread that made it.
unsafe impl Send for Counters {}

impl Counters {
    /// Subscribes to the group `Energy Model`.
    pub fn open() -> Result<Counters, String> {
        let functions = Functions::load()?;
        let group = functions.string(c"Energy Model");
        // SAFETY: a string, and null where nothing is asked for.
        let found = unsafe { (functions.copy_channels_in_group)(group, std::ptr::null(), 0, 0, 0) };
        functions.give_back(&[group]);
        if found.is_null() {
            return Err("this machine shows no group `Energy Model`".to_owned());
        }
        // SAFETY: `found` is a dictionary.
        let channels = unsafe { (functions.dictionary_copy)(std::ptr::null(), 0, found) };
        functions.give_back(&[found]);
        let mut subscribed = std::ptr::null();
        // SAFETY: a mutable dictionary of channels, and a place for those that were subscribed to.
        let subscription =
            unsafe { (functions.create_subscription)(std::ptr::null(), channels, &mut subscribed, 0, std::ptr::null()) };
        functions.give_back(&[subscribed]);
        let mut counters = Counters { functions, channels, subscription, first: std::ptr::null() };
        if subscription.is_null() {
            return Err("the channels of `Energy Model` cannot be subscribed to".to_owned());
        }
        counters.first = counters.sample();
        if counters.first.is_null() { Err("no sample of `Energy Model`".to_owned()) } else { Ok(counters) }
    }

    fn sample(&self) -> Ref {
        // SAFETY: subscription and channels are those of `open`.
        unsafe { (self.functions.create_samples)(self.subscription, self.channels, std::ptr::null()) }
    }
}

impl Source for Counters {
    fn channels(&mut self) -> Result<Vec<Channel>, String> {
        let (f, now) = (&self.functions, self.sample());
        if now.is_null() {
            return Err("IOReport gives no sample any more".to_owned());
        }
        // SAFETY: two samples of one subscription.
        let delta = unsafe { (f.create_delta)(self.first, now, std::ptr::null()) };
        let key = f.string(c"IOReportChannels");
        let mut channels = Vec::new();
        if !delta.is_null() {
            // SAFETY: a delta is a dictionary; what it has below this key is an array of channels, or there is nothing.
            let items = unsafe { (f.dictionary_get)(delta, key) };
            // SAFETY: as above.
            let count = if items.is_null() { 0 } else { unsafe { (f.array_count)(items) } };
            for i in 0..count {
                // SAFETY: `i` is below the count; the strings and the value are those of a channel.
                let channel = unsafe {
                    let item = (f.array_get)(items, i);
                    (f.text((f.channel_name)(item)), f.text((f.unit_label)(item)), (f.value)(item, 0))
                };
                channels.push(channel);
            }
        }
        f.give_back(&[key, delta, now]);
        if channels.is_empty() { Err("IOReport shows no channels any more".to_owned()) } else { Ok(channels) }
    }
}

impl Drop for Counters {
    fn drop(&mut self) {
        self.functions.give_back(&[self.first, self.subscription, self.channels]);
    }
}
