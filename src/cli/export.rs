//! `ketch export`: writes the file system of a container to a tar archive.
//!
//! In: a service. Out: an archive in a file, whole or not at all, or on standard output.

use std::io::Write;
use std::path::Path;

use futures_util::TryStreamExt as _;

use super::args::ExportArgs;
use super::engine::{Engine, Sight, interruptible};
use super::exit::Failure;
use super::session::Session;
use super::usage::UsageError;
use crate::runtime::{Bytes, Stream};

/// Writes an archive.
pub(super) async fn run(args: &ExportArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    let output = args.output.as_deref().filter(|path| !path.is_empty());
    if output.is_none() && session.screen.out_is_terminal() {
        let text = "output option is required when exporting to terminal";
        return Err(UsageError::Other(text.to_owned()).into());
    }
    let sight = Sight::find(session)?;
    sight.named(std::slice::from_ref(&args.service))?;
    let engine = Engine::connect(session).await?;
    let container = engine.running(&sight.name, &args.service, args.index.unwrap_or(0)).await?;
    let (name, to) = (&container.name, output.unwrap_or("standard output"));
    if engine.session.global.dry_run {
        engine.progress.aside(&format!(" {name} would be exported to {to}\n"));
        return Ok(0);
    }
    let archive = engine.runtime.export(&container.id);
    let work = async {
        match output {
            Some(path) => write_file(Path::new(path), archive).await,
            None => write_all(engine.session.screen.out_writer(), archive).await,
        }
    };
    interruptible(engine.interrupts.shutdown(), work).await?;
    engine.progress.aside(&format!(" {name} Exported to {to}\n"));
    Ok(0)
}

/// Writes a file under another name first, so that a reader sees it whole or not at all. A link
/// stays a link; what is no regular file is written to.
async fn write_file(path: &Path, archive: Stream<'static, Bytes>) -> Result<(), Failure> {
    let failed = |source| Failure::Write { path: path.to_owned(), source };
    let of_file = |failure| match failure {
        Failure::Output(source) => failed(source),
        other => other,
    };
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if real.exists() && !real.is_file() {
        let file = std::fs::OpenOptions::new().write(true).open(&real).map_err(failed)?;
        return write_all(Box::new(file), archive).await.map_err(of_file);
    }
    let parent = real.parent().filter(|it| !it.as_os_str().is_empty());
    let directory = parent.unwrap_or(Path::new("."));
    if !directory.is_dir() {
        return Err(Failure::NoDirectory(directory.to_owned()));
    }
    let mut temporary = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
    let file = temporary.reopen().map_err(failed)?;
    write_all(Box::new(file), archive).await.map_err(of_file)?;
    temporary.as_file_mut().sync_all().map_err(failed)?;
    temporary.persist(&real).map_err(|error| failed(error.error))?;
    Ok(())
}

async fn write_all(
    mut to: Box<dyn Write + Send>,
    mut archive: Stream<'static, Bytes>,
) -> Result<(), Failure> {
    while let Some(bytes) = archive.try_next().await? {
        to.write_all(&bytes)?;
    }
    Ok(to.flush()?)
}
