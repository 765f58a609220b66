//! A data directory without a manifest: each file or folder is named after its table.

use std::collections::BTreeMap;
use std::fs::ReadDir;
use std::path::Path;

use data_file::Compression;

use crate::manifest::{Content, DataSet, Files, Format, Manifest, ManifestError};

/// The data set of coupon codes.
const COUPONS: &str = "coupons";
/// Files whose lines are candidates for coupon codes.
const COUPON_FILES: [&str; 2] = ["couponbase*.gz", "couponbase*.txt"];

pub(super) fn read(directory: &Path) -> Result<Manifest, ManifestError> {
    let mut patterns: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut has_coupon_files = false;
    for entry in entries(directory)? {
        let path = entry.map_err(|error| unreadable(directory, &error))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        // A volume made of a ConfigMap has hidden folders beside the files, and a disk one of the file system's own.
        if name.starts_with('.') || name == "lost+found" {
            continue;
        }
        if is_coupon_file(name) {
            has_coupon_files = true;
        } else if path.is_dir() {
            let names =
                entries(&path)?.filter_map(|file| file.ok()?.file_name().into_string().ok());
            let data =
                names.filter(|file| !file.starts_with('.') && table_of(Path::new(file)).is_some());
            let data = data.map(|file| format!("{}/{}", escaped(name), escaped(&file)));
            patterns.entry(name.to_owned()).or_default().extend(data);
        } else if let Some(table) = table_of(&path) {
            patterns.entry(table).or_default().push(escaped(name));
        }
    }
    patterns.retain(|_, files| !files.is_empty());
    let mut data_sets: Vec<_> = patterns
        .into_iter()
        .map(|(table, patterns)| {
            DataSet::new(&table, matching(directory, patterns), Content::rows())
        })
        .collect();
    if has_coupon_files {
        if let Some(set) = data_sets.iter().find(|set| set.name == COUPONS) {
            return Err(ManifestError::Invalid {
                path: directory.to_owned(),
                problem: format!(
                    "{} come from couponbase files and from files of that name: leave one of them there",
                    set.name
                ),
            });
        }
        let files = matching(directory, COUPON_FILES.map(str::to_owned).to_vec());
        data_sets.push(DataSet::new(COUPONS, files, Content::coupon_codes()));
    }
    if data_sets.is_empty() {
        return Err(ManifestError::Empty {
            path: directory.to_owned(),
        });
    }
    Ok(Manifest { data_sets })
}

fn entries(directory: &Path) -> Result<ReadDir, ManifestError> {
    std::fs::read_dir(directory).map_err(|error| unreadable(directory, &error))
}

fn unreadable(directory: &Path, error: &std::io::Error) -> ManifestError {
    ManifestError::Unreadable {
        path: directory.to_owned(),
        problem: error.to_string(),
    }
}

fn matching(directory: &Path, patterns: Vec<String>) -> Files {
    Files::Matching {
        directory: directory.to_owned(),
        patterns,
    }
}

fn is_coupon_file(name: &str) -> bool {
    let is_lines = Path::new(name)
        .extension()
        .is_some_and(|extension| extension == "gz" || extension == "txt");
    name.starts_with("couponbase") && is_lines
}

/// The table that a file is named after, if it is a data file.
fn table_of(path: &Path) -> Option<String> {
    let name = Compression::strip_extension(path);
    Format::of_name(name)?;
    name.file_stem()?.to_str().map(str::to_owned)
}

fn escaped(name: &str) -> String {
    glob::Pattern::escape(name)
}
