//! What was told, compared with what was seen.

use std::collections::BTreeSet;

use statement_effects::{Effects, RelationEffect, Scan, Storage};

use crate::case::Case;
use crate::observation::{Known, Observation};

/// All differences, in words.
pub(crate) fn differences(effects: &Effects, seen: &Observation, case: &Case) -> Vec<String> {
    let mut differences = Vec::new();
    let mut covered = BTreeSet::new();
    for effect in &effects.relations {
        for relation in seen
            .told
            .get(&effect.relation.to_string())
            .into_iter()
            .flatten()
        {
            covered.insert(*relation);
            differences.extend(of_lock(effect, *relation, seen));
            differences.extend(of_storage(effect, *relation, seen, case));
            differences.extend(of_scan(effect, *relation, seen, case));
            if effect.extends {
                for below in seen.extensions.get(relation).into_iter().flatten() {
                    covered.insert(*below);
                    differences.extend(of_extension(effect, *below, seen));
                }
            }
        }
    }
    differences.extend(named_but_missing(effects, seen));
    differences.extend(untold(&covered, seen));
    differences
}

fn of_lock(effect: &RelationEffect, relation: u32, seen: &Observation) -> Option<String> {
    let lock = seen.locks.get(&relation);
    (lock != Some(&effect.lock)).then(|| format!("{effect}: the server took {lock:?}"))
}

fn of_extension(effect: &RelationEffect, below: u32, seen: &Observation) -> Option<String> {
    let lock = seen.locks.get(&below);
    (lock > Some(&effect.lock)).then(|| format!("{effect}: the server took {lock:?} below it"))
}

fn of_storage(
    effect: &RelationEffect,
    relation: u32,
    seen: &Observation,
    case: &Case,
) -> Option<String> {
    let (before, after) = (seen.before.get(&relation), seen.after.get(&relation));
    let is_dependent = matches!(
        effect.relation,
        statement_effects::Relation::DependentsOf(_)
    );
    let right = match (effect.storage, before, after) {
        // What is told as kept and is new is a view that CREATE OR REPLACE makes.
        (Storage::Created | Storage::Kept, None, Some(_)) | (Storage::Dropped, Some(_), None) => {
            true
        }
        (_, Some(before), None) if is_dependent => before.kind != "r",
        (_, Some(before), Some(after)) => {
            // A partitioned table and a view have no file, and the one page of a sequence is no table's rows.
            let has_rows = before.file != "0" && before.kind != "S";
            let changed = before.file != after.file;
            match effect.storage {
                Storage::Kept => !has_rows || !changed,
                Storage::Rewritten | Storage::Emptied => !has_rows || changed,
                Storage::MayBeRewritten(_) => is_in_fact(
                    case,
                    &before.name,
                    if changed { "rewritten" } else { "kept" },
                ),
                Storage::Created | Storage::Dropped => false,
            }
        }
        _ => false,
    };
    (!right).then(|| format!("{effect}: it was {before:?} and is {after:?}"))
}

/// Rewrites that even the catalog leaves open, in cases that do not say what they come to.
pub(crate) fn undecided(informed: &Effects, case: &Case) -> Vec<String> {
    informed
        .relations
        .iter()
        .filter(|effect| matches!(effect.storage, Storage::MayBeRewritten(_)))
        .filter(|_| case.in_fact.is_empty())
        .map(|effect| format!("{effect}: undecided"))
        .collect()
}

/// A case says what its conditions come to; where it does not, both are right.
fn is_in_fact(case: &Case, name: &str, happened: &str) -> bool {
    let of_this: Vec<_> = case
        .in_fact
        .iter()
        .filter_map(|fact| fact.strip_prefix(name)?.strip_prefix(' '))
        .collect();
    of_this.is_empty() || of_this.contains(&happened)
}

fn of_scan(
    effect: &RelationEffect,
    relation: u32,
    seen: &Observation,
    case: &Case,
) -> Option<String> {
    let (before, after) = (seen.before.get(&relation)?, seen.after.get(&relation)?);
    let is_table = matches!(before.kind.as_str(), "r" | "m");
    if !seen.scans_are_counted || !is_table || effect.storage != Storage::Kept {
        return None;
    }
    let scanned = after.scans > before.scans;
    let right = match effect.scan {
        Scan::No => !scanned,
        Scan::Full => scanned,
        Scan::May(_) => is_in_fact(
            case,
            &before.name,
            if scanned { "scanned" } else { "not scanned" },
        ),
    };
    (!right).then(|| format!("{effect}: scanned: {scanned}"))
}

fn named_but_missing<'told>(
    effects: &'told Effects,
    seen: &'told Observation,
) -> impl Iterator<Item = String> + 'told {
    effects
        .relations
        .iter()
        .filter(|effect| matches!(effect.relation, statement_effects::Relation::Named(_)))
        .filter(|effect| {
            seen.told
                .get(&effect.relation.to_string())
                .is_none_or(BTreeSet::is_empty)
        })
        .map(|effect| format!("{effect}: the server knows no such relation"))
}

/// Relations that were locked or changed without having been told; indexes and owned sequences go with their table.
fn untold<'seen>(
    covered: &'seen BTreeSet<u32>,
    seen: &'seen Observation,
) -> impl Iterator<Item = String> + 'seen {
    seen.before
        .iter()
        .filter(|(relation, known)| !covered.contains(relation) && !goes_with_its_table(known))
        .filter_map(|(relation, known)| {
            let lock = seen.locks.get(relation);
            let file = seen.after.get(relation).map(|after| &after.file);
            let touched = lock.is_some() || file != Some(&known.file);
            touched.then(|| format!("{} was not told: {lock:?}, file {file:?}", known.name))
        })
}

fn goes_with_its_table(known: &Known) -> bool {
    matches!(known.kind.as_str(), "i" | "I" | "S" | "t")
}
