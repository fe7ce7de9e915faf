//! Runs the real `ketch`, and compares what it says with files.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The folder of the project.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What one run left behind.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: i32,
}

/// One run of `ketch`, in a clean environment.
pub(crate) struct Run {
    command: Command,
    dir: PathBuf,
    stdin: Vec<u8>,
}

/// `ketch` with these arguments, split at blanks, in this folder.
pub(crate) fn ketch(dir: &Path, arguments: &str) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ketch"));
    command.args(arguments.split_whitespace()).current_dir(dir).env_clear();
    Run { command, dir: dir.to_owned(), stdin: Vec::new() }
}

impl Run {
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn arguments(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    pub(crate) fn stdin(mut self, text: &str) -> Self {
        self.stdin = text.into();
        self
    }

    /// Runs it. The folder appears as `<DIR>` in what it says, the one above as `<PARENT>`.
    pub(crate) fn output(mut self) -> Output {
        let pipes =
            self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = pipes.spawn().unwrap();
        // It need not read its input.
        let _ = child.stdin.take().unwrap().write_all(&self.stdin);
        let output = child.wait_with_output().unwrap();
        let dir = self.dir.to_string_lossy().into_owned();
        let parent = self.dir.parent().unwrap().to_string_lossy().into_owned();
        let text = |bytes| {
            String::from_utf8(bytes).unwrap().replace(&dir, "<DIR>").replace(&parent, "<PARENT>")
        };
        Output {
            stdout: text(output.stdout),
            stderr: text(output.stderr),
            code: output.status.code().expect("ketch ends by itself"),
        }
    }
}

/// Whether files with expectations are written anew.
pub(crate) fn updating() -> bool {
    std::env::var_os("UPDATE").is_some_and(|value| value == "1")
}

/// Compares a text with a file, or writes the file if [`updating`]. `None` means no such file.
pub(crate) fn compare(path: &Path, actual: Option<&str>) -> Result<(), String> {
    let expected = std::fs::read_to_string(path).ok();
    if expected.as_deref() == actual {
        return Ok(());
    }
    if updating() {
        match actual {
            Some(text) => std::fs::write(path, text).unwrap(),
            None => std::fs::remove_file(path).unwrap(),
        }
        return Ok(());
    }
    let name = path.strip_prefix(root()).unwrap_or(path).display();
    let side = |text: Option<&str>| text.unwrap_or("(nothing)\n").to_owned();
    Err(format!(
        "{name} differs\n--- expected\n{}--- actual\n{}",
        side(expected.as_deref()),
        side(actual)
    ))
}
