//! Reaching an engine.

use std::error::Error as _;

use ketch::runtime::docker::{Docker, Settings};
use ketch::runtime::{Runtime as _, RuntimeError};

use super::{Probes, in_world};

fn cause(error: &RuntimeError) -> String {
    error.source().map(ToString::to_string).unwrap_or_default()
}

#[tokio::test]
async fn a_missing_socket_is_explained() {
    let host = Some("unix:///nowhere/docker.sock".to_owned());
    let error = Docker::connect(Settings { host, ..Settings::default() }).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot reach the engine at `unix:///nowhere/docker.sock`");
    assert_eq!(
        cause(&error),
        "there is no such socket; install and start Docker, or set DOCKER_HOST"
    );
}

#[tokio::test]
async fn a_port_where_nothing_listens_is_explained() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let host = Some(format!("tcp://127.0.0.1:{port}"));
    let error = Docker::connect(Settings { host, ..Settings::default() }).await.unwrap_err();
    assert_eq!(cause(&error), "nothing listens there; start the engine");
}

#[test]
fn the_engine_says_what_it_is() {
    in_world("version", Probes::Engine, |world| async move {
        let version = world.docker.version().await.unwrap();
        assert_eq!(version.name, "docker");
        assert!(version.api.starts_with("1."), "{version:?}");
        assert!(!version.version.is_empty() && !version.address.is_empty());
    });
}

#[test]
fn an_old_version_of_the_api_can_be_spoken() {
    in_world("old-api", Probes::Engine, |world| async move {
        let version = world.docker.version().await.unwrap();
        let mut settings = super::settings();
        settings.environment.insert("DOCKER_API_VERSION".to_owned(), "1.1".to_owned());
        let docker = Docker::connect(settings).await.unwrap();
        // The engine refuses what is too old: so the version has been named.
        let refused = docker.observe(None).await.unwrap_err().to_string();
        assert!(refused.contains("1.1 is too old"), "{refused} ({version:?})");
    });
}
