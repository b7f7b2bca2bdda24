//! The operators' guide names commands, flags and error codes that there are. Its recipes were run by hand.

use std::{collections::BTreeSet, fs};

use nessus_mcp_tests::{
    binaries,
    processes::{Program, files_below},
};

use crate::files::root;

const PAGES: [&str; 6] = ["deploy", "secure", "monitor", "upgrade", "recover", "troubleshoot"];

fn page(name: &str) -> String {
    fs::read_to_string(root().join("docs").join(format!("{name}.md"))).unwrap()
}

/// The command lines of `nessus-admin` in a text, each up to where it ends.
fn command_lines(text: &str) -> Vec<Vec<String>> {
    let lines = text.split("nessus-admin ").skip(1).map(|rest| rest.split('\n').next().unwrap_or_default());
    // What stands in quotes is one word; a quote that is not closed ends a command line within one.
    let unquoted = lines.map(|line| line.split('\'').step_by(2).collect::<Vec<_>>().join("TEXT"));
    let lines =
        unquoted.map(|line| line.split(['`', '#', '|', '&', '"', ')', '>']).next().unwrap_or_default().to_owned());
    let words = lines.map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    words
        .filter(|words| words.first().is_some_and(|word| word.starts_with(|first: char| first.is_ascii_lowercase())))
        .collect()
}

/// The words of a command line that name the command: with its subcommand, where it has any.
fn help_of(words: &[String]) -> Option<String> {
    let is_name = |word: &&String| {
        word.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-') && !word.starts_with('-')
    };
    let names: Vec<_> = words.iter().take_while(is_name).take(2).cloned().collect();
    // What follows a command may be the name of a pool.
    let tries = [names.as_slice(), names.get(..1).unwrap_or_default()];
    tries.into_iter().filter(|names| !names.is_empty()).find_map(|names| {
        let help = Program::new(binaries::admin()).args(names.to_vec()).arg("--help").run();
        (help.code == Some(0)).then_some(help.stdout)
    })
}

#[test]
fn every_command_and_flag_exists() {
    let mut seen = BTreeSet::new();
    for name in PAGES {
        for words in command_lines(&page(name)).into_iter().filter(|words| seen.insert(words.clone())) {
            let help = help_of(&words)
                .unwrap_or_else(|| panic!("docs/{name}.md: there is no `nessus-admin {}`", words.join(" ")));
            for flag in words.iter().filter(|word| word.starts_with("--")) {
                assert!(help.contains(flag.as_str()), "docs/{name}.md: `nessus-admin {}`: no {flag}", words.join(" "));
            }
        }
    }
    assert!(seen.len() > 20, "{seen:?}");
}

#[test]
fn every_error_code_exists() {
    let sources = ["nessus-mcp-lib/src", "nessus-mcp-server/src"].map(|folder| files_below(&root().join(folder)));
    let sources: String =
        sources.into_iter().flatten().map(|(_, text)| String::from_utf8_lossy(&text).into_owned()).collect();
    let text = page("troubleshoot");
    let (_, table) = text.split_once("## By error code").unwrap();
    let mut codes = 0;
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let cell = row.split('|').nth(1).unwrap();
        for code in cell.split('`').skip(1).step_by(2) {
            assert!(sources.contains(&format!("\"{code}\"")), "no program says `{code}`");
            codes += 1;
        }
    }
    assert!(codes > 30, "{codes}");
}

#[test]
fn commands_in_a_text_are_found() {
    let text = "run `nessus-admin token new me --role scan` or\n  nessus-admin doctor      # x\n`nessus-admin: x`";
    let found: Vec<_> = command_lines(text).iter().map(|words| words.join(" ")).collect();
    assert_eq!(found, ["token new me --role scan", "doctor"]);
}
