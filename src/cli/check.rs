//! `ketch check`: finds mistakes without running anything.
//!
//! In: flags and a project. Out: every problem, in the format asked for; a failure if one of them
//! is an error.

use std::collections::BTreeSet;
use std::path::Path;

use super::args::{CheckArgs, CheckFormat};
use super::exit::Failure;
use super::session::Session;
use crate::diagnostic::{Diagnostic, Severity};
use crate::model::Project;
use crate::project::{self, Report};
use crate::ui::diagnostics::Warnings;
use crate::ui::report;
use crate::ui::text::{count, printable};

/// Checks the project.
pub(super) fn run(args: &CheckArgs, session: &mut Session<'_>) -> Result<(), Failure> {
    let mut request = session.request()?;
    request.services.clone_from(&args.services);
    let (loaded, mut report) = session.inspect(&request)?;
    if args.strict {
        report.diagnostics.iter_mut().for_each(|found| found.severity = Severity::Error);
    }
    let Report { sources, diagnostics } = &report;
    let failed = diagnostics.iter().any(|found| found.severity == Severity::Error);
    match args.format {
        CheckFormat::Human => {
            session.draw(sources, diagnostics, Warnings::Full);
            if let (false, Some(loaded)) = (failed, &loaded) {
                let mut lines = verdict(&loaded.project, &request.cwd, diagnostics);
                if args.services.is_empty() {
                    lines += &left_out(&loaded.project);
                }
                session.screen.data(&lines)?;
            }
        }
        CheckFormat::Json => session.screen.data(&report::json(sources, diagnostics))?,
        CheckFormat::Sarif => session.screen.data(&report::sarif(sources, diagnostics))?,
        CheckFormat::Github => session.screen.data(&report::github(sources, diagnostics))?,
    }
    if failed || loaded.is_none() { Err(Failure::Project) } else { Ok(()) }
}

/// `compose.yaml: no problems (5 services, 2 networks)`.
fn verdict(project: &Project, cwd: &Path, warnings: &[Diagnostic]) -> String {
    let files: Vec<String> =
        project.compose_files.iter().map(|file| project::display(cwd, file)).collect();
    let parts: Vec<String> = [
        (project.services.len(), "service"),
        (project.networks.len(), "network"),
        (project.volumes.len(), "volume"),
        (project.configs.len(), "config"),
        (project.secrets.len(), "secret"),
        (project.models.len(), "model"),
    ]
    .into_iter()
    .filter(|(number, noun)| *number > 0 || *noun == "service")
    .map(|(number, noun)| count(number, noun))
    .collect();
    let found = match warnings.len() {
        0 => "no problems".to_owned(),
        number => format!("no errors, {}", count(number, "warning")),
    };
    let files = files.join(", ");
    format!("{}: {found} ({})\n", printable(&files), parts.join(", "))
}

/// Says that services were looked at only in part, because they are behind profiles; blank if all
/// were.
fn left_out(project: &Project) -> String {
    let disabled: Vec<_> = project.disabled_services.values().collect();
    let profiles: BTreeSet<&str> =
        disabled.iter().flat_map(|service| &service.profiles).map(String::as_str).collect();
    if profiles.is_empty() {
        return String::new();
    }
    let profiles: Vec<String> = profiles.iter().map(|profile| format!("`{profile}`")).collect();
    let behind = count(disabled.len(), "service");
    let noun = if profiles.len() == 1 { "profile" } else { "profiles" };
    let profiles = profiles.join(", ");
    format!("not fully checked: {behind} behind the {noun} {profiles} (`--profile '*'` adds all)\n")
}
