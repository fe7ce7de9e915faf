//! Users and groups of an image.
//!
//! In: what `user` and `group_add` say, and the texts of `/etc/passwd` and `/etc/group` of the
//! image. Out: numbers. Pure; hostile texts give odd numbers, never a failure of ours.

/// Who a process is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    /// User.
    pub(super) uid: u32,
    /// Group.
    pub(super) gid: u32,
    /// All groups, the main one first.
    pub(super) groups: Vec<u32>,
    /// Home directory.
    pub(super) home: String,
}

/// What an image knows of its users.
#[derive(Clone, Copy, Debug)]
pub(super) struct Database<'a> {
    /// `/etc/passwd`.
    pub(super) passwd: &'a str,
    /// `/etc/group`.
    pub(super) group: &'a str,
}

/// The largest number of a user or group that Docker takes.
const LARGEST: u32 = i32::MAX.cast_unsigned();

impl Database<'_> {
    /// Who `USER[:GROUP]` is, with more groups.
    ///
    /// # Errors
    ///
    /// Which name the image does not know.
    pub(super) fn identify(self, user: &str, more: &[String]) -> Result<Identity, String> {
        let (user, group) = user.split_once(':').unwrap_or((user, ""));
        let mut identity = self.user(user)?;
        if !group.is_empty() {
            identity.gid = self.group(group)?;
            identity.groups.clear();
        }
        identity.groups.insert(0, identity.gid);
        for name in more {
            identity.groups.push(self.group(name)?);
        }
        let mut seen = Vec::new();
        identity.groups.retain(|gid| {
            !seen.contains(gid) && {
                seen.push(*gid);
                true
            }
        });
        Ok(identity)
    }

    /// A user with the groups that it is a member of.
    fn user(self, name: &str) -> Result<Identity, String> {
        let wanted = if name.is_empty() { "0" } else { name };
        let entry = |field: usize, text: &str| {
            let entries = self.passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
            entries.into_iter().find(|fields| fields.get(field) == Some(&text))
        };
        let found = entry(0, wanted).or_else(|| entry(2, wanted));
        let text = |at: usize| found.as_ref().and_then(|fields| fields.get(at)).copied();
        let uid = match text(2) {
            Some(uid) => number(uid),
            None => number(wanted),
        };
        let unknown = || format!("no user `{name}` in `/etc/passwd` of the image");
        let uid = uid.ok_or_else(unknown)?;
        let login = text(0).unwrap_or_default();
        Ok(Identity {
            uid,
            gid: text(3).and_then(number).unwrap_or(0),
            groups: if found.is_some() { self.memberships(login) } else { Vec::new() },
            home: text(5).filter(|home| !home.is_empty()).unwrap_or("/").to_owned(),
        })
    }

    /// The groups that list a user.
    fn memberships(self, login: &str) -> Vec<u32> {
        let member = |line: &str| {
            let fields: Vec<_> = line.split(':').collect();
            let listed = fields.get(3)?.split(',').any(|name| name.trim() == login);
            (listed && !login.is_empty()).then(|| number(fields[2]))?
        };
        self.group.lines().filter_map(member).collect()
    }

    /// The number of a group.
    fn group(self, name: &str) -> Result<u32, String> {
        let entries = self.group.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let named = entries.into_iter().find(|fields| fields.first() == Some(&name));
        let found = named.and_then(|fields| fields.get(2).copied().and_then(number));
        found
            .or_else(|| number(name))
            .ok_or_else(|| format!("no group `{name}` in `/etc/group` of the image"))
    }
}

fn number(text: &str) -> Option<u32> {
    text.trim().parse().ok().filter(|number| *number <= LARGEST)
}

#[cfg(test)]
mod tests {
    use super::{Database, Identity};

    const IMAGE: Database<'_> = Database {
        passwd: "root:x:0:0:root:/srv/root:/bin/sh\napp:x:100:101:App:/srv:/bin/sh\nbroken\nempty:x:7:7::",
        group: "root:x:0:root\napp:x:101:\ndisk:x:6:root, app\naudio:x:29:app,root\nbroken:x",
    };

    fn identify(user: &str, more: &[&str]) -> Result<Identity, String> {
        let more: Vec<String> = more.iter().map(ToString::to_string).collect();
        IMAGE.identify(user, &more)
    }

    fn numbers(user: &str, more: &[&str]) -> (u32, u32, Vec<u32>, String) {
        let found = identify(user, more).unwrap();
        (found.uid, found.gid, found.groups, found.home)
    }

    #[test]
    fn users_and_groups_are_named_or_numbered() {
        let home = |text: &str| text.to_owned();
        assert_eq!(numbers("", &[]), (0, 0, vec![0, 6, 29], home("/srv/root")));
        assert_eq!(numbers("app", &[]), (100, 101, vec![101, 6, 29], home("/srv")));
        assert_eq!(numbers("100", &["disk", "44"]), (100, 101, vec![101, 6, 29, 44], home("/srv")));
        assert_eq!(numbers("app:disk", &[]), (100, 6, vec![6], home("/srv")));
        assert_eq!(numbers("1000", &[]), (1000, 0, vec![0], home("/")));
        assert_eq!(numbers("1000:1000", &[]), (1000, 1000, vec![1000], home("/")));
        assert_eq!(numbers("empty", &[]), (7, 7, vec![7], home("/")));
    }

    #[test]
    fn names_that_the_image_does_not_know_are_told() {
        assert_eq!(
            identify("ghost", &[]).unwrap_err(),
            "no user `ghost` in `/etc/passwd` of the image"
        );
        assert_eq!(
            identify("app", &["ghost"]).unwrap_err(),
            "no group `ghost` in `/etc/group` of the image"
        );
        assert!(identify("4294967295", &[]).is_err());
        assert!(identify("broken", &[]).is_err());
    }

    #[test]
    fn hostile_texts_do_no_harm() {
        let long = ":".repeat(10_000);
        let hostile = Database { passwd: &long, group: "a:x:-1:\na:x:99999999999:\n\u{0}" };
        assert_eq!(hostile.identify("5:6", &[]).unwrap().groups, [6]);
        assert!(hostile.identify("a:a", &[]).is_err());
    }
}
