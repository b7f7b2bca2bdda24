//! Prints the high and critical findings of a .nessus file as JSON lines, worst first.
//!
//! ```console
//! cargo run --example convert_export -- fixtures/exports/office.nessus
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

use std::{
    error::Error,
    fs::File,
    io::{self, Write},
};

use nessus_mcp_lib::{
    JsonNlConverter,
    results::{FilterSet, Page, Profile, Query},
};

fn run(path: &str, output: impl Write) -> Result<(), Box<dyn Error>> {
    let query = Query::builder()
        .profile(Profile::Summary)
        .filters(r#"{"severity": ">=High"}"#.parse::<FilterSet>()?)
        .page(Page::new(1, Some(10))?)
        .build()?;
    JsonNlConverter::new(query).convert(File::open(path)?, output)?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "fixtures/exports/office.nessus".to_owned());
    run(&path, io::stdout().lock())
}

#[cfg(test)]
mod tests {
    #[test]
    fn serious_findings_come_worst_first() {
        let mut output = Vec::new();
        super::run(concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/exports/office.nessus"), &mut output).unwrap();
        let text = String::from_utf8(output).unwrap();
        let begins: Vec<_> = text.lines().map(|line| line.split(r#","cve""#).next().unwrap()).collect();
        let first = text.lines().next().unwrap();
        assert!(first.contains(r#""profile":"summary""#) && first.contains(r#""matched":5,"total":22"#), "{text}");
        assert!(begins[1].starts_with(r#"{"type":"scan_metadata","report_name":"Office network""#), "{text}");
        assert_eq!(
            begins[2..7],
            [
                r#"{"type":"vulnerability","host":"192.0.2.10","plugin_id":910001,"severity":"Critical""#,
                r#"{"type":"vulnerability","host":"192.0.2.30","plugin_id":910020,"severity":"Critical""#,
                r#"{"type":"vulnerability","host":"db01.office.example","plugin_id":910010,"severity":"High""#,
                r#"{"type":"vulnerability","host":"printer.office.example","plugin_id":910030,"severity":"High""#,
                r#"{"type":"vulnerability","host":"db01.office.example","plugin_id":910011,"severity":"High""#,
            ]
        );
        assert!(begins[7].starts_with(r#"{"type":"pagination","page":1,"#) && begins.len() == 8, "{text}");
    }
}
