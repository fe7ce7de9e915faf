//! `KEY=VALUE` lists and mappings in the form that the model wants.

use crate::project::node::{Entry, Map, Node, Value};

use super::{Fits, Misfit, text_at, text_entry};

/// Splits a `KEY=VALUE` item.
fn pair(item: &Node) -> (String, Option<String>) {
    let text = item.scalar_text().unwrap_or_default();
    match text.split_once('=') {
        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
        None => (text, None),
    }
}

/// Turns every value of a mapping into text; `absent` says what null becomes.
fn texts(map: &mut Map, absent: &Value) -> Value {
    let mut map = std::mem::take(map);
    for node in map.values_mut().map(|entry| &mut entry.node) {
        if node.as_str().is_none() {
            node.value = node.scalar_text().map_or_else(|| absent.clone(), Value::Str);
        }
    }
    Value::Map(map)
}

/// Variables: a key alone has no value.
pub(super) fn environment(node: &mut Node) -> Fits {
    let items = match &mut node.value {
        Value::Map(map) => return Ok(texts(map, &Value::Null)),
        Value::Seq(items) => items,
        _ => return Ok(Value::Map(Map::new())),
    };
    let mut map = Map::with_capacity(items.len());
    let mut misfits = Vec::new();
    for item in items.iter() {
        let (key, value) = pair(item);
        if key.ends_with(char::is_whitespace) {
            let misfit = Misfit::new(format!("has a variable `{key}` with a blank at its end"));
            misfits.push(misfit.at(item.span).hint("remove the blank before `=`"));
        }
        let value = value.map_or(Value::Null, Value::Str);
        map.insert(key, Entry { key: item.span, node: Node { value, ..item.clone() } });
    }
    all_fit(map, misfits)
}

/// A mapping, if all of its parts fit.
fn all_fit(map: Map, misfits: Vec<Misfit>) -> Fits {
    if misfits.is_empty() { Ok(Value::Map(map)) } else { Err(misfits) }
}

/// Key to text; a key alone is blank.
pub(super) fn mapping(node: &mut Node) -> Value {
    match &mut node.value {
        Value::Map(map) => texts(map, &Value::Str(String::new())),
        Value::Seq(items) => {
            let item = |item: &Node| {
                let (key, value) = pair(item);
                (key, text_entry(value.unwrap_or_default(), item))
            };
            Value::Map(items.iter().map(item).collect())
        }
        _ => Value::Map(Map::new()),
    }
}

/// Key to one or more texts.
pub(super) fn multi_mapping(node: &Node) -> Value {
    let list = |node: &Node| match node.as_seq() {
        Some(items) => {
            items.iter().map(|item| text_at(item.scalar_text().unwrap_or_default(), item)).collect()
        }
        None => vec![text_at(node.scalar_text().unwrap_or_default(), node)],
    };
    let entries = node.as_map().into_iter().flatten().map(|(key, entry)| {
        let node = Node { value: Value::Seq(list(&entry.node)), ..entry.node.clone() };
        (key.clone(), Entry { key: entry.key, node })
    });
    Value::Map(entries.collect())
}

/// Host to addresses: `host=ip`, `host:ip`, or a mapping.
pub(super) fn hosts(node: &Node) -> Fits {
    let mut map = Map::new();
    let mut misfits = Vec::new();
    match &node.value {
        Value::Map(hosts) => {
            for (host, entry) in hosts {
                let addresses = match &entry.node.value {
                    Value::Seq(items) => items.clone(),
                    _ => vec![text_at(entry.node.scalar_text().unwrap_or_default(), &entry.node)],
                };
                misfits.extend(add_host(&mut map, host, addresses, &entry.node).err());
            }
        }
        Value::Seq(items) => {
            for item in items {
                misfits.extend(listed_host(&mut map, item).err());
            }
        }
        _ => {}
    }
    all_fit(map, misfits)
}

fn listed_host(map: &mut Map, item: &Node) -> Result<(), Misfit> {
    let text = item.scalar_text().unwrap_or_default();
    let Some((host, address)) = text.split_once('=').or_else(|| text.split_once(':')) else {
        let misfit = Misfit::new(format!("has a host without an address: {text:?}"));
        return Err(misfit.at(item.span).hint("write `host=address`"));
    };
    let addresses = address.split(',').map(|address| text_at(address, item)).collect();
    add_host(map, host, addresses, item)
}

fn add_host(map: &mut Map, host: &str, addresses: Vec<Node>, near: &Node) -> Result<(), Misfit> {
    if host.is_empty() || host.contains([':', '=']) {
        return Err(Misfit::new(format!("has a bad host name: {host:?}")).at(near.span));
    }
    let plain = addresses.into_iter().map(|address| {
        let text = address.scalar_text().unwrap_or_default();
        let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        text_at(inner.filter(|inner| !inner.is_empty()).unwrap_or(&text), &address)
    });
    let known = map.entry(host.to_owned()).or_insert_with(|| Entry {
        key: near.span,
        node: Node::new(Value::Seq(Vec::new()), near.span),
    });
    if let Value::Seq(items) = &mut known.node.value {
        items.extend(plain);
    }
    Ok(())
}

/// One limit for both, or a soft and a hard one.
pub(super) fn ulimit(node: &Node) -> Fits {
    let limit = |node: &Node| match super::scalars::int(node) {
        Ok(Value::Int(limit)) if matches!(node.value, Value::Int(_)) => Ok(limit.get()),
        Ok(_) => Err(super::scalars::unexpected("a whole number", node).at(node.span)),
        Err(misfit) => Err(misfit.at(node.span).hint("-1 means no limit")),
    };
    let number = |limit: i128| super::entry(Node::new(Value::Int(limit.into()), node.span));
    let mut map = Map::new();
    let Some(limits) = node.as_map() else {
        map.insert("single".to_owned(), number(limit(node)?));
        return Ok(Value::Map(map));
    };
    let mut misfits = Vec::new();
    for (key, entry) in limits.iter().filter(|(key, _)| !key.starts_with("x-")) {
        match limit(&entry.node) {
            Ok(limit) => drop(map.insert(key.clone(), number(limit))),
            Err(misfit) => misfits.push(misfit),
        }
    }
    all_fit(map, misfits)
}

/// Keys by id, sorted.
pub(super) fn ssh(node: &Node) -> Value {
    let mut keys: Vec<(&String, &Entry)> = node.as_map().into_iter().flatten().collect();
    keys.sort_by_key(|(id, _)| *id);
    let key = |(id, entry): (&String, &Entry)| {
        let path = entry.node.scalar_text().unwrap_or_default();
        let map = Map::from([
            ("id".to_owned(), text_entry(id.clone(), &entry.node)),
            ("path".to_owned(), text_entry(path, &entry.node)),
        ]);
        Node::map(map, entry.node.span)
    };
    Value::Seq(keys.into_iter().map(key).collect())
}
