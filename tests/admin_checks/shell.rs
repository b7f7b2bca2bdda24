//! `completions` and `man`.

use nessus_mcp_tests::{deployment::Deployment, processes::entries};

use crate::{MOCKS, alone};

#[test]
fn completions_know_every_command() {
    for (shell, sign) in
        [("bash", "complete -F"), ("zsh", "#compdef nessus-admin"), ("fish", "complete -c nessus-admin")]
    {
        let finished = alone(&["completions", shell]);
        assert_eq!((finished.code, &*finished.stderr), (Some(0), ""), "{finished:?}");
        for word in [sign, "doctor", "no-scanners", "purge-dlq"] {
            assert!(finished.stdout.contains(word), "{shell}: {word}");
        }
    }
    assert_eq!(alone(&["completions", "tcsh"]).code, Some(2));
}

#[test]
fn there_is_a_page_for_each_command() {
    let page = alone(&["man"]);
    assert!(page.code == Some(0) && page.stdout.contains(".TH") && page.stdout.contains("Exit codes"), "{page:?}");
    let deployment = Deployment::new(MOCKS);
    let directory = deployment.path("man8");
    let finished = alone(&["man", "-o", directory.to_str().unwrap()]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let pages: Vec<_> = entries(&directory).into_iter().map(|name| name.to_string_lossy().into_owned()).collect();
    for name in
        ["nessus-admin.8", "nessus-admin-doctor.8", "nessus-admin-queue-audit.8", "nessus-admin-scanners-check.8"]
    {
        assert!(pages.iter().any(|page| page == name), "{name}: {pages:?}");
    }
    assert!(!pages.iter().any(|page| page.contains("help")), "{pages:?}");
    let text = std::fs::read_to_string(directory.join("nessus-admin-queue-audit.8")).unwrap();
    assert!(text.contains("nessus\\-admin\\-queue\\-audit") || text.contains("nessus-admin-queue-audit"), "{text}");
    assert!(text.contains("repair"), "{text}");
}
