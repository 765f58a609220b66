//! `unnamed-concurrent-index`.

use squawk_syntax::ast::Stmt;

use crate::lint::rules::{Rule, Violation};
use crate::lint::{Level, Migrations, Statement};

/// Finds concurrent index builds whose index the server is to name.
pub(super) struct UnnamedConcurrentIndex;

impl Rule for UnnamedConcurrentIndex {
    fn name(&self) -> &'static str {
        "unnamed-concurrent-index"
    }

    fn title(&self) -> &'static str {
        "CREATE INDEX CONCURRENTLY without a name"
    }

    fn why(&self) -> &'static str {
        "a build that was interrupted leaves an invalid index, which is found again only by its name"
    }

    fn level(&self) -> Level {
        Level::Deny
    }

    fn check(&self, migrations: &Migrations<'_>) -> Vec<Violation> {
        let unnamed = migrations
            .statements()
            .filter(|(_, statement)| is_unnamed(statement));
        unnamed
            .map(|(script, statement)| {
                script
                    .violation_by(
                        statement,
                        "an index that is built concurrently needs a name, or its build cannot be taken up again",
                    )
                    .help("write its name after CONCURRENTLY")
            })
            .collect()
    }
}

fn is_unnamed(statement: &Statement) -> bool {
    matches!(
        &statement.syntax,
        Stmt::CreateIndex(create) if create.concurrently_token().is_some() && create.index().is_none()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::tests::{found, up};

    #[test]
    fn only_concurrent_builds_need_a_name() {
        let violations = |sql: &str| found(&UnnamedConcurrentIndex, &[up(sql)]).len();
        assert_eq!(violations("CREATE INDEX CONCURRENTLY ON a (b);"), 1);
        assert_eq!(violations("CREATE UNIQUE INDEX CONCURRENTLY ON a (b);"), 1);
        assert_eq!(violations("CREATE INDEX CONCURRENTLY i ON a (b);"), 0);
        assert_eq!(violations("CREATE INDEX ON a (b);"), 0);
    }
}
