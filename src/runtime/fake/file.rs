//! A world in a file.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use super::World;
use crate::runtime::{Result, RuntimeError};

/// Reads a world; where there is no file it is empty.
pub(super) fn read(path: &Path) -> Result<World> {
    let failed = |source| failure("read", path, source);
    match File::open(path) {
        Ok(file) => {
            let world = serde_json::from_reader(io::BufReader::new(file));
            world.map_err(|error| failed(error.into()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(World::default()),
        Err(error) => Err(failed(error)),
    }
}

/// Replaces the file in one step.
pub(super) fn write(path: &Path, world: &World) -> Result<()> {
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let write = || {
        let mut file = File::create(&temporary)?;
        serde_json::to_writer(io::BufWriter::new(&file), world)?;
        file.flush()?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|source| failure("write", path, source))
}

fn failure(action: &str, path: &Path, source: io::Error) -> RuntimeError {
    RuntimeError::Io { action: format!("{action} `{}`", path.display()), source }
}
