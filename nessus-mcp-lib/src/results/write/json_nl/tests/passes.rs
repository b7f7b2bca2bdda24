//! Two passes over an export of many hosts.

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
fn nothing_is_left_out_in_either_order() {
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

/// Gives other bytes when it is read again after it was read to its end.
struct Changing<'b> {
    bytes: Cursor<&'b [u8]>,
    later: Option<&'b [u8]>,
    has_ended: bool,
}

impl Read for Changing<'_> {
    fn read(&mut self, target: &mut [u8]) -> std::io::Result<usize> {
        let count = self.bytes.read(target)?;
        self.has_ended |= count == 0 && !target.is_empty();
        Ok(count)
    }
}

impl Seek for Changing<'_> {
    fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
        if self.has_ended
            && let Some(later) = self.later.take()
        {
            self.bytes = Cursor::new(later);
        }
        self.bytes.seek(to)
    }
}

#[test]
fn what_fails_on_the_way_ends_the_conversion() {
    let export = many_hosts();
    let other = String::from_utf8(export.clone()).unwrap().replace("ReportItem", "ReportXtem").into_bytes();
    for sort in [SortOrder::File, SortOrder::WorstFirst] {
        let converter = JsonNlConverter::new(full().sort(sort).build().unwrap());
        let error = converter.convert(Cursor::new(&export), Short(20_000)).unwrap_err();
        assert_eq!(error.code(), "write_failed", "{error}");
        for later in [&export[..export.len() / 2], &other[..]] {
            let input = Changing { bytes: Cursor::new(&export), later: Some(later), has_ended: false };
            let error = converter.convert(input, Vec::new()).unwrap_err();
            assert!(matches!(error, ResultsError::Changed), "{error}");
        }
    }
}
