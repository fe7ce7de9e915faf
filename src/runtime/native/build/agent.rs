//! SSH agents that commands reach: the user's own, or one that lives as long as the command and
//! knows the keys that `build.ssh` names.
//!
//! In: a mount, the keys of the build. Out: a socket.
//!
//! # Invariants
//!
//! - A key is read here and handed to the agent through a pipe: it is written nowhere, and a
//!   command gets signatures, never the key.
//! - Nobody is asked for a passphrase: a key that needs one is refused.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Signal, set_parent_process_death_signal};

use super::copy::refused;
use super::dockerfile::Mount;
use super::job::{Job, failed};
use super::sandbox::Sandbox;
use crate::runtime::{Result, RuntimeError};

/// The most bytes of a key, as in BuildKit.
const MOST: u64 = 100 << 10;
/// What the socket is called in the directory of an agent.
const SOCKET: &str = "agent";

/// An agent that ends when this is dropped, or when this program does.
#[derive(Debug)]
pub(super) struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        // It has ended then.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The socket for a mount; `None`: there is none, and that is fine. The agent, if it is one of
/// ours, goes with what is given beside it.
pub(super) fn socket(
    job: &Job,
    (sandbox, at): (&Sandbox, usize),
    mount: &Mount,
) -> Result<Option<(PathBuf, Option<Agent>)>> {
    let id = if mount.id.is_empty() { "default" } else { &mount.id };
    let Some(key) = job.spec.build.ssh.iter().find(|key| key.id == id) else {
        if mount.required {
            return Err(refused(format!("the agent `{id}` is required: name it in `build.ssh`")));
        }
        return Ok(None);
    };
    let environment = &job.native.environment;
    let own = environment.get("SSH_AUTH_SOCK").filter(|path| !path.is_empty());
    let path = if key.path.is_empty() { own } else { Some(&key.path) };
    let path = path.ok_or_else(|| {
        refused(format!("`build.ssh: {id}`: no SSH agent runs here: SSH_AUTH_SOCK is not set"))
    })?;
    let found = fs::metadata(path);
    if found.as_ref().is_ok_and(|found| found.file_type().is_socket()) {
        let path = PathBuf::from(path);
        check_owner(&path, mount)?;
        return Ok(Some((path, None)));
    }
    let directory = sandbox.volatile().join(format!("ssh-{at}"));
    fs::create_dir(&directory).map_err(failed("make", &directory))?;
    // Several keys are divided by commas; a path may have one itself.
    let paths: Vec<&str> =
        if found.is_ok() { vec![path.as_str()] } else { path.split(',').collect() };
    let search = environment.get("PATH").map(String::as_str);
    let agent = start((&directory, search))?;
    for path in paths {
        add(Path::new(path), (&directory, search))
            .map_err(|why| refused(format!("`build.ssh: {id}={path}`: {why}")))?;
    }
    let path = directory.join(SOCKET);
    check_owner(&path, mount)?;
    Ok(Some((path, Some(agent))))
}

/// Starts an agent whose socket is in a directory.
fn start((directory, search): (&Path, Option<&str>)) -> Result<Agent> {
    let mut command = program("ssh-agent", (directory, search));
    command.args(["-D", "-a", SOCKET]).stdin(Stdio::null()).stderr(Stdio::null());
    die_with_us(&mut command);
    let child = command.stdout(Stdio::piped()).spawn();
    let mut child = child.map_err(missing("ssh-agent"))?;
    let output = child.stdout.take();
    let agent = Agent(child);
    // It says where it listens when it does.
    let mut line = String::new();
    let read = output.map(|output| BufReader::new(output.take(MOST)).read_line(&mut line));
    match read {
        Some(Ok(count)) if count > 0 => Ok(agent),
        _ => Err(refused("`ssh-agent`, which hands on the keys of `build.ssh`, does not start")),
    }
}

/// Gives an agent a key.
fn add(path: &Path, place: (&Path, Option<&str>)) -> std::result::Result<(), String> {
    let key = read(path).map_err(|error| format!("cannot read the key: {error}"))?;
    if is_encrypted(&key) {
        return Err(
            "the key has a passphrase: give it to your agent with `ssh-add`, and name the \
                    agent, which is `default`"
                .to_owned(),
        );
    }
    let mut command = program("ssh-add", place);
    // It must ask nobody: neither at the terminal nor with a window.
    command.env("SSH_AUTH_SOCK", SOCKET).env("SSH_ASKPASS", "/bin/false");
    command.env("SSH_ASKPASS_REQUIRE", "force").args(["-q", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let output = command.spawn().and_then(|mut child| {
        if let Some(mut input) = child.stdin.take() {
            // Whoever does not read it says why.
            let _ = input.write_all(&key).and_then(|()| input.write_all(b"\n"));
        }
        child.wait_with_output()
    });
    let output = output.map_err(|error| missing("ssh-add")(error).to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().next().unwrap_or_default().trim().to_owned();
    Err(format!("`ssh-add` takes it for no key: {said}"))
}

/// A program of OpenSSH that works in a directory and knows nothing of the user's environment.
fn program(name: &str, (directory, search): (&Path, Option<&str>)) -> Command {
    let mut command = Command::new(name);
    command.current_dir(directory).env_clear().envs(search.map(|search| ("PATH", search)));
    command
}

#[expect(unsafe_code, reason = "nothing else runs code in a child before its program")]
fn die_with_us(command: &mut Command) {
    let prepare = || set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from);
    // SAFETY: between fork and exec only one system call is made, which takes no lock and no
    // memory.
    unsafe {
        command.pre_exec(prepare);
    }
}

fn missing(name: &'static str) -> impl FnOnce(io::Error) -> RuntimeError {
    let action = format!("run `{name}` of OpenSSH, which hands on the keys of `build.ssh`");
    move |source| RuntimeError::Io { action, source }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MOST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST {
        return Err(io::Error::other(format!("it has more than {MOST} bytes")));
    }
    Ok(bytes)
}

/// Whether a key has a passphrase: the text says so, or the cipher in the binary part of it.
fn is_encrypted(key: &[u8]) -> bool {
    const MAGIC: &[u8] = b"openssh-key-v1\0";
    const NONE: &[u8] = b"\0\0\0\x04none";
    let text = String::from_utf8_lossy(key);
    if text.contains("ENCRYPTED") {
        return true;
    }
    let body: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    let Ok(bytes) = STANDARD.decode(body.trim()) else { return false };
    bytes.strip_prefix(MAGIC).is_some_and(|rest| !rest.starts_with(NONE))
}

/// The socket of the host itself is mounted: another owner or other rights cannot be given to it.
fn check_owner(path: &Path, mount: &Mount) -> Result<()> {
    let found = fs::metadata(path).map_err(failed("find the SSH agent", path))?;
    let own = found.mode() & 0o7777;
    let fits = |wanted: u32, own: u32| wanted == 0 || wanted == own;
    let has_mode = mount.mode.is_none_or(|wanted| wanted == own);
    if has_mode && fits(mount.uid, found.uid()) && fits(mount.gid, found.gid()) {
        return Ok(());
    }
    Err(RuntimeError::Unsupported(format!(
        "`--mount=type=ssh` wants another `uid`, `gid` or `mode` than the agent's socket `{}` has: \
         {}, {} and {own:04o}. The native runtime mounts that socket itself: leave them out, or run \
         the command as root",
        path.display(),
        found.uid(),
        found.gid()
    )))
}

#[cfg(test)]
mod tests {
    use super::is_encrypted;

    #[test]
    fn a_key_tells_whether_it_has_a_passphrase() {
        let begin = "-----BEGIN OPENSSH PRIVATE KEY-----";
        let key = |body: &str| format!("{begin}\n{body}\n-----END OPENSSH PRIVATE KEY-----\n");
        let plain = key("b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAE");
        let locked = key("b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1j");
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n";
        assert!(!is_encrypted(plain.as_bytes()));
        assert!(is_encrypted(locked.as_bytes()) && is_encrypted(old.as_bytes()));
        assert!(!is_encrypted(b"no key") && !is_encrypted(b"\xff\xfe"));
    }
}
