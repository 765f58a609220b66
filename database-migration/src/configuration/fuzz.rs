//! Feeds the parser of configuration files with damaged ones, as [`crate::files`] does with its own.

use std::path::Path;

use crate::configuration::{KEYS, parse};
use crate::files::fuzz::fuzz;

/// Whatever the damage, no message holds this value as a whole.
const SECRET: &str = "s3cr3t!value";

const FILES: &[&str] = &[
    "database:\n  host: localhost\n  port: 5432\n  username: menu\n  password: s3cr3t!value\n  sslmode: disable\n",
    "database: {url: \"postgres://menu:s3cr3t!value@db/menu\", wait_timeout: 5s}\n",
    "migration:\n  table_name: schema_migrations\n  checksum_validation: true\n  rollback_safety: false\n",
    "migration:\n  directories:\n    - migrations\n    - ../shared\n  runner_wait: none\n",
    "database:\n  password: |\n    s3cr3t!value\n  host: &a \"h\"\n  username: *a\n",
];

const FILE_PARTS: &[&str] = &[
    "\n",
    "\r\n",
    " ",
    "  ",
    "\t",
    ":",
    ": ",
    "- ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "#",
    "&a ",
    "*a",
    "!!int ",
    "!!null ",
    "!tag ",
    "<<: *a",
    "|",
    ">-",
    "\"",
    "'",
    "\\",
    "---\n",
    "...\n",
    "? ",
    "~",
    "%YAML 1.2\n",
    "\u{FEFF}",
    "\0",
    "ä",
    "s3cr3t!value",
    "database",
    "migration",
    "password",
    "directories",
];

#[test]
#[ignore = "runs for FUZZ_SECONDS"]
fn configuration() {
    fuzz(FILES, FILE_PARTS, |input| {
        let Ok(text) = std::str::from_utf8(input) else {
            return;
        };
        match parse(Path::new("config.yaml"), text) {
            Ok(defaults) => {
                let is_known = |variable| KEYS.iter().any(|key| key.variable == variable);
                assert!(defaults.iter().all(|default| is_known(default.variable)));
                assert!(defaults.len() <= KEYS.len());
            }
            Err(error) => {
                let message = error.to_string();
                assert!(message.starts_with("config.yaml"), "{message}");
                assert!(!message.contains(SECRET), "{message}");
            }
        }
    });
}
