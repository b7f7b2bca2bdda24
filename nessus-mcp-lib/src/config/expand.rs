//! `${VAR}` and `${VAR:-default}` inside configuration values.
//!
//! Values are expanded after the YAML has been parsed, so that a password cannot change the structure of the file.

/// Replaces every `${VAR}` and `${VAR:-default}` in `text`.
///
/// As in a shell, the default also stands in for a variable that is set but empty. A `$` that is not followed by `{`
/// stands for itself.
///
/// # Errors
/// A sentence fragment that names the variable: it is not set and has no default, or the reference is malformed.
pub(crate) fn expand(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        expanded.push_str(&rest[..start]);
        let reference = &rest[start + 2..];
        let end = reference.find('}').ok_or("has a `${` without a closing `}`")?;
        let (name, default) = match reference[..end].split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (&reference[..end], None),
        };
        if !is_variable_name(name) {
            return Err("has a `${...}` whose name is not made of letters, digits and `_`".to_owned());
        }
        match (lookup(name), default) {
            (Some(value), None) => expanded.push_str(&value),
            (Some(value), Some(_)) if !value.is_empty() => expanded.push_str(&value),
            (_, Some(default)) => expanded.push_str(default),
            (None, None) => {
                return Err(format!(
                    "refers to the environment variable `{name}`, which is not set; set it or write `${{{name}:-default}}`"
                ));
            }
        }
        rest = &reference[end + 1..];
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn is_variable_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("scanner".to_owned()),
            "EMPTY" => Some(String::new()),
            "TRICKY" => Some("${HOST}".to_owned()),
            _ => None,
        }
    }

    #[rstest]
    #[case("plain $ text", "plain $ text")]
    #[case("https://${HOST}:${PORT:-8834}/", "https://scanner:8834/")]
    #[case("${EMPTY}", "")]
    #[case("${EMPTY:-x}", "x")]
    #[case("${NONE:-}", "")]
    #[case("${TRICKY}", "${HOST}")]
    fn references_are_replaced(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(expand(text, &lookup).unwrap(), expected);
    }

    #[rstest]
    #[case("${NONE}", "`NONE`")]
    #[case("${HOST", "closing")]
    #[case("${a b}", "name")]
    fn bad_references_are_refused(#[case] text: &str, #[case] expected: &str) {
        let message = expand(text, &lookup).unwrap_err();
        assert!(message.contains(expected), "{message}");
    }
}
