//! `watch --check`: says whether containers have the files that they should have.
//!
//! In: rules and containers. Out: what differs, and an exit code. Nothing is changed.

use std::fmt::Write as _;

use super::bring::Expected;
use super::ledger::Ledgers;
use super::start;
use crate::cli::engine::{Engine, interruptible};
use crate::cli::exit::Failure;
use crate::model::observed::ObservedContainer;
use crate::model::transfer::{Difference, Transfer, Trust};
use crate::orchestrator::Target;
use crate::ui::text::{count, printable};
use crate::watch::{Rules, Watcher};

/// Compares the contents of all files; 1 if one differs.
pub(super) async fn check(
    engine: &Engine<'_, '_>,
    target: &Target,
    rules: Rules,
) -> Result<u8, Failure> {
    let watcher = start(rules)?;
    let ledgers = Ledgers::of(engine.session.environment(), &target.project.name);
    let work = async {
        let all = engine.containers(Some(&target.project.name)).await?;
        let mut text = blind(&watcher);
        let mut differs = !text.is_empty();
        for service in watcher.services() {
            let expected = Expected::of(watcher.expected(&service));
            let files: Vec<Transfer> = expected.files.iter().map(|(_, it)| it.clone()).collect();
            let is_meant = |it: &&ObservedContainer| it.service() == service && !it.is_one_off();
            let containers: Vec<_> = all.iter().filter(is_meant).collect();
            if containers.is_empty() {
                differs = true;
                let _ = writeln!(text, "{service}: has no container");
            }
            for container in containers {
                let mut all = files.clone();
                all.extend(ledgers.container(&container.id).left(|place| expected.holds(place)));
                let found = engine.runtime.differences(&container.id, all, Trust::Contents).await?;
                differs |= !found.is_empty();
                text.push_str(&report(&container.name, files.len(), &found));
            }
        }
        Ok((text, differs))
    };
    let (text, differs) = interruptible(engine.interrupts.shutdown(), work).await?;
    let mut out = engine.session.screen.out_writer();
    out.write_all(text.as_bytes()).and_then(|()| out.flush())?;
    Ok(u8::from(differs))
}

/// What cannot be compared.
fn blind(watcher: &Watcher) -> String {
    let blind = watcher.blind();
    let lines = blind.iter().map(|(path, why)| {
        format!("{}: cannot be looked at: {why}\n", printable(&path.to_string_lossy()))
    });
    lines.collect()
}

/// What is found about one container.
fn report(container: &str, files: usize, found: &[(Transfer, Difference)]) -> String {
    if found.is_empty() {
        return format!("{container}: in step ({})\n", count(files, "path"));
    }
    let mut text = format!("{container}: {} of {} differ\n", found.len(), count(files, "path"));
    for (transfer, difference) in found {
        let path = transfer.path.to_string_lossy();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {}: {}", printable(&path), difference.word());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::report;
    use crate::model::transfer::{Difference, Transfer};

    #[test]
    fn what_differs_is_listed() {
        let transfer = Transfer {
            path: "/app/a\n".into(),
            base: std::path::Path::new("/app").into(),
            source: None,
            only: None,
        };
        let text = report("shop-web-1", 3, &[(transfer, Difference::Content)]);
        assert_eq!(text, "shop-web-1: 1 of 3 paths differ\n  /app/a␊: other content\n");
        assert_eq!(report("a", 1, &[]), "a: in step (1 path)\n");
    }
}
