//! The mappings of the tree: thousands of small ones, so one is a pointer, and hashing is cheap.

use std::ops::{Deref, DerefMut};

use foldhash::fast::RandomState;
use indexmap::{IndexMap, map};

use super::node::Entry;

type Inner = IndexMap<String, Entry, RandomState>;

/// A mapping: key to entry, in the order of the file.
#[derive(Clone, Debug, Default)]
pub struct Map(Box<Inner>);

impl Map {
    /// An empty mapping.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty mapping with room for `entries`.
    pub fn with_capacity(entries: usize) -> Self {
        Self(Box::new(Inner::with_capacity_and_hasher(entries, RandomState::default())))
    }
}

impl Deref for Map {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl DerefMut for Map {
    fn deref_mut(&mut self) -> &mut Inner {
        &mut self.0
    }
}

impl<const N: usize> From<[(String, Entry); N]> for Map {
    fn from(entries: [(String, Entry); N]) -> Self {
        Self::from_iter(entries)
    }
}

impl FromIterator<(String, Entry)> for Map {
    fn from_iter<I: IntoIterator<Item = (String, Entry)>>(entries: I) -> Self {
        Self(Box::new(Inner::from_iter(entries)))
    }
}

impl IntoIterator for Map {
    type Item = (String, Entry);
    type IntoIter = map::IntoIter<String, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Map {
    type Item = (&'a String, &'a Entry);
    type IntoIter = map::Iter<'a, String, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a mut Map {
    type Item = (&'a String, &'a mut Entry);
    type IntoIter = map::IterMut<'a, String, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter_mut()
    }
}
