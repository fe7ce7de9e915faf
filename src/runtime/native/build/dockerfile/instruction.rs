//! One instruction: words, flags and JSON.
//!
//! In: a whole line. Out: an [`Instruction`], and perhaps how it is better written.

use super::flags::{Flags, nearest};
use super::heredoc::Heredoc;
use super::scan::{self, Line};
use super::{
    Command, Fault, Form, From, Healthcheck, Instruction, Remark, Run, Transfer, TransferKind,
    mount, words,
};
use crate::model::Duration;

/// All instructions.
const NAMES: &[&str] = &[
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

type Checked<T> = Result<T, String>;

/// Reads one instruction, such as one that a base image wants: `ONBUILD`.
///
/// # Errors
///
/// It is none.
pub fn parse_one(text: &str, escape: char) -> Result<Instruction, Fault> {
    let mut scanned = scan::scan(text)?;
    match scanned.lines.len() {
        1 => Ok(parse(scanned.lines.remove(0), escape)?.0),
        _ => Err(Fault::new(1, "it is not one instruction")),
    }
}

/// Reads an instruction.
pub(super) fn parse(line: Line, escape: char) -> Result<(Instruction, Option<Remark>), Fault> {
    let Line { number, text, heredocs } = line;
    let (word, rest) = words::first(&text);
    let name = word.to_ascii_uppercase();
    let parsed = Words { rest, escape, heredocs }.command(&name);
    let command = parsed.map_err(|why| Fault::new(number, why))?;
    let remark = remark(&name, word, rest, &command);
    let remark = remark.map(|(rule, text)| Remark::new(rule, number, text));
    Ok((Instruction { line: number, text, command }, remark))
}

/// How an instruction is better written, and by which rule.
fn remark(name: &str, word: &str, rest: &str, command: &Command) -> Option<(&'static str, String)> {
    if name != word && word != word.to_ascii_lowercase() {
        let text = format!("`{word}` is neither in capital nor in small letters");
        return Some(("ConsistentInstructionCasing", text));
    }
    match command {
        Command::Maintainer(_) => {
            Some(("MaintainerDeprecated", "`MAINTAINER` is outdated: use a label".to_owned()))
        }
        Command::Cmd(Form::Shell(_)) | Command::Entrypoint(Form::Shell(_)) => {
            let list = if rest.starts_with('[') { "this is no JSON list of texts" } else { "" };
            let list = if list.is_empty() { "a JSON list handles signals better" } else { list };
            Some(("JSONArgsRecommended", format!("`{name}` is run by a shell: {list}")))
        }
        Command::Env(_) | Command::Label(_) => {
            let first = rest.split_whitespace().next().unwrap_or_default();
            let text = || format!("`{name} NAME VALUE` is outdated: use `=`");
            (!first.contains('=')).then(|| ("LegacyKeyValueFormat", text()))
        }
        Command::From(from) if from.name != from.name.to_ascii_lowercase() => {
            let text = format!("the stage `{}` should be named in small letters", from.name);
            Some(("StageNameCasing", text))
        }
        Command::Workdir(path) if !path.starts_with(['/', '$', '"', '\'']) => {
            let text = format!("`WORKDIR {path}` depends on the one before: begin it with `/`");
            Some(("WorkdirRelativePath", text))
        }
        _ => None,
    }
}

/// What follows the name of an instruction.
struct Words<'a> {
    rest: &'a str,
    escape: char,
    heredocs: Vec<Heredoc>,
}

impl Words<'_> {
    fn command(self, name: &str) -> Checked<Command> {
        if !NAMES.contains(&name) {
            let near = nearest(name, NAMES.iter().map(ToString::to_string));
            return Err(format!("there is no instruction `{name}`{near}"));
        }
        let has_flags = matches!(name, "FROM" | "RUN" | "COPY" | "ADD" | "HEALTHCHECK");
        if self.rest.is_empty() {
            return Err(format!("`{name}` has nothing after it"));
        }
        if !has_flags && self.rest.starts_with("--") && !matches!(name, "CMD" | "ENTRYPOINT") {
            Flags::split(self.rest, self.escape).0.finish(name)?;
        }
        let rest = self.rest;
        Ok(match name {
            "FROM" => Command::From(self.from()?),
            "ARG" => Command::Arg(self.arguments()?),
            "ENV" => Command::Env(self.pairs(name)?),
            "LABEL" => Command::Label(self.pairs(name)?),
            "RUN" => Command::Run(Box::new(self.run()?)),
            "COPY" => Command::Transfer(Box::new(self.transfer(TransferKind::Copy)?)),
            "ADD" => Command::Transfer(Box::new(self.transfer(TransferKind::Add)?)),
            "CMD" => Command::Cmd(form(rest)),
            "ENTRYPOINT" => Command::Entrypoint(form(rest)),
            "EXPOSE" => Command::Expose(rest.to_owned()),
            "VOLUME" => Command::Volume(self.volumes()?),
            "USER" => Command::User(self.single(name)?),
            "WORKDIR" => Command::Workdir(rest.to_owned()),
            "STOPSIGNAL" => Command::StopSignal(self.single(name)?),
            "SHELL" => match words::json(rest) {
                Some(list) if !list.is_empty() => Command::Shell(list),
                _ => return Err("`SHELL` takes a JSON list: [\"/bin/sh\", \"-c\"]".to_owned()),
            },
            "HEALTHCHECK" => Command::Healthcheck(self.healthcheck()?),
            "ONBUILD" => self.on_build()?,
            _ => Command::Maintainer(rest.to_owned()),
        })
    }

    fn single(&self, name: &str) -> Checked<String> {
        let mut words = words::split(self.rest, self.escape);
        match words.len() {
            1 => Ok(words.remove(0)),
            _ => Err(format!("`{name}` takes one word, this is `{}`", self.rest)),
        }
    }

    fn from(&self) -> Checked<From> {
        let (mut flags, rest) = Flags::split(self.rest, self.escape);
        let platform = flags.value("platform")?;
        flags.finish("FROM")?;
        let words: Vec<&str> = rest.split_whitespace().collect();
        let (image, name) = match words[..] {
            [image] => (image, ""),
            [image, word, name] if word.eq_ignore_ascii_case("as") => (image, name),
            _ => return Err(format!("it reads `FROM IMAGE [AS NAME]`, this is `FROM {rest}`")),
        };
        let is_letter = |char: char| char.is_ascii_alphanumeric() || "-_.".contains(char);
        let begins = name.starts_with(|char: char| char.is_ascii_alphabetic());
        if !name.is_empty() && (!begins || !name.chars().all(is_letter)) {
            return Err(format!(
                "`{name}` is no name of a stage: a letter, then letters, digits, `-`, `_` and `.`"
            ));
        }
        Ok(From { image: image.to_owned(), name: name.to_owned(), platform })
    }

    fn arguments(&self) -> Checked<Vec<(String, Option<String>)>> {
        let words = words::split(self.rest, self.escape);
        let pair = |word: String| match word.split_once('=') {
            Some(("", _)) => Err(format!("`{word}`: a name is missing before `=`")),
            Some((name, value)) => Ok((name.to_owned(), Some(value.to_owned()))),
            None => Ok((word, None)),
        };
        words.into_iter().map(pair).collect()
    }

    fn pairs(&self, instruction: &str) -> Checked<Vec<(String, String)>> {
        let words = words::split(self.rest, self.escape);
        if !words.first().is_some_and(|word| word.contains('=')) {
            let (name, value) = words::first(self.rest);
            if value.is_empty() {
                return Err(format!("`{instruction} {name}` has no value"));
            }
            return Ok(vec![(name.to_owned(), value.to_owned())]);
        }
        let pair = |word: String| match word.split_once('=') {
            Some(("" | "\"\"" | "''", _)) => Err(format!("`{word}`: a name is missing before `=`")),
            Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
            None => Err(format!("`{word}` has no `=`: it reads `{instruction} NAME=VALUE …`")),
        };
        words.into_iter().map(pair).collect()
    }

    fn run(self) -> Checked<Run> {
        let (mut flags, rest) = Flags::split(self.rest, self.escape);
        let mounts = flags.values("mount")?;
        let mounts = mounts.iter().map(|text| mount::parse(text)).collect::<Checked<_>>()?;
        let network = flags.value("network")?;
        let security = flags.value("security")?;
        flags.finish("RUN")?;
        one_of("network", &network, &["default", "none", "host"])?;
        one_of("security", &security, &["sandbox", "insecure"])?;
        if rest.is_empty() {
            return Err("`RUN` has no command".to_owned());
        }
        let form = form(rest);
        if form == Form::Exec(Vec::new()) {
            return Err("`RUN []` has no command".to_owned());
        }
        Ok(Run { form, heredocs: self.heredocs, mounts, network, security })
    }

    fn transfer(self, kind: TransferKind) -> Checked<Transfer> {
        let (mut flags, rest) = Flags::split(self.rest, self.escape);
        let mut transfer = Transfer {
            kind,
            chown: flags.value("chown")?,
            chmod: flags.value("chmod")?,
            exclude: flags.values("exclude")?,
            link: flags.switch("link")?.unwrap_or_default(),
            ..Transfer::default()
        };
        if kind == TransferKind::Copy {
            transfer.from = flags.value("from")?;
            transfer.parents = flags.switch("parents")?.unwrap_or_default();
        } else {
            transfer.checksum = flags.value("checksum")?;
            transfer.keep_git = flags.switch("keep-git-dir")?.unwrap_or_default();
            transfer.unpack = flags.switch("unpack")?;
        }
        flags.finish(kind.word())?;
        let list = words::json(rest);
        let mut words = list.unwrap_or_else(|| words::split(rest, self.escape));
        let target = words.pop().unwrap_or_default();
        let is_file = |word: &String| self.heredocs.iter().any(|it| it.word == *word);
        words.retain(|word| !is_file(word));
        if words.is_empty() && self.heredocs.is_empty() {
            return Err(format!("`{}` takes a source and a target", kind.word()));
        }
        Ok(Transfer { sources: words, heredocs: self.heredocs, target, ..transfer })
    }

    fn volumes(&self) -> Checked<Vec<String>> {
        let listed = words::json(self.rest);
        let volumes = listed.unwrap_or_else(|| words::split(self.rest, self.escape));
        if volumes.is_empty() || volumes.iter().any(|path| path.trim().is_empty()) {
            return Err("`VOLUME` takes paths, none of them empty".to_owned());
        }
        Ok(volumes)
    }

    fn healthcheck(&self) -> Checked<Healthcheck> {
        let (mut flags, rest) = Flags::split(self.rest, self.escape);
        let mut time = |name: &'static str| -> Checked<i64> {
            let text = flags.value(name)?;
            if text.is_empty() {
                return Ok(0);
            }
            let duration = Duration::parse(&text);
            duration.map(|it| it.0).map_err(|_| format!("`--{name}={text}` is no time"))
        };
        let mut check = Healthcheck {
            interval: time("interval")?,
            timeout: time("timeout")?,
            start_period: time("start-period")?,
            start_interval: time("start-interval")?,
            ..Healthcheck::default()
        };
        let retries = flags.value("retries")?;
        if !retries.is_empty() {
            let parsed = retries.parse::<u32>();
            let parsed = parsed.map_err(|_| format!("`--retries={retries}` is no number"))?;
            check.retries = parsed.into();
        }
        flags.finish("HEALTHCHECK")?;
        let (kind, command) = words::first(rest);
        match kind.to_ascii_uppercase().as_str() {
            "NONE" if command.is_empty() => {}
            "CMD" if !command.is_empty() => check.form = Some(form(command)),
            _ => return Err("`HEALTHCHECK` takes `CMD` and a command, or `NONE`".to_owned()),
        }
        Ok(check)
    }

    fn on_build(self) -> Checked<Command> {
        let (word, _) = words::first(self.rest);
        let name = word.to_ascii_uppercase();
        if matches!(name.as_str(), "ONBUILD" | "FROM" | "MAINTAINER") {
            return Err(format!("`ONBUILD {name}` cannot be: it is no part of another build"));
        }
        let mut text = self.rest.to_owned();
        for heredoc in &self.heredocs {
            text.push('\n');
            text.push_str(&heredoc.content);
            text.push_str(&heredoc.name);
        }
        let inner = words::first(self.rest).1;
        Words { rest: inner, escape: self.escape, heredocs: self.heredocs }.command(&name)?;
        Ok(Command::OnBuild(text))
    }
}

fn form(text: &str) -> Form {
    words::json(text).map_or_else(|| Form::Shell(text.to_owned()), Form::Exec)
}

fn one_of(flag: &str, value: &str, known: &[&str]) -> Checked<()> {
    if value.is_empty() || known.contains(&value) {
        return Ok(());
    }
    Err(format!("`--{flag}={value}`: it is {}", known.join(" or ")))
}
