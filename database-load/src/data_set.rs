//! What is loaded into which table.

/// A source and the table it belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DataSet {
    /// Its name, which is also the table's.
    pub(crate) table: &'static str,
    /// The file's name in the data directory.
    pub(crate) file: &'static str,
    /// The file's content as it was compiled in.
    pub(crate) embedded: &'static [u8],
}

/// The data sets of order-food.
pub(crate) const DATA_SETS: [DataSet; 1] = [DataSet {
    table: "products",
    file: "products.csv",
    embedded: include_bytes!("../data/products.csv"),
}];
