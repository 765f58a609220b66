//! The data compiled in.

use crate::manifest::{Content, DataSet, Files, Manifest};

/// A file that was compiled in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EmbeddedFile {
    pub(crate) name: &'static str,
    pub(crate) content: &'static [u8],
}

/// order-food's products, and the coupon codes that its public coupon files make valid.
const FILES: [(&str, EmbeddedFile); 2] = [
    (
        "products",
        EmbeddedFile {
            name: "products.csv",
            content: include_bytes!("../../data/products.csv"),
        },
    ),
    (
        "coupons",
        EmbeddedFile {
            name: "coupons.csv",
            content: include_bytes!("../../data/coupons.csv"),
        },
    ),
];

pub(super) fn manifest() -> Manifest {
    let data_sets = FILES
        .iter()
        .map(|(name, file)| DataSet::new(name, Files::Embedded(*file), Content::rows()))
        .collect();
    Manifest { data_sets }
}
