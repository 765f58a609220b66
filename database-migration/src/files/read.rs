//! Reading migration files, on two threads where there are many.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::{panic, thread};

use crate::files::checksum::checksum;
use crate::files::directory::{Entry, Source, unreadable};
use crate::files::migration_file::{DownScript, MigrationFile};
use crate::files::problem::{Fault, Problem};
use crate::files::style::{Content, Direction, Script};
use crate::files::text;

/// With fewer files a second thread takes longer to start than it saves.
const FILES_WORTH_A_THREAD: usize = 200;

/// What files turned out to be.
#[derive(Debug, Default)]
pub(super) struct ReadFiles {
    /// The migrations, in the order of the entries they were read from.
    pub(super) files: Vec<MigrationFile>,
    /// What is wrong with the files that could not be used.
    pub(super) problems: Vec<Problem>,
}

/// Reads all files. What undoes a migration must come right after the migration.
pub(super) fn all(mut entries: Vec<Entry>) -> ReadFiles {
    let mut read = ReadFiles::default();
    read.files.reserve_exact(entries.len());
    if entries.len() < FILES_WORTH_A_THREAD {
        read.add(entries);
        return read;
    }
    let second_half = entries.split_off(middle(&entries));
    let other = thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut read = ReadFiles::default();
            read.files.reserve_exact(second_half.len());
            read.add(second_half);
            read
        });
        read.add(entries);
        reading
            .join()
            .unwrap_or_else(|payload| panic::resume_unwind(payload))
    });
    read.files.extend(other.files);
    read.problems.extend(other.problems);
    read
}

/// The entry in the middle, or the next that does not belong to the one before.
fn middle(entries: &[Entry]) -> usize {
    let half = entries.len() / 2;
    let is_up = |entry: &Entry| entry.direction == Direction::Up;
    half + entries[half..].iter().position(is_up).unwrap_or_default()
}

impl ReadFiles {
    /// Reads one file after the other.
    fn add(&mut self, entries: Vec<Entry>) {
        let mut buffer = Vec::new();
        for entry in entries {
            let outcome = match entry.source {
                Source::Embedded(content) => self.add_file(entry, content),
                Source::File => match fill(&mut buffer, &entry.path) {
                    Ok(()) => self.add_file(entry, &buffer),
                    Err(error) => Err(vec![unreadable(&entry.path, &error)]),
                },
            };
            if let Err(problems) = outcome {
                self.problems.extend(problems);
            }
        }
    }

    /// Adds a file by parsing its content.
    fn add_file(&mut self, entry: Entry, content: &[u8]) -> Result<(), Vec<Problem>> {
        let problems = |faults: Vec<Fault>| -> Vec<Problem> {
            let problem = |fault| Problem::at(&entry.path, fault);
            faults.into_iter().map(problem).collect()
        };
        let text = text::decode(content).map_err(|fault| problems(vec![fault]))?;
        let content = entry.style.parse(&text).map_err(&problems)?;
        match (entry.direction, self.files.last_mut()) {
            (Direction::Up, _) if is_blank(content.script.sql) => {
                return Err(problems(vec![Fault::new(
                    1,
                    "the file is empty; if there is nothing to do on purpose, say so in a comment",
                )]));
            }
            (Direction::Up, _) => self.files.push(migration(entry, content)),
            // golang-migrate's users leave a file empty where nothing undoes a migration.
            (Direction::Down, Some(file)) if !is_blank(content.script.sql) => {
                file.down = Some(down_script(&content.script, Some(entry.path)));
            }
            (Direction::Down, _) => {}
        }
        Ok(())
    }
}

/// Reads a file into a buffer that is used again and again. `take` keeps the library from asking for the size first.
fn fill(buffer: &mut Vec<u8>, path: &Path) -> io::Result<()> {
    buffer.clear();
    File::open(path)?.take(u64::MAX).read_to_end(buffer)?;
    Ok(())
}

fn migration(entry: Entry, content: Content<'_>) -> MigrationFile {
    let sql = content.script.sql;
    MigrationFile {
        checksum: checksum(entry.version, &entry.name, sql),
        version: entry.version,
        name: entry.name,
        sql: sql.to_owned(),
        first_line: content.script.first_line,
        transaction: content.script.transaction,
        header: content.header,
        down: content.down.map(|script| down_script(&script, None)),
        path: entry.path,
    }
}

fn down_script(script: &Script<'_>, path: Option<PathBuf>) -> DownScript {
    DownScript {
        sql: script.sql.to_owned(),
        path,
        first_line: script.first_line,
        transaction: script.transaction,
    }
}

fn is_blank(sql: &str) -> bool {
    sql.trim_start().is_empty()
}
