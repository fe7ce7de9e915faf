//! `ketch image`: the images of the native runtime.
//!
//! In: flags, and the [`Store`] below the durable root. Out: what `docker image` prints.
//!
//! # Invariants
//!
//! - No engine is asked: these images are Ketch's own.

mod args;
mod describe;
mod filter;
mod transfer;

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _};
use std::path::Path;

pub(super) use args::ImageArgs;
use args::{ImageCommand, InspectArgs, LoadArgs, LsArgs, PruneArgs, RmArgs, SaveArgs, TagArgs};
use filter::Filter;

use super::exit::Failure;
use super::prompt;
use super::session::Session;
use super::usage::UsageError;
use crate::orchestrator::now;
use crate::runtime::RuntimeError;
use crate::runtime::native::image::{
    Force, Image, Input, Output, Platform, Removed, Store, Unneeded,
};
use crate::runtime::native::root::Root;
use crate::ui::listing::{Row, Truncation, short_id};
use crate::ui::size::decimal;
use crate::ui::store::{self, Digests, Entry};

/// Runs a command on images.
pub(super) async fn run(args: &ImageArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    let root = Root::from_environment(session.environment())?;
    let images = Store::open(&root.images())?;
    if let Some(change) = change(&args.command)
        && session.only_tells(|| change)
    {
        return Ok(0);
    }
    match &args.command {
        ImageCommand::Pull(args) => Box::pin(transfer::pull(args, &images, session)).await,
        ImageCommand::Push(args) => Box::pin(transfer::push(args, &images, session)).await,
        ImageCommand::Ls(args) => list(args, &images, session),
        ImageCommand::Load(args) => load(args, &images, session),
        ImageCommand::Save(args) => save(args, &images, session),
        ImageCommand::Rm(args) => remove(args, &images, session),
        ImageCommand::Inspect(args) => inspect(args, &images, session),
        ImageCommand::Prune(args) => prune(args, &images, session),
        ImageCommand::Tag(args) => tag(args, &images),
    }
}

/// What a command changes.
fn change(command: &ImageCommand) -> Option<String> {
    Some(match command {
        ImageCommand::Ls(_) | ImageCommand::Inspect(_) => return None,
        ImageCommand::Pull(args) => format!("get {}", args.images.join(", ")),
        ImageCommand::Push(args) => format!("send {}", args.images.join(", ")),
        ImageCommand::Load(args) => {
            format!("load images from {}", args.input.as_deref().unwrap_or("standard input"))
        }
        ImageCommand::Save(args) => {
            let target = args.output.as_deref().unwrap_or("standard output");
            format!("save {} to {target}", args.images.join(", "))
        }
        ImageCommand::Rm(args) => format!("remove {}", args.images.join(", ")),
        ImageCommand::Prune(args) => format!("remove {}", unneeded(args).1),
        ImageCommand::Tag(args) => format!("give {} the name {}", args.image, args.name),
    })
}

fn list(args: &LsArgs, images: &Store, session: &mut Session<'_>) -> Result<u8, Failure> {
    let mut filter = Filter::parse(&args.filter, images)?;
    if let Some(name) = &args.name {
        filter.add_reference(name);
    }
    let all = images.list()?;
    let shown: Vec<Image> = all.into_iter().filter(|image| filter.matches(image)).collect();
    let truncation = if args.no_trunc { Truncation::Full } else { Truncation::Short };
    let text = if args.quiet {
        let mut seen = BTreeSet::new();
        let ids = shown.iter().filter(|image| seen.insert(&image.id));
        ids.map(|image| short_id(image.id.as_str(), truncation) + "\n").collect()
    } else {
        let digests = if args.digests { Digests::Show } else { Digests::Hide };
        let entries: Vec<Entry> = shown.iter().flat_map(|it| filter.entries(it)).collect();
        let listing = store::listing(&entries, digests, (truncation, now()));
        listing.format(args.format.as_deref().unwrap_or_default())?
    };
    session.screen.data(&text)?;
    Ok(0)
}

fn load(args: &LoadArgs, images: &Store, session: &mut Session<'_>) -> Result<u8, Failure> {
    let platform = platform(args.platform.as_deref())?;
    let nothing = &|_| {};
    let loaded = match &args.input {
        Some(path) => {
            // As these places are called where an image is meant.
            let prefixes = ["docker-archive:", "oci:"];
            let plain = prefixes.iter().find_map(|prefix| path.strip_prefix(prefix));
            let path = Path::new(plain.filter(|_| !Path::new(path).exists()).unwrap_or(path));
            images.load(Input::Path(path), platform.as_ref(), nothing)?
        }
        None if io::stdin().is_terminal() => {
            let said = "nothing is piped in; name an archive with `--input`";
            return Err(UsageError::Other(said.to_owned()).into());
        }
        None => images.load(Input::Stream(&mut io::stdin().lock()), platform.as_ref(), nothing)?,
    };
    let mut text = String::new();
    for loaded in &loaded {
        if loaded.names.is_empty() {
            text.extend(["Loaded image ID: ", loaded.image.id.as_str(), "\n"]);
        }
        for name in &loaded.names {
            text.extend(["Loaded image: ", name, "\n"]);
        }
    }
    if !args.quiet {
        session.screen.data(&text)?;
    }
    Ok(0)
}

fn save(args: &SaveArgs, images: &Store, session: &mut Session<'_>) -> Result<u8, Failure> {
    let references: Vec<&str> = args.images.iter().map(String::as_str).collect();
    let Some(path) = args.output.as_deref() else {
        if session.screen.out_is_terminal() {
            let said = "an archive is nothing for a terminal; name a file with `--output`";
            return Err(UsageError::Other(said.to_owned()).into());
        }
        images.save(
            &references,
            Output::Archive(&mut io::BufWriter::new(session.screen.out_writer())),
        )?;
        return Ok(0);
    };
    if let Some(directory) = path.strip_prefix("oci:") {
        images.save(&references, Output::Directory(Path::new(directory)))?;
        return Ok(0);
    }
    let path = Path::new(path);
    let failed = |source| Failure::Write { path: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    // What is there stays until the new archive is whole.
    let mut file =
        tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).map_err(failed)?;
    images.save(&references, Output::Archive(&mut io::BufWriter::new(&mut file)))?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(0)
}

fn remove(args: &RmArgs, images: &Store, session: &mut Session<'_>) -> Result<u8, Failure> {
    let force = if args.force { Force::Yes } else { Force::No };
    let mut failures = Vec::new();
    for image in &args.images {
        match images.remove(image, force) {
            Ok(removed) => session.screen.data(&told(&removed))?,
            Err(RuntimeError::NotFound(_)) if args.force => {}
            Err(error) => failures.push(error),
        }
    }
    all_or_first(failures, session)
}

/// What was removed, in Docker's words.
fn told(removed: &[Removed]) -> String {
    let line = |removed: &Removed| match removed {
        Removed::Name(name) => format!("Untagged: {name}\n"),
        Removed::Image(id) => format!("Deleted: {id}\n"),
        Removed::Layer(id) => format!("Deleted: {id}\n"),
    };
    removed.iter().map(line).collect()
}

/// Tells all failures but the last one, which is returned.
fn all_or_first(mut failures: Vec<RuntimeError>, session: &mut Session<'_>) -> Result<u8, Failure> {
    let Some(last) = failures.pop() else { return Ok(0) };
    for failure in failures {
        super::exit::tell(&failure.into(), session.screen);
    }
    Err(last.into())
}

fn inspect(args: &InspectArgs, images: &Store, session: &mut Session<'_>) -> Result<u8, Failure> {
    let mut found = Vec::new();
    let mut failures = Vec::new();
    for reference in &args.images {
        match images.find(reference) {
            Ok(Some(image)) => found.push(image),
            Ok(None) => {
                failures.push(RuntimeError::NotFound(format!("no such image: {reference}")));
            }
            Err(error) => failures.push(error),
        }
    }
    let rows: Vec<Row> = found.iter().map(describe::row).collect();
    let text = store::details(&rows, args.format.as_deref().unwrap_or_default())?;
    session.screen.data(&text)?;
    all_or_first(failures, session)
}

fn prune(args: &PruneArgs, images: &Store, session: &mut Session<'_>) -> Result<u8, Failure> {
    let filter = Filter::parse(&args.filter, images)?;
    let (which, what) = unneeded(args);
    let question = format!("This removes {what}. Go on?");
    if !args.force && !prompt::ask(session.screen, &question)? {
        return Err(Failure::Declined);
    }
    let pruned = images.prune(which, &|image| filter.matches(image))?;
    let mut text = told(&pruned.removed);
    if !text.is_empty() {
        text = format!("Deleted Images:\n{text}\n");
    }
    let bytes = decimal(pruned.bytes, 4);
    session.screen.data(&format!("{text}Total reclaimed space: {bytes}\n"))?;
    Ok(0)
}

/// Which images are not needed.
fn unneeded(args: &PruneArgs) -> (Unneeded, &'static str) {
    if args.all {
        (Unneeded::Unused, "all images that no container uses")
    } else {
        (Unneeded::Nameless, "all images without a name that no container uses")
    }
}

fn tag(args: &TagArgs, images: &Store) -> Result<u8, Failure> {
    images.tag(&args.image, &args.name)?;
    Ok(0)
}

/// `--platform`.
fn platform(text: Option<&str>) -> Result<Option<Platform>, UsageError> {
    let parse = |text: &str| text.parse::<Platform>();
    text.map(parse).transpose().map_err(|error| UsageError::Other(error.to_string()))
}
