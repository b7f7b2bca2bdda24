//! The catalogue of tasks.

use super::{QueueHarness, task};
use crate::queue::{CATALOGUE_BATCH, CatalogueChanges, CatalogueRecord, Queue};

fn record(number: u32, revision: u64, unfinished: bool) -> CatalogueRecord {
    CatalogueRecord::new(task(number), revision, unfinished, format!(r#"{{"a":"{number}:{revision}"}}"#))
}

/// Makes the catalogue whole, with these records.
async fn make(queue: &dyn Queue, mark: &str, records: &[CatalogueRecord]) {
    let begun = queue.begin_catalogue().await.unwrap();
    assert_eq!(queue.record_tasks(records).await.unwrap(), []);
    assert!(queue.finish_catalogue(&begun, mark).await.unwrap());
}

async fn changes(queue: &dyn Queue, after: u64) -> CatalogueChanges {
    queue.catalogue_changes(after, CATALOGUE_BATCH).await.unwrap()
}

/// A reader hears of each change once, and of a record that is gone too.
pub async fn the_catalogue_tells_what_has_changed(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    assert_eq!(changes(&*queue, 0).await, CatalogueChanges::new(None, vec![], 0));
    make(&*queue, "one", &[record(1, 1, true), record(2, 1, true), record(3, 4, false)]).await;
    let first = queue.catalogue_changes(0, 2).await.unwrap();
    assert_eq!(
        (first.mark.as_deref(), &first.records[..]),
        (Some("one"), &[record(1, 1, true), record(2, 1, true)][..])
    );
    let rest = changes(&*queue, first.last).await;
    assert_eq!(rest.records, [record(3, 4, false)]);
    assert_eq!(changes(&*queue, rest.last).await.records, []);

    let gone = CatalogueRecord::gone(task(1), 1);
    assert_eq!(queue.record_tasks(&[record(2, 2, false), gone.clone()]).await.unwrap(), []);
    let more = changes(&*queue, rest.last).await;
    assert_eq!((more.mark.as_deref(), &more.records[..]), (Some("one"), &[record(2, 2, false), gone.clone()][..]));
    // Whoever reads from the start sees each task once, as it stands.
    assert_eq!(changes(&*queue, 0).await.records, [record(3, 4, false), record(2, 2, false), gone]);
    assert_eq!(queue.catalogue_state().await.unwrap().tasks, 2);
    assert_eq!(queue.record_tasks(&[record(1, 3, false)]).await.unwrap(), []);
    assert_eq!(queue.catalogue_state().await.unwrap().tasks, 3, "it is there again");
}

/// Whatever comes late changes nothing.
pub async fn an_older_revision_replaces_no_record(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    make(&*queue, "one", &[record(1, 5, false)]).await;
    let refused = queue.record_tasks(&[record(1, 4, true), record(2, 1, true)]).await.unwrap();
    assert_eq!(refused, [(task(1), 5)]);
    assert_eq!(changes(&*queue, 0).await.records, [record(1, 5, false), record(2, 1, true)]);
    let same = CatalogueRecord::new(task(1), 5, true, "{}");
    assert_eq!(queue.record_tasks(std::slice::from_ref(&same)).await.unwrap(), []);
    assert_eq!(changes(&*queue, 0).await.records, [record(2, 1, true), same]);
}

/// The reconciler reads only what is unfinished, in parts.
pub async fn unfinished_records_come_in_parts(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    let records: Vec<_> = (1..=9).map(|number| record(number, 1, number % 2 == 1)).collect();
    make(&*queue, "one", &records).await;
    let first = queue.unfinished_records(None, 3).await.unwrap();
    assert_eq!(first, [record(1, 1, true), record(3, 1, true), record(5, 1, true)]);
    let rest = queue.unfinished_records(Some(task(5)), CATALOGUE_BATCH).await.unwrap();
    assert_eq!(rest, [record(7, 1, true), record(9, 1, true)]);
    assert_eq!(queue.record_tasks(&[record(7, 2, false), record(2, 2, true)]).await.unwrap(), []);
    let now: Vec<_> = queue.unfinished_records(None, 100).await.unwrap().into_iter().map(|one| one.task_id).collect();
    assert_eq!(now, [1, 2, 3, 5, 9].map(task));
}

/// Many make it again at once, and tasks change meanwhile; it is whole when the first has recorded all.
pub async fn the_catalogue_is_made_again_by_many(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    make(&*queue, "one", &[record(1, 1, true), record(2, 1, true)]).await;
    let begun = queue.begin_catalogue().await.unwrap();
    assert_eq!(queue.record_tasks(&[record(1, 1, true)]).await.unwrap(), []);
    let joined = queue.begin_catalogue().await.unwrap();
    assert_eq!(joined, begun);
    assert_eq!(changes(&*queue, 0).await, CatalogueChanges::new(None, vec![record(1, 1, true)], 1), "not whole");
    assert_eq!(queue.record_tasks(&[record(1, 2, false), record(2, 1, true)]).await.unwrap(), []);
    assert!(queue.finish_catalogue(&begun, "two").await.unwrap());
    assert!(queue.finish_catalogue(&joined, "three").await.unwrap());
    let all = changes(&*queue, 0).await;
    assert_eq!((all.mark.as_deref(), all.records.len()), (Some("two"), 2));
}

/// What is lost is noticed: also when that happens while it is made.
pub async fn a_catalogue_that_was_lost_is_not_whole(harness: &dyn QueueHarness) {
    let queue = harness.queue();
    make(&*queue, "one", &[record(1, 1, true)]).await;
    assert_eq!(queue.catalogue_state().await.unwrap().mark.as_deref(), Some("one"));
    harness.wipe().await;
    assert_eq!(queue.catalogue_state().await.unwrap().mark, None);
    let begun = queue.begin_catalogue().await.unwrap();
    assert_eq!(queue.record_tasks(&[record(1, 1, true)]).await.unwrap(), []);
    harness.wipe().await;
    assert_eq!(queue.record_tasks(&[record(2, 1, true)]).await.unwrap(), []);
    assert!(!queue.finish_catalogue(&begun, "two").await.unwrap());
    assert_eq!(changes(&*queue, 0).await.mark, None);
}
