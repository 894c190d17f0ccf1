use super::*;
use crate::{Dataset, DatasetOptions};
use std::io::Write;
use std::time::Instant;

fn options(source: Source, vocab: usize, threads: usize) -> PrepareOptions {
    PrepareOptions { source, tokenizer: TokenizerChoice::Train { vocab }, template: None, threads }
}

fn run(options: &PrepareOptions, out: &Path) -> Result<Prepared> {
    prepare(options, out, &mut |_, _| {})
}

fn text_of(prepared: &Prepared) -> String {
    let tokens = prepared.tokens().unwrap();
    let mut ids = vec![0; tokens.len() as usize];
    tokens.read(0, &mut ids);
    let documents = ids.split(|&id| id == prepared.manifest.eot).map(|d| prepared.tokenizer.decode(d));
    documents.collect::<Vec<_>>().join("|")
}

#[test]
fn stories_do_not_depend_on_threads_and_are_reused() {
    let folder = crate::test_folder("prepare_stories");
    let source = Source::Stories { seed: 1, count: 9000 };
    let one = run(&options(source.clone(), 500, 1), &folder.join("one")).unwrap();
    let three = run(&options(source.clone(), 500, 3), &folder.join("three")).unwrap();
    assert_eq!(one.manifest, three.manifest);
    assert_eq!(one.manifest.documents, 9000);
    one.verify().unwrap();
    let start = Instant::now();
    let again = run(&options(source.clone(), 500, 2), &folder.join("one")).unwrap();
    assert!(again.reused && !one.reused && start.elapsed().as_secs_f64() < 1.0);
    let other = run(&options(source, 600, 2), &folder.join("one")).unwrap();
    assert!(!other.reused && other.manifest.vocab_size == 600);
    let left: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "leftovers: {left:?}");
}

#[test]
fn text_files_become_documents() {
    let folder = crate::test_folder("prepare_text");
    let data = folder.join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(
        data.join("a.txt"),
        "\u{FEFF}first\n\nstill first\n<|endoftext|>\n\n<|endoftext|>\nsecond<|endoftext|>third\n",
    )
    .unwrap();
    std::fs::write(data.join("b.jsonl"), "{\"text\": \"fo\\u0075rth\", \"n\": 1}\n\n{\"text\":\"\"}\n{\"text\":\"fifth\"}")
        .unwrap();
    let mut gz = flate2::write::GzEncoder::new(std::fs::File::create(data.join("c.txt.gz")).unwrap(), Default::default());
    gz.write_all("sixth — is\none document".as_bytes()).unwrap();
    gz.finish().unwrap();
    std::fs::write(data.join("d.md"), "not text").unwrap();
    let out = folder.join("out");
    let prepared = run(&options(Source::open(&data).unwrap(), 300, 2), &out).unwrap();
    let want = "first\n\nstill first|second|third|fourth|fifth|sixth — is\none document|";
    assert_eq!(text_of(&prepared), want);
    assert_eq!(prepared.manifest.documents, 6);
    assert_eq!(prepared.manifest.text_bytes as usize, want.len() - 6);
    assert_eq!(prepared.manifest.sources.len(), 3);
    std::fs::write(data.join("a.txt"), "changed\n").unwrap();
    let changed = run(&options(Source::open(&data).unwrap(), 300, 2), &out).unwrap();
    assert!(!changed.reused && text_of(&changed).starts_with("changed|fourth"));
}

#[test]
fn long_documents_are_streamed_whole() {
    let folder = crate::test_folder("prepare_long");
    let line = "A line of a very long text, é and all.\n";
    let long = line.repeat(4_000_000 / line.len());
    std::fs::write(folder.join("long.txt"), &long).unwrap();
    let endless = "x".repeat(3_000_000) + &"é".repeat(1_000_000);
    std::fs::write(folder.join("endless.txt"), &endless).unwrap();
    for (name, text) in [("long.txt", long.trim_end()), ("endless.txt", endless.as_str())] {
        let (mut joined, mut ends, mut longest) = (String::new(), 0, 0);
        read_file(&folder.join(name), &mut None, &mut |item| {
            let Item::Text(piece) = item else { panic!("an example in plain text") };
            longest = longest.max(piece.text.len());
            joined += &piece.text;
            ends += usize::from(piece.end);
            Ok(true)
        })
        .unwrap();
        assert!(joined == text, "{name}");
        assert!(ends == 1 && longest <= 2 << 20, "{name}: {ends} {longest}");
    }
}

#[test]
fn bad_inputs_are_named() {
    let folder = crate::test_folder("prepare_bad");
    let error = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        let e = run(&options(Source::open(&path).unwrap(), 300, 1), &folder.join("out")).unwrap_err();
        assert_eq!(e.exit_code(), 65, "{e}");
        assert!(e.to_string().contains(name), "{e}");
        assert!(!folder.join("out").exists());
        e.to_string()
    };
    assert!(error("a.jsonl", b"{\"text\":\"x\"}\n{\"text\":1}\n").contains("line 2"));
    assert!(error("b.jsonl", b"{\"text\":\"x\"}\n\n{\"body\":\"x\"}\n").contains("line 3"));
    assert!(error("c.jsonl", b"{\"text\":\"x\"").contains("line 1"));
    assert!(error("d.txt", b"good\nb\xFFd\n").contains("byte offset 6"));
    assert!(error("e.jsonl", b"{\"text\":\"x\"}\n{\"text\":\"\xC3\"}\n").contains("byte offset 22"));
    assert!(error("f.txt.gz", b"\x1f\x8b\x08\x00 not really").contains("gzip"));
    assert!(error("g.txt", b" \n").contains("at least one document"));
    assert_eq!(Source::open(&folder.join("none.txt")).unwrap_err().exit_code(), 66);
    std::fs::write(folder.join("h.csv"), "x").unwrap();
    assert_eq!(Source::open(&folder.join("h.csv")).unwrap_err().exit_code(), 65);
    let taken = folder.join("taken");
    std::fs::create_dir(&taken).unwrap();
    std::fs::write(taken.join("precious"), "x").unwrap();
    let e = run(&options(Source::Stories { seed: 1, count: 10 }, 300, 1), &taken).unwrap_err();
    assert!(e.exit_code() == 73 && taken.join("precious").exists(), "{e}");
}

#[test]
fn a_damaged_folder_is_refused_and_made_again() {
    let folder = crate::test_folder("prepare_damaged");
    let wanted = options(Source::Stories { seed: 1, count: 50 }, 300, 1);
    let out = folder.join("out");
    let good = run(&wanted, &out).unwrap();
    let tokens = out.join("tokens.bin");
    let bytes = std::fs::read(&tokens).unwrap();
    let mut flipped = bytes.clone();
    flipped[10] ^= 1;
    std::fs::write(&tokens, flipped).unwrap();
    assert_eq!(good.verify().unwrap_err().exit_code(), 65);
    std::fs::write(&tokens, &bytes[..bytes.len() - 2]).unwrap();
    assert_eq!(Dataset::open(&out, DatasetOptions::default()).unwrap_err().exit_code(), 65);
    let again = run(&wanted, &out).unwrap();
    assert!(!again.reused);
    assert_eq!(std::fs::read(&tokens).unwrap(), bytes);
    std::fs::write(out.join("tokenizer.json"), "{}").unwrap();
    assert_eq!(Prepared::open(&out).unwrap_err().exit_code(), 65);
    std::fs::write(out.join("manifest.json"), "{}").unwrap();
    assert_eq!(Prepared::open(&out).unwrap_err().exit_code(), 65);
}

#[test]
fn tinystories_has_the_published_counts() {
    let Some(shared) = crate::test_shared("tinystories_has_the_published_counts") else { return };
    let folder = crate::test_folder("prepare_tinystories");
    let tokenizer = Arc::new(Tokenizer::load(&shared.join("data/smollm2/tokenizer.json")).unwrap());
    let source = Source::open(&shared.join("data/tinystories/tinystories-train.txt.gz")).unwrap();
    let wanted = PrepareOptions { source, tokenizer: TokenizerChoice::Given(tokenizer), template: None, threads: 2 };
    let start = Instant::now();
    let prepared = prepare_in_cache(&wanted, &folder, &mut |_, _| {}).unwrap();
    let m = &prepared.manifest;
    let seconds = start.elapsed().as_secs_f64();
    eprintln!(
        "tinystories: {:.1} MB in {seconds:.2} s, {:.1} MB/s",
        m.text_bytes as f64 / 1e6,
        m.text_bytes as f64 / 1e6 / seconds
    );
    assert_eq!((m.documents, m.tokens), (11_286, 2_273_246));
    let data = Dataset::open(&prepared.folder, DatasetOptions::default()).unwrap();
    let distinct = data.vocab().len();
    eprintln!("{distinct} distinct ids, the end of text included");
    assert!(distinct == 9_118 || distinct == 9_119, "{distinct}");
    assert!(prepare_in_cache(&wanted, &folder, &mut |_, _| {}).unwrap().reused);
}
