//! Prints the high and critical findings of a .nessus file as JSON lines, worst first.
//!
//! ```console
//! cargo run --example convert_export -- fixtures/exports/office.nessus
//! ```

use std::{fs::File, io};

use nessus_mcp_lib::{
    JsonNlConverter,
    results::{FilterSet, Page, Profile, Query},
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "fixtures/exports/office.nessus".to_owned());
    let query = Query::builder()
        .profile(Profile::Summary)
        .filters(r#"{"severity": ">=High"}"#.parse::<FilterSet>()?)
        .page(Page::new(1, Some(10))?)
        .build()?;
    JsonNlConverter::new(query).convert(File::open(path)?, io::stdout().lock())?;
    Ok(())
}
