//! What the options of a volume say: `type`, `device` and `o`, as the driver `local` has them.
//!
//! In: options. Out: where the data of the volume is. Pure but for the names of servers, which are
//! looked up when the volume is about to be mounted.

use std::net::{IpAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};

use rustix::mount::MountFlags;

use crate::model::Dict;
use crate::runtime::{Result, RuntimeError};

/// Where the data of a volume is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Data {
    /// In its own directory.
    Own,
    /// In a directory of the host, as it is.
    Bound(PathBuf),
    /// In a file system that is mounted as long as a container uses it.
    Mounted(Filesystem),
}

/// What the kernel is told to mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filesystem {
    pub(super) device: String,
    pub(super) kind: String,
    pub(super) flags: MountFlags,
    /// What the file system itself understands, with commas.
    pub(super) data: String,
}

/// Words of `o` that are for the kernel rather than for the file system: what they set, and what
/// they take back.
const WORDS: &[(&str, MountFlags, MountFlags)] = {
    const NONE: MountFlags = MountFlags::empty();
    &[
        ("defaults", NONE, NONE),
        ("ro", MountFlags::RDONLY, NONE),
        ("rw", NONE, MountFlags::RDONLY),
        ("nosuid", MountFlags::NOSUID, NONE),
        ("suid", NONE, MountFlags::NOSUID),
        ("nodev", MountFlags::NODEV, NONE),
        ("dev", NONE, MountFlags::NODEV),
        ("noexec", MountFlags::NOEXEC, NONE),
        ("exec", NONE, MountFlags::NOEXEC),
        ("sync", MountFlags::SYNCHRONOUS, NONE),
        ("async", NONE, MountFlags::SYNCHRONOUS),
        ("dirsync", MountFlags::DIRSYNC, NONE),
        ("noatime", MountFlags::NOATIME, NONE),
        ("atime", NONE, MountFlags::NOATIME),
        ("nodiratime", MountFlags::NODIRATIME, NONE),
        ("diratime", NONE, MountFlags::NODIRATIME),
        ("relatime", MountFlags::RELATIME, NONE),
        ("norelatime", NONE, MountFlags::RELATIME),
        ("strictatime", MountFlags::STRICTATIME, NONE),
        ("nostrictatime", NONE, MountFlags::STRICTATIME),
        ("bind", MountFlags::BIND, NONE),
        ("rbind", MountFlags::BIND.union(MountFlags::REC), NONE),
    ]
};

/// Where the data of the volume `name` is.
pub(super) fn parse(name: &str, options: &Dict) -> Result<Data> {
    let refused = |said: &str| Err(RuntimeError::Refused(format!("volume `{name}`: {said}")));
    let option = |key: &str| options.get(key).map_or("", String::as_str);
    let known = ["type", "o", "device"];
    if let Some(unknown) = options.keys().find(|key| !known.contains(&&***key)) {
        return refused(&match unknown.as_str() {
            "size" => "the option `size` needs quotas, which are not used without an engine: \
                       for memory say `o: size=…`"
                .to_owned(),
            unknown => format!("`{unknown}` is no option of the driver `local`"),
        });
    }
    if options.is_empty() {
        return Ok(Data::Own);
    }
    let system = system(options);
    let (device, kind) = (option("device"), option("type"));
    if system.flags.contains(MountFlags::BIND) {
        if !Path::new(device).is_absolute() {
            return refused("`device` must be the absolute path of a directory");
        }
        let has_more = system.flags.difference(MountFlags::BIND | MountFlags::REC).bits() != 0;
        return Ok(if has_more { Data::Mounted(system) } else { Data::Bound(device.into()) });
    }
    if let Some(missing) = [("device", device), ("type", kind)].iter().find(|it| it.1.is_empty()) {
        return refused(&format!("the option `{}` is missing beside the others", missing.0));
    }
    Ok(Data::Mounted(system))
}

fn system(options: &Dict) -> Filesystem {
    let option = |key: &str| options.get(key).cloned().unwrap_or_default();
    let mut flags = MountFlags::empty();
    let mut data = Vec::new();
    let words = option("o");
    for word in words.split(',').filter(|word| !word.is_empty()) {
        match WORDS.iter().find(|(name, ..)| *name == word) {
            Some((_, set, taken_back)) => flags = flags.union(*set).difference(*taken_back),
            None => data.push(word),
        }
    }
    let data = data.join(",");
    Filesystem { device: option("device"), kind: option("type"), flags, data }
}

impl Filesystem {
    /// The data with the address of the server in place of its name, which the kernel does not
    /// look up.
    pub(super) fn resolved(&self, volume: &str) -> Result<String> {
        if !matches!(self.kind.as_str(), "nfs" | "nfs4" | "cifs") {
            return Ok(self.data.clone());
        }
        let words = self.data.split(',').map(|word| match word.strip_prefix("addr=") {
            Some(server) if server.parse::<IpAddr>().is_err() => {
                Ok(format!("addr={}", address(volume, server)?))
            }
            _ => Ok(word.to_owned()),
        });
        Ok(words.collect::<Result<Vec<_>>>()?.join(","))
    }
}

fn address(volume: &str, server: &str) -> Result<IpAddr> {
    let found = (server, 0).to_socket_addrs().map_err(|source| RuntimeError::Io {
        action: format!("find the server `{server}` of volume `{volume}`"),
        source,
    })?;
    let all: Vec<IpAddr> = found.map(|it| it.ip()).collect();
    let found = all.iter().find(|it| it.is_ipv4()).or(all.first()).copied();
    found.ok_or_else(|| {
        RuntimeError::Refused(format!("the server `{server}` of volume `{volume}` has no address"))
    })
}

#[cfg(test)]
mod tests {
    use rustix::mount::MountFlags;

    use super::{Data, parse};
    use crate::model::Dict;

    fn options(pairs: &[(&str, &str)]) -> Dict {
        pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
    }

    #[test]
    fn words_are_for_the_kernel_or_for_the_file_system() {
        let asked = [("type", "tmpfs"), ("device", "t"), ("o", "size=1m,ro,noexec,rw,uid=7")];
        let Data::Mounted(system) = parse("v", &options(&asked)).unwrap() else { panic!() };
        assert_eq!(system.flags, MountFlags::NOEXEC, "the last word holds");
        assert_eq!(system.data, "size=1m,uid=7");
    }

    #[test]
    fn directories_of_the_host_are_taken_as_they_are_unless_more_is_asked() {
        let bind = |o| options(&[("type", "none"), ("o", o), ("device", "/srv/x")]);
        assert_eq!(parse("v", &bind("bind")).unwrap(), Data::Bound("/srv/x".into()));
        assert_eq!(parse("v", &bind("rbind,rw")).unwrap(), Data::Bound("/srv/x".into()));
        assert!(matches!(parse("v", &bind("bind,ro")).unwrap(), Data::Mounted(_)));
        assert_eq!(parse("v", &Dict::new()).unwrap(), Data::Own);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (wrong, said) in [
            (&[("type", "nfs")][..], "`device` is missing"),
            (&[("device", "/x"), ("o", "addr=1.2.3.4")], "`type` is missing"),
            (&[("o", "bind"), ("device", "x")], "absolute path"),
            (&[("size", "1")], "needs quotas"),
            (&[("colour", "1")], "no option of the driver"),
        ] {
            let error = parse("v", &options(wrong)).unwrap_err().to_string();
            assert!(error.contains(said), "{wrong:?}: {error}");
        }
    }

    #[test]
    fn names_of_servers_become_addresses() {
        let data = |kind: &str, o: &str| {
            let asked = options(&[("type", kind), ("device", ":/x"), ("o", o)]);
            let Data::Mounted(system) = parse("v", &asked).unwrap() else { panic!() };
            system.resolved("v")
        };
        assert_eq!(data("nfs", "addr=localhost,nolock").unwrap(), "addr=127.0.0.1,nolock");
        assert_eq!(data("nfs", "vers=4,addr=::1").unwrap(), "vers=4,addr=::1");
        assert_eq!(data("ext4", "addr=localhost").unwrap(), "addr=localhost");
        let error = data("nfs", "addr=no.such.host.invalid").unwrap_err().to_string();
        assert!(error.contains("`no.such.host.invalid` of volume `v`"), "{error}");
    }
}
