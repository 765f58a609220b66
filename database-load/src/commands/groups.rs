//! Which data sets belong together, and in which order they are loaded.

use crate::commands::Prepared;

/// Data sets whose tables refer to each other make a group, each after those that it refers to. Data sets of the same
/// name order otherwise.
pub(super) fn by_foreign_keys(prepared: Vec<Prepared>) -> Vec<Vec<Prepared>> {
    let links: Vec<Vec<usize>> = prepared
        .iter()
        .map(|one| {
            let references = |other: &Prepared| {
                one.table
                    .references
                    .iter()
                    .any(|key| key.to_oid == other.table.oid)
            };
            (0..prepared.len())
                .filter(|&other| references(&prepared[other]))
                .collect()
        })
        .collect();
    let mut groups = Vec::new();
    let mut prepared: Vec<Option<Prepared>> = prepared.into_iter().map(Some).collect();
    for members in grouped(&links) {
        groups.push(
            members
                .into_iter()
                .filter_map(|member| prepared[member].take())
                .collect(),
        );
    }
    groups
}

/// The numbers of a graph's nodes by connected parts, each node after those that it links to. Where links go in a circle,
/// the node that comes first in it stays first.
fn grouped(links: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut group_of: Vec<usize> = (0..links.len()).collect();
    for (from, targets) in links.iter().enumerate() {
        for &to in targets {
            let (kept, merged) = (
                group_of[from].min(group_of[to]),
                group_of[from].max(group_of[to]),
            );
            group_of
                .iter_mut()
                .filter(|group| **group == merged)
                .for_each(|group| *group = kept);
        }
    }
    let mut ordered = Vec::with_capacity(links.len());
    let mut is_visited = vec![false; links.len()];
    for node in 0..links.len() {
        visit(node, links, &mut is_visited, &mut ordered);
    }
    (0..links.len())
        .map(|group| {
            ordered
                .iter()
                .copied()
                .filter(|&node| group_of[node] == group)
                .collect()
        })
        .filter(|members: &Vec<usize>| !members.is_empty())
        .collect()
}

fn visit(node: usize, links: &[Vec<usize>], is_visited: &mut [bool], ordered: &mut Vec<usize>) {
    if std::mem::replace(&mut is_visited[node], true) {
        return;
    }
    for &target in &links[node] {
        visit(target, links, is_visited, ordered);
    }
    ordered.push(node);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_refers_to_each_other_is_a_group_in_order() {
        // order_items refer to orders and products; coupons stand alone.
        let [coupons, order_items, orders, products] = [0, 1, 2, 3];
        let links = [vec![], vec![orders, products], vec![], vec![]];
        assert_eq!(
            grouped(&links),
            [vec![coupons], vec![orders, products, order_items]]
        );
    }

    #[test]
    fn circles_and_links_to_oneself_come_to_an_end() {
        assert_eq!(grouped(&[vec![1], vec![0, 1]]), [vec![1, 0]]);
        assert!(grouped(&[]).is_empty());
    }
}
