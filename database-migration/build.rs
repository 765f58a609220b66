//! Compiles the files of `migrations/` into the program.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let directory =
        Path::new(&env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?).join("migrations");
    println!("cargo::rerun-if-changed={}", directory.display());

    let mut files: Vec<_> = fs::read_dir(&directory)?.collect::<Result<_, _>>()?;
    files.sort_by_key(fs::DirEntry::file_name);
    let mut entries = String::from("&[\n");
    for file in files {
        let not_utf8 = || io::Error::other("the path of a migration is not UTF-8");
        let path = file.path();
        let path = path.to_str().ok_or_else(not_utf8)?;
        let name = file.file_name();
        let name = name.to_str().ok_or_else(not_utf8)?;
        if is_entry(name) {
            let _ = writeln!(entries, "    ({name:?}, include_bytes!({path:?})),");
        }
    }
    entries.push_str("]\n");
    fs::write(
        Path::new(&env::var("OUT_DIR").map_err(io::Error::other)?).join("migrations.rs"),
        entries,
    )
}

/// The same names are left out as in a directory that is read when the program runs.
fn is_entry(name: &str) -> bool {
    if name.starts_with('.') || name == "lost+found" {
        return false;
    }
    let is_sql = Path::new(name)
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("sql"));
    if !is_sql {
        println!("cargo::warning={name} in migrations/ does not end in .sql and was left alone");
    }
    is_sql
}
