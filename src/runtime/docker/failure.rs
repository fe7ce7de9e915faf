//! Errors of bollard as errors of a runtime.
//!
//! In: what bollard says. Out: [`RuntimeError`], by status and words of the engine. An engine that
//! does not answer is told apart, with what to do about it.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::LazyLock;

use bollard::errors::Error;
use regex_lite::Regex;

use super::{Address, Docker};
use crate::runtime::RuntimeError;

/// Why an engine does not answer, and what to do about it.
#[derive(Debug)]
struct Cause {
    advice: String,
    source: Option<Error>,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.advice)
    }
}

impl StdError for Cause {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|error| error as &dyn StdError)
    }
}

impl Docker {
    /// An error of bollard as one of a runtime.
    pub(super) fn failure(&self, error: Error) -> RuntimeError {
        translate(&self.address, error)
    }
}

/// An error of a request to the engine at this address.
pub(super) fn translate(address: &Address, error: Error) -> RuntimeError {
    match error {
        Error::DockerResponseServerError { status_code, message } => refusal(status_code, &message),
        Error::DockerStreamError { error } => refusal(500, &error),
        Error::JsonDataError { message, .. } => unreadable(address, &message),
        Error::JsonSerdeError { err } => unreadable(address, &err.to_string()),
        Error::RequestTimeoutError
        | Error::IOError { .. }
        | Error::HyperResponseError { .. }
        | Error::HyperLegacyError { .. } => unreachable(address, String::new(), error),
        other => RuntimeError::Refused(other.to_string()),
    }
}

fn unreadable(address: &Address, why: &str) -> RuntimeError {
    let text = format!("the engine at `{address}` gave an answer that cannot be read: {why}");
    RuntimeError::Refused(text)
}

/// The engine does not answer. `said`: what a helper such as `ssh` complained about.
pub(super) fn unreachable(address: &Address, said: String, error: Error) -> RuntimeError {
    let advice = if said.is_empty() { advice(address, &error) } else { Some(said) };
    let cause = match advice {
        Some(advice) => Cause { advice, source: None },
        None => Cause { advice: "the connection failed".to_owned(), source: Some(error) },
    };
    RuntimeError::Unreachable { address: address.to_string(), source: Box::new(cause) }
}

/// What to do; `None` if only the error itself can tell.
fn advice(address: &Address, error: &Error) -> Option<String> {
    let silent = "it accepts connections but does not answer; it may hang or be overloaded";
    let gone = "it went away in the middle of an answer; look whether it runs, and try again";
    if matches!(error, Error::RequestTimeoutError) {
        return Some(silent.to_owned());
    }
    if let Some(error) = http_error(error) {
        if error.is_parse() {
            return Some("what answers there does not speak HTTP; is it an engine?".to_owned());
        }
        if error.is_incomplete_message() {
            return Some(gone.to_owned());
        }
    }
    let kind = io_error(error)?.kind();
    let local = matches!(address, Address::Unix(_));
    Some(match kind {
        io::ErrorKind::NotFound if local => {
            "there is no such socket; install and start Docker, or set DOCKER_HOST".to_owned()
        }
        io::ErrorKind::PermissionDenied if local => {
            "permission denied; become a member of the group `docker`, or use sudo".to_owned()
        }
        io::ErrorKind::UnexpectedEof => gone.to_owned(),
        io::ErrorKind::TimedOut => silent.to_owned(),
        io::ErrorKind::FileTooLarge => "its answer has no end; is it an engine?".to_owned(),
        io::ErrorKind::ConnectionRefused => "nothing listens there; start the engine".to_owned(),
        _ => return None,
    })
}

/// The error of the HTTP behind an error.
fn http_error<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e hyper::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<hyper::Error>() {
            return Some(found);
        }
        next = inner(error);
    }
    None
}

/// What is behind an error.
fn inner<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e (dyn StdError + 'static)> {
    // These show themselves in place of their sources.
    match error.downcast_ref::<Error>() {
        Some(Error::IOError { err }) => Some(err),
        Some(Error::HyperLegacyError { err }) => err.source(),
        Some(Error::HyperResponseError { err }) => Some(err),
        _ => error.source(),
    }
}

/// The error of the operating system behind an error.
fn io_error<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e io::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<io::Error>() {
            return Some(found);
        }
        next = inner(error);
    }
    None
}

/// What to do about what engines say when something runs out.
const REMEDIES: [(&str, &str); 2] = [
    (
        "non-overlapping IPv4 address pool",
        "remove networks that nobody uses with `docker network prune`, or give this one a subnet",
    ),
    ("no space left on device", "free some, for example with `docker system prune`"),
];

/// The words of an engine, and what to do about them if that is known.
fn advised(message: String) -> String {
    match REMEDIES.iter().find(|(words, _)| message.contains(words)) {
        Some((_, remedy)) => format!("{message}; {remedy}"),
        None => message,
    }
}

/// What an engine refused, by its status and words.
pub(super) fn refusal(status: u16, message: &str) -> RuntimeError {
    let message = message.trim().to_owned();
    if let Some(port) = taken_port(&message) {
        return RuntimeError::PortTaken { port, message };
    }
    let in_use = message.contains("has active endpoints");
    match status {
        _ if in_use => RuntimeError::Conflict(message),
        404 => RuntimeError::NotFound(message),
        409 => RuntimeError::Conflict(message),
        501 => RuntimeError::Unsupported(message),
        _ => RuntimeError::Refused(advised(message)),
    }
}

/// The port of the host that is taken, if that is the matter.
fn taken_port(message: &str) -> Option<u16> {
    static ADDRESS: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?:\d+\.\d+\.\d+\.\d+|\[[0-9a-fA-F:.]*\]|::|tcp[46]? ):(\d+)")
            .expect("it is a pattern")
    });
    let taken = message.contains("port is already allocated")
        || message.contains("address already in use") && message.contains("port")
        || message.contains("bind: address already in use");
    taken.then(|| ADDRESS.captures(message)?[1].parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::{Address, Error, refusal, translate, unreachable};
    use crate::runtime::RuntimeError;

    #[test]
    fn a_taken_port_is_found_in_the_words_of_every_release() {
        for message in [
            "driver failed programming external connectivity on endpoint a (0f): Bind for \
             0.0.0.0:8080 failed: port is already allocated",
            "driver failed programming external connectivity on endpoint a (0f): Error starting \
             userland proxy: listen tcp4 0.0.0.0:8080: bind: address already in use",
            "failed to bind host port for 0.0.0.0:8080:172.18.0.2:80/tcp: address already in use",
            "failed to bind host port [::]:8080/tcp: address already in use",
            "cannot listen on the TCP port: listen tcp4 :8080: bind: address already in use",
        ] {
            let error = refusal(500, message);
            let RuntimeError::PortTaken { port, message: kept } = error else {
                panic!("{error:?}");
            };
            assert_eq!((port, kept.as_str()), (8080, message));
        }
        let other = "Address already in use";
        assert!(matches!(refusal(500, other), RuntimeError::Refused(_)));
    }

    #[test]
    fn refusals_are_told_apart() {
        assert!(matches!(refusal(404, "No such container: a"), RuntimeError::NotFound(_)));
        assert!(matches!(refusal(409, "is already in use"), RuntimeError::Conflict(_)));
        assert!(matches!(
            refusal(403, "error while removing network: network a has active endpoints"),
            RuntimeError::Conflict(_)
        ));
        assert!(matches!(refusal(500, "no"), RuntimeError::Refused(_)));
        let full = refusal(500, "write /x: no space left on device").to_string();
        assert!(full.ends_with("; free some, for example with `docker system prune`"), "{full}");
    }

    #[test]
    fn an_engine_that_does_not_answer_is_explained() {
        let socket = Address::Unix("/s".into());
        let of = |kind: std::io::ErrorKind| {
            let error = translate(&socket, Error::IOError { err: kind.into() });
            let cause = error.source().map(ToString::to_string);
            (error.to_string(), cause.unwrap_or_default())
        };
        assert_eq!(
            of(std::io::ErrorKind::PermissionDenied),
            (
                "cannot reach the engine at `unix:///s`".to_owned(),
                "permission denied; become a member of the group `docker`, or use sudo".to_owned()
            )
        );
        assert!(of(std::io::ErrorKind::NotFound).1.starts_with("there is no such socket"));
        assert!(of(std::io::ErrorKind::ConnectionRefused).1.starts_with("nothing listens"));
        assert_eq!(of(std::io::ErrorKind::BrokenPipe).1, "the connection failed");
        let said = unreachable(&socket, "ssh: no".to_owned(), Error::RequestTimeoutError);
        assert_eq!(said.source().unwrap().to_string(), "ssh: no");
    }
}
