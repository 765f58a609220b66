//! The three programs as one executable, told apart by the name it is called by.
//!
//! An image with this one executable and two links to it is a third of the size of one with three static programs.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let called = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&called).file_name().unwrap_or_default();
    match name.to_str() {
        Some("database-migration") => database_migration::command_line::main(),
        Some("database-load") => database_load::command_line::main(),
        Some("order-food") => order_food::command_line::main(),
        _ => {
            eprintln!(
                "✗ {} is not the name of a program; call this executable database-migration, database-load or \
                 order-food",
                name.display()
            );
            exit_code::ExitCode::Usage.into()
        }
    }
}
