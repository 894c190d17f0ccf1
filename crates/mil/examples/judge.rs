//! Answers what another implementation of the language wants compared with this one: types, values and weight files.
//!
//! Requests come over the standard input, answers go to the standard output; both are frames: the number of bytes as eight
//! little endian bytes, then the bytes. A request is a frame that names what is wanted and then the frames of its arguments:
//!
//! - `run`, profile, text of the program, weight file `@model_path/weights/judge.bin`, number of inputs, inputs as packed
//!   bytes: answers `ok`, number of outputs, and for each its type and its elements as `f64`;
//! - `operations`: answers `ok`, then the names of the table, a space between two;
//! - `check`, text: answers `ok`, then the text as it is printed;
//! - `write`, number of records, and for each type, extents and data: answers `ok`, then the weight file;
//! - `read`, type, extents, offset, weight file: answers `ok`, then the data.
//!
//! What is refused is answered `no` and the reason.

use std::error::Error;
use std::io::{self, Read, Write};

use mil::blob::{self, Validation, Writer};
use mil::{DType, Executable, Numerics, Program, Tensor, Type, check, parse};

type Answer = Result<Vec<Vec<u8>>, Box<dyn Error>>;

/// Largest frame: what comes from outside is no reason to ask for more memory.
const MOST: u64 = 1 << 28;

fn frame(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 8];
    input.read_exact(&mut length)?;
    let mut bytes = Vec::new();
    input.take(u64::from_le_bytes(length).min(MOST)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn text(input: &mut impl Read) -> Result<String, Box<dyn Error>> {
    Ok(String::from_utf8(frame(input)?)?)
}

fn number(input: &mut impl Read) -> Result<u64, Box<dyn Error>> {
    Ok(text(input)?.parse()?)
}

fn ty(input: &mut impl Read) -> Result<Type, Box<dyn Error>> {
    let dtype = DType::of_name(&text(input)?).ok_or("no such type")?;
    let extents = text(input)?;
    let shape = extents.split_whitespace().map(str::parse).collect::<Result<Vec<usize>, _>>()?;
    Ok(Type::new(dtype, &shape))
}

fn checked(text: &str) -> Result<Program, Box<dyn Error>> {
    let program = parse(text)?;
    check(&program)?;
    Ok(program)
}

struct Run {
    profile: String,
    text: String,
    blob: Vec<u8>,
    inputs: Vec<Vec<u8>>,
}

impl Run {
    fn read(input: &mut impl Read) -> Result<Run, Box<dyn Error>> {
        let (profile, text, blob) = (text(input)?, text(input)?, frame(input)?);
        let inputs = (0..number(input)?).map(|_| frame(input)).collect::<Result<Vec<_>, _>>()?;
        Ok(Run { profile, text, blob, inputs })
    }

    fn answer(self) -> Answer {
        let program = checked(&self.text)?;
        let numerics = Numerics::of_name(&self.profile).ok_or("no such profile")?;
        let blobs = [("@model_path/weights/judge.bin".to_owned(), self.blob)];
        let ready = Executable::new(&program, &blobs, numerics)?;
        let bound = ready.inputs("main")?.iter().zip(&self.inputs);
        let inputs = bound.map(|(b, bytes)| Tensor::from_bytes(&b.ty, bytes)).collect::<Result<Vec<_>, _>>()?;
        let outputs = ready.run_wide("main", &inputs)?;
        let mut frames = vec![outputs.len().to_string().into_bytes()];
        for output in outputs {
            frames.push(output.ty.to_string().into_bytes());
            frames.push(output.numbers().iter().flat_map(|x| x.to_le_bytes()).collect());
        }
        Ok(frames)
    }
}

fn write(records: &[(Type, Vec<u8>)]) -> Answer {
    let mut writer = Writer::new();
    for (ty, data) in records {
        writer.push(ty, data)?;
    }
    Ok(vec![writer.finish()])
}

/// Reads a request whole, so that the next one begins where it should, and answers it.
fn serve(request: &[u8], input: &mut impl Read) -> Result<Answer, Box<dyn Error>> {
    Ok(match request {
        b"run" => Run::read(input)?.answer(),
        b"operations" => Ok(vec![mil::ops::all().map(|o| o.name).collect::<Vec<_>>().join(" ").into_bytes()]),
        b"check" => {
            let text = text(input)?;
            checked(&text).map(|program| vec![program.to_string().into_bytes()])
        }
        b"write" => {
            let count = number(input)?;
            let records = (0..count).map(|_| Ok((ty(input)?, frame(input)?))).collect::<Result<Vec<_>, Box<dyn Error>>>()?;
            write(&records)
        }
        b"read" => {
            let (ty, offset, file) = (ty(input)?, number(input)?, frame(input)?);
            let data = blob::data(&file, offset, &ty, Validation::Strict);
            data.map(|bytes| vec![bytes.to_vec()]).map_err(Into::into)
        }
        _ => return Err("no such request".into()),
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    while let Ok(request) = frame(&mut input) {
        let frames = match serve(&request, &mut input)? {
            Ok(frames) => [vec![b"ok".to_vec()], frames].concat(),
            Err(reason) => vec![b"no".to_vec(), reason.to_string().into_bytes()],
        };
        for frame in frames {
            output.write_all(&(frame.len() as u64).to_le_bytes())?;
            output.write_all(&frame)?;
        }
        output.flush()?;
    }
    Ok(())
}
