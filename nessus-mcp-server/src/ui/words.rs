//! How states, times and counts are shown.

use std::time::Duration;

use maud::{Markup, html};
use nessus_mcp_lib::{
    circuit_breaker::CircuitState,
    ids::TaskId,
    results::{Severity, SeverityCounts, severity_class},
    task::TaskStatus,
    time::Timestamp,
};

use super::frame::{link, text};

/// A moment by how long ago it was; the tooltip has the moment.
pub(super) fn when(at: Timestamp, now: Timestamp) -> Markup {
    let moment = at.to_string();
    // The clock of who noted it may be ahead by a little.
    let ahead = at.since(now);
    let is_ahead = at > now && ahead >= Duration::from_secs(1);
    let words = if is_ahead { format!("in {}", lasting(ahead)) } else { format!("{} ago", lasting(now.since(at))) };
    html! { time datetime=(moment) title=(moment) { (words) } }
}

/// A moment as date and time.
pub(super) fn moment(at: Timestamp) -> Markup {
    let moment = at.to_string();
    let shown = moment.get(..19).map_or_else(|| moment.clone(), |whole| whole.replace('T', " "));
    html! { time datetime=(moment) { (shown) } }
}

/// A length of time in its largest unit.
pub(super) fn lasting(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A word with the colour of how it stands: `good`, `warn`, `bad` or none.
pub(super) fn tag(class: &str, word: &str) -> Markup {
    html! { span class={ "tag " (class) } { (text(word)) } }
}

/// The state of a task.
pub(super) fn status(status: TaskStatus) -> Markup {
    let class = match status {
        TaskStatus::Completed => "good",
        TaskStatus::Failed | TaskStatus::Timeout => "bad",
        TaskStatus::Running => "busy",
        _ => "",
    };
    tag(class, status.as_str())
}

/// That a scan has not ended as it should have, so that there is more than its results tell.
pub(super) fn incomplete(ended: TaskStatus) -> Markup {
    html! {
        @if ended != TaskStatus::Completed {
            p.alarm role="alert" { strong { "These results are not complete. " } "The scan ended as " (ended) "." }
        }
    }
}

/// A severity with its colour.
pub(super) fn severity(severity: Option<Severity>) -> Markup {
    tag(severity_class(severity), severity.map_or("Unknown", Severity::name))
}

/// The heads of the columns of [`counts_cells`].
pub(super) fn counts_head() -> Markup {
    html! { th { "Critical" } th { "High" } th { "Medium" } th { "Low" } th { "Info" } }
}

/// Findings by severity, the worst first.
pub(super) fn counts_cells(counts: &SeverityCounts) -> Markup {
    html! { @for count in [counts.critical, counts.high, counts.medium, counts.low, counts.info] { td { (count) } } }
}

/// How far a scan is.
pub(super) fn progress(percent: Option<u8>) -> Markup {
    html! {
        @if let Some(percent) = percent {
            span.part { progress max="100" value=(percent) {} " " (percent) " %" }
        }
    }
}

/// The page of a task, with its name.
pub(super) fn task(task_id: &TaskId, name: &str) -> Markup {
    html! {
        a href={ "/ui/tasks/" (task_id) } { (super::frame::short(name, 120)) }
        small.id { (task_id) }
    }
}

/// The findings of a scan that match filters.
pub(super) fn findings(task_id: &TaskId, query: &[(&str, &str)]) -> String {
    link(&format!("/ui/scans/{task_id}/findings"), query.iter().copied())
}

/// The state of a circuit.
pub(super) fn circuit(state: CircuitState) -> Markup {
    let class = match state {
        CircuitState::Closed => "good",
        CircuitState::HalfOpen => "warn",
        _ => "bad",
    };
    tag(class, &state.as_str().replace('_', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_said_in_its_largest_unit() {
        let said = [0, 119, 120, 7_199, 7_200, 172_799, 172_800].map(|seconds| lasting(Duration::from_secs(seconds)));
        assert_eq!(said, ["0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 d"]);
    }

    #[test]
    fn a_moment_is_said_by_how_far_it_is() {
        let now = Timestamp::from_millis(1_000_000_000_000);
        let said = |at| when(at, now).into_string();
        assert!(said(now.minus(Duration::from_secs(300))).ends_with(">5 min ago</time>"));
        assert!(said(now.plus(Duration::from_secs(30))).ends_with(">in 30 s</time>"));
        assert!(said(now.plus(Duration::from_millis(900))).ends_with(">0 s ago</time>"));
    }
}
