//! Where the cgroup hierarchies of the host are.
//!
//! In: the mount table. Out: directories, by what they control. Version 1, 2 and both side by
//! side are told apart by what is mounted, not by the version of anything.

use std::io;
use std::path::{Component, Path, PathBuf};

/// The hierarchies that are mounted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hierarchies {
    /// The one of version 2.
    pub(super) unified: Option<PathBuf>,
    /// Those of version 1.
    pub(super) old: Vec<Hierarchy>,
}

/// A hierarchy of version 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hierarchy {
    /// Its controllers, or `name=…`.
    pub(super) controllers: Vec<String>,
    /// Where it is mounted, or a directory in it.
    pub(super) path: PathBuf,
}

/// What one controller of version 1 may be called.
const CONTROLLERS: &[&str] = &[
    "blkio",
    "cpu",
    "cpuacct",
    "cpuset",
    "devices",
    "freezer",
    "hugetlb",
    "memory",
    "misc",
    "net_cls",
    "net_prio",
    "perf_event",
    "pids",
    "rdma",
];

impl Hierarchies {
    /// Those of this host.
    pub(super) fn find() -> io::Result<Self> {
        let text = super::text::read(Path::new("/proc/self/mountinfo"))?;
        Ok(Self::parse(&text))
    }

    /// Those in a mount table.
    pub(super) fn parse(table: &str) -> Self {
        let mut found = Self::default();
        for line in table.lines() {
            let Some((front, back)) = line.split_once(" - ") else { continue };
            let mut back = back.split(' ');
            let (kind, options) = (back.next(), back.nth(1));
            let Some(path) = front.split(' ').nth(4).map(unescape) else { continue };
            match kind {
                Some("cgroup2") if found.unified.is_none() => found.unified = Some(path),
                Some("cgroup") => found.add(options.unwrap_or_default(), path),
                _ => {}
            }
        }
        found
    }

    fn add(&mut self, options: &str, path: PathBuf) {
        let is_one = |word: &&str| CONTROLLERS.contains(word) || word.starts_with("name=");
        let controllers: Vec<_> = options.split(',').filter(is_one).map(str::to_owned).collect();
        // The same hierarchy may be mounted twice.
        if !controllers.is_empty() && !self.old.iter().any(|old| old.controllers == controllers) {
            self.old.push(Hierarchy { controllers, path });
        }
    }

    /// The directories of a cgroup in all of them.
    pub(super) fn at(&self, cgroup: &Path) -> Self {
        let below = |old: &Hierarchy| Hierarchy { path: old.path.join(cgroup), ..old.clone() };
        Self {
            unified: self.unified.as_ref().map(|path| path.join(cgroup)),
            old: self.old.iter().map(below).collect(),
        }
    }

    /// The directory where a controller of version 1 is.
    pub(super) fn old(&self, controller: &str) -> Option<&Path> {
        let has = |old: &&Hierarchy| old.controllers.iter().any(|name| name == controller);
        self.old.iter().find(has).map(|old| old.path.as_path())
    }

    /// All directories.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        let old = self.old.iter().map(|old| old.path.as_path());
        old.chain(self.unified.as_deref())
    }
}

/// A path of the mount table, in which blanks stand as `\040`.
fn unescape(text: &str) -> PathBuf {
    let mut out = String::new();
    let mut rest = text;
    while let Some((front, back)) = rest.split_once('\\') {
        out.push_str(front);
        let byte = back.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match byte {
            Some(byte) => out.push(char::from(byte)),
            None => out.push('\\'),
        }
        rest = if byte.is_some() { &back[3..] } else { back };
    }
    out.push_str(rest);
    PathBuf::from(out)
}

/// The path of a container's cgroup from the root of a hierarchy. The parent may be a slice of
/// systemd: `a-b.slice` lies in `a.slice`.
///
/// # Errors
///
/// If the parent leads elsewhere.
pub(super) fn place(parent: &str, id: &str) -> io::Result<PathBuf> {
    let parent = if parent.is_empty() { "ketch" } else { parent };
    let mut path = PathBuf::new();
    for component in Path::new(parent).components() {
        match component {
            Component::Normal(name) => path.extend(slices(&name.to_string_lossy())),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                let text = format!("`cgroup_parent: {parent}` leads out of the hierarchy");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
        }
    }
    Ok(path.join(id))
}

fn slices(name: &str) -> Vec<String> {
    let Some(stem) = name.strip_suffix(".slice").filter(|stem| *stem != "-") else {
        return vec![name.to_owned()];
    };
    let ends = stem.match_indices('-').map(|(at, _)| at).filter(|at| *at > 0);
    ends.chain([stem.len()]).map(|end| format!("{}.slice", &stem[..end])).collect()
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{Hierarchies, place};

    const HYBRID: &str = "\
30 20 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n\
31 30 0:27 / /sys/fs/cgroup/unified rw shared:1 - cgroup2 cgroup2 rw,nsdelegate\n\
32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
33 30 0:29 / /sys/fs/cgroup/a\\040b rw - cgroup cgroup rw,name=systemd\n\
34 30 0:28 / /elsewhere rw - cgroup cgroup rw,cpu,cpuacct\n\
broken\n";

    #[test]
    fn what_is_mounted_decides() {
        let found = Hierarchies::parse(HYBRID);
        assert_eq!(found.unified.as_deref(), Some(Path::new("/sys/fs/cgroup/unified")));
        assert_eq!(found.old.len(), 2);
        assert_eq!(found.old("cpuacct"), Some(Path::new("/sys/fs/cgroup/cpu,cpuacct")));
        assert_eq!(found.old("name=systemd"), Some(Path::new("/sys/fs/cgroup/a b")));
        assert_eq!(found.old("memory"), None);
        let below = found.at(Path::new("ketch/1"));
        assert_eq!(below.old("cpu"), Some(Path::new("/sys/fs/cgroup/cpu,cpuacct/ketch/1")));
        assert_eq!(Hierarchies::parse(""), Hierarchies::default());
    }

    #[test]
    fn a_parent_stays_in_the_hierarchy() {
        let place = |parent| place(parent, "1").map_err(|error| error.to_string());
        assert_eq!(place(""), Ok(PathBuf::from("ketch/1")));
        assert_eq!(place("/a//b/"), Ok(PathBuf::from("a/b/1")));
        assert_eq!(place("a-b-c.slice"), Ok(PathBuf::from("a.slice/a-b.slice/a-b-c.slice/1")));
        assert!(place("a/../../b").unwrap_err().contains("leads out"));
    }
}
