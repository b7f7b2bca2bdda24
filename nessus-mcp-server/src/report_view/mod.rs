//! The report as a view of MCP Apps (SEP-1865, revision 2026-01-26): a document that the host of a client shows beside the answer of
//! [`get_scan_summary` and `compare_scans`](TOOLS), for clients that declare the extension. All others see nothing of it.
//!
//! The document is the same for every scan: it holds no data. The host loads it into a frame of its own and sends the tool's answer
//! there. Its script shows texts as text nodes only, and the document's own policy lets no other script run, no other style apply and
//! nothing be loaded, also where the host's policy would.

use std::sync::LazyLock;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use nessus_mcp_lib::results::REPORT_STYLE;
use rmcp::{
    RoleServer,
    model::{ClientCapabilities, MetaObject, ResourceContents, Tool},
    service::RequestContext,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The extension, as a client declares it.
const EXTENSION: &str = "io.modelcontextprotocol/ui";
/// The type of the views that it shows.
const MIME_TYPE: &str = "text/html;profile=mcp-app";
/// The address of the view.
pub(crate) const ADDRESS: &str = "ui://nessus-mcp/report";
/// The tools whose answers it shows.
const TOOLS: [&str; 2] = ["get_scan_summary", "compare_scans"];

const SCRIPT: &str = include_str!("script.js");
const STYLE: &str = include_str!("style.css");

/// The document.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let style = [REPORT_STYLE, STYLE].concat();
    let (script_hash, style_hash) = (hash(SCRIPT), hash(&style));
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "<!doctype html>\n<html lang=\"en\" data-version=\"{version}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src '{script_hash}'; style-src '{style_hash}'; \
         base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>Nessus report</title>\n<style>{style}</style>\n</head>\n\
         <body>\n<main><p class=\"note\">Reading the report.</p></main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )
});

/// What a content security policy names a script or a style by that stands in the document.
fn hash(content: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(content)))
}

/// Whether who asks can show views. Over HTTP a request says so itself, from the revision 2026-07-28 of the protocol on; before, a
/// client says it once, which a server without sessions cannot remember.
pub(crate) fn is_declared(context: &RequestContext<RoleServer>) -> bool {
    context.client_capabilities().is_some_and(|capabilities| declares(&capabilities))
}

fn declares(capabilities: &ClientCapabilities) -> bool {
    let settings = capabilities.extensions.as_ref().and_then(|extensions| extensions.get(EXTENSION));
    let types = settings.and_then(|settings| settings.get("mimeTypes")).and_then(Value::as_array);
    types.is_some_and(|types| types.iter().any(|one| one == MIME_TYPE))
}

/// Names the view beside a tool whose answer it shows.
pub(crate) fn named_by(mut tool: Tool) -> Tool {
    if TOOLS.contains(&&*tool.name) {
        tool.meta.get_or_insert_default().0.insert("ui".to_owned(), json!({ "resourceUri": ADDRESS }));
    }
    tool
}

/// The document as the contents of its resource. It names no other host, so the host of the client lets it reach none.
pub(crate) fn contents() -> ResourceContents {
    let mut meta = MetaObject::default();
    meta.0.insert("ui".to_owned(), json!({ "prefersBorder": true }));
    ResourceContents::text(&**DOCUMENT, ADDRESS).with_mime_type(MIME_TYPE).with_meta(meta)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer has texts of scanned machines: they must meet nothing that reads markup or runs code, and nothing that loads.
    #[test]
    fn texts_become_text_nodes_and_nothing_is_loaded() {
        for dangerous in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "DOMParser",
            "createContextualFragment",
            "setHTML",
            "srcdoc",
            "eval",
            "Function(",
            "setTimeout",
            "import",
            "setAttribute",
            "href",
            "src=",
            ".src",
            "fetch",
            "XMLHttp",
            "WebSocket",
            "EventSource",
            "sendBeacon",
            "Worker",
            "location",
            "open(",
            "http:",
            "https:",
            "onload",
            "onerror",
            "</",
        ] {
            assert!(!SCRIPT.contains(dangerous), "the script has `{dangerous}`");
        }
        let style = [REPORT_STYLE, STYLE].concat();
        for dangerous in ["url(", "@import", "@font-face", "http", "<"] {
            assert!(!style.contains(dangerous), "the style has `{dangerous}`");
        }
        let shell = DOCUMENT.replace(SCRIPT, "").replace(&style, "");
        for dangerous in ["src=", "href", "link", "iframe", " on", "http:", "https:", "'self'", "unsafe"] {
            assert!(!shell.contains(dangerous), "the document has `{dangerous}`: {shell}");
        }
    }

    /// The document's policy knows its script and its style, and nothing else.
    #[test]
    fn the_policy_knows_what_stands_in_the_document() {
        let between = |begin: &str, end: &str| DOCUMENT.split_once(begin).unwrap().1.split_once(end).unwrap().0;
        let policy = between("Content-Security-Policy\" content=\"", "\"");
        let (script, style) = (hash(between("<script>", "</script>")), hash(between("<style>", "</style>")));
        assert_eq!(
            policy,
            format!(
                "default-src 'none'; script-src '{script}'; style-src '{style}'; base-uri 'none'; form-action 'none'"
            )
        );
        assert_eq!(DOCUMENT.matches("<script").count() + DOCUMENT.matches("<style").count(), 2);
    }

    #[test]
    fn a_client_declares_the_type_of_the_view() {
        let declared =
            |extensions: Value| declares(&serde_json::from_value(json!({ "extensions": extensions })).unwrap());
        assert!(declared(json!({ EXTENSION: { "mimeTypes": ["text/other", MIME_TYPE] } })));
        for other in [
            json!({}),
            json!({ EXTENSION: {} }),
            json!({ EXTENSION: { "mimeTypes": ["text/html"] } }),
            json!({ "other/ui": { "mimeTypes": [MIME_TYPE] } }),
        ] {
            assert!(!declared(other.clone()), "{other}");
        }
        assert!(!declares(&ClientCapabilities::default()));
    }
}
