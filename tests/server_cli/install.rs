//! `install`: what each client is told, and what becomes of its file.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "files of a test need not survive a crash")]

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use nessus_mcp_tests::processes::{Finished, Program, entries};
use serde_json::Value;

use super::{binary, refusal};

const URL: &str = "https://scans.example/mcp";
const CHILD: [&str; 5] = ["--with-worker", "--data-dir", "/srv/o'brien", "--scanner-config", "/srv/scanners.yaml"];
const RUNNING: [&str; 4] = ["--url", URL, "--token-variable", "SCAN_TOKEN"];
/// The token itself: nothing may show it.
const TOKEN: &str = "PLANTED0TOKEN0VALUE";

/// A run with an empty home directory, and a token in its environment.
fn install(home: &Path, client: &str, arguments: &[&str]) -> Finished {
    let program = Program::new(binary()).args(["install", "--client", client]).args(arguments);
    let finished = program.env("HOME", home).env("SCAN_TOKEN", TOKEN).current_dir(home).run();
    assert!(!format!("{finished:?}").contains(TOKEN), "{finished:?}");
    finished
}

/// A directory with a file of Cursor's, and its path.
fn with_file(text: &str) -> (tempfile::TempDir, String) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("mcp.json");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    (home, path.to_str().unwrap().to_owned())
}

/// The copies beside the file.
fn copies(home: &Path) -> Vec<String> {
    let names = entries(home).into_iter().map(|name| name.into_string().unwrap());
    names.filter(|name| name.contains(".bak-")).collect()
}

/// Puts the running server into a file of Cursor's.
fn write(home: &Path, file: &str) -> Finished {
    install(home, "cursor", &[&RUNNING[..], &["--yes", "--file", file]].concat())
}

#[test]
fn each_client_is_told_in_its_own_form() {
    let home = tempfile::tempdir().unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/clients.json");
    let fixtures: Value = serde_json::from_str(&fs::read_to_string(fixtures).unwrap()).unwrap();
    for client in ["claude-code", "claude-desktop", "vscode", "cursor", "codex", "gemini"] {
        for (form, arguments) in [("stdio", &CHILD[..]), ("url", &RUNNING[..])] {
            let printed = install(home.path(), client, &[arguments, &["--print"]].concat());
            assert_eq!(printed.code, Some(0), "{printed:?}");
            let is_unverified = printed.stderr.contains("unverified");
            assert_eq!(is_unverified, (client, form) == ("claude-desktop", "url"), "{printed:?}");
            let shown = printed.stdout.trim_end().replace(binary().to_str().unwrap(), "PROGRAM");
            let expected = &fixtures[client][form];
            let shown: Value = if expected.is_string() { shown.into() } else { serde_json::from_str(&shown).unwrap() };
            assert_eq!(&shown, expected, "{client}, {form}");
        }
    }
    assert_eq!(entries(home.path()), [""; 0], "something was written");
}

#[test]
fn the_file_is_found_for_a_user_and_for_a_project() {
    for (client, arguments, key, expected) in [
        ("cursor", &[][..], "mcpServers", ".cursor/mcp.json"),
        ("gemini", &[], "mcpServers", ".gemini/settings.json"),
        ("cursor", &["--project", "here"], "mcpServers", "here/.cursor/mcp.json"),
        ("vscode", &["--project", "here"], "servers", "here/.vscode/mcp.json"),
        ("claude-code", &["--project", "here"], "mcpServers", "here/.mcp.json"),
        ("gemini", &["--project", "here"], "mcpServers", "here/.gemini/settings.json"),
        #[cfg(target_os = "linux")]
        ("claude-desktop", &[], "mcpServers", ".config/Claude/claude_desktop_config.json"),
        #[cfg(target_os = "linux")]
        ("vscode", &[], "servers", ".config/Code/User/mcp.json"),
    ] {
        let home = tempfile::tempdir().unwrap();
        let done = install(home.path(), client, &[arguments, &["--yes", "--with-worker", "--name", "scans"]].concat());
        assert_eq!(done.code, Some(0), "{done:?}");
        let written: Value = serde_json::from_slice(&fs::read(home.path().join(expected)).unwrap()).unwrap();
        let entry = &written[key]["scans"];
        assert_eq!(entry["command"], binary().to_str().unwrap(), "{client}: {written}");
        let place = fs::canonicalize(home.path()).unwrap();
        let path = |name: &str| place.join(name).to_str().unwrap().to_owned();
        let arguments =
            ["stdio", "--with-worker", "--data-dir", &path("data"), "--scanner-config", &path("scanners.yaml")];
        assert_eq!(entry["args"], serde_json::json!(arguments), "the client starts it anywhere");
        assert!(done.stdout.contains(expected) && done.stderr.contains(expected), "{done:?}");
    }
}

#[test]
fn what_a_file_had_stays_and_is_copied() {
    let old = "{\n\t\"theme\": 1.50,\n\t\"mcpServers\": {\n\t\t\"z\": {\"env\": {\"KEY\": \"theirs\"}},\n\t\t\"a\": {}\n\t}\n}\n";
    let (home, file) = with_file(old);
    let done = write(home.path(), &file);
    assert_eq!(done.code, Some(0), "{done:?}");
    let text = fs::read_to_string(&file).unwrap();
    let (head, tail) = old.split_once("\n\t}\n}").unwrap();
    assert!(text.starts_with(head) && text.ends_with(&format!("\n\t\t}}\n\t}}\n}}{tail}")), "{text}");
    assert!(!text.contains(TOKEN) && text.contains("Bearer ${env:SCAN_TOKEN}"), "{text}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    let [copy] = &copies(home.path())[..] else { panic!("{:?}", entries(home.path())) };
    assert_eq!(fs::read_to_string(home.path().join(copy)).unwrap(), old);

    let again = write(home.path(), &file);
    assert!(again.code == Some(0) && again.stdout.starts_with("nothing to do"), "{again:?}");
    assert_eq!((fs::read_to_string(&file).unwrap(), copies(home.path()).len()), (text, 1));
}

/// The entry of before may hold a secret: it is named, and never shown.
#[test]
fn another_entry_of_the_name_is_replaced_when_that_is_agreed_to() {
    let old = format!(
        r#"{{"mcpServers": {{"nessus": {{"url": "{URL}", "headers": {{"Authorization": "Bearer {TOKEN}"}}}}, "b": 1}}}}"#
    );
    let (home, file) = with_file(&old);
    let asked = install(home.path(), "cursor", &[&RUNNING[..], &["--file", &file]].concat());
    assert_eq!((asked.code, asked.stdout.as_str()), (Some(2), ""), "{asked:?}");
    for expected in ["replaces `mcpServers.nessus`", "differs in headers", "${env:SCAN_TOKEN}", "`--yes`"] {
        assert!(asked.stderr.contains(expected), "{expected}: {asked:?}");
    }
    assert_eq!((fs::read_to_string(&file).unwrap(), copies(home.path()).len()), (old, 0));

    for number in 1..=3 {
        fs::write(&file, format!(r#"{{"mcpServers": {{"nessus": {number}, "b": 1}}}}"#)).unwrap();
        assert_eq!(write(home.path(), &file).code, Some(0));
        assert_eq!(copies(home.path()).len(), number, "no copy is written over");
    }
    let written: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!((&written["mcpServers"]["nessus"]["url"], &written["mcpServers"]["b"]), (&URL.into(), &1.into()));
}

#[test]
fn a_file_that_cannot_be_kept_whole_is_left_alone() {
    for (text, expected) in [
        ("{\n  // mine\n  \"mcpServers\": {}\n}", "has a comment at line 2 column 3"),
        ("{\"mcpServers\": {\n}", "is not valid JSON: EOF while parsing an object at line 2 column 1"),
        ("{\"mcpServers\": []}", "has a `mcpServers` that is not an object"),
        ("[]", "is not a JSON object"),
    ] {
        let (home, file) = with_file(text);
        let refused = write(home.path(), &file);
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""), "{refused:?}");
        assert!(refused.stderr.contains(&format!("error: nothing was changed: {file} {expected}\n")), "{refused:?}");
        assert!(
            refused.stderr.contains("\"url\": \"https://scans.example/mcp\""),
            "what to add is not shown: {refused:?}"
        );
        assert_eq!((fs::read_to_string(&file).unwrap().as_str(), entries(home.path()).len()), (text, 1));
    }
    let (home, file) = with_file("{}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
    assert!(refusal(&write(home.path(), &file), 2).contains("is read-only"));
    assert_eq!((fs::read_to_string(&file).unwrap().as_str(), entries(home.path()).len()), ("{}", 1));
}

#[test]
fn an_empty_file_is_filled_and_links_are_followed() {
    let (home, file) = with_file("");
    let link = home.path().join("link.json");
    symlink(&file, &link).unwrap();
    let done = write(home.path(), link.to_str().unwrap());
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    let written: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(written["mcpServers"]["nessus"]["url"], URL);

    let broken = home.path().join("broken.json");
    symlink(home.path().join("nowhere"), &broken).unwrap();
    assert!(refusal(&write(home.path(), broken.to_str().unwrap()), 1).contains("cannot read"));
    assert!(fs::symlink_metadata(&broken).unwrap().is_symlink() && !home.path().join("nowhere").exists());
}

#[test]
fn what_this_program_does_not_write_is_refused_with_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    for (client, arguments, expected) in [
        ("claude-code", &["--yes"][..], "run the command that `--print` shows"),
        ("codex", &["--yes"], "/.codex/config.toml"),
        ("vscode", &["--yes", "--url", URL, "--token-variable", "SCAN_TOKEN"], "`inputs` and `servers`"),
        ("claude-desktop", &["--yes", "--url", URL], "unverified"),
        ("claude-desktop", &["--yes", "--project", "."], "Claude Desktop has no settings of a project"),
        ("cursor", &["--yes", "--name", "a b"], "`--name`"),
        ("cursor", &["--yes", "--url", "scans.example/mcp"], "`--url`"),
        ("cursor", &["--yes", "--url", "https://u:PLANTED0TOKEN0VALUE@scans.example/mcp"], "`--url`"),
        ("cursor", &["--yes", "--url", "https://scans.example/mcp?t=PLANTED0TOKEN0VALUE"], "`--url`"),
        ("cursor", &["--yes", "--url", URL, "--token-variable", "nmcp_PLANTED0TOKEN0VALUE"], "never the token itself"),
        (
            "cursor",
            &["--yes", "--url", "http://scans.example/mcp", "--token-variable", "SCAN_TOKEN"],
            "others could read the token",
        ),
        (
            "codex",
            &["--print", "--url", "http://10.0.0.1:8835/mcp", "--token-variable", "SCAN_TOKEN"],
            "others could read the token",
        ),
        ("cursor", &["--yes", "--data-dir", "/srv/$HOME"], "control characters and `$`"),
        ("cursor", &["--url", URL], "`--yes`"),
    ] {
        let refused = install(home.path(), client, arguments);
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.stdout.is_empty() && refused.stderr.contains(expected), "{expected}: {refused:?}");
        assert_eq!(entries(home.path()), [""; 0]);
    }
}
