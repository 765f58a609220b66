//! The executable is told apart by the name it is called by.

use test_process::run;

use crate::support::bare;

#[test]
fn each_name_is_a_program_of_its_own() {
    for name in ["database-migration", "database-load", "order-food"] {
        for called in [name.to_owned(), format!("/usr/local/bin/{name}")] {
            let ended = run(bare(&called).arg("--version"));
            assert_eq!(ended.code, Some(0), "{ended:?}");
            assert_eq!(
                ended.stdout,
                format!("{name} {}\n", env!("CARGO_PKG_VERSION"))
            );
        }
    }
}

#[test]
fn another_name_is_an_error_that_tells_the_three() {
    let ended = run(&mut bare("order-food-tools"));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("database-migration, database-load or order-food"),
        "{ended:?}"
    );
}
