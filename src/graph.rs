//! What depends on what, by name.
//!
//! In: names and edges. Out: circles. Generic: it knows nothing of services.

use std::collections::{HashMap, HashSet, VecDeque};

use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;

/// A directed graph; an edge leads from what depends to what it depends on.
#[derive(Clone, Debug, Default)]
pub struct Graph<'n> {
    edges: DiGraphMap<&'n str, ()>,
}

impl<'n> Graph<'n> {
    /// Adds a name.
    pub fn add(&mut self, name: &'n str) {
        self.edges.add_node(name);
    }

    /// Adds that `from` depends on `to`.
    pub fn depend(&mut self, from: &'n str, to: &'n str) {
        self.edges.add_edge(from, to, ());
    }

    /// All names, each after those that it depends on, else in alphabetical order. Names in a
    /// circle come in the order of the alphabet.
    pub fn order(&self) -> Vec<&'n str> {
        let mut names: Vec<&str> = self.edges.nodes().collect();
        names.sort_unstable();
        let mut order = Vec::with_capacity(names.len());
        let mut seen = HashSet::new();
        // Depth first without recursion: a name is told when all that it depends on has been.
        let mut stack: Vec<(&str, bool)> =
            names.into_iter().rev().map(|name| (name, false)).collect();
        while let Some((name, is_done)) = stack.pop() {
            if is_done {
                order.push(name);
            } else if seen.insert(name) {
                stack.push((name, true));
                let mut needed: Vec<&str> = self.edges.neighbors(name).collect();
                needed.sort_unstable_by(|a, b| b.cmp(a));
                stack.extend(needed.into_iter().map(|name| (name, false)));
            }
        }
        order
    }

    /// One circle for each group of names that depend on each other, each from its first name in
    /// alphabetical order once round: `a`, `b` for a circle `a -> b -> a`.
    pub fn circles(&self) -> Vec<Vec<&'n str>> {
        let mut circles: Vec<Vec<&str>> = tarjan_scc(&self.edges)
            .into_iter()
            .filter_map(|group| {
                let start = *group.iter().min()?;
                let alone = group.len() == 1 && !self.edges.contains_edge(start, start);
                (!alone).then(|| self.round_trip(start, &group))
            })
            .collect();
        circles.sort();
        circles
    }

    /// The shortest way from `start` back to itself inside `group`.
    fn round_trip(&self, start: &'n str, group: &[&'n str]) -> Vec<&'n str> {
        let mut came_from: HashMap<&str, &str> = HashMap::new();
        let mut queue = VecDeque::from([start]);
        while let Some(name) = queue.pop_front() {
            if self.edges.contains_edge(name, start) {
                let mut way = vec![name];
                while let Some(before) = came_from.get(way[way.len() - 1]) {
                    way.push(before);
                }
                way.reverse();
                return way;
            }
            let mut next: Vec<&str> =
                self.edges.neighbors(name).filter(|next| group.contains(next)).collect();
            next.sort_unstable();
            for next in next {
                if next != start && !came_from.contains_key(next) {
                    came_from.insert(next, name);
                    queue.push_back(next);
                }
            }
        }
        vec![start]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles(edges: &[(&'static str, &'static str)]) -> Vec<Vec<&'static str>> {
        let mut graph = Graph::default();
        for (from, to) in edges {
            graph.depend(from, to);
        }
        graph.circles()
    }

    #[test]
    fn a_tree_has_no_circle() {
        assert!(circles(&[("a", "b"), ("a", "c"), ("b", "c")]).is_empty());
    }

    #[test]
    fn a_name_that_depends_on_itself_is_a_circle() {
        assert_eq!(circles(&[("a", "a"), ("b", "a")]), [["a"]]);
    }

    #[test]
    fn the_shortest_way_round_is_told_from_its_first_name() {
        let edges = [("c", "a"), ("a", "b"), ("b", "c"), ("b", "a"), ("x", "y"), ("y", "x")];
        assert_eq!(circles(&edges), [["a", "b"], ["x", "y"]]);
    }
}
