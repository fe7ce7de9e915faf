//! `extends`: a service that begins as a copy of another.
//!
//! The base may stand in the same document or in another file. Another file is read raw: its
//! `include` is ignored and nothing is checked before the result is merged.

use std::path::{Path, PathBuf};

use crate::diagnostic::{Code, Diagnostic, Span, closest};

use super::compose::{self, Cache, Scope};
use super::cursor::Cursor;
use super::include::refuse_remote;
use super::locations::{self, Base};
use super::node::{Entry, Map, Node, Step, Value};
use super::session::Session;
use super::yaml::Reset;
use super::{interpolate, merge, short, unique};

/// How many services may extend each other in a row.
const MAX_CHAIN: usize = 256;

/// Applies `extends` for the documents of one file.
pub(super) struct Extender<'s> {
    scope: &'s Scope,
    file: PathBuf,
    bases: Cache<BaseFile>,
}

/// Services that others extend, as their file has them.
#[derive(Debug, Default)]
struct BaseFile {
    /// What is done is null here.
    services: Map,
    resets: Vec<Reset>,
    /// Services that have been extended themselves.
    done: Cache<Node>,
}

/// A reference to a service in a file: one step of a chain.
#[derive(Clone, Debug)]
struct Link {
    file: String,
    service: String,
    span: Span,
}

impl<'s> Extender<'s> {
    pub(super) fn new(scope: &'s Scope, file: &Path) -> Self {
        Self { scope, file: file.to_owned(), bases: Cache::new() }
    }

    /// Extends all services of a document.
    pub(super) fn extend_all(
        &mut self,
        session: &mut Session<'_>,
        document: &mut Node,
        resets: &[Reset],
    ) {
        refuse_other_than_mapping(session, document);
        let Some(services) = compose::take_services(document) else { return };
        let own = self.file.to_string_lossy().into_owned();
        let extending = |(_, entry): &(&String, &Entry)| entry.node.get("extends").is_some();
        let names: Vec<String> =
            services.iter().filter(extending).map(|(name, _)| name.clone()).collect();
        if names.is_empty() {
            if let Some(node) = document.get_mut("services") {
                node.value = Value::Map(services);
            }
            return;
        }
        let base = BaseFile { services, resets: resets.to_vec(), done: Cache::new() };
        self.bases.insert(own.clone(), base);
        for name in &names {
            if session.is_exhausted() {
                break;
            }
            self.settle(session, &own, name, &mut Vec::new());
        }
        let Some(mut base) = self.bases.shift_remove(&own) else { return };
        for (name, node) in base.done {
            if let Some(entry) = base.services.get_mut(&name) {
                entry.node = node;
            }
        }
        if let Some(services) = document.get_mut("services") {
            services.value = Value::Map(base.services);
        }
    }

    /// Extends the service `name` of `file`, if that is not done.
    fn settle(&mut self, session: &mut Session<'_>, file: &str, name: &str, chain: &mut Vec<Link>) {
        let open = self.bases.get(file).filter(|base| !base.done.contains_key(name));
        let Some(service) = open.and_then(|base| base.services.get(name)) else { return };
        let extends = service.node.get("extends").cloned();
        let base = extends.map(|extends| self.base(session, (file, name), &extends, chain));
        // In a circle it may be done by now.
        let open = self.bases.get_mut(file).filter(|base| !base.done.contains_key(name));
        let Some(entry) = open.and_then(|base| base.services.get_mut(name)) else { return };
        let nothing = Node::new(Value::Null, entry.node.span);
        let service = std::mem::replace(&mut entry.node, nothing);
        let extended = match base {
            None => service,
            Some(base) => self.extend(session, (file, name), base, service),
        };
        if let Some(base) = self.bases.get_mut(file) {
            base.done.insert(name.to_owned(), extended);
        }
    }

    /// A service of `file`, merged onto what it extends, if that could be found.
    fn extend(
        &self,
        session: &mut Session<'_>,
        (file, name): (&str, &str),
        base: Option<Node>,
        mut service: Node,
    ) -> Node {
        match base {
            // As in Compose, a base that is null leaves even `extends` in place.
            Some(base) if base.is_null() => service,
            Some(base) => self.merge(session, (file, name), base, service),
            None => {
                let top = Cursor::top();
                session.taint(&top.key("services").key(name));
                remove_extends(&mut service);
                service
            }
        }
    }

    /// The service that `extends` refers to, extended itself.
    fn base(
        &mut self,
        session: &mut Session<'_>,
        (file, name): (&str, &str),
        extends: &Node,
        chain: &mut Vec<Link>,
    ) -> Option<Node> {
        let (reference, from) = reference(session, extends, name)?;
        let target = match &from {
            None => file.to_owned(),
            Some(from) => self.open(session, from)?,
        };
        let link = Link { file: target.clone(), service: name.to_owned(), span: extends.span };
        let same = |step: &Link| step.file == link.file && step.service == link.service;
        if let Some(start) = chain.iter().position(same) {
            report_circle(session, &chain[start..], &link);
            return None;
        }
        if chain.len() >= MAX_CHAIN {
            report_long_chain(session, extends.span);
            return None;
        }
        let services = &self.bases.get(&target)?.services;
        let wanted = reference.as_str().unwrap_or_default();
        if !services.contains_key(wanted) {
            report_missing(session, name, &reference, (services, &target));
            return None;
        }
        chain.push(link);
        self.settle(session, &target, wanted, chain);
        chain.pop();
        self.bases.get(&target)?.done.get(wanted).cloned()
    }

    fn merge(
        &self,
        session: &mut Session<'_>,
        (file, name): (&str, &str),
        mut base: Node,
        service: Node,
    ) -> Node {
        if !session.afford(base.size(), service.span) {
            return service;
        }
        let resets = self.bases.get(file).map(|base| base.resets.as_slice()).unwrap_or_default();
        for reset in resets {
            if let [top, service, rest @ ..] = reset.path.as_slice()
                && (top.as_str(), service.as_str()) == ("services", name)
                && !rest.is_empty()
            {
                let inner = Reset { path: rest.to_vec(), span: reset.span };
                compose::apply_resets(&mut base, &[inner]);
            }
        }
        let extends = service.get("extends").map_or(service.span, |node| node.span);
        for attribute in base.as_map_mut().into_iter().flat_map(|map| map.values_mut()) {
            attribute.node.record(&Step::Extended { span: extends });
        }
        let top = Cursor::top();
        let services = top.key("services");
        let mut merged = merge::merge(session, base, service, &services.key(name));
        remove_extends(&mut merged);
        merged
    }

    /// Reads a file that is extended from, once. Returns its name in the cache.
    fn open(&mut self, session: &mut Session<'_>, from: &Node) -> Option<String> {
        let written = from.as_str()?;
        if refuse_remote(session, from) {
            return None;
        }
        let path = self.scope.base.dir.join(written);
        let path = PathBuf::from(short::clean(&path.to_string_lossy()));
        let name = path.to_string_lossy().into_owned();
        if !self.bases.contains_key(&name) {
            let base = self.load(session, &path, from)?;
            self.bases.insert(name.clone(), base);
        }
        Some(name)
    }

    fn load(&mut self, session: &mut Session<'_>, path: &Path, from: &Node) -> Option<BaseFile> {
        let parsed = compose::parse_file(session, path, Some(from.span))?;
        let mut tree: Option<Node> = None;
        let mut resets = Vec::new();
        for document in parsed.documents {
            let mut node = document.node;
            if session.phases().interpolate {
                interpolate::interpolate(session, &mut node, &self.scope.variables);
            }
            resets = document.resets;
            let mut whole = match tree.take() {
                None => node,
                Some(mut tree) => {
                    compose::apply_resets(&mut tree, &resets);
                    merge::merge(session, tree, node, &Cursor::top())
                }
            };
            unique::enforce(session, &mut whole, &Cursor::top());
            compose::lengthen(session, &mut whole);
            tree = Some(whole);
        }
        let mut tree = tree.unwrap_or_else(|| Node::new(Value::Null, from.span));
        let folder = path.parent().unwrap_or(Path::new("/"));
        let prefix = locations::relative(&self.scope.base.dir, folder);
        // Paths of the file become relative to the folder of the project, as its own paths are.
        let base = Base { prefix, dir: self.scope.base.dir.clone() };
        locations::resolve(session, &mut tree, &base);
        let Some(services) = compose::take_services(&mut tree) else {
            let message = format!("`{}` has no services to extend", session.display(path));
            session.report(Diagnostic::error(Code::Extends, message).at(from.span, "named here"));
            return None;
        };
        Some(BaseFile { services, resets, done: Cache::new() })
    }
}

/// Name and file of the service that is extended.
fn reference(
    session: &mut Session<'_>,
    extends: &Node,
    name: &str,
) -> Option<(Node, Option<Node>)> {
    if extends.as_str().is_some() {
        return Some((extends.clone(), None));
    }
    let from = extends.get("file").filter(|file| !file.is_null()).cloned();
    if let Some(service) = extends.get("service").filter(|service| service.as_str().is_some()) {
        return Some((service.clone(), from));
    }
    session.report(
        Diagnostic::error(Code::Extends, format!("`services.{name}.extends` names no service"))
            .at(extends.span, "`service` is missing")
            .hint(
                "write `extends: {service: NAME}`, with `file: PATH` if it stands in another file",
            ),
    );
    None
}

/// Each document by itself must have a mapping of services, or none, whatever is merged later.
fn refuse_other_than_mapping(session: &mut Session<'_>, document: &mut Node) {
    let Some(Entry { key, node }) = document.as_map().and_then(|top| top.get("services")) else {
        return;
    };
    if node.as_map().is_some() {
        return;
    }
    let message = format!("`services` must be a mapping, not {}", node.kind());
    let (place, hint) = match &node.value {
        Value::Null => (*key, "add services below it, or remove the line"),
        Value::Seq(_) => (node.span, "leave out the `- ` in front of the names of services"),
        _ => (node.span, "write the name of a service below it, and indent its attributes"),
    };
    let label = if node.is_null() {
        "nothing follows".to_owned()
    } else {
        format!("this is {}", node.kind())
    };
    session.report(Diagnostic::error(Code::WrongType, message).at(place, label).hint(hint));
    if let Some(top) = document.as_map_mut() {
        top.shift_remove("services");
    }
}

fn remove_extends(service: &mut Node) {
    if let Some(map) = service.as_map_mut() {
        map.shift_remove("extends");
    }
}

/// Says once that a chain is too long: its rest may well be too long again.
fn report_long_chain(session: &mut Session<'_>, span: Span) {
    let message = format!("services extend each other more than {MAX_CHAIN} times in a row");
    if !session.report.diagnostics.iter().any(|known| known.message == message) {
        session.report(Diagnostic::error(Code::TooLarge, message).at(span, "one too many"));
    }
}

/// Shows every place on the way round; `again` is the service that the circle comes back to.
fn report_circle(session: &mut Session<'_>, circle: &[Link], again: &Link) {
    let one_file = circle.iter().all(|link| link.span.file == again.span.file);
    let name = |link: &Link| match &session.report.sources.get(link.span.file).name {
        _ if one_file => format!("`{}`", link.service),
        file => format!("`{}` of `{file}`", link.service),
    };
    let names: Vec<String> = circle.iter().chain([again]).map(name).collect();
    let message = format!("services extend each other in a circle: {}", names.join(" extends "));
    let next = circle.iter().skip(1).chain([again]);
    let diagnostic = circle.iter().zip(next).fold(
        Diagnostic::error(Code::ExtendsCycle, message),
        |diagnostic, (link, next)| {
            diagnostic.at(link.span, format!("`{}` extends `{}`", link.service, next.service))
        },
    );
    // Every service of a circle finds it; one report is enough.
    let known = session.report.diagnostics.iter().any(|known| {
        known.code == Code::ExtendsCycle
            && known.labels.iter().any(|label| label.span == again.span)
    });
    if !known {
        session.report(diagnostic);
    }
}

fn report_missing(
    session: &mut Session<'_>,
    name: &str,
    reference: &Node,
    (services, file): (&Map, &str),
) {
    let wanted = reference.as_str().unwrap_or_default();
    let file = session.display(Path::new(file));
    let message = format!("service `{name}` extends `{wanted}`, which `{file}` does not define");
    let mut diagnostic =
        Diagnostic::error(Code::Extends, message).at(reference.span, "no such service");
    if let Some(similar) = closest(wanted, services.keys().map(String::as_str)) {
        diagnostic = diagnostic.hint(format!("a service with a similar name exists: `{similar}`"));
    }
    session.report(diagnostic);
}
