//! What the program can do, a file each.

pub(crate) mod load;
