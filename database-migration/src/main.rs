//! The program `database-migration`.

fn main() -> std::process::ExitCode {
    database_migration::command_line::main()
}
