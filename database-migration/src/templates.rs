//! What new migrations are made of.

use std::path::{Path, PathBuf};

/// The built-in templates by their names; the first one is used when none is named.
const BUILT_IN: [(&str, &str); 5] = [
    ("empty", include_str!("../templates/empty.sql")),
    ("table", include_str!("../templates/table.sql")),
    ("column", include_str!("../templates/column.sql")),
    ("index", include_str!("../templates/index.sql")),
    ("foreign-key", include_str!("../templates/foreign-key.sql")),
];

/// A text with the placeholders `{{name}}` and `{{version}}`.
#[derive(Debug)]
pub(crate) struct Template {
    /// Where it is, for messages.
    pub(crate) path: PathBuf,
    text: String,
}

/// Why there is no such template.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The name is none of the built-in ones, and no path.
    #[error(
        "there is no template {name:?}; expected {}, or the path of a file such as ./{name}.sql",
        names()
    )]
    Unknown {
        /// The name.
        name: String,
    },
    /// The file cannot be read.
    #[error("the template {} cannot be read: {source}", .path.display())]
    Unreadable {
        /// The file's path.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
}

impl Template {
    /// The built-in template of this name, or that of the file with this path.
    pub(crate) fn named(name: &str) -> Result<Self, TemplateError> {
        let path = Path::new(name);
        if let Some((_, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) {
            return Ok(Self {
                path: path.to_owned(),
                text: (*text).to_owned(),
            });
        }
        let is_path = path.components().count() > 1 || path.extension().is_some() || path.exists();
        if !is_path {
            return Err(TemplateError::Unknown {
                name: name.to_owned(),
            });
        }
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Self {
                path: path.to_owned(),
                text,
            }),
            Err(source) => Err(TemplateError::Unreadable {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// The text for one migration.
    pub(crate) fn fill(&self, version: &str, name: &str) -> String {
        self.text
            .replace("{{version}}", version)
            .replace("{{name}}", name)
    }
}

/// The names of the built-in templates.
pub(crate) fn names() -> String {
    BUILT_IN.map(|(name, _)| name).join(", ")
}
