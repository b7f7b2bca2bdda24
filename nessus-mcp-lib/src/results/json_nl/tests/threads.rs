//! Conversions that several threads share.

use std::io::Cursor;

use super::*;

/// Two hundred items on twenty hosts, some of which tell of themselves after their first items.
fn many_hosts() -> Vec<u8> {
    let host = |number: usize| {
        let item = |item: usize| {
            format!(
                r#"<ReportItem port="{item}" svc_name="s" pluginID="{}" severity="{}"><plugin_output>{}</plugin_output></ReportItem>"#,
                number * 100 + item,
                item % 5,
                "text &lt; ".repeat(item * 7),
            )
        };
        let properties = format!(r#"<HostProperties><tag name="host-ip">192.0.2.{number}</tag></HostProperties>"#);
        let items: Vec<_> = (0..10).map(item).collect();
        let items = if number.is_multiple_of(3) {
            format!("{}{properties}<!-- <ReportItem/> -->{}", items[..4].concat(), items[4..].concat())
        } else {
            format!("{properties}{}", items.concat())
        };
        format!("<ReportHost name=\"h{number}\">{items}</ReportHost>\n")
    };
    let hosts: String = (0..20).map(host).collect();
    format!("<NessusClientData_v2><Report name=\"r\">{hosts}</Report></NessusClientData_v2>").into_bytes()
}

#[test]
fn several_threads_keep_the_order_and_leave_nothing_out() {
    let export = many_hosts();
    for sort in [SortOrder::File, SortOrder::WorstFirst] {
        for (chosen, expected) in [
            (json!({}), 200),
            (json!({"severity": "Critical"}), 40),
            (json!({"host_ip": "192.0.2.7"}), 10),
            (json!({"plugin_output": "nowhere"}), 0),
        ] {
            let lines = convert(&export, full().sort(sort.clone()).filters(filters(&chosen))).unwrap();
            assert_eq!(findings(&lines).len(), expected, "{chosen} {sort}");
        }
    }
}

#[test]
fn an_export_that_cannot_be_cut_where_it_seems_is_read_as_a_whole() {
    let export = String::from_utf8(many_hosts()).unwrap();
    let half = export.match_indices("<ReportHost ").nth(10).unwrap().0;
    let at_half = |text: &str| [&export[..half], text, &export[half..]].concat();
    let many = |of: &str| (0..200).map(|number| of.replace('#', &number.to_string())).collect::<String>();
    let own_names = |number: usize| {
        let items = many(&format!("<ReportItem pluginID='1'><own{number}_#>x</own{number}_#></ReportItem>"));
        format!("<ReportHost name='o'>{items}</ReportHost>")
    };
    for text in [
        "<!-- <ReportHost name='none'> -->".to_owned(),
        many("<!-- <ReportHost name='none'> -->"),
        many("<new><![CDATA[<ReportHost name='none'>]]></new>"),
        many("<ReportHosts><ReportHost name='none'/></ReportHosts>"),
        "<ReportHost name='\u{1}'/><ReportHost/>".to_owned(),
        "</Report><Report name='second'>".to_owned(),
        "</Report><Report>".to_owned(),
        "</Report><Policy><policyName>late</policyName></Policy><Report name='r'>".to_owned(),
        format!("</Report>{}<Report name='r'>", many("<ReportHost name='under-the-root'></ReportHost>")),
        format!("<ReportHost name='long'>{0}{0}</ReportHost>", many("<ReportItem pluginID='#' severity='2'><a>text</a></ReportItem>")),
        format!("{}{}", own_names(1), own_names(2)),
        "<ReportHost name='19506'><ReportItem pluginID='19506'><plugin_output>Nessus version : 1.2\nPlugin feed version : 3</plugin_output></ReportItem></ReportHost>".to_owned(),
        "</Report>".to_owned(),
        "<ReportHost name='open'>".to_owned(),
        "text".to_owned(),
        "<ReportItem/>".to_owned(),
        "&bad;".to_owned(),
        "</ReportHost>".to_owned(),
        "</NessusClientData_v2>".to_owned(),
    ] {
        for sort in [SortOrder::File, SortOrder::WorstFirst] {
            // Whether it is one or not, `convert` compares.
            let _ = convert(at_half(&text).as_bytes(), full().sort(sort));
        }
    }
    for end in ["", "</Report>", "</Report></NessusClientData_v2><x/>", "</Report></NessusClientData>", "</report>"] {
        let broken = export.replace("</Report></NessusClientData_v2>", end);
        convert(broken.as_bytes(), full()).unwrap_err();
    }
    for query in [full().filters(filters(&json!({"own1_7": "x"}))), full().filters(filters(&json!({"own9_7": "x"})))] {
        let _ = convert(at_half(&own_names(1)).as_bytes(), query);
    }
}

/// Fails after so many bytes, as a full disk does.
struct Short(usize);

impl Write for Short {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Gives other bytes after it was read to its end once.
struct Changing<'b> {
    versions: [Cursor<&'b [u8]>; 2],
    reading: usize,
}

impl Read for Changing<'_> {
    fn read(&mut self, target: &mut [u8]) -> std::io::Result<usize> {
        let count = self.versions[self.reading].read(target)?;
        if count == 0 && !target.is_empty() {
            self.reading = 1;
        }
        Ok(count)
    }
}

impl Seek for Changing<'_> {
    fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
        self.versions[0].seek(to)?;
        self.versions[1].seek(to)
    }
}

#[test]
fn what_fails_on_the_way_ends_all_threads() {
    let export = many_hosts();
    let other = String::from_utf8(export.clone()).unwrap().replace("ReportItem", "ReportXtem").into_bytes();
    for threads in [0, 2, 4] {
        for sort in [SortOrder::File, SortOrder::WorstFirst] {
            let converter = JsonNlConverter::new(full().sort(sort).build().unwrap()).threads(threads);
            let error = converter.convert(Cursor::new(&export), Short(20_000)).unwrap_err();
            assert_eq!(error.code(), "write_failed", "{error}");
            for later in [&export[..export.len() / 2], &other[..]] {
                let input = Changing { versions: [Cursor::new(&export), Cursor::new(later)], reading: 0 };
                converter.convert(input, Vec::new()).unwrap_err();
            }
        }
    }
}
