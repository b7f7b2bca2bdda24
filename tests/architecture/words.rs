//! The words of texts that people and agents read: which program they may speak of, and that what they name exists.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use super::{
    LIBRARY, MEMBERS,
    modules::{Package, root},
    tokens::{self, Token},
};

/// Where the library may speak of programs and their variables: the settings of the programs, the client of the server, the
/// names of a program's flags for its own questions, and what only test builds have.
const OF_PROGRAMS: [&str; 4] = ["src/config/", "src/client/", "src/results/query/caller.rs", "src/fail_points.rs"];

/// The tables of what the programs say in the place of the library's words.
const TABLES: [&str; 3] =
    ["nessus-mcp-lib/src/config/cli/words.rs", "nessus-mcp-server/src/words.rs", "nessus-admin/src/output/words.rs"];

/// Names in capitals that are no settings: of properties in exports, of builds and test builds, of placeholders, of what the
/// system sets for all programs and object stores read, and the beginning of a name.
const OTHERS: &str = "AWS_ACCESS_KEY_ID AWS_ENDPOINT AWS_REGION AZURE_STORAGE_ACCOUNT_NAME CARGO_MANIFEST_DIR CARGO_PKG_NAME CARGO_PKG_VERSION GOOGLE_SERVICE_ACCOUNT HOST_END HOST_END_TIMESTAMP HOST_START \
                      HOST_START_TIMESTAMP LC_ALL LC_CTYPE MASTER_NAME NESSUS_ NESSUS_MCP_FAIL_POINT \
                      NESSUS_MCP_FREEZE_POINT NESSUS_MCP_VERSION NO_COLOR TRACE_ID";

/// The text of a token as it is read, without what continues its line.
fn read(token: &Token) -> String {
    let mut lines = token.text.split("\\\n");
    let first = lines.next().unwrap_or_default().to_owned();
    lines.fold(first, |text, line| text + line.trim_start())
}

fn source(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap()
}

/// The files of the packages, with their sources.
fn sources(packages: &[&str]) -> Vec<(String, String)> {
    let modules = packages.iter().flat_map(|package| Package::read(package).modules.into_values());
    modules.map(|module| (module.file.clone(), source(&module.file))).collect()
}

/// The words of a text. What stands in braces is put in by the program.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split('{').enumerate();
    let outside = parts.filter_map(|(at, part)| if at == 0 { Some(part) } else { Some(part.split_once('}')?.1) });
    outside.flat_map(|part| part.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_'))
}

/// The settings that a text names in capitals, such as `QUEUE_URL`.
fn settings(text: &str) -> impl Iterator<Item = &str> {
    words(text).filter(|word| {
        let is_capital = |letter: char| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_';
        word.contains('_')
            && word.starts_with(|first: char| first.is_ascii_uppercase())
            && word.chars().all(is_capital)
            && OTHERS.split_whitespace().all(|other| other != *word)
    })
}

/// The names of all tools.
fn tools() -> BTreeSet<String> {
    let texts = tokens::texts(&source("nessus-mcp-server/src/access/table.rs"));
    let names = texts.iter().map(|token| token.text.trim_matches('"').to_owned());
    names.filter(|name| name.contains('_') && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')).collect()
}

/// What a text of the library says that only a program may say.
fn of_a_program<'a>(text: &'a str, tools: &BTreeSet<String>) -> Option<&'a str> {
    let has_flag = text.split("`--").skip(1).any(|flag| flag.starts_with(|first: char| first.is_ascii_lowercase()));
    let names = ["nessus-admin", "nessus-worker", "nessus-mcp-server", "your user"];
    let program = names.into_iter().find(|name| text.contains(name)).or(has_flag.then_some("a flag"));
    words(text).find(|word| tools.contains(*word)).or(program).or_else(|| settings(text).next())
}

/// The variables that the programs read: of the flags, and by name.
fn variables(sources: &[(String, String)]) -> BTreeSet<String> {
    let all: Vec<_> = sources.iter().map(|(_, source)| tokens::code(source)).collect();
    let mut constants = BTreeMap::new();
    for tokens in &all {
        for window in tokens.windows(7).filter(|window| window[0].text == "const") {
            constants.insert(window[1].text.clone(), window[6].text.clone());
        }
    }
    let mut found = BTreeSet::new();
    for tokens in &all {
        for window in tokens.windows(3) {
            let [first, sign, value] = window else { unreachable!() };
            let is_of_flag = first.text == "env" && sign.text == "=";
            let is_read = matches!(first.text.as_str(), "var" | "var_os") && sign.text == "(";
            if is_of_flag || is_read {
                let value = constants.get(&value.text).unwrap_or(&value.text);
                found.insert(value.trim_matches('"').to_owned());
            }
        }
    }
    found
}

/// The rows of the tables: words of the library, and those of a program.
fn rows() -> Vec<(String, String)> {
    let mut rows = Vec::new();
    for file in TABLES {
        let source = source(file);
        let (_, table) = source.split_once("const WORDS").unwrap_or_else(|| panic!("{file} has no table"));
        let (table, _) = table.split_once("\n];").unwrap();
        let texts: Vec<_> = tokens::texts(table).iter().map(|token| read(token).trim_matches('"').to_owned()).collect();
        assert!(texts.len() > 20 && texts.len() % 2 == 0, "{file}: {texts:?}");
        rows.extend(texts.chunks(2).map(|row| (row[0].clone(), row[1].clone())));
    }
    rows
}

#[test]
fn the_library_speaks_of_no_program() {
    let tools = tools();
    assert!(tools.len() > 15, "{tools:?}");
    let mut found = Vec::new();
    for (file, source) in sources(&[LIBRARY]) {
        if OF_PROGRAMS.iter().any(|allowed| file.contains(allowed)) {
            continue;
        }
        for token in tokens::texts(&source) {
            let text = read(&token);
            found.extend(of_a_program(&text, &tools).map(|name| format!("{file}:{}: {name}: {text}", token.line)));
        }
    }
    assert!(found.is_empty(), "say it in neutral words; the tables {TABLES:?} put in others:\n{}", found.join("\n"));
}

#[test]
fn each_variable_that_texts_name_is_read() {
    let sources = sources(&MEMBERS);
    let known = variables(&sources);
    assert!(known.len() > 30 && known.contains("QUEUE_URL") && known.contains("NESSUS_MCP_SECRET_KEY"), "{known:?}");
    let mut found = Vec::new();
    for (file, source) in &sources {
        let texts = tokens::texts(source).into_iter().map(|token| (token.line, read(&token)));
        // What describes a flag is shown by `--help`.
        let lines = if source.contains("#[arg(") { source.as_str() } else { "" }.lines().enumerate();
        let described = lines.filter(|(_, line)| line.trim_start().starts_with("///"));
        for (line, text) in texts.chain(described.map(|(at, line)| (at + 1, line.to_owned()))) {
            let unknown = settings(&text).filter(|name| !known.contains(*name));
            found.extend(unknown.map(|name| format!("{file}:{line}: {name}")));
        }
    }
    assert!(found.is_empty(), "no program reads these variables:\n{}", found.join("\n"));
}

#[test]
fn all_words_that_programs_replace_are_said() {
    let sources = sources(&[LIBRARY]);
    let others = sources.iter().filter(|(file, _)| !TABLES.contains(&file.as_str()));
    let said: Vec<_> = others.flat_map(|(_, source)| tokens::texts(source)).map(|token| read(&token)).collect();
    for (words, own) in rows() {
        // The name of a setting is put between its marks later.
        let name = words.strip_prefix('`').and_then(|name| name.strip_suffix('`'));
        let is_said =
            said.iter().any(|text| name.map_or_else(|| text.contains(&words), |name| text.trim_matches('"') == name));
        assert!(is_said, "the library does not say `{words}`, for which a program says `{own}`");
    }
}

#[test]
fn what_only_a_program_may_say_is_found() {
    let tools = BTreeSet::from(["list_tasks".to_owned()]);
    for (text, expected) in [
        ("`list_tasks` shows them", Some("list_tasks")),
        ("my_list_tasks_too", None),
        ("run `nessus-admin stats`", Some("nessus-admin")),
        ("set DATA_DIR", Some("DATA_DIR")),
        ("name another with `--data-dir`", Some("a flag")),
        ("{MOST_BYTES} bytes, {name}", None),
        ("HOST_START", None),
        ("the list of tasks shows them", None),
    ] {
        assert_eq!(of_a_program(text, &tools), expected, "{text}");
    }
}
