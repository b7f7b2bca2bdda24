//! Compliance checks in a report: by audit file and by check.

use std::io::{self, Write};

use super::markup::escape;
use crate::results::{
    judge::{CheckGroup, CheckGroups, ComplianceCounts},
    record::RecordKind,
    texts::{NAME_CHARS, clean},
};

/// The most rows of a table.
const ROWS: usize = 100;

/// The section about compliance checks, where there are any.
pub(super) fn write(checks: CheckGroups, listed: RecordKind, output: &mut impl Write) -> io::Result<()> {
    let ComplianceCounts { passed, failed, warning, error, other } = checks.counts;
    let total = passed + failed + warning + error + other;
    if total == 0 {
        return Ok(());
    }
    write!(
        output,
        "<section>\n<h2>Compliance</h2>\n<p class=\"note\"><strong>{total}</strong> {} of compliance checks: failed \
         {failed}, not done {error}, to be reviewed {warning}, other {other}, passed {passed}.{}</p>\n",
        if total == 1 { "outcome" } else { "outcomes" },
        match listed {
            RecordKind::Vulnerability => {
                " They are no findings: neither the charts nor the list below have them. A report of the kind \
                 <code>compliance</code> lists them."
            }
            RecordKind::Compliance => "",
        }
    )?;
    let (audits, checks) = checks.sorted();
    table("Audit file", &audits, |group| text(group.audit.as_deref()), output)?;
    let name = |group: &CheckGroup| {
        let reference = group.reference.as_deref().map(|text| format!(" <small>{}</small>", escape(text)));
        text(group.name.as_deref()) + &reference.unwrap_or_default()
    };
    table("Check", &checks, name, output)?;
    output.write_all(b"</section>\n")
}

fn text(name: Option<&str>) -> String {
    name.map_or_else(|| "not said".to_owned(), |name| escape(&clean(name, NAME_CHARS)))
}

/// A row for each group, what has failed most first.
fn table(
    title: &str,
    groups: &[CheckGroup],
    name: impl Fn(&CheckGroup) -> String,
    output: &mut impl Write,
) -> io::Result<()> {
    writeln!(
        output,
        "<table><thead><tr><th>{title}</th><th>Failed</th><th>Error</th><th>Warning</th><th>Other</th><th>Passed</th>\
         <th>Hosts</th></tr></thead><tbody>"
    )?;
    for group in groups.iter().take(ROWS) {
        let ComplianceCounts { passed, failed, warning, error, other } = group.counts;
        write!(output, "<tr><td>{}</td>", name(group))?;
        for count in [failed, error, warning, other, passed, group.hosts] {
            write!(output, "<td>{count}</td>")?;
        }
        output.write_all(b"</tr>\n")?;
    }
    output.write_all(b"</tbody></table>\n")?;
    let left_out = groups.len().saturating_sub(ROWS);
    if left_out > 0 {
        writeln!(output, "<p class=\"note\">and {left_out} more</p>")?;
    }
    Ok(())
}
