//! Which field of the source goes into which column of the table.

use crate::manifest::{Content, DataSet, Format, ManifestError, Vanished};
use crate::source::{Field, Source, SourceError};
use crate::target::{Column, Table};

/// The fields that are loaded, and the columns that they go into, in the same order.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// How each file's rows are written.
    pub(crate) formats: Vec<Format>,
    pub(crate) fields: Vec<String>,
    pub(crate) columns: Vec<Column>,
    /// The positions of the key's columns.
    pub(crate) key: Vec<usize>,
}

/// Why source and table do not fit.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// The source cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The manifest leaves something open.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A file's fields do not fit the table.
    #[error("{file}:{line}: {problem}")]
    Header {
        /// The file.
        file: String,
        /// The line of the header, or of the first record that has the field.
        line: u64,
        /// What does not fit.
        problem: String,
    },
    /// What the manifest says of columns does not fit the table.
    #[error("data_sets.{data_set}: {problem}")]
    Columns {
        /// The data set.
        data_set: String,
        /// What does not fit.
        problem: String,
    },
}

impl Layout {
    /// Holds the fields of all files against the table.
    pub(crate) fn new(
        data_set: &DataSet,
        source: &Source,
        table: &Table,
    ) -> Result<Self, LayoutError> {
        let (formats, fields) = match &data_set.content {
            Content::Codes { column, .. } => (Vec::new(), vec![column.clone()]),
            Content::Rows { .. } => rows(data_set, source, table)?,
        };
        let columns = data_set.columns_of(&fields, table)?;
        require(data_set, source, table, &columns)?;
        require_mapped(data_set, source, &formats, &fields)?;
        data_set.require_mark_column(table, &columns)?;
        let key = table
            .key
            .iter()
            .filter_map(|name| columns.iter().position(|column| column.name == *name))
            .collect();
        Ok(Self {
            formats,
            fields,
            columns,
            key,
        })
    }

    /// Whether each value has one text that both the source and the server can be held to, and rows of one key have the
    /// same one.
    pub(crate) fn is_canonical(&self) -> bool {
        let mut key = self.key.iter().map(|&position| &self.columns[position]);
        self.columns.iter().all(|column| column.kind.is_canonical())
            && key.all(|column| column.is_deterministic)
    }
}

/// How each file's rows are written, and the fields to load of them.
fn rows(
    data_set: &DataSet,
    source: &Source,
    table: &Table,
) -> Result<(Vec<Format>, Vec<String>), LayoutError> {
    let Content::Rows { format, csv } = &data_set.content else {
        return Ok((Vec::new(), Vec::new()));
    };
    let mut formats = Vec::with_capacity(source.files.len());
    let mut headers: Vec<Vec<Field>> = Vec::with_capacity(source.files.len());
    for file in &source.files {
        let format =
            format
                .or_else(|| file.format())
                .ok_or_else(|| ManifestError::UnknownFormat {
                    data_set: data_set.name.clone(),
                    file: file.name.clone(),
                })?;
        formats.push(format);
        headers.push(crate::source::fields(file, format, csv)?);
    }

    let mut fields: Vec<String> = Vec::new();
    for (file, header) in source.files.iter().zip(&headers) {
        for (position, Field { name, line }) in header.iter().enumerate() {
            let problem = |problem: String| LayoutError::Header {
                file: file.name.clone(),
                line: *line,
                problem,
            };
            if has(&header[..position], name) {
                return Err(problem(format!("the column {name:?} stands there twice")));
            }
            if data_set.ignore.contains(name) {
                continue;
            }
            if data_set.column_of(name, table).is_none() {
                return Err(problem(unknown(name, table)));
            }
            if !fields.contains(name) {
                fields.push(name.clone());
            }
        }
    }
    // In JSON a field that is not there is NULL; a CSV file that lacks a column which others have is an accident.
    for ((file, header), format) in source.files.iter().zip(&headers).zip(&formats) {
        if *format == Format::Csv
            && let Some(name) = fields.iter().find(|name| !has(header, name))
        {
            return Err(LayoutError::Header {
                file: file.name.clone(),
                line: 1,
                problem: format!(
                    "the column {name:?} is missing, which other files of the data set have"
                ),
            });
        }
    }
    if fields.is_empty() && !formats.contains(&Format::Csv) {
        // Objects name their fields themselves; where there are none, no field is missing.
        let needed = table.columns.iter().filter(|column| table.needs(column));
        fields.extend(needed.map(|column| data_set.field_of(&column.name).to_owned()));
    }
    Ok((formats, fields))
}

fn has(header: &[Field], name: &str) -> bool {
    header.iter().any(|field| field.name == name)
}

fn unknown(name: &str, table: &Table) -> String {
    let known: Vec<_> = table.columns.iter().map(|column| &*column.name).collect();
    format!(
        "the table {} has no column {name:?}; it has {}",
        table.name,
        known.join(", ")
    )
}

/// What the table cannot do without must be in the source.
fn require(
    data_set: &DataSet,
    source: &Source,
    table: &Table,
    columns: &[Column],
) -> Result<(), LayoutError> {
    let missing = table.columns.iter().find(|column| {
        table.needs(column) && !columns.iter().any(|loaded| loaded.name == column.name)
    });
    match missing {
        None => Ok(()),
        Some(column) => Err(LayoutError::Header {
            file: source.files[0].name.clone(),
            line: 1,
            problem: format!(
                "the column {:?} ({}) is missing; the table {} requires it",
                data_set.field_of(&column.name),
                column.type_name,
                table.name
            ),
        }),
    }
}

/// What the manifest fills a column from must be in the source, if that is CSV; in JSON it is NULL where it is not there.
fn require_mapped(
    data_set: &DataSet,
    source: &Source,
    formats: &[Format],
    fields: &[String],
) -> Result<(), LayoutError> {
    let mut mapped = data_set.columns.iter();
    let missing =
        mapped.find(|(_, field)| !fields.contains(field) && !data_set.ignore.contains(field));
    let file = formats.iter().position(|format| *format == Format::Csv);
    match (missing, file) {
        (Some((column, field)), Some(file)) => Err(LayoutError::Header {
            file: source.files[file].name.clone(),
            line: 1,
            problem: format!(
                "the column {field:?} is missing, from which the manifest fills {column}"
            ),
        }),
        _ => Ok(()),
    }
}

impl DataSet {
    /// The field of the source that a column is filled from.
    pub(crate) fn field_of<'name>(&'name self, column: &'name str) -> &'name str {
        self.columns.get(column).map_or(column, String::as_str)
    }

    /// The column that a field goes into: the one that the manifest says, otherwise that of its name.
    fn column_of<'table>(&self, field: &str, table: &'table Table) -> Option<&'table Column> {
        let mapped = self.columns.iter().find(|(_, source)| *source == field);
        match mapped {
            Some((column, _)) => table.column(column),
            None if self.columns.contains_key(field) => None,
            None => table.column(field),
        }
    }

    /// Where vanished rows are to be marked, there must be a column for it.
    fn require_mark_column(&self, table: &Table, columns: &[Column]) -> Result<(), LayoutError> {
        let name = &self.mark_column;
        let problem = if self.vanished != Some(Vanished::Mark) {
            return Ok(());
        } else if table.column(name).is_none() {
            format!("the table {} has no column {name:?}", table.name)
        } else if columns.iter().any(|column| column.name == *name) {
            format!("the column {name:?} is filled from the source")
        } else if let Some(column) = table.column(name)
            && !column.takes_time()
        {
            format!(
                "the column {name:?} of type {} takes no time",
                column.type_name
            )
        } else {
            return Ok(());
        };
        Err(LayoutError::Columns {
            data_set: self.name.clone(),
            problem: format!("vanished rows cannot be marked: {problem}"),
        })
    }

    fn columns_of(&self, fields: &[String], table: &Table) -> Result<Vec<Column>, LayoutError> {
        let problem = |problem: String| LayoutError::Columns {
            data_set: self.name.clone(),
            problem,
        };
        if let Some(column) = self
            .columns
            .keys()
            .find(|name| table.column(name).is_none())
        {
            return Err(problem(format!("columns: {}", unknown(column, table))));
        }
        fields
            .iter()
            .map(|field| {
                self.column_of(field, table)
                    .cloned()
                    .ok_or_else(|| problem(unknown(field, table)))
            })
            .collect()
    }
}
