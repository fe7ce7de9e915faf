//! Connects a command to the runtime that flags and the environment want: `--runtime`, else
//! `KETCH_RUNTIME`, else `auto`. If `auto` is Ketch's own, that is said.

use std::path::PathBuf;

use super::Probes;
use crate::cli::args::EngineArgs;
use crate::cli::exit::Failure;
use crate::cli::session::Session;
use crate::cli::usage::UsageError;
use crate::orchestrator::{Choice, Connection, RUNTIME, connect as connect_to};
use crate::runtime::docker::{self, TlsSettings};
use crate::runtime::native::{Native, Settings};

/// Connects to the runtime that is wanted.
pub(super) async fn connect(
    session: &mut Session<'_>,
    probes: Probes,
) -> Result<Connection, Failure> {
    let choice = choice(session)?;
    let settings = (engine(session, probes), own(session));
    let screen = &mut *session.screen;
    let connection = connect_to(choice, settings, |text| screen.tell(text)).await?;
    if (choice, connection.kind) == (Choice::Auto, Choice::Native) {
        session.screen.tell("no Docker engine answers: using Ketch's own runtime\n");
    }
    Ok(connection)
}

/// The runtime that is wanted.
pub(in crate::cli) fn choice(session: &Session<'_>) -> Result<Choice, Failure> {
    let word = session.global.engine.runtime.as_ref().or(session.environment().get(RUNTIME));
    let Some(word) = word else { return Ok(Choice::Auto) };
    word.parse().map_err(|()| {
        let flag = "--runtime".to_owned();
        let possible = Choice::WORDS.map(str::to_owned).to_vec();
        UsageError::InvalidValue { flag, value: word.clone(), possible, reason: None }.into()
    })
}

/// Ketch's own runtime, for commands that are about nothing else.
pub(in crate::cli) fn native(session: &Session<'_>) -> Result<Native, Failure> {
    Ok(Native::open(own(session))?)
}

fn own(session: &Session<'_>) -> Settings {
    Settings { environment: environment(session) }
}

/// How an engine is reached.
pub(in crate::cli) fn engine(session: &Session<'_>, probes: Probes) -> docker::Settings {
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
