//! What shells and the manual get to know of the command line.

use std::process::Command;

use test_process::run;

use crate::support::bare_program;

/// The names of all commands, as `--help` lists them.
fn commands() -> Vec<String> {
    let help = run(bare_program().arg("--help")).stdout;
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let (list, _) = list.split_once("\n\n").unwrap();
    let name = |line: &str| line.split_whitespace().next().unwrap().to_owned();
    list.lines().map(name).collect()
}

#[test]
fn bash_completes_every_command_and_option() {
    let ended = run(bare_program().args(["completions", "bash"]));
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &ended.stdout).unwrap();
    let checked = run(Command::new("bash").arg("-n").arg(file.path()));
    assert_eq!((checked.code, checked.stderr.as_str()), (Some(0), ""));

    let completed = |word: &str| {
        let script = "source \"$1\"; COMP_WORDS=(database-migration \"$2\"); COMP_CWORD=1\n\
                      registered=$(complete -p database-migration); registered=${registered##*-F }\n\
                      \"${registered%% *}\" database-migration \"$2\" database-migration\n\
                      printf '%s\\n' \"${COMPREPLY[@]}\"";
        run(Command::new("bash")
            .args(["-c", script, "bash"])
            .arg(file.path())
            .arg(word))
        .stdout
    };
    for command in commands() {
        assert!(completed(&command[..2]).contains(&command), "{command}");
    }
    assert!(completed("--m").contains("--migrations"));
}

#[test]
fn every_shell_has_its_file() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ended = run(bare_program().args(["completions", shell]));
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stdout.contains("env-prefix"), "{shell}");
    }
    let unknown = run(bare_program().args(["completions", "tcsh"]));
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
}

#[test]
fn the_manual_has_every_command() {
    let page = |arguments: &[&str]| {
        let ended = run(bare_program().arg("man").args(arguments));
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        ended.stdout.replace("\\-", "-")
    };
    let program = page(&[]);
    for command in commands() {
        assert!(
            program.contains(&format!("database-migration-{command}(1)")),
            "{command}"
        );
        let of_command = page(&[&command]);
        assert!(
            of_command.contains(&format!(".TH database-migration-{command} 1")),
            "{command}"
        );
    }
    for part in ["--migrations", "MIGRATION_CONFIG", "Exit codes:"] {
        assert!(program.contains(part), "{part}");
    }
    assert!(page(&["create"]).contains("--template"));
    let unknown = run(bare_program().args(["man", "nothing"]));
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    assert!(
        unknown
            .stderr
            .contains("there is no command \"nothing\"; expected up, "),
        "{unknown:?}"
    );
}

#[test]
fn help_groups_what_every_command_understands() {
    for arguments in [
        vec!["--help"],
        vec!["up", "--help"],
        vec!["create", "--help"],
    ] {
        let help = run(bare_program().args(&arguments)).stdout;
        let (_, global) = help.split_once("Global options:").unwrap();
        for option in ["--migrations", "--config", "--env-prefix"] {
            assert!(global.contains(option), "{arguments:?}: {option}");
        }
    }
}
