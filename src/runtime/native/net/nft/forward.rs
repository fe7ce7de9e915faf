//! Chains of other programs that drop what is forwarded.
//!
//! In: what the kernel has. Out: accept rules for our interfaces, where they are needed.
//!
//! A chain of our own cannot help: each chain of the hook decides for itself, and one that drops
//! suffices. Docker leaves such a chain behind in nearly every machine that it ever ran on.

use std::io;

use super::Filters;
use super::batch::{self, Batch};
use super::rule::{Rule, Way};
use super::wire::{attributes, text};

/// Where Docker lets others put their rules.
const DOCKER_USER: &str = "DOCKER-USER";
/// Number of the hook that forwarded packets pass.
const FORWARD: u32 = 2;
/// Families whose chains see packets of IPv4 or IPv6.
const FAMILIES: [u8; 3] = [1, 2, 10];

/// A chain of another program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Chain {
    family: u8,
    table: String,
    name: String,
    /// The hook that it is called from.
    hook: Option<u32>,
    drops: bool,
    /// Whether it translates addresses.
    translates: bool,
}

impl Chain {
    /// How a person names it.
    pub(in super::super) fn describe(&self) -> String {
        let family = match self.family {
            1 => "inet",
            2 => "ip",
            _ => "ip6",
        };
        format!("{family} {} {}", self.table, self.name)
    }
}

impl Filters {
    /// Makes sure that no chain of another program drops what comes from, or goes to, interfaces
    /// whose names begin so. Returns the chains that got a rule.
    pub(in super::super) fn allow_forwarding(
        &mut self,
        (prefix, comment): (&str, &str),
    ) -> io::Result<Vec<Chain>> {
        let mut changed = Vec::new();
        for chain in self.dropping_chains()? {
            if !self.our_rules(&chain, comment)?.is_empty() {
                continue;
            }
            let mut batch = Batch::of_table(chain.family, &chain.table);
            for way in [Way::In, Way::Out] {
                let rule = Rule::default().interfaces(way, prefix).counted().accept();
                batch.insert(&chain.name, rule.comment(comment));
            }
            self.apply(batch)?;
            changed.push(chain);
        }
        Ok(changed)
    }

    /// Removes what [`Filters::allow_forwarding`] inserted.
    pub(in super::super) fn disallow_forwarding(&mut self, comment: &str) -> io::Result<()> {
        // Hosts may have thousands of chains: these are the only ones that get rules of ours.
        let gets_rules = |chain: &Chain| chain.hook == Some(FORWARD) || chain.name == DOCKER_USER;
        for chain in self.chains()?.into_iter().filter(gets_rules) {
            let rules = self.our_rules(&chain, comment)?;
            if rules.is_empty() {
                continue;
            }
            let mut batch = Batch::of_table(chain.family, &chain.table);
            for handle in rules {
                batch.delete_rule(&chain.name, handle);
            }
            self.apply(batch)?;
        }
        Ok(())
    }

    /// The chains in which a rule must accept, since what they do not accept is dropped: for each
    /// one that drops, Docker's chain for others if it is beside it, else itself.
    pub(in super::super) fn dropping_chains(&mut self) -> io::Result<Vec<Chain>> {
        let all = self.chains()?;
        let dropping = all.iter().filter(|chain| chain.hook == Some(FORWARD) && chain.drops);
        let place = |chain: &Chain| {
            let is_docker = |other: &&Chain| {
                other.name == DOCKER_USER
                    && (other.family, &other.table) == (chain.family, &chain.table)
            };
            all.iter().find(is_docker).unwrap_or(chain).clone()
        };
        Ok(dropping.map(place).collect())
    }

    /// Whether another program translates addresses.
    pub(in super::super) fn others_translate(&mut self) -> io::Result<bool> {
        let is_other = |chain: &Chain| !chain.table.starts_with("ketch-") && chain.translates;
        Ok(self.chains()?.iter().any(is_other))
    }

    /// All chains that may see packets of IPv4 or IPv6.
    fn chains(&mut self) -> io::Result<Vec<Chain>> {
        let mut found = Vec::new();
        self.dump(batch::GET_CHAIN, (0, &[]), &mut |family, bytes| {
            let mut chain = Chain {
                family,
                table: String::new(),
                name: String::new(),
                hook: None,
                drops: false,
                translates: false,
            };
            for (kind, value) in attributes(bytes) {
                match kind {
                    1 => chain.table = word(value),
                    3 => chain.name = word(value),
                    4 => chain.hook = attributes(value).find(|(kind, _)| *kind == 1).map(big),
                    5 => chain.drops = big((5, value)) == 0,
                    7 => chain.translates = word(value) == "nat",
                    _ => {}
                }
            }
            if FAMILIES.contains(&family) {
                found.push(chain);
            }
        })?;
        Ok(found)
    }

    /// The names of all tables.
    #[cfg(test)]
    pub(in super::super) fn tables(&mut self) -> io::Result<Vec<String>> {
        let mut found = Vec::new();
        self.dump(batch::GET_TABLE, (0, &[]), &mut |_, bytes| {
            let name = attributes(bytes).find(|(kind, _)| *kind == 1);
            found.extend(name.map(|(_, name)| word(name)));
        })?;
        Ok(found)
    }

    /// How many rules a chain of the table `filter` has.
    #[cfg(test)]
    pub(in super::super) fn count_rules(&mut self, chain: &str) -> io::Result<usize> {
        let mut found = 0;
        self.dump(batch::GET_RULE, (2, &[]), &mut |_, bytes| {
            let name = attributes(bytes).find(|(kind, _)| *kind == 2);
            found += usize::from(name.is_some_and(|(_, name)| word(name) == chain));
        })?;
        Ok(found)
    }

    /// The handles of the rules in a chain that carry our comment.
    fn our_rules(&mut self, chain: &Chain, comment: &str) -> io::Result<Vec<u64>> {
        let mut found = Vec::new();
        let mut of_chain = Vec::new();
        text(&mut of_chain, 1, &chain.table);
        text(&mut of_chain, 2, &chain.name);
        self.dump(batch::GET_RULE, (chain.family, &of_chain), &mut |family, bytes| {
            let get = |wanted: u16| attributes(bytes).find(|(kind, _)| *kind == wanted);
            let same = |kind, name: &str| get(kind).is_some_and(|(_, value)| word(value) == name);
            let is_ours = get(7).is_some_and(|(_, data)| {
                data.windows(comment.len()).any(|part| part == comment.as_bytes())
            });
            if is_ours && family == chain.family && same(1, &chain.table) && same(2, &chain.name) {
                let handle = get(3).and_then(|(_, handle)| <[u8; 8]>::try_from(handle).ok());
                found.extend(handle);
            }
        })?;
        Ok(found.into_iter().map(u64::from_be_bytes).collect())
    }
}

/// A text of the kernel's.
fn word(value: &[u8]) -> String {
    String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned()
}

/// A number; 0 if it is none.
fn big((_, value): (u16, &[u8])) -> u32 {
    value.try_into().map(u32::from_be_bytes).unwrap_or_default()
}

/// What Docker leaves on a host: a chain that drops all, and with `DOCKER-USER` one that is asked
/// before it.
#[cfg(test)]
pub(in super::super) fn docker_like(chain: &str) -> Batch {
    use super::batch::{Hook, Policy};
    let mut batch = Batch::of_table(2, "filter");
    batch.make_table();
    if chain == DOCKER_USER {
        batch.plain_chain(DOCKER_USER);
    }
    let hook = Hook { kind: "filter", number: FORWARD, priority: 0, policy: Policy::Drop };
    batch.chain("FORWARD", hook);
    if chain == DOCKER_USER {
        batch.append("FORWARD", Rule::default().jump(DOCKER_USER));
    }
    batch
}
