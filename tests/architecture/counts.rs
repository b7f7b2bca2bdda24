//! Counts in texts: `1 host`, not `1 hosts`.

use std::fs;

use super::{
    MEMBERS,
    modules::{Package, root},
    tokens,
};

/// What the texts of this project count, where there are several.
const COUNTED: &str = "accounts attempts bytes calls characters checks circuits conditions connections credentials days \
                       elements entries errors exports failures fields files findings groups hosts hours instances items \
                       keys kinds letters lines links machines minutes names networks packages pages passes places plugins \
                       pools ports processes properties records requests results retries rows scanners scans seconds slots \
                       steps targets tasks times tries users values vulnerabilities warnings weeks workers";

/// Words that begin something else, so that what is counted comes before them.
const OTHERS: &str = "a above are has have in is of on takes the to was were with";

/// The placeholders of a text, each with what stands behind it.
fn placeholders(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split('{').skip(1).filter_map(|part| part.split_once('}'))
}

/// Whether a text puts a number before something that is counted, as one that is always several. Constants may be.
fn has_fixed_number(text: &str) -> bool {
    placeholders(text).any(|(name, behind)| {
        let name = name.split(':').next().unwrap_or_default();
        let is_constant = !name.is_empty() && name.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_');
        let words = behind.strip_prefix(' ').unwrap_or_default().split(' ').take(3);
        // Whatever ends a phrase ends the search: what follows belongs to something else.
        let phrase = words.scan(false, |is_over, word| {
            let plain = word.trim_end_matches(|letter: char| !letter.is_alphabetic());
            let last = std::mem::replace(is_over, plain.len() < word.len());
            let is_other = word.ends_with('=') || OTHERS.split_whitespace().any(|other| other == plain);
            (!last && !is_other && plain.chars().all(char::is_alphabetic)).then_some(plain)
        });
        !is_constant && phrase.into_iter().any(|word| COUNTED.split_whitespace().any(|counted| counted == word))
    })
}

#[test]
fn no_text_says_1_hosts() {
    let mut found = Vec::new();
    for package in MEMBERS.map(Package::read) {
        for module in package.modules.values() {
            let source = fs::read_to_string(root().join(&module.file)).unwrap();
            let texts = tokens::texts(&source).into_iter().filter(|token| has_fixed_number(&token.text));
            found.extend(texts.map(|token| format!("{}:{}: {}", module.file, token.line, token.text)));
        }
    }
    assert!(found.is_empty(), "use `counted`:\n{}", found.join("\n"));
}

#[test]
fn a_fixed_number_is_found() {
    for (text, expected) in [
        ("{hosts} hosts", true),
        ("on {} hosts: x", true),
        ("{count:>5} dead letters archived", true),
        ("at most {MOST} hosts", false),
        ("{hosts}, such as these hosts", false),
        ("{name}: hosts", false),
        ("{name} is asked, which hosts do", false),
        ("no hosts", false),
        ("{name} has no hosts", false),
        ("opens={} failures={}", false),
    ] {
        assert_eq!(has_fixed_number(text), expected, "{text}");
    }
}
