//! Writes the first inputs of the fuzz targets into `corpus/`, made from the fixtures: `cargo run --example seeds`.

use std::{fs, io, path::Path};

use nessus_mcp_lib_fuzz::{OFFICE, unsealed_index};

const QUESTIONS: [&str; 10] = [
    "{}",
    r#"{"severity": ">=High", "host": "10.0.0.0/24"}"#,
    r#"{"any": [{"severity": 4}, {"cisa_known_exploited": ">=2020/01/01"}], "not": {"port": [80, "<10"]}}"#,
    r#"{"cvss_score": {"all": [">=5", "<8"], "not": 7.5}, "plugin_name": "\"<b>\"", "cve": "=CVE-2026-0001"}"#,
    r#"{"exploit_available": true, "credentialed": "false", "plugin_output": {"any": ["a", {"not": "b"}]}}"#,
    "{\"epss_score\": \"!=0.5\"}\n-epss_score",
    "{\"host\": \"web\", \"host_ip\": \"2001:db8::/32\"}\nhost:desc",
    "{\"owner\": \"x\", \"cm:compliance-result\": \"failed\"}\nworst_first",
    "{}\nfile\n0123456789012345678901234567890123456789",
    "{\"sevrity\": \">=High\"}\nplugin_nmae",
];

fn main() -> io::Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let corpus = |target: &str| {
        let folder = here.join("corpus").join(target);
        fs::create_dir_all(&folder).map(|()| folder)
    };
    let parser = corpus("parser")?;
    for entry in fs::read_dir(here.join("../../fixtures/exports"))? {
        let path = entry?.path();
        fs::write(parser.join(path.file_name().unwrap_or_default()), fs::read(&path)?)?;
    }
    let text = String::from_utf8_lossy(OFFICE);
    let wide = format!("\u{FEFF}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    fs::write(parser.join("utf16.nessus"), wide)?;
    fs::write(parser.join("mark.nessus"), format!("\u{FEFF}{text}"))?;
    // The fuzzer gets further with small ones: each item of the export alone.
    for (number, item) in text.split("<ReportItem").skip(1).enumerate() {
        let item = item.split("</ReportItem>").next().unwrap_or_default();
        let export = format!(
            "<NessusClientData_v2><Report name=\"r\"><ReportHost name=\"h\"><HostProperties><tag name=\"host-ip\">10.0.0.7</tag>\
             </HostProperties><ReportItem{item}</ReportItem></ReportHost></Report></NessusClientData_v2>"
        );
        fs::write(parser.join(format!("item-{number}.nessus")), export)?;
    }
    let filters = corpus("filters")?;
    for (number, question) in QUESTIONS.iter().enumerate() {
        fs::write(filters.join(format!("question-{number}")), question)?;
    }
    fs::write(corpus("index_file")?.join("office"), unsealed_index())
}
