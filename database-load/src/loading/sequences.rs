//! Sequences that give columns their values, moved on past the values that were loaded, so that the next row of somebody
//! else does not get a value that is taken.

use tokio_postgres::Transaction;
use tokio_postgres::types::Type;
use tracing::{Instrument, warn};

use crate::error::LoadError;
use crate::loading::DataSetWork;
use crate::target::sql::identifier;
use crate::target::statement_span;

/// So far a sequence is moved on step by step, which cannot take back what others draw from it meanwhile.
const STEPS: u32 = 1000;

/// A sequence that belongs to a column.
struct Sequence {
    oid: u32,
    name: String,
    column: String,
    /// Whether the user may read it and move it on.
    is_allowed: bool,
}

/// Moves on the sequences of the loaded columns. They do not go back when the transaction is rolled back, which leaves a
/// gap and no harm.
pub(super) async fn move_on(
    transaction: &Transaction<'_>,
    work: &DataSetWork,
) -> Result<(), LoadError> {
    let moving = async {
        for sequence in of_loaded_columns(transaction, work).await? {
            if sequence.is_allowed {
                move_past_loaded(transaction, work, &sequence).await?;
            } else {
                warn!(
                    "{}: {}, which gives {} its values, may be behind what was loaded: whoever loads needs SELECT \
                     and UPDATE on it",
                    work.data_set.name, sequence.name, sequence.column
                );
            }
        }
        Ok(())
    };
    moving.await.map_err(|error| work.database_error(error))
}

/// Those that count upwards and belong to an integer column of the source.
async fn of_loaded_columns(
    transaction: &Transaction<'_>,
    work: &DataSetWork,
) -> Result<Vec<Sequence>, tokio_postgres::Error> {
    let columns: Vec<_> = work
        .layout
        .columns
        .iter()
        .map(|column| &column.name)
        .collect();
    let rows = transaction
        .query_typed(
            "SELECT seqrelid, seqrelid::regclass::text, attname::text,
                    has_sequence_privilege(seqrelid, 'UPDATE') AND has_sequence_privilege(seqrelid, 'SELECT')
             FROM pg_depend
             JOIN pg_sequence ON seqrelid = objid AND seqincrement > 0
             JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid
             WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass AND refobjid = $1
               AND deptype IN ('a', 'i') AND attname = ANY ($2)
               AND atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
             ORDER BY attnum",
            &[(&work.table.oid, Type::OID), (&columns, Type::TEXT_ARRAY)],
        )
        .await?;
    let sequence = |row: &tokio_postgres::Row| Sequence {
        oid: row.get(0),
        name: row.get(1),
        column: row.get(2),
        is_allowed: row.get(3),
    };
    Ok(rows.iter().map(sequence).collect())
}

/// Where the application's values begin far above those of the source, it stays where it is.
async fn move_past_loaded(
    transaction: &Transaction<'_>,
    work: &DataSetWork,
    sequence: &Sequence,
) -> Result<(), tokio_postgres::Error> {
    let query = format!(
        "SELECT CASE WHEN steps > {STEPS} THEN setval($1, highest)
                     ELSE (SELECT max(nextval($1)) FROM generate_series(1, steps)) END
         FROM (SELECT highest,
                      floor((highest - last_value::numeric) / seqincrement) + CASE WHEN is_called THEN 0 ELSE 1 END
                          AS steps
               FROM (SELECT max({column})::bigint AS highest FROM {table}) AS loaded, pg_sequence, {sequence}
               WHERE seqrelid = $1 AND highest BETWEEN last_value AND seqmax) AS distance",
        column = identifier(&sequence.column),
        table = work.table.qualified(),
        sequence = sequence.name,
    );
    transaction
        .query_typed(&query, &[(&sequence.oid, Type::OID)])
        .instrument(statement_span("SELECT", &work.table))
        .await?;
    Ok(())
}
