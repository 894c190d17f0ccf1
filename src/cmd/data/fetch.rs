//! A file over HTTP, with progress; an interrupted transfer goes on where it stopped, also in the next process.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use data::DataError;
use sha2::{Digest, Sha256};

use super::download::{Published, hash_file, hex};
use crate::exit::{self, Exit};
use crate::out::{self, Out};

/// Attempts in a row that bring nothing before it is given up.
const ATTEMPTS: u32 = 4;
/// Longest time without an answer or a byte.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where to fetch from.
#[derive(Clone, Copy, Debug)]
pub struct Remote<'a> {
    /// Scheme and host of the hub.
    pub endpoint: &'a str,
    /// Token that it wants; sent to it only, never to where it redirects.
    pub token: Option<&'a str>,
}

/// What is on the disk so far.
struct Part<'a> {
    path: &'a Path,
    hash: Sha256,
    done: u64,
}

/// Fetches `set` into `folder`; its size and hash are checked before it gets its name.
///
/// # Errors
/// 69 when the hub cannot be reached or refuses, 65 when what comes is not what was published, 73 and 74 for the disk.
pub fn fetch(remote: &Remote<'_>, set: &Published, folder: &Path, out: Out) -> anyhow::Result<()> {
    fs::create_dir_all(folder).map_err(|e| DataError::writing(folder, e))?;
    let (target, path) = (folder.join(set.file), folder.join(format!("{}.part", set.file)));
    let (hash, done) = if path.is_file() { hash_file(&path, set.bytes, out)? } else { (Sha256::new(), 0) };
    let mut part = Part { path: &path, hash, done };
    let mut progress = out.progress("fetching", set.bytes);
    let mut failures = 0;
    while part.done < set.bytes {
        let before = part.done;
        match transfer(remote, set, &mut part, &mut |done| progress.update(done, out::bytes(done))) {
            Ok(()) => {}
            Err(Failure::Final(error)) => return Err(error),
            Err(Failure::Again(why)) => {
                failures = if part.done > before { 0 } else { failures + 1 };
                if failures >= ATTEMPTS {
                    let have = format!("{} of {} are there", out::bytes(part.done), out::bytes(set.bytes));
                    let message = format!("{}: {why}; {have}, the same command goes on from them", remote.endpoint);
                    return Err(Exit::new(exit::UNAVAILABLE, message).into());
                }
                std::thread::sleep(Duration::from_millis(250 << failures));
            }
        }
    }
    let found = hex(part.hash);
    if part.done != set.bytes || found != set.sha256 {
        fs::remove_file(&path).map_err(|e| DataError::writing(&path, e))?;
        let expected = format!("{} bytes, sha256 {}", set.bytes, set.sha256);
        let message =
            format!("{}: expected {expected}, found {} bytes, sha256 {found}; it was removed", path.display(), part.done);
        return Err(Exit::new(exit::BAD_DATA, message).into());
    }
    fs::rename(&path, &target).map_err(|e| DataError::writing(&target, e))?;
    Ok(())
}

/// Why a transfer ended early.
enum Failure {
    /// Another attempt may succeed.
    Again(String),
    /// None will.
    Final(anyhow::Error),
}

fn writing(path: &Path) -> impl Fn(std::io::Error) -> Failure + '_ {
    move |e| Failure::Final(DataError::writing(path, e).into())
}

/// One request: appends what comes to the part.
fn transfer(remote: &Remote<'_>, set: &Published, part: &mut Part<'_>, tell: &mut dyn FnMut(u64)) -> Result<(), Failure> {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(PATIENCE))
        .user_agent(concat!("autoane/", env!("CARGO_PKG_VERSION")))
        .build();
    let url = format!("{}/datasets/{}/resolve/{}/{}", remote.endpoint, set.repository, set.revision, set.file);
    let mut request = ureq::Agent::new_with_config(config).get(&url).header("Accept-Encoding", "identity");
    if part.done > 0 {
        request = request.header("Range", format!("bytes={}-", part.done));
    }
    if let Some(token) = remote.token {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    let mut response = request.call().map_err(|e| Failure::Again(e.to_string()))?;
    let range = response.headers().get("content-range").and_then(|v| v.to_str().ok()).map(str::to_owned);
    let mut file = match response.status().as_u16() {
        206 if range.is_some_and(|r| r.starts_with(&format!("bytes {}-", part.done))) => {
            OpenOptions::new().append(true).open(part.path).map_err(writing(part.path))?
        }
        200 => {
            (part.hash, part.done) = (Sha256::new(), 0);
            File::create(part.path).map_err(writing(part.path))?
        }
        code @ (408 | 429 | 500..=599) => return Err(Failure::Again(format!("the server says {code}"))),
        code => {
            let hint = if matches!(code, 401 | 403) { "; is HF_TOKEN right?" } else { "" };
            return Err(Failure::Final(Exit::new(exit::UNAVAILABLE, format!("{url}: the server says {code}{hint}")).into()));
        }
    };
    let mut body = response.body_mut().as_reader();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = body.read(&mut buffer).map_err(|e| Failure::Again(e.to_string()))?;
        if n == 0 {
            let short = part.done < set.bytes;
            return if short { Err(Failure::Again("the connection ended early".to_owned())) } else { Ok(()) };
        }
        if part.done + n as u64 > set.bytes {
            let message = format!("{url}: more than the {} bytes that were published", set.bytes);
            return Err(Failure::Final(Exit::new(exit::BAD_DATA, message).into()));
        }
        file.write_all(&buffer[..n]).map_err(writing(part.path))?;
        part.hash.update(&buffer[..n]);
        part.done += n as u64;
        tell(part.done);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::{BufRead, BufReader};
    use std::net::{TcpListener, TcpStream};
    use std::sync::{Arc, Mutex};

    use super::*;

    const SET: Published = Published {
        repository: "a/b",
        revision: "main",
        file: "f.txt",
        bytes: 3,
        sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    };

    fn answer(mut stream: TcpStream, body: &str, log: &Mutex<Vec<String>>) {
        let mut head = String::new();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while reader.read_line(&mut head).unwrap() > 2 {}
        let from = head
            .lines()
            .find_map(|l| l.to_ascii_lowercase().strip_prefix("range: bytes=").map(|r| r.trim_end_matches('-').to_owned()));
        let from: usize = from.map_or(0, |f| f.parse().unwrap());
        log.lock().unwrap().push(head);
        let status =
            if from > 0 { format!("206 Partial Content\r\nContent-Range: bytes {from}-2/3") } else { "200 OK".to_owned() };
        let rest = &body[from..];
        let length = 3 - from; // a shorter body is a connection that breaks
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{rest}").unwrap();
    }

    /// A server that gives one of `bodies` a request.
    fn server(bodies: &'static [&'static str]) -> (String, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let seen = log.clone();
        std::thread::spawn(move || {
            for (body, stream) in bodies.iter().zip(listener.incoming()) {
                answer(stream.unwrap(), body, &seen);
            }
        });
        (address, log)
    }

    fn get(endpoint: &str, folder: &Path) -> anyhow::Result<()> {
        fetch(&Remote { endpoint, token: Some("secret") }, &SET, folder, Out::new(false, true, false))
    }

    #[test]
    fn a_broken_transfer_goes_on_where_it_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let (endpoint, log) = server(&["a", "abc"]);
        get(&endpoint, dir.path()).unwrap();
        assert_eq!(fs::read(dir.path().join("f.txt")).unwrap(), b"abc");
        let log = log.lock().unwrap();
        assert!(log[0].starts_with("GET /datasets/a/b/resolve/main/f.txt ") && !log[0].to_lowercase().contains("range:"));
        assert!(log[1].to_lowercase().contains("range: bytes=1-") && log[1].contains("Bearer secret"), "{}", log[1]);
    }

    #[test]
    fn the_next_process_goes_on_too() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("f.txt.part"), "ab").unwrap();
        let (endpoint, log) = server(&["abc"]);
        get(&endpoint, dir.path()).unwrap();
        assert!(log.lock().unwrap()[0].to_lowercase().contains("range: bytes=2-"));
    }

    #[test]
    fn other_bytes_are_bad_data_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (endpoint, _) = server(&["abd"]);
        assert_eq!(exit::code_of(&get(&endpoint, dir.path()).unwrap_err()), exit::BAD_DATA);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn nobody_there_is_unavailable() {
        let dir = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        assert_eq!(exit::code_of(&get(&endpoint, dir.path()).unwrap_err()), exit::UNAVAILABLE);
    }
}
