//! The program `database-load`.

fn main() -> std::process::ExitCode {
    database_load::command_line::main()
}
