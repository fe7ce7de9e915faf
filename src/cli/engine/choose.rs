//! Which runtime a command uses.
//!
//! In: `--runtime`, else `KETCH_RUNTIME`, else `auto`. Out: a connection. `auto` is the engine
//! that answers, else Ketch's own runtime where that is permitted; then the choice is said.
//!
//! # Invariants
//!
//! - Who names an engine (`--host`, `DOCKER_HOST`, a context) gets that one or an error.

use std::path::PathBuf;
use std::sync::Arc;

use super::Probes;
use crate::cli::args::EngineArgs;
use crate::cli::exit::Failure;
use crate::cli::session::Session;
use crate::cli::usage::UsageError;
use crate::orchestrator::patiently;
use crate::runtime::docker::{self, Docker, TlsSettings};
use crate::runtime::native::{Native, Settings};
use crate::runtime::{self, Runtime, RuntimeError};

/// What may stand in `--runtime`.
const CHOICES: [&str; 3] = ["auto", "docker", "native"];

/// The variable that stands for the flag.
const VARIABLE: &str = "KETCH_RUNTIME";

/// Connects to the runtime that is wanted.
pub(super) async fn connect(
    session: &mut Session<'_>,
    probes: Probes,
) -> Result<Arc<dyn Runtime>, Failure> {
    let variable = session.environment().get(VARIABLE).filter(|word| !word.is_empty());
    let word = session.global.engine.runtime.as_ref().or(variable);
    match word.map_or("auto", String::as_str) {
        "docker" => Ok(Arc::new(docker(session, probes).await?)),
        "native" => Ok(Arc::new(Native::open(own(session))?)),
        "auto" => automatic(session, probes).await,
        other => Err(UsageError::InvalidValue {
            flag: "--runtime".to_owned(),
            value: other.to_owned(),
            possible: CHOICES.map(str::to_owned).to_vec(),
            reason: None,
        }
        .into()),
    }
}

async fn automatic(session: &mut Session<'_>, probes: Probes) -> Result<Arc<dyn Runtime>, Failure> {
    let unreachable = match docker(session, probes).await {
        Ok(docker) => return Ok(Arc::new(docker)),
        Err(error @ RuntimeError::Unreachable { .. }) if !names_engine(session) => error,
        Err(error) => return Err(error.into()),
    };
    if Native::forbidden().is_some() {
        return Err(Failure::NoRuntime(unreachable));
    }
    let native = Native::open(own(session))?;
    session.screen.tell("no Docker engine answers: using Ketch's own runtime\n");
    Ok(Arc::new(native))
}

/// The engine; told if it takes long to answer.
async fn docker(session: &mut Session<'_>, probes: Probes) -> runtime::Result<Docker> {
    let connecting = Docker::connect(engine(session, probes));
    let screen = &mut *session.screen;
    patiently(connecting, |text| screen.tell(text)).await
}

/// Whether the user says which engine is meant.
fn names_engine(session: &Session<'_>) -> bool {
    let flags = &session.global.engine;
    let is_set = |name: &str| session.environment().get(name).is_some_and(|it| !it.is_empty());
    flags.host.is_some()
        || flags.context.is_some()
        || is_set("DOCKER_HOST")
        || is_set("DOCKER_CONTEXT")
}

/// Ketch's own runtime, for commands that are about nothing else.
pub(in crate::cli) fn native(session: &Session<'_>) -> Result<Native, Failure> {
    Ok(Native::open(own(session))?)
}

fn own(session: &Session<'_>) -> Settings {
    Settings { environment: environment(session), program: None }
}

fn engine(session: &Session<'_>, probes: Probes) -> docker::Settings {
    let flags = &session.global.engine;
    docker::Settings {
        environment: environment(session),
        host: flags.host.clone(),
        context: flags.context.clone(),
        tls: tls(flags),
        parallel: session.parallel().map_or(0, std::num::NonZeroUsize::get),
        eager_probes: probes == Probes::Eager,
    }
}

/// The environment, with what flags say in its place.
fn environment(session: &Session<'_>) -> indexmap::IndexMap<String, String> {
    let mut environment = session.environment().clone();
    if let Some(directory) = &session.global.engine.config {
        environment.insert("DOCKER_CONFIG".to_owned(), directory.clone());
    }
    environment
}

/// TLS as the flags want it.
fn tls(flags: &EngineArgs) -> TlsSettings {
    let path = |flag: &Option<String>| flag.as_ref().map(PathBuf::from);
    TlsSettings {
        on: flags.tls,
        verify: flags.tlsverify,
        ca: path(&flags.tlscacert),
        cert: path(&flags.tlscert),
        key: path(&flags.tlskey),
    }
}
