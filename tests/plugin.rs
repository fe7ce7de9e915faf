//! Ketch as a plug-in of the real `docker` program. Skipped where there is none.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

const FILE: &str = "name: plug\nservices:\n  web:\n    image: nginx\n";

/// A folder with a project, and with Ketch as `docker-compose` among the plug-ins.
fn folder() -> TempDir {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("compose.yaml"), FILE).unwrap();
    let plugins = dir.path().join("docker/cli-plugins");
    std::fs::create_dir_all(&plugins).unwrap();
    let link = plugins.join("docker-compose");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_ketch"), link).unwrap();
    dir
}

/// Runs a program in that folder; code, standard output, standard error.
fn run(program: &Path, dir: &Path, line: &str) -> Option<(i32, String, String)> {
    let mut command = Command::new(program);
    command.args(line.split_whitespace()).current_dir(dir);
    command.env("DOCKER_CONFIG", dir.join("docker"));
    let Ok(output) = command.output() else {
        println!("skipped: {} is not installed", program.display());
        return None;
    };
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Some((output.status.code().unwrap(), text(output.stdout), text(output.stderr)))
}

#[test]
fn docker_runs_ketch_for_compose() {
    let dir = folder();
    let docker = |line: &str| run(Path::new("docker"), dir.path(), line);
    let Some((code, out, err)) = docker("compose version") else { return };
    let version = format!("Ketch version {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!((code, out, err.as_str()), (0, version, ""));
    let (code, out, _) = docker("compose config --images").unwrap();
    assert_eq!((code, out.as_str()), (0, "nginx\n"));
    // What `docker` takes for itself it passes on too.
    let (code, _, err) = docker("-H unix:///nowhere.sock compose ps").unwrap();
    assert!(code == 1 && err.contains("/nowhere.sock"), "{err}");
    let (code, _, err) = docker("compose frobnicate").unwrap();
    assert!(code == 1 && err.contains("frobnicate"), "{err}");
}

#[test]
fn under_the_name_docker_compose_it_takes_flags_of_docker() {
    let dir = folder();
    let program = dir.path().join("docker/cli-plugins/docker-compose");
    let compose = |line: &str| run(&program, dir.path(), line).unwrap();
    assert_eq!(compose("-l warn --tls config --images"), (0, "nginx\n".into(), String::new()));
    assert_eq!(compose("compose config --images").1, "nginx\n");
    let (code, _, err) = compose("-H unix:///nowhere.sock ps");
    assert!(code == 1 && err.contains("/nowhere.sock"), "{err}");
    let (code, _, err) = compose("--context nowhere ps");
    assert!(code == 1 && err.contains("there is no context `nowhere`"), "{err}");
    let (_, metadata, _) = compose("docker-cli-plugin-metadata");
    let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
    assert_eq!(metadata["SchemaVersion"], "0.1.0");
    assert!(compose("-v").1.starts_with("Ketch version"));
}
