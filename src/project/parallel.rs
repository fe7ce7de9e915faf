//! The same work on many entries, on all cores.
//!
//! In: a mapping and what to do with each of its entries. Out: the same as one after the other.
//!
//! # Invariants
//!
//! - The result does not depend on the number of cores: the work is cut into parts by the number of
//!   entries alone, and what the parts report is taken in in their order.
//! - Few entries are worked off at once: to start a thread costs more than to load a small project.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::iter::{IndexedParallelIterator as _, IntoParallelIterator as _, ParallelIterator as _};
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::cursor::Cursor;
use super::node::{Entry, Map};
use super::session::Session;

/// How many entries are one part, at least.
const PART: usize = 64;

/// How many parts there are, at most.
const MAX_PARTS: usize = 64;

/// As much as the main thread has: collections may be nested deeply.
const STACK: usize = 8 << 20;

/// Calls `visit` on every entry of the mapping at `cursor`, and keeps those for which it is true.
pub(super) fn retain<'a>(
    session: &mut Session<'a>,
    map: &mut Map,
    cursor: &Cursor<'_>,
    visit: impl Fn(&mut Session<'a>, &mut Entry, &Cursor<'_>) -> bool + Sync,
) {
    // Services, in nearly all projects that are large; what is in them is small.
    if cursor.depth() != 1 || map.len() < 2 * PART {
        map.retain(|key, entry| visit(session, entry, &cursor.key(key)));
        return;
    }
    let place = map[0].key;
    let mut parts = Vec::new();
    let mut rest = map.as_mut_slice();
    let size = part_size(rest.len());
    while !rest.is_empty() {
        let (part, later) = rest.split_at_mut(size.min(rest.len()));
        parts.push((part, session.fork()));
        rest = later;
    }
    // A part that fills the report by itself leaves nothing to say for those after it.
    let is_full = AtomicBool::new(false);
    let (stay, forks): (Vec<_>, Vec<_>) = on_all_cores(parts, |(part, mut fork)| {
        if is_full.load(Ordering::Relaxed) {
            return (Vec::new(), fork);
        }
        let visit = |(key, entry): (&String, &mut Entry)| visit(&mut fork, entry, &cursor.key(key));
        let stay: Vec<bool> = part.iter_mut().map(visit).collect();
        is_full.fetch_or(fork.is_exhausted(), Ordering::Relaxed);
        (stay, fork)
    })
    .into_iter()
    .unzip();
    session.join(forks, place);
    if session.is_exhausted() {
        return;
    }
    let mut stay = stay.into_iter().flatten();
    map.retain(|_, _| stay.next().unwrap_or(true));
}

/// Makes something of every item; the results have the order of the items.
pub(super) fn map<T: Sync, R: Send>(items: &[T], make: impl Fn(&T) -> R + Sync) -> Vec<R> {
    if items.len() < 2 * PART {
        return items.iter().map(make).collect();
    }
    let parts = items.chunks(part_size(items.len())).collect();
    let results = on_all_cores(parts, |part: &[T]| part.iter().map(&make).collect::<Vec<R>>());
    results.into_iter().flatten().collect()
}

fn part_size(entries: usize) -> usize {
    PART.max(entries.div_ceil(MAX_PARTS))
}

/// Works off all tasks; the results have the order of the tasks.
fn on_all_cores<T: Send, R: Send>(tasks: Vec<T>, work: impl Fn(T) -> R + Sync + Send) -> Vec<R> {
    static POOL: LazyLock<Option<ThreadPool>> =
        LazyLock::new(|| ThreadPoolBuilder::new().stack_size(STACK).build().ok());
    match &*POOL {
        Some(pool) => pool.install(|| tasks.into_par_iter().with_max_len(1).map(work).collect()),
        // No thread can be had.
        None => tasks.into_iter().map(work).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::{PART, map};
    use crate::diagnostic::{Code, Diagnostic};
    use crate::project::{Memory, Request, load};

    const MANY: usize = 5 * PART;

    /// Loads a project of [`MANY`] services, each with these lines.
    fn problems(head: &str, lines: impl Fn(usize) -> String) -> Vec<Diagnostic> {
        let mut text = format!("{head}services:\n");
        for number in 0..MANY {
            writeln!(text, "  s{number}:\n    image: x\n{}", lines(number)).expect("memory");
        }
        let files = Memory::default().with("/p/compose.yaml", text);
        let request = Request { cwd: "/p".into(), ..Request::default() };
        load(&files, &request).1.diagnostics
    }

    #[test]
    fn results_have_the_order_of_the_items() {
        let items: Vec<usize> = (0..10_000).collect();
        let doubled: Vec<usize> = (0..10_000).map(|item| item * 2).collect();
        assert_eq!(map(&items, |item| item * 2), doubled);
    }

    #[test]
    fn every_part_reports_its_problems_in_order() {
        let found = problems("", |number| format!("    cpu_count: {number}x"));
        let place = |problem: &Diagnostic| problem.span().map(|span| span.start);
        assert_eq!(found.len(), MANY);
        assert!(found.is_sorted_by_key(place));
        assert!(found.iter().all(|problem| problem.code == Code::WrongType));
    }

    #[test]
    fn one_mistake_in_every_part_is_one_problem() {
        let shared = "x-shared: &shared {max-size: [1], driver: json-file}\n";
        let found = problems(shared, |_| "    logging: {driver: a, options: *shared}".to_owned());
        let [problem] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(problem.notes, [format!("the same goes for {} other places", MANY - 1)]);
        let unset = problems("", |_| "    hostname: $NOT_SET".to_owned());
        let [warning] = unset.as_slice() else { panic!("{unset:?}") };
        assert_eq!(warning.notes, [format!("used in {MANY} places")]);
    }

    #[test]
    fn all_parts_share_one_budget() {
        let found = problems("", |_| "    ports: ['1-2000:1-2000']".to_owned());
        let [problem] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(problem.code, Code::TooLarge);
    }
}
