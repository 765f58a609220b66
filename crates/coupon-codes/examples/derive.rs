//! Prints the codes of 8 to 10 characters that stand in at least two of some files: `derive WORK-DIRECTORY FILE...`

use std::env::args_os;
use std::error::Error;
use std::path::PathBuf;

use coupon_codes::{CodeFile, Progress, Rule, derive};
use data_file::ContentHash;

const RULE: Rule = Rule {
    minimum_length: 8,
    maximum_length: 10,
    minimum_files: 2,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = args_os().skip(1).map(PathBuf::from);
    let work = arguments.next().ok_or("derive WORK-DIRECTORY FILE...")?;
    let files = arguments
        .map(|path| {
            let hash = ContentHash::of_file(&path)?;
            Ok(CodeFile { path, hash })
        })
        .collect::<Result<Vec<CodeFile>, Box<dyn Error>>>()?;
    let derived = derive(&files, RULE, &work, &Progress::default())?;
    println!("{}", derived.codes.join("\n"));
    eprintln!("{} bytes of temporary disk", derived.work_bytes);
    Ok(derived.work.clean()?)
}
