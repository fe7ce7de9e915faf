//! What a stage has got to: files, settings, arguments.
//!
//! In: instructions that change no files. Out: the settings of the image.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::dockerfile::{Command, Expander, Form, Healthcheck, Quotes};
use crate::runtime::native::image::{
    Defaults, HealthCheck, History, ImageConfig, Layer, Origin, PATH, Platform,
};

/// A stage between two instructions.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) origin: Origin,
    pub(super) config: ImageConfig,
    /// Values of the `ARG`s of this stage.
    pub(super) arguments: BTreeMap<String, String>,
    pub(super) escape: char,
    /// Whether this stage has a `CMD`.
    has_command: bool,
}

type Checked<T> = Result<T, String>;

impl State {
    pub(super) fn new(origin: Origin, config: ImageConfig, escape: char) -> Self {
        Self { origin, config, arguments: BTreeMap::new(), escape, has_command: false }
    }

    /// No files, and what every builder gives such an image.
    pub(super) fn scratch(platform: Platform, escape: char) -> Self {
        let (env, working_dir) = (vec![PATH.to_owned()], "/".to_owned());
        let config = Defaults { env, working_dir, ..Defaults::default() };
        let config = ImageConfig { platform, config, ..ImageConfig::default() };
        Self::new(Origin::default(), config, escape)
    }

    /// The same files and settings, for a stage that starts from this one.
    pub(super) fn child(&self) -> Self {
        Self::new(self.origin.clone(), self.config.clone(), self.escape)
    }

    pub(super) fn settings(&self) -> &Defaults {
        &self.config.config
    }

    /// What a word stands for.
    pub(super) fn expand(&self, text: &str) -> Checked<String> {
        self.expand_as(text, Quotes::Remove)
    }

    pub(super) fn expand_as(&self, text: &str, quotes: Quotes) -> Checked<String> {
        let lookup = |name: &str| self.lookup(name);
        Expander { escape: self.escape, quotes, lookup: &lookup }.word(text)
    }

    /// The value of a variable of the image, else of an argument.
    fn lookup(&self, name: &str) -> Option<String> {
        let own = self.settings().env.iter().find_map(|line| {
            line.split_once('=').filter(|(own, _)| *own == name).map(|(_, value)| value.to_owned())
        });
        own.or_else(|| self.arguments.get(name).cloned())
    }

    /// Variables of a command: those of the image, and arguments that these do not hide.
    pub(super) fn environment(&self) -> Vec<String> {
        let mut all = self.settings().env.clone();
        for (name, value) in &self.arguments {
            let prefix = format!("{name}=");
            if !all.iter().any(|line| line.starts_with(&prefix)) {
                all.push(prefix + value);
            }
        }
        all
    }

    /// The shell with which lines are run.
    pub(super) fn shell(&self) -> Vec<String> {
        match &self.settings().shell[..] {
            [] => ["/bin/sh", "-c"].map(str::to_owned).to_vec(),
            shell => shell.to_vec(),
        }
    }

    /// The words of a command.
    pub(super) fn words(&self, form: &Form) -> Vec<String> {
        match form {
            Form::Exec(words) => words.clone(),
            Form::Shell(line) => {
                let mut words = self.shell();
                words.push(line.clone());
                words
            }
        }
    }

    /// A path from the working directory, without `.` and `..`.
    pub(super) fn directory(&self, path: &str) -> String {
        let mut names: Vec<&str> = Vec::new();
        let before = if path.starts_with('/') { "" } else { self.settings().working_dir.as_str() };
        for name in before.split('/').chain(path.split('/')) {
            match name {
                "" | "." => {}
                ".." => drop(names.pop()),
                name => names.push(name),
            }
        }
        format!("/{}", names.join("/"))
    }

    /// Writes down what was done, with its layer.
    pub(super) fn done(&mut self, by: &str, layer: Option<Layer>, created: Option<String>) {
        if let Some(created) = created {
            self.config.created = created;
        }
        self.config.history.push(History {
            created: self.config.created.clone(),
            created_by: by.to_owned(),
            empty_layer: layer.is_none(),
            ..History::default()
        });
        self.config.rootfs.diff_ids.extend(layer.iter().map(|layer| layer.diff_id.clone()));
        if let Some(layer) = layer {
            self.origin.push(layer);
        }
    }

    /// Applies an instruction that changes no files; says whether it is one.
    pub(super) fn apply(&mut self, command: &Command) -> Checked<bool> {
        match command {
            Command::Env(pairs) => {
                for (name, value) in self.pairs(pairs)? {
                    set(&mut self.config.config.env, &name, &value);
                }
            }
            Command::Label(pairs) => {
                let pairs = self.pairs(pairs)?;
                self.config.config.labels.extend(pairs);
            }
            Command::Cmd(form) => {
                self.has_command = true;
                self.config.config.cmd = self.words(form);
            }
            Command::Entrypoint(form) => {
                self.config.config.entrypoint = self.words(form);
                // The words of the base's command are of no use to another entrypoint.
                if !self.has_command {
                    self.config.config.cmd.clear();
                }
            }
            Command::Expose(ports) => {
                for port in self.expand(ports)?.split_whitespace() {
                    let ports = exposed(port)?.into_iter().map(|port| (port, json!({})));
                    self.config.config.exposed_ports.extend(ports);
                }
            }
            Command::Volume(paths) => {
                for path in paths {
                    let path = self.expand(path)?;
                    self.config.config.volumes.insert(path, json!({}));
                }
            }
            Command::User(user) => self.config.config.user = self.expand(user)?,
            Command::StopSignal(signal) => {
                self.config.config.stop_signal = stop_signal(&self.expand(signal)?)?;
            }
            Command::Shell(words) => self.config.config.shell.clone_from(words),
            Command::Healthcheck(check) => {
                self.config.config.healthcheck = Some(health_check(check));
            }
            Command::OnBuild(text) => self.on_build(text),
            Command::Maintainer(name) => self.config.author.clone_from(name),
            Command::From(_)
            | Command::Arg(_)
            | Command::Run(_)
            | Command::Transfer(_)
            | Command::Workdir(_) => return Ok(false),
        }
        Ok(true)
    }

    fn pairs(&self, pairs: &[(String, String)]) -> Checked<Vec<(String, String)>> {
        let pair = |(name, value): &(String, String)| {
            let name = self.expand(name)?;
            if name.is_empty() {
                return Err("a name is empty when its variables are substituted".to_owned());
            }
            Ok((name, self.expand(value)?))
        };
        pairs.iter().map(pair).collect()
    }

    fn on_build(&mut self, text: &str) {
        let list = self.config.config.other.entry("OnBuild").or_insert_with(|| json!([]));
        if !list.is_array() {
            *list = json!([]);
        }
        if let Some(list) = list.as_array_mut() {
            list.push(Value::String(text.to_owned()));
        }
    }

    /// Takes what the base image wants to be done in builds that start from it.
    pub(super) fn take_triggers(&mut self) -> Vec<String> {
        let list = self.config.config.other.shift_remove("OnBuild");
        let list = list.and_then(|list| serde_json::from_value::<Vec<String>>(list).ok());
        list.unwrap_or_default()
    }
}

/// Gives a variable a value, where it stands if it has one.
pub(super) fn set(lines: &mut Vec<String>, name: &str, value: &str) {
    let prefix = format!("{name}=");
    let line = format!("{prefix}{value}");
    match lines.iter_mut().find(|line| line.starts_with(&prefix)) {
        Some(old) => *old = line,
        None => lines.push(line),
    }
}

/// `PORT[-PORT][/PROTOCOL]` as images have it: one entry for each.
fn exposed(text: &str) -> Checked<Vec<String>> {
    let wrong = || format!("`EXPOSE {text}`: it is a port from 1 to 65535, such as 80/tcp");
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return Err(wrong());
    }
    // Ports of the host are settled when a container is made.
    let ports = ports.rsplit(':').next().unwrap_or(ports);
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let number = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(wrong);
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(wrong());
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

fn stop_signal(text: &str) -> Checked<String> {
    match crate::runtime::signal::number(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err(format!("`STOPSIGNAL {text}`: there is no such signal")),
    }
}

fn health_check(check: &Healthcheck) -> HealthCheck {
    let test = match &check.form {
        None => vec!["NONE".to_owned()],
        Some(Form::Shell(line)) => vec!["CMD-SHELL".to_owned(), line.clone()],
        Some(Form::Exec(words)) => {
            std::iter::once("CMD".to_owned()).chain(words.iter().cloned()).collect()
        }
    };
    HealthCheck {
        test,
        interval: check.interval,
        timeout: check.timeout,
        start_period: check.start_period,
        start_interval: check.start_interval,
        retries: check.retries,
    }
}

#[cfg(test)]
mod tests {
    use super::State;
    use crate::runtime::native::build::dockerfile::parse;

    fn after(text: &str) -> Result<State, String> {
        let mut state = State { escape: '\\', ..State::default() };
        state.arguments = [("A".to_owned(), "arg".to_owned())].into();
        for instruction in parse(&format!("FROM x\n{text}")).unwrap().instructions.iter().skip(1) {
            assert!(state.apply(&instruction.command)?);
        }
        Ok(state)
    }

    #[test]
    fn instructions_change_settings() {
        let state = after(
            "ENV A=1 B=$A\nENV C=$A D=\"x y\"\nLABEL k=$D\nEXPOSE 80 90-91/udp\nVOLUME [\"/v\"]\n\
             USER u:g\nSHELL [\"sh\", \"-x\"]\nCMD run $A\nENTRYPOINT [\"go\"]\nSTOPSIGNAL SIGINT\n\
             HEALTHCHECK CMD ok\nONBUILD RUN x\nMAINTAINER me",
        );
        let mut state = state.unwrap();
        assert_eq!(state.settings().env, ["A=1", "B=arg", "C=1", "D=x y"]);
        assert_eq!(state.settings().labels["k"], "x y");
        let ports: Vec<_> = state.settings().exposed_ports.keys().cloned().collect();
        assert_eq!(ports, ["80/tcp", "90/udp", "91/udp"]);
        assert_eq!(state.settings().cmd, ["sh", "-x", "run $A"], "a command of this stage stays");
        assert_eq!(state.settings().healthcheck.as_ref().unwrap().test, ["CMD-SHELL", "ok"]);
        assert_eq!(state.take_triggers(), ["RUN x"]);
        assert_eq!(state.environment(), ["A=1", "B=arg", "C=1", "D=x y"]);
        state.config.config.working_dir = "/a/b".to_owned();
        assert_eq!(state.directory("../c/./d/"), "/a/c/d");
        assert_eq!(state.directory("/x/../.."), "/");
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        for (text, expected) in [
            ("EXPOSE 0", "`EXPOSE 0`: it is a port"),
            ("EXPOSE 80/tpc", "`EXPOSE 80/tpc`: it is a port"),
            ("EXPOSE 9-8", "`EXPOSE 9-8`: it is a port"),
            ("STOPSIGNAL SIGNOT", "there is no such signal"),
            ("ENV $none=x", "a name is empty"),
            ("USER ${x", "is not closed"),
        ] {
            let error = after(text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
