//! `audit verify`, `audit tail` and `audit search`.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use nessus_mcp_lib::{
    audit::{self, ChainKey, ChainReport, FoundLine, Progress, Search, Unanswered},
    config::{SecretKey, Settings, cli},
    error::{Failure, counted, excerpt},
    task::TaskManager,
};
use serde_json::{Value, json};

use crate::{
    args::{AuditSearchArgs, AuditTailArgs, AuditVerifyArgs},
    output,
};

/// The time between two looks for further lines.
const LOOK: Duration = Duration::from_millis(300);

pub(crate) async fn verify(args: &AuditVerifyArgs) -> Result<(), Failure> {
    let settings = args.common.settings()?;
    let mut keys: Vec<_> = cli::secret_key_of_environment()?.iter().map(ChainKey::new).collect();
    for file in &args.key_file {
        keys.push(ChainKey::new(&SecretKey::from_file(file)?));
    }
    let reports = audit::verify(&directory(&settings)?, &keys, args.since.as_deref())?;
    let traces = reports.iter().flat_map(|report| &report.unanswered);
    let tasks = tasks_of(&settings, &traces.filter_map(|asked| asked.event.trace_id.as_deref()).collect()).await?;
    if args.json {
        output::lines(reports.iter().map(|report| document(report, &tasks).to_string()));
    } else {
        output::lines(reports.iter().flat_map(|report| in_words(report, &tasks)));
    }
    if reports.is_empty() {
        return Err(Failure::new(format!("there is no chain in {}", settings.audit_dir().display())));
    }
    let broken = reports.iter().filter(|report| report.broken.is_some()).count();
    if broken > 0 {
        let which = counted(broken, "chain is", "chains are");
        return Err(Failure::new(format!("{which} not as written, or not proved to be")));
    }
    Ok(())
}

/// The directory of the log, which must be there.
fn directory(settings: &Settings) -> Result<std::path::PathBuf, Failure> {
    let directory = settings.audit_dir();
    if directory.is_dir() {
        return Ok(directory);
    }
    let text = "a server or worker with a policy makes it; `--audit-dir` or `--data-dir` name another place";
    Err(Failure::new(format!("there is no audit log at {}: {text}", directory.display())))
}

/// The tasks that these requests became.
async fn tasks_of(settings: &Settings, traces: &HashSet<&str>) -> Result<HashMap<String, String>, Failure> {
    let mut found = HashMap::new();
    if traces.is_empty() {
        return Ok(found);
    }
    let Some(tasks) = TaskManager::to_read_for(settings).await? else { return Ok(found) };
    for id in tasks.ids().await? {
        // One that cannot be read says nothing of a request.
        let task = tasks.get(&id).await.ok().filter(|task| traces.contains(task.trace_id.as_str()));
        found.extend(task.map(|task| (task.trace_id.to_string(), task.task_id.to_string())));
    }
    Ok(found)
}

fn in_words(report: &ChainReport, tasks: &HashMap<String, String>) -> Vec<String> {
    let name = &report.name;
    let (lines, days) = (counted(report.lines, "line", "lines"), counted(report.days, "day", "days"));
    let last = report.last.as_ref().map(|(seq, hash)| format!("; the last is {seq}, {hash}")).unwrap_or_default();
    let mut words = match &report.broken {
        None => vec![format!("{name}: whole: {lines} on {days}, keys {}{last}", report.keys.join(", "))],
        Some((place, flaw)) => {
            vec![format!("{name}: BROKEN: {place}: {flaw}"), format!("{name}: {lines} before it fit")]
        }
    };
    words.extend(report.notes.iter().map(|note| format!("{name}: note: {note}")));
    words.extend(report.unanswered.iter().map(|asked| format!("{name}: {}", unanswered(asked, tasks))));
    words
}

fn unanswered(asked: &Unanswered, tasks: &HashMap<String, String>) -> String {
    let event = &asked.event;
    let who = event.who.name.as_deref().unwrap_or("nobody");
    let trace = event.trace_id.as_deref().unwrap_or_default();
    let became = match (tasks.get(trace), &event.task_id) {
        (Some(task), _) => format!("it became the task {task}"),
        (None, Some(task)) => format!("about the task {}, whose file says what was done", excerpt(task)),
        (None, None) => "no task has this trace id".to_owned(),
    };
    let (place, what) = (&asked.place, &event.what);
    format!("{place}: asked, without outcome: {what} by {who}, trace id {trace}: {became}")
}

fn document(report: &ChainReport, tasks: &HashMap<String, String>) -> Value {
    let broken = report.broken.as_ref().map(
        |(place, flaw)| json!({ "file": place.file, "line": place.line, "seq": place.seq, "what": flaw.to_string() }),
    );
    let unanswered = report.unanswered.iter().map(|asked| {
        let task = asked.event.trace_id.as_ref().and_then(|trace| tasks.get(trace)).or(asked.event.task_id.as_ref());
        json!({
            "file": asked.place.file, "line": asked.place.line, "seq": asked.place.seq, "what": asked.event.what,
            "who": asked.event.who.name, "trace_id": asked.event.trace_id, "task_id": task,
        })
    });
    let (seq, hash) = report.last.clone().unzip();
    json!({
        "chain": report.name, "lines": report.lines, "days": report.days, "keys": report.keys,
        "last": { "seq": seq, "hash": hash }, "broken": broken, "notes": report.notes,
        "unanswered": unanswered.collect::<Vec<_>>(),
    })
}

pub(crate) async fn tail(args: &AuditTailArgs) -> Result<(), Failure> {
    let directory = directory(&args.common.settings()?)?;
    let (mut progress, mut last) = (Progress::default(), VecDeque::new());
    audit::search(&directory, &Search::default(), &mut progress, |found| {
        last.push_back(found);
        if last.len() > args.lines {
            last.pop_front();
        }
    })?;
    output::lines(last.iter().map(|found| shown(found, args.json)));
    if !args.follow {
        return Ok(());
    }
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = output::reader_left() => return Ok(()),
        }
        let mut later = Vec::new();
        audit::search(&directory, &Search::default(), &mut progress, |found| later.push(shown(&found, args.json)))?;
        output::lines(later);
    }
}

pub(crate) fn search(args: &AuditSearchArgs) -> Result<(), Failure> {
    let directory = directory(&args.common.settings()?)?;
    let mut search = Search::default();
    (search.who, search.what, search.task_id) = (args.who.clone(), args.tool.clone(), args.task.clone());
    (search.decision, search.trace_id) = (args.decision, args.trace_id.clone());
    (search.since, search.until) = (args.since, args.until);
    let mut found = 0_u64;
    let unreadable = audit::search(&directory, &search, &mut Progress::default(), |line| {
        found += 1;
        output::lines([shown(&line, args.json)]);
    })?;
    output::note(&counted(found, "line", "lines"));
    if unreadable > 0 {
        let lines = counted(unreadable, "line is", "lines are");
        output::warning(&format!("{lines} not as written and not searched; `audit verify` names the first"));
    }
    Ok(())
}

fn shown(found: &FoundLine, json: bool) -> String {
    if json {
        return found.text.clone();
    }
    let (line, event) = (&found.line, &found.line.event);
    let mut text = format!("{}  {}  {}", line.time, found.chain, line.kind);
    let mut add = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            text.extend(["  ", name, "=", &excerpt(value).to_string()]);
        }
    };
    add("what", Some(&event.what));
    add("who", event.who.name.as_deref());
    add("role", event.who.role.as_deref());
    add("from", event.who.from.map(|from| from.to_string()).as_deref());
    add("decision", Some(&event.decision.to_string()));
    add("rule", event.rule.as_deref());
    add("outcome", event.outcome.as_deref());
    add("task", event.task_id.as_deref());
    add("trace", event.trace_id.as_deref());
    add("count", event.count.map(|count| count.to_string()).as_deref());
    text
}
