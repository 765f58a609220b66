//! The program `order-food`.

fn main() -> std::process::ExitCode {
    order_food::command_line::main()
}
