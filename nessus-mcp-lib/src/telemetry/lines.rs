//! The form of log lines: the same members in each of them, whatever the line is about.
//!
//! What the spans around a line say stands at its top level, beside what the line says itself. So who looks for a task, a trace or a worker
//! looks in one place.

use std::fmt;

use serde_json::{Map, Value};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormattedFields,
        format::{JsonFields, Writer},
    },
    registry::{LookupSpan, Scope},
};

use crate::{
    error::chain,
    time::{Clock as _, SystemClock},
};

/// The members that each line has, in this order; `trace_id` and `task_id` are `null` where a line is about none.
const ALWAYS: [&str; 6] = ["time", "level", "component", "trace_id", "task_id", "message"];
/// A member that the lines of a worker have.
const WORKER: &str = "worker";

/// Writes log lines.
#[derive(Debug)]
pub(super) enum Lines {
    /// One JSON object a line.
    Json,
    /// For people.
    Text {
        /// Whether a terminal shows the level in colour.
        colour: bool,
    },
}

impl<S> FormatEvent<S, JsonFields> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Map::new();
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            let extensions = span.extensions();
            let of_span = extensions.get::<FormattedFields<JsonFields>>();
            if let Some(Ok(Value::Object(of_span))) = of_span.map(|text| serde_json::from_str(text.as_str())) {
                fields.extend(of_span);
            }
        }
        event.record(&mut Fields(&mut fields));
        let line = Line::new(event.metadata().level(), event.metadata().target(), fields);
        match self {
            Self::Json => line.json(writer),
            Self::Text { colour } => line.text(writer, *colour),
        }
    }
}

struct Line<'e> {
    level: &'e Level,
    time: String,
    component: &'e str,
    trace: Value,
    task: Value,
    worker: Option<Value>,
    message: Value,
    /// All else.
    more: Map<String, Value>,
}

impl<'e> Line<'e> {
    fn new(level: &'e Level, target: &'e str, mut fields: Map<String, Value>) -> Self {
        let mut take = |name: &str| fields.remove(name);
        let (trace, task, worker) = (take(ALWAYS[3]), take(ALWAYS[4]), take(WORKER));
        let message = take(ALWAYS[5]).unwrap_or_else(|| Value::from(""));
        // A field that has the name of what stands in each line gives way.
        for name in &ALWAYS[..3] {
            if let Some(value) = fields.remove(*name) {
                fields.insert(format!("{name}_"), value);
            }
        }
        Self {
            level,
            time: SystemClock.now().to_string(),
            component: component(target),
            trace: trace.unwrap_or_default(),
            task: task.unwrap_or_default(),
            worker,
            message,
            more: fields,
        }
    }

    fn json(self, mut writer: Writer<'_>) -> fmt::Result {
        let values = [
            Value::from(self.time),
            Value::from(self.level.as_str()),
            Value::from(self.component),
            self.trace,
            self.task,
            self.message,
        ];
        let worker = self.worker.map(|worker| (WORKER, worker));
        let more = self.more.iter().map(|(name, value)| (name.as_str(), value.clone()));
        let mut before = '{';
        for (name, value) in ALWAYS.into_iter().zip(values).chain(worker).chain(more) {
            write!(writer, "{before}{}:{value}", Value::from(name))?;
            before = ',';
        }
        writer.write_str("}\n")
    }

    fn text(self, mut writer: Writer<'_>, colour: bool) -> fmt::Result {
        let Self { time, level, component, .. } = &self;
        let (on, off) = if colour { (colour_of(**level), "\x1b[0m") } else { ("", "") };
        write!(writer, "{time} {on}{level:>5}{off} {component}: {}", plain(&self.message))?;
        let of_all = [("task_id", &self.task), ("trace_id", &self.trace)];
        let worker = self.worker.as_ref().map(|worker| (WORKER, worker));
        let more = self.more.iter().map(|(name, value)| (name.as_str(), value));
        for (name, value) in more.chain(of_all).chain(worker).filter(|(_, value)| !value.is_null()) {
            let shown = plain(value);
            let is_word = !shown.is_empty() && !shown.contains([' ', '"', '=', '\\']);
            if is_word { write!(writer, " {name}={shown}")? } else { write!(writer, " {name}={}", Value::from(shown))? }
        }
        writer.write_char('\n')
    }
}

/// A value in a line of text, which it must not break.
fn plain(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if !text.contains(char::is_control) {
        return text;
    }
    let mut shown = String::new();
    for character in text.chars() {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// The part of the program that a line comes from: a module of the library, or a crate.
fn component(target: &str) -> &str {
    let mut parts = target.split("::");
    let name = parts.next().unwrap_or(target);
    match name {
        "nessus_mcp_lib" => parts.next().unwrap_or("lib"),
        other => other.strip_prefix("nessus_mcp_").or_else(|| other.strip_prefix("nessus_")).unwrap_or(other),
    }
}

const fn colour_of(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        _ => "\x1b[2m",
    }
}

/// Takes the fields of an event.
struct Fields<'m>(&'m mut Map<String, Value>);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, chain(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc, sync::Mutex};

    use tracing::{error_span, info, warn};
    use tracing_subscriber::{fmt, layer::SubscriberExt as _};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(format: Lines, log: impl FnOnce()) -> String {
        let written = Written::default();
        let writer = written.clone();
        let layer = fmt::layer().fmt_fields(JsonFields::new()).event_format(format);
        let layer = layer.with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        String::from_utf8(written.0.lock().unwrap().clone()).unwrap()
    }

    fn lines() {
        info!(count = 3, "the first line");
        let worker = error_span!("worker", worker = "desk pid 7 (a1b2c3d4)").entered();
        let task = error_span!("task", task_id = "t", trace_id = "r", fence = 7).entered();
        warn!(level = "mine", error = %"a \"b\"\nc", "two\nlines");
        drop((task, worker));
        info!(task_id = "other", "the field of a line goes before that of a span");
    }

    #[test]
    fn each_line_has_the_same_members_at_its_top() {
        let text = written(Lines::Json, lines);
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3);
        for line in &lines {
            assert!(ALWAYS.iter().all(|name| line.get(name).is_some()) && line["component"] == "telemetry", "{line}");
        }
        assert!(
            text.lines().all(|line| line.starts_with("{\"time\":\"") && line.contains("\",\"level\":\"")),
            "{text}"
        );
        assert_eq!((&lines[0]["count"], &lines[0]["task_id"], lines[0].get(WORKER)), (&3.into(), &Value::Null, None));
        let line = &lines[1];
        assert_eq!((&line["task_id"], &line["trace_id"], &line["fence"]), (&"t".into(), &"r".into(), &7.into()));
        assert_eq!(
            (&line["worker"], &line["level"], &line["level_"]),
            (&"desk pid 7 (a1b2c3d4)".into(), &"WARN".into(), &"mine".into())
        );
        assert_eq!((&line["message"], &line["error"]), (&"two\nlines".into(), &"a \"b\"\nc".into()));
        assert_eq!(lines[2]["task_id"], "other");
    }

    #[test]
    fn a_text_line_is_one_line_for_people() {
        let text = written(Lines::Text { colour: false }, lines);
        let lines: Vec<_> = text.lines().map(|line| line.split_once(' ').unwrap().1).collect();
        assert_eq!(lines[0], " INFO telemetry: the first line count=3");
        let rest =
            "error=\"a \\\"b\\\"\\\\nc\" fence=7 level_=mine task_id=t trace_id=r worker=\"desk pid 7 (a1b2c3d4)\"";
        assert_eq!(lines[1], format!(" WARN telemetry: two\\nlines {rest}"));
    }

    #[test]
    fn a_component_is_a_module_or_a_crate() {
        for (target, expected) in [
            ("nessus_mcp_lib::worker::engine", "worker"),
            ("nessus_mcp_lib", "lib"),
            ("nessus_mcp_server::http", "server"),
            ("nessus_worker", "worker"),
            ("rmcp::transport", "rmcp"),
        ] {
            assert_eq!(component(target), expected);
        }
    }
}
