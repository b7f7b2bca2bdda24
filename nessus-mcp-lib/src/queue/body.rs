//! The text of a queue entry.

use serde::Deserialize;

use crate::{
    error::{Classified, ErrorKind, excerpt},
    ids::{InstanceId, TaskId, TraceId},
};

/// The exact JSON text of a queue entry, and the task it names.
///
/// The queue looks at `task_id` and `scanner_instance_id` only, and the log of a worker at `trace_id`. Everything else belongs to the one who wrote the body, and the text is never
/// re-encoded: large integers, the order of keys and empty lists stay as they were.
///
/// ```
/// use nessus_mcp_lib::queue::TaskBody;
/// let body = TaskBody::parse(r#"{"task_id":"ne_ness_20251201_143022_a1b2c3d4","targets":[]}"#)?;
/// assert_eq!(body.task_id().as_str(), "ne_ness_20251201_143022_a1b2c3d4");
/// assert!(TaskBody::parse("{}").is_err());
/// # Ok::<(), nessus_mcp_lib::queue::BodyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TaskBody {
    text: String,
    task_id: TaskId,
}

impl TaskBody {
    /// Takes the text of a JSON object with a `task_id`.
    ///
    /// # Errors
    /// When the text is not one JSON object, or its `task_id` is missing, repeated or not a task id.
    pub fn parse(text: impl Into<String>) -> Result<Self, BodyError> {
        #[derive(Deserialize)]
        struct Named {
            task_id: TaskId,
        }
        let text = text.into();
        // A JSON array would satisfy serde's idea of a struct.
        if !text.trim_start().starts_with('{') {
            return Err(BodyError { problem: "not a JSON object".to_owned() });
        }
        match serde_json::from_str::<Named>(&text) {
            Ok(Named { task_id }) => Ok(Self { text, task_id }),
            Err(error) => Err(BodyError { problem: excerpt(&error.to_string()).to_string() }),
        }
    }

    /// The task this entry stands for.
    pub fn task_id(&self) -> &TaskId {
        &self.task_id
    }

    /// The trace of the request that its task came with, if it says so. Only logs need it, so whatever it is, the entry is not
    /// damaged.
    pub(crate) fn trace_id(&self) -> Option<TraceId> {
        #[derive(Deserialize)]
        struct Traced {
            trace_id: TraceId,
        }
        serde_json::from_str(&self.text).ok().map(|Traced { trace_id }| trace_id)
    }

    /// The scanner that its task waits for, if it is pinned to one. Whatever else stands there, the entry is not damaged.
    pub fn pinned_instance(&self) -> Option<InstanceId> {
        #[derive(Deserialize)]
        struct Pinned {
            scanner_instance_id: InstanceId,
        }
        serde_json::from_str(&self.text).ok().map(|Pinned { scanner_instance_id }| scanner_instance_id)
    }

    /// The text, byte for byte as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The text, byte for byte as it was given.
    pub fn into_string(self) -> String {
        self.text
    }
}

/// A text that cannot be a queue entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the queue entry is damaged: {problem}")]
pub struct BodyError {
    problem: String,
}

impl Classified for BodyError {
    fn code(&self) -> &'static str {
        "corrupted_json"
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_kept_byte_for_byte() {
        let text =
            " {\"big\":12345678901234567890123, \"task_id\":\"ne_ness_20251201_143022_a1b2c3d4\",\"empty\":[]}\n";
        assert_eq!(TaskBody::parse(text).unwrap().into_string(), text);
    }

    #[test]
    fn the_trace_is_known_where_it_is_said() {
        for (more, trace) in [("", None), (",\"trace_id\":\"t-1\"", Some("t-1")), (",\"trace_id\":[1]", None)] {
            let text = format!("{{\"task_id\":\"ne_ness_20251201_143022_a1b2c3d4\"{more}}}");
            let known = TaskBody::parse(text).unwrap().trace_id();
            assert_eq!(known.as_ref().map(TraceId::as_str), trace);
        }
    }

    #[test]
    fn what_names_no_task_is_damaged() {
        for text in [
            "",
            "nonsense",
            "[\"ne_ness_20251201_143022_a1b2c3d4\"]",
            "{\"task_id\":7}",
            "{\"task_id\":\"../../etc\"}",
            "{\"task_id\":\"ne_ness_20251201_143022_a1b2c3d4\"} trailing",
            "{\"task_id\":\"ne_ness_20251201_143022_a1b2c3d4\",\"task_id\":\"ne_ness_20251201_143022_ffffffff\"}",
        ] {
            assert_eq!(TaskBody::parse(text).unwrap_err().code(), "corrupted_json", "{text}");
        }
    }
}
