//! The pages in a real browser: nothing of them fails, runs, or comes from another host, and they fit on a phone.

use std::{
    env,
    fs::{self, File},
    io::Write as _,
    path::PathBuf,
    time::Instant,
};

use nessus_mcp_lib::{durable, ids::TaskId, time::Timestamp};
use serde_json::json;

use crate::{
    browser::Browser,
    chromium::{Chromium, Look},
    fixture::Fixture,
    ui::{EVERY_PAGE, HOSTILE, every_state, hostile_export},
};

/// Where pictures of the pages are put, if anywhere.
const PICTURES: &str = "NESSUS_MCP_PICTURES";

/// A scan whose export has this text wherever a target or a scanner may write one.
async fn hostile_scan(fixture: &Fixture, text: &str) -> TaskId {
    let arguments =
        json!({ "targets": "192.0.2.1", "name": text.replace(['\u{202e}', '\u{200b}'], ""), "scanner_pool": "lab" });
    let task = fixture.submit(arguments).await;
    fixture.wait_for(&task, "completed").await;
    let export = fixture.deployment.data().join("tasks").join(task.as_str()).join("scan_native.nessus");
    durable::replace(&export, hostile_export(text).as_bytes()).unwrap();
    task
}

/// A page asks this server alone, nothing of it fails, and the console is empty.
async fn assert_clean(chromium: &Chromium, fixture: &Fixture, path: &str, look: Look) {
    let (asked, failed) = chromium.network().await;
    let own = format!("{}/", fixture.server.url());
    let is_own = |url: &String| url.starts_with(&own) || url == "data:,";
    assert!(asked.iter().any(|url| url.starts_with(&own)) && asked.iter().all(is_own), "{path} {look:?}: {asked:?}");
    assert_eq!((failed, chromium.console().await), (Vec::new(), Vec::new()), "{path} {look:?}");
}

#[tokio::test]
async fn every_page_is_clean_without_scripts_wide_and_narrow_light_and_dark() {
    let Some(chromium) = Chromium::start().await else { return };
    let fixture = Fixture::start();
    let known = every_state(&fixture).await;
    let hostile = hostile_scan(&fixture, HOSTILE[0]).await;
    let mut pages: Vec<String> = EVERY_PAGE.map(str::to_owned).into();
    for task in
        [&known.after, &known.running, &known.queued[0], &known.queued[1], &known.queued[2], &known.queued[3], &hostile]
    {
        pages.push(format!("/ui/tasks/{task}"));
        pages.push(format!("/ui/scans/{task}"));
    }
    for task in [&known.after, &hostile] {
        pages.push(format!("/ui/scans/{task}/findings"));
        pages.push(format!("/ui/compare?before={}&after={task}", known.before));
    }
    let pictures = env::var_os(PICTURES).map(PathBuf::from);
    let mut backgrounds = Vec::new();
    for (width, scheme) in [(1300, "light"), (1300, "dark"), (400, "light"), (400, "dark")] {
        let look = Look { width, scheme, scripts: false };
        chromium.look(look).await;
        let title = chromium.open("data:text/html,<title>none</title><script>document.title='scripts'</script>").await;
        assert_eq!(title, "none", "scripts are off");
        chromium.forget().await;
        for path in &pages {
            let title = chromium.open(&format!("{}{path}", fixture.server.url())).await;
            assert!(title.ends_with(" · nessus-mcp"), "{path}: {title}");
            assert_clean(&chromium, &fixture, path, look).await;
            let shown = chromium.page_width().await;
            assert!(shown <= f64::from(width), "{path} is {shown} pixels wide on a screen of {width}");
            if let Some(pictures) = &pictures {
                let name: String =
                    path.chars().map(|one| if one.is_ascii_alphanumeric() { one } else { '-' }).collect();
                chromium.picture(&pictures.join(format!("{width}-{scheme}{name}.png"))).await;
            }
        }
        backgrounds.push(chromium.background().await);
    }
    let [light, dark, narrow_light, narrow_dark] = &backgrounds[..] else { panic!("{backgrounds:?}") };
    assert!(light != dark && light == narrow_light && dark == narrow_dark, "{backgrounds:?}");
}

/// A browser that would run scripts runs none of those that texts try to bring.
#[tokio::test]
async fn hostile_texts_run_nothing_in_a_browser_that_runs_scripts() {
    let Some(chromium) = Chromium::start().await else { return };
    let fixture = Fixture::start();
    let look = Look { width: 1300, scheme: "light", scripts: true };
    chromium.look(look).await;
    let title = chromium.open("data:text/html,<title>none</title><script>document.title='scripts'</script>").await;
    assert_eq!(title, "scripts", "scripts are on");
    chromium.forget().await;
    let mut before: Option<TaskId> = None;
    for text in HOSTILE {
        let task = hostile_scan(&fixture, text).await;
        let encoded: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let mut pages = vec![
            "/ui".to_owned(),
            format!("/ui/tasks?name={encoded}"),
            format!("/ui/tasks/{task}"),
            format!("/ui/scans/{task}"),
            format!("/ui/scans/{task}/findings"),
            format!("/ui/scans/{task}/findings?kind=compliance"),
        ];
        pages.extend(before.as_ref().map(|before| format!("/ui/compare?before={before}&after={task}")));
        for path in pages {
            let title = chromium.open(&format!("{}{path}", fixture.server.url())).await;
            assert!(title.ends_with(" · nessus-mcp"), "{path}: {title}");
            assert!(!chromium.has_dialog().await, "{path} has run {text}");
            assert_clean(&chromium, &fixture, &path, look).await;
        }
        before = Some(task);
    }
}

/// Pages have so many rows, however many tasks there are.
#[tokio::test]
async fn pages_of_ten_thousand_tasks_are_no_larger() {
    const TASKS: usize = 10_000;
    const LARGEST: usize = 64 << 10;
    let mut fixture = Fixture::start();
    let task = fixture.submit(json!({ "targets": "192.0.2.1", "name": "one of many", "scanner_pool": "lab" })).await;
    fixture.wait_for(&task, "completed").await;
    assert_eq!(fixture.server.process.terminate(), Some(0));
    let tasks = fixture.deployment.data().join("tasks");
    let file = fs::read_to_string(tasks.join(task.as_str()).join("task.json")).unwrap();
    let at: Timestamp = fixture.deployment.task(&task).created_at;
    for _ in 1..TASKS {
        let copy = TaskId::generate("mock", "lab", at);
        fs::create_dir(tasks.join(copy.as_str())).unwrap();
        let written = file.replace(task.as_str(), copy.as_str());
        // Nothing is lost if the machine is: so it need not be synced.
        File::create(tasks.join(copy.as_str()).join("task.json")).unwrap().write_all(written.as_bytes()).unwrap();
    }
    fixture.deployment.lose_queue();
    fixture.start_again();
    let browser = Browser::of(&fixture);
    assert!(browser.page("/ui/tasks").await.contains("10000 match"));
    for path in ["/ui", "/ui/tasks", "/ui/tasks?name=many&status=completed", "/ui/compare", "/ui/scanners"] {
        let mut times = Vec::new();
        let mut bytes = 0;
        for _ in 0..21 {
            let began = Instant::now();
            bytes = browser.open(path).await.body.len();
            times.push(began.elapsed());
        }
        times.sort_unstable();
        println!("{bytes:>7} bytes, {:>8.1?} of 21 in the middle, {:>8.1?} at most  {path}", times[10], times[20]);
        assert!(bytes <= LARGEST, "{path} has {bytes} bytes");
    }
}
