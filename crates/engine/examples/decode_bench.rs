//! Tokens a second of a prompt and of decoding, for random weights of a preset in each stored type, and the share of the
//! measured memory bandwidth that decoding reaches.
//!
//! `cargo run --release -p engine --example decode_bench -- [PRESET] [TYPES] [PROMPT] [TOKENS] [THREADS] [ROUNDS]`

use std::time::{Duration, Instant};

use engine::{DecodeWeights, Decoder, EngineError, init};
use kernels::stored::{Held, Numbers};
use kernels::{Cpu, ceilings};
use model::{Layout, Role, preset};

fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Some bytes of the size of `n` weights: their values do not matter, but they must be finite.
fn encoded(kind: &str, floats: &[f32]) -> Numbers<'static> {
    let words = |mask: u16| floats.iter().flat_map(|f| ((f.to_bits() >> 16) as u16 & mask).to_le_bytes()).collect();
    match kind {
        "f16" => {
            Numbers::F16(Held::Owned(floats.iter().flat_map(|f| ((f * 1e4) as i16 as u16 & 0xa7ff).to_le_bytes()).collect()))
        }
        "bf16" => Numbers::Bf16(Held::Owned(words(0xffff))),
        "q8_0" => Numbers::Q8_0(Held::Owned(
            floats
                .chunks(32)
                .flat_map(|block| [0, 0x10].into_iter().chain(block.iter().map(|f| (f * 1000.0) as i8 as u8)))
                .collect(),
        )),
        _ => Numbers::F32(Held::Owned(floats.to_vec())),
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default: usize| arguments.get(i).map_or(Ok(default), |text| text.parse());
    let text = |i: usize, default: &'static str| arguments.get(i).map_or(default.to_owned(), Clone::clone);
    let (name, types) = (text(0, "smollm2-135m"), text(1, "f32,f16,bf16,q8_0"));
    let (prompt, tokens, threads, rounds) = (number(2, 256)?, number(3, 64)?, number(4, 2)?, number(5, 5)?);
    let spec = preset(&name).ok_or(format!("no preset is called {name}"))?.spec;
    let cpu = Cpu::new(threads);
    let params = init(&spec, &Layout::of(&spec), 1);
    let ids: Vec<u32> = (0..prompt).map(|i| (i * 7919 % spec.vocab) as u32).collect();
    let gbps = ceilings::read_gbps(cpu.pool(), Duration::from_millis(500));
    println!("{name}, {threads} threads, {}, {gbps:.1} GB/s read; prompt {prompt}, {tokens} tokens", cpu.isa().name());
    for kind in types.split(',') {
        let weights = DecodeWeights::read::<EngineError>(&spec, |t| {
            let floats = &params[t.range.clone()];
            let vector = matches!(t.role, Role::Norm | Role::Bias);
            Ok(encoded(if vector { "f32" } else { kind }, floats))
        })?;
        let mut decoder = Decoder::new(&cpu, &spec, &weights, prompt + tokens);
        let (mut prompts, mut decodes) = (Vec::new(), Vec::new());
        for _ in 0..=rounds {
            decoder.clear();
            let start = Instant::now();
            decoder.feed(&ids)?;
            prompts.push(prompt as f64 / start.elapsed().as_secs_f64());
            let start = Instant::now();
            for i in 0..tokens {
                decoder.feed(&ids[i % prompt..i % prompt + 1])?;
            }
            decodes.push(tokens as f64 / start.elapsed().as_secs_f64());
        }
        let (speed, bytes) = (median(&decodes[1..]), weights.bytes_of_a_token() as f64);
        let share = 100.0 * speed * bytes / (1e9 * gbps);
        println!(
            "{kind:5} prompt {:7.1}/s  decode {speed:6.1}/s  {:.1} GB/s, {share:.0}%",
            median(&prompts[1..]),
            speed * bytes / 1e9
        );
    }
    Ok(())
}
