//! What PostgreSQL 14 to 17 will do to the relations that a statement names: the lock on each, whether it is rewritten
//! or read from end to end, and whether the statement can run in a transaction block.
//!
//! ```
//! use statement_effects::{LockMode, NothingKnown, effects};
//!
//! let told = effects("ALTER TABLE orders ADD COLUMN note text;", &NothingKnown);
//! assert_eq!(told[0].strongest_lock(), Some(LockMode::AccessExclusive));
//! assert_eq!(told[0].to_string(), "orders: ACCESS EXCLUSIVE");
//! ```
//!
//! The statement is understood by a parser of PostgreSQL's grammar. What its text does not tell is never guessed:
//! [`Storage::MayBeRewritten`] and [`Scan::May`] carry the condition, a [`Catalog`] decides on column types, and
//! [`Effects::unknown`] says what cannot be told at all, such as what a DO block runs.
//!
//! The tests run every kind of statement on servers of versions 16 and 17 and compare what is told here with `pg_locks`,
//! with the relations' files, and with the server's count of sequential scans. Versions 14 and 15 are not run. Not
//! proven are the scans of statements that cannot run in a transaction block, since the count is a session's own, and
//! what a statement without a list of tables does to all of them.
//!
//! Not told:
//! - locks on the server's own catalogs, which each change of the schema takes for itself;
//! - what triggers, rules, row security policies, event triggers and functions do beside the statement, except that a
//!   SELECT which is there for an unknown function's sake is unknown;
//! - ROW SHARE on the tables on the other side of a foreign key when rows are changed, and what its actions change there.

mod alter_column;
mod alter_table;
mod catalog;
mod column_type;
mod constraint;
mod create_table;
mod domain;
mod drop;
mod effects;
mod index;
mod lock_mode;
mod maintenance;
mod names;
mod query;
mod sequence;
mod statement;
mod storage_parameters;
mod table_object;
mod transaction_block;
mod view;
mod volatility;

use squawk_syntax::SourceFile;
use squawk_syntax::ast::AstNode;

pub use catalog::{Catalog, NothingKnown};
pub use effects::{Effects, Relation, RelationEffect, Scan, Storage};
pub use lock_mode::LockMode;
pub use transaction_block::is_forbidden_in_transaction;

/// What each statement of a text will do, in order.
///
/// Each is told as if it ran alone, on the catalog as it is now: a table that an earlier statement of the text makes is
/// no different from others. A text that the parser does not understand is never split; it is one unknown.
pub fn effects(sql: &str, catalog: &impl Catalog) -> Vec<Effects> {
    let parse = SourceFile::parse(sql);
    if !parse.errors().is_empty() {
        return vec![Effects {
            text: 0..sql.len(),
            unknown: Some("the parser does not understand it"),
            ..Effects::default()
        }];
    }
    parse
        .tree()
        .stmts()
        .map(|statement| {
            let range = statement.syntax().text_range();
            let mut effects = Effects {
                text: range.start().into()..range.end().into(),
                ..Effects::default()
            };
            statement::tell(&mut effects, &statement, catalog);
            effects
        })
        .collect()
}
