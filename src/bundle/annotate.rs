//! Tells the machine that runs a job where a failure belongs.
//!
//! In: the environment and a [`Summary`]. Out: the line that GitHub turns into a note beside the
//! file, and the report that GitLab does.

use std::path::Path;

use indexmap::IndexMap;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{BundleError, Summary};

/// The report that GitLab reads, by the name that its documentation has.
pub const GITLAB_REPORT: &str = "gl-code-quality-report.json";

/// Whether the environment is that of a machine that runs jobs.
pub fn is_ci(environment: &IndexMap<String, String>) -> bool {
    let word = environment.get("CI").map_or("", String::as_str);
    !matches!(word, "" | "0" | "false")
}

/// The note for GitHub; `None` elsewhere.
pub fn github(environment: &IndexMap<String, String>, summary: &Summary) -> Option<String> {
    environment.get("GITHUB_ACTIONS").filter(|word| *word == "true")?;
    let place = summary.place.as_ref().map(|place| {
        let file = relative(&place.file, environment.get("GITHUB_WORKSPACE"));
        format!(" file={},line={}", property(&file), place.line)
    });
    let text = summary.lines.join("\n");
    Some(format!("::error{}::{}\n", place.unwrap_or_default(), message(&text)))
}

/// Writes the report for GitLab into the folder; elsewhere nothing.
///
/// # Errors
///
/// The file cannot be written.
pub fn gitlab(
    environment: &IndexMap<String, String>,
    (directory, summary): (&Path, &Summary),
) -> Result<(), BundleError> {
    if environment.get("GITLAB_CI").is_none_or(|word| word != "true") {
        return Ok(());
    }
    let place = summary.place.clone().unwrap_or_default();
    let file = relative(&place.file, environment.get("CI_PROJECT_DIR"));
    let report = json!([{
        "description": summary.first,
        "check_name": "ketch-up",
        "fingerprint": fingerprint(&[&file, &summary.first]),
        "severity": "critical",
        "location": { "path": file, "lines": { "begin": place.line.max(1) } },
    }]);
    let path = directory.join(GITLAB_REPORT);
    let written = std::fs::write(&path, format!("{report:#}\n"));
    written.map_err(|source| BundleError::Write { path, source })
}

/// A path as the machine knows it: from the root of the sources.
fn relative(file: &str, root: Option<&String>) -> String {
    let inside = root.and_then(|root| Path::new(file).strip_prefix(root).ok());
    inside.map_or_else(|| file.to_owned(), |path| path.display().to_string())
}

/// The same failure has the same one, whenever it is.
fn fingerprint(parts: &[&str]) -> String {
    let digits = |letter: &char| !letter.is_ascii_digit();
    let text: String = parts.join("\n").chars().filter(digits).collect();
    crate::model::hash::hex(&Sha256::digest(text.as_bytes()))
}

/// Text of a command of GitHub.
fn message(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A value in the head of a command of GitHub.
fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::super::{Place, Summary};
    use super::{GITLAB_REPORT, github, gitlab, is_ci};

    fn environment(pairs: &[(&str, &str)]) -> IndexMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn summary() -> Summary {
        Summary {
            lines: vec!["100% down".to_owned(), "::error::x".to_owned()],
            first: "cannot start (after 3s)".to_owned(),
            place: Some(Place { file: "/src/a,b.yaml".to_owned(), line: 9 }),
        }
    }

    #[test]
    fn github_gets_one_line() {
        let there = environment(&[("GITHUB_ACTIONS", "true"), ("GITHUB_WORKSPACE", "/src")]);
        let said = github(&there, &summary()).unwrap();
        assert_eq!(said, "::error file=a%2Cb.yaml,line=9::100%25 down%0A::error::x\n");
        assert_eq!(github(&environment(&[]), &summary()), None);
    }

    #[test]
    fn gitlab_gets_a_report() {
        let folder = tempfile::tempdir().unwrap();
        gitlab(&environment(&[]), (folder.path(), &summary())).unwrap();
        assert!(!folder.path().join(GITLAB_REPORT).exists());
        let there = environment(&[("GITLAB_CI", "true"), ("CI_PROJECT_DIR", "/src")]);
        gitlab(&there, (folder.path(), &summary())).unwrap();
        let file = std::fs::File::open(folder.path().join(GITLAB_REPORT)).unwrap();
        let report: serde_json::Value = serde_json::from_reader(file).unwrap();
        assert_eq!(report[0]["location"]["path"], "a,b.yaml");
        assert_eq!(report[0]["location"]["lines"]["begin"], 9);
    }

    #[test]
    fn machines_say_what_they_are() {
        assert!(is_ci(&environment(&[("CI", "true")])) && is_ci(&environment(&[("CI", "1")])));
        assert!(!is_ci(&environment(&[])) && !is_ci(&environment(&[("CI", "false")])));
    }
}
