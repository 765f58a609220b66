//! The lock that changing storage parameters takes.

use squawk_syntax::ast::AttributeList;

use crate::lock_mode::LockMode;
use crate::names::folded;

/// The parameters of tables and indexes that can change while the relation is written to; all others change how it is
/// read or written at once.
const CHANGED_ALONGSIDE_WRITERS: [&str; 9] = [
    "deduplicate_items",
    "effective_io_concurrency",
    "fillfactor",
    "log_autovacuum_min_duration",
    "maintenance_io_concurrency",
    "parallel_workers",
    "toast_tuple_target",
    "vacuum_index_cleanup",
    "vacuum_truncate",
];

/// The strongest lock that one of the parameters asks for.
pub(crate) fn lock(parameters: Option<AttributeList>) -> LockMode {
    let alongside_writers = parameters.is_some_and(|list| {
        list.attribute_options().all(|option| {
            option.name().is_some_and(|name| {
                let name = folded(&name);
                name.starts_with("autovacuum_")
                    || CHANGED_ALONGSIDE_WRITERS.contains(&name.as_str())
            })
        })
    });
    if alongside_writers {
        LockMode::ShareUpdateExclusive
    } else {
        LockMode::AccessExclusive
    }
}
