//! What happens to containers.
//!
//! In: a project and a span of time. Out: its containers' events. The engine is asked when the
//! stream is first polled: who must not miss anything says since when. Who observes after the end
//! of a container was told sees what became of it.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptions;
use futures_util::stream::StreamExt as _;

use super::Docker;
use crate::model::label;
use crate::runtime::{LogOptions, RuntimeEvent, Stream};

impl Docker {
    pub(super) fn read_events(
        &self,
        project: &str,
        options: &LogOptions,
    ) -> Stream<'static, RuntimeEvent> {
        let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        // Without an end, the engine goes on for ever.
        let until = match (options.follow, options.until.as_str()) {
            (false, "") => Some(now()),
            (_, until) => said(until),
        };
        let filters = HashMap::from([
            ("type".to_owned(), vec!["container".to_owned()]),
            ("label".to_owned(), vec![format!("{}={project}", label::PROJECT)]),
        ]);
        let options = EventsOptions { since: said(&options.since), until, filters: Some(filters) };
        let (wire, client) = (self.wire(), self.client.clone());
        self.streaming
            .events(Some(options))
            .map(move |event| event.map(told).map_err(|error| wire.failure(error)))
            .then(move |event| {
                let client = client.clone();
                async move {
                    if let Ok(RuntimeEvent { action, container, .. }) = &event
                        && action == "die"
                    {
                        // The engine tells of an end before its list of containers shows it, but
                        // answers this only when it is done with the container, which may be gone.
                        let _ = client.inspect_container(container, None).await;
                    }
                    event
                }
            })
            .boxed()
    }
}

/// Seconds since 1970 with nine decimals.
fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}.{:09}", since.as_secs(), since.subsec_nanos())
}

fn told(event: EventMessage) -> RuntimeEvent {
    const NANOSECONDS: i64 = 1_000_000_000;
    let seconds = event.time.unwrap_or_default();
    let actor = event.actor.unwrap_or_default();
    RuntimeEvent {
        time: event.time_nano.unwrap_or(seconds.saturating_mul(NANOSECONDS)),
        container: actor.id.unwrap_or_default(),
        action: event.action.unwrap_or_default(),
        attributes: actor.attributes.unwrap_or_default().into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt as _;

    use super::super::trial::{IMAGE, Trial, docker, engine, limited};
    use super::*;

    #[tokio::test]
    async fn the_events_of_one_project_are_told() {
        let Some(engine) = engine().await else { return };
        let project = format!("hstreams-events-{}", std::process::id());
        let own = format!("{}={project}", label::PROJECT);
        let since = now();
        let other = format!("{own}-other");
        let _other = Trial::run("events-other", &["--label", &other, IMAGE, "true"]);
        let trial = Trial::run("events", &["--label", &own, "--label", "x=y", IMAGE, "sleep", "9"]);
        docker(&["kill", &trial.name]);
        let past = LogOptions { since, ..LogOptions::default() };
        let mut found: Vec<RuntimeEvent> = Vec::new();
        // The end of a container is told a moment after `kill` has returned.
        let follow = LogOptions { follow: true, ..past.clone() };
        let mut events = engine.read_events(&project, &follow);
        while found.last().is_none_or(|event| event.action != "die") {
            found.extend(limited(events.try_next()).await.unwrap());
        }
        let actions: Vec<&str> = found.iter().map(|event| event.action.as_str()).collect();
        assert_eq!(actions, ["create", "start", "kill", "die"]);
        assert!(found.is_sorted_by_key(|event| event.time));
        let last = &found[3];
        assert!(last.time > 1_700_000_000_000_000_000 && last.time % 1_000_000_000 != 0);
        assert_eq!(last.attributes["exitCode"], "137");
        assert_eq!(last.attributes["x"], "y");
        assert!(found.iter().all(|event| event.container == last.container));
        // Without `follow` the stream ends now.
        let told: Vec<RuntimeEvent> =
            limited(engine.read_events(&project, &past).try_collect()).await.unwrap();
        assert_eq!(told, found);
    }
}
