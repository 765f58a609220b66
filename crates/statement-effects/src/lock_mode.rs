//! The table-level lock modes.

use std::fmt;

/// A table-level lock mode, by PostgreSQL's names and in its order, the weakest first.
///
/// The order is that of the server's own numbers. A later mode does not always conflict with more than an earlier one
/// (SHARE lets other SHARE locks in, the weaker SHARE UPDATE EXCLUSIVE not even its own kind);
/// [`LockMode::conflicts_with`] has the truth about that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockMode {
    /// `ACCESS SHARE`: what SELECT takes.
    AccessShare,
    /// `ROW SHARE`: what SELECT FOR UPDATE takes.
    RowShare,
    /// `ROW EXCLUSIVE`: what INSERT, UPDATE, DELETE and MERGE take.
    RowExclusive,
    /// `SHARE UPDATE EXCLUSIVE`: keeps other changes of the schema and VACUUM out.
    ShareUpdateExclusive,
    /// `SHARE`: keeps writers out.
    Share,
    /// `SHARE ROW EXCLUSIVE`: keeps writers out, and others of its own kind.
    ShareRowExclusive,
    /// `EXCLUSIVE`: lets only plain readers in.
    Exclusive,
    /// `ACCESS EXCLUSIVE`: keeps everybody out, readers too.
    AccessExclusive,
}

impl LockMode {
    /// All modes, the weakest first.
    pub const ALL: [Self; 8] = [
        Self::AccessShare,
        Self::RowShare,
        Self::RowExclusive,
        Self::ShareUpdateExclusive,
        Self::Share,
        Self::ShareRowExclusive,
        Self::Exclusive,
        Self::AccessExclusive,
    ];

    /// The name in SQL, such as `ACCESS SHARE`.
    pub fn name(self) -> &'static str {
        match self {
            Self::AccessShare => "ACCESS SHARE",
            Self::RowShare => "ROW SHARE",
            Self::RowExclusive => "ROW EXCLUSIVE",
            Self::ShareUpdateExclusive => "SHARE UPDATE EXCLUSIVE",
            Self::Share => "SHARE",
            Self::ShareRowExclusive => "SHARE ROW EXCLUSIVE",
            Self::Exclusive => "EXCLUSIVE",
            Self::AccessExclusive => "ACCESS EXCLUSIVE",
        }
    }

    /// The name in the column `mode` of `pg_locks`, such as `AccessShareLock`.
    pub fn name_in_pg_locks(self) -> &'static str {
        match self {
            Self::AccessShare => "AccessShareLock",
            Self::RowShare => "RowShareLock",
            Self::RowExclusive => "RowExclusiveLock",
            Self::ShareUpdateExclusive => "ShareUpdateExclusiveLock",
            Self::Share => "ShareLock",
            Self::ShareRowExclusive => "ShareRowExclusiveLock",
            Self::Exclusive => "ExclusiveLock",
            Self::AccessExclusive => "AccessExclusiveLock",
        }
    }

    /// Whether one transaction has to wait for another that holds `other`.
    pub fn conflicts_with(self, other: Self) -> bool {
        let weakest_conflict = match self {
            Self::AccessShare => Self::AccessExclusive,
            Self::RowShare => Self::Exclusive,
            Self::RowExclusive => Self::Share,
            Self::ShareUpdateExclusive => Self::ShareUpdateExclusive,
            // The only mode whose conflicts have a gap: it conflicts with ROW EXCLUSIVE, but not with itself.
            Self::Share => return other >= Self::RowExclusive && other != Self::Share,
            Self::ShareRowExclusive => Self::RowExclusive,
            Self::Exclusive => Self::RowShare,
            Self::AccessExclusive => Self::AccessShare,
        };
        other >= weakest_conflict
    }

    /// Whether SELECT has to wait.
    pub fn blocks_reads(self) -> bool {
        self.conflicts_with(Self::AccessShare)
    }

    /// Whether INSERT, UPDATE, DELETE and MERGE have to wait.
    pub fn blocks_writes(self) -> bool {
        self.conflicts_with(Self::RowExclusive)
    }
}

impl fmt::Display for LockMode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::LockMode;

    #[test]
    fn conflicts_are_mutual() {
        for one in LockMode::ALL {
            for other in LockMode::ALL {
                assert_eq!(one.conflicts_with(other), other.conflicts_with(one));
            }
        }
    }

    #[test]
    fn readers_and_writers_wait_for_what_keeps_them_out() {
        let readers: Vec<_> = LockMode::ALL
            .into_iter()
            .filter(|mode| mode.blocks_reads())
            .collect();
        assert_eq!(readers, [LockMode::AccessExclusive]);
        let writers: Vec<_> = LockMode::ALL
            .into_iter()
            .filter(|mode| mode.blocks_writes())
            .collect();
        assert_eq!(writers, LockMode::ALL[4..]);
    }
}
