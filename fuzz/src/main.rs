//! Fuzz targets of every reader of files, in one program: `FUZZ_TARGET` names the one that runs.
//!
//! Built by `xtask/fuzz.sh` with the flags of libFuzzer it is a fuzzer. Built plainly it lists the targets (no arguments),
//! writes the seeds (`--seeds FOLDER`), or runs files (`TARGET FILE...`), which is how a finding is looked at.
#![cfg_attr(fuzzing, no_main)]

mod bounds;
mod dictionary;
mod folder;
mod seeds;
mod targets;

#[global_allocator]
static ALLOCATOR: bounds::Counting = bounds::Counting;

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(
    init: {
        let target = folder::chosen();
        if let Some(seeds) = std::env::var_os("FUZZ_SEEDS") {
            seeds::write(target, seeds.as_ref()).expect("the seeds can be written");
        }
    },
    |bytes: &[u8]| folder::run(folder::chosen(), bytes)
);

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => targets::ALL.iter().for_each(|t| println!("{}", t.name)),
        ["--seeds", folder] => {
            for target in targets::ALL {
                seeds::write(target, &std::path::Path::new(folder).join(target.name))?;
            }
        }
        [name, ref files @ ..] => {
            let target = targets::named(name);
            for file in files {
                folder::run(target, &std::fs::read(file)?);
                println!("{file}: {} bytes at most", bounds::peak());
            }
        }
    }
    Ok(())
}
