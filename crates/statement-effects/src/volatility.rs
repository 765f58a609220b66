//! Whether a column's default makes the table rewritten.

use squawk_syntax::ast::{AstNode, CallExpr, CastExpr, Expr};

use crate::column_type;
use crate::effects::Storage;
use crate::names::written;

const VOLATILE_FUNCTION: &str = "if a function of the default is volatile";

/// Functions of PostgreSQL, and of the extensions that come with it, that give another value for each row.
const VOLATILE: [&str; 17] = [
    "clock_timestamp",
    "currval",
    "gen_random_bytes",
    "gen_random_uuid",
    "gen_salt",
    "lastval",
    "nextval",
    "pg_sleep",
    "random",
    "random_normal",
    "setval",
    "timeofday",
    "uuid_generate_v1",
    "uuid_generate_v1mc",
    "uuid_generate_v4",
    "uuidv4",
    "uuidv7",
];

/// Functions of PostgreSQL that stay the same for a whole statement, and that defaults use.
const STABLE_OR_IMMUTABLE: [&str; 58] = [
    "abs",
    "age",
    "array_append",
    "array_fill",
    "array_to_string",
    "bit_length",
    "btrim",
    "ceil",
    "ceiling",
    "char_length",
    "chr",
    "coalesce",
    "concat",
    "concat_ws",
    "current_database",
    "current_setting",
    "date_part",
    "date_trunc",
    "decode",
    "encode",
    "floor",
    "format",
    "greatest",
    "initcap",
    "json_build_array",
    "json_build_object",
    "jsonb_build_array",
    "jsonb_build_object",
    "least",
    "left",
    "length",
    "lower",
    "lpad",
    "ltrim",
    "make_date",
    "make_interval",
    "make_timestamp",
    "make_timestamptz",
    "md5",
    "now",
    "nullif",
    "power",
    "repeat",
    "replace",
    "right",
    "round",
    "rpad",
    "rtrim",
    "statement_timestamp",
    "substr",
    "timezone",
    "to_char",
    "to_date",
    "to_json",
    "to_jsonb",
    "to_timestamp",
    "transaction_timestamp",
    "upper",
];

/// What becomes of a table that gets a column with this default: it is computed once where it is the same for all rows.
pub(crate) fn of_default(default: &Expr) -> Storage {
    let calls = default
        .syntax()
        .descendants()
        .filter_map(CallExpr::cast)
        .map(|call| of_call(&call));
    let casts = default
        .syntax()
        .descendants()
        .filter_map(CastExpr::cast)
        .map(|cast| of_cast(&cast));
    calls.chain(casts).max().unwrap_or(Storage::Kept)
}

/// Whether a call is of a function that changes no relation's schema or rows besides a sequence's value.
pub(crate) fn is_harmless(call: &CallExpr) -> bool {
    call.expr().is_none_or(|function| {
        let name = name_of(&function);
        // Functions with this beginning look after the server.
        name.starts_with("pg_")
            || ["set_config", "generate_series", "unnest"].contains(&name.as_str())
            || VOLATILE.contains(&name.as_str())
            || STABLE_OR_IMMUTABLE.contains(&name.as_str())
    })
}

fn name_of(function: &Expr) -> String {
    let name = written(function).to_lowercase();
    match name.strip_prefix("pg_catalog.") {
        Some(short) => short.to_owned(),
        None => name,
    }
}

fn of_call(call: &CallExpr) -> Storage {
    // Forms with a grammar of their own, such as EXTRACT, have no name; none of them is volatile.
    let Some(function) = call.expr() else {
        return Storage::Kept;
    };
    let name = name_of(&function);
    let name = name.as_str();
    if VOLATILE.contains(&name) {
        Storage::Rewritten
    } else if STABLE_OR_IMMUTABLE.contains(&name) {
        Storage::Kept
    } else {
        Storage::MayBeRewritten(VOLATILE_FUNCTION)
    }
}

/// A cast to a type of somebody's own may call any function.
fn of_cast(cast: &CastExpr) -> Storage {
    let Some(target) = cast.ty() else {
        return Storage::MayBeRewritten(VOLATILE_FUNCTION);
    };
    match column_type::added(&target.syntax().text().to_string()) {
        Storage::Kept => Storage::Kept,
        _ => Storage::MayBeRewritten(VOLATILE_FUNCTION),
    }
}
