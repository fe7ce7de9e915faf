//! `ketch autostart`: what comes back when the host was restarted.
//!
//! In: a command. Out: a unit of systemd that runs `ketch autostart run`, or containers that run.
//! Where there is no systemd, that command does the same from whatever starts programs there.

use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use indexmap::IndexMap;

use super::engine::native;
use super::exit::Failure;
use super::session::Session;
use crate::runtime::RuntimeError;
use crate::runtime::native::root::{RUN_DIR, STATE_DIR};

/// The commands of `autostart`.
#[derive(Debug, Args)]
pub(super) struct AutostartArgs {
    #[command(subcommand)]
    command: AutostartCommand,
}

#[derive(Debug, Subcommand)]
enum AutostartCommand {
    /// Start containers with `restart: always` or `unless-stopped` at every boot
    Enable,
    /// Do so no longer
    Disable,
    /// Start them now: for systems without systemd
    Run,
}

/// Where units of the administrator are.
const UNITS: &str = "/etc/systemd/system";
/// The unit.
const UNIT: &str = "ketch-autostart.service";
/// The directory in which a link makes the unit wanted at every boot.
const WANTS: &str = "multi-user.target.wants";

/// Runs a command of `autostart`.
pub(super) async fn run(args: &AutostartArgs, session: &mut Session<'_>) -> Result<u8, Failure> {
    match args.command {
        AutostartCommand::Enable => enable(session, Path::new(UNITS)).map(|()| 0),
        AutostartCommand::Disable => disable(session, Path::new(UNITS)).map(|()| 0),
        AutostartCommand::Run => revive(session).await,
    }
}

/// Programs by which systemd is known to be installed; units may be there without it.
const SYSTEMD: [&str; 2] = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"];

async fn revive(session: &mut Session<'_>) -> Result<u8, Failure> {
    let mut code = 0;
    let native = native(session)?;
    if session.only_tells(|| "start what ran when the host went down".to_owned()) {
        return Ok(code);
    }
    for revived in native.revive().await? {
        let name = revived.container;
        match revived.outcome {
            Ok(()) => session.screen.data(&format!("{name}\n"))?,
            Err(error) => {
                session.screen.tell(&format!("error: cannot start container {name}: {error}\n"));
                code = 1;
            }
        }
    }
    Ok(code)
}

fn enable(session: &mut Session<'_>, units: &Path) -> Result<(), Failure> {
    native(session)?;
    if !units.is_dir() || !SYSTEMD.iter().any(|program| Path::new(program).exists()) {
        let text = "there is no systemd here: let whatever starts programs at boot run \
                    `ketch autostart run`";
        return Err(RuntimeError::Unsupported(text.to_owned()).into());
    }
    let program =
        std::env::current_exe().map_err(|error| failed("find", Path::new("ketch"), error))?;
    let unit = units.join(UNIT);
    if session.only_tells(|| format!("write `{}`", unit.display())) {
        return Ok(());
    }
    let text = text_of(&program, session.environment());
    std::fs::write(&unit, text).map_err(|error| failed("write", &unit, error))?;
    let wants = units.join(WANTS);
    std::fs::create_dir_all(&wants).map_err(|error| failed("make", &wants, error))?;
    let link = wants.join(UNIT);
    match symlink(Path::new("..").join(UNIT), &link) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(failed("make", &link, error))
        }
        _ => {
            session.screen.tell(&format!("`{}` starts containers at every boot\n", unit.display()));
            Ok(())
        }
    }
}

fn disable(session: &mut Session<'_>, units: &Path) -> Result<(), Failure> {
    if session.only_tells(|| format!("remove `{}`", units.join(UNIT).display())) {
        return Ok(());
    }
    remove(units)
}

fn remove(units: &Path) -> Result<(), Failure> {
    for path in [units.join(WANTS).join(UNIT), units.join(UNIT)] {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("remove", &path, error));
            }
            _ => {}
        }
    }
    Ok(())
}

fn failed(action: &str, path: &Path, source: io::Error) -> Failure {
    let path: PathBuf = path.to_owned();
    RuntimeError::Io { action: format!("{action} `{}`", path.display()), source }.into()
}

/// Containers outlive the unit: it only starts them, from where they were when it was written.
fn text_of(program: &Path, environment: &IndexMap<String, String>) -> String {
    let mut places = String::new();
    for name in [STATE_DIR, RUN_DIR] {
        if let Some(path) = environment.get(name).filter(|path| !path.is_empty()) {
            places.extend(["Environment=", &quoted(&format!("{name}={path}")), "\n"]);
        }
    }
    let program = quoted(&program.display().to_string());
    format!(
        "[Unit]\n\
         Description=Containers of ketch that come back after a boot\n\
         Wants=network-online.target\n\
         After=network-online.target local-fs.target\n\n\
         [Service]\n\
         Type=oneshot\n\
         RemainAfterExit=yes\n\
         KillMode=process\n\
         {places}\
         ExecStart={program} autostart run\n\n\
         [Install]\n\
         WantedBy=multi-user.target\n"
    )
}

/// One word of a unit, whatever is in it.
fn quoted(word: &str) -> String {
    let mut text = String::from('"');
    for character in word.chars() {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            '%' => text.push_str("%%"),
            '$' => text.push_str("$$"),
            '\n' => text.push_str("\\n"),
            character => text.push(character),
        }
    }
    text + "\""
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::{UNIT, WANTS, remove, text_of};

    #[test]
    fn the_unit_starts_containers_and_leaves_them_alone() {
        let program = std::path::Path::new("/opt/100%/a \"b\"/ketch");
        let environment: IndexMap<String, String> =
            [("KETCH_STATE_DIR", "/srv/my ketch"), ("KETCH_RUN_DIR", ""), ("HOME", "/srv")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into();
        let text = text_of(program, &environment);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.contains(&r#"ExecStart="/opt/100%%/a \"b\"/ketch" autostart run"#), "{text}");
        assert!(lines.contains(&r#"Environment="KETCH_STATE_DIR=/srv/my ketch""#), "{text}");
        assert_eq!(text.matches("Environment=").count(), 1, "{text}");
        assert!(lines.contains(&"KillMode=process"));
    }

    #[test]
    fn what_is_not_enabled_may_be_disabled() {
        let units = tempfile::tempdir().unwrap();
        std::fs::create_dir(units.path().join(WANTS)).unwrap();
        std::fs::write(units.path().join(UNIT), "").unwrap();
        for _ in 0..2 {
            remove(units.path()).unwrap();
        }
        assert!(!units.path().join(UNIT).exists());
    }
}
