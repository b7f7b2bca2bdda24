//! The headers by which a request chooses among the tools.

use http::{HeaderMap, HeaderName};

use super::choice::{Choice, List, NOTHING_LEFT, ToolSet};

const TOOLSETS: HeaderName = HeaderName::from_static("x-mcp-toolsets");
const TOOLS: HeaderName = HeaderName::from_static("x-mcp-tools");
const EXCLUDE_TOOLS: HeaderName = HeaderName::from_static("x-mcp-exclude-tools");
const READ_ONLY: HeaderName = HeaderName::from_static("x-mcp-readonly");

/// The tools that the headers of a request leave.
///
/// # Errors
/// A sentence about a header that names what there is not, or nothing.
pub(crate) fn chosen_by(headers: &HeaderMap) -> Result<ToolSet, String> {
    let mut choice = Choice::default();
    let mut shown = None;
    for (name, shown_name, list) in [
        (&TOOLSETS, "X-MCP-Toolsets", List::Toolsets),
        (&TOOLS, "X-MCP-Tools", List::Tools),
        (&EXCLUDE_TOOLS, "X-MCP-Exclude-Tools", List::ExcludeTools),
    ] {
        let refused = |message: &str| format!("`{shown_name}` {message}");
        for value in headers.get_all(name) {
            shown = Some(shown_name);
            let text = value.to_str().map_err(|_| refused("must be names, separated by commas"))?;
            choice.add_all(list, text).map_err(|message| refused(&message))?;
        }
    }
    for value in headers.get_all(&READ_ONLY) {
        match value.to_str().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "true" | "1" => choice.read_only = true,
            "false" | "0" => {}
            _ => return Err("`X-MCP-Readonly` must be `true` or `false`".to_owned()),
        }
    }
    match shown {
        Some(shown) if choice.is_empty() => Err(format!("`{shown}` {NOTHING_LEFT}")),
        _ => Ok(choice.tools()),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn chosen(sent: &[(&'static str, &'static str)]) -> Result<ToolSet, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(*name, HeaderValue::from_static(value));
        }
        chosen_by(&headers)
    }

    #[test]
    fn headers_leave_tools_out() {
        assert_eq!(chosen(&[]), Ok(ToolSet::ALL));
        assert_eq!(chosen(&[("x-mcp-readonly", "false")]), Ok(ToolSet::ALL));
        let read_only = chosen(&[("x-mcp-readonly", "True")]).unwrap();
        assert!(read_only.has("list_tasks") && !read_only.has("cancel_scan"));
        let some = chosen(&[("x-mcp-toolsets", "status, results"), ("x-mcp-toolsets", "submit")]).unwrap();
        assert!(some.has("list_tasks") && some.has("run_trusted_scan") && !some.has("cancel_scan"));
        let fewer = chosen(&[("x-mcp-toolsets", "status,results"), ("x-mcp-exclude-tools", "list_tasks")]).unwrap();
        assert!(!fewer.has("list_tasks") && fewer.has("get_scan_status") && fewer.has("compare_scans"));
    }

    /// What a client meant by it is not known, so it is not taken for all tools.
    #[test]
    fn a_header_that_says_nothing_is_refused() {
        for (sent, said) in [
            (
                &[("x-mcp-tools", "get_scan_stauts")][..],
                "`X-MCP-Tools` names `get_scan_stauts`, which is no tool; did you",
            ),
            (&[("x-mcp-tools", "")], "`X-MCP-Tools` names nothing"),
            (&[("x-mcp-toolsets", "status,,results")], "`X-MCP-Toolsets` has an empty name"),
            (&[("x-mcp-readonly", "")], "`X-MCP-Readonly` must be"),
            (&[("x-mcp-readonly", "true"), ("x-mcp-tools", "cancel_scan")], "`X-MCP-Tools` leaves no tool"),
            (&[("x-mcp-tools", "list_tasks"), ("x-mcp-exclude-tools", "list_tasks")], "leaves no tool"),
        ] {
            let refused = chosen(sent).unwrap_err();
            assert!(refused.contains(said), "{refused}");
        }
    }
}
