//! Damage of every kind, then load.

#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;

const FILES: [&str; 4] = ["config.json", "model.safetensors", "trainer/optimizer.safetensors", "trainer/state.json"];
const POINTS: [&str; 5] = ["file-written", "manifest", "before-rename", "after-rename", "before-last"];

/// Writes files whose content tells the step and `salt`.
fn fill(step: u64, salt: u8) -> impl Fn(&Path) -> Result<(), CheckpointError> {
    move |dir| {
        fs::create_dir(dir.join("trainer")).unwrap();
        for (i, name) in FILES.iter().enumerate() {
            fs::write(dir.join(name), vec![salt ^ step as u8 ^ i as u8; 3000 + i]).unwrap();
        }
        Ok(())
    }
}

fn store(steps: &[u64]) -> (tempfile::TempDir, CheckpointStore) {
    let dir = tempfile::tempdir().unwrap();
    let mut store = CheckpointStore::open(&dir.path().join("checkpoints")).unwrap();
    for step in steps {
        store.save(*step, fill(*step, 0)).unwrap();
    }
    (dir, store)
}

fn leftovers(store: &CheckpointStore) -> Vec<String> {
    let names = fs::read_dir(store.dir()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    names.filter(|n| n.starts_with('.')).collect()
}

#[test]
fn a_saved_checkpoint_is_what_sha256sum_says_and_the_links_are_relative() {
    let (_dir, mut store) = store(&[1, 2]);
    store.set_best(1).unwrap();
    let loaded = store.load_last().unwrap();
    assert_eq!((loaded.step, loaded.skipped.len()), (2, 0));
    assert_eq!(fs::read_link(store.dir().join("last")).unwrap(), Path::new("step-00000002"));
    assert_eq!(fs::read_link(store.dir().join("best")).unwrap(), Path::new("step-00000001"));
    let text = fs::read_to_string(loaded.path.join(MANIFEST)).unwrap();
    let names: Vec<&str> = text.lines().map(|l| l.split_once("  ").unwrap().1).collect();
    assert_eq!(names, FILES);
    assert!(leftovers(&store).is_empty());
    match Command::new("sha256sum").args(["-c", "--strict", MANIFEST]).current_dir(&loaded.path).output() {
        Ok(run) => assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout)),
        Err(_) => eprintln!("SKIPPED: sha256sum is not installed"),
    }
    store.hook = None;
}

#[test]
fn any_damage_to_any_file_falls_back_and_is_told() {
    for name in FILES.iter().chain(&[MANIFEST]) {
        for damage in ["truncated", "emptied", "flipped first", "flipped last", "missing", "longer", "replaced by a folder"] {
            let (_dir, store) = store(&[7, 8]);
            let path = store.path_of(8).join(name);
            let mut bytes = fs::read(&path).unwrap();
            let end = bytes.len() - 1;
            match damage {
                "truncated" => bytes.truncate(end / 2),
                "emptied" => bytes.clear(),
                "flipped first" => bytes[0] ^= 1,
                "flipped last" => bytes[end] ^= 0x10,
                "longer" => bytes.push(0),
                _ => {}
            }
            fs::remove_file(&path).unwrap();
            match damage {
                "missing" => {}
                "replaced by a folder" => fs::create_dir(&path).unwrap(),
                _ => fs::write(&path, bytes).unwrap(),
            }
            let loaded = store.load_last().unwrap();
            assert_eq!(loaded.step, 7, "{name} {damage}");
            assert_eq!(loaded.skipped.len(), 1);
            assert_eq!(loaded.skipped[0].path, store.path_of(8));
            assert!(!loaded.skipped[0].reason.is_empty());
        }
    }
}

#[test]
fn a_manifest_cut_at_a_line_end_is_noticed_and_a_file_of_the_user_is_not() {
    let (_dir, store) = store(&[1]);
    let path = store.path_of(1);
    fs::write(path.join("notes.txt"), "mine").unwrap();
    verify(&path).unwrap();
    let text = fs::read_to_string(path.join(MANIFEST)).unwrap();
    let cut: String = text.split_inclusive('\n').take(3).collect();
    fs::write(path.join(MANIFEST), cut).unwrap();
    let error = verify(&path).unwrap_err();
    assert_eq!(error.exit_code(), 65);
    assert!(error.to_string().contains("cut short"), "{error}");
}

#[test]
fn a_hostile_manifest_is_refused() {
    let sum = "0".repeat(64);
    for text in [
        format!("{sum}  ../outside\n"),
        format!("{sum}  /etc/passwd\n"),
        format!("{sum}  \n"),
        format!("{sum} one-space\n"),
        format!("{}  config.json\n", "0".repeat(63)),
        format!("{sum}  config.json"),
        format!("{sum}  \u{1b}[2J\0\n"),
        format!("{sum}  {}\n", "long/".repeat(1000)),
        String::new(),
    ] {
        let (_dir, store) = store(&[1]);
        fs::write(store.path_of(1).join(MANIFEST), &text).unwrap();
        let error = store.load_last().unwrap_err();
        assert_eq!(error.exit_code(), 65, "{text}");
        let message = error.to_string();
        assert!(!message.contains('\u{1b}') && message.len() < 1000, "{message}");
    }
}

#[test]
fn links_and_folders_of_others_are_not_trusted() {
    let (dir, store) = store(&[3]);
    fs::create_dir(store.dir().join("step-9")).unwrap();
    fs::create_dir(store.dir().join("step-00000009")).unwrap();
    fs::remove_file(store.dir().join("last")).unwrap();
    std::os::unix::fs::symlink("../../elsewhere", store.dir().join("last")).unwrap();
    let loaded = store.load_last().unwrap();
    assert_eq!((loaded.step, loaded.skipped.len()), (3, 1));
    fs::remove_file(store.dir().join("last")).unwrap();
    std::os::unix::fs::symlink("step-00000077", store.dir().join("last")).unwrap();
    assert_eq!(store.load_last().unwrap().skipped.len(), 2);
    let file = store.path_of(3).join("config.json");
    fs::rename(&file, dir.path().join("moved")).unwrap();
    std::os::unix::fs::symlink(dir.path().join("moved"), &file).unwrap();
    assert_eq!(store.load_last().unwrap_err().exit_code(), 65);
}

#[test]
fn nothing_to_load_is_missing() {
    let (dir, store) = store(&[]);
    assert_eq!(store.load_last().unwrap_err().exit_code(), 66);
    assert_eq!(CheckpointStore::view(&dir.path().join("none")).load_last().unwrap_err().exit_code(), 66);
}

thread_local! {
    static CRASH_AT: Cell<&'static str> = const { Cell::new("") };
}

/// A panic leaves on disk what a kill at that point would leave.
fn crash(point: &'static str) {
    if CRASH_AT.get() == point {
        std::panic::resume_unwind(Box::new(point));
    }
}

fn save_until(store: &mut CheckpointStore, point: &'static str, step: u64, salt: u8) {
    CRASH_AT.set(point);
    store.hook = Some(crash);
    let crashed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| store.save(step, fill(step, salt)).map(|_| ())));
    assert!(crashed.is_err(), "{point}");
}

#[test]
fn a_crash_at_any_point_leaves_a_whole_checkpoint() {
    for (i, point) in POINTS.into_iter().enumerate() {
        let (_dir, mut store) = store(&[10]);
        save_until(&mut store, point, 20, 0);
        let renamed = i >= 3;
        let again = CheckpointStore::open(store.dir()).unwrap();
        assert!(leftovers(&again).is_empty(), "{point}");
        let loaded = again.load_last().unwrap();
        assert_eq!(loaded.step, if renamed { 20 } else { 10 }, "{point}");
        assert!(loaded.skipped.is_empty(), "{point}");
        assert_eq!(again.last(), Some(10), "{point}: last moves last");
    }
}

#[test]
fn replacing_a_step_loses_neither_the_old_nor_the_new() {
    for (i, point) in POINTS.into_iter().enumerate() {
        let (_dir, mut store) = store(&[10]);
        save_until(&mut store, point, 10, 0x55);
        let again = CheckpointStore::open(store.dir()).unwrap();
        assert!(leftovers(&again).is_empty(), "{point}");
        let loaded = again.load_last().unwrap();
        let salt = if i >= 3 { 0x55 } else { 0 };
        assert_eq!(fs::read(loaded.path.join("config.json")).unwrap()[0], salt ^ 10, "{point}");
    }
    let (_dir, mut store) = store(&[10, 20]);
    store.save(10, fill(10, 0x55)).unwrap();
    assert_eq!(fs::read(store.path_of(10).join("config.json")).unwrap()[0], 0x55 ^ 10);
    assert_eq!(store.last(), Some(10));
}

#[test]
fn a_failed_write_leaves_everything_as_it_was() {
    let (_dir, mut store) = store(&[1]);
    let failed = store.save(2, |dir| {
        fs::write(dir.join("half"), "x").unwrap();
        Err(CheckpointError::io(dir, "writing", std::io::ErrorKind::StorageFull.into()))
    });
    assert_eq!(failed.unwrap_err().exit_code(), 74);
    assert!(leftovers(&store).is_empty());
    assert_eq!((store.last(), store.steps().unwrap()), (Some(1), vec![1]));
}

#[test]
fn pruning_spares_best_last_and_a_whole_one_before() {
    let (_dir, mut store) = store(&[1, 2, 3, 4, 5, 6]);
    store.set_best(2).unwrap();
    assert_eq!(store.prune(3).unwrap(), [1, 3]);
    assert_eq!(store.prune(1).unwrap(), [4]);
    assert_eq!(store.steps().unwrap(), [2, 5, 6]);
    assert_eq!(store.prune(0).unwrap(), [0u64; 0]);
    // the one before the last is damaged, and this process did not write it: the next older whole one stays
    fs::write(store.path_of(5).join("config.json"), "x").unwrap();
    let mut other = CheckpointStore::open(store.dir()).unwrap();
    other.save(7, fill(7, 0)).unwrap();
    fs::write(other.path_of(6).join("config.json"), "x").unwrap();
    let mut other = CheckpointStore::open(store.dir()).unwrap();
    other.set_best(7).unwrap();
    assert_eq!(other.prune(1).unwrap(), [5, 6]);
    assert_eq!(other.steps().unwrap(), [2, 7]);
    assert!(leftovers(&other).is_empty());
}

/// A small file system of its own; unmounted when dropped.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(at: &Path) -> Option<Tmpfs> {
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(at).output().ok()?;
        done.status.success().then(|| Tmpfs(at.to_path_buf()))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_ends_with_74_and_leaves_the_last_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mounted) = Tmpfs::mount(dir.path()) else {
        eprintln!("SKIPPED: a_full_disk: no right to mount a tmpfs");
        return;
    };
    let mut store = CheckpointStore::open(&mounted.0.join("checkpoints")).unwrap();
    store.save(1, fill(1, 0)).unwrap();
    assert!(free_bytes(store.dir()).unwrap() < 256 << 10);
    let filled = store.save(2, |dir| {
        let path = dir.join("model.safetensors");
        fs::write(&path, vec![0; 1 << 20]).map_err(|e| CheckpointError::io(&path, "writing", e))
    });
    assert_eq!(filled.unwrap_err().exit_code(), 74);
    // no room for the manifest
    let room = free_bytes(store.dir()).unwrap() as usize;
    let tight = store.save(3, |dir| {
        let path = dir.join("model.safetensors");
        fs::write(&path, vec![0; room]).map_err(|e| CheckpointError::io(&path, "writing", e))
    });
    assert_eq!(tight.unwrap_err().exit_code(), 74);
    let loaded = store.load_last().unwrap();
    assert_eq!((loaded.step, loaded.skipped.len(), store.last()), (1, 0, Some(1)));
    assert!(leftovers(&store).is_empty());
}

#[test]
fn free_space_is_known_for_a_folder_that_is_not_there_yet() {
    let dir = tempfile::tempdir().unwrap();
    assert!(free_bytes(&dir.path().join("a/b/c")).unwrap() > 0);
}
