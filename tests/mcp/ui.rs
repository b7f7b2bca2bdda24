//! The pages of `/ui`, as a browser without scripts meets them. Who gets them and where, `ui_doors.rs` tests.

use nessus_mcp_lib::{
    ScanService,
    config::Settings,
    durable,
    ids::TaskId,
    policy::new_token,
    secret::Secret,
    task::{Task, TaskStatus, Writer},
};
use nessus_mcp_tests::{
    approvals::Approver,
    processes::{Program, until},
    redis::RedisServer,
};
use serde_json::json;

use crate::{
    access::{bearer, entry, write},
    browser::{Browser, assert_inert, refreshes},
    fixture::Fixture,
    markup::{elements, text_of},
};

/// A task id that was never given.
pub(crate) const NO_TASK: &str = "mo_lab_20200101_000000_00000000";
pub(crate) const EVERY_PAGE: [&str; 4] = ["/ui", "/ui/tasks", "/ui/compare", "/ui/scanners"];

/// A server whose clients have these entries in the policy.
pub(crate) fn guarded(keys: &str, entries: &str, change: impl FnOnce(Program) -> Program) -> Fixture {
    let policy = format!("{keys}clients:\n{entries}");
    Fixture::start_prepared(
        |deployment| write(deployment.path("policy.yaml"), policy),
        |program| change(program.args(["--policy-config", "policy.yaml"])),
    )
}

pub(crate) async fn submit_as(fixture: &Fixture, token: &Secret, name: &str, pool: &str) -> TaskId {
    let arguments = json!({ "targets": "192.0.2.0/29", "name": name, "scanner_pool": pool });
    let answer = fixture.call_with("run_untrusted_scan", arguments, &[("authorization", &bearer(token))]).await;
    crate::fixture::task_id(answer.ok())
}

async fn completed(fixture: &Fixture, task: &TaskId) {
    until("the scan is completed", &[&fixture.server.process], async || {
        (fixture.deployment.task(task).status == TaskStatus::Completed).then_some(())
    })
    .await;
}

/// The findings of a scan that did not end well say so, as its report does.
#[tokio::test]
async fn findings_say_that_they_are_not_complete() {
    let fixture = Fixture::start();
    let browser = Browser::of(&fixture);
    let slow = |name: &str| json!({ "targets": "192.0.2.1", "name": name, "scanner_pool": "slow" });
    let running = fixture.submit(slow("runs")).await;
    fixture.wait_for(&running, "running").await;
    let late = fixture.submit(slow("late")).await;
    ended(&fixture, &late, TaskStatus::Failed, "scan_stalled", "the scan made no progress").await;
    let file = fixture.deployment.data().join("tasks").join(late.as_str()).join("scan_native.nessus");
    durable::replace(&file, hostile_export("plain").as_bytes()).unwrap();
    for path in [format!("/ui/scans/{late}/findings"), format!("/ui/scans/{late}")] {
        let page = text_of(&browser.page(&path).await);
        assert!(page.contains("These results are not complete. The scan ended as failed"), "{page}");
    }
}

/// Of many targets the first are looked for, and more scans than are offered are counted.
#[tokio::test]
async fn scans_of_other_targets_do_not_offer_themselves_for_a_comparison() {
    let fixture = Fixture::start();
    let browser = Browser::of(&fixture);
    let many = (0..60).map(|number| format!("host-{number:02}.example")).collect::<Vec<_>>().join(",");
    let scan = async |name: String, targets: &str| {
        let task = fixture.submit(json!({ "targets": targets, "name": name, "scanner_pool": "lab" })).await;
        fixture.wait_for(&task, "completed").await;
        task
    };
    for number in 0..26 {
        scan(format!("earlier {number}"), "host-00.example").await;
    }
    scan("elsewhere".to_owned(), "192.0.2.77").await;
    let after = scan("later".to_owned(), &many).await;
    let offered = text_of(&browser.page(&format!("/ui/compare?after={after}")).await);
    assert!(offered.contains("earlier 25") && !offered.contains("elsewhere"), "{offered}");
    assert!(offered.contains("these are scans of the first of them") && offered.contains("and 1 more"), "{offered}");
}

/// Ends tasks in a way that mock scanners do not end.
async fn ended(fixture: &Fixture, task: &TaskId, status: TaskStatus, code: &'static str, message: &'static str) {
    let settings = Settings::new(fixture.deployment.data(), fixture.deployment.scanners_yaml());
    let service = ScanService::open(&settings).await.unwrap();
    if status == TaskStatus::Timeout {
        // Only what has begun can take too long.
        let begin = |task: &mut Task| task.status = TaskStatus::Running;
        service.tasks().update(task, Writer::Api, begin).await.unwrap();
    }
    let change = move |task: &mut Task| {
        task.status = status;
        task.error_code = Some(code.to_owned());
        task.error_message = Some(message.to_owned());
    };
    service.tasks().update(task, Writer::Api, change).await.unwrap();
}

#[tokio::test]
async fn a_system_without_tasks_has_every_page() {
    let fixture = Fixture::start();
    let browser = Browser::of(&fixture);
    let seen = browser.crawl(&EVERY_PAGE).await;
    assert!(EVERY_PAGE.iter().all(|page| seen.contains(*page)) && seen.contains("/ui/style.css"), "{seen:?}");
    let now = text_of(&browser.page("/ui").await);
    for said in ["No scan is running", "No scan has failed", "lab", "slow", "alive", "For local"] {
        assert!(now.contains(said), "{said}: {now}");
    }
    assert!(refreshes(&browser.page("/ui").await) && !refreshes(&browser.page("/ui/tasks").await));
    assert!(text_of(&browser.page("/ui/scanners").await).contains("mock-off"));
    let nothing = browser.open("/ui/nothing").await;
    assert_eq!(nothing.status, 404);
    assert!(nothing.body.contains("there is no page"), "{}", nothing.body);
}

/// Scans in every state.
pub(crate) struct EveryState {
    pub(crate) before: TaskId,
    pub(crate) after: TaskId,
    pub(crate) running: TaskId,
    /// Were queued: one still is, then one that failed, one that took too long, and one that was cancelled.
    pub(crate) queued: Vec<TaskId>,
}

pub(crate) async fn every_state(fixture: &Fixture) -> EveryState {
    let lab = |name: &str| json!({ "targets": "192.0.2.0/29", "name": name, "scanner_pool": "lab" });
    let slow = |name: &str| json!({ "targets": "192.0.2.1", "name": name, "scanner_pool": "slow" });
    let before = fixture.submit(lab("before")).await;
    fixture.wait_for(&before, "completed").await;
    let after = fixture.submit(lab("after")).await;
    fixture.wait_for(&after, "completed").await;
    let running = fixture.submit(slow("runs")).await;
    fixture.wait_for(&running, "running").await;
    let mut queued = Vec::new();
    for name in ["waits", "fails", "late", "stopped"] {
        queued.push(fixture.submit(slow(name)).await);
    }
    ended(fixture, &queued[1], TaskStatus::Failed, "scan_stalled", "the scan made no progress").await;
    ended(fixture, &queued[2], TaskStatus::Timeout, "scan_timeout", "the scan took longer than it may").await;
    fixture.call("cancel_scan", json!({ "task_id": queued[3] })).await.ok();
    EveryState { before, after, running, queued }
}

/// Every link of every page leads to a page, whatever state the scans are in.
#[tokio::test]
async fn scans_in_every_state_are_shown_and_every_link_leads_somewhere() {
    let fixture = Fixture::start();
    let browser = Browser::of(&fixture);
    let EveryState { before, after, running, queued } = every_state(&fixture).await;

    let seen = browser.crawl(&EVERY_PAGE).await;
    for task in [&before, &after, &running].into_iter().chain(&queued) {
        assert!(seen.contains(&format!("/ui/tasks/{task}")), "{task}: {seen:#?}");
    }
    assert!(
        seen.contains(&format!("/ui/scans/{after}")) && seen.iter().any(|path| path.contains("/findings?filters="))
    );
    let compared = format!("/ui/compare?before={before}&after={after}");
    assert!(seen.contains(&compared), "{seen:#?}");

    let now = text_of(&browser.page("/ui").await);
    for said in ["runs", "scan_stalled", "fails", "snail"] {
        assert!(now.contains(said), "{said}: {now}");
    }
    let task = async |id: &TaskId| browser.page(&format!("/ui/tasks/{id}")).await;
    assert!(refreshes(&task(&running).await) && refreshes(&task(&queued[0]).await) && !refreshes(&task(&after).await));
    assert!(text_of(&task(&queued[1]).await).contains("the scan made no progress"));
    let life = text_of(&task(&after).await);
    for event in ["submitted", "claimed", "launched", "exported", "completed"] {
        assert!(life.contains(event), "{event}: {life}");
    }
    // What has no report says why.
    for (id, said) in
        [(&running, "when this scan has ended"), (&queued[1], "without results"), (&queued[3], "without results")]
    {
        let page = browser.page(&format!("/ui/scans/{id}")).await;
        assert!(text_of(&page).contains(said), "{page}");
        assert_eq!(refreshes(&page), *id == running);
    }
    let report = browser.page(&format!("/ui/scans/{after}")).await;
    for said in
        ["Findings by severity", "Hosts with the worst findings", "Worst findings", "By host", "By plugin", "Logins"]
    {
        assert!(report.contains(said), "{said}: {report}");
    }
    assert!(!refreshes(&report) && report.contains("<svg"));
    let changes = text_of(&browser.page(&compared).await);
    assert!(changes.contains("Still there") && changes.contains("Hosts in both"), "{changes}");
}

/// The list takes what `list_tasks` takes, goes on by cursor, and has a bounded number of rows.
#[tokio::test]
async fn tasks_are_filtered_and_paged() {
    let fixture = Fixture::start();
    let browser = Browser::of(&fixture);
    for number in 0..53 {
        let name = format!("nightly {number}");
        fixture.submit(json!({ "targets": format!("192.0.2.{number}"), "name": name, "scanner_pool": "slow" })).await;
    }
    let rows = |body: &str| elements(body).iter().filter(|element| element.name == "tr").count() - 1;
    let first = browser.page("/ui/tasks").await;
    assert!(rows(&first) == 50 && text_of(&first).contains("53 match"));
    let older =
        elements(&first).into_iter().find(|element| element.attribute("rel").as_deref() == Some("next")).unwrap();
    let second = browser.page(&older.attribute("href").unwrap()).await;
    assert_eq!(rows(&second), 3);
    for (query, matching) in [
        ("status=queued", 52),
        ("status=running", 1),
        ("status=&scanner_pool=&name=", 53),
        ("scanner_pool=slow", 53),
        ("name=nightly+52", 1),
        ("targets=192.0.2.7", 1),
        ("created_before=2020-01-01", 0),
    ] {
        let page = browser.page(&format!("/ui/tasks?{query}")).await;
        assert!(text_of(&page).contains(&format!(" {matching} match")), "{query}: {page}");
    }
    for (query, status) in [
        ("status=lost", 400),
        ("scanner_pool=none", 404),
        ("cursor=x", 400),
        ("created_from=%22%3E%3Cscript%3E", 400),
        ("targets=%00", 400),
    ] {
        let refused = browser.open(&format!("/ui/tasks?{query}")).await;
        assert!(refused.status == status || refused.status == 400, "{query}: {refused:?}");
        assert_inert(&refused.body);
    }
}

/// What a reader may not see is not there: neither in lists nor by its id.
#[tokio::test]
async fn anothers_task_is_on_no_page() {
    let (ann, cem) = (new_token(), new_token());
    let entries = entry("ann", "scan", &ann, "") + &entry("cem", "scan", &cem, "");
    let fixture = guarded("visibility: own\n", &entries, |program| program);
    let done = submit_as(&fixture, &ann, "planted-plan", "lab").await;
    completed(&fixture, &done).await;
    let runs = submit_as(&fixture, &ann, "planted-run", "slow").await;
    until("the scan is running", &[&fixture.server.process], async || {
        (fixture.deployment.task(&runs).status == TaskStatus::Running).then_some(())
    })
    .await;
    let fails = submit_as(&fixture, &ann, "planted-failure", "slow").await;
    ended(&fixture, &fails, TaskStatus::Failed, "scan_stalled", "planted-message").await;
    let waits = submit_as(&fixture, &ann, "planted-wait", "slow").await;
    let own = submit_as(&fixture, &cem, "own-scan", "lab").await;
    completed(&fixture, &own).await;

    let (of_ann, of_cem) = (Browser::with(&fixture, &ann), Browser::with(&fixture, &cem));
    assert!(of_ann.page("/ui").await.contains("planted-run"));
    for path in of_cem.crawl(&EVERY_PAGE).await {
        let body = of_cem.page(&path).await;
        for hidden in ["planted", done.as_str(), runs.as_str(), fails.as_str(), waits.as_str()] {
            assert!(!body.contains(hidden), "{path} shows {hidden}: {body}");
        }
    }
    for task in [&done, &runs, &fails, &waits] {
        for path in [
            "/ui/tasks/{id}",
            "/ui/scans/{id}",
            "/ui/scans/{id}/findings",
            "/ui/compare?before={id}&after={own}",
            "/ui/compare?before={own}&after={id}",
        ] {
            let open = async |id: &str| of_cem.open(&path.replace("{id}", id).replace("{own}", own.as_str())).await;
            let (theirs, none) = (open(task.as_str()).await, open(NO_TASK).await);
            assert_eq!((theirs.status, none.status), (404, 404), "{path}");
            assert_eq!(theirs.body.replace(task.as_str(), NO_TASK), none.body, "{path}");
        }
        assert_eq!(of_ann.open(&format!("/ui/tasks/{task}")).await.status, 200);
    }
    // Nor do the scans of another offer themselves for a comparison.
    assert!(!of_cem.page(&format!("/ui/compare?after={own}")).await.contains("planted"));
}

/// What waits for a person stands on the first page, for those who may see it.
#[tokio::test]
async fn what_waits_for_approval_is_shown() {
    let (ann, cem, boss) = (new_token(), new_token(), Approver::new("boss"));
    let entries = entry("ann", "scan", &ann, "") + &entry("cem", "scan", &cem, "") + &boss.entry("approve", "");
    let fixture = guarded("visibility: own\napprovals: [{name: every-scan}]\n", &entries, |program| program);
    let held = submit_as(&fixture, &ann, "held-scan", "lab").await;
    let now = text_of(&Browser::with(&fixture, &ann).page("/ui").await);
    for said in ["Waiting for approval", "held-scan", "every-scan", "nessus-admin approvals"] {
        assert!(now.contains(said), "{said}: {now}");
    }
    let list = text_of(&Browser::with(&fixture, &ann).page("/ui/tasks").await);
    assert!(list.contains("approval (rule `every-scan`)"), "{list}");
    // Its own page says why once, and no more than a tool tells the same caller.
    let life = text_of(&Browser::with(&fixture, &ann).page(&format!("/ui/tasks/{held}")).await);
    let status =
        fixture.call_with("get_scan_status", json!({ "task_id": held }), &[("authorization", &bearer(&ann))]).await;
    let (shown, _) = status.ok()["waiting_for"].as_str().unwrap().split_once("; ").unwrap();
    assert_eq!(life.matches(shown).count(), 1, "{shown}: {life}");
    assert_eq!((life.matches("cannot_begin").count(), life.contains("earlier attempt")), (1, false), "{life}");
    let others = text_of(&Browser::with(&fixture, &cem).page("/ui").await);
    assert!(!others.contains("Waiting for approval") && !others.contains(held.as_str()), "{others}");
}

/// The file of one that waits may be unreadable: the others are shown, and that it is.
#[tokio::test]
async fn an_unreadable_task_hides_no_other_that_waits_for_approval() {
    let boss = Approver::new("boss");
    let fixture =
        guarded("local: scan\napprovals: [{name: every-scan}]\n", &boss.entry("approve", ""), |program| program);
    let lab = |name: &str| json!({ "targets": "192.0.2.1", "name": name, "scanner_pool": "lab" });
    let newer = fixture.submit(lab("of-a-newer-version")).await;
    fixture.submit(lab("held-scan")).await;
    let file = fixture.deployment.data().join("tasks").join(newer.as_str()).join("task.json");
    let mut written: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    written["status"] = json!("of_tomorrow");
    durable::replace(&file, written.to_string().as_bytes()).unwrap();
    let now = text_of(&Browser::of(&fixture).page("/ui").await);
    for said in ["Waiting for approval", "held-scan", "1 file of a scan that waits cannot be read"] {
        assert!(now.contains(said), "{said}: {now}");
    }
}

/// A page tells what a tool tells, and is not there for who may not use the tool.
#[tokio::test]
async fn a_page_goes_by_the_tools_that_may_be_used() {
    let (narrow, few) = (new_token(), new_token());
    let entries = entry("narrow", "read", &narrow, ", tools: [list_tasks, get_scan_status]")
        + &entry("few", "read", &few, ", calls_per_minute: {read: 2}");
    let fixture = guarded("", &entries, |program| program);
    let browser = Browser::with(&fixture, &narrow);
    let seen = browser.crawl(&["/ui"]).await;
    assert_eq!(seen.iter().map(String::as_str).collect::<Vec<_>>(), ["/ui", "/ui/style.css", "/ui/tasks"]);
    assert!(text_of(&browser.page("/ui").await).contains("your client may not use get_pool_status"));
    for path in
        ["/ui/scanners", "/ui/compare", &format!("/ui/scans/{NO_TASK}"), &format!("/ui/scans/{NO_TASK}/findings")]
    {
        let refused = browser.open(path).await;
        assert!(refused.status == 403 && refused.body.contains("not_permitted"), "{path}: {refused:?}");
    }
    let hasty = Browser::with(&fixture, &few);
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(hasty.open("/ui/tasks").await.status);
    }
    assert_eq!(statuses, [200, 200, 429]);
}

/// What the queue does not tell is said in its place, and the rest is shown.
#[tokio::test]
async fn without_the_queue_the_pages_say_so() {
    let mut redis = RedisServer::start();
    let url = redis.url();
    let fixture = Fixture::start_with(|program| program.env("QUEUE_URL", url));
    let task = fixture.submit(json!({ "targets": "192.0.2.1", "name": "kept", "scanner_pool": "lab" })).await;
    fixture.wait_for(&task, "completed").await;
    let browser = Browser::of(&fixture);
    redis.kill();
    let now = text_of(&browser.page("/ui").await);
    // Whether it refuses or only does not answer depends on how long it is tried.
    let says_so = |text: &str| text.contains("This cannot be told now") || text.contains("does not answer in time");
    assert!(now.contains("queue: unhealthy") && says_so(&now), "{now}");
    assert!(text_of(&browser.page("/ui/tasks").await).contains("kept"));
    let task_page = text_of(&browser.page(&format!("/ui/tasks/{task}")).await);
    assert!(task_page.contains("exported"), "{task_page}");
    assert!(says_so(&text_of(&browser.page("/ui/scanners").await)));
    browser.page(&format!("/ui/scans/{task}")).await;
}

/// Texts that would end an element, an attribute or a style, or run something, if they were not texts.
pub(crate) const HOSTILE: [&str; 6] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "</title></style><style>@import 'https://evil.example'</style>",
    "<svg/onload=alert(1)>]]>&lt;script&gt;",
    "javascript:alert(1)\u{202e}\u{200b}",
];

pub(crate) fn hostile_export(one: &str) -> String {
    let xml = one
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&apos;");
    let item = |severity: u8, plugin: u32, more: &str| {
        format!(
            "<ReportItem port=\"80\" svc_name=\"{xml}\" protocol=\"tcp\" severity=\"{severity}\" pluginID=\"{plugin}\" pluginName=\"{xml}\" \
             pluginFamily=\"{xml}\"><synopsis>{xml}</synopsis><description>{xml}</description><solution>{xml}</solution>\
             <see_also>{xml}\nhttps://good.example/a?b=1&amp;c=2\njavascript:alert(1)\ndata:text/html,x</see_also><cve>{xml}</cve>\
             <plugin_output>{xml}</plugin_output>{more}</ReportItem>"
        )
    };
    let check = "<cm:compliance>true</cm:compliance><compliance>true</compliance>";
    let check = format!(
        "{check}<cm:compliance-check-name>{xml}</cm:compliance-check-name><cm:compliance-audit-file>{xml}</cm:compliance-audit-file>\
         <cm:compliance-result>FAILED</cm:compliance-result><cm:compliance-reference>{xml}|1</cm:compliance-reference>\
         <cm:compliance-actual-value>{xml}</cm:compliance-actual-value>"
    );
    format!(
        "<NessusClientData_v2><Policy><policyName>{xml}</policyName></Policy><Report name=\"{xml}\" xmlns:cm=\"http://www.nessus.org/cm\">\
         <ReportHost name=\"{xml}\"><HostProperties><tag name=\"operating-system\">{xml}</tag><tag name=\"host-ip\">192.0.2.1</tag>\
         </HostProperties>{}{}{}</ReportHost><ReportHost name=\"dead {xml}\"></ReportHost></Report></NessusClientData_v2>",
        item(4, 900_001, ""),
        item(0, 19_506, ""),
        item(3, 900_002, &check)
    )
}

/// Whatever a target, a scanner or a client has written is a text on the page.
#[tokio::test]
async fn hostile_texts_are_texts() {
    let fixture = Fixture::start();
    let browser = Browser::of(&fixture);
    let mut tasks = Vec::new();
    for one in HOSTILE {
        let task = fixture.submit(json!({ "targets": "192.0.2.1", "name": one.replace(['\u{202e}', '\u{200b}'], ""), "scanner_pool": "lab" })).await;
        fixture.wait_for(&task, "completed").await;
        let export = fixture.deployment.data().join("tasks").join(task.as_str()).join("scan_native.nessus");
        durable::replace(&export, hostile_export(one).as_bytes()).unwrap();
        tasks.push(task);
    }
    let waits = fixture.submit(json!({ "targets": "192.0.2.1", "name": "runs", "scanner_pool": "slow" })).await;
    fixture.wait_for(&waits, "running").await;
    let fails = fixture.submit(json!({ "targets": "192.0.2.1", "name": HOSTILE[0], "scanner_pool": "slow" })).await;
    ended(&fixture, &fails, TaskStatus::Failed, HOSTILE[1], HOSTILE[3]).await;

    // Each page on the way is found inert by its browser.
    let seen = browser.crawl(&EVERY_PAGE).await;
    for (one, task) in HOSTILE.into_iter().zip(&tasks) {
        let plain: String = one.chars().filter(|character| !matches!(character, '\u{202e}' | '\u{200b}')).collect();
        for path in [format!("/ui/tasks/{task}"), format!("/ui/scans/{task}"), format!("/ui/scans/{task}/findings")] {
            assert!(seen.contains(&path), "{path}: {seen:#?}");
            let body = browser.page(&path).await;
            assert!(text_of(&body).contains(&plain), "{path} does not show {plain}: {body}");
            assert!(!body.contains(['\u{202e}', '\u{200b}']), "{path}");
        }
        let checks = browser.page(&format!("/ui/scans/{task}/findings?kind=compliance")).await;
        assert!(text_of(&checks).contains(&plain) && text_of(&checks).contains("FAILED"), "{checks}");
        let findings = browser.page(&format!("/ui/scans/{task}/findings")).await;
        let away: Vec<_> = elements(&findings)
            .into_iter()
            .filter_map(|element| element.attribute("href"))
            .filter(|href| href.contains("://"))
            .collect();
        assert!(!away.is_empty() && away.iter().all(|href| href == "https://good.example/a?b=1&c=2"), "{away:?}");
    }
    let compared = browser.page(&format!("/ui/compare?before={}&after={}", tasks[0], tasks[1])).await;
    assert!(text_of(&compared).contains(HOSTILE[1]), "{compared}");
    // What stands in an address comes back as a text as well.
    for one in HOSTILE {
        for path in [
            "/ui/tasks?name=",
            "/ui/tasks?status=",
            "/ui/tasks?cursor=",
            "/ui/compare?before=",
            "/ui/tasks/",
            "/ui/",
            &format!("/ui/scans/{}/findings?filters=", tasks[0]),
        ] {
            let encoded: String = form(one);
            assert_inert(&browser.open(&format!("{path}{encoded}")).await.body);
        }
    }
}

fn form(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
