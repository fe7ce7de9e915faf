//! An engine behind a real ssh server. Skipped where `sshd` is not installed.
//!
//! The server is started by the client as its `ProxyCommand`, so it has no port and ends with the connection.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::{Probes, in_world};
use crate::binary::{Run, ketch};

const SERVER: &str = "/usr/sbin/sshd";

const PROJECT: &str =
    "services:\n  web:\n    image: corpus/busybox:1\n    command: sleep 600\n    init: true\n";

/// A project in a folder with keys, a server's settings, and an `ssh` that knows both.
struct Door(TempDir);

impl Door {
    /// `None` where something is not installed.
    fn new() -> Option<Self> {
        if !Path::new(SERVER).exists() {
            println!("skipped: {SERVER} is not there");
            return None;
        }
        if Command::new("docker").arg("--version").output().is_err() {
            println!("skipped: `docker`, which talks to the engine behind ssh, is not installed");
            return None;
        }
        let this = Self(TempDir::new().unwrap());
        for key in ["host", "key"] {
            let mut keygen = Command::new("ssh-keygen");
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(this.path(key));
            assert!(keygen.status().unwrap().success());
        }
        this.trust("key.pub");
        this.write("compose.yaml", PROJECT);
        this.write(
            "sshd_config",
            "HostKey DIR/host\nAuthorizedKeysFile DIR/trusted\nPermitRootLogin prohibit-password\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nStrictModes no\nUsePAM no\n",
        );
        let client = format!(
            "ProxyCommand {SERVER} -i -f DIR/sshd_config\nIdentityFile DIR/key\nIdentitiesOnly yes\n\
             BatchMode yes\nStrictHostKeyChecking no\nUserKnownHostsFile DIR/known\nLogLevel ERROR\n"
        );
        this.write("client", &client);
        this.write("ssh", "#!/bin/sh\nPATH=${PATH#*:}\nexec ssh -F DIR/client \"$@\"\n");
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(this.path("ssh"), executable).unwrap();
        // The package makes it only when the system starts the server.
        let _ = std::fs::create_dir("/run/sshd");
        Some(this)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let text = text.replace("DIR", self.0.path().to_str().unwrap());
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Makes this key the one that opens the door.
    fn trust(&self, key: &str) {
        std::fs::copy(self.path(key), self.path("trusted")).unwrap();
    }

    /// `ketch -p PROJECT ARGUMENTS`, with the engine behind the server.
    fn ketch(&self, project: &str, arguments: &str) -> Run {
        let path = format!("{}:{}", self.0.path().display(), std::env::var("PATH").unwrap());
        ketch(self.0.path(), &format!("-p {project} {arguments}"))
            .env("PATH", &path)
            .env("DOCKER_HOST", "ssh://box")
    }
}

#[test]
fn an_engine_behind_ssh_runs_a_project() {
    in_world("ssh", Probes::Engine, |world| async move {
        let Some(there) = Door::new() else { return };
        let said = |arguments: &str| {
            let output = there.ketch(&world.project, arguments).output();
            assert_eq!(output.code, 0, "{arguments}: {output:?}");
            output.stdout
        };
        said("up -d --wait");
        assert_eq!(said("ps --format {{.Service}}={{.State}}"), "web=running\n");
        assert_eq!(said("exec -T web echo in"), "in\n");
        let echoed = there.ketch(&world.project, "exec -T web cat").stdin("through\n").output();
        assert_eq!((echoed.code, echoed.stdout.as_str()), (0, "through\n"));
        said("down -v");
        assert_eq!(said("ps -aq"), "");
        there.trust("host.pub");
        let refused = there.ketch(&world.project, "ps").output();
        assert_eq!(refused.code, 1);
        assert!(
            refused.stderr.contains("`ssh://box`") && refused.stderr.contains("Permission denied"),
            "{refused:?}"
        );
    });
}
