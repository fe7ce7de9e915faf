//! What containers have written.
//!
//! In: a container and which part of its logs. Out: its output, stream by stream, as it arrives.

use hyper::Method;

use super::Docker;
use super::frames::{self, Packing};
use super::wire::{Call, Wire, chunks, deferred};
use crate::runtime::{Chunk, LogOptions, Result, RuntimeError, Stream};

/// What has to be known about a container before its output can be read.
struct Console {
    /// How its output is packed.
    packing: Packing,
    /// Its logging driver.
    driver: String,
}

impl Docker {
    pub(super) fn read_logs(
        &self,
        container: &str,
        options: &LogOptions,
    ) -> Stream<'static, Chunk> {
        let (client, wire) = (self.client.clone(), self.wire());
        let container = container.to_owned();
        let call = Call::new(Method::GET, format!("/containers/{container}/logs"))
            .query(&parameters(options));
        deferred(async move {
            let console = console_of(&client, &wire, &container).await?;
            let answer =
                wire.send(call).await.map_err(|error| console.explain(error, &container))?;
            Ok(frames::unpack(chunks(answer), console.packing))
        })
    }

    /// How the output of a container is packed.
    pub(super) async fn packing_of(&self, container: &str) -> Result<Packing> {
        Ok(console_of(&self.client, &self.wire(), container).await?.packing)
    }
}

async fn console_of(client: &bollard::Docker, wire: &Wire, container: &str) -> Result<Console> {
    let found = client.inspect_container(container, None).await;
    let found = found.map_err(|error| wire.failure(error))?;
    let driver = found.host_config.and_then(|host| host.log_config).and_then(|log| log.typ);
    Ok(Console {
        packing: found.config.and_then(|config| config.tty).unwrap_or_default().into(),
        driver: driver.unwrap_or_default(),
    })
}

impl Console {
    /// Says which driver it is that keeps no logs.
    fn explain(&self, error: RuntimeError, container: &str) -> RuntimeError {
        let unreadable = "does not support reading";
        match error {
            RuntimeError::Unsupported(said) | RuntimeError::Refused(said)
                if said.contains(unreadable) =>
            {
                RuntimeError::Unsupported(format!(
                    "the logs of container `{container}` cannot be read: its logging driver \
                     `{}` {unreadable}",
                    self.driver
                ))
            }
            other => other,
        }
    }
}

fn parameters(options: &LogOptions) -> Vec<(&'static str, String)> {
    let flag = |set: bool| if set { "1".to_owned() } else { String::new() };
    vec![
        ("stdout", flag(true)),
        ("stderr", flag(true)),
        ("follow", flag(options.follow)),
        ("timestamps", flag(options.timestamps)),
        ("since", options.since.clone()),
        ("until", options.until.clone()),
        ("tail", options.tail.map(|lines| lines.to_string()).unwrap_or_default()),
    ]
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt as _, TryStreamExt as _};

    use super::super::trial::{IMAGE, Trial, engine, limited};
    use super::*;
    use crate::runtime::Output;

    /// All output of each stream.
    async fn read(stream: Stream<'static, Chunk>) -> Result<(String, String)> {
        let (mut out, mut err) = (String::new(), String::new());
        let chunks: Vec<Chunk> = stream.try_collect().await?;
        for chunk in chunks {
            let text = if chunk.output == Output::Stdout { &mut out } else { &mut err };
            text.push_str(&String::from_utf8_lossy(&chunk.bytes));
        }
        Ok((out, err))
    }

    fn follow() -> LogOptions {
        LogOptions { follow: true, ..LogOptions::default() }
    }

    #[tokio::test]
    async fn both_streams_are_told_apart() {
        let Some(engine) = engine().await else { return };
        let trial = Trial::run("logs", &[IMAGE, "sh", "-c", "echo one; echo two >&2; echo three"]);
        let (out, err) = read(engine.read_logs(&trial.name, &follow())).await.unwrap();
        assert_eq!((out.as_str(), err.as_str()), ("one\nthree\n", "two\n"));
    }

    #[tokio::test]
    async fn a_part_of_the_logs_is_cut_as_finely_as_their_times_are() {
        let Some(engine) = engine().await else { return };
        let trial = Trial::run("logs-part", &[IMAGE, "sh", "-c", "echo one; echo three"]);
        let (out, _) = read(engine.read_logs(&trial.name, &follow())).await.unwrap();
        assert_eq!(out, "one\nthree\n");
        let last = LogOptions { tail: Some(1), timestamps: true, ..LogOptions::default() };
        let (out, err) = read(engine.read_logs(&trial.name, &last)).await.unwrap();
        let (time, text) = out.split_once(' ').unwrap();
        assert_eq!((text, err.as_str()), ("three\n", ""));
        // `until` is inclusive and as fine as the times are.
        let time: jiff::Timestamp = time.parse().unwrap();
        let before = time.as_nanosecond() - 1;
        let until = format!("{}.{:09}", before / 1_000_000_000, before % 1_000_000_000);
        let until = LogOptions { until, ..LogOptions::default() };
        let (out, _) = read(engine.read_logs(&trial.name, &until)).await.unwrap();
        assert_eq!(out, "one\n");
        let since = format!("{}.{:09}", time.as_second(), time.subsec_nanosecond());
        let since = LogOptions { since, ..LogOptions::default() };
        let (out, err) = read(engine.read_logs(&trial.name, &since)).await.unwrap();
        assert_eq!((out.as_str(), err.as_str()), ("three\n", ""));
    }

    #[tokio::test]
    async fn a_terminal_may_print_what_looks_like_a_header() {
        let Some(engine) = engine().await else { return };
        let script = r"printf '\001\000\002ready\n'; read -r x";
        let trial = Trial::run("logs-tty", &["-it", IMAGE, "sh", "-c", script]);
        let mut logs = engine.read_logs(&trial.name, &follow());
        let chunk = limited(logs.next()).await.unwrap().unwrap();
        assert_eq!(chunk.bytes, b"\x01\x00\x02ready\r\n"[..]);
    }

    #[tokio::test]
    async fn logs_that_nobody_keeps_are_a_clear_error() {
        let Some(engine) = engine().await else { return };
        let trial = Trial::run("logs-none", &["--log-driver", "none", IMAGE, "true"]);
        let error = read(engine.read_logs(&trial.name, &follow())).await.unwrap_err();
        assert!(matches!(error, RuntimeError::Unsupported(_)), "{error:?}");
        let said = error.to_string();
        assert!(said.contains("`none` does not support reading"), "{said}");
        let missing = read(engine.read_logs("hstreams-missing", &follow())).await.unwrap_err();
        assert!(matches!(missing, RuntimeError::NotFound(_)), "{missing:?}");
    }
}
