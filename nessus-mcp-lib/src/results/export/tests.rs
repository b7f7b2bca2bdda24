//! All formats: the same findings, and nothing that runs.

use std::io::Cursor;

use rstest::rstest;
use serde_json::{Value as Json, json};

use super::*;
use crate::results::{
    FilterSet, JsonNlConverter, Page, Profile, Query, QueryBuilder, RecordKind, ResultsError, SortOrder,
};

const OFFICE: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/exports/office.nessus"));
const COMPLIANCE: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/exports/compliance.nessus"));
const TRUNCATED: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/exports/truncated.nessus"));
const SARIF_SCHEMA: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/sarif-2.1.0.schema.json"));

/// Every text of this export tries to be something else.
fn hostile() -> Vec<u8> {
    let text = "=1+1&quot;&gt;&lt;/style&gt;&lt;script&gt;alert(1)&lt;/script&gt;' onload='x &#x9B;31m\u{200B}\u{202E}";
    format!(
        r#"<NessusClientData_v2><Report name="{text}"><ReportHost name="{text}"><HostProperties>
        <tag name="operating-system">{text}</tag><tag name="host-fqdn">{text}</tag></HostProperties>
        <ReportItem severity="4" pluginID="{text}" port="{text}" protocol="{text}" svc_name="{text}" pluginName="{text}"
          pluginFamily="{text}"><cve>{text}</cve><see_also>javascript:alert(1)
https://a.example/?x=1&amp;y="onclick="x
https://b.example/page</see_also><description>{text}</description><solution>@SUM(A1)</solution>
          <synopsis>-{text}</synopsis><plugin_output>{text}</plugin_output><cvss3_base_score>9.8</cvss3_base_score>
          <attachment name="{text}" type="{text}">{text}</attachment><new-one>{text}</new-one><tags>a</tags></ReportItem>
        <ReportItem severity="9" pluginID="" port="" pluginName=""/>
        <ReportItem severity="3" pluginID="1" port="0"><compliance>true</compliance>
          <cm:compliance-result>{text}</cm:compliance-result></ReportItem>
        </ReportHost><ReportHost name="{text}2"/><ReportHost name="..">
        <ReportItem severity="3" pluginID="21156" port="0"><cm:compliance-result>PASSED</cm:compliance-result>
          <cm:compliance-check-name>1.1</cm:compliance-check-name></ReportItem>
        <ReportItem severity="3" pluginID="21156" port="0"><cm:compliance-result>FAILED</cm:compliance-result>
          <cm:compliance-check-name>1.2</cm:compliance-check-name></ReportItem>
        <ReportItem severity="1" pluginID="2" port="0"><CVE>other</CVE><cve>CVE-1</cve><see-also>more</see-also></ReportItem>
        </ReportHost></Report></NessusClientData_v2>"#
    )
    .into_bytes()
}

fn converted(format: Format, export: &[u8], query: QueryBuilder) -> String {
    let converter = Converter::new(query.build().unwrap(), format);
    let mut output = Vec::new();
    converter.convert(Cursor::new(export), &mut output).unwrap();
    let mut streamed = Vec::new();
    converter.convert_stream(export, &mut streamed).unwrap();
    assert!(output == streamed, "an input that is read once gives the same");
    String::from_utf8(output).unwrap()
}

/// The findings as lines of JSON.
fn findings(export: &[u8], query: QueryBuilder) -> Vec<Json> {
    let lines = converted(Format::JsonNl, export, query);
    let lines = lines.lines().map(|line| serde_json::from_str::<Json>(line).unwrap());
    lines.filter(|line| line["type"] == "vulnerability" || line["type"] == "compliance").collect()
}

fn full() -> QueryBuilder {
    Query::builder().profile(Profile::Full)
}

fn checks() -> QueryBuilder {
    full().kind(RecordKind::Compliance)
}

fn filtered() -> QueryBuilder {
    Query::builder().filters(r#"{"severity": ">=High"}"#.parse::<FilterSet>().unwrap())
}

fn paged() -> QueryBuilder {
    full().page(Page::new(2, Some(10)).unwrap()).max_chars(0).sort("file".parse::<SortOrder>().unwrap())
}

/// The rows of a table, each by the names of its columns.
fn table(text: &str) -> Vec<Vec<(String, String)>> {
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    let names: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let rows = reader.records().map(|row| row.unwrap());
    rows.map(|row| names.iter().cloned().zip(row.iter().map(str::to_owned)).collect()).collect()
}

/// What a cell says for a JSON value.
fn cell(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        Json::Array(values) => values.iter().map(cell).collect::<Vec<_>>().join("; "),
        other => other.to_string(),
    }
}

#[rstest]
#[case(Query::builder())]
#[case(full())]
#[case(filtered())]
#[case(paged())]
#[case(checks())]
#[case(Query::builder().kind(RecordKind::Compliance))]
#[case(Query::builder().fields(["plugin_output", "host", "see_also"]))]
#[case(Query::builder().profile(Profile::Triage))]
#[case(full().extra_fields(["finding_key"]))]
fn a_table_has_what_lines_of_json_have(#[case] query: QueryBuilder) {
    let lookalikes = export(
        "<ReportItem severity=\"1\" pluginID=\"2\" port=\"0\"><CVE>other</CVE><cve>CVE-1</cve><see-also>more</see-also>\
         <plugin_output>-rw-r--r-- a;b</plugin_output></ReportItem>",
    );
    for export in [OFFICE, COMPLIANCE, &lookalikes] {
        assert_same_table(export, &query);
    }
}

fn export(items: &str) -> Vec<u8> {
    let host = format!("<ReportHost name=\"h\">{items}</ReportHost>");
    format!("<NessusClientData_v2><Report name=\"r\">{host}</Report></NessusClientData_v2>").into_bytes()
}

fn assert_same_table(export: &[u8], query: &QueryBuilder) {
    let findings = findings(export, query.clone());
    let rows = table(&converted(Format::Csv, export, query.clone()));
    assert_eq!(rows.len(), findings.len());
    for (row, finding) in rows.iter().zip(&findings) {
        for (name, text) in row {
            let text =
                text.strip_prefix('\'').filter(|text| text.starts_with(['=', '+', '-', '@', '\n'])).unwrap_or(text);
            // A row has every truth value, a line of the profile `full` only those that the item has.
            let expected =
                if finding[name].is_null() && text == "false" { "false".to_owned() } else { cell(&finding[name]) };
            assert_eq!(text, expected, "{name} of {finding}");
        }
        let shown = finding.as_object().unwrap().keys().filter(|name| *name != "type");
        for name in shown {
            assert!(row.iter().any(|(column, _)| column == name), "{name} has a column");
        }
    }
}

#[test]
fn a_table_that_cannot_have_every_field_is_refused() {
    let many = (0..300).fold(String::new(), |many, number| many + &format!("<v{number}>x</v{number}>"));
    let export = export(&format!("<ReportItem severity=\"1\" pluginID=\"2\" port=\"0\">{many}</ReportItem>"));
    let table = Converter::new(full().build().unwrap(), Format::Csv);
    let mut output = Vec::new();
    let error = table.convert(Cursor::new(&export), &mut output).unwrap_err();
    assert!(matches!(error, ResultsError::TooManyFields { .. }) && output.is_empty(), "{error}");
    assert!(converted(Format::Html, &export, full()).contains("more kinds of elements than are shown"));
    let some = Query::builder().fields(["host", "v299"]);
    assert!(converted(Format::Csv, &export, some).contains("h,x"));
}

#[test]
fn checks_of_one_plugin_are_different_results() {
    let log: Json = serde_json::from_str(&converted(Format::Sarif, &hostile(), checks())).unwrap();
    let results = log["runs"][0]["results"].as_array().unwrap();
    let is_check = |result: &&Json| result["ruleId"].as_str().unwrap().starts_with("21156/");
    let checks: Vec<&Json> = results.iter().filter(is_check).collect();
    assert_eq!(checks.len(), 2);
    assert_ne!(checks[0]["partialFingerprints"], checks[1]["partialFingerprints"]);
    assert_ne!(checks[0]["message"], checks[1]["message"]);
    assert_ne!(checks[0]["ruleIndex"], checks[1]["ruleIndex"]);
    let rules = log["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
    let rules = rules.iter().filter(|rule| rule["id"].as_str().unwrap().starts_with("21156/"));
    let mut told: Vec<_> =
        rules.map(|rule| (rule["id"].as_str(), rule["defaultConfiguration"]["level"].as_str())).collect();
    told.sort_unstable();
    assert_eq!(told, [(Some("21156/1.1"), Some("none")), (Some("21156/1.2"), Some("error"))]);
    assert_eq!(checks[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], "hosts/%2E%2E");
}

fn log_of(items: &str, query: QueryBuilder) -> Json {
    let log: Json = serde_json::from_str(&converted(Format::Sarif, &export(items), query)).unwrap();
    assert_valid(&log);
    log["runs"][0].clone()
}

fn fingerprints(run: &Json) -> Vec<&str> {
    let results = run["results"].as_array().unwrap().iter();
    results.map(|result| result["partialFingerprints"]["findingKey/v1"].as_str().unwrap()).collect()
}

#[test]
fn a_result_has_the_key_of_its_finding_and_a_number_where_that_is_shared() {
    let page = |page: &str| {
        format!(
            "<ReportItem severity=\"2\" pluginID=\"900100\" port=\"443\" protocol=\"tcp\" pluginFamily=\"CGI abuses\">\
             <plugin_output>  URL : https://h/{page}</plugin_output></ReportItem>"
        )
    };
    let same = "<ReportItem severity=\"1\" pluginID=\"900200\" port=\"80\" protocol=\"tcp\"/>";
    let items = [&page("a.cgi"), same, &page("b.cgi"), same, &page("a.cgi?x=1"), same];
    let keys = || Query::builder().fields(["finding_key"]);
    let mut sets = Vec::new();
    for turned in [false, true] {
        for sort in ["worst_first", "file", "-finding_key"] {
            let mut items = items;
            if turned {
                items.reverse();
            }
            let run = log_of(&items.concat(), keys().sort(sort.parse().unwrap()));
            let found = fingerprints(&run);
            for (result, fingerprint) in run["results"].as_array().unwrap().iter().zip(&found) {
                let key = result["properties"]["finding"]["finding_key"].as_str().unwrap();
                assert_eq!(fingerprint.split('/').next(), Some(key));
            }
            sets.push(found.into_iter().map(str::to_owned).collect::<std::collections::BTreeSet<String>>());
        }
    }
    assert_eq!(sets[0].len(), items.len(), "each once");
    assert_eq!(sets[0].iter().filter(|fingerprint| fingerprint.contains('/')).count(), 3);
    assert!(sets.iter().all(|set| *set == sets[0]), "the same ones in every order");
}

#[test]
fn a_rule_has_the_worst_of_its_results_in_every_order() {
    let scored = |severity: u8, score: &str| {
        let score = format!("<cvss3_base_score>{score}</cvss3_base_score>");
        format!("<ReportItem severity=\"{severity}\" pluginID=\"900100\" port=\"{severity}\">{score}</ReportItem>")
    };
    let items = [scored(1, "3.1"), scored(4, "9.8"), scored(0, ""), scored(2, "6.0"), scored(3, "99")];
    for at in 0..items.len() {
        let mut items = items.clone();
        items.rotate_left(at);
        for sort in ["worst_first", "file", "severity", "cvss_score"] {
            let run = log_of(&items.concat(), Query::builder().sort(sort.parse().unwrap()));
            let rule = &run["tool"]["driver"]["rules"][0];
            assert_eq!(rule["properties"]["security-severity"], "9.8", "{at} {sort}");
            assert_eq!(rule["defaultConfiguration"]["level"], "error", "{at} {sort}");
        }
    }
    let run = log_of(&[scored(0, ""), scored(1, "3.1")].concat(), Query::builder());
    let rule = &run["tool"]["driver"]["rules"][0];
    assert_eq!(
        (&rule["properties"]["security-severity"], &rule["defaultConfiguration"]["level"]),
        (&json!("3.1"), &json!("note"))
    );
}

#[rstest]
#[case("2001:db8::7", "[2001:db8::7]:80/tcp")]
#[case("fe80::1%eth0", "[fe80::1%eth0]:80/tcp")]
#[case("::ffff:192.0.2.1", "[::ffff:192.0.2.1]:80/tcp")]
#[case("192.0.2.1", "192.0.2.1:80/tcp")]
#[case("web01.corp.example", "web01.corp.example:80/tcp")]
fn a_port_is_told_from_an_address(#[case] host: &str, #[case] expected: &str) {
    let item = "<ReportItem severity=\"2\" pluginID=\"1\" port=\"80\" protocol=\"tcp\" pluginName=\"n\"/>";
    let export = String::from_utf8(export(item)).unwrap().replace("name=\"h\"", &format!("name=\"{host}\""));
    let log: Json = serde_json::from_str(&converted(Format::Sarif, export.as_bytes(), Query::builder())).unwrap();
    assert_valid(&log);
    let result = &log["runs"][0]["results"][0];
    assert_eq!(result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"], expected);
    assert_eq!(result["message"]["text"], format!("n on {expected}"));
}

#[test]
fn a_weakness_is_one_tag() {
    let item = "<ReportItem severity=\"2\" pluginID=\"1\" port=\"0\"><cwe>20</cwe><cwe>CWE-20</cwe><cwe>cwe-79</cwe></ReportItem>";
    let run = log_of(item, Query::builder());
    assert_eq!(run["tool"]["driver"]["rules"][0]["properties"]["tags"], json!(["CWE-20", "CWE-79"]));
}

#[test]
fn a_long_cell_is_cut_and_says_so() {
    let long = "=1;".repeat(20_000);
    let item = format!(
        "<ReportItem severity=\"2\" pluginID=\"1\" port=\"0\"><plugin_output>{long}</plugin_output></ReportItem>"
    );
    let rows = table(&converted(Format::Csv, &export(&item), Query::builder().fields(["plugin_output", "port"])));
    assert!(rows[0][0].1.ends_with("… [cut, 80000 characters in all]"), "{rows:?}");
    assert!(rows[0][0].1.encode_utf16().count() <= 32_767);
    assert_eq!(rows[0][1].1, "0", "the next cell is its own");
}

#[test]
fn no_cell_is_a_formula() {
    let text = converted(Format::Csv, &hostile(), full());
    let mut defused = 0;
    for (name, text) in table(&text).into_iter().flatten() {
        assert!(!text.trim_start().starts_with(['=', '+', '-', '@']), "{name}: {text}");
        assert!(!text.contains(['\u{9B}', '\u{200B}', '\u{202E}']), "{name}: {text:?}");
        defused += usize::from(text.starts_with('\''));
    }
    assert!(defused > 10, "{defused}");
    let rows = table(&converted(Format::Csv, OFFICE, Query::builder().fields(["cvss_score", "port"])));
    assert!(!rows.iter().flatten().any(|(_, text)| text.starts_with('\'')), "numbers stay numbers");
}

fn assert_valid(log: &Json) {
    let schema = serde_json::from_str(SARIF_SCHEMA).unwrap();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    let errors: Vec<String> =
        validator.iter_errors(log).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

#[rstest]
#[case(OFFICE.to_vec(), Query::builder())]
#[case(OFFICE.to_vec(), full())]
#[case(OFFICE.to_vec(), filtered())]
#[case(OFFICE.to_vec(), paged())]
#[case(OFFICE.to_vec(), Query::builder().filters(r#"{"host": "nowhere"}"#.parse().unwrap()))]
#[case(hostile(), full())]
#[case(OFFICE.to_vec(), full().extra_fields(["finding_key"]))]
#[case(hostile(), checks())]
#[case(COMPLIANCE.to_vec(), checks())]
fn a_log_follows_the_schema_and_has_what_lines_of_json_have(#[case] export: Vec<u8>, #[case] query: QueryBuilder) {
    let findings = findings(&export, query.clone());
    let log: Json = serde_json::from_str(&converted(Format::Sarif, &export, query)).unwrap();
    assert_valid(&log);
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let results = run["results"].as_array().unwrap();
    let properties: Vec<&Json> = results.iter().map(|result| &result["properties"]["finding"]).collect();
    assert_eq!(properties, findings.iter().collect::<Vec<_>>());
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(result["kind"] == "fail" || result["level"] == "none", "{result}");
    }
    let ids: std::collections::BTreeSet<&str> = rules.iter().map(|rule| rule["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), rules.len(), "each rule once");
}

#[test]
fn full_shows_the_key_only_where_it_is_asked_for() {
    for format in Format::ALL {
        let is_shown = |text: &str| text.contains("finding_key") || text.contains("<dt>finding key</dt>");
        assert!(!is_shown(&converted(format, OFFICE, full())), "{format}");
        assert!(is_shown(&converted(format, OFFICE, full().extra_fields(["finding_key"]))), "{format}");
    }
    let nothing = || full().filters(r#"{"host": "nowhere"}"#.parse().unwrap()).extra_fields(["finding_key"]);
    assert_eq!(converted(Format::Csv, OFFICE, nothing()), "", "of nothing there is nothing to show");
}

#[test]
fn the_schema_finds_what_is_wrong() {
    let schema = serde_json::from_str(SARIF_SCHEMA).unwrap();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    let log = serde_json::from_str::<Json>(&converted(Format::Sarif, OFFICE, Query::builder())).unwrap();
    for (pointer, value) in [
        ("/version", json!("2.0")),
        ("/runs/0/results/0/level", json!("high")),
        ("/runs/0/results/0/message", json!({})),
        ("/runs/0/tool/driver/rules/0/helpUri", json!("not a link")),
        ("/runs/0/invocations/0/executionSuccessful", Json::Null),
    ] {
        let mut log = log.clone();
        match log.pointer_mut(pointer) {
            Some(place) => *place = value,
            None => log["runs"][0]["tool"]["driver"]["rules"][0]["helpUri"] = value,
        }
        assert!(!validator.is_valid(&log), "{pointer}");
    }
}

#[test]
fn a_log_says_what_kind_of_finding_each_is() {
    let log: Json = serde_json::from_str(&converted(Format::Sarif, OFFICE, full())).unwrap();
    let of_checks: Json = serde_json::from_str(&converted(Format::Sarif, COMPLIANCE, checks())).unwrap();
    let results = [&log, &of_checks].map(|log| log["runs"][0]["results"].as_array().unwrap());
    for result in results.into_iter().flatten() {
        let finding = &result["properties"]["finding"];
        let expected =
            match (finding["type"].as_str(), finding["cm:compliance-result"].as_str(), finding["severity"].as_str()) {
                (Some("compliance"), Some("PASSED"), None) => ("pass", "none"),
                (Some("compliance"), Some("WARNING"), None) => ("review", "none"),
                (Some("compliance"), None | Some("ERROR" | "skipped"), None) => ("open", "none"),
                (Some("compliance"), Some("FAILED"), None) | (_, None, Some("Critical" | "High")) => ("fail", "error"),
                (_, None, Some("Medium")) => ("fail", "warning"),
                (_, None, Some("Low")) => ("fail", "note"),
                (_, None, Some("Info")) => ("informational", "none"),
                other => panic!("{other:?}"),
            };
        assert!(finding["type"] != "compliance" || result.get("rank").is_none(), "{result}");
        assert_eq!((result["kind"].as_str().unwrap(), result["level"].as_str().unwrap()), expected, "{finding}");
    }
    let notes = log["runs"][0]["invocations"][0]["toolExecutionNotifications"].to_string();
    assert!(notes.contains("hosts without any finding"), "{notes}");
}

#[test]
fn a_report_shows_every_finding_and_runs_nothing() {
    let exports =
        [(OFFICE.to_vec(), full()), (hostile(), full()), (hostile(), checks()), (COMPLIANCE.to_vec(), checks())];
    for (export, query) in exports {
        let html = converted(Format::Html, &export, query.clone());
        let count = findings(&export, query.clone()).len();
        assert!(count > 0);
        assert_eq!(html.matches("<details ").count(), count);
        assert_eq!(html.matches("</details>").count(), count);
        for forbidden in [
            "<script",
            "<img",
            "<link",
            "<iframe",
            "onload='",
            "href=\"javascript",
            "\u{9B}",
            "\u{200B}",
            "@import",
            "url(",
        ] {
            assert!(!html.contains(forbidden), "{forbidden}");
        }
        // Every reference out of the page is a link that a person has to follow.
        assert!(!html.contains(" src=") && html.matches("href=").count() == html.matches("<a href=\"http").count());
        let has_charts = html.contains("<p class=\"kind\">Vulnerability scan</p>");
        assert!(html.contains("default-src 'none'") && (html.matches("<svg ").count() >= 1) == has_charts);
    }
    let html = converted(Format::Html, &hostile(), full());
    assert!(html.contains("href=\"https://b.example/page\"") && !html.contains("href=\"https://a.example"), "{html}");
    assert!(html.contains("said by the scanned host"));
}

#[test]
fn one_is_not_several() {
    let item = "<ReportItem severity=\"3\" pluginID=\"1\" port=\"80\" protocol=\"tcp\"/>";
    let html = converted(Format::Html, &export(item), filtered());
    assert!(
        html.contains("<strong>1</strong> host in the export")
            && html.contains("<strong>1</strong> finding above Info")
    );
    assert!(html.contains("1 of 1 finding matches <code>"), "{html}");
    let html = converted(Format::Html, &export(&item.repeat(2)), filtered());
    assert!(html.contains("<strong>2</strong> findings above Info") && html.contains("2 of 2 findings match <code>"));
}

#[test]
fn the_charts_count_what_matches() {
    let html = converted(Format::Html, OFFICE, filtered());
    assert!(
        html.contains("aria-label=\"Findings by severity: Critical 2, High 3, Medium 0, Low 0, Info 0\""),
        "{html}"
    );
    let html = converted(Format::Html, OFFICE, Query::builder());
    assert!(html.contains("Critical 2, High 3, Medium 4, Low 2, Info 11"));
    assert!(html.contains("Not scanned: 1."), "{html}");
}

#[test]
fn a_report_has_compliance_checks_apart() {
    let html = converted(Format::Html, COMPLIANCE, Query::builder());
    assert!(html.contains("Findings by severity: Critical 1, High 1, Medium 1, Low 0, Info 2"), "{html}");
    let section = html.split("<h2>Compliance</h2>").nth(1).unwrap().split("<h2>Findings</h2>").next().unwrap();
    assert!(
        section.contains("<strong>11</strong> outcomes of compliance checks: failed 3, not done 1, to be reviewed 1")
    );
    let row = "<tr><td>1.1 Root may not log in over SSH <small>800-53|AC-2, CSF|PR.AC-1</small></td><td>2</td><td>0</td>\
               <td>0</td><td>0</td><td>1</td><td>3</td></tr>";
    assert!(section.contains(row), "{section}");
    assert!(!html.split("<h2>Findings</h2>").nth(1).unwrap().contains("1.1 Root"), "the list has none");
    let checks = converted(Format::Html, COMPLIANCE, checks());
    assert!(checks.contains("<p class=\"kind\">Compliance audit</p>") && !checks.contains(">High<"), "{checks}");
    assert!(
        !converted(Format::Html, b"<NessusClientData_v2><Report/></NessusClientData_v2>", Query::builder())
            .contains("<h2>Compliance</h2>")
    );
}

#[rstest]
#[case(Format::JsonNl, "\"truncated\":true")]
#[case(Format::Csv, "910001")]
#[case(Format::Sarif, "\"executionSuccessful\":false")]
#[case(Format::Html, "This report is not complete")]
fn a_broken_export_is_converted_in_part_only_when_asked(#[case] format: Format, #[case] sign: &str) {
    for sort in ["worst_first", "file", "host"] {
        let query = Query::builder().sort(sort.parse().unwrap()).build().unwrap();
        let strict = Converter::new(query, format);
        let mut output = Vec::new();
        let error = strict.convert(Cursor::new(TRUNCATED), &mut output).unwrap_err();
        assert!(matches!(error, ResultsError::Truncated(_)) && output.is_empty());

        let lenient = strict.lenient(true);
        let summary = lenient.convert(Cursor::new(TRUNCATED), &mut output).unwrap();
        let failure = summary.failure.unwrap();
        assert_eq!((&*failure.error, failure.message), ("truncated_export", error.to_string()));
        assert_eq!((summary.written, summary.total_vulnerabilities), (10, 10));
        let text = String::from_utf8(output.clone()).unwrap();
        assert!(text.contains(sign), "{text}");
        assert!(!text.contains("answered") && !text.contains("Login:"), "nothing is known of the host that was cut");
        if format == Format::Sarif {
            assert_valid(&serde_json::from_str(&text).unwrap());
        }
        let sound = lenient.convert(Cursor::new(OFFICE), &mut Vec::new()).unwrap();
        assert_eq!((sound.failure, sound.written), (None, 22));
    }
}

#[test]
fn every_cut_gives_the_items_before_it() {
    let whole: Vec<Json> = findings(OFFICE, full().sort(SortOrder::File));
    let ends = OFFICE.windows(13).enumerate().filter(|(_, at)| *at == b"</ReportItem>").map(|(at, _)| at + 13);
    // Its only compliance check is none of the findings.
    let check = OFFICE.windows(13).position(|at| at == b"<compliance>t").unwrap();
    let check_end = ends.clone().find(|end| *end > check);
    let ends: Vec<usize> = ends.filter(|end| Some(*end) != check_end).collect();
    let wide: Vec<u8> = [0xFF, 0xFE]
        .into_iter()
        .chain(str::from_utf8(OFFICE).unwrap().encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    let query = full().sort(SortOrder::File).build().unwrap();
    let converter = JsonNlConverter::new(query).lenient(true);
    for cut in (0..OFFICE.len()).step_by(97).chain(ends.iter().copied()) {
        let complete = ends.iter().filter(|end| **end <= cut).count();
        for export in [&OFFICE[..cut], &wide[..=2 + cut * 2]] {
            let mut output = Vec::new();
            let Ok(summary) = converter.convert(Cursor::new(export), &mut output) else {
                assert_eq!(complete, 0, "only what has no host yet is refused");
                continue;
            };
            let lines = String::from_utf8(output).unwrap();
            let lines: Vec<Json> = lines.lines().skip(2).map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!(lines, whole[..complete], "cut at {cut}");
            assert!(summary.failure.is_some() || cut > OFFICE.len() - 3, "{cut}");
        }
    }
}

#[test]
fn what_is_no_export_stays_refused() {
    for (text, code) in [
        ("", "empty_export"),
        ("<html></html>", "not_a_nessus_export"),
        ("%PDF", "not_a_nessus_export"),
        ("<!DOCTYPE x><NessusClientData_v2><Report><ReportHost name=\"a\"/>", "doctype_refused"),
        ("<NessusClientData_v2><Policy>", "truncated_export"),
        ("<NessusClientData_v2><Policy/></NessusClientData_v2>", "policy_only_export"),
    ] {
        let converter = Converter::new(Query::default(), Format::Html).lenient(true);
        let mut output = Vec::new();
        let error = converter.convert(Cursor::new(text), &mut output).unwrap_err();
        assert_eq!(crate::error::Classified::code(&error), code, "{text}");
        assert!(output.is_empty());
    }
}

#[test]
fn formats_have_names() {
    for format in Format::ALL {
        assert_eq!(format.name().parse::<Format>().unwrap(), format);
    }
    let error = "xlsx".parse::<Format>().unwrap_err();
    assert_eq!(crate::error::Classified::hint(&error).unwrap(), "formats: jsonl, csv, sarif, html");
}
