//! Which runtime is used.
//!
//! In: a [`Choice`], and how each runtime is reached. Out: a connection. `auto` is the engine that
//! answers, else Ketch's own runtime where that is permitted.
//!
//! # Invariants
//!
//! - Who names an engine (`--host`, `DOCKER_HOST`, a context) gets that one or an error.
//! - Nothing else knows which kinds of runtimes there are.

use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{OrchestrationError, Route, patiently};
use crate::runtime::docker::{self, Docker};
use crate::runtime::native::{self, Native};
use crate::runtime::{Result, Runtime, RuntimeError};

/// The variable that says which runtime is wanted.
pub const RUNTIME: &str = "KETCH_RUNTIME";

/// Which runtime is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// The engine that answers, else our own.
    #[default]
    Auto,
    /// A Docker-compatible engine.
    Docker,
    /// Our own.
    Native,
}

impl Choice {
    /// How they are called.
    pub const WORDS: [&str; 3] = ["auto", "docker", "native"];

    /// Whether it goes on with what it was asked for when who asked has been killed.
    pub(super) fn finishes_alone(self) -> bool {
        self != Self::Native
    }
}

impl FromStr for Choice {
    type Err = ();

    fn from_str(word: &str) -> std::result::Result<Self, ()> {
        match word {
            "" | "auto" => Ok(Self::Auto),
            "docker" => Ok(Self::Docker),
            "native" => Ok(Self::Native),
            _ => Err(()),
        }
    }
}

/// A connection.
pub struct Connection {
    /// The runtime.
    pub runtime: Arc<dyn Runtime>,
    /// Which one it is: never [`Choice::Auto`].
    pub kind: Choice,
    /// How it is reached again.
    pub route: Route,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Connects to the runtime that is wanted; tells if that takes long.
///
/// # Errors
///
/// It does not answer, or may not be used.
pub async fn connect(
    choice: Choice,
    (engine, own): (docker::Settings, native::Settings),
    tell: impl FnOnce(&str),
) -> std::result::Result<Connection, OrchestrationError> {
    let route = |kind, environment| Route::new(kind, &engine, environment);
    let by_engine = route(Choice::Docker, &engine.environment);
    let alone = route(Choice::Native, &own.environment);
    match choice {
        Choice::Docker => Ok(connected(docker(engine, tell).await?, by_engine)),
        Choice::Native => Ok(opened(own, alone)?),
        Choice::Auto => {
            let is_named = names_engine(&engine);
            match docker(engine, tell).await {
                Ok(docker) => Ok(connected(docker, by_engine)),
                Err(error @ RuntimeError::Unreachable { .. }) if !is_named => {
                    if Native::forbidden().is_some() {
                        return Err(OrchestrationError::NoRuntime(error));
                    }
                    Ok(opened(own, alone)?)
                }
                Err(error) => Err(error.into()),
            }
        }
    }
}

fn connected(docker: Docker, route: Route) -> Connection {
    Connection { runtime: Arc::new(docker), kind: Choice::Docker, route }
}

fn opened(settings: native::Settings, route: Route) -> Result<Connection> {
    Ok(Connection { runtime: Arc::new(Native::open(settings)?), kind: Choice::Native, route })
}

async fn docker(settings: docker::Settings, tell: impl FnOnce(&str)) -> Result<Docker> {
    patiently(Docker::connect(settings), tell).await
}

/// Whether the user says which engine is meant.
fn names_engine(settings: &docker::Settings) -> bool {
    let is_set = |name: &str| settings.environment.get(name).is_some_and(|it| !it.is_empty());
    settings.host.is_some()
        || settings.context.is_some()
        || is_set("DOCKER_HOST")
        || is_set("DOCKER_CONTEXT")
}
