//! Reading migration files, on two threads where there are many.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::{panic, thread};

use refinery::Migration;

use crate::files::directory::{Entry, Source, unreadable};
use crate::files::migration_file::{DownScript, MigrationFile};
use crate::files::problem::{Fault, Problem};
use crate::files::style::{Content, Direction, Script};
use crate::files::text;

/// With fewer files a second thread takes longer to start than it saves.
const FILES_WORTH_A_THREAD: usize = 200;

/// What a file turned out to be.
#[derive(Debug)]
pub(super) enum ReadFile {
    /// A migration.
    Up(MigrationFile),
    /// What undoes the migration of another file; nothing if the file is empty.
    Down(Option<DownScript>),
}

/// Reads all files, in their order.
pub(super) fn all(mut entries: Vec<Entry>) -> Vec<Result<ReadFile, Vec<Problem>>> {
    if entries.len() < FILES_WORTH_A_THREAD {
        return one_after_the_other(entries);
    }
    let second_half = entries.split_off(entries.len() / 2);
    thread::scope(|scope| {
        let other = scope.spawn(|| one_after_the_other(second_half));
        let mut files = one_after_the_other(entries);
        files.extend(
            other
                .join()
                .unwrap_or_else(|payload| panic::resume_unwind(payload)),
        );
        files
    })
}

fn one_after_the_other(entries: Vec<Entry>) -> Vec<Result<ReadFile, Vec<Problem>>> {
    let mut buffer = Vec::new();
    entries
        .into_iter()
        .map(|entry| match entry.source {
            Source::Embedded(content) => parse(entry, content),
            Source::File => match fill(&mut buffer, &entry.path) {
                Ok(()) => parse(entry, &buffer),
                Err(error) => Err(vec![unreadable(&entry.path, &error)]),
            },
        })
        .collect()
}

/// Reads a file into a buffer that is used again and again. `take` keeps the library from asking for the size first.
fn fill(buffer: &mut Vec<u8>, path: &Path) -> io::Result<()> {
    buffer.clear();
    File::open(path)?.take(u64::MAX).read_to_end(buffer)?;
    Ok(())
}

/// Parses a file's content by the style of its name.
fn parse(entry: Entry, content: &[u8]) -> Result<ReadFile, Vec<Problem>> {
    let problems = |faults: Vec<Fault>| -> Vec<Problem> {
        let problem = |fault| Problem::at(&entry.path, fault);
        faults.into_iter().map(problem).collect()
    };
    let text = text::decode(content).map_err(|fault| problems(vec![fault]))?;
    let content = entry.style.parse(&text).map_err(problems)?;
    match entry.direction {
        Direction::Up => up(entry, content).map_err(|problem| vec![problem]),
        Direction::Down => Ok(down(entry, content.script)),
    }
}

fn up(entry: Entry, content: Content<'_>) -> Result<ReadFile, Problem> {
    let sql = content.script.sql;
    if is_blank(sql) {
        return Err(Problem::of_file(
            &entry.path,
            "the file is empty; if there is nothing to do on purpose, say so in a comment",
        ));
    }
    let migration = Migration::unapplied(&format!("V{}__{}", entry.version, entry.name), sql)
        .map_err(|error| Problem::of_file(&entry.path, error.to_string()))?;
    Ok(ReadFile::Up(MigrationFile {
        migration,
        first_line: content.script.first_line,
        transaction: content.script.transaction,
        header: content.header,
        down: content
            .down
            .map(|script| down_script(script, entry.path.clone())),
        path: entry.path,
    }))
}

/// golang-migrate's users leave a file empty where nothing undoes a migration.
fn down(entry: Entry, script: Script<'_>) -> ReadFile {
    ReadFile::Down((!is_blank(script.sql)).then(|| down_script(script, entry.path)))
}

fn down_script(script: Script<'_>, path: PathBuf) -> DownScript {
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
