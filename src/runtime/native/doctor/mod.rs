//! What this machine can do for the native runtime, and what is missing.
//!
//! In: the directory of durable state. Out: findings, each with the exact remedy. What can be tried
//! is tried, in processes and directories that disappear at once; what cannot is looked up.
//!
//! # Not here
//!
//! Drawing them, and asking engines (`cli`).

mod kernel;
mod network;
mod storage;

use std::path::Path;

use serde::Serialize;

/// Something that containers need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about, in one word.
    pub subject: &'static str,
    /// How it stands.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do; empty if nothing is to be done.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is there.
    Good,
    /// Containers run, but something that they may ask for is not there.
    Weak,
    /// No container can run.
    Missing,
}

impl Verdict {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Weak => "weak",
            Self::Missing => "missing",
        }
    }
}

impl Finding {
    fn good(subject: &'static str, found: impl Into<String>) -> Self {
        Self { subject, verdict: Verdict::Good, found: found.into(), remedy: String::new() }
    }

    fn weak(subject: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        let (found, remedy) = (found.into(), remedy.into());
        Self { subject, verdict: Verdict::Weak, found, remedy }
    }

    fn missing(subject: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Missing, ..Self::weak(subject, found, remedy) }
    }
}

/// Examines this machine. `durable`: where state is kept, which need not exist yet.
pub fn examine(durable: &Path) -> Vec<Finding> {
    let privileges = kernel::privileges();
    let may = privileges.verdict != Verdict::Missing;
    let mut findings = vec![privileges, kernel::version(), kernel::namespaces(may)];
    findings.push(kernel::cgroups(may));
    findings.push(kernel::seccomp());
    findings.push(storage::overlay(durable, may));
    findings.push(network::bridges(may));
    findings.push(network::nftables(may));
    findings.push(network::forwarding());
    findings.push(storage::disk(durable));
    findings.push(kernel::files());
    findings.extend(kernel::policies());
    findings
}

/// Whether containers can run.
pub fn is_able(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.verdict != Verdict::Missing)
}

#[cfg(test)]
mod tests {
    use super::{Finding, Verdict, examine, is_able};

    #[test]
    fn every_lack_has_a_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let findings = examine(&folder.path().join("not/yet/there"));
        for finding in &findings {
            assert_eq!(finding.verdict == Verdict::Good, finding.remedy.is_empty(), "{finding:?}");
            assert!(!finding.found.is_empty(), "{finding:?}");
        }
        assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing is left");
        if rustix::process::geteuid().is_root() {
            assert!(is_able(&findings), "{findings:#?}");
        } else {
            assert!(!is_able(&findings));
        }
    }

    #[test]
    fn one_lack_is_enough() {
        let good = Finding::good("a", "b");
        assert!(is_able(&[good.clone(), Finding::weak("a", "b", "c")]));
        assert!(!is_able(&[good, Finding::missing("a", "b", "c")]));
    }
}
