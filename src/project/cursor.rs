//! Walking the tree: where we are, and which rules hold there.

use std::fmt;

use super::attribute::{Attribute, Level};

/// A place in the tree during a walk: its path, and its rules in the attribute table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    parent: Option<&'a Cursor<'a>>,
    segment: Segment<'a>,
    level: Option<&'static Level>,
}

#[derive(Clone, Copy, Debug)]
enum Segment<'a> {
    Top,
    Key(&'a str),
    Item(usize),
}

impl Cursor<'static> {
    /// The top of a project file.
    pub(super) fn top() -> Self {
        Self { parent: None, segment: Segment::Top, level: Some(Level::top()) }
    }
}

impl<'a> Cursor<'a> {
    /// The value of a key.
    pub(super) fn key<'b>(&'b self, key: &'b str) -> Cursor<'b> {
        let level = self.level.and_then(|level| level.child(key));
        Cursor { parent: Some(self), segment: Segment::Key(key), level }
    }

    /// An item of a list.
    pub(super) fn item(&self, index: usize) -> Cursor<'_> {
        let level = self.level.and_then(Level::item);
        Cursor { parent: Some(self), segment: Segment::Item(index), level }
    }

    /// The rules of this place; those of an attribute that the table does not name.
    pub(super) fn attribute(&self) -> &'static Attribute {
        self.level.and_then(Level::attribute).unwrap_or(&Attribute::PLAIN)
    }

    /// Whether any rule holds here or below: walks may stop where none does.
    pub(super) fn has_rules(&self) -> bool {
        self.level.is_some()
    }

    /// The keys from the top down; `None` for items of lists.
    pub(super) fn keys(&self) -> Vec<Option<&'a str>> {
        let mut keys = self.parent.map_or_else(Vec::new, Cursor::keys);
        match self.segment {
            Segment::Top => {}
            Segment::Key(key) => keys.push(Some(key)),
            Segment::Item(_) => keys.push(None),
        }
        keys
    }

    /// How many steps it is from the top.
    pub(super) fn depth(&self) -> usize {
        self.parent.map_or(0, |parent| parent.depth() + 1)
    }

    /// The last key.
    pub(super) fn name(&self) -> &'a str {
        match self.segment {
            Segment::Key(key) => key,
            _ => "",
        }
    }

    /// The path of what this place is in.
    pub(super) fn parent_text(&self) -> String {
        self.parent.map(ToString::to_string).unwrap_or_default()
    }

    /// The service or resource that this place belongs to, as `services.web`.
    pub(super) fn resource(&self) -> Option<String> {
        match self.keys()[..] {
            [Some(kind), Some(name), ..] => Some(format!("{kind}.{name}")),
            _ => None,
        }
    }
}

impl fmt::Display for Cursor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.segment {
            Segment::Top => Ok(()),
            Segment::Item(index) => write!(f, "[{index}]"),
            Segment::Key(key) if matches!(self.parent.map(|p| p.segment), Some(Segment::Top)) => {
                f.write_str(key)
            }
            Segment::Key(key) => write!(f, ".{key}"),
        }
    }
}
