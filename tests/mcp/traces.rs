//! What names the trace of a request, and what is told of it.

use serde_json::{Value, json};

use crate::fixture::Fixture;

const HEADER: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const META: &str = "0af7651916cd43dd8448eb211c80319c";

fn parent(trace: &str, flags: &str) -> String {
    format!("00-{trace}-00f067aa0ba902b7-{flags}")
}

/// The name in the answer's header, the parts of its `traceparent`, and the name in the task.
async fn told(fixture: &Fixture, headers: &[(&str, &str)], meta: Option<&str>) -> (String, Vec<String>, String) {
    let mut call = json!({ "name": "run_untrusted_scan", "arguments": { "targets": "192.0.2.1", "name": "traced" } });
    if let Some(meta) = meta {
        call["_meta"] = json!({ "traceparent": meta });
    }
    let request = headers
        .iter()
        .fold(fixture.request("tools/call", call), |request, (name, value)| request.header(*name, *value));
    let answer = request.send().await.unwrap();
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    let (named, parent) = (header("x-trace-id"), header("traceparent"));
    let answer: Value = answer.json().await.unwrap();
    let task = answer["result"]["structuredContent"]["trace_id"].as_str().unwrap().to_owned();
    (named, parent.split('-').map(str::to_owned).collect(), task)
}

#[tokio::test]
async fn a_name_goes_before_meta_and_meta_before_a_header() {
    let fixture = Fixture::start();
    let (header, meta) = (parent(HEADER, "01"), parent(META, "00"));
    for (headers, meta, id, trace, flags) in [
        (&[("traceparent", &*header)][..], None, HEADER, HEADER, "01"),
        (&[("traceparent", &header)], Some(&*meta), META, META, "00"),
        (&[], Some(&*meta), META, META, "00"),
        (&[("traceparent", &header), ("x-trace-id", "agent-7")], Some(&*meta), "agent-7", HEADER, "01"),
        (&[("traceparent", &header), ("tracestate", "vendor=1")], None, HEADER, HEADER, "01"),
        (&[("traceparent", &header), ("x-trace-id", "a b")], None, HEADER, HEADER, "01"),
        (&[("traceparent", "00-0-0-0")], Some(&*meta), META, META, "00"),
    ] {
        let (named, parent, task) = told(&fixture, headers, meta).await;
        assert_eq!((&*named, &*task), (id, id), "{headers:?} {meta:?}");
        assert_eq!(
            (parent.len(), &*parent[0], &*parent[1], &*parent[3]),
            (4, "00", trace, flags),
            "{headers:?} {meta:?}"
        );
        assert!(parent[2].len() == 16 && parent[2] != "00f067aa0ba902b7", "the span is ours: {parent:?}");
    }
}

/// What breaks the rules of the W3C is ignored, and the trace is a new one.
#[tokio::test]
async fn a_malformed_traceparent_is_ignored() {
    let fixture = Fixture::start();
    let (upper, zero) = (parent(&HEADER.to_uppercase(), "01"), parent(&"0".repeat(32), "01"));
    let (valid, long) = (parent(HEADER, "01"), parent(HEADER, "01-more"));
    for headers in [
        &[("traceparent", &*upper)][..],
        &[("traceparent", &zero)],
        &[("traceparent", &long)],
        &[("traceparent", "")],
        &[("traceparent", &valid), ("traceparent", &valid)],
    ] {
        let (named, parent, task) = told(&fixture, headers, Some(&upper)).await;
        assert!(
            named != HEADER && named.len() == 32 && named == parent[1] && named == task,
            "{headers:?}: {named} {parent:?}"
        );
        assert_eq!(parent[3], "00", "nobody asked for it to be sampled");
    }
    // Every answer has both, whatever it is of.
    for path in ["/health/live", "/nothing", "/metrics"] {
        let answer = fixture.get(path).header("traceparent", &*valid).send().await.unwrap();
        assert_eq!(answer.headers()["x-trace-id"], HEADER, "{path}");
        assert!(answer.headers()["traceparent"].to_str().unwrap().starts_with(&format!("00-{HEADER}-")), "{path}");
    }
}
