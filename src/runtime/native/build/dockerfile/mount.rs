//! `RUN --mount=…`.
//!
//! In: the value of the flag. Out: a [`Mount`], its variables not substituted yet.

use super::flags::nearest;
use crate::model::Bytes;

/// What a command sees besides the files of its image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mount {
    /// What it is.
    pub kind: MountKind,
    /// Where it is seen; empty: the usual place.
    pub target: String,
    /// Path in what it is from.
    pub source: String,
    /// Stage, image or context; empty: the context of the build.
    pub from: String,
    /// Name of a cache, secret or agent.
    pub id: String,
    /// Whether it can be written to; `None`: as is usual for its kind.
    pub read_only: Option<bool>,
    /// Whether a secret or agent must be there.
    pub required: bool,
    /// Who else may use a cache meanwhile.
    pub sharing: Sharing,
    /// Bytes of a file system in memory; 0: no limit.
    pub size: i64,
    /// Permission bits; `None`: the usual ones.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Variable that holds a secret.
    pub env: String,
}

/// What is mounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MountKind {
    /// Files of the context, a stage or an image.
    #[default]
    Bind,
    /// A directory that is there again in the next build.
    Cache,
    /// Memory.
    Tmpfs,
    /// A secret.
    Secret,
    /// An SSH agent.
    Ssh,
}

/// Who may use a cache at the same time, the strictest last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sharing {
    /// Everybody.
    #[default]
    Shared,
    /// Nobody else: others get another one.
    Private,
    /// Nobody else: others wait.
    Locked,
}

const KEYS: &[&str] = &[
    "type",
    "target",
    "dst",
    "destination",
    "source",
    "src",
    "from",
    "id",
    "readonly",
    "ro",
    "readwrite",
    "rw",
    "required",
    "sharing",
    "size",
    "mode",
    "uid",
    "gid",
    "env",
];

/// Reads the value of `--mount`.
pub(super) fn parse(text: &str) -> Result<Mount, String> {
    let mut mount = Mount::default();
    let mut has_env = false;
    for field in text.split(',') {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (field, None),
        };
        let key = key.trim().to_ascii_lowercase();
        has_env |= key == "env";
        set(&mut mount, &key, value).map_err(|why| format!("`--mount={text}`: {why}"))?;
    }
    check(&mount).map_err(|why| format!("`--mount={text}`: {why}"))?;
    if has_env && mount.kind != MountKind::Secret {
        return Err(format!("`--mount={text}`: only a secret has `env`"));
    }
    Ok(mount)
}

fn set(mount: &mut Mount, key: &str, value: Option<&str>) -> Result<(), String> {
    let switch = || match value.map(str::to_ascii_lowercase).as_deref() {
        None | Some("true" | "1" | "") => Ok(true),
        Some("false" | "0") => Ok(false),
        Some(other) => Err(format!("`{key}={other}`: it is `true` or `false`")),
    };
    match key {
        "readonly" | "ro" => mount.read_only = Some(switch()?),
        "readwrite" | "rw" => mount.read_only = Some(!switch()?),
        "required" => mount.required = switch()?,
        key if !KEYS.contains(&key) => {
            let near = nearest(key, KEYS.iter().map(ToString::to_string));
            return Err(format!("there is no key `{key}`{near}"));
        }
        key => {
            let value = value.ok_or_else(|| format!("`{key}` takes a value"))?;
            set_value(mount, key, value)?;
        }
    }
    Ok(())
}

fn set_value(mount: &mut Mount, key: &str, value: &str) -> Result<(), String> {
    let number = |radix: u32| {
        u32::from_str_radix(value, radix).map_err(|_| format!("`{key}={value}` is no number"))
    };
    match key {
        "type" => mount.kind = kind(value)?,
        "target" | "dst" | "destination" => value.clone_into(&mut mount.target),
        "source" | "src" => value.clone_into(&mut mount.source),
        "from" => value.clone_into(&mut mount.from),
        "id" => value.clone_into(&mut mount.id),
        "env" => value.clone_into(&mut mount.env),
        "mode" => mount.mode = Some(number(8)?),
        "uid" => mount.uid = number(10)?,
        "gid" => mount.gid = number(10)?,
        "size" => {
            let size = Bytes::parse(value);
            mount.size = size.map_err(|_| format!("`size={value}` is no size"))?.0;
        }
        _ => {
            mount.sharing = match value {
                "shared" => Sharing::Shared,
                "private" => Sharing::Private,
                "locked" => Sharing::Locked,
                other => {
                    return Err(format!("`sharing={other}`: it is shared, private or locked"));
                }
            }
        }
    }
    Ok(())
}

fn kind(word: &str) -> Result<MountKind, String> {
    Ok(match word {
        "bind" => MountKind::Bind,
        "cache" => MountKind::Cache,
        "tmpfs" => MountKind::Tmpfs,
        "secret" => MountKind::Secret,
        "ssh" => MountKind::Ssh,
        other => {
            let known = ["bind", "cache", "tmpfs", "secret", "ssh"].map(str::to_owned);
            return Err(format!("there is no type `{other}`{}", nearest(other, known.into_iter())));
        }
    })
}

fn check(mount: &Mount) -> Result<(), String> {
    let needs_target = matches!(mount.kind, MountKind::Bind | MountKind::Cache | MountKind::Tmpfs);
    if needs_target && mount.target.is_empty() {
        return Err("`target` is missing".to_owned());
    }
    let has_files = matches!(mount.kind, MountKind::Bind | MountKind::Cache);
    if !has_files && !mount.from.is_empty() {
        return Err("`from` is for bind and cache".to_owned());
    }
    let is_nameless = mount.id.is_empty() && mount.target.is_empty() && mount.source.is_empty();
    if mount.kind == MountKind::Secret && is_nameless {
        return Err("a secret needs `id` or `target`".to_owned());
    }
    Ok(())
}
