//! `ketch check`: finds mistakes without running anything.
//!
//! In: flags and a project. Out: every problem, in the format asked for; a failure if one of them
//! is an error.

use std::path::Path;

use super::args::{CheckArgs, CheckFormat};
use super::exit::Failure;
use super::session::Session;
use crate::diagnostic::{Diagnostic, Severity};
use crate::model::Project;
use crate::project::Report;
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
                let line = verdict(&loaded.project, &request.cwd, diagnostics);
                session.screen.data(&line)?;
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
    let files: Vec<String> = project
        .compose_files
        .iter()
        .map(|file| file.strip_prefix(cwd).unwrap_or(file).display().to_string())
        .collect();
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
