//! Codes that stand in several files: a data set that is derived from lines.

use std::path::Path;
use std::sync::Mutex;

use coupon_codes::{CodeFile, Derived, Rule};

use crate::error::{LoadError, Problem};
use crate::loading::DataSetWork;
use crate::source::{Source, Values};

/// What was derived, with the temporary files that spare doing it again, until it is stored.
#[derive(Default)]
pub(crate) struct Codes(Mutex<Option<Derived>>);

impl Codes {
    /// Derives the codes, or gives those that were derived before. It takes as long as reading all files.
    pub(crate) fn derive(&self, work: &DataSetWork, rule: Rule) -> Result<Vec<String>, LoadError> {
        let mut derived = self.lock();
        if derived.is_none() {
            *derived = Some(derive(work, rule)?);
        }
        Ok(derived
            .as_ref()
            .map(|derived| derived.codes.clone())
            .unwrap_or_default())
    }

    /// Removes the temporary files, when what was derived is stored.
    pub(crate) fn clean(&self) {
        if let Some(derived) = self.lock().take()
            && let Err(error) = derived.work.clean()
        {
            tracing::warn!("temporary files stay: {error}");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Derived>> {
        // What a panicking thread left is none or whole.
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Removes what a run has left that was killed after it had stored the codes of a source.
pub(crate) fn forget(source: &Source, rule: Rule, work_directory: &Path) {
    if let Some(files) = code_files(source)
        && let Err(error) = coupon_codes::forget(&files, rule, work_directory)
    {
        tracing::warn!("temporary files stay: {error}");
    }
}

/// None where they are not on disk.
fn code_files(source: &Source) -> Option<Vec<CodeFile>> {
    let files = source.files.iter();
    files
        .map(|file| {
            Some(CodeFile {
                path: file.path()?.to_owned(),
                hash: file.hash,
            })
        })
        .collect()
}

fn derive(work: &DataSetWork, rule: Rule) -> Result<Derived, LoadError> {
    let files = code_files(&work.source).ok_or_else(|| work.error(Problem::CodesInMemory))?;
    let derived = coupon_codes::derive(&files, rule, &work.work_directory, &work.progress.codes)
        .map_err(|error| work.error(error))?;
    tracing::info!(
        "✓ {}: {} codes in {} lines of {} files, {} MiB of temporary files in {}",
        work.data_set.name,
        derived.codes.len(),
        derived.lines,
        files.len(),
        derived.work_bytes.div_ceil(1 << 20),
        work.work_directory.display(),
    );
    Ok(derived)
}

/// A code as a record with one field.
pub(crate) struct Code<'code>(pub(crate) &'code [u8]);

impl Values for Code<'_> {
    fn value(&self, _: usize) -> Option<&[u8]> {
        Some(self.0)
    }

    fn raw(&self) -> Vec<u8> {
        self.0.to_vec()
    }
}
