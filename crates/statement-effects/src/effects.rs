//! What a statement does, as plain values.

use std::fmt;
use std::ops::Range;

use crate::lock_mode::LockMode;

/// What PostgreSQL does when it runs one statement.
///
/// `Display` gives one line for each relation, then what else is to know, without the explanations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Effects {
    /// Where the statement stands in the text, in bytes.
    pub text: Range<usize>,
    /// What happens to each relation, in the order in which the statement names them.
    pub relations: Vec<RelationEffect>,
    /// Whether the server refuses it inside a transaction block.
    pub forbidden_in_transaction: bool,
    /// One sentence for each thing that the statement does, with the safer way where there is one.
    pub explanations: Vec<&'static str>,
    /// Why the effects, or further effects, cannot be told from the text. None where `relations` is all there is.
    pub unknown: Option<&'static str>,
}

/// What happens to one relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationEffect {
    /// Which relation.
    pub relation: Relation,
    /// The strongest lock taken on it.
    pub lock: LockMode,
    /// What becomes of its file.
    pub storage: Storage,
    /// Whether all its rows are read under that lock. A rewrite reads all rows as well and is not told again here.
    pub scan: Scan,
    /// Whether the same lock goes to its partitions and inheritance children, and, where it is a view, to the relations
    /// that the view reads. Indexes and owned sequences go with their table and are told only where a statement names
    /// them.
    pub extends: bool,
}

/// A relation of a statement. Names are as the statement writes them, with their quotes, as `to_regclass` takes them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Relation {
    /// The one of this name.
    Named(String),
    /// The table of the index or of the extended statistics object of this name, which the statement does not tell.
    TableOf(String),
    /// The table of which the named one is a partition, with its default partition.
    ParentOf(String),
    /// The default partition of the named one.
    DefaultPartitionOf(String),
    /// The tables that a foreign key of the named one references.
    ReferencedBy(String),
    /// The tables with a foreign key that references the named one.
    ReferencesTo(String),
    /// The tables on the other side of the foreign keys, if any, that this column is a part of.
    AcrossColumn {
        /// The column's table.
        table: String,
        /// The column, as in `pg_attribute`.
        column: String,
    },
    /// The table on the other side of this constraint, if it is a foreign key.
    AcrossConstraint {
        /// The constraint's table.
        table: String,
        /// The constraint, as in `pg_constraint`.
        constraint: String,
    },
    /// What CASCADE drops with the named object, or changes.
    DependentsOf(String),
    /// The relations that the named view reads.
    SourcesOf(String),
    /// The tables with a column of the named domain.
    TablesWithDomain(String),
    /// All tables of the database, or of the schema where the statement names one.
    All,
}

/// What becomes of a relation's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Storage {
    /// It stays.
    Kept,
    /// It is rewritten, row by row, under this condition, which only the catalog can tell.
    MayBeRewritten(&'static str),
    /// It is rewritten, row by row, and with it the relation's indexes.
    Rewritten,
    /// It is replaced by an empty one.
    Emptied,
    /// The relation is new: nobody else sees it before the transaction is committed.
    Created,
    /// The relation is dropped.
    Dropped,
}

/// Whether all rows are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scan {
    /// No, or only those that an ordinary query asks for by an index.
    No,
    /// They are read under this condition, which the text does not tell.
    May(&'static str),
    /// All of them.
    Full,
}

impl RelationEffect {
    /// A lock, and nothing else.
    pub(crate) fn new(relation: Relation, lock: LockMode) -> Self {
        Self {
            relation,
            lock,
            storage: Storage::Kept,
            scan: Scan::No,
            extends: false,
        }
    }

    pub(crate) fn named(name: &str, lock: LockMode) -> Self {
        Self::new(Relation::Named(name.to_owned()), lock)
    }

    pub(crate) fn stored(mut self, storage: Storage) -> Self {
        self.storage = storage;
        self
    }

    pub(crate) fn scanned(mut self, scan: Scan) -> Self {
        self.scan = scan;
        self
    }

    pub(crate) fn extending(mut self, extends: bool) -> Self {
        self.extends = extends;
        self
    }

    /// Two effects on one relation: the stronger of each.
    fn merge(&mut self, other: &Self) {
        self.lock = self.lock.max(other.lock);
        self.storage = self.storage.max(other.storage);
        self.scan = self.scan.max(other.scan);
        self.extends |= other.extends;
    }
}

impl Effects {
    /// The strongest lock on a relation that others can see.
    pub fn strongest_lock(&self) -> Option<LockMode> {
        self.relations
            .iter()
            .filter(|effect| effect.storage != Storage::Created)
            .map(|effect| effect.lock)
            .max()
    }

    pub(crate) fn add(&mut self, effect: RelationEffect) {
        match self
            .relations
            .iter_mut()
            .find(|known| known.relation == effect.relation)
        {
            Some(known) => known.merge(&effect),
            None => self.relations.push(effect),
        }
    }

    pub(crate) fn explain(&mut self, sentence: &'static str) {
        if !self.explanations.contains(&sentence) {
            self.explanations.push(sentence);
        }
    }

    /// The first reason stays.
    pub(crate) fn cannot_tell(&mut self, reason: &'static str) {
        self.unknown.get_or_insert(reason);
    }
}

impl fmt::Display for Effects {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<String> = self.relations.iter().map(ToString::to_string).collect();
        if self.forbidden_in_transaction {
            lines.push("cannot run in a transaction block".to_owned());
        }
        if let Some(reason) = self.unknown {
            lines.push(format!("unknown: {reason}"));
        }
        if lines.is_empty() {
            lines.push("locks no table".to_owned());
        }
        formatter.write_str(&lines.join("\n"))
    }
}

impl fmt::Display for RelationEffect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}: {}{}{}",
            self.relation, self.lock, self.storage, self.scan
        )
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => formatter.write_str(name),
            Self::TableOf(name) => write!(formatter, "the table of {name}"),
            Self::ParentOf(name) => write!(formatter, "the parent of {name}"),
            Self::DefaultPartitionOf(name) => write!(formatter, "the default partition of {name}"),
            Self::ReferencedBy(name) => write!(formatter, "tables that {name} references"),
            Self::ReferencesTo(name) => write!(formatter, "tables that reference {name}"),
            Self::AcrossColumn { table, column } => {
                write!(
                    formatter,
                    "tables that a foreign key connects with {table}.{column}"
                )
            }
            Self::AcrossConstraint { table, constraint } => {
                write!(
                    formatter,
                    "the table that {constraint} of {table} references"
                )
            }
            Self::DependentsOf(name) => write!(formatter, "what depends on {name}"),
            Self::SourcesOf(name) => write!(formatter, "what {name} reads"),
            Self::TablesWithDomain(name) => write!(formatter, "tables with a column of {name}"),
            Self::All => formatter.write_str("all tables"),
        }
    }
}

impl fmt::Display for Storage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept => Ok(()),
            Self::MayBeRewritten(condition) => write!(formatter, ", may be rewritten: {condition}"),
            Self::Rewritten => formatter.write_str(", rewritten"),
            Self::Emptied => formatter.write_str(", emptied"),
            Self::Created => formatter.write_str(", created"),
            Self::Dropped => formatter.write_str(", dropped"),
        }
    }
}

impl fmt::Display for Scan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No => Ok(()),
            Self::May(condition) => write!(formatter, ", may be scanned: {condition}"),
            Self::Full => formatter.write_str(", scanned"),
        }
    }
}
