//! Codes that stand in several files: a data set that is derived from lines.

use std::sync::Mutex;

use coupon_codes::{CodeFile, Derived, Rule};

use crate::error::{LoadError, Problem};
use crate::loading::DataSetWork;
use crate::source::Values;

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

fn derive(work: &DataSetWork, rule: Rule) -> Result<Derived, LoadError> {
    let mut files = Vec::with_capacity(work.source.files.len());
    for file in &work.source.files {
        let path = file
            .path()
            .ok_or_else(|| work.error(Problem::CodesInMemory))?;
        files.push(CodeFile {
            path: path.to_owned(),
            hash: file.hash,
        });
    }
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
