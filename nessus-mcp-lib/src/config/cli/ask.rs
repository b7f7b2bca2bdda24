//! The question before something is destroyed, stopped or changed.

use std::io::{self, BufRead, IsTerminal as _};

use crate::{error::Failure, streams};

/// Asks on the terminal whether to go on, unless the command line has said so with `--yes`.
///
/// # Errors
/// A usage error where nobody can be asked, and a failure where the answer is not yes.
pub fn confirmed(question: &str, is_confirmed: bool) -> Result<(), Failure> {
    if is_confirmed {
        return Ok(());
    }
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        let message = format!("this needs an answer, and there is no terminal to ask on: {question}");
        return Err(Failure::usage(message, "give `--yes` if that is what you want"));
    }
    // What was printed before belongs to the question.
    let _ = streams::stdout().finish(None);
    streams::stderr().write(format!("{question} [y/N] ").as_bytes());
    let _ = streams::stderr().finish(None);
    if is_yes(&mut io::stdin().lock())? { Ok(()) } else { Err(Failure::new("not confirmed: nothing was done")) }
}

/// Whether the next line agrees. Its end without an answer does not.
fn is_yes(input: &mut impl BufRead) -> Result<bool, Failure> {
    let mut answer = String::new();
    input.read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        for (answer, expected) in
            [("y\n", true), ("YES\n", true), ("\n", false), ("", false), ("n\n", false), ("yep\n", false)]
        {
            assert_eq!(is_yes(&mut answer.as_bytes()).unwrap(), expected, "{answer:?}");
        }
    }

    #[test]
    fn without_a_terminal_the_flag_is_named() {
        assert!(confirmed("purge?", true).is_ok());
        // Tests run without a terminal, or at least with stderr captured.
        if !io::stderr().is_terminal() {
            let refused = confirmed("purge 3 dead letters?", false).unwrap_err();
            assert_eq!(refused.code(), "usage");
            let text = refused.to_string();
            assert!(text.contains("purge 3 dead letters?") && text.contains("`--yes`"), "{text}");
        }
    }
}
