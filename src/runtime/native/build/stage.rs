//! Stages of a Dockerfile.
//!
//! In: instructions, and the values of build arguments. Out: stages, what each starts from, and
//! which others it needs.
//!
//! # Invariants
//!
//! - Pure. A stage needs earlier ones only.

use std::collections::{BTreeMap, BTreeSet};

use super::dockerfile::{Command, Dockerfile, Expander, Fault, Instruction, Quotes};

/// The most stages: each waits within those that it needs, and the stack has an end.
const MOST_STAGES: usize = 256;

/// A stage.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    /// Its name; empty: none.
    pub(super) name: String,
    /// What it starts from.
    pub(super) base: Base,
    /// `--platform`; empty: that of the build.
    pub(super) platform: String,
    /// The line of its `FROM`.
    pub(super) line: usize,
    pub(super) instructions: Vec<Instruction>,
}

/// What a stage starts from, or files are copied from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// Nothing.
    Scratch,
    /// An earlier stage.
    Stage(usize),
    /// An image, or a context with a name.
    Other(String),
}

/// All stages.
#[derive(Clone, Debug)]
pub(super) struct Stages {
    pub(super) all: Vec<Stage>,
    /// Values of `ARG`s before the first stage.
    pub(super) arguments: BTreeMap<String, String>,
    pub(super) escape: char,
    /// Names of contexts, which come before stages.
    contexts: BTreeSet<String>,
}

impl Stages {
    /// The stages of a file. `given`: the value of a build argument. `contexts`: the names of
    /// contexts, which stand for stages of the same name.
    pub(super) fn of(
        file: &Dockerfile,
        given: &dyn Fn(&str) -> Option<String>,
        contexts: BTreeSet<String>,
    ) -> Result<Self, Fault> {
        let escape = file.directives.escape();
        let mut stages = Self { all: Vec::new(), arguments: BTreeMap::new(), escape, contexts };
        for instruction in &file.instructions {
            let fault = |text: String| Fault::new(instruction.line, text);
            match (&instruction.command, stages.all.last_mut()) {
                (Command::From(from), _) => {
                    let image = stages.expand(&from.image, given).map_err(fault)?;
                    let platform = stages.expand(&from.platform, given).map_err(fault)?;
                    if image.is_empty() {
                        let said =
                            format!("`FROM {}` names nothing: give the `ARG` a value", from.image);
                        return Err(fault(said));
                    }
                    if stages.find(&from.name).is_some() {
                        return Err(fault(format!("there are two stages `{}`", from.name)));
                    }
                    let base = match stages.find(&image) {
                        _ if image == "scratch" => Base::Scratch,
                        _ if stages.contexts.contains(&image) => Base::Other(image),
                        Some(stage) => Base::Stage(stage),
                        None => Base::Other(image),
                    };
                    if stages.all.len() == MOST_STAGES {
                        return Err(fault(format!("there are more than {MOST_STAGES} stages")));
                    }
                    let (name, line) = (from.name.clone(), instruction.line);
                    stages.all.push(Stage { name, base, platform, line, instructions: Vec::new() });
                }
                (_, Some(stage)) => stage.instructions.push(instruction.clone()),
                (Command::Arg(arguments), None) => {
                    for (name, default) in arguments {
                        let value = match (given(name), default) {
                            (Some(value), _) => Some(value),
                            (None, Some(text)) => Some(stages.expand(text, given).map_err(fault)?),
                            (None, None) => None,
                        };
                        stages.arguments.extend(value.map(|value| (name.clone(), value)));
                    }
                }
                (_, None) => {
                    let word = instruction.text.split_whitespace().next().unwrap_or_default();
                    return Err(fault(format!("`{word}` stands before the first `FROM`")));
                }
            }
        }
        if stages.all.is_empty() {
            return Err(Fault::new(1, "there is no `FROM`"));
        }
        Ok(stages)
    }

    fn expand(&self, text: &str, given: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
        let lookup = |name: &str| {
            let own = self.arguments.get(name).cloned();
            own.or_else(|| if is_automatic(name) { given(name) } else { None })
        };
        Expander { escape: self.escape, quotes: Quotes::Remove, lookup: &lookup }.word(text)
    }

    /// The stage of a name.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        let is_it = |stage: &Stage| !name.is_empty() && stage.name.eq_ignore_ascii_case(name);
        self.all.iter().position(is_it)
    }

    /// What `--from` of a stage means.
    pub(super) fn source(&self, of: usize, name: &str) -> Base {
        let named = self.find(name).or_else(|| name.parse().ok());
        let named = named.filter(|_| !self.contexts.contains(name));
        match named.filter(|stage| *stage < of) {
            Some(stage) => Base::Stage(stage),
            None => Base::Other(name.to_owned()),
        }
    }

    /// Whether a stage has that name or number.
    pub(super) fn knows(&self, name: &str) -> bool {
        let has_number = |at: usize| at < self.all.len();
        !self.contexts.contains(name)
            && (self.find(name).is_some() || name.parse().is_ok_and(has_number))
    }

    /// The stage that is to be built: by name or number; empty: the last one.
    pub(super) fn target(&self, target: &str) -> Result<usize, String> {
        if target.is_empty() {
            return Ok(self.all.len() - 1);
        }
        let number = || target.parse().ok().filter(|at| *at < self.all.len());
        self.find(target).or_else(number).ok_or_else(|| {
            let names: Vec<&str> = self.all.iter().map(|stage| stage.name.as_str()).collect();
            let near = names.into_iter().filter(|name| !name.is_empty());
            let near = near.min_by_key(|name| strsim::damerau_levenshtein(name, target));
            let hint = near.map_or(String::new(), |near| format!(", did you mean `{near}`?"));
            format!("there is no stage `{target}`{hint}")
        })
    }

    /// A stage and all that it needs.
    pub(super) fn needed(&self, target: usize) -> BTreeSet<usize> {
        let mut needed = BTreeSet::new();
        let mut waiting = vec![target];
        while let Some(at) = waiting.pop() {
            if needed.insert(at) {
                waiting.extend(self.sources(at));
            }
        }
        needed
    }

    fn sources(&self, at: usize) -> Vec<usize> {
        let stage = &self.all[at];
        let mut names: Vec<&str> = Vec::new();
        for instruction in &stage.instructions {
            match &instruction.command {
                Command::Transfer(transfer) => names.push(&transfer.from),
                Command::Run(run) => names.extend(run.mounts.iter().map(|it| it.from.as_str())),
                _ => {}
            }
        }
        let sources = names.into_iter().filter(|name| !name.is_empty());
        let sources = sources.map(|name| self.source(at, name)).chain([stage.base.clone()]);
        let is_stage = |base| if let Base::Stage(stage) = base { Some(stage) } else { None };
        sources.filter_map(is_stage).collect()
    }
}

/// Names that have a value without being given one.
pub(super) fn is_automatic(name: &str) -> bool {
    name.starts_with("TARGET")
        || name.starts_with("BUILDPLATFORM")
        || name.starts_with("BUILDOS")
        || name.starts_with("BUILDARCH")
        || name.starts_with("BUILDVARIANT")
}

/// Names that commands see without an `ARG`, and that do not count as inputs.
pub(super) fn is_proxy(name: &str) -> bool {
    const NAMES: &[&str] = &["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];
    NAMES.contains(&name.to_ascii_uppercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::native::build::dockerfile::parse;

    fn stages(text: &str) -> Result<Stages, Fault> {
        let given = |name: &str| match name {
            "V" => Some("9".to_owned()),
            "TARGETARCH" => Some("amd64".to_owned()),
            _ => None,
        };
        Stages::of(&parse(text).unwrap(), &given, BTreeSet::new())
    }

    #[test]
    fn there_is_an_end_to_stages() {
        let text = "FROM a\n".repeat(MOST_STAGES);
        assert_eq!(stages(&text).unwrap().all.len(), MOST_STAGES);
        let fault = stages(&format!("{text}FROM a")).unwrap_err();
        assert_eq!((fault.line, fault.text.as_str()), (257, "there are more than 256 stages"));
    }

    #[test]
    fn stages_have_bases_and_need_others() {
        let text = "ARG V=1\nARG B=img:$V\nFROM ${B} AS One\nFROM one\nFROM x AS other\n\
            FROM scratch AS last\nCOPY --from=1 a b\nRUN --mount=from=x,target=/y z";
        let found = stages(text).unwrap();
        let bases: Vec<_> = found.all.iter().map(|stage| stage.base.clone()).collect();
        let other = |name: &str| Base::Other(name.to_owned());
        assert_eq!(bases, [other("img:9"), Base::Stage(0), other("x"), Base::Scratch]);
        assert_eq!(found.needed(3).into_iter().collect::<Vec<_>>(), [0, 1, 3]);
        assert_eq!(found.target(""), Ok(3));
        assert_eq!(found.target("ONE"), Ok(0));
        assert_eq!(found.target("1"), Ok(1));
        let error = found.target("lost").unwrap_err();
        assert_eq!(error, "there is no stage `lost`, did you mean `last`?");
        assert_eq!(found.source(1, "1"), other("1"), "later stages are none of its own");
        assert!(found.knows("1") && found.knows("LAST") && !found.knows("4") && !found.knows(""));
    }

    #[test]
    fn what_is_no_stage_is_told() {
        for (text, expected) in [
            ("RUN x\nFROM a", "`RUN` stands before the first `FROM`"),
            ("ARG A\nFROM $A", "`FROM $A` names nothing: give the `ARG` a value"),
            ("FROM a AS b\nFROM c AS B", "there are two stages `B`"),
            ("ARG A", "there is no `FROM`"),
        ] {
            assert_eq!(stages(text).unwrap_err().text, expected);
        }
    }
}
