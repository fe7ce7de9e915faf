//! Bytes of nf_tables messages.
//!
//! In: names, keys and rules. Out: one batch of messages. All numbers in attributes are big-endian.

use super::super::netlink::{ACK, CREATE, EXCL, REQUEST, Socket};
use super::Family;
use super::rule::Rule;
use super::wire::{NESTED, begin, end, nest, number, put, text};

/// Kinds of messages.
const NEW_TABLE: u8 = 0;
pub(super) const GET_TABLE: u8 = 1;
const DELETE_TABLE: u8 = 2;
const NEW_CHAIN: u8 = 3;
pub(super) const GET_CHAIN: u8 = 4;
const NEW_RULE: u8 = 6;
pub(super) const GET_RULE: u8 = 7;
const DELETE_RULE: u8 = 8;
const NEW_SET: u8 = 9;
const NEW_ELEMENT: u8 = 12;
const DELETE_ELEMENT: u8 = 14;

/// The kind of all messages about nf_tables.
const SUBSYSTEM: u8 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// This set is a map.
const MAP: u32 = 8;

/// Where a chain is called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hook {
    /// `nat` or `filter`.
    pub(super) kind: &'static str,
    /// Number of the hook.
    pub(super) number: u32,
    /// Order among the chains of the hook.
    pub(super) priority: i32,
    /// Whether what no rule decides on is dropped.
    pub(super) policy: Policy,
}

/// What becomes of packets that no rule decides on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    Drop,
    Accept,
}

/// What the keys or values of a set are: a number that other programs print it by, and bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Type {
    pub(super) id: u32,
    pub(super) length: u32,
}

/// Messages that apply together.
#[derive(Debug)]
pub(in super::super) struct Batch {
    family: u8,
    table: String,
    /// Kind, flags, family and attributes of each message.
    messages: Vec<(u8, u16, Vec<u8>)>,
    sets: u32,
}

impl Batch {
    /// Of what happens in one table.
    pub(in super::super) fn new(family: Family, table: &str) -> Self {
        Self::of_table(family.number(), table)
    }

    pub(super) fn of_table(family: u8, table: &str) -> Self {
        Self { family, table: table.to_owned(), messages: Vec::new(), sets: 0 }
    }

    fn push(&mut self, kind: u8, flags: u16, attributes: Vec<u8>) {
        self.messages.push((kind, flags, attributes));
    }

    /// Makes the table, which must not be there.
    pub(super) fn make_table(&mut self) {
        let mut attributes = Vec::new();
        text(&mut attributes, 1, &self.table);
        self.push(NEW_TABLE, CREATE | EXCL, attributes);
    }

    /// Removes the table with all that is in it.
    pub(in super::super) fn delete_table(&mut self) {
        let mut attributes = Vec::new();
        text(&mut attributes, 1, &self.table);
        self.push(DELETE_TABLE, 0, attributes);
    }

    /// Makes a chain.
    pub(super) fn chain(&mut self, name: &str, hook: Hook) {
        let mut attributes = Vec::new();
        text(&mut attributes, 1, &self.table);
        text(&mut attributes, 3, name);
        nest(&mut attributes, 4, |nested| {
            number(nested, 1, hook.number);
            put(nested, 2, &hook.priority.to_be_bytes());
        });
        number(&mut attributes, 5, u32::from(hook.policy == Policy::Accept));
        text(&mut attributes, 7, hook.kind);
        self.push(NEW_CHAIN, CREATE, attributes);
    }

    /// Makes a chain that is called by rules only.
    #[cfg(test)]
    pub(super) fn plain_chain(&mut self, name: &str) {
        let mut attributes = Vec::new();
        text(&mut attributes, 1, &self.table);
        text(&mut attributes, 3, name);
        self.push(NEW_CHAIN, CREATE, attributes);
    }

    /// Makes a set, or a map if there are values.
    pub(super) fn set(&mut self, name: &str, key: Type, value: Option<Type>) {
        self.sets += 1;
        let mut attributes = Vec::new();
        text(&mut attributes, 1, &self.table);
        text(&mut attributes, 2, name);
        number(&mut attributes, 3, if value.is_some() { MAP } else { 0 });
        number(&mut attributes, 4, key.id);
        number(&mut attributes, 5, key.length);
        if let Some(value) = value {
            number(&mut attributes, 6, value.id);
            number(&mut attributes, 7, value.length);
        }
        number(&mut attributes, 10, self.sets);
        self.push(NEW_SET, CREATE, attributes);
    }

    /// Puts a rule at the end of a chain.
    pub(super) fn append(&mut self, chain: &str, rule: Rule) {
        self.rule(chain, rule, super::super::netlink::APPEND);
    }

    /// Puts a rule at the beginning of a chain.
    pub(super) fn insert(&mut self, chain: &str, rule: Rule) {
        self.rule(chain, rule, 0);
    }

    fn rule(&mut self, chain: &str, rule: Rule, place: u16) {
        let mut attributes = Vec::new();
        text(&mut attributes, 1, &self.table);
        text(&mut attributes, 2, chain);
        put(&mut attributes, 4 | NESTED, &rule.expressions);
        if let Some(comment) = rule.comment {
            // The form in which nft and iptables keep comments.
            let mut data = vec![0, u8::try_from(comment.len() + 1).unwrap_or(u8::MAX)];
            data.extend(comment.bytes());
            data.push(0);
            put(&mut attributes, 7, &data);
        }
        self.push(NEW_RULE, CREATE | place, attributes);
    }

    /// Removes the rule of this handle.
    pub(super) fn delete_rule(&mut self, chain: &str, handle: u64) {
        let mut attributes = Vec::new();
        text(&mut attributes, 1, &self.table);
        text(&mut attributes, 2, chain);
        put(&mut attributes, 3, &handle.to_be_bytes());
        self.push(DELETE_RULE, 0, attributes);
    }

    /// Puts an element into a set, or with a value into a map. One that is there already is
    /// refused.
    pub(super) fn add(&mut self, set: &str, key: &[u8], value: Option<&[u8]>) {
        let attributes = self.element(set, key, value);
        self.push(NEW_ELEMENT, CREATE | EXCL, attributes);
    }

    /// Takes an element out, which must be there.
    pub(super) fn remove(&mut self, set: &str, key: &[u8]) {
        let attributes = self.element(set, key, None);
        self.push(DELETE_ELEMENT, 0, attributes);
    }

    fn element(&self, set: &str, key: &[u8], value: Option<&[u8]>) -> Vec<u8> {
        let mut attributes = Vec::new();
        text(&mut attributes, 1, &self.table);
        text(&mut attributes, 2, set);
        nest(&mut attributes, 3, |elements| {
            nest(elements, 1, |element| {
                nest(element, 1, |data| put(data, 1, key));
                if let Some(value) = value {
                    nest(element, 2, |data| put(data, 1, value));
                }
            });
        });
        attributes
    }

    /// Whether it removes anything.
    pub(super) fn removes(&self) -> bool {
        let removals = [DELETE_TABLE, DELETE_RULE, DELETE_ELEMENT];
        self.messages.iter().any(|(kind, ..)| removals.contains(kind))
    }

    /// The bytes, and the number of the last message that is answered; 0: there is nothing to do.
    pub(super) fn finish(self, socket: &mut Socket) -> (Vec<u8>, u32) {
        let mut bytes = Vec::new();
        let mut answered = 0;
        frame(&mut bytes, BATCH_BEGIN, socket);
        let messages = self.messages.len();
        for (index, (kind, flags, attributes)) in self.messages.into_iter().enumerate() {
            let number = socket.next();
            let start = bytes.len();
            let ack = if index + 1 == messages { ACK } else { 0 };
            begin(&mut bytes, message(kind), REQUEST | ack | flags, number);
            bytes.extend([self.family, 0, 0, 0]);
            bytes.extend(attributes);
            end(&mut bytes, start);
            answered = number;
        }
        frame(&mut bytes, BATCH_END, socket);
        (bytes, answered)
    }
}

/// The beginning or end of a batch.
fn frame(bytes: &mut Vec<u8>, kind: u16, socket: &mut Socket) {
    let start = bytes.len();
    begin(bytes, kind, REQUEST, socket.next());
    bytes.extend([0, 0, 0, SUBSYSTEM]);
    end(bytes, start);
}

/// The kind of a message about nf_tables.
pub(super) fn message(kind: u8) -> u16 {
    u16::from_be_bytes([SUBSYSTEM, kind])
}
