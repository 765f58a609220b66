//! What the program can do, a file each.

pub(crate) mod adopt;
pub(crate) mod baseline;
pub(crate) mod completions;
pub(crate) mod create;
pub(crate) mod down;
pub(crate) mod lint;
pub(crate) mod man;
pub(crate) mod plan;
pub(crate) mod redo;
pub(crate) mod repair;
pub(crate) mod status;
pub(crate) mod up;
pub(crate) mod verify;
pub(crate) mod wait;
