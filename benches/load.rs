//! How long loading takes: `cargo bench`.
//!
//! With `KETCH_WRITE_PROJECTS=DIR` it writes the same projects to `DIR/<services>` instead.
#![expect(clippy::unwrap_used, reason = "a bench has nobody to tell")]

use std::path::Path;

use divan::Bencher;
use ketch::project::{Memory, Request, load};

mod project;

const SERVICES: &[usize] = &[1, 50, 1000];

fn main() {
    match std::env::var_os("KETCH_WRITE_PROJECTS") {
        Some(dir) => write(Path::new(&dir)),
        None => divan::main(),
    }
}

fn write(dir: &Path) {
    for services in SERVICES {
        let dir = dir.join(services.to_string());
        std::fs::create_dir_all(&dir).unwrap();
        for (path, text) in project::files(*services) {
            std::fs::write(dir.join(path), text).unwrap();
        }
    }
}

#[divan::bench(args = SERVICES)]
fn load_a_project(bencher: Bencher<'_, '_>, services: usize) {
    let add =
        |memory: Memory, (path, text)| memory.with(Path::new("/bench").join::<String>(path), text);
    let files: Memory = project::files(services).into_iter().fold(Memory::default(), add);
    let request = Request { cwd: "/bench".into(), ..Request::default() };
    let (loaded, report) = load(&files, &request);
    assert!(loaded.is_some() && report.diagnostics.is_empty(), "{:?}", report.diagnostics);
    bencher.bench_local(|| load(&files, &request));
}
