//! A filter of iptables as a block of bytes.
//!
//! In: a block, as the kernel gives it. Out: the block with rules of ours, or without them. Pure.
//!
//! A block is a row of entries: what a packet must be, and what becomes of it. Chains are parts of
//! the row, and jumps are offsets, so that whoever inserts has to move what points behind.

/// Number of the hook that forwarded packets pass.
const FORWARD: usize = 2;
/// Number of hooks.
pub(super) const HOOKS: usize = 5;
/// Where Docker lets others put their rules.
const DOCKER_USER: &[u8] = b"DOCKER-USER";
/// What the entry before a chain is called.
const CHAIN: &[u8] = b"ERROR";
/// Verdicts of built-in targets.
const ACCEPT: i32 = -2;
const DROP: i32 = -1;
/// Bytes of a target before its data, and of a built-in target.
const TARGET: usize = 32;
const STANDARD: usize = 40;
/// The longest name of an interface, with a zero behind it.
const NAME: usize = 16;

/// Where things stand in an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    V4,
    V6,
}

impl Layout {
    /// Names of interfaces: in and out, then their masks.
    fn interfaces(self) -> usize {
        match self {
            Self::V4 => 16,
            Self::V6 => 64,
        }
    }

    /// Offsets of the target and of the next entry.
    fn offsets(self) -> usize {
        match self {
            Self::V4 => 88,
            Self::V6 => 140,
        }
    }

    /// Bytes of an entry without matches and target.
    fn entry(self) -> usize {
        match self {
            Self::V4 => 112,
            Self::V6 => 168,
        }
    }

    /// Bytes of a rule of ours.
    fn rule(self) -> usize {
        self.entry() + STANDARD
    }
}

/// A filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) layout: Layout,
    /// Which hooks have a chain.
    pub(super) hooks: u32,
    /// Offsets of the first entry of each hook, and of its last one: the policy.
    pub(super) entries: [u32; HOOKS],
    pub(super) policies: [u32; HOOKS],
    pub(super) bytes: Vec<u8>,
}

/// A filter that another one becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Changed {
    pub(super) block: Block,
    /// For each of its entries, the number of the same entry in the other one.
    pub(super) origins: Vec<Option<usize>>,
}

/// An entry of a block.
#[derive(Clone, Copy, Debug)]
struct Entry<'a> {
    offset: usize,
    bytes: &'a [u8],
    target: usize,
}

impl Entry<'_> {
    fn end(&self) -> usize {
        self.offset + self.bytes.len()
    }

    /// Name of the target; empty if it is built in.
    fn target_name(&self) -> &[u8] {
        let name = self.bytes.get(self.target + 2..self.target + TARGET - 1).unwrap_or_default();
        until_zero(name)
    }

    fn target_data(&self) -> &[u8] {
        self.bytes.get(self.target + TARGET..).unwrap_or_default()
    }

    /// The verdict, or the offset that a jump leads to, if the target is built in.
    fn verdict(&self) -> Option<i32> {
        let data = self.target_data().first_chunk::<4>().filter(|_| self.target_name().is_empty());
        data.map(|bytes| i32::from_ne_bytes(*bytes))
    }

    fn is_chain(&self, name: &[u8]) -> bool {
        self.target_name() == CHAIN && until_zero(self.target_data()) == name
    }

    fn is_for(&self, layout: Layout, prefix: &str) -> bool {
        let names = self.bytes.get(layout.interfaces()..).unwrap_or_default();
        let is_prefix = |at: usize| {
            let name = names.get(at..at + NAME).unwrap_or_default();
            until_zero(name) == prefix.as_bytes()
        };
        self.verdict() == Some(ACCEPT) && (is_prefix(0) || is_prefix(NAME))
    }
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

impl Block {
    /// The entries, as far as they are whole.
    fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut offset = 0;
        std::iter::from_fn(move || {
            let rest = self.bytes.get(offset..)?;
            let at = self.layout.offsets();
            let number = |at: usize| Some(u16::from_ne_bytes(*rest.get(at..)?.first_chunk()?));
            let (target, length) = (number(at)?, usize::from(number(at + 2)?));
            let bytes = rest.get(..length).filter(|bytes| bytes.len() >= self.layout.entry())?;
            let entry = Entry { offset, bytes, target: target.into() };
            offset += length;
            Some(entry)
        })
    }

    /// Number of its entries.
    pub(super) fn count(&self) -> usize {
        self.entries().count()
    }

    /// Whether rules of ours are there.
    pub(super) fn has_rules_for(&self, prefix: &str) -> bool {
        self.entries().any(|entry| entry.is_for(self.layout, prefix))
    }

    /// Where rules must stand to be asked before all is dropped; none if nothing is.
    pub(super) fn dropping_place(&self) -> Option<usize> {
        let at = |offset: u32| usize::try_from(offset).ok();
        let policy = at(self.policies[FORWARD])?;
        let drops = self.hooks & 1 << FORWARD != 0
            && self.entries().any(|entry| entry.offset == policy && entry.verdict() == Some(DROP));
        if !drops {
            return None;
        }
        let docker = self.entries().find(|entry| entry.is_chain(DOCKER_USER));
        docker.map(|entry| entry.end()).or(at(self.entries[FORWARD]))
    }

    /// The block with two rules at an offset.
    pub(super) fn with_rules_for(&self, prefix: &str, place: usize) -> Changed {
        let rules = [self.rule(prefix, 0), self.rule(prefix, NAME)].concat();
        let added = rules.len();
        let mut origins: Vec<_> = (0..self.count()).map(Some).collect();
        let before = self.entries().take_while(|entry| entry.offset < place).count();
        origins.splice(before..before, [None, None]);
        let mut block = self.clone();
        // What points at the place itself points at the first of our rules; policies come last.
        block.move_offsets(&|offset| if offset > place { offset + added } else { offset });
        for (policy, old) in block.policies.iter_mut().zip(self.policies) {
            if usize::try_from(old) == Ok(place) {
                *policy = old.saturating_add(u32::try_from(added).unwrap_or_default());
            }
        }
        block.bytes.splice(place..place, rules);
        Changed { block, origins }
    }

    /// The block without the rules of ours.
    pub(super) fn without_rules_for(&self, prefix: &str) -> Changed {
        let entries = || self.entries().enumerate();
        let is_ours = |entry: &Entry<'_>| entry.is_for(self.layout, prefix);
        let gone: Vec<(usize, usize)> =
            self.entries().filter(is_ours).map(|entry| (entry.offset, entry.bytes.len())).collect();
        let origins =
            entries().filter(|(_, entry)| !is_ours(entry)).map(|(at, _)| Some(at)).collect();
        let mut block = self.clone();
        block.move_offsets(&|offset| {
            let before = gone.iter().filter(|(start, _)| *start < offset);
            offset - before.map(|(_, length)| length).sum::<usize>()
        });
        for (start, length) in gone.iter().rev() {
            block.bytes.drain(*start..start + length);
        }
        Changed { block, origins }
    }

    /// A rule that accepts what comes in by, or goes out by, our interfaces.
    fn rule(&self, prefix: &str, side: usize) -> Vec<u8> {
        let (layout, length) = (self.layout, self.layout.rule());
        let mut rule = vec![0; length];
        let (name, mask) = (layout.interfaces() + side, layout.interfaces() + side + 2 * NAME);
        let prefix = prefix.as_bytes();
        rule[name..name + prefix.len()].copy_from_slice(prefix);
        rule[mask..mask + prefix.len()].fill(0xff);
        let put = |rule: &mut [u8], at: usize, number: usize| {
            let number = u16::try_from(number).unwrap_or_default();
            rule[at..at + 2].copy_from_slice(&number.to_ne_bytes());
        };
        put(&mut rule, layout.offsets(), layout.entry());
        put(&mut rule, layout.offsets() + 2, length);
        put(&mut rule, layout.entry(), STANDARD);
        let verdict = layout.entry() + TARGET;
        rule[verdict..verdict + 4].copy_from_slice(&ACCEPT.to_ne_bytes());
        rule
    }

    /// Changes all that points into the block, as long as its entries are where they were.
    fn move_offsets(&mut self, moved: &dyn Fn(usize) -> usize) {
        let number = |offset: u32| {
            let moved = moved(usize::try_from(offset).unwrap_or_default());
            u32::try_from(moved).unwrap_or_default()
        };
        for hook in 0..HOOKS {
            if self.hooks & 1 << hook != 0 {
                self.entries[hook] = number(self.entries[hook]);
                self.policies[hook] = number(self.policies[hook]);
            }
        }
        let jumps: Vec<(usize, i32)> = self
            .entries()
            .filter_map(|entry| {
                let to = usize::try_from(entry.verdict()?).ok()?;
                let at = entry.offset + entry.target + TARGET;
                Some((at, i32::try_from(moved(to)).ok()?))
            })
            .collect();
        for (at, to) in jumps {
            if let Some(place) = self.bytes.get_mut(at..at + 4) {
                place.copy_from_slice(&to.to_ne_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ACCEPT, Block, CHAIN, DROP, Layout, STANDARD, TARGET};

    /// An entry that decides, jumps, or names a chain.
    fn entry(layout: Layout, verdict: Result<i32, &[u8]>) -> Vec<u8> {
        let size = if verdict.is_ok() { STANDARD } else { 64 };
        let mut bytes = vec![0; layout.entry() + size];
        let put = |bytes: &mut Vec<u8>, at: usize, number: usize| {
            bytes[at..at + 2].copy_from_slice(&u16::try_from(number).expect("small").to_ne_bytes());
        };
        let length = bytes.len();
        put(&mut bytes, layout.offsets(), layout.entry());
        put(&mut bytes, layout.offsets() + 2, length);
        put(&mut bytes, layout.entry(), size);
        let data = layout.entry() + TARGET;
        match verdict {
            Ok(verdict) => bytes[data..data + 4].copy_from_slice(&verdict.to_ne_bytes()),
            Err(name) => {
                let at = layout.entry() + 2;
                bytes[at..at + CHAIN.len()].copy_from_slice(CHAIN);
                bytes[data..data + name.len()].copy_from_slice(name);
            }
        }
        bytes
    }

    /// INPUT: policy; FORWARD: a jump to the chain, policy; OUTPUT: policy; the chain: its name, a
    /// return; the end.
    fn block(layout: Layout, policy: i32, chain: &[u8]) -> Block {
        let standard = u32::try_from(layout.entry() + STANDARD).expect("small");
        let named = u32::try_from(layout.entry() + 64).expect("small");
        let first = i32::try_from(4 * standard + named).expect("small");
        let parts =
            [Ok(ACCEPT), Ok(first), Ok(policy), Ok(ACCEPT), Err(chain), Ok(-5), Err(&b"ERROR"[..])];
        Block {
            layout,
            hooks: 0b1110,
            entries: [0, 0, standard, 3 * standard, 0],
            policies: [0, 0, 2 * standard, 3 * standard, 0],
            bytes: parts.into_iter().flat_map(|part| entry(layout, part)).collect(),
        }
    }

    fn verdicts(block: &Block) -> Vec<Option<i32>> {
        block.entries().map(|entry| entry.verdict()).collect()
    }

    #[test]
    fn rules_stand_before_the_drop_and_all_that_points_behind_them_moves() {
        for layout in [Layout::V4, Layout::V6] {
            let old = block(layout, DROP, b"OTHER");
            let added = i32::try_from(2 * layout.rule()).expect("small");
            let place = old.dropping_place().expect("it drops");
            assert_eq!(place, usize::try_from(old.entries[2]).expect("small"));
            let new = old.with_rules_for("kabc", place);
            let jump = verdicts(&old)[1].map(|to| to + added);
            let accept = Some(ACCEPT);
            let all = vec![accept, accept, accept, jump, Some(DROP), accept, None, Some(-5), None];
            assert_eq!(verdicts(&new.block), all);
            assert_eq!(new.block.entries[2], old.entries[2], "the first rule is ours");
            assert_eq!(new.block.policies[2], old.policies[2] + added.unsigned_abs());
            assert_eq!(new.block.entries[3], old.entries[3] + added.unsigned_abs());
            let origins =
                [Some(0), None, None, Some(1), Some(2), Some(3), Some(4), Some(5), Some(6)];
            assert_eq!(new.origins, origins);
            assert!(new.block.has_rules_for("kabc") && !new.block.has_rules_for("kab"));
            let back = new.block.without_rules_for("kabc");
            assert_eq!(back.block, old);
            assert_eq!(back.origins.len(), old.count());
        }
    }

    #[test]
    fn with_docker_rules_stand_in_its_chain_for_others() {
        let old = block(Layout::V4, DROP, b"DOCKER-USER");
        let place = old.dropping_place().expect("it drops");
        let new = old.with_rules_for("kabc", place).block;
        let jump = verdicts(&old)[1];
        assert_eq!(verdicts(&new)[1], jump, "a jump to the chain is one to our rules");
        assert_eq!(verdicts(&new)[5..7], [Some(ACCEPT), Some(ACCEPT)]);
        assert_eq!((new.entries, new.policies), (old.entries, old.policies));
        assert_eq!(new.without_rules_for("kabc").block, old);
    }

    #[test]
    fn a_chain_that_is_only_a_policy_is_no_trap() {
        let mut old = block(Layout::V4, DROP, b"OTHER");
        old.entries[2] = old.policies[2];
        let place = old.dropping_place().expect("it drops");
        let new = old.with_rules_for("kabc", place);
        assert_eq!(new.block.entries[2], old.entries[2]);
        assert!(new.block.policies[2] > old.policies[2]);
        assert_eq!(new.block.without_rules_for("kabc").block, old);
    }

    #[test]
    fn what_accepts_is_left_alone_and_broken_bytes_do_no_harm() {
        assert_eq!(block(Layout::V4, ACCEPT, b"OTHER").dropping_place(), None);
        let mut broken = block(Layout::V4, DROP, b"OTHER");
        for length in (0..broken.bytes.len()).rev() {
            broken.bytes.truncate(length);
            let _ = (broken.count(), broken.dropping_place(), broken.has_rules_for("k"));
        }
    }
}
