//! SQLSTATE classes, named by what a program does about them. Codes: PostgreSQL's documentation, appendix A.

use tokio_postgres::error::SqlState;

/// The server is there but does not take this connection now: starting, stopping, or out of connections.
#[must_use]
pub fn is_not_ready(state: &SqlState) -> bool {
    *state == SqlState::CANNOT_CONNECT_NOW
        || *state == SqlState::TOO_MANY_CONNECTIONS
        || is_connection_lost(state)
}

/// The connection is gone, by a crash, a shutdown or the network.
#[must_use]
pub fn is_connection_lost(state: &SqlState) -> bool {
    // A pooler reports its own protocol errors in class 08, too; those do not pass by waiting.
    let connection_exception = state.code().starts_with("08") && !is_protocol_violation(state);
    connection_exception || *state == SqlState::ADMIN_SHUTDOWN || *state == SqlState::CRASH_SHUTDOWN
}

/// A server that is still being initialised may not know its roles or databases yet.
#[must_use]
pub fn is_possibly_being_initialised(state: &SqlState) -> bool {
    state.code().starts_with("28") || *state == SqlState::INVALID_CATALOG_NAME
}

/// A pooler answers so to start-up parameters that it does not know.
#[must_use]
pub fn is_protocol_violation(state: &SqlState) -> bool {
    *state == SqlState::PROTOCOL_VIOLATION
}

/// A lock was not granted within `lock_timeout`.
#[must_use]
pub fn is_lock_not_available(state: &SqlState) -> bool {
    *state == SqlState::LOCK_NOT_AVAILABLE
}

/// A transaction gave way to others and was rolled back: the same again may succeed.
#[must_use]
pub fn is_lost_to_other_transactions(state: &SqlState) -> bool {
    is_lock_not_available(state)
        || *state == SqlState::T_R_DEADLOCK_DETECTED
        || *state == SqlState::T_R_SERIALIZATION_FAILURE
}
