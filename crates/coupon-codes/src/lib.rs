//! Derives the codes that stand in several of some files, exactly, however large the files are.
//!
//! # What a code is
//!
//! A line of a file, without its line end (`\n` or `\r\n`; the last line needs none), is a code if it is UTF-8 and has a
//! valid number of characters. Everything else of the line belongs to the code: upper and lower case differ, and so do
//! lines with and without white space around them. What counts is the number of *files* a code stands in, not that of
//! its lines.
//!
//! # How it is done
//!
//! Each file is read once. Its codes are packed into eight bytes each (those of other characters than `A-Z`, `a-z` and
//! `0-9`, or of more than ten, are kept as text) and written to a file of the work directory, in blocks that each belong
//! to one of 256 buckets by a hash of the code. Then bucket after bucket of all files is read back and sorted, which
//! shows in how many files each code stands.
//!
//! # Bounds
//!
//! - Memory: below 256 MiB, whatever the size of the files and the number of duplicates in them; besides, what is
//!   derived, and the window of a Zstandard file where it is larger than usual.
//! - Disk: eight bytes for each line that is a code of usual characters, and its length and one byte for another one.
//!
//! # Interrupted runs
//!
//! A finished scan of a file is kept in the work directory by the hash of the file's content, until
//! [`WorkDirectory::clean`] removes it, so neither a run that is killed nor one whose results could not be stored makes
//! the next one read the file again. Damage to a kept scan, such as a machine's crash may leave, is noticed, and the
//! file is read again. What a killed or stopped run leaves of half-finished scans is removed by the next one, as are scans
//! of files that are no longer asked for; a run that fails removes it itself.

mod code;
mod count;
mod error;
mod lines;
mod packed;
mod progress;
mod scan;
mod text;
mod work_directory;
mod workers;

use std::fs;
use std::path::{Path, PathBuf};

use data_file::{Compression, ContentHash, DataFileError};

use count::Counted;
pub use error::CouponError;
pub use progress::Progress;
pub use work_directory::WorkDirectory;

/// Which codes are valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The fewest characters of a code.
    pub minimum_length: usize,
    /// The most characters of a code.
    pub maximum_length: usize,
    /// How many files a code must stand in, at least.
    pub minimum_files: usize,
}

/// A file of codes, one a line.
#[derive(Debug, Clone)]
pub struct CodeFile {
    /// Where it is.
    pub path: PathBuf,
    /// Of the content that it is expected to have.
    pub hash: ContentHash,
}

/// What was derived.
#[derive(Debug)]
pub struct Derived {
    /// The valid codes, sorted.
    pub codes: Vec<String>,
    /// All lines of all files.
    pub lines: u64,
    /// What was found in each file, in the order in which they were given.
    pub files: Vec<FileFigures>,
    /// The most disk that was used in the work directory.
    pub work_bytes: u64,
    /// How many files were not read since their scan was kept.
    pub resumed: usize,
    /// Locked until it is cleaned or dropped, and holding the scans until it is cleaned.
    pub work: WorkDirectory,
}

/// What was found in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFigures {
    /// The file.
    pub path: PathBuf,
    /// All its lines.
    pub lines: u64,
    /// Those that are codes, being of a valid length.
    pub codes: u64,
    /// How many different codes these are.
    pub distinct: u64,
    /// Lines that are not UTF-8. Lines of more bytes than any code has are not looked into.
    pub not_text: u64,
}

/// Derives the valid codes of some files, using a directory for temporary files.
///
/// This blocks its thread and uses others. Another derivation in the same directory, by whatever process, is waited for.
/// The directory is made where it is missing. When the codes are stored, clean it:
///
/// ```
/// # use coupon_codes::{CodeFile, Progress, Rule, derive};
/// # let directory = tempfile::tempdir()?;
/// # let file = |name: &str, content: &str| -> Result<CodeFile, Box<dyn std::error::Error>> {
/// #     let path = directory.path().join(name);
/// #     std::fs::write(&path, content)?;
/// #     Ok(CodeFile { hash: data_file::ContentHash::of_file(&path)?, path })
/// # };
/// let files = [file("1.txt", "HAPPYHRS\nSUPER100\n")?, file("2.txt", "HAPPYHRS\n")?];
/// let rule = Rule { minimum_length: 8, maximum_length: 10, minimum_files: 2 };
/// let derived = derive(&files, rule, &directory.path().join("work"), &Progress::default())?;
/// assert_eq!(derived.codes, ["HAPPYHRS"]);
/// derived.work.clean()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn derive(
    files: &[CodeFile],
    rule: Rule,
    work: &Path,
    progress: &Progress,
) -> Result<Derived, CouponError> {
    refuse_copies(files)?;
    let work = WorkDirectory::lock(work, stored_bytes(files)?, progress)?;
    let scans = scan::all(files, rule, &work, progress)?;
    let Counted {
        mut codes,
        distinct,
    } = count::all(&scans, rule, progress)?;
    codes.sort_unstable();
    let files = files.iter().zip(&scans).zip(distinct);
    Ok(Derived {
        codes,
        lines: scans.iter().map(|scan| scan.figures.lines).sum(),
        files: files
            .map(|((file, scan), distinct)| FileFigures {
                path: file.path.clone(),
                lines: scan.figures.lines,
                codes: scan.figures.codes,
                distinct,
                not_text: scan.figures.not_text,
            })
            .collect(),
        work_bytes: scans.iter().map(|scan| scan.size).sum(),
        resumed: scans.iter().filter(|scan| scan.resumed).count(),
        work,
    })
}

/// Removes the kept scans of files whose codes turn out to be stored: a run may be killed after it has stored them and
/// before it has cleaned the directory. Does nothing while a derivation is at work in the directory.
pub fn forget(files: &[CodeFile], rule: Rule, work: &Path) -> Result<(), CouponError> {
    let names: Vec<_> = files.iter().map(|file| scan::name(file, rule)).collect();
    WorkDirectory::remove(work, &names)
}

/// The size of all files together.
fn stored_bytes(files: &[CodeFile]) -> Result<u64, CouponError> {
    let sizes = files
        .iter()
        .map(|CodeFile { path, .. }| match fs::metadata(path) {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) => Err(DataFileError::Open {
                path: path.clone(),
                problem: error.to_string(),
            }),
        });
    Ok(sizes.sum::<Result<u64, _>>()?)
}

/// A file that is there twice would make all its codes valid.
fn refuse_copies(files: &[CodeFile]) -> Result<(), CouponError> {
    for (place, one) in files.iter().enumerate() {
        for other in &files[..place] {
            let (one_path, other_path) = (other.path.clone(), one.path.clone());
            if one.hash == other.hash {
                return Err(CouponError::SameContent {
                    one_path,
                    other_path,
                });
            }
            if plain_path(&one.path) == plain_path(&other.path) {
                return Err(CouponError::SameName {
                    one_path,
                    other_path,
                });
            }
        }
    }
    Ok(())
}

/// A file's path without the endings that a compressed copy would not share.
fn plain_path(path: &Path) -> PathBuf {
    let name = Compression::strip_extension(path);
    let is_text = name.extension().is_some_and(|extension| extension == "txt");
    path.with_file_name(if is_text {
        name.with_extension("")
    } else {
        name.to_owned()
    })
}
