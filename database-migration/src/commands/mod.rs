//! What the program can do, a file each.

pub(crate) mod up;
pub(crate) mod wait;
