//! Indexes that are built concurrently: finding, comparing and removing what an interrupted build leaves.

use tracing::info;

use crate::script::ConcurrentIndex;
use crate::session::{Query, Session, SessionError};
use crate::sql::{literal, quoted};

/// Ends the names of what is made to compare definitions by, no longer than those of tables that stay.
const COPY_SUFFIX: &str = "_copy";
const COPIED_INDEX_SUFFIX: &str = "_index";

/// What is there under an index's name.
pub(super) enum IndexState {
    Absent,
    BeingBuilt {
        process: String,
    },
    Invalid {
        qualified: String,
    },
    Valid {
        existing: String,
        schema: String,
    },
    /// One of that name on another table of the schema.
    OnAnotherTable {
        existing: String,
    },
}

/// SQL that fails if the index is there, but invalid: `IF NOT EXISTS` is content with such a one, which serves no query.
pub(super) fn refusal_of_invalid(name: &str) -> String {
    let message = literal(&format!("the index {name} exists, but is invalid"));
    format!(
        "DO $refusal$
         BEGIN
             IF EXISTS (
                 SELECT FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
                 WHERE indexrelid = to_regclass({}) AND relkind = 'i' AND NOT indisvalid
             ) THEN
                 RAISE object_not_in_prerequisite_state USING MESSAGE = {message},
                     HINT = 'DROP INDEX ' || {} || ', which serves no query, and run again.';
             END IF;
         END
         $refusal$",
        literal(name),
        literal(name),
    )
}

/// Looks for an index in the schema of its table.
pub(super) async fn state(
    session: &Session,
    index: &ConcurrentIndex,
) -> Result<IndexState, SessionError> {
    let rows = session
        .rows(&format!(
            "SELECT indexrelid::regclass, indisvalid AND indisready, pg_get_indexdef(indexrelid),
                    (SELECT max(pid) FROM pg_stat_progress_create_index WHERE index_relid = indexrelid),
                    indrelid = to_regclass({}),
                    (SELECT quote_ident(nspname) FROM pg_namespace WHERE pg_namespace.oid = schema)
             FROM {}",
            literal(&index.table),
            found(index)
        ))
        .await?;
    let text = |column| {
        let row = rows.first()?;
        row.get(column).map(ToOwned::to_owned)
    };
    let existing = text(2).unwrap_or_default();
    Ok(match (text(0), text(1).as_deref(), text(3)) {
        (None, _, _) => IndexState::Absent,
        _ if text(4).as_deref() == Some("f") => IndexState::OnAnotherTable { existing },
        (Some(_), _, Some(process)) => IndexState::BeingBuilt { process },
        (Some(qualified), Some("f"), None) => IndexState::Invalid { qualified },
        (Some(_), _, None) => IndexState::Valid {
            existing,
            schema: text(5).unwrap_or_default(),
        },
    })
}

/// Whether the index that is there is the one that the statement would make. The server itself is the judge: it makes
/// such an index on an empty copy of the table, in a transaction that is rolled back. The copy stands in the table's
/// schema, where a role that builds indexes may create tables, too; not every role may create temporary ones.
pub(super) async fn is_of_definition(
    session: &Session,
    index: &ConcurrentIndex,
    schema: &str,
) -> Result<bool, SessionError> {
    let named = |suffix| quoted(&format!("{}{suffix}", session.location().table));
    let copy = format!("{schema}.{}", named(COPY_SUFFIX));
    let copied_index = format!("{schema}.{}", named(COPIED_INDEX_SUFFIX));
    let creation = index.on(&named(COPIED_INDEX_SUFFIX), &copy);
    let rows = session
        .rows(&format!(
            "BEGIN; CREATE TABLE {copy} (LIKE {}); {creation};
             SELECT bool_and(here.indisunique = there.indisunique
                 AND substr(pg_get_indexdef(here.indexrelid), strpos(pg_get_indexdef(here.indexrelid), ' USING '))
                   = substr(pg_get_indexdef(there.indexrelid), strpos(pg_get_indexdef(there.indexrelid), ' USING ')))
             FROM {}, pg_index AS here WHERE here.indexrelid = {}::regclass;
             ROLLBACK",
            index.table,
            found(index),
            literal(&copied_index)
        ))
        .await?;
    Ok(rows.iter().any(|row| row.get(0) == Some("t")))
}

/// Drops an index while its table is in use.
pub(super) async fn drop(session: &Session, qualified: &str) -> Result<(), SessionError> {
    session.run(Query::own("SET lock_timeout = 0")).await?;
    let statement = format!("DROP INDEX CONCURRENTLY IF EXISTS {qualified}");
    session.run(Query::own(&statement)).await
}

/// Drops what an interrupted `REINDEX CONCURRENTLY` leaves: the index it was building, or the one it has replaced.
pub(super) async fn drop_leftovers(session: &Session) -> Result<(), SessionError> {
    let rows = session
        .rows(
            "SELECT indexrelid::regclass
             FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
             WHERE NOT indisvalid AND relname ~ '_cc(new|old)[0-9]*$' AND pg_has_role(relowner, 'USAGE')
               AND relnamespace <> 'pg_toast'::regnamespace
               AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index WHERE index_relid = indexrelid)",
        )
        .await?;
    for qualified in rows.iter().filter_map(|row| row.get(0)) {
        info!("{qualified} is left over from an interrupted REINDEX; it is dropped");
        drop(session, qualified).await?;
    }
    Ok(())
}

/// The row in `pg_index` of what has the index's name, as something to select from.
fn found(index: &ConcurrentIndex) -> String {
    format!(
        "(SELECT pg_index.*, named.relnamespace AS schema FROM pg_class AS indexed
          JOIN pg_class AS named ON named.relnamespace = indexed.relnamespace
            AND named.relname = (parse_ident({}))[1]
          JOIN pg_index ON indexrelid = named.oid
          WHERE indexed.oid = to_regclass({})) AS there",
        literal(&index.name),
        literal(&index.table)
    )
}
