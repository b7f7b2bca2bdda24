//! `docs/tools.md`, written from the types of arguments and answers; the test fails when the committed file is another.

use std::{collections::BTreeMap, env, fmt::Write as _, fs, path::Path};

use nessus_mcp_lib::{
    results::{declared_fields, line_schemas},
    service::{
        ControlView, PoolsView, QueueView, ScannersView, Submission, TaskComparison, TaskListView, TaskSummaryView,
        TaskView,
    },
};
use rmcp::{
    model::Tool,
    schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{ScanTools, control, inventory, results, scan, status, views};

/// Set to anything, it lets the test write the file instead.
const WRITE: &str = "NESSUS_MCP_WRITE_DOCS";

const HEAD: &str = "\
# Tools

<!-- Written by a test from the types of arguments and answers; do not edit. To write it again:
     NESSUS_MCP_WRITE_DOCS=1 cargo test -p nessus-mcp-server --all-features documentation -->

What an agent sees of the server. Unknown arguments are refused.

Small answers come as structured content and as the same JSON in a text; findings, summaries and comparisons come as text only,
because some clients drop a text that stands beside structured content. No tool declares an `outputSchema`: clients that validate
would hold errors against it and throw them away. The tables below say what an answer holds; later versions may add fields.

A field that *may be absent* is left out where there is nothing to say.

## Errors

An error an agent can act on is a tool result with `isError: true`, as structured content and as text:

| field | type | meaning |
|---|---|---|
| `error` | text | a stable code; each tool lists its own below |
| `message` | text | what is wrong |
| `hint` | text, may be absent | what to do |

Every tool may also answer `invalid_arguments` (an argument is missing, misspelt or of another type), or with the code of what failed
inside, such as `storage_error`, `task_damaged` or `queue_unavailable`: then the message says only that the server could not do this now,
and its log says why. A tool that does not exist is an error of the protocol.
";

/// What the types do not say of a tool.
struct Facts {
    name: &'static str,
    example: Value,
    /// The tables of its answer, each under a line of text.
    answer: Vec<(String, String)>,
    /// The codes of its own errors.
    errors: &'static [&'static str],
}

impl Facts {
    /// A tool with one JSON document as its answer. The example must be what its arguments `A` are read from.
    fn of<A: DeserializeOwned, T: JsonSchema>(
        name: &'static str,
        example: Value,
        errors: &'static [&'static str],
    ) -> Self {
        let answer = vec![(String::new(), answer_table(generator().root_schema_for::<T>().as_value()))];
        Self::with::<A>(name, example, answer, errors)
    }

    fn with<A: DeserializeOwned>(
        name: &'static str,
        example: Value,
        answer: Vec<(String, String)>,
        errors: &'static [&'static str],
    ) -> Self {
        if let Err(error) = serde_json::from_value::<A>(example.clone()) {
            panic!("the example of {name} is refused: {error}");
        }
        Self { name, example, answer, errors }
    }
}

fn facts() -> Vec<Facts> {
    const OF_A_TASK: &[&str] = &["invalid_argument", "task_not_found"];
    let task = "ne_ness_20261128_143022_a1b2c3d4";
    vec![
        Facts::of::<scan::UntrustedScan, Submission>(
            "run_untrusted_scan",
            json!({ "targets": "192.0.2.0/28, db.example.com", "name": "office", "idempotency_key": "office-2026-48" }),
            &[
                "invalid_targets",
                "invalid_argument",
                "unknown_pool",
                "unknown_instance",
                "unknown_profile",
                "pool_disabled",
                "idempotency_conflict",
            ],
        ),
        Facts::of::<status::TaskArgument, TaskView>("get_scan_status", json!({ "task_id": task }), OF_A_TASK),
        Facts::of::<status::ListTasks, TaskListView>(
            "list_tasks",
            json!({ "status": "completed", "limit": 5 }),
            &["invalid_argument", "unknown_pool"],
        ),
        Facts::with::<results::Results>(
            "get_scan_results",
            json!({
                "task_id": task,
                "schema_profile": "triage",
                "filters": { "severity": ">=High", "exploit_available": true },
            }),
            lines(),
            &[
                "invalid_argument",
                "task_not_found",
                "results_not_ready",
                "no_results",
                "unknown_profile",
                "unknown_field",
                "too_many_fields",
                "no_fields",
                "invalid_fields",
                "conflicting_options",
                "invalid_filter",
                "invalid_sort",
                "invalid_page",
                "invalid_cursor",
                "max_chars_too_small",
                "too_large",
            ],
        ),
        Facts::of::<views::SummaryArguments, TaskSummaryView>(
            "get_scan_summary",
            json!({ "task_id": task }),
            &["invalid_argument", "task_not_found", "results_not_ready", "no_results"],
        ),
        Facts::of::<views::CompareArguments, TaskComparison>(
            "compare_scans",
            json!({ "before_task_id": task, "after_task_id": "ne_ness_20261205_143107_0badcafe" }),
            &["invalid_argument", "task_not_found", "results_not_ready", "no_results"],
        ),
        Facts::of::<control::CancelArguments, ControlView>(
            "cancel_scan",
            json!({ "task_id": task, "reason": "wrong network" }),
            &["invalid_argument", "task_not_found", "already_ended"],
        ),
        Facts::of::<control::RetryArguments, ControlView>(
            "retry_scan",
            json!({ "task_id": task }),
            &["invalid_argument", "task_not_found", "not_retryable", "unknown_pool"],
        ),
        Facts::of::<inventory::PoolArgument, ScannersView>(
            "list_scanners",
            json!({ "scanner_pool": "nessus" }),
            &["unknown_pool"],
        ),
        Facts::of::<inventory::NoArguments, PoolsView>("list_pools", json!({}), &[]),
        Facts::of::<inventory::PoolArgument, QueueView>("get_queue_status", json!({}), &["unknown_pool"]),
    ]
}

/// The lines of `get_scan_results`.
fn lines() -> Vec<(String, String)> {
    let [schema, metadata, pagination] =
        line_schemas(&mut generator()).map(|(kind, schema)| (kind, answer_table(schema.as_value())));
    let mut fields = "| field | type | in | |\n|---|---|---|---|\n".to_owned();
    for field in declared_fields() {
        let profiles: Vec<_> = field.profiles.iter().map(ToString::to_string).collect();
        let untrusted = if field.is_untrusted { "untrusted" } else { "" };
        let _ = writeln!(fields, "| `{}` | {} | {} | {untrusted} |", field.name, field.kind, profiles.join(", "));
    }
    vec![
        (format!("Lines of JSON, each an object with a `type`. The first is `{}`:", schema.0), schema.1),
        (
            format!(
                "The second is `{}`. Beside these it has, of the task, `task_id`, `scan_type`, `scan_name`, `targets`, \
                 `status`, `scanner_pool`, `scanner_instance`, `started_at`, `completed_at`, `authentication_status` and \
                 `warnings`, which say what was not scanned. When one of these two lines would have more than 12,000 \
                 characters, its lists are cut, and `NAME_left_out` says how many entries are missing; a field missing in \
                 `untrusted_fields` is untrusted all the same:",
                metadata.0
            ),
            metadata.1,
        ),
        (
            "Then comes a `vulnerability` for each finding, with the fields of the profile. All profiles but `full` show a \
             missing value as `null`, an empty list or `false`. Filters, orders, `custom_fields` and `extra_fields` take \
             each of these fields, and elements that are not among them under their own names:"
                .to_owned(),
            fields,
        ),
        (format!("The last line is `{}`, unless everything was asked for:", pagination.0), pagination.1),
    ]
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12().for_serialize().into_generator()
}

fn document() -> String {
    let tools = ScanTools::router().list_all();
    let mut facts: BTreeMap<_, _> = facts().into_iter().map(|facts| (facts.name, facts)).collect();
    let mut text = HEAD.to_owned();
    for tool in &tools {
        match facts.remove(&*tool.name) {
            Some(facts) => section(&mut text, tool, &facts),
            None => panic!("documentation.rs knows nothing of the tool `{}`", tool.name),
        }
    }
    assert!(facts.is_empty(), "there are no tools {:?}", facts.keys());
    text
}

fn section(text: &mut String, tool: &Tool, facts: &Facts) {
    let description = tool.description.as_deref().unwrap_or_default();
    let _ = write!(text, "\n## `{}`\n\n{description}\n\n### Arguments\n\n", tool.name);
    let schema = Value::Object(tool.input_schema.as_ref().clone());
    let mut rows = Rows { root: &schema, absent: ", optional", text: String::new(), shown: BTreeMap::new() };
    rows.members(&schema, "");
    if rows.text.is_empty() {
        text.push_str("None.\n");
    } else {
        let _ = write!(text, "| argument | type | meaning |\n|---|---|---|\n{}", rows.text);
    }
    let _ = write!(text, "\n```json\n{}\n```\n\n### Answer\n", facts.example);
    for (above, table) in &facts.answer {
        if !above.is_empty() {
            let _ = write!(text, "\n{above}\n");
        }
        let _ = write!(text, "\n{table}");
    }
    if !facts.errors.is_empty() {
        let codes: Vec<_> = facts.errors.iter().map(|code| format!("`{code}`")).collect();
        let _ = write!(text, "\n### Errors of its own\n\n{}.\n", codes.join(", "));
    }
}

fn answer_table(schema: &Value) -> String {
    let mut rows = Rows { root: schema, absent: ", may be absent", text: String::new(), shown: BTreeMap::new() };
    rows.members(schema, "");
    format!("| field | type | meaning |\n|---|---|---|\n{}", rows.text)
}

/// The rows of a table, one for each member of an object and of the objects in it.
struct Rows<'s> {
    /// Where `$ref` points into.
    root: &'s Value,
    /// What is said of a member that is not required.
    absent: &'static str,
    text: String,
    /// Where the members of a type stand already.
    shown: BTreeMap<&'s str, String>,
}

impl<'s> Rows<'s> {
    fn members(&mut self, object: &'s Value, path: &str) {
        let required: Vec<_> = object["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, member) in object["properties"].as_object().into_iter().flatten() {
            // The line's own name, which the text above the table says.
            if path.is_empty() && name == "type" {
                continue;
            }
            self.member(&format!("{path}{name}"), member, required.contains(&name.as_str()));
        }
    }

    fn member(&mut self, path: &str, member: &'s Value, is_required: bool) {
        let (item, is_list, is_null) = self.resolved(member);
        let kind = match (kind_of(item.schema), is_list) {
            (kind, false) => kind,
            (kind, true) if kind == "object" => "list of objects".to_owned(),
            (kind, true) => format!("list of {kind}"),
        };
        let is_known = item.name.and_then(|name| self.shown.get(name)).cloned();
        let like = match &is_known {
            Some(other) if item.schema["properties"].is_object() => format!(", as `{other}`"),
            _ => String::new(),
        };
        let null = if is_null && is_required { " or null" } else { "" };
        let absent = if is_required { "" } else { self.absent };
        let meaning = plain(member["description"].as_str().or(item.schema["description"].as_str()).unwrap_or_default());
        let _ = writeln!(self.text, "| `{path}` | {kind}{null}{like}{absent} | {meaning} |");
        if like.is_empty() && item.schema["properties"].is_object() {
            if let Some(name) = item.name {
                self.shown.insert(name, path.to_owned());
            }
            self.members(item.schema, &format!("{path}{}", if is_list { "[]." } else { "." }));
        }
    }

    /// What stands behind references, lists and `null`.
    fn resolved(&self, mut schema: &'s Value) -> (Item<'s>, bool, bool) {
        let (mut name, mut is_list, mut is_null) = (None, false, false);
        loop {
            let options = schema["anyOf"].as_array().map(Vec::as_slice).unwrap_or_default();
            let (nulls, others): (Vec<_>, Vec<_>) = options.iter().partition(|option| option["type"] == "null");
            is_null |= !nulls.is_empty() || has_type(schema, "null");
            schema = if let Some(reference) = schema["$ref"].as_str() {
                let defined = reference.rsplit('/').next().unwrap_or_default();
                name = Some(defined);
                &self.root["$defs"][defined]
            } else if let [only] = others.as_slice() {
                only
            } else if has_type(schema, "array") {
                is_list = true;
                &schema["items"]
            } else {
                return (Item { name, schema }, is_list, is_null);
            };
        }
    }
}

/// A schema, and its name where it has one.
struct Item<'s> {
    name: Option<&'s str>,
    schema: &'s Value,
}

fn has_type(schema: &Value, name: &str) -> bool {
    match &schema["type"] {
        Value::Array(names) => names.iter().any(|one| one == name),
        one => one == name,
    }
}

/// The type in words, with its limits.
fn kind_of(schema: &Value) -> String {
    let words = schema["enum"].as_array().into_iter().flatten();
    let words = words.chain(schema["oneOf"].as_array().into_iter().flatten().map(|option| &option["const"]));
    let words: Vec<_> = words.filter_map(Value::as_str).map(|word| format!("`{word}`")).collect();
    if !words.is_empty() {
        return words.join(", ");
    }
    if let Some(options) = schema["anyOf"].as_array() {
        return options.iter().map(kind_of).collect::<Vec<_>>().join(" or ");
    }
    let limits = match (schema["minimum"].as_i64(), schema["maximum"].as_i64()) {
        (Some(least), Some(most)) => format!(", {least} to {most}"),
        // That a count is not below 0 goes without saying.
        (Some(least), None) if least > 0 => format!(", at least {least}"),
        _ => String::new(),
    };
    for (name, word) in
        [("integer", "integer"), ("number", "number"), ("boolean", "boolean"), ("object", "object"), ("string", "text")]
    {
        if has_type(schema, name) {
            let word = if schema["format"] == "date-time" { "time" } else { word };
            return format!("{word}{limits}");
        }
    }
    "JSON".to_owned()
}

/// A description as it can stand in a cell: on one line, without links into the library.
fn plain(description: &str) -> String {
    let text = description.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
    text.replace("[`", "`").replace("`]", "`")
}

#[test]
fn the_documentation_of_the_tools_is_what_the_types_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/tools.md");
    let document = document();
    if env::var_os(WRITE).is_some() {
        nessus_mcp_lib::durable::replace(&path, document.as_bytes()).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let differs = committed.lines().zip(document.lines()).position(|(is, shall)| is != shall);
    assert!(
        committed == document,
        "docs/tools.md is not what the types say (first in line {}); write it again with\n  \
         {WRITE}=1 cargo test -p nessus-mcp-server --all-features documentation",
        differs.map_or(committed.lines().count().min(document.lines().count()), |line| line) + 1,
    );
}
