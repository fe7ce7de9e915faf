//! Who holds a port of the host that a container wants.
//!
//! In: a port. Out: the project and container that publish it, else the process that listens.

use std::path::{Path, PathBuf};

use crate::model::label;
use crate::runtime::Runtime;

/// Most that is read of one file of `/proc`.
const LONGEST: u64 = 4 << 20;

/// Says who holds a port; `None` if nobody can be found.
pub(super) async fn holder(runtime: &dyn Runtime, port: u16) -> Option<String> {
    match publisher(runtime, port).await {
        Some(container) => Some(container),
        None => tokio::task::spawn_blocking(move || process(port)).await.ok().flatten(),
    }
}

async fn publisher(runtime: &dyn Runtime, port: u16) -> Option<String> {
    let containers = runtime.containers(None).await.ok()?;
    let publishes = |container: &&crate::model::observed::ObservedContainer| {
        container.ports.iter().any(|found| found.published == Some(port))
    };
    let container = containers.iter().find(publishes)?;
    let project = container.label(label::PROJECT);
    Some(format!("container {} of project {project}", container.name))
}

/// The process that listens on a port of this machine, as far as we may look.
fn process(port: u16) -> Option<String> {
    let sockets: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|path| read(Path::new(path)))
        .flat_map(|table| table.lines().filter_map(|line| listener(line, port)).collect::<Vec<_>>())
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    processes
        .filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok())
        .find(|entry| holds(&entry.path().join("fd"), &sockets))
        .map(|entry| {
            let name = read(&entry.path().join("comm")).unwrap_or_default();
            let id = entry.file_name().to_string_lossy().into_owned();
            format!("`{}` (process {id})", name.trim())
        })
}

/// The inode of the socket if a line of `/proc/net/tcp` tells of one that listens on the port.
fn listener(line: &str, port: u16) -> Option<String> {
    const LISTENS: &str = "0A";
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
    let (_, hex) = local.rsplit_once(':')?;
    let listens = *state == LISTENS && u16::from_str_radix(hex, 16).ok()? == port;
    listens.then(|| (*inode).to_owned())
}

fn holds(files: &Path, sockets: &[String]) -> bool {
    let Ok(entries) = std::fs::read_dir(files) else { return false };
    let links = entries.flatten().filter_map(|entry| std::fs::read_link(entry.path()).ok());
    links.map(PathBuf::into_os_string).any(|link| sockets.iter().any(|socket| link == **socket))
}

fn read(path: &Path) -> Option<String> {
    use std::io::Read as _;

    let mut text = Vec::new();
    std::fs::File::open(path).ok()?.take(LONGEST).read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::{listener, process};

    #[test]
    fn a_line_tells_who_listens() {
        let line = "  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 4242 1";
        assert_eq!(listener(line, 8080).as_deref(), Some("4242"));
        assert_eq!(listener(line, 8081), None);
    }

    #[test]
    fn our_own_process_is_found() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = socket.local_addr().expect("an address").port();
        let told = process(port).expect("it is us");
        assert!(told.ends_with(&format!("(process {})", std::process::id())), "{told}");
    }
}
